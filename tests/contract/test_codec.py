"""Values as bytes and as text: both ways round, and what is refused."""

from __future__ import annotations

import json

import pytest
from contract_running import Runner, contract
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.contract.codec import BadArgumentError, from_text, pack, to_text, unpack
from changan.contract.types import (
    ADDRESS,
    BOOL,
    DIGEST,
    I64,
    U64,
    U128,
    EnumType,
    RecordType,
    TextType,
    TupleType,
    fixed_bytes,
    is_value,
    words,
    zero,
)
from changan.errors import MalformedError

COLOR = EnumType("Color", ("RED", "GREEN", "BLUE"))
NOTE = TextType(20)
FOUR = fixed_bytes(4)
POINT = RecordType("Point", (("x", I64), ("y", I64)))
EVERYTHING = RecordType(
    "Everything",
    (
        ("u", U64), ("i", I64), ("w", U128), ("b", BOOL), ("c", COLOR), ("who", ADDRESS), ("d", DIGEST), ("f", FOUR),
        ("t", NOTE), ("p", POINT),
    ),
)  # fmt: skip
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda text: len(text.encode()) <= 20)
SIMPLE = {
    U64: st.integers(0, 2**64 - 1),
    I64: st.integers(-(2**63), 2**63 - 1),
    U128: st.integers(0, 2**128 - 1),
    BOOL: st.booleans(),
    COLOR: st.integers(0, 2),
    ADDRESS: st.binary(min_size=20, max_size=20),
    DIGEST: st.binary(min_size=32, max_size=32),
    FOUR: st.binary(min_size=4, max_size=4),
    NOTE: TEXTS,
}
SIMPLE[POINT] = st.tuples(SIMPLE[I64], SIMPLE[I64])
SIMPLE[EVERYTHING] = st.tuples(*(SIMPLE[kind] for _, kind in EVERYTHING.fields))
KINDS = list(SIMPLE)
KEY = TupleType((ADDRESS, U64, BOOL, COLOR))
SIMPLE[KEY] = st.tuples(*(SIMPLE[kind] for kind in KEY.items))
ANY = st.sampled_from(list(SIMPLE)).flatmap(lambda kind: st.tuples(st.just(kind), SIMPLE[kind]))


@settings(max_examples=400, deadline=None)
@given(ANY)
def test_bytes_both_ways(pair):
    kind, value = pair
    data = pack(kind, value)
    again = unpack(kind, data)
    assert again == value
    assert type(again) is type(value)
    assert is_value(kind, again)
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(MalformedError):
            unpack(kind, wrong)


@settings(max_examples=300, deadline=None)
@given(ANY)
def test_different_values_have_different_bytes(pair):
    kind, value = pair
    assert (pack(kind, value) == pack(kind, zero(kind))) == (value == zero(kind))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([kind for kind in SIMPLE if kind is not KEY]), st.data())
def test_text_both_ways(kind, data):
    value = data.draw(SIMPLE[kind])
    again = from_text(kind, to_text(kind, value).encode())
    assert again == value
    assert type(again) is type(value)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(SIMPLE)), st.binary(max_size=60))
