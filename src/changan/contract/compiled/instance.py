"""The compiled instance: calls of a contract whose state lies in WebAssembly's memory, one by one or as columns."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled import marshal
from changan.contract.compiled.calls import Doorway
from changan.contract.compiled.columns import (
    MODE,
    Batch,
    ColumnData,
    Plan,
    check_columns,
    count_rows,
    gas_of,
    place,
    plan,
)
from changan.contract.compiled.emit_doors import EACH, SETTLE
from changan.contract.compiled.entry import NodeFaultError
from changan.contract.compiled.layout import fixed_size
from changan.contract.compiled.stored import BUFFERS, StoredRows
from changan.contract.compiled.together import Ran, columns_of, fixed_results
from changan.contract.instance import Call, Code, Event, InnerFailure, Outcome
from changan.contract.plain import QUOTA_BYTES
from changan.contract.types import is_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

    from changan.contract.instance import BlockContext, Host, Value
    from changan.contract.program import Program

_CODES = list(Code)
_OUTCOME = struct.Struct("<I4xQ")
_ENDS = struct.Struct("<II")
_EVENT = struct.Struct("<III")
_BLOCK = struct.Struct("<QQ")


class CompiledInstance(StoredRows):
    """One contract with its state in memory, run by WebAssembly. It implements `changan.contract.instance.Instance`.

    `seed` (32 secret bytes) keeps others from choosing keys that collide; nothing that can be seen depends on it.
    """

    def __init__(
        self, program: Program, address: bytes, quota: int = QUOTA_BYTES, seed: bytes = bytes(range(32))
    ) -> None:
        self._kinds = [
            (kind.name, marshal.reader(tuple(part for _, part in kind.fields))) for kind in program.tree.events
        ]
        self._host: Host | None = None
        self._error: BaseException | None = None
        self._inner: list[tuple[int, tuple[Event, ...]]] = []
        super().__init__(program, address, quota, seed)

    def _open(self) -> None:
        super()._open()
        self._doors: dict[str, Doorway] = {}
        self._described = ""  # the method whose columns are described
        self._block: BlockContext | None = None

    # Calls

    def run(self, method: str, calls: Sequence[Call], block: BlockContext, host: Host | None = None) -> list[Outcome]:
        """Execute outermost calls in order; each one is kept or rolled back alone, with every contract it entered."""
        outcomes = []
        for call in calls:
            outcome = self._execute(method, call, block, host, SETTLE)
            if host is not None:
                host.settle(keep=outcome.code == Code.OK)
            outcomes.append(outcome)
            if self._heap_top > self._drain_at:
                self._drain()
        return outcomes

    def enter(self, method: str, call: Call, block: BlockContext, host: Host | None) -> Outcome:
        """Execute an inner call. Its undo log stays open until `settle`."""
        return self._execute(method, call, block, host, 0)

    def settle(self, *, keep: bool) -> None:
        """End the undo log that `enter` left open: keep the writes, or roll them back."""
        self._settle(int(keep))
        if self._heap_top > self._drain_at:
            self._drain()

    def door(self, method: str) -> Doorway:
        """Return what a method's calls go through."""
        found = self._doors.get(method)
        if found is None:
            found = self._doors[method] = Doorway(self._machine, self._text, self.program, method)
        return found

    def _execute(self, method: str, call: Call, block: BlockContext, host: Host | None, mode: int) -> Outcome:
        door = self._doors.get(method) or self.door(method)
        memory = self._machine.memory
        if method != self._described:
            door.describe()
            self._described = method
        self._enter_block(block)
        door.put(call, self._input)
        if self._text.remote:
            self._host, self._inner, self._error = host, [], None
        self.enter_door(door, 0, 1, mode)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        word, gas = _OUTCOME.unpack_from(memory, l.ONE_OUTCOME)
        if word:
            used = call.gas_limit if word & 255 == Code.OUT_OF_GAS else gas
            return Outcome(_CODES[word & 255], word >> 8 & 255, word >> 16, used, None, ())
        start, end, out, _ = BUFFERS.unpack_from(memory, l.EVENTS_BASE)
        result = None if door.read is None else door.read(memory, out)
        events = self._events(start, end) if end != start or self._inner else ()
        return Outcome(Code.OK, 0, 0, gas, result, events)

    def _enter_block(self, block: BlockContext) -> None:
        if block is not self._block:
            _BLOCK.pack_into(self._machine.memory, l.HEIGHT, block.height, block.time)
            self._block = block

    def enter_door(self, door: Doorway, start: int, stop: int, mode: int, columns: int = 0) -> int:
        """Run rows of columns; return how far it came. Raises NodeFaultError, with the running call taken back."""
        try:
            return door.run(columns or self._text.columns, start, stop, mode)
        except NodeFaultError:
            self._recover()
            raise

    def run_columns(
        self,
        method: str,
        callers: Buffer,
        columns: Sequence[ColumnData],
        block: BlockContext,
        gas_limit: int,
        budget: int | None = None,
        *,
        checked: bool = False,
    ) -> Batch:
        """Execute a batch of outermost calls that lie in columns; one caller of 20 bytes stands for all rows.

        Columns that went through `check_columns`, as those of a decoded bundle did, are `checked`: it is not done again.

        Each row may use `gas_limit`, and all together `budget`: a row gets no more than what is left of it, and where
        nothing is left it does not run (code 5, gas 0). Raises BadArgumentError for columns that hold no arguments of the
        method, with nothing run; ValueError for a contract that calls others, whose rows go through `run`.
        """
        if self._text.remote:
            raise ValueError(f"{self.program.name} calls other contracts: its calls go one by one")
        door = self.door(method)
        rows = count_rows(door.signature, callers, columns)
        if not checked:
            check_columns(door.signature, columns)
        found = plan(door.signature, rows, callers, columns)
        base = self._lay_out(found, block, gas_limit)
        struct.pack_into("<Q", self._machine.memory, l.BUDGET, gas_of(budget))
        return self._run_batch(door, rows, found, base)

    def _lay_out(self, found: Plan, block: BlockContext, gas_limit: int) -> int:
        """Put columns where the module reads them, with the block and what each row may use; return where they are."""
        base = self._input(found.size)
        place(found, base, self._machine.memory)
        self._enter_block(block)
        struct.pack_into("<Q", self._machine.memory, l.GAS_LIMIT, gas_of(gas_limit))
        return base

    def _run_batch(self, door: Doorway, rows: int, found: Plan, base: int) -> Batch:
        memory = self._machine.memory
        events: list[bytes] = []
        results: list[bytes] = []
        ends: array[int] | None = array("I") if found.ends else None
        done = 0
        while done < rows:
            start, done = done, self.enter_door(door, done, rows, MODE, base)
            first, last, out, out_end = BUFFERS.unpack_from(memory, l.EVENTS_BASE)
            events.append(bytes(memory[first:last]))
            if ends is not None:
                before = sum(map(len, results))
                at = base + found.ends
                piece = array("I", bytes(memory[at + 4 * start : at + 4 * done]))
                ends.extend(piece if not before else [end + before for end in piece])
                results.append(bytes(memory[out:out_end]))
            if done < rows or self._heap_top > self._drain_at:
                self._drain()
        if door.signature.result is not None and ends is None:
            size = rows * (fixed_size(door.signature.result) or 0)
            results.append(bytes(memory[base + found.results : base + found.results + size]))
        outcomes = array("I", bytes(memory[base + found.outcomes : base + found.outcomes + 4 * rows]))
        gas = array("Q", bytes(memory[base + found.gas : base + found.gas + 8 * rows]))
        return Batch(outcomes, gas, b"".join(results), ends, b"".join(events))

    def _events(self, start: int, end: int) -> tuple[Event, ...]:
        """Return the events of the last call, with those of inner calls where they were made."""
        if not self._inner:
            return tuple(self._own_events(start, end))
        memory = self._machine.memory
        found: list[Event] = []
        inner = iter([*self._inner, (end - start + 1, ())])
        place, others = next(inner)
        at = start
        while at < end or place <= at - start:
            while place <= at - start:
                found += others
                place, others = next(inner)
            if at >= end:
                break
            size = _EVENT.size + _EVENT.unpack_from(memory, at)[2]
            found += self._own_events(at, at + size)
            at += size
        return tuple(found)

    def _own_events(self, at: int, end: int) -> Iterator[Event]:
        return (event for _, event in self._events_of_rows(at, end))

    # Single calls together

    def run_together(
        self,
        method: str,
        callers: bytes,
        arguments: Sequence[tuple[Value, ...]],
        block: BlockContext,
        gas_limit: int,
    ) -> list[Ran]:
        """Execute outermost calls in order, with 20 bytes of `callers` for each, as `run` and `collect_delta` one by one would.

        What changed before must be collected. Raises ValueError for a contract that calls others.
        """
        if self._text.remote:
            raise ValueError(f"{self.program.name} calls other contracts: its calls go one by one")
        assert not self._carried, "what changed before is collected"
        door, rows = self.door(method), len(arguments)
        found = plan(door.signature, rows, callers, columns_of(door.signature, arguments), each=True)
        base = self._lay_out(found, block, gas_limit)
        ran: list[Ran] = []
        while len(ran) < rows:
            start = len(ran)
            stop = self.enter_door(door, start, rows, SETTLE | EACH, base)
            ran += self._ran(door, range(start, stop), found, base, gas_limit)
            self._set_drain()
        self._make_room()
        return ran

    def _ran(self, door: Doorway, rows: range, found: Plan, base: int, gas_limit: int) -> Iterator[Ran]:
        """Return what came of rows that just ran."""
        memory, count = self._machine.memory, len(rows)

        def numbers(at: int, form: str, size: int) -> tuple[int, ...]:
            return struct.unpack_from(f"<{count}{form}", memory, base + at + size * rows.start)

        first, last, out, out_end = BUFFERS.unpack_from(memory, l.EVENTS_BASE)
        events: dict[int, list[Event]] = {}
        for row, event in self._events_of_rows(first, last):
            events.setdefault(row, []).append(event)
        kind, written = door.signature.result, bytes(memory[out:out_end])
        ends = numbers(found.records, "I", 4)
        middles = numbers(found.ends, "I", 4) if found.ends else (0, *ends)  # where a result ends, its records begin
        size = 0 if kind is None else fixed_size(kind) or 0
        start = base + found.results + size * rows.start
        fixed = fixed_results(kind, memory[start : start + size * count], count) if kind is not None and size else None
        words, used = numbers(found.outcomes, "I", 4), numbers(found.gas, "Q", 8)
        before = 0
        for row, word, gas, middle, end in zip(rows, words, used, middles, ends, strict=False):
            result = None if fixed is None else next(fixed)
            if word:
                gas_used = gas_limit if word & 255 == Code.OUT_OF_GAS else gas
                outcome = Outcome(_CODES[word & 255], word >> 8 & 255, word >> 16, gas_used, None, ())
            else:
                if found.ends and kind is not None:
                    result = marshal.read_alone(kind, written[before:middle])
                outcome = Outcome(Code.OK, 0, 0, gas, result, tuple(events.get(row, ())))
            yield Ran(outcome, written[middle:end])
            before = end

    def _events_of_rows(self, at: int, end: int) -> Iterator[tuple[int, Event]]:
        memory = self._machine.memory
        while at < end:
            row, number, size = _EVENT.unpack_from(memory, at)
            at += _EVENT.size
            name, fields = self._kinds[number]
            yield row, Event(name, fields(memory, at), self.address)
            at += size

    # Other contracts

    def _remote(self, number: int, arguments: int, result: int, gas: int) -> tuple[int, int]:
        """Call another contract for the module; return the word of its failure, or 0, and the gas that is left."""
        try:
            return self._call_host(number, arguments & 0xFFFFFFFF, result & 0xFFFFFFFF, gas)
        except BaseException as error:  # noqa: BLE001  # raised again when the module has come back
            self._error = error
            return Code.INNER_CALL, gas

    def _call_host(self, number: int, at: int, result: int, gas: int) -> tuple[int, int]:
        memory = self._machine.memory
        host = self._host
        if host is None:
            return Code.INNER_CALL | InnerFailure.UNKNOWN_CONTRACT << 8, gas
        start, end, _, _ = BUFFERS.unpack_from(memory, l.EVENTS_BASE)
        wanted = self.program.remote_methods[number]
        target, at = bytes(memory[at : at + 20]), at + 20
        values: list[Value] = []
        for _, kind in wanted.parameters:
            value, at = marshal.read(kind, memory, at)
            values.append(value)
        call = Call(self.address, tuple(values), gas)
        outcome = host.call(target, wanted.name, call, reads_only=wanted.kind == "view")
        left = gas - outcome.gas
        if left < 0 or outcome.code == Code.OUT_OF_GAS:
            return Code.OUT_OF_GAS, 0
        if outcome.code == Code.INNER_CALL and not outcome.line:
            return Code.INNER_CALL | outcome.detail << 8, left
        if outcome.code != Code.OK:
            return Code.INNER_CALL | InnerFailure.FAILED << 8, left
        if outcome.result is not None if wanted.result is None else not is_value(wanted.result, outcome.result):
            return Code.INNER_CALL | InnerFailure.UNKNOWN_METHOD << 8, left
        if wanted.result is not None:
            data = marshal.write(wanted.result, outcome.result)
            memory[result : result + len(data)] = data
        if outcome.events:
            self._inner.append((end - start, outcome.events))
        return 0, left
