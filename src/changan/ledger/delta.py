"""The rows of a contract that changed, as records one after another: what a bundle's delta holds and a checkpoint keeps.

A record is the field's number (u16), the length of the key (u16) and of the value (u32, all ones where the row is gone),
little-endian, then key and value as the contract's codec has them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.compiled import CompiledInstance
from changan.contract.instance import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from changan.contract.engines import AnyInstance
    from changan.ledger.state import Write

_RECORD = struct.Struct("<HHI")
_GONE = 0xFFFFFFFF


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
        instance.restore(row_of(names, record) for piece in pieces for record in records(piece))


def record_of(places: dict[str, int], row: Row) -> bytes:
    """Return one changed row as a record; `places` are the fields' numbers by name."""
    name, _, hex_key = row.key.partition(".")
    key = bytes.fromhex(hex_key)
    value = row.value
    head = _RECORD.pack(places[name], len(key), _GONE if value is None else len(value))
    return head + key + (value or b"")


def records(delta: bytes) -> Iterator[bytes]:
    """Return the records of a delta. Raises BadArgumentError."""
    at = 0
    while at < len(delta):
        try:
            _, key_size, size = _RECORD.unpack_from(delta, at)
        except struct.error as error:
            raise BadArgumentError("a record of a delta does not decode") from error
        end = at + _RECORD.size + key_size + (0 if size == _GONE else size)
        if end > len(delta):
            raise BadArgumentError("a record of a delta is cut short")
        yield delta[at:end]
        at = end


def row_of(names: Sequence[str], record: bytes) -> Row:
    """Return the row that a record stands for; `names` are the fields' names by number. Raises BadArgumentError."""
    field, key_size, size = _RECORD.unpack_from(record)
    if field >= len(names):
        raise BadArgumentError("a record of a delta names no field")
    value = record[_RECORD.size + key_size :]
    key = record[_RECORD.size : _RECORD.size + key_size].hex()
    return Row(f"{names[field]}.{key}" if key else names[field], None if size == _GONE else value)
