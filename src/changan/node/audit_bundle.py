"""The audit of bundles: every row's leaf and every changed row derived again from the columns that rest beside the block."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.package import recognise
from changan.contract.program import compile_source
from changan.contract.types import BoolType, BytesType, EnumType, IntType, RecordType, TextType
from changan.ledger.wire.messages import BundleResult
from changan.node.audit_lane import columns_start, is_distilled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from changan.contract.program import Program
    from changan.contract.types import ValueType
    from changan.ledger.wire.messages import BundleRows, Transaction
    from changan.node.audit_lane import AuditLane

_GROUP = 16
_GONE = 0xFFFFFFFF
State = list[tuple[str, str, bytes | None]]
_Record = tuple[int, bytes, "bytes | None", bytes]
"""Field, key, value, and the three as they stand."""


class Installed(NamedTuple):
    """A contract as the chain knows it when the bundle runs."""

    name: str
    code: bytes


class BundleAudit:
    """Knows the contracts' methods from their sources on the chain; checks one bundle after another."""

    def __init__(
        self, root: Callable[[Sequence[bytes]], bytes], digest: Callable[[bytes], bytes], lane: AuditLane
    ) -> None:
        self._root = root
        self._digest = digest
        self._lane = lane
        self._programs: dict[bytes, Program] = {}

    def check(
        self,
        tx: Transaction,
        side: BundleRows,
        contract: Installed,
        others: Mapping[str, bytes],
        listed: Mapping[str, bytes],
        time: int,
    ) -> tuple[str | None, State]:
        """Return what is wrong with a bundle, or None, and the rows that it changed.

        `others` is the code of the other contracts whose rows it changed; `listed` has the root over the changed rows of each.

        Raises MemberError for a client who may not sign at `time`, BlsMissingError.
        """
        program = self._program(contract.code)
        method = program.method(tx.payload.method)
        result = BundleResult.FromString(tx.result.contract_result.result)
        if method is None:
            return "a bundle calls a method that its contract has not", []
        data = tx.payload.parameters[0].value
        try:
            clients = self._lane.clients(data, time) if is_distilled(data) else []
            arguments = _arguments(data, [kind for _, kind in method.parameters], [each.address for each in clients])
            leaves = _leaves(arguments, method.result, side)
            changed = {name: _records(delta) for name, delta in _deltas(contract.name, side)}
            codes = {contract.name: contract.code, **others}
            state = [row for name, records in changed.items() for row in self._state(name, codes[name], records)]
            emitted = _emitters(side.events)
        except (struct.error, LookupError, ValueError):
            return "the columns beside a bundle do not decode", []
        outcomes = struct.unpack(f"<{len(side.outcomes) // 4}I", side.outcomes)
        gas = sum(struct.unpack(f"<{len(side.gas) // 8}Q", side.gas))
        checks: Mapping[str, bool] = {
            "a bundle counts its rows wrongly": result.rows == len(leaves) == len(outcomes),
            "a bundle counts its successes wrongly": result.succeeded == outcomes.count(0),
            "a bundle sums its gas wrongly": result.gas == gas <= tx.result.contract_result.gas_used,  # and its base
            "a bundle's outcome root is wrong": result.outcome_root == self._root(leaves),
            "a bundle's event root is wrong": result.event_root == self._digest(side.events),
            "a bundle's delta root is wrong": len(changed) == len(side.others) + 1
            and listed == {name: self._root(_grouped(records)) for name, records in changed.items()},
            "a bundle lists a contract of which it changed nothing": all(other.delta for other in side.others),
            "a bundle names other contracts than emitted its events": emitted == len(result.emitters),
            "a bundle's multi-signature is not that of its clients": not clients
            or self._lane.signed(tx.payload, clients, arguments),
            "a bundle names one caller for rows that have their own, or none for all": bool(result.caller)
            != bool(clients),
            "a bundle names another contract or method": (result.contract, result.method)
            == (contract.name, tx.payload.method),
        }
        return next((text for text, holds in checks.items() if not holds), None), state

    def _state(self, contract: str, code: bytes, records: Sequence[_Record]) -> State:
        names = list(self._program(code).fields)
        return [
            (contract, f"{names[field]}.{key.hex()}" if key else names[field], value)
            for field, key, value, _ in records
        ]

    def _program(self, code: bytes) -> Program:
        found = self._programs.get(code)
        if found is None:
            found = self._programs[code] = compile_source(recognise(code) or "")
        return found


