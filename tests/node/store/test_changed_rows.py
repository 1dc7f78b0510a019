"""Which blocks changed which rows: as a dict of lists would say it, from memory and from files; damaged files are named."""

from __future__ import annotations

import os
import tempfile
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.node.store import changed_rows
from changan.node.store.changed_rows import ChangedRows, DamagedRowsError, bucket_of

ROWS = 12


def mark(row: int) -> bytes:
    return blake2b(bytes([row % 256, row // 256]), digest_size=8).digest()


@pytest.fixture
def made(tmp_path) -> ChangedRows:
    """Rows 0 to 39 in blocks 0 to 19, two a block, in files of four rows."""
    rows = ChangedRows(tmp_path / "rows", rows_a_file=4)
    fill(rows, range(20))
    return rows


def found(rows: ChangedRows, fingerprint: bytes) -> list[int]:
    covered, heights = rows.find(fingerprint)
    assert covered == rows.covered
    return list(heights)


def fill(rows: ChangedRows, heights) -> None:
    for height in heights:
        rows.add(height, [mark(2 * height), mark(2 * height + 1)])
        rows.cover(height)


def files(rows: ChangedRows) -> list[Path]:
    return sorted(rows._directory.iterdir())


STEPS = st.lists(
    st.one_of(
        st.lists(st.lists(st.integers(0, ROWS - 1), max_size=5), max_size=3),  # a block with bundles that changed these
        st.just("open"),  # as after a kill: what is in no file is gone
        st.just("skip"),  # blocks without bundles
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(STEPS, st.integers(1, 12), st.integers(1, 6))
def test_it_answers_as_a_dict_of_lists(steps, rows_a_file, blocks_a_file):
    with tempfile.TemporaryDirectory() as place:
        blocks: list[list[list[int]]] = []

        def opened() -> ChangedRows:
            return ChangedRows(Path(place), rows_a_file=rows_a_file, blocks_a_file=blocks_a_file)

        def follow(rows: ChangedRows) -> None:
            for height in range(rows.covered + 1, len(blocks)):
                for bundle in blocks[height]:
                    rows.add(height, [mark(row) for row in bundle])
                rows.cover(height)

        rows = opened()
        for step in steps:
            if step == "open":
                rows = opened()
                assert rows.covered < len(blocks)
                check(rows, blocks[: rows.covered + 1])
            else:
                blocks += [[], []] if step == "skip" else [step]
            follow(rows)
            assert (rows.covered, rows.known_from) == (len(blocks) - 1, 0)
            check(rows, blocks)


def check(rows: ChangedRows, blocks) -> None:
    for row in range(ROWS):
        expected = [height for height, bundles in enumerate(blocks) if any(row in bundle for bundle in bundles)]
        assert found(rows, mark(row)) == expected[::-1]


def test_what_is_not_covered_yet_is_not_found(tmp_path):
    rows = ChangedRows(tmp_path)
    rows.add(0, [mark(1)])
    assert (found(rows, mark(1)), rows.covered) == ([], -1)
    rows.cover(5)
    assert (found(rows, mark(1)), rows.covered) == ([0], 5)


def test_a_row_costs_twelve_bytes(tmp_path):
    rows = ChangedRows(tmp_path, rows_a_file=5000)
    rows.add(0, [mark(row) for row in range(5000)])
    rows.cover(0)
    [file] = files(rows)
    assert file.stat().st_size == 5000 * 12 + 12 + 8 * 1024
    assert found(rows, mark(4999)) == [0]


def test_an_entry_that_only_looks_like_one_is_none(tmp_path):
    """Rows whose fingerprints overlap one another's places are told apart."""
    rows = ChangedRows(tmp_path)
    one = bytes(4) + b"\1\2\3\4"
    rows.add(0, [one, one])
    rows.cover(0)
    rows.add(0x01020304, [one])
    rows.cover(0x01020304)
    assert found(rows, one) == [0x01020304, 0]
    assert found(rows, bytes(8)) == []  # an offset and the half of a fingerprint


def test_known_from_a_height_on(tmp_path):
    rows = ChangedRows(tmp_path, rows_a_file=4)
    fill(rows, range(6))
    rows.begin(30)
    assert (rows.covered, rows.known_from, files(rows)) == (29, 30, [])
    fill(rows, range(30, 40))
    again = ChangedRows(tmp_path, rows_a_file=4)
    assert (again.covered, again.known_from) == (39, 30)
    assert found(again, mark(61)) == [30]
    assert found(again, mark(3)) == []


def test_forgetting_from_a_height_keeps_what_is_in_files_below(made):
    made.forget_from(11)
    assert made.covered < 11
    assert found(made, mark(2)) == [1]
    fill(made, range(made.covered + 1, 20))
    assert [found(made, mark(2 * height)) for height in range(20)] == [[height] for height in range(20)]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "magic": lambda path: flip(path, 0),
    "checksum": lambda path: flip(path, 8),
    "table": lambda path: flip(path, 12 + 8 * bucket_of(mark(8))),
    "body": lambda path: flip(path, path.stat().st_size - 1),
    "short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "head": lambda path: os.truncate(path, 100),
    "empty": lambda path: os.truncate(path, 0),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_named_and_made_again_with_what_follows(made, name):
    damaged = files(made)[2]
    DAMAGES[name](damaged)
    first = int(damaged.name[:20])
    seen = []
    for row in range(40):  # in some bucket it must show
        try:
            seen += [(row, height) for height in found(made, mark(row))]
        except DamagedRowsError as error:
            assert damaged.name in str(error)
            break
    else:
        pytest.fail("nobody saw it")
    assert all(row // 2 == height for row, height in seen)
    made.mend()
    assert made.covered == first - 1
    fill(made, range(first, 20))
    assert [found(made, mark(2 * height + 1)) for height in range(20)] == [[height] for height in range(20)]


def test_files_that_were_never_finished_or_follow_a_gap_are_thrown_away(made):
    kept = files(made)
    kept[1].unlink()
    (made._directory / f"{20:020d}-{30:020d}.part").write_bytes(b"half")
    (made._directory / "what is this").write_bytes(b"")
    again = ChangedRows(made._directory)
    assert files(again) == kept[:1]
    assert again.covered == int(kept[1].name[:20]) - 1


def test_a_disk_that_takes_no_file_loses_nothing(made, monkeypatch):
    monkeypatch.setattr(changed_rows, "write_whole", full)
    made.add(20, [mark(row) for row in range(100, 110)])
    with pytest.raises(OSError, match="no room"):
        made.cover(20)
    assert made.covered == 19
    assert found(made, mark(100)) == []
    monkeypatch.undo()
    made.forget_from(20)
    assert found(made, mark(39)) == [19]


def full(path: Path, data: bytes) -> None:
    path.write_bytes(data[:10])
    raise OSError(28, "no room")
