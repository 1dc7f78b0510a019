"""The rows of a contract's field as record batches: keys and values as columns, in the order of the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from changan.arrow.arrays import from_numpy, from_values
from changan.arrow.kinds import key_columns, packed_type, schema_of, value_columns
from changan.contract.codec import pack, unpack
from changan.contract.types import U64, ListType, MapType, RecordType, TupleType, value_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from changan.arrow.kinds import Column
    from changan.contract.field_view import FieldView
    from changan.contract.instance import Row, Value
    from changan.contract.types import FieldType, ValueType

_HEAD = "0"  # before each packed row; no field of a contract has such a name
_HEAD_BYTES = 8


class FieldTable:
    """One field at a moment. To make one puts its rows in order, which takes a while: not on the event loop."""

    def __init__(self, kind: FieldType, view: FieldView, metadata: Mapping[str, str]) -> None:
        """Take a field of a type; `metadata` goes into the schema, with the number of rows as `rows`."""
        self._kind = kind
        keys = key_columns(kind)
        self._columns = (*keys, *value_columns(value_type(kind), keys))
        lying = packed_type(self._columns, ">")
        self._rows: np.ndarray[Any, Any] | list[Row] = (
            view.in_order() if lying is None else _in_order(view, lying, kind)
        )
        self.row_count = len(self._rows)
        self.schema = schema_of(self._columns).with_metadata({**metadata, "rows": str(self.row_count)})

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows, so many at a time."""
        for start in range(0, self.row_count, rows):
            piece = self._rows[start : start + rows]
            if isinstance(piece, list):
                values = value_type(self._kind)
                found = [
                    (*_key(self._kind, row.key), *leaves(values, unpack(values, row.value or b""))) for row in piece
                ]
                arrays = columns_of(self._columns, found)
            else:
                arrays = [from_numpy(kind, piece[name]) for name, kind in self._columns]
            yield pa.record_batch(arrays, schema=self.schema)


def _in_order(view: FieldView, lying: np.dtype[Any], kind: FieldType) -> np.ndarray[Any, Any]:
    """Return rows of fixed width as they lie, sorted by key."""
    data = view.packed
    if data is None:
        data = b"".join(bytes(_HEAD_BYTES) + _key_bytes(row.key) + (row.value or b"") for row in view.in_order())
    elif isinstance(kind, ListType) and data:  # its length comes first, as a row without a key
        data = data[_HEAD_BYTES + len(pack(U64, 0)) :]
    key_size = sum(lying[name].itemsize for name, _ in key_columns(kind))
    rows = np.frombuffer(data, [(_HEAD, f"V{_HEAD_BYTES}"), *((name, lying[name]) for name in lying.names or ())])
    if view.packed is None or not isinstance(kind, MapType):
        return rows
    # Keys of one length sort as strings of their bytes: the zeros at the end, which numpy leaves out, decide nothing.
    keys = np.frombuffer(data, "u1").reshape(len(rows), rows.dtype.itemsize)[:, _HEAD_BYTES : _HEAD_BYTES + key_size]
    return rows[np.argsort(np.ascontiguousarray(keys).view(f"S{key_size}")[:, 0], kind="stable")]


def _key_bytes(row_key: str) -> bytes:
    return bytes.fromhex(row_key.partition(".")[2])


def _key(kind: FieldType, row_key: str) -> tuple[Value, ...]:
    data = _key_bytes(row_key)
    if isinstance(kind, MapType):
        key = unpack(kind.key, data)
        return key if isinstance(kind.key, TupleType) else (key,)  # type: ignore[return-value]  # parts are values
    return (unpack(U64, data),) if isinstance(kind, ListType) else ()


def leaves(kind: ValueType, value: Value) -> list[Value]:
    """Return what a value puts into the columns of `kinds.value_columns`; None puts nothing into any."""
    if not isinstance(kind, RecordType):
        return [value]
    parts = value if isinstance(value, tuple) else (None,) * len(kind.fields)
    return [leaf for (_, part), item in zip(kind.fields, parts, strict=True) for leaf in leaves(part, item)]  # type: ignore[arg-type]  # parts are values


def columns_of(columns: tuple[Column, ...], rows: list[tuple[Value, ...]]) -> list[pa.Array]:
    """Return rows of values as columns."""
    across = zip(*rows, strict=True) if rows else [()] * len(columns)
    return [from_values(kind, values) for (_, kind), values in zip(columns, across, strict=True)]
