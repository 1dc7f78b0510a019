"""Seals: organisations' signatures over the hash of a ledger block, gathered from the votes that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.errors import UnverifiedError
from changan.node.comet.abci.messages import Seal

if TYPE_CHECKING:
    from changan.ledger.world import World
    from changan.node.comet.abci.messages import Head
    from changan.node.comet.roster import Roster
    from changan.node.solo import Proposer


class Seals:
    """The seals of the last ledger block that this node knows of."""

    def __init__(self, org_id: str, proposer: Proposer) -> None:
        self._org_id = org_id
        self._proposer = proposer
        self._block_hash = b""
        self._found: dict[str, bytes] = {}

    def _turn_to(self, block_hash: bytes) -> None:
        if block_hash != self._block_hash:
            self._block_hash, self._found = block_hash, {}

    def own(self, world: World) -> bytes:
        """Return this node's seal of the last ledger block."""
        self._turn_to(world.block_hash)
        found = self._found.get(self._org_id)
        if found is None:
            found = self._found[self._org_id] = self._proposer.seal(world.block_hash)
        return found

    def take(self, roster: Roster, org_id: str, world: World, signature: bytes) -> bool:
        """Keep another's seal of the last ledger block; return whether it holds."""
        self._turn_to(world.block_hash)
        if self._found.get(org_id) == signature:
            return True
        key, digest = roster.seal_key(org_id)
        try:
            key.verify(world.block_hash, signature, digest)
        except UnverifiedError:
            return False
        self._found[org_id] = signature
        return True

    def add_to(self, head: Head, block_hash: bytes) -> None:
        """Let a proposal carry what seals of the last ledger block are known here."""
        if block_hash == self._block_hash:
            head.sealed = block_hash
            head.seals.extend(Seal(org_id=org_id, signature=found) for org_id, found in sorted(self._found.items()))
