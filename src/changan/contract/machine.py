"""The machine of the plain engine: a contract's state as Python objects, the meter, the undo log and the events of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Never

from changan.contract.codec import packer, unpack
from changan.contract.gas import (
    DIGEST_PER_BYTE,
    EVENT_BYTES_MAX,
    NEW_ROW,
    TEXT_BYTE,
)
from changan.contract.instance import Call, Code, Event, InnerFailure, Row
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
    value_type,
    words,
    zero,
)
from changan.crypto.digest import sha256, sm3
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.contract.instance import BlockContext, Host, Value
    from changan.contract.program import Program
    from changan.contract.types import EventType, FieldType

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


class _Emitted(NamedTuple):
    """A kind of event: its name, the bytes of its words, and which of its fields hold text."""

    name: str
    word_bytes: int
    texts: tuple[tuple[int, ValueType], ...]

    @classmethod
    def of(cls, kind: EventType) -> _Emitted:
        """Return what emitting such an event needs to know."""
        parts = [part for _, part in kind.fields]
        texts = tuple((place, part) for place, part in enumerate(parts) if holds_text(part))
        return cls(kind.name, WORD_BYTES * sum(map(words, parts)), texts)


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
        self.undo: list[tuple[tuple[int, object], object]] = []  # a row's place (field, key), and what was there
        self.dirty: dict[tuple[int, object], None] = {}
        self._types = fields
        self._quota = quota
        self._logical_before = 0
        self._defaults = [kind.default if isinstance(kind, MapType) else None for kind in fields]
        self._row_bytes = [_row_bytes(kind) for kind in fields]
        self._texts = [value_type(kind) if holds_text(value_type(kind)) else None for kind in fields]
        self._packers = [_packers(kind) for kind in fields]
        self._events = [_Emitted.of(kind) for kind in program.tree.events]
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
            self.stop(line)

    def stop(self, line: int) -> Never:
        """End the call because its gas is used up. Raises Ended."""
        raise Ended(Code.OUT_OF_GAS, 0, line)

    def turn(self, amount: int, line: int) -> bool:
        """Charge one test of a loop."""
        self.charge(amount, line)
        return True

    # Fields

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
        self.undo.append(((field, None), old))
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
        if old is _ABSENT or self._texts[field] is not None:  # else it takes the place of as many bytes
            self.logical_bytes += self._place(field, old, value, line)
        self.undo.append(((field, key), old))
        rows[key] = value

    def map_set_part(self, field: int, position: int, part: object, key: object, line: int) -> None:
        """Set one field of the record under a key."""
        old = self.maps[field].get(key, _ABSENT)
        if old is _ABSENT:
            raise Ended(Code.MISSING_KEY, 0, line)
        assert isinstance(old, tuple)
        kind = value_type(self._types[field])
        assert isinstance(kind, RecordType)
        part_type = kind.fields[position][1]
        grows = 0
        if holds_text(part_type):
            self.charge(TEXT_BYTE * text_bytes(part_type, part), line)
            grows = _text_class(part_type, part) - _text_class(part_type, old[position])
            self._grow(grows, line)
        self.undo.append(((field, key), old))
        self.logical_bytes += grows
        self.maps[field][key] = (*old[:position], part, *old[position + 1 :])

    def map_delete(self, field: int, key: object, line: int) -> None:
        """Take a key out."""
        old = self.maps[field].get(key, _ABSENT)
        if old is _ABSENT:
            raise Ended(Code.MISSING_KEY, 0, line)
        self.undo.append(((field, key), old))
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
        self.undo.append(((field, index), rows[index]))
        self.logical_bytes += grows
        rows[index] = value

    def list_append(self, field: int, value: object, line: int) -> None:
        """Append an element."""
        rows = self.lists[field]
        grows = self._place(field, _ABSENT, value, line)
        self.undo.append(((field, len(rows)), _ABSENT))
        self.undo.append(((field, LENGTH), None))
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
        name, length, texts = self._events[event]
        for place, part in texts:
            text = text_bytes(part, fields[place])
            self.charge(TEXT_BYTE * text, line)
            length += text
        self._event_bytes += length
        if self._event_bytes > EVENT_BYTES_MAX:
            raise Ended(Code.OUT_OF_BOUNDS, 0, line)
        self.events.append(Event(name, fields, self.address))

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
        self.caller, _, self.limit = call
        self.height, self.time = block
        self.gas = 0
        self.host, self.block = host, block
        self.events, self._event_bytes = [], 0
        if not self.undo:
            self._logical_before = self.logical_bytes

    def settle(self, *, keep: bool) -> None:
        """End the undo log: note what changed, or take it back."""
        if keep:
            for place, _ in self.undo:
                self.dirty[place] = None
        elif self.undo:
            for (field, key), old in reversed(self.undo):
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
        field, kind, key = self.program.locate(row.key)
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
        packed, value = self.packed(field, key)
        name = self.program.field_names[field]
        return Row(f"{name}.{packed.hex()}" if packed else name, value)

    def packed(self, field: int, key: object) -> tuple[bytes, bytes | None]:
        """Return the key and the value of one row as bytes, as they are now; a scalar and a list's length have an empty key."""
        pack_key, pack_value = self._packers[field]
        kind = self._types[field]
        if isinstance(kind, MapType):
            found = self.maps[field].get(key, _ABSENT)
            return pack_key(key), None if found is _ABSENT else pack_value(found)
        if isinstance(kind, ListType):
            rows = self.lists[field]
            if key is LENGTH:
                return b"", pack_key(len(rows))
            assert isinstance(key, int)
            return pack_key(key), pack_value(rows[key])
        return b"", pack_value(self.scalars[field]) if field in self.present else None


def _packers(kind: FieldType) -> tuple[Callable[[Any], bytes], Callable[[Any], bytes]]:
    """Return what packs a field's keys and its values."""
    return packer(kind.key if isinstance(kind, MapType) else U64), packer(value_type(kind))


def _row_bytes(kind: FieldType) -> int:
    key = words(kind.key) if isinstance(kind, MapType) else 1 if isinstance(kind, ListType) else 0
    return ROW_BYTES + WORD_BYTES * (key + words(value_type(kind)))


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
