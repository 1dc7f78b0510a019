"""Batches: rows of columns checked and put in a module's memory, and what came of them as arrays.

Columns are as a bundle carries them: values of fixed width one after another, little-endian; of variable width with the end
of each in a second buffer of u32.
"""

from __future__ import annotations

import struct
from array import array
from itertools import chain
from operator import sub
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.compiled import layout as l
from changan.contract.compiled import marshal
from changan.contract.compiled.emit_doors import BATCH, DESCRIPTOR_HEAD_BYTES, SETTLE
from changan.contract.compiled.layout import fixed_size
from changan.contract.types import BoolType, EnumType, RecordType, TextType, is_value
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from changan.contract.types import Signature, ValueType

_ADDRESS_BYTES = 20
_CONTINUES = 0xC0  # the bits that mark a byte inside a character
_GAS_MAX = 2**63 - 1
MODE = SETTLE | BATCH


class ColumnData(NamedTuple):
    """One column: its bytes, and for values of variable width where each ends (u32)."""

    data: Buffer
    ends: Buffer | None = None


class Batch(NamedTuple):
    """What came of a batch, one entry a row. `outcomes` hold code | detail << 8 | line << 16; a row that failed has a result
    of zeros, or an empty one. Events are u32 row, u32 kind, u32 length, and their fields as columns have them."""

    outcomes: array[int]
    gas: array[int]
    results: bytes
    result_ends: array[int] | None
    events: bytes


class Plan(NamedTuple):
    """Where a batch's columns and results lie in memory."""

    columns: int
    outcomes: int
    gas: int
    results: int
    ends: int
    records: int
    pieces: list[tuple[int, memoryview]]
    descriptors: list[tuple[int, int, int]]  # of each column: where, how far to the next value, where the ends are
    size: int


def count_rows(signature: Signature, callers: Buffer, columns: Sequence[ColumnData]) -> int:
    """Return how many rows a batch has. Raises BadArgumentError where the columns do not agree."""
    if len(columns) != len(signature.parameters):
        raise BadArgumentError(
            f"{signature.name} has {len(signature.parameters)} parameters, these are {len(columns)} columns"
        )
    counts: dict[str, int] = {}
    for (name, kind), column in zip(signature.parameters, columns, strict=True):
        size = fixed_size(kind)
        if size is None:
            if column.ends is None:
                raise BadArgumentError(f"{name}: a column of {kind.name} has the end of every value")
            counts[name], left = divmod(memoryview(column.ends).nbytes, 4)
        else:
            counts[name], left = divmod(memoryview(column.data).nbytes, size)
        if left:
            raise BadArgumentError(f"{name}: the last value is cut short")
    senders = memoryview(callers).nbytes // _ADDRESS_BYTES
    if memoryview(callers).nbytes != senders * _ADDRESS_BYTES or not senders:
        raise BadArgumentError("a caller has 20 bytes")
    rows = next(iter(counts.values()), senders)
    for name, count in counts.items():
        if count != rows:
            raise BadArgumentError(f"{name} has {count} values, others have {rows}")
    if senders not in {1, rows}:
        raise BadArgumentError(f"there are {senders} callers for {rows} rows")
    return rows


def check_columns(signature: Signature, columns: Sequence[ColumnData]) -> None:
    """Raise BadArgumentError for a value that is none of its parameter's type."""
    for (name, kind), column in zip(signature.parameters, columns, strict=True):
        try:
            _check(kind, column)
        except (MalformedError, ValueError, IndexError, struct.error) as error:
            raise BadArgumentError(f"{name}: a value in the column is no {kind.name}") from error


def _check(kind: ValueType, column: ColumnData) -> None:
    match kind:
        case BoolType() | EnumType():
            count = 2 if isinstance(kind, BoolType) else len(kind.members)
            if bytes(column.data).translate(None, bytes(range(count))):
                raise MalformedError("out of range")
        case TextType():
            _check_texts(kind, column)
        case RecordType():
            _check_records(kind, column)


def _ends(column: ColumnData) -> list[int]:
    assert column.ends is not None
    ends = array("I", bytes(column.ends)).tolist()
    if sorted(ends) != ends:
        raise MalformedError("ends go back")
    if (ends[-1] if ends else 0) != memoryview(column.data).nbytes:
        raise MalformedError("the last end is not the end")
    return ends


def _check_texts(kind: TextType, column: ColumnData) -> None:
    data = bytes(column.data)
    ends = _ends(column)
    if max(map(sub, ends, chain((0,), ends)), default=0) > kind.limit:
        raise MalformedError("too long")
    if not data.isascii():
        data.decode()
        if any(end < len(data) and data[end] & _CONTINUES == 0x80 for end in ends):  # noqa: PLR2004  # inside a character
            raise MalformedError("not UTF-8")


def _check_records(kind: RecordType, column: ColumnData) -> None:
    data = bytes(column.data)
    size = fixed_size(kind)
    ends = _ends(column) if size is None else range(size, len(data) + 1, size)
    start = 0
    for end in ends:
        value, at = marshal.read(kind, data, start)
        if at != end or not is_value(kind, value):
            raise MalformedError("no record")
        start = end


def plan(
    signature: Signature, rows: int, callers: Buffer, columns: Sequence[ColumnData], *, each: bool = False
) -> Plan:
    """Return where everything goes, from address 0 on; `place` moves it to where there is room.

    There is room for the ends of `each` row's records where they are wanted.
    """
    at = 0

    def take(size: int) -> int:
        nonlocal at
        found, at = at, (at + size + 63) & -64
        return found

    head = take(DESCRIPTOR_HEAD_BYTES + l.COLUMN_BYTES * (1 + len(columns)))
    outcomes, gas = take(4 * rows), take(8 * rows)
    result = signature.result
    size = None if result is None else fixed_size(result)
    results = take(rows * size) if size is not None else 0
    ends = take(4 * rows) if result is not None and size is None else 0
    records = take(4 * rows) if each else 0
    several = memoryview(callers).nbytes > _ADDRESS_BYTES
    pieces = [(take(memoryview(callers).nbytes), memoryview(callers).cast("B"))]
    words = [(pieces[0][0], _ADDRESS_BYTES if several else 0, 0)]
    for (_, kind), column in zip(signature.parameters, columns, strict=True):
        data = memoryview(column.data).cast("B")
        pieces.append((take(data.nbytes), data))
        words.append((pieces[-1][0], fixed_size(kind) or 0, 0))
        if fixed_size(kind) is None and column.ends is not None:
            pieces.append((take(4 * rows), memoryview(column.ends).cast("B")))
            words[-1] = (words[-1][0], 0, pieces[-1][0])
    return Plan(head, outcomes, gas, results, ends, records, pieces, words, at)


def place(found: Plan, base: int, memory: memoryview) -> None:
    """Put a plan's columns and their descriptors in memory."""
    heads = (found.outcomes, found.gas, found.results, found.ends, found.records)
    struct.pack_into("<5I", memory, base, *(base + at for at in heads))
    for at, data in found.pieces:
        memory[base + at : base + at + len(data)] = data
    for number, (start, stride, ends) in enumerate(found.descriptors):
        struct.pack_into(
            "<3I", memory, base + DESCRIPTOR_HEAD_BYTES + l.COLUMN_BYTES * number, base + start, stride, base + ends
        )


def gas_of(limit: int | None) -> int:
    """Return a limit as the module takes it."""
    return _GAS_MAX if limit is None else min(limit, _GAS_MAX)
