"""Bundles as they travel: many calls of one method as columns, in one parameter of one signed transaction.

Layout, all little-endian: `CGB` and 1; u32 rows; u64 gas that all rows together may use; the first 8 bytes of the SHA-256 of
the method's signature as text; then the columns in the order of the parameters. A column of fixed width is its values one
after another; one of variable width is the end of every value (u32), then the values. There is one encoding of a bundle, and
nothing may follow it.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.compiled import marshal
from changan.contract.compiled.columns import ColumnData, check_columns
from changan.contract.compiled.layout import fixed_size
from changan.contract.types import ADDRESS
from changan.errors import ChanganError
from changan.ledger.rule_sets import BUNDLES_THAT_CALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract.instance import Value
    from changan.contract.program import Program
    from changan.contract.types import Signature, ValueType

PARAMETER = "__bundle__"
MESSAGE = "BUNDLE"
"""What the result of a bundle says. No contract can say it, so no contract's own result passes for a bundle's."""
ROWS_MAX = 65_536
MAGIC = b"CGB\x01"
_HEAD = struct.Struct("<4sIQ8s")
HEAD_BYTES = _HEAD.size
"""What stands before the columns."""
_END = 4


class BundleError(ChanganError):
    """A bundle that is refused whole; the message says what is wrong with it."""


class Bundle(NamedTuple):
    """A decoded bundle: how many rows, the gas that they share, and the columns as they lie in the parameter.

    Where rows have callers of their own, these are 20 bytes a row; else one caller stands for all rows.
    """

    rows: int
    budget: int
    columns: list[ColumnData]
    callers: bytes = b""

    def shown(self, signature: Signature) -> list[tuple[ValueType, ColumnData]]:
        """Return the columns that a row's leaf shows, with their types: its own caller where it has one, and its arguments."""
        callers = [(ADDRESS, ColumnData(self.callers))] if self.callers else []
        kinds = (kind for _, kind in signature.parameters)
        return [*callers, *zip(kinds, self.columns, strict=True)]

    def arguments(self, signature: Signature, row: int) -> tuple[Value, ...]:
        """Return the arguments of one row."""
        return tuple(
            marshal.read_alone(kind, self.piece(column, kind, row))
            for column, (_, kind) in zip(self.columns, signature.parameters, strict=True)
        )

    @staticmethod
    def piece(column: ColumnData, kind: ValueType, row: int) -> memoryview:
        """Return the bytes of one row's value in a column."""
        data = memoryview(column.data)
        size = fixed_size(kind)
        if size is not None:
            return data[row * size : (row + 1) * size]
        ends = memoryview(column.ends or b"")
        start = int.from_bytes(ends[_END * (row - 1) : _END * row], "little") if row else 0
        return data[start : int.from_bytes(ends[_END * row : _END * (row + 1)], "little")]


class OpenedBundle(NamedTuple):
    """A decoded bundle with the method that it was decoded for."""

    signature: Signature
    bundle: Bundle


def schema(signature: Signature) -> bytes:
    """Return what tells one method's columns from another's: 8 bytes."""
    parameters = ",".join(f"{name}:{kind.name}" for name, kind in signature.parameters)
    return sha256(f"{signature.name}({parameters})".encode()).digest()[:8]


def encode_head(signature: Signature, rows: int, budget: int, magic: bytes = MAGIC) -> bytes:
    """Return the first bytes of a bundle."""
    return _HEAD.pack(magic, rows, budget, schema(signature))


def encode_columns(columns: Sequence[ColumnData]) -> bytes:
    """Return columns as they follow the head."""
    return b"".join(bytes(part) for column in columns for part in (column.ends or b"", column.data))


def encode_bundle(signature: Signature, columns: Sequence[ColumnData], rows: int, budget: int) -> bytes:
    """Return the parameter of a bundle."""
    return encode_head(signature, rows, budget) + encode_columns(columns)


def columns_of(signature: Signature, rows: Sequence[Sequence[Value]]) -> list[ColumnData]:
    """Return rows of values as columns."""
    columns = []
    for place, (_, kind) in enumerate(signature.parameters):
        pieces = [marshal.write_alone(kind, row[place]) for row in rows]
        if fixed_size(kind) is None:
            ends = struct.pack(f"<{len(pieces)}I", *accumulate(map(len, pieces)))
            columns.append(ColumnData(b"".join(pieces), ends))
        else:
            columns.append(ColumnData(b"".join(pieces)))
    return columns


def decode_bundle(data: bytes, signature: Signature) -> Bundle:
    """Return the bundle in a parameter. Raises BundleError."""
    rows, budget = read_head(data, signature)
    return Bundle(rows, budget, read_columns(data, HEAD_BYTES, rows, signature))


def open_bundle(program: Program, method: str, data: bytes, kind: str = "call", rules: int = 1) -> OpenedBundle:
    """Return the bundle in a parameter, and the method of a kind that it is for. Raises BundleError."""
    signature = bundled_method(program, method, kind, rules)
    return OpenedBundle(signature, decode_bundle(data, signature))


def bundled_method(program: Program, method: str, kind: str = "call", rules: int = 1) -> Signature:
    """Return a method that takes bundles by the chain's rules. Raises BundleError."""
    signature = program.method(method)
    if signature is None or signature.kind != kind:
        raise BundleError(f"the contract has no @{kind} {method[:128]!r}")
    if program.tree.interfaces and (kind != "call" or rules < BUNDLES_THAT_CALL):
        raise BundleError("the contract calls other contracts: its calls go one by one")
    return signature


def read_columns(data: bytes, at: int, rows: int, signature: Signature) -> list[ColumnData]:
    """Return the columns that take up a parameter from `at` to its end. Raises BundleError."""
    view = memoryview(data)
    columns = []
    for name, kind in signature.parameters:
        column, at = _column(view, at, rows, kind, name)
        columns.append(column)
    if at != len(data):
        raise BundleError(f"{len(data) - at} bytes follow the last column")
    try:
        check_columns(signature, columns)
    except BadArgumentError as error:
        raise BundleError(str(error)) from error
    return columns


def read_head(data: bytes, signature: Signature, magic: bytes = MAGIC) -> tuple[int, int]:
    """Return how many rows a bundle has and what gas they share, from its first bytes. Raises BundleError."""
    if len(data) < HEAD_BYTES or data[:4] != magic:
        raise BundleError("this is no bundle of version 1")
    _, rows, budget, digest = _HEAD.unpack_from(data)
    if digest != schema(signature):
        parameters = ", ".join(f"{name}: {kind.name}" for name, kind in signature.parameters)
        raise BundleError(f"the columns are not those of {signature.name}({parameters}): build the bundle again")
    if not 1 <= rows <= ROWS_MAX:
        raise BundleError(f"a bundle has 1 to {ROWS_MAX} rows, this one has {rows}")
    return rows, budget


def _column(view: memoryview, at: int, rows: int, kind: ValueType, name: str) -> tuple[ColumnData, int]:
    size = fixed_size(kind)
    ends = None
    if size is None:
        ends, at = view[at : at + _END * rows], at + _END * rows
        length = int.from_bytes(ends[-_END:], "little") if len(ends) == _END * rows else len(view)
    else:
        length = rows * size
    if at + length > len(view):
        raise BundleError(f"{name}: the column is shorter than {rows} rows")
    return ColumnData(view[at : at + length], ends), at + length
