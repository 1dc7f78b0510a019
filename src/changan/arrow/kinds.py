"""The language's types as Arrow's: which column a value becomes, and how its fixed bytes lie for numpy.

U64 and I64 are Arrow's integers of 64 bits, U128 is decimal256(39, 0), which alone holds all of it exactly. An address and
fixed bytes are fixed_size_binary, Text and the names of enum members are string, Bool is bool, a record is a struct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from changan.contract.types import (
    U64,
    BoolType,
    BytesType,
    EnumType,
    FieldType,
    IntType,
    ListType,
    MapType,
    RecordType,
    TextType,
    TupleType,
    ValueType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDE_BYTES = 16
"""The width of U128, which no type of numpy has: two words."""
Column = tuple[str, ValueType]
Order = Literal["<", ">"]


def arrow_type(kind: ValueType) -> pa.DataType:
    """Return the type of a column of values. A tuple is only a key, and takes a column a part (`key_columns`)."""
    match kind:
        case IntType():
            return pa.decimal256(39, 0) if kind.width == WIDE_BYTES else pa.uint64() if kind.low == 0 else pa.int64()
        case BoolType():
            return pa.bool_()
        case BytesType():
            return pa.binary(kind.length)
        case EnumType() | TextType():
            return pa.string()
        case RecordType():
            return pa.struct([pa.field(name, arrow_type(part), nullable=False) for name, part in kind.fields])
        case TupleType():
            raise AssertionError("a tuple is only a key")


def schema_of(columns: tuple[Column, ...], *, nullable: bool = False) -> pa.Schema:
    """Return the schema of columns."""
    return pa.schema([pa.field(name, arrow_type(kind), nullable=nullable) for name, kind in columns])


def numpy_type(kind: ValueType, order: Order) -> np.dtype | None:
    """Return how values lie one after another at a byte order, or None for such as have texts."""
    match kind:
        case IntType():
            word = np.dtype(f"{order}{'u' if kind.low == 0 else 'i'}8")
            return np.dtype((word, (2,))) if kind.width == WIDE_BYTES else word
        case BoolType() | EnumType():
            return np.dtype("u1")
        case BytesType():
            return np.dtype(f"V{kind.length}")
        case TextType():
            return None
    parts = kind.fields if isinstance(kind, RecordType) else [(str(at), item) for at, item in enumerate(kind.items)]
    return packed_type(parts, order)


def packed_type(columns: tuple[Column, ...] | list[Column], order: Order) -> np.dtype | None:
    """Return how rows of several values lie, each value a field; None where one of them has texts."""
    types = [(name, numpy_type(kind, order)) for name, kind in columns]
    return None if any(found is None for _, found in types) else np.dtype(types)


def key_columns(kind: FieldType) -> tuple[Column, ...]:
    """Return the columns of a field's keys: `index` of a list, `key` of a map, or `key_0`, `key_1`, … of a map of tuples."""
    match kind:
        case MapType(key=TupleType() as several):
            return tuple((f"key_{at}", item) for at, item in enumerate(several.items))
        case MapType():
            return (("key", kind.key),)
        case ListType():
            return (("index", U64),)
        case _:
            return ()


def value_columns(kind: ValueType, others: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns of values beside others: `value`, or the fields of a record, those of records inside after a dot.

    A record's field that is called as another column gets `value.` before its name.
    """
    taken = {name for name, _ in others}
    return tuple((f"value.{name}" if name in taken else name, part) for name, part in _flat("", kind))


def _flat(name: str, kind: ValueType) -> list[Column]:
    if not isinstance(kind, RecordType):
        return [(name or "value", kind)]
    return [found for part, item in kind.fields for found in _flat(f"{name}.{part}" if name else part, item)]
