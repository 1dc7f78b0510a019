"""The block log: the truth of a chain. Records are appended, checksummed, made to rest with one sync, and never changed.

A segment file is named by its first height and starts with a header. A record is its height, its length, the CRC-32 of
its payload, the CRC-32 of these three, and the payload. Beside the segments the file `durable` notes, in two slots that are
written in turn, a height that is known to rest: what is missing above it was never acknowledged and is cut on opening; what
is missing or wrong at or below it, or is wrong in full length, is named and refused. Old segments may lie in the archive.
"""

from __future__ import annotations

import os
from array import array
from threading import Lock
from typing import TYPE_CHECKING

from changan.errors import ChanganError
from changan.node.store.archive import (
    ARCHIVE,
    SEGMENTS_MAX,
    ArchivedError,
    Part,
    archived_height,
    finish,
    is_moving,
    move,
)
from changan.node.store.checksum import crc32
from changan.node.store.full import FULL, DiskFullError
from changan.node.store.note import DurableNote
from changan.node.store.records import FILE_HEAD, MAGIC, RECORD_HEAD, head_is_whole, is_zero, pack_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SEGMENT_BYTES = 256 * 1024 * 1024
RECORD_BYTES_MAX = 1 << 30
UNCACHED_BYTES = 256 * 1024
"""Blocks at least so large leave the page cache once they rest: their pages serve the next block, and no other files' are
pushed out. Who reads them soon finds them in the node's own memory."""
_SECTOR_BYTES = 512
PARTS_MAX = 256
"""Parts of a record are written as they lie in memory, without being copied into one; more of them are too small for that."""


class CorruptLogError(ChanganError):
    """A log that is damaged where nothing may be cut; the message names the height."""


