"""Fields as tables: what lies in an engine's memory and what Arrow, and others who read its stream, see in it."""

from __future__ import annotations

import io

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import ZOO, expected, rows_of

from changan.arrow.fields import FieldTable
from changan.contract.compiled import CompiledInstance
from changan.contract.instance import BlockContext, Call, Code, Row
from changan.contract.plain import PlainInstance
from changan.contract.types import U128, MapType, RecordType

FIELDS = list(ZOO.fields.items())
NAMED = st.sampled_from(FIELDS).flatmap(lambda field: st.tuples(st.just(field), rows_of(*field)))
ENGINES = (PlainInstance, CompiledInstance)


def table_of(instance, name: str, batch_rows: int = 1000) -> pa.Table:
    made = FieldTable(ZOO.fields[name], instance.view(name), {"height": "7"})
    table = pa.Table.from_batches(made.batches(batch_rows), made.schema)
    table.validate(full=True)
    assert table.num_rows == made.row_count
    return table


def holding(engine, rows):
    instance = engine(ZOO, b"z" * 20)
    instance.restore(rows)
    return instance


@settings(max_examples=150)
@given(NAMED, st.integers(1, 9))
def test_a_table_holds_what_the_rows_hold(field, batch_rows):
    (name, kind), rows = field
    for engine in ENGINES:
        table = table_of(holding(engine, rows), name, batch_rows)
        assert table.to_pylist() == expected(kind, rows), engine
        assert table.schema.metadata == {b"height": b"7", b"rows": str(len(rows)).encode()}


@settings(max_examples=60)
@given(st.data())
def test_another_implementation_reads_the_same(data):
    name, kind = data.draw(st.sampled_from([field for field in FIELDS if "U128" not in _kinds(field[1])]))
    rows = data.draw(rows_of(name, kind))
    sink = io.BytesIO()
    table = table_of(holding(CompiledInstance, rows), name, 3)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert pl.read_ipc_stream(sink.getvalue()).to_dicts() == expected(kind, rows)


def _kinds(kind) -> set[str]:
    if isinstance(kind, RecordType):
        return {name for _, part in kind.fields for name in _kinds(part)}
    if isinstance(kind, MapType):
        return _kinds(kind.key) | _kinds(kind.value)
    return _kinds(kind.value) if hasattr(kind, "value") else {kind.name}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "kind"), FIELDS)
def test_an_empty_field_has_its_columns(engine, name, kind):
    table = table_of(engine(ZOO, b"z" * 20), name)
    assert table.num_rows == 0
    assert len(table.schema) >= 1
    assert not any(field.nullable for field in table.schema)


SCHEMAS = {
    "balances": {"key": pa.binary(20), "value": pa.uint64()},
    "wide": {"key": pa.uint64(), "value": pa.decimal256(39, 0)},
    "signed": {"key": pa.int64(), "value": pa.bool_()},
    "by_tuple": {
        "key_0": pa.binary(20), "key_1": pa.uint64(), "key_2": pa.bool_(), "key_3": pa.string(),
        "x": pa.int64(), "y": pa.decimal256(39, 0),
    },
    "by_digest": {
        "key": pa.binary(32), "label": pa.string(), "inside.key": pa.uint64(), "inside.at.x": pa.int64(),
        "inside.at.y": pa.decimal256(39, 0), "inside.color": pa.string(), "inside.on": pa.bool_(),
        "inside.code": pa.binary(4), "note": pa.string(),
    },
    "fixed": {
        "key": pa.binary(4), "value.key": pa.uint64(), "at.x": pa.int64(), "at.y": pa.decimal256(39, 0),
        "color": pa.string(), "on": pa.bool_(), "code": pa.binary(4),
    },
    "names": {"index": pa.uint64(), "value": pa.string()},
    "number": {"value": pa.decimal256(39, 0)},
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_columns_have_the_types_of_the_annotations(name):
    table = table_of(PlainInstance(ZOO, b"z" * 20), name)
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == SCHEMAS[name]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_view_stays_as_it_was_while_calls_run(engine):
    instance = holding(engine, [])
    before = instance.view("number")
    call = Call(b"a" * 20, (1, 2, 3, True, 1, b"f" * 20, b"g" * 32, b"four", "name", (1, 2)), 10**6)
    assert instance.run("every", [call], BlockContext(1, 1))[0].code == Code.OK
    made = FieldTable(U128, before, {})
    assert made.row_count == 0
    assert table_of(instance, "number").to_pylist() == [{"value": 3}]


@pytest.mark.parametrize("engine", ENGINES)
def test_many_rows_come_in_the_order_of_their_keys(engine):
    keys = [(n * 7919 % 5003).to_bytes(20, "little") for n in range(5003)]  # zeros at the end, where numpy cuts strings
    rows = [Row(f"balances.{key.hex()}", n.to_bytes(8, "big")) for n, key in enumerate(keys)]
    table = table_of(holding(engine, rows), "balances", 999)
    assert table["key"].to_pylist() == sorted(keys)
    assert table.to_pylist() == expected(ZOO.fields["balances"], rows)
    assert [len(chunk) for chunk in table["key"].chunks] == [999] * 5 + [8]
