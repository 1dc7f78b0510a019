"""Proofs of rows from a running chain: of the state at the newest height whose root a block carries, and of a block's delta."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from changan.errors import ChanganError
from changan.ledger.commitment import delta_root, state_key, value_hash
from changan.ledger.row_proof import make_delta_proof, make_state_proof
from changan.ledger.state import Write
from changan.ledger.system import OWN
from changan.ledger.wire.messages import ConsensusArgs
from changan.node.hidden import is_hidden

if TYPE_CHECKING:
    from changan.crypto.digest import Digest
    from changan.ledger.agreement import Links
    from changan.ledger.wire.messages import BlockWithRWSet
    from changan.ledger.world import World
    from changan.node.rest import Rest

OLDER_VALUES_MAX = 32
"""So many writes of a row are looked through for its value at the height of the root, where it was written since."""


class UnprovableError(ChanganError):
    """What cannot be proved, or not now, and what to do instead."""


class Proofs:
    """Makes proofs of one chain's rows."""

    def __init__(self, world: World, rest: Rest) -> None:
        self._world = world
        self._rest = rest
        self._rooted: tuple[bytes, int] = b"", 0  # the last root that was looked for, and the block that carries it

    async def of_state(self, contract: str, key: str) -> dict[str, Any]:
        """Return the proof of a row's value or absence. Raises UnprovableError, RefusedError, StoppedError, ArchivedError."""
        world = self._world
        tree, newest = world.commitment.tree, world.row(contract, key)
        place = state_key(contract, key, world.digest)
        proof, root, height = tree.prove(place), tree.root, world.height
        await self._rest.reaches(height)
        stored = await asyncio.to_thread(self._carrier, root, height)
        value = None
        if proof.key_hash == place:
            assert proof.value_hash is not None
            value = await asyncio.to_thread(self._value, contract, key, proof.value_hash, newest)
        links = self._rest.reader.membership(stored.block.header.block_height)
        return make_state_proof(stored, Write(contract, key, value), proof, links)

    def _carrier(self, root: bytes, height: int) -> BlockWithRWSet:
        """Return the newest block that carries a root, from `height` down."""
        known_root, known = self._rooted
        for at in [known] if root == known_root else range(height, -1, -1):
            stored = self._rest.reader.stored(at)
            assert stored is not None
            if ConsensusArgs.FromString(stored.block.header.consensus_args).state_root == root:
                self._rooted = root, at
                self._rest.reader.complete(stored)
                return stored
        raise UnprovableError("no block carries a root over this state yet: ask again after the next one")

    def _value(self, contract: str, key: str, wanted: bytes, newest: bytes | None) -> bytes:
        """Return the value of a row that the tree knows by its digest: the newest, or one that was written before."""
        digest = self._world.digest
        if newest is not None and value_hash(newest, digest) == wanted:
            return newest
        for value in self._rest.reader.older_values(contract, key, OLDER_VALUES_MAX):
            if value and value_hash(value, digest) == wanted:
                return value
        raise UnprovableError("the row was written many times since the newest root: ask again when fewer calls come")

    def of_delta(self, height: int, contract: str, key: str) -> dict[str, Any]:
        """Return the proof that a block wrote a row; of several times the last. Raises UnprovableError, ArchivedError."""
        stored = self._rest.reader.block(height)
        if stored is None:
            raise UnprovableError(f"there is no block {height} yet")
        if any(is_hidden(self._world, tx.payload.tx_id) for tx in stored.block.txs):
            raise UnprovableError(
                f"block {height} holds a transaction whose content is masked, so its rows are not shown"
            )
        return delta_proof(stored, contract, key, self._world.digest, self._rest.reader.membership(height))


def delta_proof(stored: BlockWithRWSet, contract: str, key: str, digest: Digest, links: Links = ()) -> dict[str, Any]:
    """Return the proof that a block wrote a row; of several times the last. Raises UnprovableError."""
    height = stored.block.header.block_height
    writes = [
        Write(write.contract_name, write.key.decode(), write.value or None)
        for rw_set in stored.txRWSets
        for write in rw_set.tx_writes
    ]
    writes += [Write(OWN, write.key.decode(), write.value or None) for write in stored.own_writes]
    places = [at for at, write in enumerate(writes) if (write.contract, write.key) == (contract, key)]
    if not places:
        text = f"block {height} lists no write of this row; a row that a bundle wrote is proved by its receipt"
        raise UnprovableError(text)
    if delta_root(writes, digest) != ConsensusArgs.FromString(stored.block.header.consensus_args).delta_root:
        text = f"an older release wrote block {height} without all that its delta lists: take the transaction's receipt"
        raise UnprovableError(text)
    return make_delta_proof(stored, writes, places[-1], links)
