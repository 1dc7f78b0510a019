"""Checkpoints: a state written beside the log, so that a start replays only what came after. A cache, never the truth."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

import structlog

from changan.errors import MalformedError
from changan.node.store.checksum import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from io import BufferedReader
    from pathlib import Path

KEPT = 2
_MAGIC = b"CHGNCKP\x02"
_CHUNK_BYTES = 1 << 20
_CHUNK_BYTES_MAX = 1 << 31
_HEAD = struct.Struct("<cII")  # kind, length, checksum
_NAME, _ITEMS, _END = b"N", b"I", b"E"
_LENGTH = struct.Struct("<I")

_log = structlog.get_logger()


def write_checkpoint(
    directory: Path,
    height: int,
    sections: Sequence[tuple[str, Iterable[bytes]]],
    crash_point: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a checkpoint whole or not at all, and delete all but the newest two. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{height:020d}.ckpt"
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(_MAGIC)
            for name, items in sections:
                _write(file.write, _NAME, name.encode())
                _write_items(file.write, items)
                crash_point("checkpoint.partial")
            _write(file.write, _END, str(len(sections)).encode())
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # only a start reads it
        crash_point("checkpoint.before_rename")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    for old in [*sorted(directory.glob("*.ckpt"))[:-KEPT], *directory.glob("*.new")]:
        old.unlink()


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
    places: dict[str, int]  # where each section's chunks begin

    def section(self, name: str) -> Iterator[bytes]:
        """Return the items of a section. Raises MalformedError where there is no such section."""
        if name not in self.places:
            raise MalformedError(f"the checkpoint has no section {name!r}")
        return self._items(self.places[name])

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
    places: dict[str, int] = {}
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise MalformedError("this is no checkpoint of this release")
        while True:
            kind, body = _read(file)
            if kind == _NAME:
                places[body.decode("utf-8", "replace")] = file.tell()
            elif kind == _END:
                break
        if body != str(len(places)).encode() or file.read(1):
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
