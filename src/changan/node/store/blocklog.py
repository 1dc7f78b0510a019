"""The block log: the truth of a chain. Records are appended, checksummed, made to rest with one sync, and never changed.

A segment file is named by its first height and starts with a header. A record is its length, its checksum (CRC-32 over
height, length and payload), its height and its payload. Beside the segments the file `durable` notes, in two slots that are
written in turn, a height that is known to rest: what is missing above it was never acknowledged and is cut on opening; what
is missing or wrong at or below it, or is wrong in full length, is named and refused.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from array import array
from typing import TYPE_CHECKING

from changan.errors import ChanganError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEGMENT_BYTES = 256 * 1024 * 1024
RECORD_BYTES_MAX = 1 << 30
_MAGIC = b"CHGNLOG\x01"
_FILE_HEAD = struct.Struct("<8sQ")
_RECORD_HEAD = struct.Struct("<IIQ")  # payload length, checksum, height
_NOTE = struct.Struct("<QQI")  # sequence, height + 1, checksum
_NOTE_SLOT_BYTES = 32
_FULL = (errno.ENOSPC, errno.EDQUOT)


class CorruptLogError(ChanganError):
    """A log that is damaged where nothing may be cut; the message names the height."""


class DiskFullError(ChanganError):
    """The disk took no more; nothing of the record stays, and it can be appended again when there is room."""


def _checksum(height: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<QI", height, len(payload))))


class BlockLog:
    """The log in a directory. One thread appends; any thread may read what rests."""

    def __init__(
        self,
        directory: Path,
        *,
        crash_point: Callable[[str], None] = lambda _: None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Open or create the log. Raises CorruptLogError."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._crash_point = crash_point
        self._segment_bytes = segment_bytes
        self._files: list[int] = []
        self._starts: list[int] = []  # first height of each segment
        self._offsets = array("Q")  # of each record in its segment, by height
        self._size = 0  # of the last segment, with what is not synced yet
        self._durable = -1
        self._durable_size = 0
        self._note_turn = 0
        self._note_file = os.open(directory / "durable", os.O_RDWR | os.O_CREAT, 0o600)
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
            self._files.append(os.open(path, os.O_RDWR))
            self._scan(position, last=position == len(names) - 1, noted=noted)
        if not names:
            if noted >= 0:
                raise CorruptLogError(f"block {noted} rested here, and the log is empty")
            self._add_segment(0)
        self._durable = len(self._offsets) - 1
        self._durable_size = self._size
        if self._durable < noted:
            raise CorruptLogError(f"the log ends at block {self._durable}, and block {noted} rested here")
        os.fdatasync(self._files[-1])

    def _scan(self, position: int, *, last: bool, noted: int) -> None:
        """Read one segment's records; cut a torn tail of the last one."""
        file = self._files[position]
        size = os.fstat(file).st_size
        head = os.pread(file, _FILE_HEAD.size, 0)
        height = len(self._offsets)
        if head != _FILE_HEAD.pack(_MAGIC, height):
            torn = last and noted < height and (len(head) < _FILE_HEAD.size or not any(head))
            if not torn:
                raise CorruptLogError(f"the segment that should start at block {height} has a damaged head")
            os.ftruncate(file, 0)
            os.pwrite(file, _FILE_HEAD.pack(_MAGIC, height), 0)
            size = _FILE_HEAD.size
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
        length, checksum, written = _RECORD_HEAD.unpack(head)
        end: int = offset + _RECORD_HEAD.size + length
        if not any(head):
            if _is_zero(file, offset, size):
                return None
            raise CorruptLogError(f"block {height} at byte {offset} has a damaged head")
        if end > size:
            return None
        if written != height:
            raise CorruptLogError(f"block {height} at byte {offset} has a damaged head")
        if check and _checksum(height, os.pread(file, length, offset + _RECORD_HEAD.size)) != checksum:
            if _is_zero(file, end - min(length, 4096), size) and end == size and length:
                return None  # the file grew, and the last pages of the record were never written
            raise CorruptLogError(f"block {height} at byte {offset} fails its checksum")
        return end

    def _cut(self, file: int, offset: int, *, last: bool, noted: int) -> None:
        height = len(self._offsets)
        if not last or height <= noted:
            raise CorruptLogError(f"block {height} at byte {offset} is cut short, and it rested here")
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
        os.pwrite(file, _FILE_HEAD.pack(_MAGIC, height), 0)
        os.fsync(file)
        directory = os.open(self._directory, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        self._files.append(file)
        self._starts.append(height)
        self._size = self._durable_size = _FILE_HEAD.size

    # Writing

    def append(self, height: int, payload: bytes) -> None:
        """Write a record behind the last one; it rests after `sync`. Raises DiskFullError."""
        assert height == len(self._offsets), "blocks are appended in order"
        if len(payload) > RECORD_BYTES_MAX:
            raise DiskFullError(f"block {height} is {len(payload)} bytes, a record has at most {RECORD_BYTES_MAX}")
        self._crash_point("log.append.before")
        try:
            if self._size >= self._segment_bytes and height == self._durable + 1:
                os.fsync(self._note_file)
                self._add_segment(height)
            record = _RECORD_HEAD.pack(len(payload), _checksum(height, payload), height) + payload
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
            if error.errno not in _FULL:
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
        if error.errno in _FULL:
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
        length, checksum, written = _RECORD_HEAD.unpack(os.pread(file, _RECORD_HEAD.size, offset))
        payload = os.pread(file, length, offset + _RECORD_HEAD.size)
        if written != height or len(payload) != length or _checksum(height, payload) != checksum:
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
