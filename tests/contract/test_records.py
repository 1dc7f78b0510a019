"""Rows as records: both engines, a bundle's delta and a checkpoint read and write them in one form."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.contract.codec import BadArgumentError
from changan.contract.instance import Row
from changan.contract.records import find_value, record, record_of, records, rows_of

NAMES = ["owner", "balances", "log"]
PLACES = {name: place for place, name in enumerate(NAMES)}

rows = st.builds(
    lambda name, key, value: Row(f"{name}.{key.hex()}" if key else name, value),
    st.sampled_from(NAMES),
    st.binary(max_size=40),
    st.none() | st.binary(max_size=60),
)


@given(st.lists(rows, max_size=8))
def test_rows_come_back_in_order(given_rows):
    data = b"".join(record_of(PLACES, row) for row in given_rows)
    assert list(rows_of(NAMES, data)) == given_rows
    assert b"".join(records(data)) == data
    assert len(list(records(data))) == len(given_rows)


@given(st.lists(rows, min_size=1, max_size=4), st.data())
def test_nothing_that_is_cut_short_is_read(given_rows, data):
    whole = [record_of(PLACES, row) for row in given_rows]
    cut = data.draw(st.integers(1, len(whole[-1]) - 1))
    with pytest.raises(BadArgumentError, match="a record of a delta"):
        list(rows_of(NAMES, b"".join(whole)[:-cut]))


@given(st.binary(max_size=80))
def test_any_bytes_are_read_whole_or_refused(data):
    try:
        found = list(rows_of(NAMES, data))
    except BadArgumentError:
        return
    assert b"".join(record_of(PLACES, row) for row in found) == data


@pytest.mark.parametrize(
    ("row", "written"),
    [
        (Row("owner", b"me"), "0000 0000 02000000 6d65"),
        (Row("balances.0102", b"\7"), "0100 0200 01000000 0102 07"),
        (Row("balances.0102", None), "0100 0200 ffffffff 0102"),
        (Row("log", b""), "0200 0000 00000000"),
        (Row("log", None), "0200 0000 ffffffff"),
    ],
)
def test_golden_records(row, written):
    assert record_of(PLACES, row) == bytes.fromhex(written)
    assert list(rows_of(NAMES, bytes.fromhex(written))) == [row]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("00", "a record of a delta does not decode"),
        ("0000 0000 020000", "a record of a delta does not decode"),
        ("0000 0000 02000000 6d", "a record of a delta is cut short"),
        ("0100 0200 ffffffff 01", "a record of a delta is cut short"),
        ("0000 0000 feffffff", "a record of a delta is cut short"),
        ("0000 ffff 00000000", "a record of a delta is cut short"),
        ("0300 0000 00000000", "a record of a delta names no field"),
        ("ffff 0000 ffffffff", "a record of a delta names no field"),
        ("0000 0000 00000000 00", "a record of a delta does not decode"),
    ],
)
def test_what_is_no_record_is_refused(data, words):
    with pytest.raises(BadArgumentError, match=f"^{re.escape(words)}$"):
        list(rows_of(NAMES, bytes.fromhex(data)))


def test_rows_before_a_bad_record_are_given_first():
    """Who reads a stream knows how far it went."""
    stream = rows_of(NAMES, record(0, b"", b"me") + b"\0")
    assert next(stream) == Row("owner", b"me")
    with pytest.raises(BadArgumentError):
        next(stream)


KEYS = st.sampled_from([b"", b"\0" * 8, b"\1" * 8, b"k"])


@given(st.lists(st.tuples(st.integers(0, 2), KEYS, st.none() | KEYS), max_size=8), st.integers(0, 2), KEYS)
def test_a_value_is_found_as_in_a_dict(rows, field, key):
    """Values that look like keys, and other fields with the same key, are not taken for it; the last one counts."""
    data = b"".join(record(*row) for row in rows)
    there = {(number, name): (value,) for number, name, value in rows}
    assert find_value(data, field, key) == there.get((field, key))


def test_records_that_are_cut_short_are_refused():
    data = record(0, b"key", b"value")
    for end in (7, 4):
        with pytest.raises(BadArgumentError):
            find_value(data[:end], 0, b"")
