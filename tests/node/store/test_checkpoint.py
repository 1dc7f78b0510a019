"""Checkpoints are whole or they are skipped: any damage falls back to the older one."""

from __future__ import annotations

import errno
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from changan.errors import MalformedError
from changan.node.store import checkpoint as module
from changan.node.store.checkpoint import CheckpointFile, newest_checkpoint, write_checkpoint

SECTIONS = [("world", [b"one", b"", b"three"]), ("empty", []), ("钥匙", [b"k" * 20])]


def name(height: int) -> str:
    return f"{height:020d}.ckpt"


def height_of_newest(directory: Path) -> int | None:
    found = newest_checkpoint(directory)
    return None if found is None else found.height


def test_a_directory_without_checkpoints_has_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "missing") is None


def test_what_is_written_is_read(tmp_path):
    write_checkpoint(tmp_path / "deep" / "checkpoints", 7, SECTIONS)
    found = newest_checkpoint(tmp_path / "deep" / "checkpoints")
    assert found is not None
    assert found.height == 7
    for _ in range(2):  # sections are read as often and in whatever order one likes
        assert {section: list(found.section(section)) for section, _ in reversed(SECTIONS)} == dict(SECTIONS)
    with pytest.raises(MalformedError, match="no section 'other'"):
        found.section("other")


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), st.lists(st.binary(max_size=50)), max_size=5),
    st.integers(1, 60),
)
def test_any_sections_in_chunks_of_any_size(sections, chunk_bytes):
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_BYTES", chunk_bytes)
        write_checkpoint(Path(place), 0, list(sections.items()))
        found = newest_checkpoint(Path(place))
        assert found is not None
        assert {section: list(found.section(section)) for section in sections} == sections


def test_only_the_newest_two_are_kept(tmp_path):
    for height in (5, 100, 20, 1000):
        write_checkpoint(tmp_path, height, SECTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name(100), name(1000)]
    assert height_of_newest(tmp_path) == 1000


def test_the_same_height_can_be_written_again(tmp_path):
    write_checkpoint(tmp_path, 3, SECTIONS)
    write_checkpoint(tmp_path, 3, [("world", [b"other"])])
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert list(found.section("world")) == [b"other"]


@pytest.mark.parametrize("mask", [0xFF, 0x01])
def test_damage_at_any_byte_falls_back_to_the_older_one(tmp_path, mask):
    write_checkpoint(tmp_path, 1, SECTIONS)
    write_checkpoint(tmp_path, 2, SECTIONS)
    path = tmp_path / name(2)
    whole = path.read_bytes()
    for offset in range(len(whole)):
        damaged = bytearray(whole)
        damaged[offset] ^= mask
        path.write_bytes(damaged)
        with capture_logs() as logs:
            assert height_of_newest(tmp_path) == 1, offset
        assert [(entry["event"], entry["log_level"], entry["path"]) for entry in logs] == [
            ("checkpoint.skipped", "warning", name(2))
        ]


def test_a_checkpoint_cut_or_grown_anywhere_falls_back_to_the_older_one(tmp_path):
    write_checkpoint(tmp_path, 1, SECTIONS)
    write_checkpoint(tmp_path, 2, SECTIONS)
    whole = (tmp_path / name(2)).read_bytes()
    for data in [*(whole[:end] for end in range(len(whole))), whole + b"\x00", whole + whole]:
        (tmp_path / name(2)).write_bytes(data)
        with capture_logs() as logs:
            assert height_of_newest(tmp_path) == 1
        assert len(logs) == 1


def test_when_none_is_whole_there_is_none(tmp_path):
    for height in (1, 2):
        write_checkpoint(tmp_path, height, SECTIONS)
        (tmp_path / name(height)).write_bytes(b"nothing")
    with capture_logs() as logs:
        assert newest_checkpoint(tmp_path) is None
    assert [entry["path"] for entry in logs] == [name(2), name(1)]


def test_damage_after_opening_is_found_while_reading(tmp_path):
    write_checkpoint(tmp_path, 1, [("world", [b"x" * 100])])
    found = newest_checkpoint(tmp_path)
    assert found is not None
    path = tmp_path / name(1)
    path.write_bytes(path.read_bytes().replace(b"xxx", b"xyx", 1))
    with pytest.raises(MalformedError):
        list(found.section("world"))


def test_a_checkpoint_that_breaks_off_is_never_seen(tmp_path):
    def items():
        yield b"one"
        raise RuntimeError

    write_checkpoint(tmp_path, 1, SECTIONS)
    with pytest.raises(RuntimeError):
        write_checkpoint(tmp_path, 2, [("world", items())])
    with capture_logs() as logs:
        assert height_of_newest(tmp_path) == 1
    assert logs == []


def test_it_rests_before_it_has_its_name(tmp_path, monkeypatch):
    real, synced = os.fsync, []

    def watching(file: int) -> None:
        synced.append((Path(f"/proc/self/fd/{file}").readlink().name, (tmp_path / name(1)).exists()))
        real(file)

    monkeypatch.setattr(os, "fsync", watching)
    write_checkpoint(tmp_path, 1, SECTIONS)
    assert [there for _, there in synced] == [False, True]
    assert synced[1][0] == tmp_path.name


def test_a_large_checkpoint_never_lies_in_memory_whole(tmp_path):
    total = 40 << 20
    tracemalloc.start()
    try:
        write_checkpoint(tmp_path, 1, [("world", (bytes(64 << 10) for _ in range(total >> 16)))])
        found = newest_checkpoint(tmp_path)
        assert found is not None
        assert sum(map(len, found.section("world"))) == total
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_a_checkpoint_that_finds_no_room_leaves_nothing(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for height in (1, 2):
            with pytest.raises(OSError, match="No space"):
                write_checkpoint(tmp_path, height, SECTIONS)
    write_checkpoint(tmp_path, 3, SECTIONS)
    assert [path.name for path in tmp_path.iterdir()] == [name(3)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.binary(max_size=30), max_size=4)), max_size=12))
def test_a_section_may_come_in_parts_between_others(parts):
    with tempfile.TemporaryDirectory() as place:
        file = CheckpointFile(Path(place))
        whole: dict[str, list[bytes]] = {}
        for section, items in parts:
            file.write([(section, items)])
            whole.setdefault(section, []).extend(items)
            assert newest_checkpoint(Path(place)) is None
        file.finish(4)
        file.discard()  # changes nothing any more
        found = newest_checkpoint(Path(place))
        assert found is not None
        assert {section: list(found.section(section)) for section in whole} == whole
        assert [path.name for path in Path(place).iterdir()] == [name(4)]


def test_one_that_is_discarded_or_was_left_by_a_crash_leaves_nothing(tmp_path):
    file = CheckpointFile(tmp_path)
    file.write([("world", [b"x"])])
    file.discard()
    assert list(tmp_path.iterdir()) == []
    left = CheckpointFile(tmp_path)
    left.write([("world", [b"x" * 100_000])])
    left._file.close()
    assert newest_checkpoint(tmp_path) is None
    write_checkpoint(tmp_path, 1, SECTIONS)
    assert [path.name for path in tmp_path.iterdir()] == [name(1)]
