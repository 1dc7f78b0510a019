"""Certificates of agreement: organisations' signatures over the hash of a ledger block, from the votes that follow it.

A node gathers them while it votes. A later proposal carries them, so that every node has them, and they rest in the record
of the next ledger block. They are outside every hash: sets may differ, and any quorum is as good as another.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from changan.errors import UnverifiedError
from changan.ledger.receipt import CERTIFICATE_KEY
from changan.ledger.wire.messages import Certificate, EndorsementEntry, Seal, SealedBlock, SealedBlocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changan.ledger.roster import Roster
    from changan.ledger.wire.messages import Block, BlockWithRWSet
    from changan.node.comet.abci.messages import Head
    from changan.node.reader import Reader
    from changan.node.solo import Proposer

WINDOW = 16
"""A certificate stands in one of so many blocks after the one that it is of."""
RESTING_KEY = "changan.sealed"


class Seals:
    """What this node knows of the last ledger blocks' certificates."""

    def __init__(self, reader: Reader, roster: Roster, proposer: Proposer) -> None:
        self._reader = reader
        self._proposer = proposer
        self.roster = roster
        self._recent: OrderedDict[bytes, dict[str, bytes]] = OrderedDict()
        self._carried: set[bytes] = set()  # blocks whose certificate a decided proposal carried
        self._fresh: list[SealedBlock] = []  # carried since the last ledger block
        for height in range(max(0, reader.height - WINDOW + 1), reader.height + 1):
            stored = reader.stored(height)
            assert stored is not None
            self.begin(stored.block.header.block_hash)
            for sealed in _resting(stored.block):
                self._learn(sealed)

    def begin(self, block_hash: bytes) -> None:
        """Take note of a new ledger block."""
        self._recent[block_hash] = {}
        while len(self._recent) > WINDOW:
            old, _ = self._recent.popitem(last=False)
            self._carried.discard(old)

    def own(self, block_hash: bytes) -> bytes:
        """Return this node's seal of a recent block."""
        found = self._recent[block_hash]
        org_id = self._proposer.member.org_id
        if org_id not in found:
            found[org_id] = self._proposer.seal(block_hash)
        return found[org_id]

    def take(self, org_id: str, block_hash: bytes, signature: bytes) -> bool:
        """Keep a seal of a recent block, if it holds; return whether it does."""
        found = self._recent.get(block_hash)
        if found is None:
            return False
        if found.get(org_id) == signature:
            return True
        try:
            key, digest = self.roster.seal_key(org_id)
            key.verify(block_hash, signature, digest)
        except (UnverifiedError, KeyError):
            return False
        found[org_id] = signature
        return True

    # In proposals

    def to_carry(self) -> bytes:
        """Return the certificates that are complete here and that no proposal carried yet."""
        return SealedBlocks(
            blocks=[
                SealedBlock(
                    block_hash=block_hash,
                    seals=[Seal(org_id=org_id, signature=found[org_id]) for org_id in sorted(found)],
                )
                for block_hash, found in self._recent.items()
                if block_hash not in self._carried and self.roster.is_quorum(len(found))
            ]
        ).SerializeToString()

    def problem(self, head: Head) -> str | None:
        """Return why an honest proposer could not have carried these certificates, or None."""
        try:
            carried = SealedBlocks.FromString(head.sealed).blocks
        except DecodeError:
            return "the certificates do not decode"
        for sealed in carried:
            if sealed.block_hash not in self._recent:
                return "a certificate is of no recent block"
            if not self._holds(sealed):
                return "a certificate does not hold"
        return None

    def _holds(self, sealed: SealedBlock) -> bool:
        organisations = {seal.org_id for seal in sealed.seals}
        if len(organisations) != len(sealed.seals) or not self.roster.is_quorum(len(organisations)):
            return False
        return all(self.take(seal.org_id, sealed.block_hash, seal.signature) for seal in sealed.seals)

    def decided(self, head: Head) -> None:
        """Take in the certificates of a decided proposal; what does not hold counts for nothing."""
        try:
            carried = SealedBlocks.FromString(head.sealed).blocks
        except DecodeError:
            return
        for sealed in carried:
            new = sealed.block_hash in self._recent and sealed.block_hash not in self._carried
            if new and self._holds(sealed):
                self._learn(sealed)
                self._fresh.append(sealed)

    def _learn(self, sealed: SealedBlock) -> None:
        found = self._recent.get(sealed.block_hash)
        if found is not None:
            found.update({seal.org_id: seal.signature for seal in sealed.seals})
            self._carried.add(sealed.block_hash)

    # In records

    def rest_in(self, block: Block) -> None:
        """Let a new block's record hold what was carried since the last one."""
        if self._fresh:
            block.additional_data.extra_data[RESTING_KEY] = SealedBlocks(blocks=self._fresh).SerializeToString()
            self._fresh = []

    def complete(self, stored: BlockWithRWSet) -> None:
        """Add its certificate to a block that is handed out."""
        block = stored.block
        extra = block.additional_data.extra_data if block.HasField("additional_data") else {}
        if CERTIFICATE_KEY in extra:
            return
        seals = self._find(block.header.block_height, block.header.block_hash)
        if not self.roster.is_quorum(len(seals)):
            return
        members = {voter.org_id: voter.member for voter in self.roster.voters}
        entries = [
            EndorsementEntry(signer=members[org_id], signature=signature)
            for org_id, signature in sorted(seals.items())
            if org_id in members
        ]
        block.additional_data.extra_data[CERTIFICATE_KEY] = Certificate(seals=entries).SerializeToString()
        proposer = seals.get(block.header.proposer.org_id)
        if proposer is not None:
            block.header.signature = proposer

    def _find(self, height: int, block_hash: bytes) -> dict[str, bytes]:
        if block_hash in self._recent:
            return self._recent[block_hash]
        for later in range(height + 1, min(height + WINDOW, self._reader.height) + 1):
            stored = self._reader.stored(later)
            for sealed in () if stored is None else _resting(stored.block):
                if sealed.block_hash == block_hash:
                    return {seal.org_id: seal.signature for seal in sealed.seals}
        return {}


def _resting(block: Block) -> Iterable[SealedBlock]:
    if not block.HasField("additional_data"):
        return ()
    return SealedBlocks.FromString(block.additional_data.extra_data.get(RESTING_KEY, b"")).blocks
