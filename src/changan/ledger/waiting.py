"""Rows that changed and that no root over the state covers yet: of system contracts one by one, of others as deltas."""

from __future__ import annotations

from operator import is_
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.records import rows_of
from changan.ledger.delta import Delta
from changan.ledger.state import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

COMPACT_BYTES = 512 * 1024 * 1024


class Group(NamedTuple):
    """Deltas of one contract that follow one another, while its fields had these names."""

    contract: str
    names: tuple[str, ...]
    deltas: list[bytes]


class Waiting:
    """What waits. A row's newest value comes last, whichever way it is looked through."""

    def __init__(self, origin: Waiting | None = None) -> None:
        """With an origin this is a snapshot of it: what is found of the one serves the other too."""
        self._origin = origin
        self._lock = Lock()
        self.rows: dict[tuple[str, str], bytes | None] = {}
        self.groups: list[Group] = []
        self._latest: dict[str, Group] = {}
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.groups)

    def add(self, changes: Iterable[Write | Delta]) -> None:
        """Take in what a block changed. Rows of one contract come either all as writes or all as deltas."""
        self._origin = None  # a snapshot that goes on is one no more
        for change in changes:
            if isinstance(change, Delta):
                self._group(change.contract, change.names).deltas.append(change.records)
                self._bytes += len(change.records)
            else:
                self.rows[change.contract, change.key] = change.value

    def _group(self, contract: str, names: tuple[str, ...]) -> Group:
        latest = self._latest.get(contract)
        if latest is None or latest.names != names:
            latest = self._latest[contract] = Group(contract, names, [])
            self.groups.append(latest)
        return latest

    @property
    def size(self) -> int:
        """How much waits, in bytes."""
        rows = sum(len(key) + len(value or b"") for (_, key), value in self.rows.items())
        return rows + sum(len(delta) for group in self.groups for delta in group.deltas)

    @property
    def is_large(self) -> bool:
        """Whether the deltas take much room."""
        return self._bytes >= COMPACT_BYTES

    def compact(self, newest: Callable[[Sequence[bytes]], list[bytes]]) -> None:
        """Keep of the deltas each row's newest record alone. A thread may do it with a snapshot while more comes."""
        for at, group in enumerate(self.groups):
            before = list(group.deltas)
            after = newest(before)
            self._put(at, before, after)
            if self._origin is not None:
                self._origin._put(at, before, after)  # noqa: SLF001  # of this class
        self._bytes = 0  # counted from here: as much again may come

    def _put(self, at: int, before: list[bytes], after: list[bytes]) -> None:
        """Put deltas in the place of those from which they were made, unless others stand there by now."""
        with self._lock:
            deltas = self.groups[at].deltas
            if len(deltas) >= len(before) and all(map(is_, deltas, before)):
                deltas[: len(before)] = after
                self._bytes -= sum(map(len, before)) - sum(map(len, after))

    def snapshot(self) -> Waiting:
        """Return what waits now; what comes later does not show in it."""
        found = Waiting(self)
        found.rows = dict(self.rows)
        found.groups = [Group(group.contract, group.names, list(group.deltas)) for group in self.groups]
        return found

    def writes(self) -> Iterator[Write]:
        """Return every row, the older value of a row before the newer one."""
        for (contract, key), value in self.rows.items():
            yield Write(contract, key, value)
        for group in self.groups:
            for delta in group.deltas:
                for row in rows_of(group.names, delta):
                    yield Write(group.contract, row.key, row.value)
