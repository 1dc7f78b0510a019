"""The state of a compiled instance: its memory, the rows that changed, all rows, single ones, and rows put back."""

from __future__ import annotations

import struct
import weakref
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import pack, unpack
from changan.contract.compiled import layout as l
from changan.contract.compiled.entry import Machine, compile_text
from changan.contract.compiled.module import ModuleText, emit_module
from changan.contract.field_view import FieldView
from changan.contract.instance import Row
from changan.contract.records import record, record_of, rows_of
from changan.contract.types import U64, ListType, MapType
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import wasmtime

    from changan.contract.program import Program

BUFFERS = struct.Struct("<4I")  # where events begin and end, and what goes out
_WORD = struct.Struct("<I")
_PLACE = struct.Struct("<2I")
_ANSWER_BYTES = 4 << 20
_RESTORE_BYTES = 1 << 20
DRAIN_BYTES = 512 << 20  # how far the heap may grow before changed rows are written down in between
REBUILD_BYTES = 3 << 30  # where the heap has grown so far that the state is written anew


class Place(NamedTuple):
    """How far a dump of a field came: in which chunk, and where there."""

    chunk: int
    cursor: int


START = Place(0, 0)


@lru_cache(maxsize=64)
def module_of(program: Program) -> tuple[ModuleText, wasmtime.Module]:
    """Return a program's module, compiled."""
    text = emit_module(program.tree)
    return text, compile_text(text.text)


