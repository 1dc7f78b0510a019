"""Arrow streams of strangers: what is taken, and everything that is refused by name, bombs and mutated bytes among it."""

from __future__ import annotations

import contextlib
import io
import resource
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import ZOO, values

from changan.arrow import ipc
from changan.arrow.columns import to_array
from changan.arrow.kinds import schema_of
from changan.contract.types import U64, U128, TextType, fixed_bytes
from changan.errors import MalformedError
from changan.ledger.bundle import columns_of

COLUMNS = (("to", fixed_bytes(4)), ("amount", U64), ("note", TextType(20)))
BYTES_MAX = 1 << 20
PLAIN: dict[str, Any] = {
    "to": pa.array([b"aaaa", b"bbbb", b"cccc"], pa.binary(4)),
    "amount": pa.array([1, 2, 3], pa.uint64()),
    "note": pa.array(["x", "", "注"]),
}


def stream(table: pa.Table | dict[str, Any], *, batch_rows: int = 100, **options: Any) -> bytes:
    table = table if isinstance(table, pa.Table) else pa.table(table)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return sink.getvalue()


def read(data: bytes, rows: int = 3, columns=COLUMNS, most: int = BYTES_MAX):
    return [(bytes(found.data), bytes(found.ends or b"")) for found in ipc.read_columns(data, columns, rows, most)]


WANTED = [
    (b"aaaabbbbcccc", b""),
    (b"".join(n.to_bytes(8, "little") for n in (1, 2, 3)), b""),
    ("x注".encode(), b"".join(n.to_bytes(4, "little") for n in (1, 1, 4))),
]


@pytest.mark.parametrize("batch_rows", [1, 2, 3])
def test_a_stream_in_any_number_of_batches(batch_rows):
    assert read(stream(PLAIN, batch_rows=batch_rows)) == WANTED


def test_streams_of_another_implementation():
    frame = pl.DataFrame({"amount": pl.Series([5, 6], dtype=pl.UInt64), "on": [True, False]})
    sink = io.BytesIO()
    frame.write_ipc_stream(sink, compression="uncompressed")
    on = dict(ZOO.method("every").parameters)["d"]
    assert read(sink.getvalue(), 2, (("amount", U64), ("on", on)))[1] == (b"\x01\x00", b"")


@settings(max_examples=60)
@given(st.data())
def test_every_type_comes_through(data):
    parameters = ZOO.method(data.draw(st.sampled_from(["every", "records"]))).parameters
    rows = data.draw(st.lists(st.tuples(*(values(kind) for _, kind in parameters)), min_size=1, max_size=6))
    signature = ZOO.method("every" if len(parameters) > 2 else "records")
    made = columns_of(signature, rows)
    arrays = [to_array(kind, column, len(rows)) for (_, kind), column in zip(parameters, made, strict=True)]
    sent = stream(pa.table(arrays, schema=schema_of(parameters)), batch_rows=data.draw(st.integers(1, 7)))
    assert read(sent, len(rows), parameters) == [(bytes(one.data), bytes(one.ends or b"")) for one in made]


def replaced(**columns: Any) -> dict[str, Any]:
    return {**PLAIN, **columns}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({name: PLAIN[name] for name in ("to", "note")}, "the columns are to, note; the method takes to, amount, note"),
        ({name: PLAIN[name] for name in ("amount", "to", "note")}, "the columns are amount, to, note; the method"),
        ({**PLAIN, "more": PLAIN["amount"]}, "the columns are to, amount, note, more; the method"),
        (replaced(amount=pa.array([1, 2, 3], pa.int64())), "column amount is int64; the method takes uint64"),
        (replaced(amount=pa.array([1, 2, 3], pa.uint32())), "column amount is uint32"),
        (replaced(amount=pa.array([1.0, 2, 3])), "column amount is double"),
        (replaced(amount=pa.nulls(3)), "column amount is null"),
        (replaced(amount=pa.array([1, None, 3], pa.uint64())), "column amount holds nulls"),
        (replaced(to=pa.array([b"aaaa", None, b"cccc"], pa.binary(4))), "column to holds nulls"),
        (replaced(to=pa.array([b"aaaa", b"bbbb", b"cccc"])), "column to is binary; the method takes fixed_size_binary"),
        (replaced(to=pa.array([b"aaa", b"bbb", b"ccc"], pa.binary(3))), "column to is fixed_size_binary"),
        (replaced(note=pa.array(["x", "y", "z"], pa.large_string())), "column note is large_string"),
        (replaced(note=pa.array(["x", "y", "z"], pa.string_view())), "column note is string_view"),
        (replaced(note=PLAIN["note"].dictionary_encode()), "column note is encoded by a dictionary"),
        (replaced(amount=PLAIN["amount"].dictionary_encode()), "column amount is encoded by a dictionary"),
        (replaced(note=pa.array([["x"], [], ["y"]])), "column note is list"),
        ({name: column.slice(0, 2) for name, column in PLAIN.items()}, "has 2 rows, 3 were signed"),
        ({name: column.slice(0, 0) for name, column in PLAIN.items()}, "has 0 rows, 3 were signed"),
        ({name: pa.concat_arrays([column] * 2) for name, column in PLAIN.items()}, "more rows than the 3"),
    ],
)
def test_what_is_not_the_methods(table, says):
    with pytest.raises(MalformedError, match=says):
        read(stream(table))


