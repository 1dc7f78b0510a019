"""Single calls of one method that run together: their values become columns, and each gets back what is its own."""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.compiled import marshal
from changan.contract.compiled.columns import ColumnData
from changan.contract.compiled.layout import fixed_size
from changan.contract.types import BytesType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from changan.contract.instance import Outcome, Value
    from changan.contract.types import Signature, ValueType


class Ran(NamedTuple):
    """How one of several calls ended, and the rows it changed as records (`contract.records`)."""

    outcome: Outcome
    records: bytes


def columns_of(signature: Signature, arguments: Sequence[tuple[Value, ...]]) -> list[ColumnData]:
    """Return calls' arguments, which must be values of the method's parameters, as columns."""
    values = zip(*arguments, strict=True) if signature.parameters else ()
    return [_column(kind, column) for (_, kind), column in zip(signature.parameters, values, strict=True)]


def _column(kind: ValueType, values: tuple[Value, ...]) -> ColumnData:
    if fixed_size(kind) is None:
        pieces = [marshal.write_alone(kind, value) for value in values]
        return ColumnData(b"".join(pieces), array("I", accumulate(map(len, pieces))))
    form = marshal.simple_format(kind)
    if form is None:
        return ColumnData(b"".join([marshal.write(kind, value) for value in values]))
    if isinstance(kind, BytesType):
        return ColumnData(b"".join(values))  # type: ignore[arg-type]  # such a value is bytes
    return ColumnData(struct.pack(f"<{len(values)}{form}", *values))


def fixed_results(kind: ValueType, data: memoryview, count: int) -> Iterator[Value]:
    """Return results of fixed size that stand one after another."""
    form = marshal.simple_format(kind)
    if form is not None and not isinstance(kind, BytesType):
        return iter(struct.unpack(f"<{count}{form}", data))
    size = fixed_size(kind) or 0
    return (marshal.read(kind, data, size * row)[0] for row in range(count))
