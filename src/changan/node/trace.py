"""What a transaction read: the chain is executed again up to it, and the transaction under a watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.instance import BlockContext
from changan.contract.trace import TracingInstance
from changan.errors import ChanganError
from changan.ledger.admission import recognise, request_of
from changan.ledger.execution import Execution
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs
from changan.node.storage import genesis_config, replay_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changan.ledger.execution import Executed
    from changan.ledger.world import World
    from changan.node.store.blocklog import BlockLog


class TraceError(ChanganError):
    """A transaction that cannot be traced."""


class Trace(NamedTuple):
    """What a transaction read of Python contracts, and how it ended."""

    reads: dict[tuple[str, str], bytes | None]
    executed: Executed


class Tracer:
    """Executes a log again up to one transaction."""

    def __init__(self, log: BlockLog, height: int, position: int) -> None:
        if height == 0:
            raise TraceError("the transaction of block 0 is the configuration; it reads nothing")
        self._log = log
        self._height = height
        self._position = position
        self._world, _ = apply_genesis(genesis_config(self._block(0)))

    def _block(self, height: int) -> BlockWithRWSet:
        return BlockWithRWSet.FromString(self._log.read(height))

    def approach(self) -> Iterator[int]:
        """Execute the blocks before the transaction's; yield each height."""
        for height in range(1, self._height):
            replay_block(self._world, self._block(height))
            yield height

    def trace(self) -> Trace:
        """Execute the transaction under a watch."""
        world, block = self._world, self._block(self._height).block
        context = BlockContext(
            self._height, ConsensusArgs.FromString(block.header.consensus_args).block_time_us // 1_000_000
        )
        execution = Execution(world, context)
        for transaction in block.txs[: self._position]:
            request = request_of(transaction)
            execution.invoke(request, recognise(request, world, context.time))
        watched = _watch(world)
        request = request_of(block.txs[self._position])
        executed = execution.invoke(request, recognise(request, world, context.time))
        reads = {(name, key): value for name, instance in watched.items() for key, value in instance.reads.items()}
        return Trace(reads, executed)


def _watch(world: World) -> dict[str, TracingInstance]:
    watched = {
        name: TracingInstance(instance.program, instance.address, list(instance.rows()))
        for name, instance in world.instances.items()
    }
    world.instances.update(watched)
    return watched