def test_random_bytes_are_a_value_or_refused(kind, data):
    try:
        value = unpack(kind, data)
    except MalformedError:
        pass
    else:
        assert is_value(kind, value)
        assert pack(kind, value) == data
    if kind is not KEY:
        try:
            value = from_text(kind, data)
        except MalformedError:
            return
        assert is_value(kind, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_random_json_is_a_record_or_refused(value):
    try:
        found = from_text(POINT, json.dumps(value).encode())
    except MalformedError:
        return
    assert is_value(POINT, found)


GOOD = [
    (U64, b"0", 0), (U64, b"18446744073709551615", 2**64 - 1), (I64, b"-9223372036854775808", -(2**63)), (I64, b"5", 5),
    (U128, str(2**128 - 1).encode(), 2**128 - 1), (BOOL, b"true", True), (BOOL, b"false", False), (COLOR, b"GREEN", 1),
    (ADDRESS, b"\xff" * 20, b"\xff" * 20), (ADDRESS, b"ab" * 20, b"\xab" * 20), (ADDRESS, b"AB" * 20, b"\xab" * 20),
    (DIGEST, b"0" * 64, bytes(32)), (DIGEST, b"0" * 32, b"0" * 32), (FOUR, b"abcd", b"abcd"),
    (FOUR, b"abcdef01", b"\xab\xcd\xef\x01"),
    (NOTE, b"", ""), (NOTE, "存证".encode(), "存证"), (NOTE, b"x" * 20, "x" * 20), (NOTE, b'{"a":1}', '{"a":1}'),
    (POINT, b'{"x":"1","y":"-2"}', (1, -2)), (POINT, b'{"y":-2, "x":1}', (1, -2)), (POINT, b' {"x":0,"y":0} ', (0, 0)),
]  # fmt: skip
BAD = [
    (U64, b""), (U64, b"-1"), (U64, b"18446744073709551616"), (U64, b"+1"), (U64, b"01"), (U64, b"1.0"),
    (U64, b"1e3"), (U64, b" 1"),
    (U64, b"1 "), (U64, b"1\n"), (U64, b"0x10"), (U64, b"1_000"), (U64, "１".encode()), (U64, "٣".encode()),
    (U64, b"\xff"),
    (U64, b"9" * 10_000), (U64, b"true"), (U64, b'"1"'), (U64, b"None"), (I64, b"-0"), (I64, b"9223372036854775808"),
    (I64, b"-9223372036854775809"), (I64, b"--1"), (I64, b"-"), (U128, str(2**128).encode()), (U128, b"-1"),
    (BOOL, b""),
    (BOOL, b"True"), (BOOL, b"1"), (BOOL, b"0"), (BOOL, b"yes"), (BOOL, b"true "), (COLOR, b""), (COLOR, b"green"),
    (COLOR, b"0"),
    (COLOR, b"Color.RED"), (COLOR, b"PINK"), (ADDRESS, b""), (ADDRESS, b"a" * 19), (ADDRESS, b"a" * 21),
    (ADDRESS, b"a" * 39),
    (ADDRESS, b"g" * 40), (ADDRESS, b"0x" + b"ab" * 20), (ADDRESS, b" " + b"ab" * 19 + b"a"), (ADDRESS, b"\xff" * 40),
    (ADDRESS, "ａ".encode() * 13 + b"a"), (DIGEST, b"a" * 63), (DIGEST, b"a" * 65), (FOUR, b"abc"), (FOUR, b"abcde"),
    (FOUR, b"abcdefgh"),
    (NOTE, b"x" * 21), (NOTE, "存".encode() * 7), (NOTE, b"\xff"), (NOTE, b"\xed\xa0\x80"), (NOTE, b"\xc0\x80"),
    (POINT, b""),
    (POINT, b"{}"), (POINT, b"[1,2]"), (POINT, b"null"), (POINT, b'{"x":1}'), (POINT, b'{"x":1,"y":2,"z":3}'),
    (POINT, b'{"x":1,"y":2.0}'),
    (POINT, b'{"x":1,"y":true}'), (POINT, b'{"x":1,"y":null}'), (POINT, b'{"x":1,"y":"2 "}'),
    (POINT, b'{"x":1,"y":[2]}'),
    (POINT, b'{"x":1,"x":1,"y":2}'), (POINT, b'{"x":1,"y":NaN}'), (POINT, b'{"x":1,"y":Infinity}'),
    (POINT, b'{"x":1,"y":1e2}'),
    (POINT, b'{"x":1,"y":' + b"9" * 5000 + b"}"), (POINT, b'{"x":1,"y":9223372036854775808}'),
    (POINT, b'{"X":1,"y":2}'),
    (POINT, b'{"x":1,"y":2}{"x":1,"y":2}'), (POINT, b'{"x":1,"y":2,}'), (POINT, b"[" * 60_000),
    (POINT, b'{"x":' * 10_000),
    (POINT, b'{"x":1,"y":2' + b" " * 70_000 + b"}"), (POINT, b"\xef\xbb\xbf" + b'{"x":1,"y":2}'),
    (POINT, b'{"x":1,"y":"\xff"}'),
    (POINT, b'{"x":1,"\\ud800":2}'), (RecordType("T", (("t", NOTE),)), b'{"t":"\\ud800"}'),
    (RecordType("T", (("t", NOTE),)), b'{"t":5}'),
    (RecordType("T", (("t", NOTE),)), b'{"t":"' + b"x" * 21 + b'"}'),
    (RecordType("D", (("d", FOUR),)), b'{"d":"abcd"}'),
    (RecordType("P", (("p", POINT),)), b'{"p":"{}"}'), (RecordType("P", (("p", POINT),)), b'{"p":{"x":1}}'),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "value"), GOOD)
