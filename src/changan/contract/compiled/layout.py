"""Where everything lies in a compiled contract's memory: the control block, the fields' headers, rows, and static data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.declarations import PARAMETERS_MAX
from changan.contract.machine import ROW_BYTES
from changan.contract.types import (
    RECORD_BYTES_MAX,
    WORD_BYTES,
    BoolType,
    BytesType,
    EnumType,
    IntType,
    ListType,
    MapType,
    RecordType,
    TextType,
    TupleType,
    ValueType,
    holds_text,
    words,
)

if TYPE_CHECKING:
    from changan.contract.tree import Field, Tree

# Flags in the first four bytes of every row. Address 0 is the row that is nowhere: a lookup that finds nothing gives it.
DIRTY = 1  # noted for the next delta
DEAD = 2  # no value: deleted, or not yet made
FREE = 4  # given back; may hold another key later

# The control block. What is 8 bytes wide is little-endian, as all of WebAssembly's memory.
NIL_ROW = 0
LOGICAL, LOGICAL_BEFORE, QUOTA, BUDGET = 16, 24, 32, 48
CALLER, HEIGHT, TIME = 64, 88, 96
EVENTS_BASE, EVENTS_END, OUT_BASE, OUT_END, HEAP_TOP, HEAP_STOP = 104, 108, 112, 116, 120, 124
SEEDS = 128
SEED_BYTES = 32
FREE_BLOCKS = 256  # heads of the lists of free arrays, by the logarithm of their size
FREE_TEXTS = 512  # heads of the lists of free texts, by size class
TEXT_CLASS_BYTES = 16
FIELD_HEADERS = 2048
FIELD_HEADER_BYTES = 64
ONE_OUTCOME, ONE_GAS, ONE_END = 6144, 6152, 6160  # where a single call's outcome goes
DUMP_CHUNK, DUMP_CURSOR = 6176, 6180  # how far the last answer of `dump` came
SINK = 6200  # written so that loads made ahead are not left out; never read
HINTS_MAX = 6
GROUP = 64  # rows whose look-ups are done together
NO_HINTS = 6208  # zeros, read where hints were not looked up: they stand for the row that is nowhere
ONE_RESULT = NO_HINTS + 4 * GROUP * HINTS_MAX  # where a single call's result goes, if it has a fixed size
GAS_LIMIT = (
    ONE_RESULT + RECORD_BYTES_MAX
)  # from here on what a single call takes: gas, caller, and what has a fixed size
ONE_CALLER, ONE_ARGUMENTS = GAS_LIMIT + 8, GAS_LIMIT + 32
STATIC = ONE_ARGUMENTS + PARAMETERS_MAX * RECORD_BYTES_MAX

# A map's header
INDEX, SHIFT, ENTRIES, ENTRIES_MAX, FREE_ROW, ROW_TOP, ROW_END, FIRST_CHUNK, LAST_CHUNK, LIVE = (
    0, 4, 8, 12, 16, 20, 24, 28, 32, 40,
)  # fmt: skip
# A list's header begins as a row: its flags, and its length as the value.
LENGTH, DIRECTORY, DIRECTORY_MAX, CHUNKS = 8, 16, 20, 24
LIST_CHUNK_ROWS = 64
LIST_HEADER_BYTES = 8  # of each element: flags and its index
CHUNK_HEADER_BYTES = 64  # the next chunk, and where its rows end
UNDO_BYTES = 16

COLUMN_BYTES = 16  # a column's descriptor: base, stride, ends
FLAT_WORDS_MAX = 8


def is_flat(kind: ValueType) -> bool:
    """Whether a value of this type is held in WebAssembly's own values rather than in memory."""
    return not isinstance(kind, RecordType) or (words(kind) <= FLAT_WORDS_MAX and not holds_text(kind))


def components(kind: ValueType) -> list[str]:
    """Return the WebAssembly types of a flat value's parts; each takes a word where it is stored."""
    match kind:
        case BoolType() | EnumType():
            return ["i32"]
        case RecordType():
            return [part for _, item in kind.fields for part in components(item)]
        case TupleType():
            return [part for item in kind.items for part in components(item)]
        case _:
            return ["i64"] * words(kind)


