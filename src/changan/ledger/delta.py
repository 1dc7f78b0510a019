"""What a block changes of the state, and all rows of a contract, as records (`contract.records`), whichever engine runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.compiled import CompiledInstance
from changan.contract.compiled.together import Ran
from changan.contract.instance import Call, Row
from changan.contract.records import record_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext, Value
    from changan.ledger.state import Write

_JOINED_ROWS_MAX = 64
"""Deltas of so many rows become one with those beside them; joining larger ones costs more than it saves."""


class Delta(NamedTuple):
    """Records of one contract, whose fields have these names, with how many they are."""

    contract: str
    names: tuple[str, ...]
    records: bytes
    rows: int


class StateChanges:
    """What a block changes of the state, in order: rows of system contracts as writes, those of others as deltas."""

    def __init__(self, instances: Mapping[str, AnyInstance]) -> None:
        self._instances = instances
        self._found: list[Write | Delta] = []
        self._open: dict[str, list[Delta]] = {}  # of single calls, by contract: they become one

    def add(self, writes: Iterable[Write], deltas: Sequence[Delta] = ()) -> None:
        """Take in what a transaction wrote; where there are deltas, they stand for all rows of Python contracts."""
        for write in writes:
            instance = self._instances.get(write.contract)
            if instance is None:
                self._found.append(write)
            elif not deltas:
                self._add(_delta_of(instance, write))
        for delta in deltas:
            self._add(delta)

    def _add(self, delta: Delta) -> None:
        is_large = delta.rows > _JOINED_ROWS_MAX
        found = self._open.get(delta.contract)
        if found and (is_large or found[0].names != delta.names):
            self._close(delta.contract)
        if is_large:
            self._found.append(delta)
        else:
            self._open.setdefault(delta.contract, []).append(delta)

    def _close(self, contract: str) -> None:
        found = self._open.pop(contract)
        records = b"".join([delta.records for delta in found])
        self._found.append(Delta(contract, found[0].names, records, sum(delta.rows for delta in found)))

    def all(self) -> list[Write | Delta]:
        """Return everything."""
        for contract in list(self._open):
            self._close(contract)
        return self._found


def _delta_of(instance: AnyInstance, write: Write) -> Delta:
    name, places = write.key.partition(".")[0], instance.program.field_places
    if name not in places:  # a field that an upgrade took away
        places = {name: 0}
    return Delta(write.contract, tuple(places), record_of(places, Row(write.key, write.value)), 1)


def run_together(
    instance: AnyInstance,
    method: str,
    calls: Sequence[tuple[bytes, tuple[Value, ...]]],
    block: BlockContext,
    gas_limit: int,
) -> list[Ran]:
    """Execute calls (caller, arguments) of a contract that calls no others, one after another, each kept or rolled back alone."""
    if isinstance(instance, CompiledInstance):
        callers = b"".join([caller for caller, _ in calls])
        return instance.run_together(method, callers, [arguments for _, arguments in calls], block, gas_limit)
    ran = []
    for caller, arguments in calls:
        [outcome] = instance.run(method, [Call(caller, arguments, gas_limit)], block)
        ran.append(Ran(outcome, instance.collect_delta()))
    return ran


def dump_records(instance: AnyInstance) -> Iterable[bytes]:
    """Return all rows of a contract as records, many to a piece; they stay as they are while later calls run."""
    if isinstance(instance, CompiledInstance):
        return instance.dump()
    places = instance.program.field_places
    return (record_of(places, row) for row in instance.rows())


def restore_records(instance: AnyInstance, pieces: Iterable[bytes]) -> None:
    """Put back what `dump_records` gave. Raises BadArgumentError, MalformedError for what it cannot have given."""
    if isinstance(instance, CompiledInstance):
        instance.restore_dump(pieces)
    else:
        names = instance.program.field_names
        instance.restore(row for piece in pieces for row in rows_of(names, piece))
