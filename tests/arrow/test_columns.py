"""Canonical columns as arrays and back: the same bytes, whoever made the array, wherever it begins; and what is no value."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import ZOO, told, values

from changan.arrow.columns import BadColumnError, to_array, to_column
from changan.arrow.kinds import arrow_type
from changan.contract.types import BOOL, U64, U128, Signature, TextType
from changan.ledger.bundle import columns_of, decode_bundle, encode_bundle

PARAMETERS = [kind for method in ("every", "records") for _, kind in ZOO.method(method).parameters]
COLUMNS = st.sampled_from(PARAMETERS).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(values(kind), max_size=9)))


def column_of(kind, found):
    [column] = columns_of(Signature("m", "call", (("a", kind),), None), [(value,) for value in found])
    return column


def plain(column) -> tuple[bytes, bytes]:
    return bytes(column.data), bytes(column.ends or b"")


@settings(max_examples=300)
@given(COLUMNS)
def test_columns_become_arrays_and_columns_again(case):
    kind, found = case
    column = column_of(kind, found)
    array = to_array(kind, column, len(found))
    array.validate(full=True)
    assert array.type == arrow_type(kind)
    assert array.to_pylist() == [told(kind, value) for value in found]
    assert plain(to_column(kind, array)) == plain(column)


@settings(max_examples=300)
@given(COLUMNS, st.integers(0, 9), st.integers(0, 9))
def test_arrays_that_others_made_give_the_same_bytes_also_from_the_middle(case, start, length):
    kind, found = case
    array = pa.array([told(kind, value) for value in found], arrow_type(kind)).slice(start, length)
    assert plain(to_column(kind, array)) == plain(column_of(kind, found[start : start + length]))


@given(st.data())
def test_a_bundle_of_arrays_is_the_bundle_of_values(data):
    signature = ZOO.method("every")
    rows = data.draw(st.lists(st.tuples(*(values(kind) for _, kind in signature.parameters)), min_size=1, max_size=5))
    made = encode_bundle(signature, columns_of(signature, rows), len(rows), 7)
    arrays = [
        to_array(kind, column, len(rows))
        for column, (_, kind) in zip(decode_bundle(made, signature).columns, signature.parameters, strict=True)
    ]
    again = [to_column(kind, array) for array, (_, kind) in zip(arrays, signature.parameters, strict=True)]
    assert encode_bundle(signature, again, len(rows), 7) == made


@pytest.mark.parametrize("value", [-1, 2**128, 10**39 - 1, -(10**38), 2**192])
def test_a_decimal_that_is_no_u128(value):
    kind = pa.decimal256(60, 0)
    array = pa.array([Decimal(3), Decimal(value)], kind).view(pa.decimal256(39, 0)) if value < 2**129 else None
    if array is None:  # more digits than the type says: only bytes from outside hold such a thing
        words = (3).to_bytes(32, "little") + value.to_bytes(32, "little")
        array = pa.Array.from_buffers(pa.decimal256(39, 0), 2, [None, pa.py_buffer(words)])
    with pytest.raises(BadColumnError, match="below 0 or above"):
        to_column(U128, array)
    assert plain(to_column(U128, array.slice(0, 1))) == plain(column_of(U128, [3]))


@pytest.mark.parametrize("name", ["", "red", "PURPLE", "RED "])
def test_a_name_that_no_member_has(name):
    color = dict(ZOO.method("give_color").parameters)["color"]
    with pytest.raises(BadColumnError, match="none of RED, GREEN, BLUE"):
        to_column(color, pa.array(["RED", name]))


@pytest.mark.parametrize(
    ("kind", "array"),
    [(U64, pa.array([], pa.uint64())), (BOOL, pa.array([], pa.bool_())), (TextType(9), pa.array([], pa.string()))],
)
def test_nothing_is_a_column_too(kind, array):
    assert plain(to_column(kind, array)) == (b"", b"")
