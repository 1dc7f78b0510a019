"""The types of the contract language: what values each has, how many words it takes, and its zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from changan.contract.instance import Value

TEXT_BYTES_MAX = 4096
FIXED_BYTES_MAX = 64
RECORD_BYTES_MAX = 1024
WORD_BYTES = 8


@dataclass(frozen=True, slots=True)
class IntType:
    """An integer of fixed size."""

    name: str
    low: int
    high: int
    width: int  # bytes


@dataclass(frozen=True, slots=True)
class BoolType:
    """True or False."""

    name: str = "Bool"


@dataclass(frozen=True, slots=True)
class EnumType:
    """One of named members; the value is the member's number, 0 and up."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BytesType:
    """Bytes of a fixed length; Address is one of them and mixes with no other."""

    name: str
    length: int


@dataclass(frozen=True, slots=True)
class TextType:
    """UTF-8 text of at most so many bytes."""

    limit: int

    @property
    def name(self) -> str:
        """The type as messages show it."""
        return f"Text[{self.limit}]"


@dataclass(frozen=True, slots=True)
class RecordType:
    """A value with named fields."""

    name: str
    fields: tuple[tuple[str, ValueType], ...]


@dataclass(frozen=True, slots=True)
class TupleType:
    """Several values as one key."""

    items: tuple[ValueType, ...]

    @property
    def name(self) -> str:
        """The type as messages show it."""
        return f"tuple[{', '.join(item.name for item in self.items)}]"


ValueType = IntType | BoolType | EnumType | BytesType | TextType | RecordType | TupleType


@dataclass(frozen=True, slots=True)
class MapType:
    """A field that holds a value under each key, without order."""

    key: ValueType
    value: ValueType
    default: Value = None  # None: reading an absent key fails

    @property
    def name(self) -> str:
        """The type as messages show it."""
        return f"Map[{self.key.name}, {self.value.name}]"


@dataclass(frozen=True, slots=True)
class ListType:
    """A field that holds values in order of arrival."""

    value: ValueType

    @property
    def name(self) -> str:
        """The type as messages show it."""
        return f"List[{self.value.name}]"


FieldType = ValueType | MapType | ListType

U64 = IntType("U64", 0, 2**64 - 1, 8)
I64 = IntType("I64", -(2**63), 2**63 - 1, 8)
U128 = IntType("U128", 0, 2**128 - 1, 16)
BOOL = BoolType()
ADDRESS = BytesType("Address", 20)
DIGEST = BytesType("Bytes[32]", 32)


def fixed_bytes(length: int) -> BytesType:
    """Return the type of bytes of this length."""
    return BytesType(f"Bytes[{length}]", length)


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event: the class name is its topic."""

    name: str
    fields: tuple[tuple[str, ValueType], ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What callers know of a method: its kind (init, call, view, migrate, helper), parameters and result."""

    name: str
    kind: str
    parameters: tuple[tuple[str, ValueType], ...]
    result: ValueType | None
    line: int = field(default=0, compare=False)
    doc: str = field(default="", compare=False)
    number: int = field(default=-1, compare=False)  # of an interface's method: its place among all of the file's


@dataclass(frozen=True, slots=True)
class InterfaceType:
    """Another contract as the author declares it."""

    name: str
    methods: tuple[Signature, ...]


def value_type(kind: FieldType) -> ValueType:
    """Return the type of a field's values."""
    return kind.value if isinstance(kind, MapType | ListType) else kind


def words(kind: ValueType) -> int:
    """Return how many 8-byte words a value takes where it is stored; a text takes one beside its bytes."""
    match kind:
        case IntType():
            return kind.width // WORD_BYTES
        case BytesType():
            return (kind.length + WORD_BYTES - 1) // WORD_BYTES
        case RecordType():
            return sum(words(item) for _, item in kind.fields)
        case TupleType():
            return sum(words(item) for item in kind.items)
        case BoolType() | EnumType() | TextType():
            return 1


def holds_text(kind: ValueType) -> bool:
    """Whether a value of this type has bytes beside its words."""
    if isinstance(kind, RecordType):
        return any(holds_text(item) for _, item in kind.fields)
    return isinstance(kind, TextType)


def text_bytes(kind: ValueType, value: object) -> int:
    """Return how many bytes of text a value holds."""
    if isinstance(kind, TextType):
        assert isinstance(value, str)
        return len(value.encode())
    if isinstance(kind, RecordType):
        assert isinstance(value, tuple)
        return sum(
            text_bytes(item, part) for (_, item), part in zip(kind.fields, value, strict=True) if holds_text(item)
        )
    return 0


def zero(kind: ValueType) -> Value:
    """Return what a scalar field holds before it is set."""
    match kind:
        case IntType() | EnumType():
            return 0
        case BoolType():
            return False
        case BytesType():
            return bytes(kind.length)
        case TextType():
            return ""
        case RecordType():
            return tuple(zero(item) for _, item in kind.fields)
        case TupleType():
            return tuple(zero(item) for item in kind.items)


def is_value(kind: ValueType, value: object) -> bool:
    """Whether a Python object is a value of this type."""
    match kind:
        case IntType():
            return type(value) is int and kind.low <= value <= kind.high
        case BoolType():
            return type(value) is bool
        case EnumType():
            return type(value) is int and 0 <= value < len(kind.members)
        case BytesType():
            return type(value) is bytes and len(value) == kind.length
        case TextType():
            return type(value) is str and _encodes(value, kind.limit)
        case RecordType():
            parts = tuple(item for _, item in kind.fields)
            return type(value) is tuple and len(value) == len(parts) and all(map(is_value, parts, value))
        case TupleType():
            return type(value) is tuple and len(value) == len(kind.items) and all(map(is_value, kind.items, value))


def _encodes(value: str, limit: int) -> bool:
    try:
        return len(value.encode()) <= limit
    except UnicodeEncodeError:  # a lone surrogate
        return False


def accepts(wanted: ValueType, given: ValueType) -> bool:
    """Whether a value of type `given` may stand where `wanted` is; only a shorter text converts."""
    if isinstance(wanted, TextType) and isinstance(given, TextType):
        return given.limit <= wanted.limit
    return wanted == given
