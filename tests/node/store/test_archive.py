"""Blocks that move into the archive and back: what is read stays the same, whatever is cut short."""

from __future__ import annotations

import errno
import shutil

import pytest

from changan.node.store import archive as module
from changan.node.store.archive import ArchivedError
from changan.node.store.blocklog import BlockLog, CorruptLogError

PAYLOADS = [bytes([1 + height]) * (20 + height) for height in range(10)]


class CrashError(Exception):
    """The process dies here."""


def make(directory, segment_bytes: int = 1 << 20) -> BlockLog:
    log = BlockLog(directory, segment_bytes=segment_bytes)
    for height, payload in enumerate(PAYLOADS):
        log.append(height, payload)
        log.sync()
    return log


def away(log: BlockLog, height: int) -> None:
    log.begin_segment(height)
    log.archive(height)


def content(log: BlockLog) -> list[bytes]:
    return [log.read(height) for height in range(log.durable_height + 1)]


def reopened(log: BlockLog, directory, **options) -> BlockLog:
    log.close()
    return BlockLog(directory, **options)


@pytest.mark.parametrize("segment_bytes", [20, 100, 1 << 20], ids=["a block each", "some", "one"])
@pytest.mark.parametrize("height", [0, 3, 8])
def test_blocks_leave_and_come_back(tmp_path, segment_bytes, height):
    log = make(tmp_path, segment_bytes)
    away(log, height)
    assert log.archived_height == height
    assert content(log) == PAYLOADS
    hot = b"".join(path.read_bytes() for path in tmp_path.glob("*.log"))
    assert not any(payload in hot for payload in PAYLOADS[: height + 1])
    assert all(payload in hot for payload in PAYLOADS[height + 1 :])
    log = reopened(log, tmp_path)
    assert (log.archived_height, content(log)) == (height, PAYLOADS)
    log.append(10, b"more")
    log.sync()
    while log.archived_height >= 0:
        log.restore(log.archived_height)
    assert content(log) == [*PAYLOADS, b"more"]
    assert not list((tmp_path / "archive").glob("*.log"))
    assert content(reopened(log, tmp_path)) == [*PAYLOADS, b"more"]


def test_one_after_another(tmp_path):
    log = make(tmp_path, 100)
    for height in (0, 1, 4, 8):
        away(log, height)
        assert content(log) == PAYLOADS
    with pytest.raises(ArchivedError, match="restore block 8 first"):
        log.restore(2)
    log.restore(9)  # it is at hand
    assert log.archived_height == 8
    assert content(reopened(log, tmp_path, read_only=True)) == PAYLOADS


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("doing", ["archive", "restore"])
def test_a_crash_at_any_step(tmp_path, monkeypatch, steps, doing):
    log = make(tmp_path, 120)
    away(log, 2)
    left = [steps]

    def count(directory) -> None:
        if left[0] == 0:
            raise CrashError
        left[0] -= 1
        original(directory)

    original = module._sync_directories
    monkeypatch.setattr(module, "_sync_directories", count)
    try:
        if doing == "archive":
            away(log, 6)
        else:
            log.restore(2)
    except CrashError:
        pass
    monkeypatch.undo()
    log = reopened(log, tmp_path)
    assert content(log) == PAYLOADS
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "moving").exists()
    away(log, 8)
    assert (log.archived_height, content(log)) == (8, PAYLOADS)


def test_no_room_moves_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "no room")

    log = make(tmp_path)
    log.begin_segment(4)
    monkeypatch.setattr(module, "_copy", refuse)
    with pytest.raises(OSError, match="no room"):
        log.archive(4)
    monkeypatch.undo()
    assert (log.archived_height, content(log)) == (-1, PAYLOADS)
    assert not list(tmp_path.rglob("*.tmp"))
    assert content(reopened(log, tmp_path)) == PAYLOADS


def test_files_may_be_away(tmp_path):
    log = make(tmp_path)
    away(log, 2)
    away(log, 5)
    log.close()
    shutil.move(tmp_path / "archive" / f"{0:020d}.log", tmp_path / "tape")
    log = BlockLog(tmp_path)
    with pytest.raises(ArchivedError, match="block 1 is archived, and its file is not in"):
        log.read(1)
    assert [log.read(height) for height in range(3, 10)] == PAYLOADS[3:]
    log.restore(5)
    with pytest.raises(ArchivedError, match="its file is not in"):
        log.restore(2)
    log.append(10, b"more")
    log.sync()
    log.close()
    shutil.move(tmp_path / "tape", tmp_path / "archive" / f"{0:020d}.log")
    assert content(BlockLog(tmp_path)) == [*PAYLOADS, b"more"]


def test_a_lost_segment_is_no_archived_one(tmp_path):
    log = make(tmp_path, 100)
    away(log, 1)
    log.close()
    min(tmp_path.glob("*.log")).unlink()
    with pytest.raises(CorruptLogError, match="the segment that should start at block 2"):
        BlockLog(tmp_path)


def test_a_mark_that_says_nothing(tmp_path):
    make(tmp_path).close()
    (tmp_path / "archived").write_text("x")
    with pytest.raises(CorruptLogError, match="does not say"):
        BlockLog(tmp_path)


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr("changan.node.store.blocklog.SEGMENTS_MAX", 2)
    log = make(tmp_path, 20)
    with pytest.raises(ArchivedError, match="archive more at once"):
        away(log, 5)
    assert (log.archived_height, content(log)) == (1, PAYLOADS)
