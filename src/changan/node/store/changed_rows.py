"""Which blocks changed which rows by bundles: 12 bytes a row and bundle, in files that are made once and never changed.

The newest part is in memory. A file says what the blocks from one height to another changed: a magic number, the CRC-32 of
the table that follows, that table with the end (in bytes) and the CRC-32 of each of 1,024 buckets, and the buckets. An entry
is a row's fingerprint (8 bytes) and how much the block lies above the first one (4), big-endian, in the order of the blocks.
Everything can be made again from the log.
"""

from __future__ import annotations

import os
import struct
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from changan.errors import ChanganError
from changan.node.store.archive import write_whole
from changan.node.store.checksum import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAGIC = b"CHGNROW\x01"
BUCKETS = 1024
FINGERPRINT_BYTES = 8
ROWS_A_FILE = 1 << 20
BLOCKS_A_FILE = 1 << 16
"""A file is made once it holds so many rows or spans so many blocks: so much is read of the log again after a start."""
_OFFSET_BYTES = 4
_ENTRY_BYTES = FINGERPRINT_BYTES + _OFFSET_BYTES
_BUCKET = struct.Struct(">II")  # end, checksum
_TABLE_BYTES = BUCKETS * _BUCKET.size
_HEAD_BYTES = len(MAGIC) + 4 + _TABLE_BYTES


class DamagedRowsError(ChanganError):
    """A file that is not as it was written: `mend` throws it away, and what followed it too."""


class _File(NamedTuple):
    path: Path
    first: int
    last: int


class ChangedRows:
    """The changed rows of one chain. One thread adds, any may look."""

    def __init__(self, directory: Path, *, rows_a_file: int = ROWS_A_FILE, blocks_a_file: int = BLOCKS_A_FILE) -> None:
        """Open or create the folder. Files that follow a gap, and those that were never finished, are thrown away."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._rows_a_file, self._blocks_a_file = rows_a_file, blocks_a_file
        self._lock = Lock()
        self._damaged: int | None = None  # where the first file begins that was found damaged
        self._files: list[_File] = []
        for path in sorted(directory.iterdir()):
            found = _named(path)
            if found is None or (self._files and found.first != self._files[-1].last + 1):
                path.unlink()
            else:
                self._files.append(found)
        self._begin_part(self._files[-1].last + 1 if self._files else 0)

    def _begin_part(self, height: int) -> None:
        self._part = [bytearray() for _ in range(BUCKETS)]
        self._part_first, self._part_rows, self._covered = height, 0, height - 1

    @property
    def covered(self) -> int:
        """The height up to which every block is covered, -1 where none is."""
        return self._covered

    @property
    def known_from(self) -> int:
        """The height from which on blocks are covered: above 0 where older ones cannot be known."""
        return self._files[0].first if self._files else self._part_first

    def begin(self, height: int) -> None:
        """Forget everything, and begin with the block at a height."""
        self.forget_from(0)
        with self._lock:
            self._begin_part(height)

    def forget_from(self, height: int) -> None:
        """Forget the blocks from a height on, and some of those before it."""
        with self._lock:
            while self._files and self._files[-1].last >= height:
                self._files.pop().path.unlink(missing_ok=True)
            self._begin_part(self._files[-1].last + 1 if self._files else 0)

    def mend(self) -> None:
        """Forget what was found damaged."""
        if self._damaged is not None:
            self.forget_from(self._damaged)
            self._damaged = None

    def add(self, height: int, fingerprints: Iterable[bytes]) -> None:
        """Note rows that a bundle of the block at a height changed; they are found once that height is covered."""
        offset = (height - self._part_first).to_bytes(_OFFSET_BYTES, "big")
        part, count = self._part, 0
        for count, fingerprint in enumerate(fingerprints, 1):  # noqa: B007  # the last count counts
            part[bucket_of(fingerprint)] += fingerprint + offset
        self._part_rows += count

    def cover(self, height: int) -> None:
        """Say that everything up to a height was noted. Raises OSError where the disk takes no file; then it is not covered."""
        if self._part_rows >= self._rows_a_file or height - self._part_first >= self._blocks_a_file:
            made = self._write(height)
            with self._lock:
                self._files.append(made)
                self._begin_part(height + 1)
        else:
            self._covered = max(self._covered, height)

    def _write(self, last: int) -> _File:
        table, end = bytearray(), 0
        for bucket in self._part:
            end += len(bucket)
            table += _BUCKET.pack(end, crc32(bucket))
        made = _File(self._directory / f"{self._part_first:020d}-{last:020d}.rows", self._part_first, last)
        unfinished = made.path.with_suffix(".part")
        write_whole(unfinished, b"".join([MAGIC, crc32(table).to_bytes(4, "big"), table, *self._part]))
        unfinished.rename(made.path)
        folder = os.open(self._directory, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return made

    def find(self, fingerprint: bytes) -> tuple[int, Iterator[int]]:
        """Return the height up to which blocks are covered, and which of them changed a row of a fingerprint, newest first.

        What is returned raises DamagedRowsError, OSError while it is gone through.
        """
        number = bucket_of(fingerprint)
        with self._lock:
            files, first, covered = list(self._files), self._part_first, self._covered
            part = bytes(self._part[number])
        found = self._heights(fingerprint, number, part, first, files)
        return covered, (height for height, _ in groupby(found) if height <= covered)  # each once, however many bundles

    def _heights(self, fingerprint: bytes, number: int, part: bytes, first: int, files: list[_File]) -> Iterator[int]:
        yield from (first + offset for offset in _offsets(part, fingerprint))
        for file in reversed(files):
            found = _read_bucket(file.path, number)
            if found is None:
                self._damaged = min(file.first, file.first if self._damaged is None else self._damaged)
                raise DamagedRowsError(f"{file.path.name} is not as it was written")
            yield from (file.first + offset for offset in _offsets(found, fingerprint))


def bucket_of(fingerprint: bytes) -> int:
    """Return in which bucket a fingerprint is."""
    return int.from_bytes(fingerprint[:2], "big") % BUCKETS


def _named(path: Path) -> _File | None:
    first, _, last = path.stem.partition("-")
    if path.suffix != ".rows" or not first.isdigit() or not last.isdigit() or int(first) > int(last):
        return None
    return _File(path, int(first), int(last))


def _read_bucket(path: Path, number: int) -> bytes | None:
    """Return a bucket of a file, None where it is not as it was written. Raises OSError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        head = file.read(_HEAD_BYTES)
        table = head[-_TABLE_BYTES:]
        if len(head) < _HEAD_BYTES or head[:-_TABLE_BYTES] != MAGIC + crc32(table).to_bytes(4, "big"):
            return None
        start = _BUCKET.unpack_from(table, _BUCKET.size * (number - 1))[0] if number else 0
        end, checksum = _BUCKET.unpack_from(table, _BUCKET.size * number)
        file.seek(_HEAD_BYTES + start)
        data = file.read(end - start)
    return data if len(data) == end - start and crc32(data) == checksum else None


def _offsets(bucket: bytes, fingerprint: bytes) -> Iterator[int]:
    end = len(bucket)
    while (at := bucket.rfind(fingerprint, 0, end)) >= 0:
        end = at + FINGERPRINT_BYTES - 1
        if at % _ENTRY_BYTES == 0:
            yield int.from_bytes(bucket[at + FINGERPRINT_BYTES : at + _ENTRY_BYTES], "big")
