"""Segments of the block log that move into the archive beside it, and back; a crash leaves either what was or what was to be.

A move writes copies under other names, makes them rest, and notes in the file `moving` which of them take whose place. From
then on it is carried out, on the next opening if need be. The file `archived` says up to which height blocks were moved; the
archive may be a link to cheaper storage, and its files may be away as long as nobody asks for what is in them.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from changan.errors import ChanganError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ARCHIVE = "archive"
SEGMENTS_MAX = 1000
_PLAN, _MARK = "moving", "archived"
_CHUNK_BYTES = 1 << 20


class ArchivedError(ChanganError):
    """A block that was archived, or that cannot be archived or restored, in words."""


class Part(NamedTuple):
    """A new segment: its place below the log's directory, its head, and the bytes of the old one that follow."""

    name: str
    head: bytes
    start: int
    end: int


def is_moving(directory: Path) -> bool:
    """Whether a move was cut short, or is under way."""
    return (directory / _PLAN).exists()


def archived_height(directory: Path) -> int:
    """Return the height up to which blocks were archived, -1 where none was. Raises ValueError."""
    try:
        return int((directory / _MARK).read_text(encoding="ascii"))
    except FileNotFoundError:
        return -1


def finish(directory: Path) -> None:
    """Carry out a move that a crash cut short, and clear away one that had not got so far."""
    with contextlib.suppress(FileNotFoundError):
        _carry_out(directory, json.loads((directory / _PLAN).read_text(encoding="utf-8")))
    for path in (*directory.glob("*.tmp"), *(directory / ARCHIVE).glob("*.tmp")):
        path.unlink()


def move(directory: Path, source: Path, parts: Sequence[Part], archived: int) -> None:
    """Put new segments in the place of one. Raises OSError; then nothing was moved."""
    (directory / ARCHIVE).mkdir(exist_ok=True)
    into: dict[str, str] = {}
    try:
        for part in parts:
            into[f"{part.name}.tmp"] = part.name
            _copy(source, directory / f"{part.name}.tmp", part)
        into[f"{_MARK}.tmp"] = _MARK
        write_whole(directory / f"{_MARK}.tmp", f"{archived}\n".encode())
        plan = {"into": into, "gone": str(source.relative_to(directory))}
        write_whole(directory / f"{_PLAN}.tmp", json.dumps(plan).encode())
        _sync_directories(directory)
    except OSError:
        for name in (*into, f"{_PLAN}.tmp"):
            (directory / name).unlink(missing_ok=True)
        raise
    (directory / f"{_PLAN}.tmp").replace(directory / _PLAN)
    _carry_out(directory, plan)


def _carry_out(directory: Path, plan: Mapping[str, object]) -> None:
    _sync_directories(directory)
    into = plan["into"]
    assert isinstance(into, dict)
    for temporary, name in into.items():
        with contextlib.suppress(FileNotFoundError):  # it stands in its place already
            (directory / temporary).replace(directory / name)
    _sync_directories(directory)
    (directory / str(plan["gone"])).unlink(missing_ok=True)
    _sync_directories(directory)
    (directory / _PLAN).unlink()
    _sync_directories(directory)


def _copy(source: Path, target: Path, part: Part) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        os.fchmod(new.fileno(), 0o600)
        new.write(part.head)
        old.seek(part.start)
        left = part.end - part.start
        while left:
            data = old.read(min(left, _CHUNK_BYTES))
            assert data, "the segment is as long as its records"
            new.write(data)
            left -= len(data)
        new.flush()
        os.fsync(new.fileno())


def mark_archived(directory: Path, height: int) -> None:
    """Note up to which height the blocks of a log that is being made are archived."""
    write_whole(directory / _MARK, f"{height}\n".encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file and make it rest; its name rests with its folder."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directories(directory: Path) -> None:
    for path in (directory, directory / ARCHIVE):
        if path.is_dir():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.close(file)
