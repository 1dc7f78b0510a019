"""The block log: the truth of a chain. Records are appended, checksummed, made to rest with one sync, and never changed.

A segment file is named by its first height and starts with a header. A record is its height, its length, the CRC-32 of
its payload, the CRC-32 of these three, and the payload. Beside the segments the file `durable` notes, in two slots that are
written in turn, a height that is known to rest: what is missing above it was never acknowledged and is cut on opening; what
is missing or wrong at or below it, or is wrong in full length, is named and refused.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from typing import TYPE_CHECKING

from changan.errors import ChanganError
from changan.node.store.full import FULL, DiskFullError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEGMENT_BYTES = 256 * 1024 * 1024
RECORD_BYTES_MAX = 1 << 30
_MAGIC = b"CHGNLOG\x01"
_FILE_HEAD = struct.Struct("<8sQ")
_RECORD_HEAD = struct.Struct("<QIII")  # height, payload length, checksum of the payload, checksum of these three
_SECTOR_BYTES = 512
_NOTE = struct.Struct("<QQI")  # sequence, height + 1, checksum
_NOTE_SLOT_BYTES = 32


class CorruptLogError(ChanganError):
    """A log that is damaged where nothing may be cut; the message names the height."""


def _pack_head(height: int, payload: bytes) -> bytes:
    head = struct.pack("<QII", height, len(payload), zlib.crc32(payload))
    return head + struct.pack("<I", zlib.crc32(head))


def _head_is_whole(head: bytes) -> bool:
    return zlib.crc32(head[:-4]).to_bytes(4, "little") == head[-4:]


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
        self._files: list[int] = []
        self._starts: list[int] = []  # first height of each segment
        self._offsets = array("Q")  # of each record in its segment, by height
        self._size = 0  # of the last segment, with what is not synced yet
        self._durable = -1
        self._durable_size = 0
        self._note_turn = 0
        try:
            self._note_file = os.open(directory / "durable", self._flags, 0o600)
        except FileNotFoundError as error:
            raise CorruptLogError(f"{directory} holds no block log") from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    # Opening

    def _open(self) -> None:
        noted = self._read_note()
        names = sorted(self._directory.glob("*.log"))
        for position, path in enumerate(names):
            self._files.append(os.open(path, self._flags))
            self._scan(position, last=position == len(names) - 1, noted=noted)
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

    def _scan(self, position: int, *, last: bool, noted: int) -> None:
        """Read one segment's records; cut a torn tail of the last one."""
        file = self._files[position]
        size = os.fstat(file).st_size
        head = os.pread(file, _FILE_HEAD.size, 0)
        height = len(self._offsets)
        if head != _FILE_HEAD.pack(_MAGIC, height):
            torn = last and noted < height and (size < _FILE_HEAD.size or _is_zero(file, 0, size))
            if not torn:
                raise CorruptLogError(f"the segment that should start at block {height} has a damaged head")
            size = 0
            if not self._read_only:
                os.ftruncate(file, 0)
                size = os.pwrite(file, _FILE_HEAD.pack(_MAGIC, height), 0)
        self._starts.append(height)
        offset = _FILE_HEAD.size
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
        head = os.pread(file, _RECORD_HEAD.size, offset)
        if len(head) < _RECORD_HEAD.size:
            return None
        written, length, checksum, _ = _RECORD_HEAD.unpack(head)
        end: int = offset + _RECORD_HEAD.size + length
        if not _head_is_whole(head) or written != height:
            boundary = -(-offset // _SECTOR_BYTES) * _SECTOR_BYTES
            written_to = boundary if any(head) and boundary < offset + _RECORD_HEAD.size else offset
            if _is_zero(file, written_to, size):
                return None  # the file grew, and its last sectors were never written
            raise CorruptLogError(f"block {height} at byte {offset} has a damaged head")
        if end > size:
            return None
        if check and zlib.crc32(os.pread(file, length, offset + _RECORD_HEAD.size)) != checksum:
            boundary = (end - 1) // _SECTOR_BYTES * _SECTOR_BYTES
            if end == size and boundary > offset and _is_zero(file, boundary, end):
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

    def _read_note(self) -> int:
        best = (-1, -1)
        for slot in range(2):
            data = os.pread(self._note_file, _NOTE.size, slot * _NOTE_SLOT_BYTES)
            if len(data) == _NOTE.size:
                turn, above, checksum = _NOTE.unpack(data)
                if zlib.crc32(data[:16]) == checksum:
                    best = max(best, (turn, above - 1))
        self._note_turn = best[0] + 1
        return best[1]

    def _write_note(self) -> None:
        data = struct.pack("<QQ", self._note_turn, self._durable + 1)
        os.pwrite(self._note_file, data + struct.pack("<I", zlib.crc32(data)), self._note_turn % 2 * _NOTE_SLOT_BYTES)
        self._note_turn += 1

    def _add_segment(self, height: int) -> None:
        path = self._directory / f"{height:020d}.log"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.pwrite(file, _FILE_HEAD.pack(_MAGIC, height), 0)
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
        self._size = self._durable_size = _FILE_HEAD.size

    # Writing

    def append(self, height: int, payload: bytes) -> None:
        """Write a record behind the last one; it rests after `sync`. Raises DiskFullError."""
        assert height == len(self._offsets), "blocks are appended in order"
        assert len(payload) <= RECORD_BYTES_MAX, "a block is far smaller"
        self._crash_point("log.append.before")
        try:
            if self._size >= self._segment_bytes and height == self._durable + 1:
                os.fsync(self._note_file)
                self._add_segment(height)
            record = _pack_head(height, payload) + payload
            half = len(record) // 2
            self._write(record[:half], self._size)
            self._crash_point("log.append.partial")
            self._write(record[half:], self._size + half)
        except OSError as error:
            self._forget(height)
            raise self._full(error, height) from error
        self._offsets.append(self._size)
        self._size += len(record)
        self._crash_point("log.append.after")

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._files[-1], view, offset)
            view, offset = view[written:], offset + written

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
        self._durable, self._durable_size = height, self._size
        try:
            self._write_note()
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
        return sum(os.fstat(file).st_size for file in self._files)

    def read(self, height: int) -> bytes:
        """Return the record of a block. Raises CorruptLogError when it fails its checksum, IndexError when there is none."""
        if not 0 <= height < len(self._offsets):
            raise IndexError(height)
        position = self._segment_of(height)
        offset = self._offsets[height]
        file = self._files[position]
        head = os.pread(file, _RECORD_HEAD.size, offset)
        payload, checksum = b"", -1
        if len(head) == _RECORD_HEAD.size and _head_is_whole(head):
            written, length, checksum, _ = _RECORD_HEAD.unpack(head)
            payload = os.pread(file, length, offset + _RECORD_HEAD.size)
            checksum = checksum if written == height and len(payload) == length else -1
        if zlib.crc32(payload) != checksum:
            raise CorruptLogError(
                f"block {height} at byte {offset} of {self._starts[position]:020d}.log fails its checksum"
            )
        return payload

    def _segment_of(self, height: int) -> int:
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            if self._starts[middle] <= height:
                low = middle
            else:
                high = middle
        return low

    def close(self) -> None:
        """Close all files."""
        if self._note_file >= 0:
            if not self._read_only:
                os.fsync(self._note_file)
            os.close(self._note_file)
            self._note_file = -1
        for file in self._files:
            os.close(file)
        self._files.clear()


def _is_zero(file: int, start: int, end: int) -> bool:
    while start < end:
        data = os.pread(file, min(1 << 20, end - start), start)
        if any(data) or not data:
            return False
        start += len(data)
    return True
