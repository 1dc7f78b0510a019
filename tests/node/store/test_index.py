"""The indexes answer as plain dicts would, and files that cannot be used say so."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.node.store.index import Entry, Index, IndexUnusableError

CONTRACTS = ["C", "D", "CHANGAN", "长安"]
ROWS = st.tuples(st.sampled_from(CONTRACTS), st.sampled_from(["", "k", "k\x00", "钥匙", "k" * 2000]))
BLOCKS = st.lists(st.lists(st.lists(ROWS, max_size=4), max_size=4), max_size=8)


def digest(height: int) -> bytes:
    return height.to_bytes(32, "big")


def entry(height: int, written: list[list[tuple[str, str]]]) -> Entry:
    return Entry(height, digest(height), [f"{height}-{position}" for position in range(len(written))], written)


@pytest.fixture
def index(tmp_path):
    opened = Index(tmp_path / "index")
    yield opened
    opened.close()


def test_an_empty_index_finds_nothing(index):
    assert index.height == -1
    assert index.find_tx("0-0") is None
    assert index.height_of_block(digest(0)) is None
    assert index.key_history("C", "k") == []
    index.put_blocks([])
    assert index.height == -1


@settings(max_examples=50, deadline=None)
@given(BLOCKS, st.integers(1, 3), st.integers(0, 20), st.tuples(st.integers(0, 8), st.integers(0, 4)))
def test_it_answers_as_dicts_would(blocks, batch, limit, before):
    entries = [entry(height, written) for height, written in enumerate(blocks)]
    places = {}
    history: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for made in entries:
        for position, (tx_id, rows) in enumerate(zip(made.tx_ids, made.written, strict=True)):
            places[tx_id] = (made.height, position)
            for row in rows:
                if row[0] != "CHANGAN":
                    history.setdefault(row, set()).add((made.height, position))
    with tempfile.TemporaryDirectory() as name:
        index = Index(Path(name))
        for start in range(0, len(entries), batch):
            index.put_blocks(entries[start : start + batch])
        for _ in range(2):  # once as written, once as found again
            assert index.height == len(entries) - 1
            assert all(index.find_tx(tx_id) == place for tx_id, place in places.items())
            assert all(index.height_of_block(digest(made.height)) == made.height for made in entries)
            for row, expected in history.items():
                newest = sorted(expected, reverse=True)
                assert index.key_history(*row) == newest
                assert index.key_history(*row, limit=limit) == newest[:limit]
                assert index.key_history(*row, before=before) == [place for place in newest if place < before]
            index.close()
            index = Index(Path(name))
        index.close()


def test_what_was_never_written_is_not_found(index):
    index.put_blocks([entry(0, [[("C", "k")]])])
    assert index.find_tx("0-1") is None
    assert index.find_tx("\ud800") is None
    assert [index.height_of_block(other) for other in (b"", bytes(600), digest(1))] == [None] * 3
    assert index.key_history("C", "other") == []


def test_the_rows_of_the_ledger_have_no_history(index):
    index.put_blocks([entry(0, [[("CHANGAN", "k"), ("C", "k")]])])
    assert index.key_history("CHANGAN", "k") == []
    assert index.key_history("C", "k") == [(0, 0)]


def test_a_long_history_is_read_page_by_page(index):
    index.put_blocks([entry(height, [[("C", "k")], [("C", "k")]]) for height in range(300)])
    pages, before = [], None
    while page := index.key_history("C", "k", before=before, limit=77):
        pages += page
        before = page[-1]
    assert pages == [(height, position) for height in reversed(range(300)) for position in (1, 0)]
    assert len(index.key_history("C", "k")) == 100


def test_long_ids_fit(index):
    index.put_blocks([Entry(0, digest(0), ["a" * 5000, "a" * 5001], [[], []])])
    assert index.find_tx("a" * 5000) == (0, 0)
    assert index.find_tx("a" * 5001) == (0, 1)


@pytest.mark.parametrize("height", [0, -1])
def test_heights_follow_one_another(index, height):
    index.put_blocks([entry(0, [])])
    with pytest.raises(AssertionError):
        index.put_blocks([Entry(height, digest(9), [], [])])
    assert index.height == 0
    assert index.height_of_block(digest(9)) is None


def test_what_was_left_out_is_known_for_good(tmp_path):
    index = Index(tmp_path)
    index.put_blocks([entry(0, []), entry(4, []), entry(5, []), entry(9, [])])
    assert index.whole_from == 9
    index.put_blocks([entry(10, [])])
    index.close()
    index = Index(tmp_path)
    assert (index.height, index.whole_from) == (10, 9)
    index.clear()
    assert (index.height, index.whole_from) == (-1, 0)
    index.put_blocks([entry(0, []), entry(1, [])])
    assert index.whole_from == 0
    index.close()


def test_clear_forgets_everything_for_good(tmp_path):
    index = Index(tmp_path)
    index.put_blocks([entry(0, [[("C", "k")]])])
    index.clear()
    for _ in range(2):
        assert index.height == -1
        assert index.find_tx("0-0") is None
        assert index.height_of_block(digest(0)) is None
        assert index.key_history("C", "k") == []
        index.close()
        index = Index(tmp_path)
    index.put_blocks([entry(0, [])])
    assert index.height == 0
    index.close()


@pytest.mark.parametrize("damage", [b"no LMDB file" * 1000, b"short"])
def test_a_file_that_lmdb_cannot_open_is_unusable_and_can_be_made_again(tmp_path, damage):
    path = tmp_path / "index"
    index = Index(path)
    index.put_blocks([entry(0, [])])
    index.close()
    (path / "data.mdb").write_bytes(damage)
    with pytest.raises(IndexUnusableError, match="does not open"):
        Index(path)
    shutil.rmtree(path)
    index = Index(path)
    assert index.height == -1
    index.close()


def test_another_format_is_unusable_and_can_be_made_again(tmp_path):
    path = tmp_path / "index"
    Index(path).close()
    with lmdb.open(str(path), max_dbs=4) as environment:
        meta = environment.open_db(b"meta")
        with environment.begin(write=True) as work:
            work.put(b"format", b"0", db=meta)
    with pytest.raises(IndexUnusableError, match="format b'0'"):
        Index(path)
    shutil.rmtree(path)
    Index(path).close()


# Known gaps; each marker goes with the change that closes it


def test_a_batch_that_fails_leaves_the_height_where_it_was(index):
    with pytest.raises(AssertionError):
        index.put_blocks([entry(0, []), entry(2, []), entry(2, [])])
    assert index.height_of_block(digest(0)) is None
    assert index.height == -1


def test_an_index_cut_short_is_unusable_and_does_not_kill_the_process(tmp_path):
    index = Index(tmp_path)
    index.put_blocks([entry(height, [[("C", f"{height}")]] * 20) for height in range(100)])
    index.close()
    data = (tmp_path / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(data[: len(data) // 2 // 4096 * 4096])
    program = (
        "import sys, pathlib\n"
        "from changan.node.store.index import Index, IndexUnusableError\n"
        "try:\n    Index(pathlib.Path(sys.argv[1]))\n"
        "except IndexUnusableError:\n    print('unusable')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "unusable\n")


def test_a_key_that_is_no_text_has_no_history(index):
    assert index.key_history("C", "\ud800") == []
