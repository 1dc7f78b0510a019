"""A checkpoint's sections taken while blocks go on: large contracts bit by bit, so that no block waits for all of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled import CompiledInstance
from changan.ledger.delta import Delta
from changan.ledger.snapshot import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract.compiled.stored import Scan
    from changan.ledger.snapshot import Section
    from changan.ledger.state import Write
    from changan.ledger.world import World

BITWISE_BYTES = 4 << 20
"""A contract of fewer bytes is taken at once, in some ten milliseconds."""
TAKEN_BYTES_MIN = 64 << 10


class Picture:
    """A picture of a world in the making. It goes on between blocks, and is told of every block since it began."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._large = {
            name: _Large(instance)
            for name, instance in world.instances.items()
            if isinstance(instance, CompiledInstance) and instance.logical_bytes >= BITWISE_BYTES
        }

    @property
    def is_spoilt(self) -> bool:
        """Whether a contract was exchanged since, so that nothing comes of this picture."""
        return any(self._world.instances.get(name) is not large.instance for name, large in self._large.items())

    @property
    def is_ready(self) -> bool:
        """Whether every large contract was gone through."""
        return all(large.scan.is_done for large in self._large.values())

    def follow(self, changes: Sequence[Write | Delta], share: float) -> None:
        """Note what a block changed, and take a share (0 to 1) of all that there is to take."""
        for change in changes:
            if isinstance(change, Delta) and change.contract in self._large:
                self._large[change.contract].since.append(change.records)
        for large in self._large.values():
            if not large.scan.is_done:
                large.take(share)

    def finish(self) -> list[Section]:
        """Return the sections of a checkpoint of the world as it is now, at which a ready picture arrived."""
        return dump(self._world, {name: [*large.taken, *large.since] for name, large in self._large.items()})


class _Large:
    """A contract that is gone through bit by bit."""

    def __init__(self, instance: CompiledInstance) -> None:
        self.instance = instance
        self.scan: Scan = instance.scan()
        self.taken: list[bytes] = []
        self.since: list[bytes] = []  # what later blocks changed, whether it was taken already or not

    def take(self, share: float) -> None:
        limit = max(TAKEN_BYTES_MIN, int(share * self.instance.logical_bytes))
        self.taken.append(self.scan.take(limit))