class StoredRows(ABC):
    """The rows of one contract in WebAssembly's memory."""

    def __init__(self, program: Program, address: bytes, quota: int, seed: bytes) -> None:
        self.program = program
        self.address = address
        self._quota = quota
        self._seed = seed
        self._text, self._module = module_of(program)
        self._carried: dict[str, bytes | None] = {}  # rows that were written down before the delta was asked for
        self._open()

    @abstractmethod
    def _remote(self, number: int, arguments: int, result: int, gas: int) -> tuple[int, int]:
        """Call another contract for the module."""

    def _open(self) -> None:
        host = weakref.WeakMethod(self._remote)  # what wasmtime keeps must not keep this instance

        def call_host(number: int, arguments: int, result: int, gas: int) -> tuple[int, int]:
            found = host()
            assert found is not None
            return found(number, arguments, result, gas)

        self._machine = Machine(self._module, call_host if self._text.remote else None)
        memory = self._machine.memory
        memory[l.SEEDS : l.SEEDS + l.SEED_BYTES] = _spread(self._seed)
        struct.pack_into("<q", memory, l.QUOTA, self._quota)
        entry = self._machine.entry
        entry("setup")()
        self._settle, self._recover = entry("settle"), entry("recover")
        self._collect_start, self._collect = entry("collect_start"), entry("collect")
        self._dump, self._restore = entry("dump"), entry("restore")
        self._look, self._input = entry("look"), entry("input")
        self._element = entry("element")
        self._set_drain()

    def _set_drain(self) -> int:
        """Say how far the heap may grow until changed rows are written down; return how far it has grown."""
        top = self._heap_top
        self._drain_at = min(top + DRAIN_BYTES, 0xFFFFFFFF)
        _WORD.pack_into(self._machine.memory, l.HEAP_STOP, self._drain_at)
        return top

    @property
    def _heap_top(self) -> int:
        found: int = _WORD.unpack_from(self._machine.memory, l.HEAP_TOP)[0]
        return found

    @property
    def logical_bytes(self) -> int:
        """Size of the state that counts against the quota, in bytes."""
        found: int = struct.unpack_from("<q", self._machine.memory, l.LOGICAL)[0]
        return found

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        total = 0
        for field in self._text.fields:
            if isinstance(field.kind, MapType):
                total += self._word(field.header + l.LIVE)
            elif isinstance(field.kind, ListType):
                total += self._word(field.header + l.LENGTH)
            else:
                total += not self._machine.memory[field.header] & l.DEAD
        return total

    def _word(self, at: int) -> int:
        return int.from_bytes(self._machine.memory[at : at + 8], "little")

    # Changed rows

    def collect(self) -> list[Row]:
        """Return the rows changed since the last collect, in order of their first committed write, and forget them."""
        return list(self._parse(self.collect_delta()))

    def collect_delta(self) -> bytes:
        """Return what `collect` does, as records (`contract.records`), without an object a row."""
        delta = self._changed()
        if self._carried:
            self._carried.update(self._parse(delta))
            delta = b"".join(record_of(self.program.field_places, Row(*row)) for row in self._carried.items())
            self._carried = {}
        self._make_room()
        return delta

    def _make_room(self) -> None:
        """Let the heap grow on, once nothing is noted as changed; where it has grown too far, write the state anew."""
        if self._set_drain() > REBUILD_BYTES:
            self._rebuild()

    def _changed(self) -> bytes:
        self._collect_start()
        return self._answers(self._collect_some)

    def _collect_some(self) -> int:
        return self._collect(_ANSWER_BYTES)

    def _answers(self, ask: Callable[[], int]) -> bytes:
        """Ask until nothing more follows; return everything that came."""
        memory = self._machine.memory
        more = ask()
        _, _, start, end = BUFFERS.unpack_from(memory, l.EVENTS_BASE)
        if not more:
            return bytes(memory[start:end])
        found = [bytes(memory[start:end])]
        while more:
            more = ask()
            _, _, start, end = BUFFERS.unpack_from(memory, l.EVENTS_BASE)
            found.append(bytes(memory[start:end]))
        return b"".join(found)

    def _drain(self) -> None:
        """Write changed rows down before their delta is asked for, so that what they gave up can be used again."""
        self._carried.update(self._parse(self._changed()))
        self._set_drain()

    def _rebuild(self) -> None:
        """Put the state in a new memory, without the holes that its history left."""
        pieces = self.dump()
        self._open()
        self.restore_dump(pieces)
        self._set_drain()

    def _parse(self, data: bytes) -> Iterator[Row]:
        return rows_of(self.program.field_names, data)

    # All rows

    def rows(self) -> Iterator[Row]:
        """Return all rows as they are now; the iterator stays valid and unchanged while later calls run."""
        return self._parse(self._dumped())

    def _dumped(self) -> bytes:
        return b"".join(self.dump())

    def _dumped_field(self, field: int) -> bytes:
        return b"".join(self._dump_pieces(field))

    def _dump_pieces(self, field: int) -> Iterator[bytes]:
        place: Place | None = START
        while place is not None:
            piece, place = self.dump_some(field, place, _ANSWER_BYTES)
            yield piece

    def dump_some(self, field: int, place: Place, limit: int) -> tuple[bytes, Place | None]:
        """Return records of a field's rows from a place on, some `limit` bytes, and the place of those that follow, if any."""
        memory = self._machine.memory
        more = self._dump(field, limit, *place)
        _, _, start, end = BUFFERS.unpack_from(memory, l.EVENTS_BASE)
        return bytes(memory[start:end]), Place(*_PLACE.unpack_from(memory, l.DUMP_CHUNK)) if more else None

    def dump(self) -> list[bytes]:
        """Return all rows as records (see `collect_delta`), in pieces: what a checkpoint of this node holds."""
        return [piece for field in range(len(self._text.fields)) for piece in self._dump_pieces(field)]

    def scan(self) -> Scan:
        """Return what gives all rows bit by bit, while calls go on."""
        return Scan(self)

    def restore_dump(self, pieces: Iterable[bytes]) -> None:
        """Put back what `dump` returned, as `restore` does but without looking: the bytes must be known to be our own."""
        for piece in pieces:
            self._restore_bytes(piece)

    def restore(self, rows: Iterable[Row]) -> None:
        """Put rows in (or, with value None, take them out) without gas and without marking them as changed.

        Raises MalformedError for a row that is none of this contract's.
        """
        waiting: list[bytes] = []
        lengths: dict[int, int] = {}
        size = 0
        try:
            for row in rows:
                data = self._checked_record(row, lengths)
                waiting.append(data)
                size += len(data)
                if size > _RESTORE_BYTES:
                    self._restore_bytes(b"".join(waiting))
                    waiting, size = [], 0
        finally:  # what came before a bad row is in, as with every instance
            self._restore_bytes(b"".join(waiting))

    def _restore_bytes(self, data: bytes) -> None:
        if data:
            at = self._input(len(data))
            self._machine.memory[at : at + len(data)] = data
            self._restore(at, at + len(data))

    def _checked_record(self, row: Row, lengths: dict[int, int]) -> bytes:
        """Return a row as the module takes it; nothing where it follows from others."""
        field, kind, key = self.program.locate(row.key)
        if isinstance(kind, MapType):
            unpack(kind.key, key)
            value_type = kind.value
        elif isinstance(kind, ListType):
            if not key or row.value is None:  # the length follows from the elements
                return b""
            value_type = kind.value
            self._check_index(field, key, lengths)
        else:
            if row.value is None:
                return b""
            value_type = kind
        if row.value is None:
            return record(field, key, None)
        unpack(value_type, row.value)
        if isinstance(kind, ListType):
            lengths[field] = max(lengths[field], int.from_bytes(key, "big") + 1)
        return record(field, key, row.value)

    def _check_index(self, field: int, key: bytes, lengths: dict[int, int]) -> None:
        index = unpack(U64, key)
        assert isinstance(index, int)
        length = lengths.setdefault(field, self._word(self._text.fields[field].header + l.LENGTH))
        if index > length:
            name = self.program.tree.fields[field].name
            raise MalformedError(f"element {index} of {name} comes before those below it")

    # Single rows

    def get(self, key: str) -> bytes | None:
        """Return the value of the row with this key, or None."""
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
                unpack(kind.key, data)
                return self._map_value(field, data)
            if isinstance(kind, ListType):
                return self._list_value(field, data, dot)
        except (ValueError, MalformedError):
            return None
        return None if dot else self._first(self._dumped_field(field))

    def _map_value(self, field: int, key: bytes) -> bytes | None:
        data = record(field, key, b"")
        at = self._input(len(data))
        self._machine.memory[at : at + len(data)] = data
        self._look(at)
        _, _, start, end = BUFFERS.unpack_from(self._machine.memory, l.EVENTS_BASE)
        return self._first(bytes(self._machine.memory[start:end]))

    def _list_value(self, field: int, key: bytes, dot: str) -> bytes | None:
        length = self._word(self._text.fields[field].header + l.LENGTH)
        if not dot:
            return pack(U64, length) if length else None
        index = unpack(U64, key)
        assert isinstance(index, int)
        return self._elements(field, index, index + 1)[0].value if index < length else None

    def _elements(self, field: int, start: int, stop: int) -> list[Row]:
        """Return a list's elements from one to before another."""
        return [self._row_at(field, index) for index in range(start, stop)]

    def _row_at(self, field: int, index: int) -> Row:
        self._element(field, index)
        _, _, start, end = BUFFERS.unpack_from(self._machine.memory, l.EVENTS_BASE)
        return next(self._parse(bytes(self._machine.memory[start:end])))

    def _first(self, data: bytes) -> bytes | None:
        row = next(self._parse(data), None)
        return None if row is None else row.value

    def view(self, field: str) -> FieldView:
        """Return one field as it is now; it stays so while later calls run."""
        place = self.program.field_places[field]
        data = self._dumped_field(place)
        is_list = isinstance(self.program.tree.fields[place].type, ListType)
        return FieldView(field, lambda: self._parse(data), is_list=is_list, packed=data)


