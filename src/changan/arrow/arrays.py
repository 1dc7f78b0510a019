"""Values as Arrow's arrays: from numpy where they lie at fixed places, from Python objects where they have texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from changan.arrow.kinds import WIDE_BYTES, arrow_type
from changan.contract.types import BoolType, BytesType, EnumType, IntType, RecordType, TextType, TupleType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract.instance import Value
    from changan.contract.types import ValueType


def from_numpy(kind: ValueType, values: np.ndarray[Any, Any]) -> pa.Array:
    """Return values that lie as `kinds.numpy_type` says, in either byte order."""
    match kind:
        case IntType() if kind.width == WIDE_BYTES:
            return _decimals(values)
        case IntType():
            return pa.array(np.ascontiguousarray(values, "u8" if kind.low == 0 else "i8"))
        case BoolType():
            return pa.array(np.ascontiguousarray(values, "?"))
        case EnumType():
            return pa.array(kind.members, pa.string()).take(pa.array(np.ascontiguousarray(values)))
        case BytesType():
            data = pa.py_buffer(np.ascontiguousarray(values).tobytes())
            return pa.FixedSizeBinaryArray.from_buffers(arrow_type(kind), len(values), [None, data])
        case RecordType():
            parts = [from_numpy(part, values[name]) for name, part in kind.fields]
            return pa.StructArray.from_arrays(parts, fields=list(arrow_type(kind)))
        case TextType() | TupleType():
            raise AssertionError(f"{kind.name} does not lie at fixed places")


def from_values(kind: ValueType, values: Sequence[Value]) -> pa.Array:
    """Return values as the contract's codec has them; None where there is none, but not of records."""
    match kind:
        case EnumType():
            return pa.array(kind.members, pa.string()).take(pa.array(values, pa.uint8()))
        case RecordType():
            parts = zip(*values, strict=True) if values else [()] * len(kind.fields)
            arrays = [from_values(part, column) for (_, part), column in zip(kind.fields, parts, strict=True)]
            return pa.StructArray.from_arrays(arrays, fields=list(arrow_type(kind)))
        case _:
            return pa.array(values, arrow_type(kind))


def _decimals(words: np.ndarray[Any, Any]) -> pa.Array:
    """Return U128 values, two words each, as decimals of four words."""
    wide = np.zeros((len(words), 4), "<u8")
    wide[:, :2] = words[:, ::-1] if words.dtype.byteorder == ">" else words
    return pa.Array.from_buffers(pa.decimal256(39, 0), len(words), [None, pa.py_buffer(wide)])
