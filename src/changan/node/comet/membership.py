"""The proofs of a chain's changes of voters, which receipts carry: what leads from its genesis to those who sealed a block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changan.ledger.system import SystemContract
from changan.node.proofs import delta_proof

if TYPE_CHECKING:
    from changan.crypto.digest import Digest
    from changan.node.comet.rosters import Rosters
    from changan.node.reader import Reader

_CONFIG = SystemContract.CHAIN_CONFIG.value


class Membership:
    """Makes the proofs when they are first asked for, and keeps those that are whole."""

    def __init__(self, rosters: Rosters, reader: Reader, digest: Digest) -> None:
        self._rosters = rosters
        self._reader = reader
        self._digest = digest
        self._made: dict[int, dict[str, Any]] = {}

    def links(self, height: int) -> list[dict[str, Any]]:
        """Return the proofs of the changes below a height, oldest first. Raises UnprovableError, ArchivedError."""
        return [self._link(changed) for changed in self._rosters.changes_before(height)]

    def _link(self, height: int) -> dict[str, Any]:
        known = self._made.get(height)
        if known is not None:
            return known
        stored = self._reader.stored(height)
        assert stored is not None
        self._reader.complete(stored)
        made = delta_proof(stored, _CONFIG, _CONFIG, self._digest)
        if "certificate" in made:  # else it is still to come
            self._made[height] = made
        return made
