"""Checkpoints: a state written beside the log, so that a start replays only what came after. A cache, never the truth."""

from __future__ import annotations

import contextlib
import os
import struct
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import structlog

from changan.errors import MalformedError
from changan.node.metrics import stage
from changan.node.store.checksum import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import BufferedReader
    from pathlib import Path

KEPT = 2
_MAGIC = b"CHGNCKP\x02"
_CHUNK_BYTES = 1 << 20
_SYNC_BYTES = 4 << 20
"""So much is brought to rest at once: blocks, which go to the same disk meanwhile, wait behind no more."""
_CHUNK_BYTES_MAX = 1 << 31
_HEAD = struct.Struct("<cII")  # kind, length, checksum
_NAME, _ITEMS, _END = b"N", b"I", b"E"
_LENGTH = struct.Struct("<I")

_log = structlog.get_logger()


class CheckpointFile:
    """A checkpoint that is being written. It is one once it is finished; till then, and if it cannot be, there is nothing.

    One thread at a time may use it.
    """

    def __init__(self, directory: Path, crash_point: Callable[[str], None] = lambda _: None) -> None:
        """Begin one in a folder, which is made where it lacks. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._crash_point = crash_point
        self._path = directory / "unfinished.new"
        self._file = self._path.open("wb")
        self._file.write(_MAGIC)
        self._parts = self._unsynced = 0

    @stage("checkpoint")
    def write(self, sections: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        """Write sections, or parts of them: a section's items are those of all its parts. Raises OSError."""
        for name, items in sections:
            _write(self._put, _NAME, name.encode())
            _write_items(self._put, items)
            self._crash_point("checkpoint.partial")
            self._parts += 1

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._unsynced += len(data)
        if self._unsynced >= _SYNC_BYTES:
            self._sync()

    def _sync(self) -> None:
        self._unsynced = 0
        self._file.flush()
        os.fsync(self._file.fileno())
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # only a start reads it

    @stage("checkpoint")
    def finish(self, height: int) -> None:
        """Make it rest as the checkpoint of a height, and delete all but the newest two. Raises OSError."""
        _write(self._put, _END, str(self._parts).encode())
        self._sync()
        self._file.close()
        self._crash_point("checkpoint.before_rename")
        self._path.replace(self._directory / f"{height:020d}.ckpt")
        descriptor = os.open(self._directory, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        for old in [*sorted(self._directory.glob("*.ckpt"))[:-KEPT], *self._directory.glob("*.new")]:
            old.unlink()

    def discard(self) -> None:
        """Let nothing of it stay, unless it was finished."""
        with contextlib.suppress(OSError):  # what is buffered finds no room
            self._file.close()
        self._path.unlink(missing_ok=True)


def write_checkpoint(
    directory: Path,
    height: int,
    sections: Iterable[tuple[str, Iterable[bytes]]],
    crash_point: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a checkpoint whole or not at all, and delete all but the newest two. Raises OSError."""
    file = CheckpointFile(directory, crash_point)
    try:
        file.write(sections)
        file.finish(height)
    finally:
        file.discard()


def _write_items(write: Callable[[bytes], object], items: Iterable[bytes]) -> None:
    chunk: list[bytes] = []
    size = 0
    for item in items:
        chunk += [_LENGTH.pack(len(item)), item]
        size += len(item) + _LENGTH.size
        if size >= _CHUNK_BYTES:
            _write(write, _ITEMS, b"".join(chunk))
            chunk, size = [], 0
    if chunk:
        _write(write, _ITEMS, b"".join(chunk))


def _write(write: Callable[[bytes], object], kind: bytes, body: bytes) -> None:
    write(_HEAD.pack(kind, len(body), crc32(body, crc32(kind))) + body)


class Checkpoint(NamedTuple):
    """A checkpoint that was read through once and is whole."""

    path: Path
    height: int
    places: dict[str, list[int]]  # where the chunks of each section's parts begin

    def section(self, name: str) -> Iterator[bytes]:
        """Return the items of a section. Raises MalformedError where there is no such section."""
        if name not in self.places:
            raise MalformedError(f"the checkpoint has no section {name!r}")
        return chain.from_iterable(map(self._items, self.places[name]))

    def _items(self, place: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(place)
            while True:
                kind, body = _read(file)
                if kind != _ITEMS:
                    return
                at = 0
                while at < len(body):
                    (length,) = _LENGTH.unpack_from(body, at)
                    at += _LENGTH.size
                    yield body[at : at + length]
                    at += length


def newest_checkpoint(directory: Path) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, or None."""
    for path in sorted(directory.glob("[0-9]*.ckpt"), reverse=True):
        try:
            return open_checkpoint(path, int(path.stem))
        except MalformedError as error:
            _log.warning("checkpoint.skipped", path=path.name, reason=str(error))
    return None


def open_checkpoint(path: Path, height: int) -> Checkpoint:
    """Return the checkpoint of a height that a file holds. Raises MalformedError where it is not whole, OSError."""
    places: dict[str, list[int]] = {}
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise MalformedError("this is no checkpoint of this release")
        while True:
            kind, body = _read(file)
            if kind == _NAME:
                places.setdefault(body.decode("utf-8", "replace"), []).append(file.tell())
            elif kind == _END:
                break
        if body != str(sum(map(len, places.values()))).encode() or file.read(1):
            raise MalformedError("the checkpoint ends early or late")
    return Checkpoint(path, height, places)


def _read(file: BufferedReader) -> tuple[bytes, bytes]:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise MalformedError("the checkpoint is cut short")
    kind, length, checksum = _HEAD.unpack(head)
    if length > _CHUNK_BYTES_MAX:
        raise MalformedError("the checkpoint is damaged")
    body = file.read(length)
    if len(body) < length or crc32(body, crc32(kind)) != checksum:
        raise MalformedError("the checkpoint is damaged")
    return kind, body
