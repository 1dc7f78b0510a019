"""A contract with a field of every shape, values for them, and what a table of them must say, made without Arrow."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from changan.contract.codec import pack, unpack
from changan.contract.instance import Row
from changan.contract.program import compile_source
from changan.contract.types import (
    U64,
    BoolType,
    BytesType,
    EnumType,
    IntType,
    ListType,
    MapType,
    RecordType,
    TextType,
    TupleType,
)

ZOO = compile_source("""\
from typing import Annotated

from annotated_types import Len, MaxLen

from changan.contract import (
    I64, U64, U128, Address, Bool, Bytes, Contract, Digest, Enum, List, Map, Record, Text, call, view,
)

Name = Annotated[Text, MaxLen(20)]
Four = Annotated[Bytes, Len(4, 4)]


class Color(Enum):
    RED = 0
    GREEN = 1
    BLUE = 2


class Point(Record):
    x: I64
    y: U128


class Fixed(Record):
    key: U64
    at: Point
    color: Color
    on: Bool
    code: Four


class Deep(Record):
    label: Name
    inside: Fixed
    note: Name


class Zoo(Contract):
    balances: Map[Address, U64]
    wide: Map[U64, U128]
    signed: Map[I64, Bool]
    by_tuple: Map[tuple[Address, U64, Bool, Color], Point]
    by_digest: Map[Digest, Deep]
    colors: Map[Bool, Color]
    fixed: Map[Four, Fixed]
    numbers: List[U64]
    names: List[Name]
    points: List[Point]
    number: U128
    text: Name

    @call
    def every(self, a: U64, b: I64, c: U128, d: Bool, e: Color, f: Address, g: Digest, h: Four, i: Name, j: Point) -> None:
        self.number = c

    @call
    def records(self, fixed: Fixed, deep: Deep) -> None:
        self.number = fixed.at.y

    @view
    def give_deep(self, fixed: Fixed, deep: Deep) -> Deep:
        return deep

    @view
    def give_fixed(self, fixed: Fixed) -> Fixed:
        return fixed

    @view
    def give_wide(self, value: U128) -> U128:
        return value + 1

    @view
    def give_name(self, name: Name) -> Name:
        return name

    @view
    def give_color(self, color: Color) -> Color:
        return color
""")


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as the codec has them; edges are likely."""
    match kind:
        case IntType():
            return st.one_of(st.sampled_from([kind.low, kind.high]), st.integers(kind.low, kind.high))
        case BoolType():
            return st.booleans()
        case EnumType():
            return st.integers(0, len(kind.members) - 1)
        case BytesType():
            return st.one_of(st.just(bytes(kind.length)), st.binary(min_size=kind.length, max_size=kind.length))
        case TextType():
            return st.text(st.characters(codec="utf-8"), max_size=5)
        case RecordType():
            return st.tuples(*(values(part) for _, part in kind.fields))
        case TupleType():
            return st.tuples(*map(values, kind.items))
    raise AssertionError(kind)


def rows_of(name: str, kind: Any) -> st.SearchStrategy[list[Row]]:
    """Rows that a field may hold."""
    if isinstance(kind, MapType):
        pairs = st.dictionaries(values(kind.key), values(kind.value), max_size=8)
        return pairs.map(
            lambda found: [Row(f"{name}.{pack(kind.key, k).hex()}", pack(kind.value, v)) for k, v in found.items()]
        )
    if isinstance(kind, ListType):
        return st.lists(values(kind.value), max_size=8).map(
            lambda found: [Row(f"{name}.{pack(U64, at).hex()}", pack(kind.value, v)) for at, v in enumerate(found)]
        )
    return st.lists(values(kind), max_size=1).map(lambda found: [Row(name, pack(kind, v)) for v in found])


def told(kind: Any, value: Any) -> Any:
    """A value as pyarrow gives it to Python."""
    match kind:
        case EnumType():
            return kind.members[value]
        case IntType(name="U128"):
            return Decimal(value)
        case RecordType():
            return {name: told(part, item) for (name, part), item in zip(kind.fields, value, strict=True)}
    return value


def expected(kind: Any, rows: list[Row]) -> list[dict[str, Any]]:
    """What a table of rows must hold, as a list of dicts."""
    found = []
    for row in sorted(rows):
        data = bytes.fromhex(row.key.partition(".")[2])
        entry: dict[str, Any] = {}
        if isinstance(kind, MapType) and isinstance(kind.key, TupleType):
            parts = zip(kind.key.items, unpack(kind.key, data), strict=True)  # type: ignore[arg-type]
            entry = {f"key_{at}": told(part, item) for at, (part, item) in enumerate(parts)}
        elif isinstance(kind, MapType):
            entry = {"key": told(kind.key, unpack(kind.key, data))}
        elif isinstance(kind, ListType):
            entry = {"index": unpack(U64, data)}
        element = kind.value if isinstance(kind, MapType | ListType) else kind
        value = told(element, unpack(element, row.value))  # type: ignore[arg-type]
        _put(entry, value, "", set(entry))
        found.append(entry)
    return found


def _put(entry: dict[str, Any], value: Any, path: str, taken: set[str]) -> None:
    if isinstance(value, dict):
        for name, part in value.items():
            _put(entry, part, f"{path}.{name}" if path else name, taken)
    else:
        name = path or "value"
        entry[f"value.{name}" if name in taken else name] = value
