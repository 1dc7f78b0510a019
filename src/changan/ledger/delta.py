"""What a block changes of the state, and all rows of a contract, as records (`contract.records`), whichever engine runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.compiled import CompiledInstance
from changan.contract.instance import Row
from changan.contract.records import record_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from changan.contract.engines import AnyInstance
    from changan.ledger.state import Write


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
        self._open: dict[str, list[bytes]] = {}  # records of single calls, by contract

    def add(self, writes: Iterable[Write]) -> None:
        """Take in what a transaction wrote."""
        for write in writes:
            instance = self._instances.get(write.contract)
            if instance is None:
                self._found.append(write)
                continue
            row, places = Row(write.key, write.value), instance.program.field_places
            name = write.key.partition(".")[0]
            if name in places:
                self._open.setdefault(write.contract, []).append(record_of(places, row))
            else:  # a field that an upgrade took away
                self.add_delta(Delta(write.contract, (name,), record_of({name: 0}, row), 1))

    def add_delta(self, delta: Delta) -> None:
        """Take in what a bundle changed."""
        self._close(delta.contract)
        self._found.append(delta)

    def _close(self, contract: str) -> None:
        found = self._open.pop(contract, None)
        if found:
            names = tuple(self._instances[contract].program.field_places)
            self._found.append(Delta(contract, names, b"".join(found), len(found)))

    def all(self) -> list[Write | Delta]:
        """Return everything."""
        for contract in list(self._open):
            self._close(contract)
        return self._found


def collect_delta(instance: AnyInstance) -> bytes:
    """Return what `Instance.collect` does, as records."""
    if isinstance(instance, CompiledInstance):
        return instance.collect_delta()
    places = instance.program.field_places
    return b"".join(record_of(places, row) for row in instance.collect())


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
        names = list(instance.program.field_places)
        instance.restore(row for piece in pieces for row in rows_of(names, piece))
