"""The mapping between the engine's heights and the chain's, which the blocks of the log hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.errors import ChanganError
from changan.ledger.wire.messages import ConsensusArgs

if TYPE_CHECKING:
    from changan.ledger.wire.messages import BlockHeader
    from changan.node.reader import Reader


class OrderingError(ChanganError):
    """The engine asks for something that cannot follow what this node has executed."""


class Heights:
    """What rests of one chain, by the engine's heights."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def header(self, ledger_height: int) -> BlockHeader:
        """Return the header of a ledger block. Raises ArchivedError where its file is away."""
        stored = self._reader.stored(ledger_height)
        assert stored is not None
        return stored.block.header

    def of(self, ledger_height: int) -> int:
        """Return the engine's height of a ledger block. Raises ArchivedError where its file is away."""
        return ConsensusArgs.FromString(self.header(ledger_height).consensus_args).engine_height

    def hash_at(self, height: int) -> bytes:
        """Return the hash of the last ledger block at or below a height of the engine that rests here. Raises OrderingError."""
        low, high = self._reader.held_from, self._reader.height + 1  # block `low` is at or below, block `high` above
        while high - low > 1:
            middle = (low + high) // 2
            if self.of(middle) <= height:
                low = middle
            else:
                high = middle
        if low and self.of(low) > height:
            text = f"the blocks up to {low} are away: what came of the engine's height {height} is not known here"
            raise OrderingError(text)
        return self.header(low).block_hash
