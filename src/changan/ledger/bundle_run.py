"""A bundle runs: every row has its own outcome, gas, result, events and leaf; a row that fails fails alone."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.compiled import CompiledInstance
from changan.contract.compiled.layout import fixed_size
from changan.contract.compiled.plain_columns import run_columns
from changan.contract.gas import GAS_LIMIT_MAX
from changan.contract.instance import Row
from changan.crypto.merkle import tree_root
from changan.ledger.bundle import Bundle
from changan.ledger.state import Write
from changan.ledger.wire.messages import BundleResult, BundleRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext
    from changan.contract.program import Program
    from changan.contract.types import Signature
    from changan.crypto.digest import Digest

DELTA_GROUP_RECORDS = 16
_EVENT = struct.Struct("<III")  # row, kind, length
_RECORD = struct.Struct("<HHI")  # field, key length, value length
_GONE = 0xFFFFFFFF
_LEAF = struct.Struct("<IIQ")  # row, outcome, gas
_LENGTH = struct.Struct("<I")


class RanBundle(NamedTuple):
    """What came of a bundle: its result for the wire, its rows for the record, and the rows of state that it changed."""

    result: BundleResult
    rows: BundleRows
    delta_root: bytes
    writes: list[Write]


def run_bundle(  # noqa: PLR0917  # what a bundle needs to run
    instance: AnyInstance,
    name: str,
    signature: Signature,
    bundle: Bundle,
    caller: bytes,
    block: BlockContext,
    digest: Digest,
) -> RanBundle:
    """Execute the rows of a bundle in order; all together may use the bundle's budget, where it has one."""
    budget = bundle.budget or None
    if isinstance(instance, CompiledInstance):
        batch = instance.run_columns(signature.name, caller, bundle.columns, block, GAS_LIMIT_MAX, budget)
    else:
        batch = run_columns(
            instance, signature.name, caller, bundle.columns, block, gas_limit=GAS_LIMIT_MAX, budget=budget
        )
    changed = instance.collect()
    records = [delta_record(instance.program, row) for row in changed]
    rows = BundleRows(
        outcomes=batch.outcomes.tobytes(),
        gas=batch.gas.tobytes(),
        results=batch.results,
        result_ends=b"" if batch.result_ends is None else batch.result_ends.tobytes(),
        events=batch.events,
        delta=b"".join(records),
    )
    result = BundleResult(
        rows=bundle.rows,
        succeeded=sum(not outcome for outcome in batch.outcomes),
        gas=sum(batch.gas),
        outcome_root=tree_root([row.leaf for row in rows_of_bundle(signature, bundle, rows)], digest),
        event_root=digest(batch.events),
        caller=caller,
        contract=name,
        method=signature.name,
    )
    writes = [Write(name, row.key, row.value) for row in changed]
    return RanBundle(result, rows, bundle_delta_root(records, digest), writes)


class BundleRow(NamedTuple):
    """One row of a bundle with what came of it, as bytes."""

    number: int
    arguments: bytes
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


def rows_of_bundle(signature: Signature, bundle: Bundle, rows: BundleRows) -> Iterator[BundleRow]:
    """Return every row of a bundle with what came of it. Raises BadArgumentError for columns that do not fit."""
    outcomes, gas = memoryview(rows.outcomes).cast("I"), memoryview(rows.gas).cast("Q")
    ends = memoryview(rows.result_ends).cast("I")
    size = 0 if signature.result is None else fixed_size(signature.result)
    if len(outcomes) != bundle.rows or len(gas) != bundle.rows or (size is None and len(ends) != bundle.rows):
        raise BadArgumentError("the columns of a bundle's rows do not fit its arguments")
    events = _events_by_row(rows.events, bundle.rows)
    start = 0
    for number in range(bundle.rows):
        pieces = [
            bytes(Bundle.piece(column, kind, number))
            for column, (_, kind) in zip(bundle.columns, signature.parameters, strict=True)
        ]
        end = ends[number] if size is None else start + size
        result, start = rows.results[start:end], end
        arguments = b"".join(
            piece if fixed_size(kind) is not None else _LENGTH.pack(len(piece)) + piece
            for piece, (_, kind) in zip(pieces, signature.parameters, strict=True)
        )
        yield BundleRow(number, arguments, outcomes[number], gas[number], result, events.get(number, b""))


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


def delta_record(program: Program, row: Row) -> bytes:
    """Return one changed row as a bundle's delta holds it."""
    name, _, hex_key = row.key.partition(".")
    key = bytes.fromhex(hex_key)
    value = row.value
    head = _RECORD.pack(program.field_places[name], len(key), _GONE if value is None else len(value))
    return head + key + (value or b"")


def delta_rows(program: Program, delta: bytes) -> Iterator[tuple[bytes, Row]]:
    """Return each record of a delta with the row that it stands for. Raises BadArgumentError."""
    names = list(program.field_places)
    at = 0
    while at < len(delta):
        try:
            field, key_size, size = _RECORD.unpack_from(delta, at)
            start = at + _RECORD.size
            end = start + key_size + (0 if size == _GONE else size)
            key = delta[start : start + key_size].hex()
            name = f"{names[field]}.{key}" if key else names[field]
        except (struct.error, IndexError) as error:
            raise BadArgumentError("a record of a bundle's delta does not decode") from error
        if end > len(delta):
            raise BadArgumentError("a record of a bundle's delta is cut short")
        yield delta[at:end], Row(name, None if size == _GONE else delta[start + key_size : end])
        at = end


def bundle_delta_root(records: Sequence[bytes], digest: Digest) -> bytes:
    """Return the root over a bundle's delta, in groups of records."""
    return tree_root(_groups(records), digest)


def _groups(records: Sequence[bytes]) -> list[bytes]:
    return [b"".join(records[at : at + DELTA_GROUP_RECORDS]) for at in range(0, len(records), DELTA_GROUP_RECORDS)]