def test_text_that_is_a_value(kind, data, value):
    found = from_text(kind, data)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("kind", "data"), BAD, ids=[f"{kind.name} {data[:30]!r}" for kind, data in BAD])
def test_text_that_is_no_value(kind, data):
    with pytest.raises(MalformedError):
        from_text(kind, data)


BAD_BYTES = [
    (BOOL, b"\2"), (BOOL, b"\xff"), (COLOR, b"\3"), (COLOR, b"\xff"), (NOTE, b"\0\0\0\1\xff"), (NOTE, b"\0\0\0\2a"),
    (NOTE, b"\0\0\0"),
    (NOTE, b"\0\0\0\0a"), (NOTE, b"\0\0\0\x15" + b"x" * 21), (NOTE, b"\xff\xff\xff\xff"),
    (NOTE, b"\0\0\0\3\xed\xa0\x80"),
    (POINT, bytes(15)), (POINT, bytes(17)), (KEY, bytes(28) + b"\2\0"), (KEY, bytes(28) + b"\0\3"), (U128, bytes(8)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data"), BAD_BYTES)
def test_bytes_that_are_no_value(kind, data):
    with pytest.raises(MalformedError):
        unpack(kind, data)


NOT_VALUES = [
    (U64, -1), (U64, 2**64), (U64, True), (U64, "1"), (U64, 1.0), (U64, None), (I64, 2**63), (BOOL, 1), (BOOL, 0),
    (COLOR, 3),
    (COLOR, -1), (COLOR, True), (COLOR, "RED"), (ADDRESS, b"a"), (ADDRESS, "a" * 20), (ADDRESS, bytearray(20)),
    (NOTE, "x" * 21),
    (NOTE, b"x"), (NOTE, "\ud800"), (POINT, (1,)), (POINT, (1, 2, 3)), (POINT, [1, 2]), (POINT, (1, "2")),
    (KEY, (bytes(20), 1, 1, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), NOT_VALUES)
def test_what_is_no_value(kind, value):
    assert not is_value(kind, value)


def test_words():
    expected = {U64: 1, I64: 1, U128: 2, BOOL: 1, COLOR: 1, ADDRESS: 3, DIGEST: 4, FOUR: 1, NOTE: 1, POINT: 2, KEY: 6}
    assert {kind: words(kind) for kind in expected} == expected
    assert words(EVERYTHING) == 1 + 1 + 2 + 1 + 1 + 3 + 4 + 1 + 1 + 2


def test_text_of_results():
    value = (1, -1, 2**128 - 1, True, 2, b"\xab" * 20, bytes(32), b"abcd", '存"证', (0, 5))
    assert to_text(EVERYTHING, value) == (
        '{"u":"1","i":"-1","w":"340282366920938463463374607431768211455","b":true,"c":"BLUE","who":"' + "ab" * 20 + '","d":"'
        + "00" * 32 + '","f":"61626364","t":"存\\"证","p":{"x":"0","y":"5"}}'
    )  # fmt: skip
    assert to_text(BOOL, True) == "true"
    assert to_text(COLOR, 1) == "GREEN"
    assert to_text(NOTE, "true") == "true"
    assert to_text(None, None) == ""


def test_arguments_name_what_is_wrong():
    source = contract(
        "@call\ndef f(self, a: U64, to: Address) -> None:\n    pass\n@call\ndef g(self) -> None:\n    pass"
    )
    program = Runner(source).program
    assert program.decode_arguments("f", {"to": b"b" * 20, "a": b"5"}) == (5, b"b" * 20)
    assert program.decode_arguments("g", {}) == ()
    for given_, text in [
        ({"a": b"5"}, "to is missing: f takes a: U64, to: Address"),
        ({}, "a is missing: f takes a: U64, to: Address"),
        ({"a": b"5", "to": b"b" * 20, "x": b""}, "f has no parameter 'x'; its parameters are a, to"),
        ({"a": b"-5", "to": b"b" * 20}, "a: '-5' is no U64: a decimal number from 0 to 18446744073709551615"),
        ({"a": b"5", "to": b"b"}, "to: this is no Address: 40 hex digits or 20 raw bytes"),
    ]:
        with pytest.raises(BadArgumentError) as error:
            program.decode_arguments("f", given_)
        assert str(error.value) == text
    with pytest.raises(BadArgumentError, match="g has no parameter 'x'; its parameters are none"):
        program.decode_arguments("g", {"x": b""})
