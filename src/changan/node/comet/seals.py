"""Certificates of agreement: organisations' signatures over the hash of a ledger block, from the votes that follow it.

A node gathers them while it votes. A later proposal carries them, so that every node has them, and they rest in the record
of the next ledger block. They are outside every hash: sets may differ, and any quorum is as good as another.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from changan.ledger.agreement import CERTIFICATE_KEY
from changan.ledger.wire.messages import Certificate, EndorsementEntry, Seal, SealedBlock, SealedBlocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changan.ledger.roster import Roster, Voter
    from changan.ledger.wire.messages import Block, BlockHeader, BlockWithRWSet
    from changan.node.comet.abci.messages import Head
    from changan.node.comet.rosters import Rosters
    from changan.node.reader import Reader
    from changan.node.solo import Proposer

WINDOW = 16
"""A certificate stands in one of so many blocks after the one that it is of."""
RESTING_KEY = "changan.sealed"


class _Recent:
    """A ledger block whose certificate is gathered."""

    def __init__(self, header: BlockHeader, roster: Roster) -> None:
        self.time = header.block_timestamp
        self.roster = roster  # of those whose seals count
        self.seals: dict[str, bytes] = {}  # by organisation
        self.own = b""  # this node's, whether it counts or not
        self.is_carried = False  # a decided proposal carried the certificate

    @property
    def is_complete(self) -> bool:
        """Whether the seals are a certificate."""
        return self.roster.is_quorum(len(self.seals))


class Seals:
    """What this node knows of the last ledger blocks' certificates."""

    def __init__(self, reader: Reader, rosters: Rosters, proposer: Proposer) -> None:
        self._reader = reader
        self._rosters = rosters
        self._proposer = proposer
        self._recent: OrderedDict[bytes, _Recent] = OrderedDict()
        self._fresh: list[SealedBlock] = []  # carried since the last ledger block
        for height in range(max(0, reader.height - WINDOW + 1), reader.height + 1):
            stored = reader.stored(height)
            assert stored is not None
            self.begin(stored.block.header)
            for sealed in _resting(stored.block):
                self._learn(sealed)

    def begin(self, header: BlockHeader) -> None:
        """Take note of a new ledger block."""
        self._recent[header.block_hash] = _Recent(header, self._rosters.sealing(header.block_height))
        while len(self._recent) > WINDOW:
            self._recent.popitem(last=False)

    def own(self, block_hash: bytes) -> bytes:
        """Return this node's seal of a recent block."""
        found = self._recent[block_hash]
        if not found.own:
            found.own = self._proposer.seal(block_hash)
            voter = found.roster.by_organisation.get(self._proposer.member.org_id)
            if voter is not None:
                self.take(found.roster, voter, block_hash, found.own)
        return found.own

    def take(self, roster: Roster, voter: Voter, block_hash: bytes, signature: bytes) -> bool:
        """Return whether a voter of `roster` sealed a recent block; keep the seal where it counts for the certificate."""
        found = self._recent.get(block_hash)
        if found is None:
            return False
        counts = found.roster.counts(voter, found.time)
        if counts and found.seals.get(voter.org_id) == signature:
            return True
        if not roster.sealed(voter, block_hash, signature):
            return False
        if counts:
            found.seals[voter.org_id] = signature
        return True

    # In proposals

    def to_carry(self) -> bytes:
        """Return the certificates that are complete here and that no proposal carried yet."""
        return SealedBlocks(
            blocks=[
                SealedBlock(
                    block_hash=block_hash,
                    seals=[Seal(org_id=org_id, signature=found.seals[org_id]) for org_id in sorted(found.seals)],
                )
                for block_hash, found in self._recent.items()
                if not found.is_carried and found.is_complete
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
        found = self._recent[sealed.block_hash]
        voters = [found.roster.by_organisation.get(seal.org_id) for seal in sealed.seals]
        if len(set(voters)) != len(voters) or not found.roster.is_quorum(len(voters)):
            return False
        return all(
            voter is not None
            and found.roster.counts(voter, found.time)
            and self.take(found.roster, voter, sealed.block_hash, seal.signature)
            for voter, seal in zip(voters, sealed.seals, strict=True)
        )

    def decided(self, head: Head) -> None:
        """Take in the certificates of a decided proposal; what does not hold counts for nothing."""
        try:
            carried = SealedBlocks.FromString(head.sealed).blocks
        except DecodeError:
            return
        for sealed in carried:
            found = self._recent.get(sealed.block_hash)
            if found is not None and not found.is_carried and self._holds(sealed):
                self._learn(sealed)
                self._fresh.append(sealed)

    def _learn(self, sealed: SealedBlock) -> None:
        found = self._recent.get(sealed.block_hash)
        if found is not None:
            found.seals.update({seal.org_id: seal.signature for seal in sealed.seals})
            found.is_carried = True

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
        roster = self._rosters.sealing(block.header.block_height)
        if not roster.is_quorum(len(seals)):
            return
        entries = [
            EndorsementEntry(signer=roster.by_organisation[org_id].member, signature=signature)
            for org_id, signature in sorted(seals.items())
        ]
        block.additional_data.extra_data[CERTIFICATE_KEY] = Certificate(seals=entries).SerializeToString()
        proposer = seals.get(block.header.proposer.org_id)
        if proposer is not None:
            block.header.signature = proposer

    def _find(self, height: int, block_hash: bytes) -> dict[str, bytes]:
        if block_hash in self._recent:
            return self._recent[block_hash].seals
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
