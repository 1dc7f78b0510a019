"""The plain instance: state as Python objects, methods as metered Python. The reference of every other engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

from changan.contract.codec import pack, unpack
from changan.contract.emit_python import emit_module
from changan.contract.field_view import FieldView
from changan.contract.gas import (
    DIGEST_PER_BYTE,
    EVENT_BYTES_MAX,
    NEW_ROW,
    TEXT_BYTE,
)
from changan.contract.instance import Call, Code, Event, InnerFailure, Outcome, Row
from changan.contract.types import (
    U64,
    WORD_BYTES,
    ListType,
    MapType,
    RecordType,
    TextType,
    ValueType,
    holds_text,
    is_value,
    text_bytes,
    words,
    zero,
)
from changan.crypto.digest import sha256, sm3
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from changan.contract.instance import BlockContext, Host, Value
    from changan.contract.program import Program

QUOTA_BYTES = 1 << 30
ROW_BYTES = 24
"""What a row counts beside its key and value: its stamp and its place in an index."""
_TEXT_CLASS_BYTES = 16
_ABSENT = object()
LENGTH = object()  # stands for a list's length where a key is named
_DIGESTS = {"sha256": sha256, "sm3": sm3}


class Ended(Exception):  # noqa: N818  # how a call ends, caught where it began
    """A call that failed: code, detail and line of its outcome."""

    def __init__(self, code: Code, detail: int, line: int) -> None:
        super().__init__(code, detail, line)
        self.code, self.detail, self.line = code, detail, line


class Machine:
    """What the functions of one contract run on: the state, the meter, the undo log and the events of the running call."""

    def __init__(self, program: Program, address: bytes, quota: int) -> None:
        self.program = program
        self.address = address
        fields = [entry.type for entry in program.tree.fields]
        self.scalars: list[object] = [None if isinstance(kind, MapType | ListType) else zero(kind) for kind in fields]
        self.present: set[int] = set()  # scalars that were ever set
        self.maps: list[dict[object, object]] = [{} for _ in fields]
        self.lists: list[list[object]] = [[] for _ in fields]
        self.logical_bytes = 0
        self.undo: list[tuple[int, object, object]] = []
        self.dirty: dict[tuple[int, object], None] = {}
        self._types = fields
        self._quota = quota
        self._logical_before = 0
        self._defaults = [kind.default if isinstance(kind, MapType) else None for kind in fields]
        self._row_bytes = [_row_bytes(kind) for kind in fields]
        self._texts = [_value_type(kind) if holds_text(_value_type(kind)) else None for kind in fields]
        self._events = program.tree.events
        self.caller, self.height, self.time = b"", 0, 0
        self.gas, self.limit = 0, 0
        self.host: Host | None = None
        self.block: BlockContext | None = None
        self.events: list[Event] = []
        self._event_bytes = 0

    # The meter

    def charge(self, amount: int, line: int) -> None:
        """Take gas. Raises Ended when the limit is passed."""
        self.gas += amount
        if self.gas > self.limit:
            raise Ended(Code.OUT_OF_GAS, 0, line)

    def turn(self, amount: int, line: int) -> bool:
        """Charge one test of a loop."""
        self.charge(amount, line)
        return True

    # Fields

    def _write(self, field: int, key: object, old: object) -> None:
        if not self.undo:
            self._logical_before = self.logical_bytes
        self.undo.append((field, key, old))

    def _grow(self, amount: int, line: int) -> None:
        if amount > 0 and self.logical_bytes + amount > self._quota:
            raise Ended(Code.STORAGE_QUOTA, 0, line)

    def _place(self, field: int, old: object, value: object, line: int) -> int:
        """Charge what storing `value` costs beyond its words; return by how many bytes the state grows."""
        text = self._texts[field]
        grows = 0
        if text is not None:
            self.charge(TEXT_BYTE * text_bytes(text, value), line)
            grows = _text_class(text, value) - (0 if old is _ABSENT else _text_class(text, old))
        if old is _ABSENT:
            self.charge(NEW_ROW, line)
            grows += self._row_bytes[field]
        self._grow(grows, line)
        return grows

    def scalar_set(self, field: int, value: object, line: int) -> None:
        """Set a scalar field."""
        old = self.scalars[field] if field in self.present else _ABSENT
        grows = self._place(field, old, value, line)
        self._write(field, None, old)
        self.logical_bytes += grows
        self.scalars[field] = value
        self.present.add(field)

    def scalar_read(self, field: int) -> object:
        """Return a scalar field."""
        return self.scalars[field]

    def map_has(self, field: int, key: object) -> bool:
        """Whether a map holds a key."""
        return key in self.maps[field]

    def map_read(self, field: int, key: object, line: int) -> object:
        """Return the value under a key, or the map's default."""
        found = self.maps[field].get(key, _ABSENT)
        if found is _ABSENT:
            found = self._defaults[field]
            if found is None:
                raise Ended(Code.MISSING_KEY, 0, line)
        return found

    def map_get(self, field: int, otherwise: object, key: object) -> object:
        """Return the value under a key, or another."""
        return self.maps[field].get(key, otherwise)

    def map_set(self, field: int, value: object, key: object, line: int) -> None:
        """Set the value under a key."""
        rows = self.maps[field]
        old = rows.get(key, _ABSENT)
        grows = self._place(field, old, value, line)
        self._write(field, key, old)
        self.logical_bytes += grows
        rows[key] = value

    def map_set_part(self, field: int, position: int, part: object, key: object, line: int) -> None:
        """Set one field of the record under a key."""
        old = self.maps[field].get(key, _ABSENT)
        if old is _ABSENT:
            raise Ended(Code.MISSING_KEY, 0, line)
        assert isinstance(old, tuple)
        kind = _value_type(self._types[field])
        assert isinstance(kind, RecordType)
        part_type = kind.fields[position][1]
        grows = 0
        if holds_text(part_type):
            self.charge(TEXT_BYTE * text_bytes(part_type, part), line)
            grows = _text_class(part_type, part) - _text_class(part_type, old[position])
            self._grow(grows, line)
        self._write(field, key, old)
        self.logical_bytes += grows
        self.maps[field][key] = (*old[:position], part, *old[position + 1 :])

    def map_delete(self, field: int, key: object, line: int) -> None:
        """Take a key out."""
        old = self.maps[field].get(key, _ABSENT)
        if old is _ABSENT:
            raise Ended(Code.MISSING_KEY, 0, line)
        self._write(field, key, old)
        self.logical_bytes -= self._weight(field, old)
        del self.maps[field][key]

    def list_length(self, field: int) -> int:
        """Return how many elements a list has."""
        return len(self.lists[field])

    def list_read(self, field: int, index: int, line: int) -> object:
        """Return an element."""
        rows = self.lists[field]
        if index >= len(rows):
            raise Ended(Code.OUT_OF_BOUNDS, 0, line)
        return rows[index]

    def list_set(self, field: int, value: object, index: int, line: int) -> None:
        """Set an element."""
        rows = self.lists[field]
        if index >= len(rows):
            raise Ended(Code.OUT_OF_BOUNDS, 0, line)
        grows = self._place(field, rows[index], value, line)
        self._write(field, index, rows[index])
        self.logical_bytes += grows
        rows[index] = value

    def list_append(self, field: int, value: object, line: int) -> None:
        """Append an element."""
        rows = self.lists[field]
        grows = self._place(field, _ABSENT, value, line)
        self._write(field, len(rows), _ABSENT)
        self._write(field, LENGTH, None)
        self.logical_bytes += grows
        rows.append(value)

    def _weight(self, field: int, value: object) -> int:
        text = self._texts[field]
        return self._row_bytes[field] + (0 if text is None else _text_class(text, value))

    # Texts, digests, events

    def text_equal(self, left: str, right: str, line: int) -> bool:
        """Compare two texts."""
        self.charge(TEXT_BYTE * min(len(left.encode()), len(right.encode())), line)
        return left == right

    def text_differs(self, left: str, right: str, line: int) -> bool:
        """Compare two texts."""
        return not self.text_equal(left, right, line)

    def text_digest(self, algorithm: str, text: str, line: int) -> bytes:
        """Return the digest of a text in UTF-8."""
        data = text.encode()
        self.charge(DIGEST_PER_BYTE[algorithm] * len(data), line)
        return _DIGESTS[algorithm](data)

    def bytes_digest(self, algorithm: str, data: bytes, line: int) -> bytes:
        """Return the digest of bytes of fixed length, whose cost is part of the run's."""
        del line
        return _DIGESTS[algorithm](data)

    def emit(self, event: int, fields: tuple[Value, ...], line: int) -> None:
        """Emit an event."""
        kind = self._events[event]
        length = 0
        for (_, part), value in zip(kind.fields, fields, strict=True):
            length += WORD_BYTES * words(part)
            if holds_text(part):
                text = text_bytes(part, value)
                self.charge(TEXT_BYTE * text, line)
                length += text
        self._event_bytes += length
        if self._event_bytes > EVENT_BYTES_MAX:
            raise Ended(Code.OUT_OF_BOUNDS, 0, line)
        self.events.append(Event(kind.name, fields, self.address))

    # Other contracts

    def remote(self, target: bytes, method: int, arguments: tuple[Value, ...], line: int) -> Value:
        """Call another contract; gas is one budget, and its failure is ours."""
        if self.host is None:
            raise Ended(Code.INNER_CALL, InnerFailure.UNKNOWN_CONTRACT, line)
        wanted = self.program.remote_methods[method]
        call = Call(self.address, arguments, self.limit - self.gas)
        outcome = self.host.call(target, wanted.name, call, reads_only=wanted.kind == "view")
        self.charge(outcome.gas, line)
        if outcome.code == Code.OUT_OF_GAS:
            self.gas = self.limit
            raise Ended(Code.OUT_OF_GAS, 0, line)
        if outcome.code == Code.INNER_CALL and not outcome.line:
            raise Ended(Code.INNER_CALL, outcome.detail, line)
        if outcome.code != Code.OK:
            raise Ended(Code.INNER_CALL, InnerFailure.FAILED, line)
        if outcome.result is not None if wanted.result is None else not is_value(wanted.result, outcome.result):
            raise Ended(Code.INNER_CALL, InnerFailure.UNKNOWN_METHOD, line)
        self.events += outcome.events
        return outcome.result

    # The call

    def begin(self, call: Call, block: BlockContext, host: Host | None) -> None:
        """Set the machine up for a call."""
        self.caller, self.height, self.time = call.caller, block.height, block.time
        self.gas, self.limit = 0, call.gas_limit
        self.host, self.block = host, block
        self.events, self._event_bytes = [], 0

    def settle(self, *, keep: bool) -> None:
        """End the undo log: note what changed, or take it back."""
        if keep:
            for field, key, _ in self.undo:
                self.dirty[field, key] = None
        elif self.undo:
            for field, key, old in reversed(self.undo):
                self._take_back(field, key, old)
            self.logical_bytes = self._logical_before
        self.undo.clear()

    def _take_back(self, field: int, key: object, old: object) -> None:
        kind = self._types[field]
        if isinstance(kind, MapType):
            if old is _ABSENT:
                del self.maps[field][key]
            else:
                self.maps[field][key] = old
        elif isinstance(kind, ListType):
            if key is LENGTH:
                return
            if old is _ABSENT:
                self.lists[field].pop()
            else:
                assert isinstance(key, int)
                self.lists[field][key] = old
        elif old is _ABSENT:
            self.present.discard(field)
            self.scalars[field] = zero(kind)
        else:
            self.scalars[field] = old

    # Rows

    def load(self, row: Row) -> None:
        """Put one row in, or take it out. Raises MalformedError."""
        name, _, hex_key = row.key.partition(".")
        field = self.program.field_places.get(name)
        if field is None:
            raise MalformedError(f"the contract has no field {name!r}")
        kind = self._types[field]
        try:
            key = bytes.fromhex(hex_key)
        except ValueError:
            key = b""
        keyed = isinstance(kind, MapType | ListType)
        if row.key != (f"{name}.{key.hex()}" if key and keyed else name):
            raise MalformedError(f"{row.key!r} is no key of a row")
        if isinstance(kind, MapType):
            self._load_map(field, kind, unpack(kind.key, key), row.value)
        elif isinstance(kind, ListType):
            self._load_list(field, kind, key, row.value)
        elif row.value is not None:
            if field not in self.present:
                self.logical_bytes += self._row_bytes[field]
            elif self._texts[field] is not None:
                self.logical_bytes -= _text_class(kind, self.scalars[field])
            self.scalars[field] = unpack(kind, row.value)
            self.present.add(field)
            if self._texts[field] is not None:
                self.logical_bytes += _text_class(kind, self.scalars[field])

    def _load_map(self, field: int, kind: MapType, key: object, data: bytes | None) -> None:
        old = self.maps[field].pop(key, _ABSENT)
        if old is not _ABSENT:
            self.logical_bytes -= self._weight(field, old)
        if data is not None:
            value = unpack(kind.value, data)
            self.maps[field][key] = value
            self.logical_bytes += self._weight(field, value)

    def _load_list(self, field: int, kind: ListType, key: bytes, data: bytes | None) -> None:
        rows = self.lists[field]
        if not key or data is None:  # the length follows from the elements
            return
        index = unpack(U64, key)
        assert isinstance(index, int)
        value = unpack(kind.value, data)
        if index < len(rows):
            self.logical_bytes += self._weight(field, value) - self._weight(field, rows[index])
            rows[index] = value
        elif index == len(rows):
            self.logical_bytes += self._weight(field, value)
            rows.append(value)
        else:
            raise MalformedError(
                f"element {index} of {self.program.tree.fields[field].name} comes before those below it"
            )

    def row(self, field: int, key: object) -> Row:
        """Return one row as it is now."""
        entry = self.program.tree.fields[field]
        kind = entry.type
        if isinstance(kind, MapType):
            found = self.maps[field].get(key, _ABSENT)
            name = f"{entry.name}.{pack(kind.key, key).hex()}"  # type: ignore[arg-type]  # keys of a map are values
            return Row(name, None if found is _ABSENT else pack(kind.value, found))  # type: ignore[arg-type]  # as above
        if isinstance(kind, ListType):
            if key is LENGTH:
                return Row(entry.name, pack(U64, len(self.lists[field])))
            assert isinstance(key, int)
            return Row(f"{entry.name}.{pack(U64, key).hex()}", pack(kind.value, self.lists[field][key]))  # type: ignore[arg-type]  # as above
        return Row(entry.name, pack(kind, self.scalars[field]) if field in self.present else None)  # type: ignore[arg-type]  # as above


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
        outcomes = []
        for call in calls:
            outcome = self._execute(method, call, block, host)
            keep = outcome.code == Code.OK
            self._machine.settle(keep=keep)
            if host is not None:
                host.settle(keep=keep)
            outcomes.append(outcome)
        return outcomes

    def enter(self, method: str, call: Call, block: BlockContext, host: Host | None) -> Outcome:
        """Execute an inner call. Its undo log stays open until `settle`."""
        return self._execute(method, call, block, host)

    def settle(self, *, keep: bool) -> None:
        """End the undo log that `enter` left open: keep the writes, or roll them back."""
        self._machine.settle(keep=keep)

    def _execute(self, method: str, call: Call, block: BlockContext, host: Host | None) -> Outcome:
        machine = self._machine
        machine.begin(call, block, host)
        try:
            machine.charge(self.program.call_cost, 0)
            result = self._functions[method](machine, *call.arguments)
        except Ended as end:
            gas = call.gas_limit if end.code == Code.OUT_OF_GAS else machine.gas
            return Outcome(end.code, end.detail, end.line, gas, None, ())
        return Outcome(Code.OK, 0, 0, machine.gas, result, tuple(machine.events))

    def collect(self) -> list[Row]:
        """Return the rows changed since the last collect, in order of their first committed write, and forget them."""
        machine = self._machine
        rows = [machine.row(field, key) for field, key in machine.dirty]
        machine.dirty.clear()
        return rows

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


def _value_type(kind: object) -> ValueType:
    return kind.value if isinstance(kind, MapType | ListType) else kind  # type: ignore[return-value]  # else it is one


def _row_bytes(kind: object) -> int:
    key = words(kind.key) if isinstance(kind, MapType) else 1 if isinstance(kind, ListType) else 0
    return ROW_BYTES + WORD_BYTES * (key + words(_value_type(kind)))


def _text_class(kind: ValueType, value: object) -> int:
    """Return what a value's texts count against the quota: each rounded up to its size class."""
    if isinstance(kind, TextType):
        return -(-text_bytes(kind, value) // _TEXT_CLASS_BYTES) * _TEXT_CLASS_BYTES
    if isinstance(kind, RecordType):
        assert isinstance(value, tuple)
        total = 0
        for (_, part), item in zip(kind.fields, value, strict=True):
            if isinstance(part, TextType | RecordType):
                total += _text_class(part, item)
        return total
    return 0


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
