"""A checkpoint's sections taken while blocks go on: large contracts bit by bit, so that no block waits for all of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.compiled import CompiledInstance
from changan.ledger.delta import Delta
from changan.ledger.snapshot import dump, section_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
            name: _Large(instance, instance.scan(), [])
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

    def follow(self, changes: Sequence[Write | Delta], share: float) -> Iterator[Section]:
        """Note what a block changed, and yield a share (0 to 1) of all that there is to take: parts of sections."""
        for change in changes:
            if isinstance(change, Delta) and change.contract in self._large:
                self._large[change.contract].since.append(change.records)
        for name, large in self._large.items():
            if not large.scan.is_done:
                limit = max(TAKEN_BYTES_MIN, int(share * large.instance.logical_bytes))
                yield section_of(name), [large.scan.take(limit)]

    def finish(self) -> list[Section]:
        """Return what a checkpoint of the world as it is now still lacks, once the picture is ready."""
        since: list[Section] = [(section_of(name), large.since) for name, large in self._large.items()]
        return [*since, *dump(self._world, without=self._large)]


class _Large(NamedTuple):
    """A contract that is gone through bit by bit."""

    instance: CompiledInstance
    scan: Scan
    since: list[bytes]
    """What later blocks changed, whether it was taken already or not."""