class Scan:
    """All rows of an instance as records, bit by bit, while calls go on in between.

    A row that changes meanwhile comes as it was or as it is, or both. Put back in their order, with every delta since the scan
    began behind them, the records give the rows as they are then.
    """

    def __init__(self, instance: StoredRows) -> None:
        self._instance = instance
        self._begin()

    def _begin(self) -> None:
        self._machine = self._instance._machine  # noqa: SLF001  # of this file
        self._field: int = 0
        self._place = START

    @property
    def is_done(self) -> bool:
        """Whether every row was given."""
        return self._field == len(self._instance.program.tree.fields)

    def take(self, limit: int) -> bytes:
        """Return records of rows that were not given yet, some `limit` bytes, or of all that are left."""
        if self._instance._machine is not self._machine:  # noqa: SLF001  # it was rebuilt: places mean nothing any more
            self._begin()
        found: list[bytes] = []
        left = limit
        while left > 0 and not self.is_done:
            piece, place = self._instance.dump_some(self._field, self._place, left)
            found.append(piece)
            left -= len(piece)
            self._place = place or START
            self._field += place is None
        return b"".join(found)


def _spread(seed: bytes) -> bytes:
    """Return the hash's four words of secret: odd, so that none of them loses bits."""
    padded = seed.ljust(l.SEED_BYTES, b"\x9e")[: l.SEED_BYTES]
    words = [int.from_bytes(padded[at : at + 8], "little") | 1 for at in range(0, l.SEED_BYTES, 8)]
    return b"".join(word.to_bytes(8, "little") for word in words)
