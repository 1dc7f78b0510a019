"""The same batches on the plain instance: what the compiled one must give, byte for byte. For audit, tests and replay."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING

from changan.contract.compiled import marshal
from changan.contract.compiled.columns import Batch, check_columns, count_rows
from changan.contract.compiled.layout import fixed_size
from changan.contract.instance import Call, Code, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from changan.contract.compiled.columns import ColumnData
    from changan.contract.instance import BlockContext, Value
    from changan.contract.plain import PlainInstance
    from changan.contract.program import Program
    from changan.contract.types import Signature, ValueType

_ADDRESS_BYTES = 20
_EVENT = struct.Struct("<III")


def run_columns(
    instance: PlainInstance,
    method: str,
    callers: Buffer,
    columns: Sequence[ColumnData],
    block: BlockContext,
    *,
    gas_limit: int,
    budget: int | None = None,
) -> Batch:
    """Do what `CompiledInstance.run_columns` does. Raises BadArgumentError for columns that hold no arguments."""
    signature = instance.program.method(method)
    assert signature is not None
    rows = count_rows(signature, callers, columns)
    check_columns(signature, columns)
    senders = bytes(callers)
    values = [
        column_values(kind, column, rows) for (_, kind), column in zip(signature.parameters, columns, strict=True)
    ]
    left = budget
    outcomes = []
    for row in range(rows):
        limit = gas_limit if left is None else min(gas_limit, left)
        at = row * _ADDRESS_BYTES if len(senders) > _ADDRESS_BYTES else 0
        if left == 0:
            outcome = Outcome(Code.OUT_OF_GAS, 0, 0, 0, None, ())
        else:
            call = Call(senders[at : at + _ADDRESS_BYTES], tuple(column[row] for column in values), limit)
            [outcome] = instance.run(method, [call], block)
        left = None if left is None else left - outcome.gas
        outcomes.append(outcome)
    return batch_of(instance.program, signature, outcomes)


def column_values(kind: ValueType, column: ColumnData, rows: int) -> list[Value]:
    """Return a column's values."""
    data = bytes(column.data)
    size = fixed_size(kind)
    if size is None:
        assert column.ends is not None
        ends = list(array("I", bytes(column.ends)))
    else:
        ends = [size * (row + 1) for row in range(rows)]
    return [marshal.read_alone(kind, data[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def batch_of(program: Program, signature: Signature, outcomes: Sequence[Outcome]) -> Batch:
    """Return outcomes as a batch's arrays."""
    words = array("I", [outcome.code | outcome.detail << 8 | outcome.line << 16 for outcome in outcomes])
    gas = array("Q", [outcome.gas for outcome in outcomes])
    results, ends = _results(signature.result, outcomes)
    events = b"".join(
        event_bytes(program, row, event.name, event.fields)
        for row, outcome in enumerate(outcomes)
        for event in outcome.events
    )
    return Batch(words, gas, results, ends, events)


def _results(kind: ValueType | None, outcomes: Sequence[Outcome]) -> tuple[bytes, array[int] | None]:
    if kind is None:
        return b"", None
    size = fixed_size(kind)
    nothing = bytes(size or 0)
    parts = [marshal.write_alone(kind, found.result) if found.code == Code.OK else nothing for found in outcomes]
    if size is not None:
        return b"".join(parts), None
    ends = array("I")
    at = 0
    for part in parts:
        at += len(part)
        ends.append(at)
    return b"".join(parts), ends


def event_bytes(program: Program, row: int, name: str, fields: tuple[Value, ...]) -> bytes:
    """Return an event as a batch holds it."""
    kinds = program.tree.events
    number = next(number for number, kind in enumerate(kinds) if kind.name == name)
    data = b"".join(marshal.write(part, value) for (_, part), value in zip(kinds[number].fields, fields, strict=True))
    return _EVENT.pack(row, number, len(data)) + data
