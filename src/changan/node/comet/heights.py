"""The mapping between the engine's heights and the chain's, which the blocks of the log hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.crypto.varints import varint
from changan.errors import ChanganError
from changan.ledger.rule_sets import rules_at, upgrade_of
from changan.ledger.system import SystemContract
from changan.ledger.wire.fields import field
from changan.ledger.wire.messages import ChainConfig, ConsensusArgs

if TYPE_CHECKING:
    from changan.ledger.wire.messages import BlockHeader
    from changan.node.reader import Reader

_VERSION = 4  # the field of ConsensusParams that holds VersionParams
_APP = 1 << 3  # the tag of VersionParams.app, a varint


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

    def ledger_at(self, height: int) -> int:
        """Return the height of the last ledger block at or below a height of the engine that rests here. Raises OrderingError."""
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
        return low

    def hash_at(self, height: int) -> bytes:
        """Return the hash of the last ledger block at or below a height of the engine that rests here. Raises OrderingError."""
        return self.header(self.ledger_at(height)).block_hash

    def rules_behind(self, height: int) -> int:
        """Return by which rules the ledger block is executed that follows a height of the engine. Raises OrderingError."""
        at = self.ledger_at(height)
        return rules_at(self._config(at), at + 1)

    def told_rules(self, height: int) -> bytes:
        """Return what the engine was told of the rules at a height of its own (see `rules_update`). Raises OrderingError."""
        at = self.ledger_at(height)
        return rules_update(self._config(at), at) if self.of(at) == height else b""

    def _config(self, ledger_height: int) -> ChainConfig:
        name = SystemContract.CHAIN_CONFIG.value
        return ChainConfig.FromString(self._reader.row_at(name, name, ledger_height) or b"")


def rules_update(config: ChainConfig, ledger_height: int) -> bytes:
    """Return ConsensusParams (ABCI) with a new version of the application, where other rules hold behind a ledger block."""
    upgrade = upgrade_of(config)
    if upgrade is None or upgrade.height != ledger_height + 1:
        return b""
    version = varint(_APP) + varint(upgrade.rules)
    return b"".join(field(_VERSION, [version]))