def test_nulls_inside_a_record():
    kind = dict(ZOO.method("every").parameters)["j"]
    array = pa.array([{"x": 1, "y": None}], pa.struct([("x", pa.int64()), ("y", pa.decimal256(39, 0))]))
    with pytest.raises(MalformedError, match=r"column j.y holds nulls"):
        read(stream({"j": array}), 1, (("j", kind),))
    whole = pa.array([None], pa.struct([("x", pa.int64()), ("y", pa.decimal256(39, 0))]))
    with pytest.raises(MalformedError, match="column j holds nulls"):
        read(stream({"j": whole}), 1, (("j", kind),))


def test_a_number_below_zero_where_u128_is_due():
    array = pa.array([Decimal(-1)], pa.decimal256(39, 0))
    with pytest.raises(MalformedError, match="column n: a value is below 0"):
        read(stream({"n": array}), 1, (("n", U128),))


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_compressed_buffers_are_refused_before_room_is_made_for_them(compression):
    rows = 4_000_000
    bomb = stream(
        {"amount": pa.array([0], pa.uint64()).take(pa.array([0] * rows))}, batch_rows=rows, compression=compression
    )
    assert len(bomb) < rows * 8 // 50
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    allocated = pa.total_allocated_bytes()
    with pytest.raises(MalformedError, match="compressed buffers"):
        read(bomb, rows, (("amount", U64),))
    assert pa.total_allocated_bytes() - allocated < 1 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024  # KiB


def test_more_bytes_than_may_be():
    table = {"note": pa.array(["x" * 1000] * 200)}
    with pytest.raises(MalformedError, match="at most 1000 are allowed"):
        read(stream(table, batch_rows=1000), 200, (("note", TextType(1000)),), 1000)


def test_more_batches_than_may_be():
    table = {"amount": pa.array(range(300), pa.uint64())}
    assert len(read(stream(table, batch_rows=2), 300, (("amount", U64),))) == 1
    with pytest.raises(MalformedError, match="more than 256 batches"):
        read(stream(table, batch_rows=1), 300, (("amount", U64),))


def test_a_schema_that_goes_on_for_ever():
    wide = pa.table({f"c{n}": pa.array([1], pa.uint64()) for n in range(2000)})
    with pytest.raises(MalformedError, match=r"bytes of metadata, at most 65536"):
        read(stream(wide), 1)
    deep: pa.DataType = pa.uint64()
    for _ in range(60):
        deep = pa.struct([("f", deep)])
    with pytest.raises(MalformedError, match=r"column amount is struct|no Arrow"):
        read(stream(pa.table({"amount": pa.nulls(1, deep)})), 1, (("amount", U64),))


GOOD = stream(PLAIN, batch_rows=2)


@pytest.mark.parametrize("cut", range(0, len(GOOD), 8))
def test_a_stream_that_is_cut(cut):
    for data in (GOOD[:cut], GOOD[:cut] + ipc._END):
        if data != GOOD:
            with pytest.raises(MalformedError):
                read(data)


@pytest.mark.parametrize("more", [b"x", bytes(8), ipc._END, GOOD, stream(PLAIN)])
def test_what_follows_the_end(more):
    with pytest.raises(MalformedError):
        read(GOOD + more)


@pytest.mark.parametrize(
    "data", [b"", b"ARROW1", ipc._END, ipc._END * 2, b"\xff" * 400 + ipc._END, b"\x00" * 400 + ipc._END]
)
def test_what_is_no_stream(data):
    with pytest.raises(MalformedError):
        read(data)


def test_messages_in_another_order():
    messages = []
    source = pa.BufferReader(GOOD)
    while source.tell() < len(GOOD) - 8:
        start = source.tell()
        pa.ipc.read_message(source)
        messages.append(GOOD[start : source.tell()])
    schema, first, second = messages
    assert read(schema + second + first + ipc._END) != WANTED  # the signature holds them to their order
    for parts in ([first, second], [schema, schema, first, second], [first, schema, second], [schema, first, schema]):
        with pytest.raises(MalformedError, match=r"where a (schema|record batch) is due"):
            read(b"".join(parts) + ipc._END)


@settings(max_examples=4000)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_mutated_bytes_are_refused_or_are_columns_like_others(changes):
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    try:
        found = read(bytes(data))
    except MalformedError as error:
        assert len(str(error)) < 1000
        return
    to, amount, note = found
    assert (len(to[0]), len(amount[0]), len(note[1])) == (12, 24, 12)
    note[0].decode()


@settings(max_examples=1500)
@given(st.integers(0, len(GOOD) // 4 - 1), st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**30, 64, 2**24]))
def test_words_at_their_edges_cost_no_memory(place, word):
    data = GOOD[: 4 * place] + word.to_bytes(4, "little") + GOOD[4 * place + 4 :]
    allocated = pa.total_allocated_bytes()
    with contextlib.suppress(MalformedError):
        read(data)
    assert pa.total_allocated_bytes() - allocated < 1 << 20