def fixed_size(kind: ValueType) -> int | None:
    """Return how many bytes a value takes in a column, or None where that depends on the value."""
    match kind:
        case IntType():
            return kind.width
        case BoolType() | EnumType():
            return 1
        case BytesType():
            return kind.length
        case TextType():
            return None
    sizes = [fixed_size(item) for item in parts(kind)]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def parts(kind: ValueType) -> tuple[ValueType, ...]:
    """Return the types of a record's or tuple's parts; of anything else, itself."""
    if isinstance(kind, RecordType):
        return tuple(item for _, item in kind.fields)
    return kind.items if isinstance(kind, TupleType) else (kind,)


class KeyPart(NamedTuple):
    """One component of a key: its WebAssembly type, and where it lies in the row."""

    type: str
    size: int
    offset: int


class FieldLayout(NamedTuple):
    """One field of the contract: where its header or slot is, and how its rows look."""

    place: int
    kind: object
    value: ValueType
    header: int
    row_bytes: int  # what a row counts against the quota, without its texts
    key: ValueType | None
    key_parts: tuple[KeyPart, ...]
    value_offset: int
    stride: int
    default: object


def key_parts(kind: ValueType) -> tuple[KeyPart, ...]:
    """Return how a key lies in its row, from the fourth byte on."""
    found: list[KeyPart] = []
    offset = 4
    for item in parts(kind):
        for position, type_ in enumerate(components(item)):
            left = item.length - WORD_BYTES * position if isinstance(item, BytesType) else WORD_BYTES
            size = 4 if type_ == "i32" or left <= 4 else 8  # noqa: PLR2004  # half a word
            found.append(KeyPart(type_, size, offset))
            offset += size
    return tuple(found)


class Static:
    """Gives out fixed addresses, and remembers what lies there at the start."""

    def __init__(self, top: int = STATIC) -> None:
        self.top = top
        self.data: list[tuple[int, bytes]] = []
        self._known: dict[bytes, int] = {}

    def reserve(self, size: int) -> int:
        """Return an address with room for so many bytes, aligned to words."""
        found = self.top
        self.top = (found + size + WORD_BYTES - 1) & -WORD_BYTES
        return found

    def constant(self, data: bytes) -> int:
        """Return where these bytes lie."""
        if data not in self._known:
            self._known[data] = self.reserve(len(data))
            self.data.append((self._known[data], data))
        return self._known[data]


def field_layouts(tree: Tree, static: Static) -> list[FieldLayout]:
    """Return how each field is laid out."""
    return [_field(place, entry, static) for place, entry in enumerate(tree.fields)]


def _field(place: int, entry: Field, static: Static) -> FieldLayout:
    header = FIELD_HEADERS + FIELD_HEADER_BYTES * place
    kind = entry.type
    if isinstance(kind, MapType):
        located = key_parts(kind.key)
        value_offset = (located[-1].offset + located[-1].size + 7) & -8
        size = value_offset + WORD_BYTES * words(kind.value)
        counted = ROW_BYTES + WORD_BYTES * (words(kind.key) + words(kind.value))
        return FieldLayout(
            place, kind, kind.value, header, counted, kind.key, located, value_offset, _padded(size), kind.default
        )
    if isinstance(kind, ListType):
        counted = ROW_BYTES + WORD_BYTES * (1 + words(kind.value))
        stride = LIST_HEADER_BYTES + WORD_BYTES * words(kind.value)
        return FieldLayout(place, kind, kind.value, header, counted, None, (), LIST_HEADER_BYTES, stride, None)
    counted = ROW_BYTES + WORD_BYTES * words(kind)
    slot = static.reserve(LIST_HEADER_BYTES + WORD_BYTES * words(kind))
    static.data.append((slot, DEAD.to_bytes(4, "little")))
    return FieldLayout(place, kind, kind, slot, counted, None, (), LIST_HEADER_BYTES, 0, None)


def _padded(size: int) -> int:
    """Return the distance of rows: small ones never straddle a cache line."""
    for power in (16, 32, 64):
        if size <= power:
            return power
    return (size + 15) & -16
