"""Tables as bundles: columns of a pyarrow Table, a DataFrame or a dict become the canonical columns of a method, and back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from changan.contract.compiled import marshal
from changan.contract.compiled.columns import ColumnData
from changan.contract.instance import Code
from changan.contract.types import (
    ADDRESS,
    BOOL,
    DIGEST,
    I64,
    U64,
    U128,
    BytesType,
    EnumType,
    IntType,
    RecordType,
    Signature,
    TextType,
    fixed_bytes,
    is_value,
)
from changan.errors import ChanganError
from changan.ledger.bundle import ROWS_MAX, Bundle, columns_of, encode_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from changan.client.calls import Answer
    from changan.contract.instance import Value
    from changan.contract.types import ValueType
    from changan.ledger.wire.messages import BundleRows

ROWS_A_BUNDLE = 4096
_NAMED = {kind.name: kind for kind in (U64, I64, U128, BOOL, ADDRESS, DIGEST)}


class TableError(ChanganError):
    """A table that does not fit a method; the message names the column and the row."""


class RowOutcome(NamedTuple):
    """How one row ended. Its own id is the bundle's id, a dot and its number."""

    code: Code
    detail: int
    line: int
    gas: int
    result: (
        Any  # as Python has it: int, bool, str, bytes, an enum member's name, a dict for a record; None where it failed
    )

    @property
    def succeeded(self) -> bool:
        """Whether the row took effect."""
        return self.code == Code.OK


class Sent(NamedTuple):
    """One bundle that rests: its answer, whose `tx_id` is the bundle's id, and how its rows ended, in their order."""

    answer: Answer
    rows: list[RowOutcome]


class Method:
    """One method of a contract as the node describes it: the schema of a table's rows and of their results."""

    def __init__(self, description: Mapping[str, Any], name: str, kind: str = "call") -> None:
        methods = {m["name"]: m for m in description["methods"] if m["kind"] == kind}
        if name not in methods:
            raise TableError(f"the contract has no @{kind} {name}; it has {', '.join(methods) or 'none'}")
        found = methods[name]
        types = _Types(description)
        parameters = tuple((p["name"], types.read(p["type"])) for p in found["parameters"])
        result = None if found["result"] is None else types.read(found["result"])
        self.signature = Signature(name, kind, parameters, result)

    def row(self, arguments: Mapping[str, object]) -> tuple[Value, ...]:
        """Return the values of one call in the order of the parameters. Raises TableError."""
        parameters = self.signature.parameters
        columns = _columns({name: [value] for name, value in arguments.items()}, [name for name, _ in parameters])
        return tuple(_value(kind, column[0], name, 0) for (name, kind), column in zip(parameters, columns, strict=True))

    def bundles(self, table: object, rows: int, budget: int) -> Iterator[tuple[int, bytes]]:
        """Yield the parameter of one bundle after another, each with its number of rows. Raises TableError."""
        if not 1 <= rows <= ROWS_MAX:
            raise TableError(f"a bundle has 1 to {ROWS_MAX} rows, not {rows}")
        columns = _columns(table, [name for name, _ in self.signature.parameters])
        count = len(columns[0]) if columns else 0
        if not count:
            raise TableError("the table has no rows")
        for start in range(0, count, rows):
            values = [
                [_value(kind, item, name, start + at) for at, item in enumerate(column[start : start + rows])]
                for (name, kind), column in zip(self.signature.parameters, columns, strict=True)
            ]
            made = list(zip(*values, strict=True))
            yield len(made), encode_bundle(self.signature, columns_of(self.signature, made), len(made), budget)

    def outcomes(self, rows: BundleRows) -> list[RowOutcome]:
        """Return how the rows of a bundle ended."""
        words = struct.unpack(f"<{len(rows.outcomes) // 4}I", rows.outcomes)
        gas = struct.unpack(f"<{len(rows.gas) // 8}Q", rows.gas)
        results = self._results(rows, len(words))
        return [
            RowOutcome(Code(word & 255), word >> 8 & 255, word >> 16, used, None if word else result)
            for word, used, result in zip(words, gas, results, strict=True)
        ]

    def _results(self, rows: BundleRows, count: int) -> list[Any]:
        kind = self.signature.result
        if kind is None:
            return [None] * count
        column = ColumnData(rows.results, rows.result_ends or None)
        words = struct.unpack_from(f"<{count}I", rows.outcomes)
        return [
            None if words[row] else _python(kind, marshal.read_alone(kind, Bundle.piece(column, kind, row)))
            for row in range(count)
        ]


class _Types:
    def __init__(self, description: Mapping[str, Any]) -> None:
        self._enums = description["enums"]
        self._records = description["records"]

    def read(self, name: str) -> ValueType:
        if name in _NAMED:
            return _NAMED[name]
        if name in self._enums:
            return EnumType(name, tuple(self._enums[name]))
        if name in self._records:
            return RecordType(name, tuple((f["name"], self.read(f["type"])) for f in self._records[name]))
        kind, _, rest = name.partition("[")
        bound = int(rest.rstrip("]"))
        return TextType(bound) if kind == "Text" else fixed_bytes(bound)


def _columns(table: object, names: Sequence[str]) -> list[Sequence[object]]:
    given = _as_dict(table)
    missing = [name for name in names if name not in given]
    unknown = sorted(set(given) - set(names))
    if missing or unknown:
        problem = f"column {missing[0]} is missing" if missing else f"column {unknown[0]} is none of the method's"
        raise TableError(f"{problem}; the method takes {', '.join(names)}")
    columns = [given[name] for name in names]
    if len({len(column) for column in columns}) > 1:
        raise TableError("the columns differ in length: " + ", ".join(f"{n} {len(given[n])}" for n in names))
    return columns


def _as_dict(table: object) -> dict[str, Sequence[object]]:
    """Return the columns of a pyarrow Table, a polars or pandas DataFrame, or a dict, by name."""
    if isinstance(table, dict):
        return {str(name): list(column) for name, column in table.items()}
    if hasattr(table, "to_pydict"):  # pyarrow
        return dict(table.to_pydict())
    if hasattr(table, "to_dict"):
        polars = hasattr(table, "get_columns")
        found = table.to_dict(as_series=False) if polars else table.to_dict("list")
        return {str(name): column for name, column in found.items()}
    raise TableError(f"a table is a pyarrow Table, a polars or pandas DataFrame or a dict, not {type(table).__name__}")


def _value(kind: ValueType, value: Any, name: str, row: int) -> Value:
    converted = value
    match kind:
        case IntType():
            converted = int(value) if hasattr(value, "__index__") and not isinstance(value, bool) else value
        case BytesType() if isinstance(value, str):
            try:
                converted = bytes.fromhex(value)
            except ValueError:
                converted = None
        case BytesType() if isinstance(value, bytes | bytearray | memoryview):
            converted = bytes(value)
        case EnumType() if isinstance(value, str) and value in kind.members:
            converted = kind.members.index(value)
        case RecordType() if isinstance(value, dict) and value.keys() == {field for field, _ in kind.fields}:
            converted = tuple(_value(part, value[field], f"{name}.{field}", row) for field, part in kind.fields)
    if not is_value(kind, converted):
        raise TableError(f"{name}, row {row}: {kind.name} wanted, this is {value!r}"[:300])
    result: Value = converted
    return result


def _python(kind: ValueType, value: Any) -> Any:
    if isinstance(kind, EnumType):
        return kind.members[value]
    if isinstance(kind, RecordType):
        return {name: _python(part, item) for (name, part), item in zip(kind.fields, value, strict=True)}
    return value
