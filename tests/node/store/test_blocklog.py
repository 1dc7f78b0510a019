"""The block log: what rests stays, what was torn is cut, what is damaged is named and refused."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.node.store.blocklog import BlockLog, CorruptLogError
from changan.node.store.full import DiskFullError

FILE_HEAD = 16
RECORD_HEAD = 20
FIRST = f"{0:020d}.log"
PAYLOADS = [bytes([1 + height]) * (20 + height) for height in range(4)]
LAST = len(PAYLOADS) - 1


class CrashError(Exception):
    """The process dies here."""


def fill(directory: Path, payloads: list[bytes] = PAYLOADS, *, noted: int | None = None, segment_bytes: int = 1 << 20):
    """Write a log; with `noted`, put back the note as it was after that height, as a power loss may."""
    log = BlockLog(directory, segment_bytes=segment_bytes)
    old_note = b""
    for height, payload in enumerate(payloads):
        log.append(height, payload)
        log.sync()
        if height == noted:
            old_note = (directory / "durable").read_bytes()
    log.close()
    if noted is not None:
        (directory / "durable").write_bytes(old_note)


def start_of(height: int, payloads: list[bytes] = PAYLOADS) -> int:
    return FILE_HEAD + sum(RECORD_HEAD + len(payload) for payload in payloads[:height])


def content(log: BlockLog) -> list[bytes]:
    return [log.read(height) for height in range(log.durable_height + 1)]


def reopened(directory: Path) -> list[bytes]:
    log = BlockLog(directory)
    try:
        return content(log)
    finally:
        log.close()


def flip(path: Path, offset: int, mask: int = 0xFF) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= mask
    path.write_bytes(data)


def write_one(log: BlockLog, height: int, payload: bytes) -> None:
    log.append(height, payload)
    log.sync()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def refuse_once(monkeypatch: pytest.MonkeyPatch, name: str, code: int, *, after: int = 0) -> list[int]:
    """Let one call of an os function fail; it takes nothing. Returns the list that counts its calls."""
    real, calls = getattr(os, name), []

    def refusing(*arguments):
        calls.append(len(calls))
        if len(calls) == after + 1:
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    monkeypatch.setattr(os, name, refusing)
    return calls


# What is written is read


def test_an_empty_log_opens_and_opens_again(tmp_path):
    for _ in range(2):
        log = BlockLog(tmp_path / "deep" / "log")
        assert log.durable_height == -1
        with pytest.raises(IndexError):
            log.read(0)
        log.close()
    assert (tmp_path / "deep" / "log" / FIRST).read_bytes()[:8] == b"CHGNLOG\x01"


def test_records_rest_after_sync_and_survive_reopening(tmp_path):
    log = BlockLog(tmp_path)
    log.append(0, b"zero")
    log.append(1, b"")
    assert log.durable_height == -1
    log.sync()
    assert log.durable_height == 1
    log.close()
    assert reopened(tmp_path) == [b"zero", b""]


@pytest.mark.parametrize("height", [0, 2, -1])
def test_heights_follow_one_another(tmp_path, height):
    log = BlockLog(tmp_path)
    log.append(0, b"zero")
    with pytest.raises(AssertionError):
        log.append(height, b"again")
    log.close()


def test_the_note_is_two_slots_of_32_bytes_and_never_above_the_log(tmp_path):
    fill(tmp_path)
    assert len((tmp_path / "durable").read_bytes()) <= 64
    flip(tmp_path / "durable", 32)  # one slot is lost: the other is an older, lower bound
    assert reopened(tmp_path) == PAYLOADS


@settings(max_examples=40, deadline=None)
@given(
    st.integers(16, 200),
    st.lists(
        st.one_of(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from(["sync", "reopen", "full"])),
        max_size=40,
    ),
)
def test_the_log_is_a_list(segment_bytes, steps):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("changan.node.store.blocklog.PARTS_MAX", 3)
        log = BlockLog(Path(name), segment_bytes=segment_bytes)
        written: list[bytes] = []
        resting = 0
        for step in steps:
            if isinstance(step, list):
                log.append(len(written), *step)
                written.append(b"".join(step))
            elif step == "sync":
                log.sync()
                resting = len(written)
            elif step == "full":
                with patch.context() as inner:
                    refuse_once(inner, "fdatasync", errno.ENOSPC)
                    with pytest.raises(DiskFullError):
                        log.sync()
                del written[resting:]
            else:
                log.close()
                log = BlockLog(Path(name), segment_bytes=segment_bytes)
                resting = len(written)
            assert log.durable_height == resting - 1
            assert content(log) == written[:resting]
        log.close()


def test_segments_roll_and_are_found_again(tmp_path):
    payloads = [bytes([height]) * 50 for height in range(12)]
    fill(tmp_path, payloads, segment_bytes=160)
    names = sorted(path.name for path in tmp_path.glob("*.log"))
    assert names == [f"{height:020d}.log" for height in (0, 3, 6, 9)]
    assert reopened(tmp_path) == payloads


def test_a_new_segment_makes_the_note_and_the_directory_rest(tmp_path, monkeypatch):
    log = BlockLog(tmp_path, segment_bytes=20)
    write_one(log, 0, b"zero")
    real, synced = os.fsync, []

    def watching(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink().name)
        real(file)

    monkeypatch.setattr(os, "fsync", watching)
    log.append(1, b"one")
    assert synced == ["durable", f"{1:020d}.log", tmp_path.name, tmp_path.parent.name]
    log.close()


def test_threads_read_while_one_appends(tmp_path):
    log = BlockLog(tmp_path, segment_bytes=500)
    stop, wrong = Event(), []

    def reading() -> None:
        while not stop.is_set():
            height = log.durable_height
            if height >= 0 and log.read(height) != b"%d" % height * 7:
                wrong.append(height)

    threads = [Thread(target=reading) for _ in range(3)]
    for thread in threads:
        thread.start()
    for height in range(300):
        log.append(height, b"%d" % height * 7)
        log.sync()
    stop.set()
    for thread in threads:
        thread.join()
    log.close()
    assert not wrong


# Torn tails


def test_a_last_record_cut_at_any_byte_is_torn_off(tmp_path):
    fill(tmp_path, noted=LAST - 1)
    whole, start = (tmp_path / FIRST).read_bytes(), start_of(LAST)
    for end in range(start, len(whole)):
        (tmp_path / FIRST).write_bytes(whole[:end])
        assert reopened(tmp_path) == PAYLOADS[:-1], end
        assert (tmp_path / FIRST).stat().st_size == start


def test_a_log_shorter_than_its_note_is_refused_at_any_byte(tmp_path):
    fill(tmp_path)
    whole = (tmp_path / FIRST).read_bytes()
    for end in range(len(whole)):
        (tmp_path / FIRST).write_bytes(whole[:end])
        with pytest.raises(CorruptLogError, match=r"block \d"):
            BlockLog(tmp_path)
        assert (tmp_path / FIRST).read_bytes() == whole[:end], "what is refused is left as it was"


@pytest.mark.parametrize("missing", [True, False])
def test_a_log_that_is_gone_is_refused(tmp_path, missing):
    fill(tmp_path, segment_bytes=20)
    for path in sorted(tmp_path.glob("*.log"))[None if missing else 2 :]:
        path.unlink()
    with pytest.raises(CorruptLogError, match=str(LAST)):
        BlockLog(tmp_path)


def test_a_missing_segment_in_the_middle_is_refused(tmp_path):
    fill(tmp_path, noted=0, segment_bytes=20)
    (tmp_path / f"{1:020d}.log").unlink()
    with pytest.raises(CorruptLogError, match="block 1 "):
        BlockLog(tmp_path)


@pytest.mark.parametrize("zeros", [1, 15, 16, 17, 4096, 3 << 20])
def test_a_tail_of_zeros_is_cut_and_the_log_goes_on(tmp_path, zeros):
    fill(tmp_path)
    with (tmp_path / FIRST).open("ab") as file:
        file.write(bytes(zeros))
    log = BlockLog(tmp_path)
    assert content(log) == PAYLOADS
    log.append(LAST + 1, b"more")
    log.sync()
    log.close()
    assert reopened(tmp_path) == [*PAYLOADS, b"more"]


def test_zeros_where_a_noted_record_was_are_refused(tmp_path):
    fill(tmp_path)
    whole, start = (tmp_path / FIRST).read_bytes(), start_of(LAST)
    (tmp_path / FIRST).write_bytes(whole[:start] + bytes(len(whole) - start))
    with pytest.raises(CorruptLogError, match=f"block {LAST} "):
        BlockLog(tmp_path)


@pytest.mark.parametrize("left", [0, 1, 15, FILE_HEAD])
def test_a_segment_torn_while_it_began_is_begun_again(tmp_path, left):
    fill(tmp_path, noted=LAST - 1, segment_bytes=20)
    path = tmp_path / f"{LAST:020d}.log"
    path.write_bytes(path.read_bytes()[:left])
    assert reopened(tmp_path) == PAYLOADS[:-1]


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("log.append.before", 1),
        ("log.append.partial", 1),
        ("log.append.after", 2),
        ("log.sync.before", 2),
        ("log.sync.after", 2),
        ("log.note.after", 2),
    ],
)
@pytest.mark.parametrize("segment_bytes", [1 << 20, 20])
def test_a_crash_at_each_point_leaves_whole_blocks(tmp_path, point, left, segment_bytes):
    armed = False

    def crash(name: str) -> None:
        if armed and name == point:
            raise CrashError

    log = BlockLog(tmp_path, crash_point=crash, segment_bytes=segment_bytes)
    write_one(log, 0, b"zero")
    armed = True
    with pytest.raises(CrashError):
        write_one(log, 1, b"one")
    log.close()
    assert reopened(tmp_path) == [b"zero", b"one"][:left]


def test_the_crash_points_come_in_order(tmp_path):
    seen: list[str] = []
    log = BlockLog(tmp_path, crash_point=seen.append)
    write_one(log, 0, b"zero")
    log.close()
    points = ["append.before", "append.partial", "append.after", "sync.before", "sync.after", "note.after"]
    assert seen == [f"log.{point}" for point in points]


# Damage


@pytest.mark.parametrize("mask", [0xFF, 0x01, 0x80])
def test_a_noted_last_record_with_a_flipped_byte_is_refused_by_height(tmp_path, mask):
    fill(tmp_path)
    whole = (tmp_path / FIRST).read_bytes()
    for offset in range(start_of(LAST), len(whole)):
        (tmp_path / FIRST).write_bytes(whole)
        flip(tmp_path / FIRST, offset, mask)
        with pytest.raises(CorruptLogError, match=f"block {LAST} at byte {start_of(LAST)} "):
            BlockLog(tmp_path)


@pytest.mark.parametrize("mask", [0xFF, 0x01, 0x80])
def test_a_whole_last_record_with_a_flipped_byte_is_never_cut(tmp_path, mask):
    fill(tmp_path, noted=LAST - 1)
    whole, start = (tmp_path / FIRST).read_bytes(), start_of(LAST)
    for offset in range(start, len(whole)):
        (tmp_path / FIRST).write_bytes(whole)
        flip(tmp_path / FIRST, offset, mask)
        with pytest.raises(CorruptLogError, match=f"block {LAST} "):
            BlockLog(tmp_path)


def test_any_damage_below_the_last_record_is_refused_when_it_opens(tmp_path):
    fill(tmp_path)
    whole = (tmp_path / FIRST).read_bytes()
    for offset in range(start_of(LAST)):
        (tmp_path / FIRST).write_bytes(whole)
        flip(tmp_path / FIRST, offset)
        with pytest.raises(CorruptLogError, match=r"block \d"):
            BlockLog(tmp_path)


@pytest.mark.parametrize("field", range(12))
def test_a_damaged_head_in_an_older_segment_is_refused_when_it_opens_or_is_read(tmp_path, field):
    fill(tmp_path, segment_bytes=60)  # two records a segment
    flip(tmp_path / FIRST, start_of(0) + (field if field < 4 else field + 4))
    with pytest.raises(CorruptLogError, match=r"block [01] "):
        BlockLog(tmp_path)


def test_a_damaged_payload_in_an_older_segment_is_refused_when_it_is_read(tmp_path):
    fill(tmp_path, segment_bytes=20)
    flip(tmp_path / f"{1:020d}.log", FILE_HEAD + RECORD_HEAD + 3)
    log = BlockLog(tmp_path)
    assert log.read(0) == PAYLOADS[0]
    with pytest.raises(CorruptLogError, match=f"block 1 at byte {FILE_HEAD} of {1:020d}.log"):
        log.read(1)
    assert log.read(2) == PAYLOADS[2]
    log.close()


def test_a_refused_log_gives_its_files_back(tmp_path):
    fill(tmp_path)
    flip(tmp_path / FIRST, start_of(LAST))
    before = open_files()
    for _ in range(5):
        with pytest.raises(CorruptLogError):
            BlockLog(tmp_path)
    assert open_files() == before


# A full disk


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(("function", "after"), [("pwritev", 0), ("pwritev", 1), ("fdatasync", 0)])
def test_a_full_disk_takes_nothing_and_the_log_goes_on(tmp_path, monkeypatch, code, function, after):
    log = BlockLog(tmp_path)
    write_one(log, 0, b"zero")
    size = log.size
    with monkeypatch.context() as patch:
        refuse_once(patch, function, code, after=after)
        with pytest.raises(DiskFullError, match=r"block 1 .*free some space"):
            write_one(log, 1, b"one" * 9)
    assert log.durable_height == 0
    assert log.size == size, "nothing of the record stays"
    write_one(log, 1, b"other")
    log.close()
    assert reopened(tmp_path) == [b"zero", b"other"]


def test_a_full_disk_when_a_segment_begins(tmp_path, monkeypatch):
    log = BlockLog(tmp_path, segment_bytes=20)
    write_one(log, 0, b"zero")
    with monkeypatch.context() as patch:
        refuse_once(patch, "pwrite", errno.ENOSPC)
        with pytest.raises(DiskFullError):
            log.append(1, b"one")
    write_one(log, 1, b"one")
    log.close()
    assert reopened(tmp_path) == [b"zero", b"one"]


def test_a_disk_that_takes_few_bytes_at_a_time(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, bytes(data)[:20], offset))
    monkeypatch.setattr(os, "pwritev", lambda file, parts, offset: real(file, b"".join(parts)[:20], offset))
    log = BlockLog(tmp_path)
    log.append(0, bytes(range(5)), bytes(range(5, 90)), bytes(range(90, 200)))
    log.sync()
    log.close()
    assert reopened(tmp_path) == [bytes(range(200))]


def test_an_unexpected_error_of_the_disk_is_not_called_full(tmp_path, monkeypatch):
    log = BlockLog(tmp_path)
    log.append(0, b"zero")
    with monkeypatch.context() as patch:
        refuse_once(patch, "fdatasync", errno.EIO)
        with pytest.raises(OSError, match="Input/output"):
            log.sync()
    log.close()


def test_a_note_that_finds_no_room_is_made_up_for(tmp_path, monkeypatch):
    log = BlockLog(tmp_path)
    log.append(0, b"zero")
    with monkeypatch.context() as patch:
        refuse_once(patch, "pwrite", errno.ENOSPC)
        log.sync()
    assert log.durable_height == 0
    log.close()
    assert reopened(tmp_path) == [b"zero"]


# Damage that is easily taken for a torn tail


def test_a_whole_record_of_zeros_with_a_flipped_checksum_is_never_cut(tmp_path):
    fill(tmp_path, [b"zero", bytes(30)], noted=0)
    flip(tmp_path / FIRST, start_of(1, [b"zero"]) + 4)
    with pytest.raises(CorruptLogError, match="block 1 "):
        BlockLog(tmp_path)


def test_a_damaged_length_before_whole_records_is_not_a_torn_tail(tmp_path):
    fill(tmp_path, noted=0)
    flip(tmp_path / FIRST, start_of(1) + 3)
    with pytest.raises(CorruptLogError, match="block 1 "):
        BlockLog(tmp_path)


def test_a_zeroed_segment_head_before_records_is_refused(tmp_path):
    fill(tmp_path, noted=LAST - 1, segment_bytes=20)
    path = tmp_path / f"{LAST:020d}.log"
    path.write_bytes(bytes(FILE_HEAD) + path.read_bytes()[FILE_HEAD:])
    with pytest.raises(CorruptLogError, match=f"block {LAST} "):
        BlockLog(tmp_path)


def test_a_record_that_vanished_from_an_open_log_is_named(tmp_path):
    fill(tmp_path)
    log = BlockLog(tmp_path)
    try:
        os.truncate(tmp_path / FIRST, start_of(LAST))
        with pytest.raises(CorruptLogError, match=f"block {LAST} "):
            log.read(LAST)
    finally:
        log.close()


def test_a_full_disk_when_a_segment_begins_leaves_no_file_open(tmp_path, monkeypatch):
    log = BlockLog(tmp_path, segment_bytes=20)
    write_one(log, 0, b"zero")
    before = open_files()
    with monkeypatch.context() as patch:
        refuse_once(patch, "pwrite", errno.ENOSPC)
        with pytest.raises(DiskFullError):
            log.append(1, b"one")
    after = open_files()
    log.close()
    assert after == before
