"""The rows of a bundle one by one, each with what came of it, from the columns that rest beside the block."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.compiled.layout import fixed_size
from changan.ledger.bundle import Bundle
from changan.ledger.wire.fields import field
from changan.ledger.wire.messages import BundleRows, ContractDelta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changan.contract.types import Signature, ValueType

_EVENT = struct.Struct("<III")  # row, kind, length
_LEAF = struct.Struct("<IIQ")  # row, outcome, gas
_LENGTH = struct.Struct("<I")
_OUTCOME_BYTES = 4
_OTHERS = 8  # field of BundleRows


class BundleColumns(NamedTuple):
    """What came of a bundle's rows, in columns: what the message `BundleRows` holds, before it is one."""

    outcomes: bytes
    gas: bytes
    results: bytes
    result_ends: bytes
    events: bytes
    delta: bytes
    others: tuple[tuple[str, bytes], ...] = ()
    """What changed in other contracts, by their names."""
    one_by_one: bool = False
    """Whether each row ran as a call of its own, which takes as long as one."""

    @property
    def rows(self) -> int:
        """How many rows the bundle has."""
        return len(self.outcomes) // _OUTCOME_BYTES

    def encode(self, position: int) -> list[bytes]:
        """Return `BundleRows` for the transaction at a position of its block, in parts."""
        columns = (self.outcomes, self.gas, self.results, self.result_ends, self.events, self.delta)
        parts = [part for number, data in enumerate(columns, 2) for part in (field(number, [data]) if data else ())]
        for contract, delta in self.others:
            parts += field(_OTHERS, [ContractDelta(contract=contract, delta=delta).SerializeToString()])
        return [BundleRows(position=position).SerializeToString(), *parts]


class BundleRow(NamedTuple):
    """One row of a bundle with what came of it, as bytes."""

    number: int
    arguments: bytes  # behind the row's own caller, 20 bytes, where rows of the bundle have such
    outcome: int  # code | detail << 8 | line << 16
    gas: int
    result: bytes
    events: bytes  # kind, length and fields of each, without the row's number

    @property
    def leaf(self) -> bytes:
        """What the bundle's outcome tree holds of the row."""
        parts = (self.arguments, self.result, self.events)
        return _LEAF.pack(self.number, self.outcome, self.gas) + b"".join(
            _LENGTH.pack(len(part)) + part for part in parts
        )


def rows_of_bundle(signature: Signature, bundle: Bundle, rows: BundleRows | BundleColumns) -> Iterator[BundleRow]:
    """Return every row of a bundle with what came of it. Raises BadArgumentError for columns that do not fit."""
    outcomes, gas = memoryview(rows.outcomes).cast("I"), memoryview(rows.gas).cast("Q")
    ends = memoryview(rows.result_ends).cast("I")
    size = 0 if signature.result is None else fixed_size(signature.result)
    if len(outcomes) != bundle.rows or len(gas) != bundle.rows or (size is None and len(ends) != bundle.rows):
        raise BadArgumentError("the columns of a bundle's rows do not fit its arguments")
    events = _events_by_row(rows.events, bundle.rows)
    start, shown = 0, bundle.shown(signature)
    for number in range(bundle.rows):
        end = ends[number] if size is None else start + size
        result, start = rows.results[start:end], end
        arguments = b"".join(_argument(kind, Bundle.piece(column, kind, number)) for kind, column in shown)
        yield BundleRow(number, arguments, outcomes[number], gas[number], result, events.get(number, b""))


def _argument(kind: ValueType, piece: memoryview) -> bytes:
    return bytes(piece) if fixed_size(kind) is not None else _LENGTH.pack(len(piece)) + bytes(piece)


def _events_by_row(data: bytes, rows: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        row, _, length = _EVENT.unpack_from(data, at)
        end = at + _EVENT.size + length
        if row >= rows or end > len(data):
            raise BadArgumentError("an event of a bundle is cut short")
        found[row] = found.get(row, b"") + data[at + 4 : end]
        at = end
    return found
