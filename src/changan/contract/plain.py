"""The plain instance: state as Python objects, methods as metered Python. The reference of every other engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

from changan.contract.codec import unpack
from changan.contract.emit_python import emit_module
from changan.contract.field_view import FieldView
from changan.contract.instance import Call, Code, Outcome, Row
from changan.contract.machine import LENGTH, Ended, Machine
from changan.contract.records import record
from changan.contract.types import U64, ListType, MapType
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from changan.contract.instance import BlockContext, Host, Value
    from changan.contract.program import Program

QUOTA_BYTES = 1 << 30
_OK = Code.OK


class PlainInstance:
    """One contract with its state in memory, run by CPython. It implements `changan.contract.instance.Instance`."""

    def __init__(
        self, program: Program, address: bytes, quota: int = QUOTA_BYTES, machine: type[Machine] = Machine
    ) -> None:
        self.program = program
        self.address = address
        self._machine = machine(program, address, quota)
        namespace: dict[str, Any] = {"__builtins__": {"len": len, "range": range}, **RUNTIME}
        # The code was written by our own emitter from the checked tree; it holds no name but its own.
        exec(emit_module(program.tree, program.filename), namespace)  # noqa: S102
        self._functions: dict[str, Callable[..., Value]] = {
            method.signature.name: namespace[f"m_{method.signature.name}"] for method in program.tree.methods
        }

    @property
    def logical_bytes(self) -> int:
        """Size of the state that counts against the quota, in bytes."""
        return self._machine.logical_bytes

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return sum(map(len, self._machine.maps)) + sum(map(len, self._machine.lists)) + len(self._machine.present)

    def run(self, method: str, calls: Sequence[Call], block: BlockContext, host: Host | None = None) -> list[Outcome]:
        """Execute outermost calls in order; each one is kept or rolled back alone, with every contract it entered."""
        machine, function = self._machine, self._functions[method]
        outcomes = []
        for call in calls:
            outcome = self._execute(function, call, block, host)
            keep = outcome.code is _OK
            machine.settle(keep=keep)
            if host is not None:
                host.settle(keep=keep)
            outcomes.append(outcome)
        return outcomes

    def enter(self, method: str, call: Call, block: BlockContext, host: Host | None) -> Outcome:
        """Execute an inner call. Its undo log stays open until `settle`."""
        return self._execute(self._functions[method], call, block, host)

    def settle(self, *, keep: bool) -> None:
        """End the undo log that `enter` left open: keep the writes, or roll them back."""
        self._machine.settle(keep=keep)

    def _execute(self, function: Callable[..., Value], call: Call, block: BlockContext, host: Host | None) -> Outcome:
        machine = self._machine
        machine.begin(call, block, host)
        try:
            machine.charge(self.program.call_cost, 0)
            result = function(machine, *call.arguments)
        except Ended as end:
            gas = call.gas_limit if end.code == Code.OUT_OF_GAS else machine.gas
            return Outcome(end.code, end.detail, end.line, gas, None, ())
        return Outcome(_OK, 0, 0, machine.gas, result, tuple(machine.events))

    def collect(self) -> list[Row]:
        """Return the rows changed since the last collect, in order of their first committed write, and forget them."""
        machine = self._machine
        rows = [machine.row(field, key) for field, key in machine.dirty]
        machine.dirty.clear()
        return rows

    def collect_delta(self) -> bytes:
        """Return what `collect` does, as records (`contract.records`)."""
        packed, dirty = self._machine.packed, self._machine.dirty
        found = b"".join([record(field, *packed(field, key)) for field, key in dirty])
        dirty.clear()
        return found

    def restore(self, rows: Iterable[Row]) -> None:
        """Put rows in (or, with value None, take them out) without gas and without marking them as changed.

        Raises MalformedError for a row that is none of this contract's.
        """
        for row in rows:
            self._machine.load(row)

    def get(self, key: str) -> bytes | None:
        """Return the value of the row with this key, or None."""
        found = self._locate(key)
        return None if found is None else self._machine.row(*found).value

    def _locate(self, key: str) -> tuple[int, object] | None:
        name, dot, hex_key = key.partition(".")
        field = self.program.field_places.get(name)
        if field is None:
            return None
        kind = self.program.tree.fields[field].type
        try:
            data = bytes.fromhex(hex_key)
            if hex_key != data.hex():
                return None
            if isinstance(kind, MapType):
                return field, unpack(kind.key, data)
            if isinstance(kind, ListType):
                return self._locate_element(field, data, dot)
        except (ValueError, MalformedError):
            return None
        return None if dot else (field, None)

    def _locate_element(self, field: int, data: bytes, dot: str) -> tuple[int, object] | None:
        length = len(self._machine.lists[field])
        if not dot:
            return (field, LENGTH) if length else None
        index = unpack(U64, data)
        assert isinstance(index, int)
        return (field, index) if index < length else None

    def view(self, field: str) -> FieldView:
        """Return one field as it is now; it stays so while later calls run."""
        place = self.program.field_places[field]
        frozen = self._frozen([place])
        is_list = isinstance(self.program.tree.fields[place].type, ListType)
        return FieldView(field, lambda: _rows_of(frozen, place), is_list=is_list)

    def rows(self) -> Iterator[Row]:
        """Return all rows as they are now; the iterator stays valid and unchanged while later calls run."""
        return _all_rows(self._frozen(range(len(self._machine.maps))))

    def _frozen(self, fields: Iterable[int]) -> Machine:
        machine = self._machine
        frozen = Machine(self.program, machine.address, 0)
        frozen.scalars, frozen.present = list(machine.scalars), set(machine.present)
        for field in fields:
            frozen.maps[field], frozen.lists[field] = dict(machine.maps[field]), list(machine.lists[field])
        return frozen


def _all_rows(machine: Machine) -> Iterator[Row]:
    for field in range(len(machine.program.tree.fields)):
        yield from _rows_of(machine, field)


def _rows_of(machine: Machine, field: int) -> Iterator[Row]:
    kind = machine.program.tree.fields[field].type
    if isinstance(kind, MapType):
        for key in machine.maps[field]:
            yield machine.row(field, key)
    elif isinstance(kind, ListType):
        if machine.lists[field]:
            yield machine.row(field, LENGTH)
        for index in range(len(machine.lists[field])):
            yield machine.row(field, index)
    elif field in machine.present:
        yield machine.row(field, None)


# What the emitted functions call beside the machine


def decline(reason: int, line: int) -> Never:
    """End the call with a reason."""
    raise Ended(Code.DECLINED, reason, line)


def overflow(line: int) -> Never:
    """End the call because a number left its range."""
    raise Ended(Code.OVERFLOW, 0, line)


def divide(left: int, right: int, line: int) -> int:
    """Return the floor of the quotient."""
    if right == 0:
        raise Ended(Code.DIVISION_BY_ZERO, 0, line)
    return left // right


def modulo(left: int, right: int, line: int) -> int:
    """Return the remainder, with the sign of the divisor."""
    if right == 0:
        raise Ended(Code.DIVISION_BY_ZERO, 0, line)
    return left % right


def shift_left(value: int, count: int, width: int, line: int) -> int:
    """Return `value << count`; a count of the width and more overflows unless the value is zero."""
    if count < width:
        return value << count
    if value == 0:
        return 0
    raise Ended(Code.OVERFLOW, 0, line)


def shift_right(value: int, count: int) -> int:
    """Return `value >> count`, rounding down."""
    return value >> min(count, 256)


RUNTIME: dict[str, Callable[..., object]] = {
    function.__name__: function for function in (decline, overflow, divide, modulo, shift_left, shift_right)
}
