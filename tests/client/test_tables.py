"""Tables and the bundles that they become: every kind of column, every frame, every refusal, against decoding by other code."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.client.tables import Method, TableError
from changan.contract.compiled import marshal
from changan.contract.instance import Code
from changan.contract.types import TextType
from changan.ledger.bundle import ROWS_MAX, BundleError, decode_bundle
from changan.ledger.wire.messages import BundleRows

KINDS = {
    "u": ("U64", st.integers(0, 2**64 - 1)),
    "i": ("I64", st.integers(-(2**63), 2**63 - 1)),
    "w": ("U128", st.integers(0, 2**128 - 1)),
    "on": ("Bool", st.booleans()),
    "who": ("Address", st.binary(min_size=20, max_size=20)),
    "digest": ("Bytes[32]", st.binary(min_size=32, max_size=32)),
    "four": ("Bytes[4]", st.binary(min_size=4, max_size=4)),
    "note": ("Text[12]", st.text(st.characters(codec="utf-8"), max_size=3)),
    "color": ("Color", st.sampled_from(["RED", "GREEN"])),
    "place": ("Place", st.fixed_dictionaries({"x": st.integers(-9, 9), "name": st.text("abc", max_size=4)})),
}
DESCRIPTION = {
    "methods": [
        {
            "name": "put",
            "kind": "call",
            "parameters": [{"name": name, "type": kind} for name, (kind, _) in KINDS.items()],
            "result": "Place",
        },
        {"name": "look", "kind": "view", "parameters": [], "result": "U64"},
        {"name": "touch", "kind": "call", "parameters": [], "result": None},
        *(
            {"name": f"one_{name}", "kind": "call", "parameters": [{"name": "v", "type": kind}], "result": kind}
            for name, (kind, _) in KINDS.items()
        ),
    ],
    "enums": {"Color": ["RED", "GREEN"]},
    "records": {"Place": [{"name": "x", "type": "I64"}, {"name": "name", "type": "Text[8]"}]},
}
ROWS = st.lists(st.fixed_dictionaries({name: values for name, (_, values) in KINDS.items()}), min_size=1, max_size=6)


def read_back(method: Method, data: bytes) -> list[tuple]:
    bundle = decode_bundle(data, method.signature)
    return [bundle.arguments(method.signature, row) for row in range(bundle.rows)]


def as_contracts_hold(row: dict) -> tuple:
    color = {"RED": 0, "GREEN": 1}[row["color"]]
    return tuple((row | {"color": color, "place": (row["place"]["x"], row["place"]["name"])})[name] for name in KINDS)


@given(ROWS, st.integers(1, 4), st.integers(0, 2**64 - 1))
def test_a_table_comes_back_row_by_row(rows, size, budget):
    method = Method(DESCRIPTION, "put")
    table = {name: [row[name] for row in rows] for name in KINDS}
    bundles = list(method.bundles(table, size, budget))
    assert [count for count, _ in bundles] == [len(rows[at : at + size]) for at in range(0, len(rows), size)]
    found = [arguments for _, data in bundles for arguments in read_back(method, data)]
    assert found == [as_contracts_hold(row) for row in rows]
    assert {decode_bundle(data, method.signature).budget for _, data in bundles} == {budget}


@given(ROWS, st.randoms(use_true_random=False), st.data())
def test_a_bundle_has_one_encoding_and_nothing_follows_it(rows, random, data):
    method = Method(DESCRIPTION, "put")
    columns = list(KINDS)
    random.shuffle(columns)
    [(_, whole)] = method.bundles({name: [row[name] for row in rows] for name in KINDS}, 10, 0)
    [(_, again)] = method.bundles({name: [row[name] for row in rows] for name in columns}, 10, 0)
    assert again == whole
    cut = data.draw(st.integers(1, len(whole)))
    for broken in (whole[:-cut], whole + b"\0"):
        with pytest.raises(BundleError):
            decode_bundle(broken, method.signature)


class Arrow:
    """A pyarrow Table, as far as it is asked."""

    def __init__(self, columns) -> None:
        self._columns = columns

    def to_pydict(self):
        return self._columns


class Polars:
    def __init__(self, columns) -> None:
        self._columns = columns

    def get_columns(self):
        raise AssertionError("only whether it is there counts")

    def to_dict(self, *, as_series):
        assert not as_series
        return self._columns


class Pandas:
    def __init__(self, columns) -> None:
        self._columns = columns

    def to_dict(self, orient):
        assert orient == "list"
        return self._columns


class Numpy:
    """A whole number of numpy: no int, but good for an index."""

    def __index__(self) -> int:
        return 7

    def __int__(self) -> int:
        return 7


@pytest.mark.parametrize("frame", [dict, Arrow, Polars, Pandas])
def test_frames_of_every_library(frame):
    method = Method(DESCRIPTION, "one_u")
    [(count, data)] = method.bundles(frame({"v": [1, 2]}), 10, 0)
    assert (count, read_back(method, data)) == (2, [(1,), (2,)])


@pytest.mark.parametrize(
    ("kind", "given_value", "held"),
    [
        ("u", Numpy(), 7),
        ("who", "ab" * 20, b"\xab" * 20),
        ("who", bytearray(20), bytes(20)),
        ("digest", memoryview(bytes(32)), bytes(32)),
        ("color", "GREEN", 1),
        ("color", 0, 0),
        ("place", {"name": "a", "x": -1}, (-1, "a")),
        ("place", (5, "b"), (5, "b")),
        ("note", "四字成语", "四字成语"),
        ("on", True, True),
    ],
)
def test_ways_to_write_a_value(kind, given_value, held):
    method = Method(DESCRIPTION, f"one_{kind}")
    [(_, data)] = method.bundles({"v": [given_value]}, 1, 0)
    assert read_back(method, data) == [(held,)]


@pytest.mark.parametrize(
    ("kind", "bad", "words"),
    [
        ("u", -1, "v, row 1: U64 wanted, this is -1"),
        ("u", 2**64, f"v, row 1: U64 wanted, this is {2**64}"),
        ("u", 1.0, "v, row 1: U64 wanted, this is 1.0"),
        ("u", "1", "v, row 1: U64 wanted, this is '1'"),
        ("u", True, "v, row 1: U64 wanted, this is True"),
        ("u", None, "v, row 1: U64 wanted, this is None"),
        ("i", 2**63, f"v, row 1: I64 wanted, this is {2**63}"),
        ("w", -1, "v, row 1: U128 wanted, this is -1"),
        ("on", 1, "v, row 1: Bool wanted, this is 1"),
        ("who", "ab" * 19, f"v, row 1: Address wanted, this is {'ab' * 19!r}"),
        ("who", "zz" * 20, f"v, row 1: Address wanted, this is {'zz' * 20!r}"),
        ("digest", b"", "v, row 1: Bytes[32] wanted, this is b''"),
        ("four", b"12345", "v, row 1: Bytes[4] wanted, this is b'12345'"),
        ("note", "四字成语!", "v, row 1: Text[12] wanted, this is '四字成语!'"),
        ("note", "\ud800", "v, row 1: Text[12] wanted, this is '\\ud800'"),
        ("color", "BLUE", "v, row 1: Color wanted, this is 'BLUE'"),
        ("color", 2, "v, row 1: Color wanted, this is 2"),
        ("place", {"x": 1}, "v, row 1: Place wanted, this is {'x': 1}"),
        ("place", {"x": 1, "name": "a", "z": 0}, "v, row 1: Place wanted, this is {'x': 1, 'name': 'a', 'z': 0}"),
        ("place", {"x": "1", "name": "a"}, "v.x, row 1: I64 wanted, this is '1'"),
        ("place", {"x": 1, "name": "a" * 9}, "v.name, row 1: Text[8] wanted, this is 'aaaaaaaaa'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_column_and_row(kind, bad, words):
    method = Method(DESCRIPTION, f"one_{kind}")
    values = {
        "u": 0,
        "i": 0,
        "w": 0,
        "on": False,
        "who": bytes(20),
        "digest": bytes(32),
        "four": bytes(4),
        "note": "",
        "color": 0,
        "place": (0, ""),
    }
    with pytest.raises(TableError) as caught:
        list(method.bundles({"v": [values[kind], bad]}, 1, 0))
    assert str(caught.value) == words


def test_a_long_value_is_shown_in_part():
    with pytest.raises(TableError) as caught:
        list(Method(DESCRIPTION, "one_note").bundles({"v": ["x" * 10_000]}, 1, 0))
    assert len(str(caught.value)) == 300


@pytest.mark.parametrize(
    ("table", "rows", "words"),
    [
        ({}, 1, "column v is missing; the method takes v"),
        ({"v": [1], "more": [1]}, 1, "column more is none of the method's; the method takes v"),
        ({"V": [1]}, 1, "column v is missing; the method takes v"),
        ({"v": []}, 1, "the table has no rows"),
        ({"v": [1]}, 0, f"a bundle has 1 to {ROWS_MAX} rows, not 0"),
        ({"v": [1]}, ROWS_MAX + 1, f"a bundle has 1 to {ROWS_MAX} rows, not {ROWS_MAX + 1}"),
        ([("v", [1])], 1, "a table is a pyarrow Table, a polars or pandas DataFrame or a dict, not list"),
        (None, 1, "a table is a pyarrow Table, a polars or pandas DataFrame or a dict, not NoneType"),
    ],
    ids=range(8),
)
def test_tables_that_do_not_fit(table, rows, words):
    with pytest.raises(TableError) as caught:
        list(Method(DESCRIPTION, "one_u").bundles(table, rows, 0))
    assert str(caught.value) == words


def test_columns_of_different_length():
    table = {name: [] for name in KINDS} | {"u": [1, 2], "i": [1]}
    with pytest.raises(TableError, match=r"^the columns differ in length: u 2, i 1, w 0, "):
        list(Method(DESCRIPTION, "put").bundles(table, 1, 0))


def test_a_method_that_takes_nothing_has_no_rows():
    with pytest.raises(TableError, match="the table has no rows"):
        list(Method(DESCRIPTION, "touch").bundles({}, 1, 0))


@pytest.mark.parametrize("name", ["look", "nothing", ""])
def test_only_calls_are_sent(name):
    with pytest.raises(TableError, match=rf"^the contract has no @call {name}; it has put, touch, one_u"):
        Method(DESCRIPTION, name)


def test_a_bundle_of_another_method_is_refused():
    [(_, data)] = Method(DESCRIPTION, "one_u").bundles({"v": [1]}, 1, 0)
    with pytest.raises(BundleError, match=r"the columns are not those of one_i\(v: I64\): build the bundle again"):
        decode_bundle(data, Method(DESCRIPTION, "one_i").signature)


# What comes back


def rows_of(method: Method, results: list, words: list[int]) -> BundleRows:
    kind = method.signature.result
    pieces = [] if kind is None else [marshal.write_alone(kind, value) for value in results]
    ends = [sum(map(len, pieces[: at + 1])) for at in range(len(pieces))]
    variable = kind is not None and (isinstance(kind, TextType) or len(set(map(len, pieces))) > 1)
    return BundleRows(
        outcomes=struct.pack(f"<{len(words)}I", *words),
        gas=struct.pack(f"<{len(words)}Q", *range(10, 10 + len(words))),
        results=b"".join(pieces),
        result_ends=struct.pack(f"<{len(ends)}I", *ends) if variable else b"",
    )


@pytest.mark.parametrize(
    ("kind", "held", "shown"),
    [
        ("u", 2**64 - 1, 2**64 - 1),
        ("i", -5, -5),
        ("w", 2**100, 2**100),
        ("on", True, True),
        ("who", b"\7" * 20, b"\7" * 20),
        ("color", 1, "GREEN"),
        ("note", "字", "字"),
    ],
)
def test_results_as_python_has_them(kind, held, shown):
    method = Method(DESCRIPTION, f"one_{kind}")
    [row] = method.outcomes(rows_of(method, [held], [0]))
    assert (row.result, row.succeeded, row.gas) == (shown, True, 10)
    assert type(row.result) is type(shown)


def test_each_row_has_its_own_outcome():
    method = Method(DESCRIPTION, "put")
    words = [0, Code.DECLINED | 3 << 8 | 40 << 16, Code.OUT_OF_GAS | 65_535 << 16, 0]
    found = method.outcomes(rows_of(method, [(1, "a"), (0, ""), (0, ""), (-2, "bcd")], words))
    assert [row.result for row in found] == [{"x": 1, "name": "a"}, None, None, {"x": -2, "name": "bcd"}]
    assert [(row.code, row.detail, row.line) for row in found] == [
        (Code.OK, 0, 0),
        (Code.DECLINED, 3, 40),
        (Code.OUT_OF_GAS, 0, 65_535),
        (Code.OK, 0, 0),
    ]
    assert [row.succeeded for row in found] == [True, False, False, True]
    assert [row.gas for row in found] == [10, 11, 12, 13]


def test_a_method_without_a_result_gives_none():
    method = Method(DESCRIPTION, "touch")
    assert [row.result for row in method.outcomes(rows_of(method, [], [0, 1]))] == [None, None]
