"""A plain instance that writes down which rows its calls read, for people who want to know what a call looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.machine import LENGTH, Machine
from changan.contract.plain import PlainInstance

if TYPE_CHECKING:
    from changan.contract.instance import Row
    from changan.contract.program import Program


class TracingMachine(Machine):
    """A machine whose reads are kept, as they were when they were read."""

    def __init__(self, program: Program, address: bytes, quota: int) -> None:
        super().__init__(program, address, quota)
        self.reads: dict[str, bytes | None] = {}

    def _saw(self, field: int, key: object) -> None:
        row = self.row(field, key)
        self.reads.setdefault(row.key, row.value)

    def scalar_read(self, field: int) -> object:
        """Return a scalar field."""
        self._saw(field, None)
        return super().scalar_read(field)

    def map_has(self, field: int, key: object) -> bool:
        """Whether a map holds a key."""
        self._saw(field, key)
        return super().map_has(field, key)

    def map_read(self, field: int, key: object, line: int) -> object:
        """Return the value under a key, or the map's default."""
        self._saw(field, key)
        return super().map_read(field, key, line)

    def map_get(self, field: int, otherwise: object, key: object) -> object:
        """Return the value under a key, or another."""
        self._saw(field, key)
        return super().map_get(field, otherwise, key)

    def list_length(self, field: int) -> int:
        """Return how many elements a list has."""
        self._saw(field, LENGTH)
        return super().list_length(field)

    def list_read(self, field: int, index: int, line: int) -> object:
        """Return an element."""
        if index < len(self.lists[field]):
            self._saw(field, index)
        return super().list_read(field, index, line)


class TracingInstance(PlainInstance):
    """An instance that can say what its calls read."""

    def __init__(self, program: Program, address: bytes, rows: list[Row]) -> None:
        super().__init__(program, address, machine=TracingMachine)
        self.restore(rows)

    @property
    def reads(self) -> dict[str, bytes | None]:
        """Rows that were read, with their values when they were first read; None for absent ones."""
        assert isinstance(self._machine, TracingMachine)
        return self._machine.reads
