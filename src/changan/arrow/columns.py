"""The canonical columns of bundles as Arrow's arrays, and back, without an object a row where values have a fixed width."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from changan.arrow.arrays import from_numpy, from_values
from changan.arrow.kinds import WIDE_BYTES, numpy_type
from changan.contract.compiled.columns import ColumnData
from changan.contract.compiled.layout import fixed_size
from changan.contract.compiled.plain_columns import column_values
from changan.contract.types import BoolType, BytesType, EnumType, IntType, RecordType, TextType, TupleType
from changan.errors import ChanganError
from changan.ledger.bundle import Bundle

if TYPE_CHECKING:
    from changan.contract.types import ValueType

_LENGTH_BYTES = 4


class BadColumnError(ChanganError):
    """An array that holds a value its type does not have."""


def to_array(kind: ValueType, column: ColumnData, rows: int) -> pa.Array:
    """Return a column of a bundle that was checked as an array of `kinds.arrow_type`."""
    lying = numpy_type(kind, "<")
    if lying is not None:
        return from_numpy(kind, np.frombuffer(memoryview(column.data), lying))
    if isinstance(kind, TextType):
        ends = np.zeros(rows + 1, "<i4")
        ends[1:] = np.frombuffer(memoryview(column.ends or b""), "<u4")
        return pa.StringArray.from_buffers(rows, pa.py_buffer(ends), pa.py_buffer(column.data))
    return from_values(kind, column_values(kind, column, rows))


def to_column(kind: ValueType, array: pa.Array) -> ColumnData:
    """Return an array of `kinds.arrow_type` without nulls, validated, as a column of a bundle. Raises BadColumnError."""
    match kind:
        case IntType() if kind.width == WIDE_BYTES:
            return ColumnData(_words_of_decimals(array))
        case IntType():
            return ColumnData(array.to_numpy().astype("<u8" if kind.low == 0 else "<i8").tobytes())
        case BoolType():
            return ColumnData(array.cast(pa.uint8()).to_numpy().tobytes())
        case EnumType():
            places = pc.index_in(array, pa.array(kind.members, pa.string()))
            if places.null_count:
                raise BadColumnError(f"a value is none of {', '.join(kind.members)}")
            return ColumnData(places.cast(pa.uint8()).to_numpy().tobytes())
        case BytesType():
            return ColumnData(_piece(array.buffers()[1], kind.length * array.offset, kind.length * len(array)))
        case TextType():
            ends = np.frombuffer(array.buffers()[1] or b"", "<i4")[array.offset : array.offset + len(array) + 1]
            start, end = (int(ends[0]), int(ends[-1])) if len(array) else (0, 0)
            return ColumnData(
                _piece(array.buffers()[2], start, end - start), (ends[1:] - start).astype("<u4").tobytes()
            )
        case RecordType():
            return _of_records(kind, array)
        case TupleType():
            raise AssertionError("a tuple is only a key")


def _words_of_decimals(array: pa.Array) -> bytes:
    words = np.frombuffer(array.buffers()[1] or b"", "<u8").reshape(-1, 4)[array.offset : array.offset + len(array)]
    if words[:, 2:].any():  # below 0 they are all ones
        raise BadColumnError("a value is below 0 or above 2**128 - 1")
    return words[:, :2].tobytes()


def _piece(buffer: pa.Buffer | None, start: int, size: int) -> bytes:
    data: bytes = b"" if buffer is None else buffer.slice(start, size).to_pybytes()
    return data


def _of_records(kind: RecordType, array: pa.StructArray) -> ColumnData:
    columns = [(part, to_column(part, values)) for (_, part), values in zip(kind.fields, array.flatten(), strict=True)]
    pieces = [b"".join(_inside(part, column, row) for part, column in columns) for row in range(len(array))]
    if fixed_size(kind) is not None:
        return ColumnData(b"".join(pieces))
    return ColumnData(b"".join(pieces), np.fromiter(accumulate(map(len, pieces)), "<u4", len(pieces)).tobytes())


def _inside(kind: ValueType, column: ColumnData, row: int) -> bytes:
    """Return a value as it lies inside a record: a text after its length."""
    data = bytes(Bundle.piece(column, kind, row))
    return len(data).to_bytes(_LENGTH_BYTES, "little") + data if isinstance(kind, TextType) else data
