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
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from changan.contract.compiled.columns import ColumnData
    from changan.contract.instance import BlockContext, Event, Host, Instance, Value
    from changan.contract.plain import PlainInstance
    from changan.contract.program import Program
    from changan.contract.types import Signature, ValueType

_ADDRESS = struct.Struct("20s")
_EVENT = struct.Struct("<III")
EMITTER_SHIFT = 16
"""Behind the number of its kind an event says who emitted it."""


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
    outcomes = run_rows(instance, signature, callers, columns, block, gas_limit=gas_limit, budget=budget)
    return batch_of(signature, outcomes, event_writer(instance.program))


def run_rows(
    instance: Instance,
    signature: Signature,
    callers: Buffer,
    columns: Sequence[ColumnData],
    block: BlockContext,
    host: Host | None = None,
    *,
    gas_limit: int,
    budget: int | None = None,
) -> list[Outcome]:
    """Do the same by calls of any instance, one by one; with a `host` they may call other contracts."""
    rows = count_rows(signature, callers, columns)
    check_columns(signature, columns)
    each = list(_ADDRESS.iter_unpack(callers))
    if len(each) == 1:
        each *= rows
    kinds = [kind for _, kind in signature.parameters]
    values = [column_values(kind, column, rows) for kind, column in zip(kinds, columns, strict=True)]
    arguments = list(zip(*values, strict=True)) if values else [()] * rows
    calls = [Call(caller, given, gas_limit) for (caller,), given in zip(each, arguments, strict=True)]
    if budget is None:
        return instance.run(signature.name, calls, block, host)
    outcomes = []
    for call in calls:
        if budget:
            limited = call._replace(gas_limit=min(gas_limit, budget))
            outcomes += instance.run(signature.name, [limited], block, host)
            budget -= outcomes[-1].gas
        else:
            outcomes.append(Outcome(Code.OUT_OF_GAS, 0, 0, 0, None, ()))
    return outcomes


def column_values(kind: ValueType, column: ColumnData, rows: int) -> list[Value]:
    """Return a column's values."""
    data = bytes(column.data)
    simple = marshal.simple_format(kind)
    if simple is not None:
        return [value for (value,) in struct.iter_unpack("<" + simple, data)]
    size = fixed_size(kind)
    if size is None:
        assert column.ends is not None
        ends = list(array("I", bytes(column.ends)))
    else:
        ends = [size * (row + 1) for row in range(rows)]
    return [marshal.read_alone(kind, data[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def batch_of(signature: Signature, outcomes: Sequence[Outcome], encode: Callable[[int, Event], bytes]) -> Batch:
    """Return outcomes as a batch's arrays; `encode` gives an event of a row as a batch holds it."""
    words = array("I", [code | detail << 8 | line << 16 for code, detail, line, _, _, _ in outcomes])
    gas = array("Q", [outcome.gas for outcome in outcomes])
    results, ends = _results(signature.result, outcomes)
    events = [encode(row, event) for row, outcome in enumerate(outcomes) for event in outcome.events]
    return Batch(words, gas, results, ends, b"".join(events))


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


def event_writer(program: Program, emitter: int = 0) -> Callable[[int, Event], bytes]:
    """Return what gives an event of a row as a batch holds it; `emitter` is 0 where the contract that was called emitted it."""
    writers = {
        kind.name: (number | emitter << EMITTER_SHIFT, marshal.writer(tuple(part for _, part in kind.fields)))
        for number, kind in enumerate(program.tree.events)
    }

    def encode(row: int, event: Event) -> bytes:
        number, write = writers[event.name]
        data = write(event.fields)
        return _EVENT.pack(row, number, len(data)) + data

    return encode