class BlockLog:
    """The log in a directory. One thread appends; any thread may read what rests."""

    def __init__(
        self,
        directory: Path,
        *,
        crash_point: Callable[[str], None] = lambda _: None,
        segment_bytes: int = SEGMENT_BYTES,
        read_only: bool = False,
    ) -> None:
        """Open or create the log. With `read_only` nothing is cut or made, so another process may be writing.

        Raises CorruptLogError.
        """
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._crash_point = crash_point
        self._segment_bytes = segment_bytes
        self._read_only = read_only
        self._flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
        self._files: list[int] = []  # of each segment; -1 for blocks whose file is away
        self._lock = Lock()  # segments are exchanged while others read
        self._archived = -1
        self._starts: list[int] = []  # first height of each segment
        self._offsets = array("Q")  # of each record in its segment, by height
        self._size = 0  # of the last segment, with what is not synced yet
        self._durable = -1
        self._durable_size = 0
        try:
            self._note = DurableNote(directory / "durable", self._flags)
        except FileNotFoundError as error:
            raise CorruptLogError(f"{directory} holds no block log") from error
        try:
            self._open()
        except BaseException:  # whatever it was: the files that are open already have no owner yet
            self.close()
            raise

    # Opening

    def _open(self) -> None:
        if not self._read_only:
            finish(self._directory)
        elif is_moving(self._directory):
            raise CorruptLogError(f"blocks of {self._directory} are on their way into the archive: try again")
        try:
            self._archived = archived_height(self._directory)
        except ValueError as error:
            raise CorruptLogError(f"{self._directory / 'archived'} does not say up to which block") from error
        noted = self._note.read()
        names = [*sorted((self._directory / ARCHIVE).glob("*.log")), *sorted(self._directory.glob("*.log"))]
        for position, path in enumerate(names):
            start = int(path.stem) if path.stem.isdigit() else -1
            if len(self._offsets) < start <= self._archived + 1:  # blocks whose file is away
                self._files.append(-1)
                self._starts.append(len(self._offsets))
                self._offsets.frombytes(bytes(8 * (start - len(self._offsets))))
            self._files.append(os.open(path, self._flags))
            self._scan(last=position == len(names) - 1, noted=noted)
        if not names:
            if noted >= 0:
                raise CorruptLogError(f"block {noted} rested here, and the log is empty")
            if self._read_only:
                raise CorruptLogError(f"{self._directory} holds no block log")
            self._add_segment(0)
        self._durable = len(self._offsets) - 1
        self._durable_size = self._size
        if self._durable < noted:
            raise CorruptLogError(f"the log ends at block {self._durable}, and block {noted} rested here")
        if not self._read_only:
            os.fdatasync(self._files[-1])

    def _scan(self, *, last: bool, noted: int) -> None:
        """Read one segment's records; cut a torn tail of the last one."""
        file = self._files[-1]
        size = os.fstat(file).st_size
        head = os.pread(file, FILE_HEAD.size, 0)
        height = len(self._offsets)
        if head != FILE_HEAD.pack(MAGIC, height):
            torn = last and noted < height and (size < FILE_HEAD.size or is_zero(file, 0, size))
            if not torn:
                raise CorruptLogError(f"the segment that should start at block {height} has a damaged head")
            size = 0
            if not self._read_only:
                os.ftruncate(file, 0)
                size = os.pwrite(file, FILE_HEAD.pack(MAGIC, height), 0)
        self._starts.append(height)
        offset = FILE_HEAD.size
        while offset < size:
            end = self._record_end(file, offset, size, check=last)
            if end is None:
                self._cut(file, offset, last=last, noted=noted)
                break
            self._offsets.append(offset)
            offset = end
        self._size = offset

    def _record_end(self, file: int, offset: int, size: int, *, check: bool) -> int | None:
        """Return where a record ends; None for a torn tail. Raises CorruptLogError for one that is whole and wrong."""
        height = len(self._offsets)
        head = os.pread(file, RECORD_HEAD.size, offset)
        if len(head) < RECORD_HEAD.size:
            return None
        written, length, checksum, _ = RECORD_HEAD.unpack(head)
        end: int = offset + RECORD_HEAD.size + length
        if not head_is_whole(head) or written != height:
            boundary = -(-offset // _SECTOR_BYTES) * _SECTOR_BYTES
            written_to = boundary if any(head) and boundary < offset + RECORD_HEAD.size else offset
            if is_zero(file, written_to, size):
                return None  # the file grew, and its last sectors were never written
            raise CorruptLogError(f"block {height} at byte {offset} has a damaged head")
        if end > size:
            return None
        if check and crc32(os.pread(file, length, offset + RECORD_HEAD.size)) != checksum:
            boundary = (end - 1) // _SECTOR_BYTES * _SECTOR_BYTES
            if end == size and boundary > offset and is_zero(file, boundary, end):
                return None  # as above
            raise CorruptLogError(f"block {height} at byte {offset} fails its checksum")
        return end

    def _cut(self, file: int, offset: int, *, last: bool, noted: int) -> None:
        height = len(self._offsets)
        if not last or height <= noted:
            raise CorruptLogError(f"block {height} at byte {offset} is cut short, and it rested here")
        if not self._read_only:
            os.ftruncate(file, offset)
            os.fsync(file)

    def _add_segment(self, height: int) -> None:
        path = self._directory / f"{height:020d}.log"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.pwrite(file, FILE_HEAD.pack(MAGIC, height), 0)
            os.fsync(file)
            for parent in (self._directory, self._directory.parent):
                directory = os.open(parent, os.O_RDONLY)
                os.fsync(directory)
                os.close(directory)
        except OSError:
            os.close(file)
            raise
        self._files.append(file)
        self._starts.append(height)
        self._size = self._durable_size = FILE_HEAD.size

    # Writing

    def append(self, height: int, *parts: bytes) -> None:
        """Write a record, whose payload comes in parts, behind the last one; it rests after `sync`. Raises DiskFullError."""
        length = sum(map(len, parts))
        assert height == len(self._offsets), "blocks are appended in order"
        assert length <= RECORD_BYTES_MAX, "a block is far smaller"
        if len(parts) > PARTS_MAX:
            parts = (b"".join(parts),)
        self._crash_point("log.append.before")
        try:
            if self._size >= self._segment_bytes and height == self._durable + 1:
                self._note.sync()
                self._add_segment(height)
            head, half = pack_head(height, parts), len(parts) // 2
            at = self._write((head, *parts[:half]), self._size)
            self._crash_point("log.append.partial")
            self._write(parts[half:], at)
        except OSError as error:
            self._forget(height)
            raise self._full(error, height) from error
        self._offsets.append(self._size)
        self._size += len(head) + length
        self._crash_point("log.append.after")

    def _write(self, parts: Sequence[bytes], offset: int) -> int:
        """Write parts one behind the other from an offset on; return where they end."""
        end = offset + sum(map(len, parts))
        at = offset + os.pwritev(self._files[-1], parts, offset)
        if at < end:  # the disk took a part of it
            left = memoryview(b"".join(parts))[at - end :]
            while left:
                written = os.pwrite(self._files[-1], left, at)
                left, at = left[written:], at + written
        return end

    def sync(self) -> None:
        """Make everything appended rest. Raises DiskFullError; then nothing of it stays."""
        height = len(self._offsets) - 1
        self._crash_point("log.sync.before")
        try:
            os.fdatasync(self._files[-1])
        except OSError as error:
            self._forget(height)
            raise self._full(error, height) from error
        self._crash_point("log.sync.after")
        if self._size - self._durable_size >= UNCACHED_BYTES:
            os.posix_fadvise(
                self._files[-1], self._durable_size, self._size - self._durable_size, os.POSIX_FADV_DONTNEED
            )
        self._durable, self._durable_size = height, self._size
        try:
            self._note.write(self._durable)
        except OSError as error:  # the note is a lower bound; the next one makes up for it
            if error.errno not in FULL:
                raise
        self._crash_point("log.note.after")

    def _forget(self, height: int) -> None:
        """Take back what does not rest."""
        del self._offsets[self._durable + 1 :]
        self._size = self._durable_size
        if self._starts[-1] > self._durable + 1:  # pragma: no cover  # a segment begins only at the next height
            raise CorruptLogError(f"block {height} began a segment out of turn")
        os.ftruncate(self._files[-1], self._size)

    def _full(self, error: OSError, height: int) -> Exception:
        if error.errno in FULL:
            return DiskFullError(
                f"no room for block {height} in {self._directory}: free some space, the node goes on by itself"
            )
        return error

    # Reading

    @property
    def durable_height(self) -> int:
        """The height of the last block that rests, -1 where there is none."""
        return self._durable

    @property
    def size(self) -> int:
        """How many bytes the segments take on disk."""
        return sum(os.fstat(file).st_size for file in self._files if file >= 0)

    def read(self, height: int) -> bytes:
        """Return the record of a block, from the archive if need be.

        Raises CorruptLogError when it fails its checksum, ArchivedError when its file is away, IndexError when there is none.
        """
        if not 0 <= height < len(self._offsets):
            raise IndexError(height)
        with self._lock:
            position = self._segment_of(height)
            offset, file, start = self._offsets[height], self._files[position], self._starts[position]
            if file < 0:
                away = f"block {height} is archived, and its file is not in {self._directory / ARCHIVE}"
                raise ArchivedError(f"{away}: bring it back, or ask another node")
            head = os.pread(file, RECORD_HEAD.size, offset)
            payload, checksum = b"", -1
            if len(head) == RECORD_HEAD.size and head_is_whole(head):
                written, length, checksum, _ = RECORD_HEAD.unpack(head)
                payload = os.pread(file, length, offset + RECORD_HEAD.size)
                checksum = checksum if written == height and len(payload) == length else -1
        if crc32(payload) != checksum:
            raise CorruptLogError(f"block {height} at byte {offset} of {start:020d}.log fails its checksum")
        return payload

    def holds(self, height: int) -> bool:
        """Whether the block at a height rests here, in the archive or not, and its file is not away."""
        with self._lock:
            return 0 <= height <= self._durable and self._files[self._segment_of(height)] >= 0

    @property
    def held_from(self) -> int:
        """The height from which on no block is away."""
        with self._lock:
            away = max((at for at, file in enumerate(self._files) if file < 0), default=-1)
            return self._starts[away + 1]

    def _segment_of(self, height: int) -> int:
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            if self._starts[middle] <= height:
                low = middle
            else:
                high = middle
        return low

    # The archive

    @property
    def archived_height(self) -> int:
        """The height up to which blocks are archived, -1 where none is."""
        return self._archived

    def begin_segment(self, above: int) -> None:
        """Begin a segment if that of a block is still written to. Nobody may be appending. Raises OSError."""
        if self._starts[-1] <= above:
            self._note.sync()
            self._add_segment(len(self._offsets))

    def archive(self, height: int) -> None:
        """Move the blocks up to a height, which `begin_segment` set apart, into the archive.

        Appending may go on meanwhile. Raises ArchivedError, OSError; what was moved before stays moved.
        """
        while self._archived < height:
            position = self._segment_of(self._archived + 1)
            if position >= SEGMENTS_MAX:
                raise ArchivedError(f"the archive has {position} files: restore some of it, and archive more at once")
            start, after = self._starts[position : position + 2]
            source = self._directory / f"{start:020d}.log"
            cut = min(height + 1, after)
            size = os.fstat(self._files[position]).st_size
            end = self._offsets[cut] if cut < after else size
            parts = [Part(f"{ARCHIVE}/{source.name}", b"", 0, end)]
            if cut < after:
                parts.append(Part(f"{cut:020d}.log", FILE_HEAD.pack(MAGIC, cut), end, size))
            move(self._directory, source, parts, cut - 1)
            self._exchange(position, parts, cut, after)

    def restore(self, height: int) -> None:
        """Move the newest segment of the archive back, which must hold a block. Raises ArchivedError, OSError."""
        if height > self._archived:
            return
        position = self._segment_of(self._archived)
        start = self._starts[position]
        if height < start:
            raise ArchivedError(f"block {height} comes back after those above it: restore block {self._archived} first")
        if self._files[position] < 0:
            raise ArchivedError(
                f"block {self._archived} is archived, and its file is not in {self._directory / ARCHIVE}"
            )
        source = self._directory / ARCHIVE / f"{start:020d}.log"
        part = Part(source.name, b"", 0, os.fstat(self._files[position]).st_size)
        move(self._directory, source, [part], start - 1)
        self._exchange(position, [part], start, start)

    def _exchange(self, position: int, parts: list[Part], cut: int, after: int) -> None:
        files = [os.open(self._directory / part.name, os.O_RDWR) for part in parts]
        with self._lock:
            os.close(self._files[position])
            self._files[position : position + 1] = files
            if len(files) > 1:
                self._starts.insert(position + 1, cut)
                for height in range(cut, after):
                    self._offsets[height] -= parts[1].start - FILE_HEAD.size
            self._archived = cut - 1

    def close(self) -> None:
        """Close all files."""
        if not self._read_only:
            self._note.sync()
        self._note.close()
        for file in self._files:
            if file >= 0:
                os.close(file)
        self._files.clear()
