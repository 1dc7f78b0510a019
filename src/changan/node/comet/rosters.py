"""Which voters count where: for the votes at a height of the engine, and for the seals of a ledger block.

A block that changes the configuration at the engine's height H changes who votes from H+2 on; those who vote at H+1 seal it.
So the seals of a block are those of the voters that the configuration named before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.errors import ChanganError
from changan.ledger.roster import Roster, roster_of
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import ChainConfig, ConsensusArgs
from changan.node.comet.abci.messages import ValidatorKey, ValidatorUpdate
from changan.node.store.archive import ArchivedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.ledger.world import World
    from changan.node.reader import Reader

EFFECT_HEIGHTS = 2
"""So many heights of the engine behind the block that changes them do changed voters vote (ABCI 2.0)."""
CHANGES_MAX = 100_000
_GENESIS_HEIGHT = -EFFECT_HEIGHTS
_CONFIG = SystemContract.CHAIN_CONFIG.value


class Change(NamedTuple):
    """From where on a roster counts: the ledger block that wrote it, and the engine's height of that block."""

    height: int
    engine_height: int
    roster: Roster

    @property
    def votes_from(self) -> int:
        """The engine's height from which on these voters vote."""
        return self.engine_height + EFFECT_HEIGHTS


class RosterGoneError(ChanganError):
    """Voters of a time whose blocks are archived and away. Whoever guessed would part from the others."""


class Rosters:
    """The voters of a chain, since its genesis or as far back as its blocks are at hand."""

    def __init__(self, world: World, reader: Reader) -> None:
        self._world = world
        self._epoch = world.epoch
        self._changes = _read_changes(reader) or [_somewhere_archived(world, reader)]

    @property
    def newest(self) -> Change:
        """The roster that the last block left; it may not vote yet."""
        return self._changes[-1]

    def follow(self, engine_height: int) -> None:
        """Take note of what the block that was executed at a height of the engine made of the voters."""
        if self._epoch == self._world.epoch:
            return
        self._epoch = self._world.epoch
        roster = roster_of(self._world.config)
        if roster.nodes != self.newest.roster.nodes or roster.voters != self.newest.roster.voters:
            self._changes.append(Change(self._world.height, engine_height, roster))

    def voting(self, engine_height: int) -> Roster:
        """Return those who vote at a height of the engine. Raises RosterGoneError."""
        return self._last(lambda change: change.votes_from <= engine_height).roster

    def sealing(self, height: int) -> Roster:
        """Return those whose seals make the certificate of a ledger block. Raises RosterGoneError."""
        return self._last(lambda change: change.height < height).roster

    def changes_before(self, height: int) -> list[int]:
        """Return the heights of the ledger blocks below `height` that changed who votes, oldest first."""
        pairs = zip(self._changes, self._changes[1:], strict=False)
        return [new.height for old, new in pairs if new.height < height and new.roster.voters != old.roster.voters]

    def admits(self, peer: str) -> bool | None:
        """Whether a peer's id is that of a node; None of one that no block has told of yet."""
        if peer in self.newest.roster.peers:
            return True
        return False if any(peer in change.roster.peers for change in self._changes) else None

    def updates(self, engine_height: int) -> list[ValidatorUpdate]:
        """Return what the block at a height of the engine changes for it: power 1 for who comes, 0 for who goes."""
        for before, after in zip(self._changes, self._changes[1:], strict=False):
            if after.engine_height == engine_height:
                old = {voter.validator for voter in before.roster.voters}
                new = {voter.validator for voter in after.roster.voters}
                return [
                    ValidatorUpdate(pub_key=ValidatorKey(ed25519=key), power=int(key in new))
                    for key in sorted(old ^ new)
                ]
        return []

    def _last(self, counts: Callable[[Change], bool]) -> Change:
        for change in reversed(self._changes):
            if counts(change):
                return change
        oldest = self._changes[0]
        if oldest.height:
            raise RosterGoneError(
                f"who voted before block {oldest.height} stands in blocks that are archived and away: bring their files back, "
                "and start the node again"
            )
        return oldest


def _somewhere_archived(world: World, reader: Reader) -> Change:
    """Return the roster in force where even the block that wrote it is away: it lies before the first that is not archived."""
    first = reader.stored(reader.archived_height + 1)
    assert first is not None
    engine_height = ConsensusArgs.FromString(first.block.header.consensus_args).engine_height
    return Change(reader.archived_height, engine_height - 1, roster_of(world.config))


def _read_changes(reader: Reader) -> list[Change]:
    """Read the rosters of a chain's past, as far back as its blocks are at hand."""
    found: list[Change] = []
    for height, position in reader.key_history(_CONFIG, _CONFIG, CHANGES_MAX):
        try:
            stored = reader.stored(height)
        except ArchivedError:
            break
        assert stored is not None
        writes = stored.txRWSets[position].tx_writes
        config = next(
            write.value for write in writes if (write.contract_name, write.key) == (_CONFIG, _CONFIG.encode())
        )
        engine_height = ConsensusArgs.FromString(stored.block.header.consensus_args).engine_height
        roster = roster_of(ChainConfig.FromString(config))
        found.append(Change(height, engine_height if height else _GENESIS_HEIGHT, roster))
    found.reverse()
    changed = found[:1]
    for one in found[1:]:
        before = changed[-1].roster
        if one.roster.nodes != before.nodes or one.roster.voters != before.voters:
            changed.append(one)
    return changed