def _width(kind: ValueType) -> int | None:
    match kind:
        case IntType():
            return kind.width
        case BoolType() | EnumType():
            return 1
        case BytesType():
            return kind.length
        case RecordType():
            widths = [_width(part) for _, part in kind.fields]
            return None if None in widths else sum(width or 0 for width in widths)
        case TextType():
            return None
    raise ValueError(kind)


def _split(data: bytes, at: int, count: int, width: int | None) -> tuple[list[bytes], int]:
    """Return a column's values, and where the next column begins."""
    if width is not None:
        end = at + count * width
        return [data[start : start + width] for start in range(at, end, width)], end
    ends = struct.unpack_from(f"<{count}I", data, at)
    base = at + 4 * count
    return [data[base + start : base + end] for start, end in zip((0, *ends), ends, strict=False)], base + ends[-1]


def _arguments(data: bytes, kinds: Sequence[ValueType], callers: Sequence[bytes]) -> list[bytes]:
    """Return what the leaf of each row shows of its call: its own caller, if it has one, and its arguments."""
    (count,) = struct.unpack_from("<I", data, 4)
    at = columns_start(data)
    columns = [list(callers)] if callers else []
    for kind in kinds:
        values, at = _split(data, at, count, _width(kind))
        columns.append(
            [value if _width(kind) is not None else struct.pack("<I", len(value)) + value for value in values]
        )
    return [b"".join(column[row] for column in columns) for row in range(count)]


def _leaves(arguments: Sequence[bytes], result: ValueType | None, side: BundleRows) -> list[bytes]:
    count = len(arguments)
    results = [b""] * count
    if result is not None:
        results, _ = _split(side.result_ends + side.results, 0, count, _width(result))
    events = [b""] * count
    at = 0
    while at < len(side.events):
        row, _, length = struct.unpack_from("<III", side.events, at)
        events[row] += side.events[at + 4 : at + 12 + length]
        at += 12 + length
    leaves = []
    for row in range(count):
        (outcome,) = struct.unpack_from("<I", side.outcomes, 4 * row)
        (gas,) = struct.unpack_from("<Q", side.gas, 8 * row)
        parts = (arguments[row], results[row], events[row])
        head = struct.pack("<IIQ", row, outcome, gas)
        leaves.append(head + b"".join(struct.pack("<I", len(part)) + part for part in parts))
    return leaves


def _deltas(contract: str, side: BundleRows) -> list[tuple[str, bytes]]:
    return [(contract, side.delta), *((other.contract, other.delta) for other in side.others)]


def _emitters(events: bytes) -> int:
    """Return how many other contracts emitted events, which are numbered in the order of their first. Raises ValueError."""
    at = known = 0
    while at < len(events):
        _, kind, length = struct.unpack_from("<III", events, at)
        if kind >> 16 > known + 1:
            raise ValueError(kind)
        known = max(known, kind >> 16)
        at += 12 + length
    return known


def _records(delta: bytes) -> list[_Record]:
    found = []
    at = 0
    while at < len(delta):
        field, key_length, length = struct.unpack_from("<HHI", delta, at)
        start = at + 8
        end = start + key_length + (0 if length == _GONE else length)
        value = None if length == _GONE else delta[start + key_length : end]
        found.append((field, delta[start : start + key_length], value, delta[at:end]))
        at = end
    return found


def _grouped(records: Sequence[_Record]) -> list[bytes]:
    return [b"".join(record for *_, record in records[at : at + _GROUP]) for at in range(0, len(records), _GROUP)]
