"""The audit of agreement: that a quorum of organisations sealed each block of a chain that is ordered by vote.

Who votes may change: those whom the configuration named before a block seal it, and from two heights of the engine after the
block that changed them, changed voters propose.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, Protocol

from changan.ledger.wire.messages import (
    Certificate,
    ChainConfig,
    ConsensusArgs,
    ConsensusType,
    Member,
    MemberType,
    SealedBlocks,
)
from changan.node.audit_keys import MemberError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.ledger.wire.messages import Block, BlockHeader, BlockWithRWSet, ConsensusConfig, TxWrite
    from changan.node.audit_members import AuditMembers

WINDOW = 16
_EFFECT = 2
_CONFIG = ("CHAIN_CONFIG", "CHAIN_CONFIG")
_PREFIX = "comet."


class Need(Protocol):
    """Asks for what must hold of one block."""

    def __call__(self, holds: object, otherwise: str) -> None:
        """Raise what ends the audit unless it holds."""


class _Unsealed(NamedTuple):
    height: int
    time: int  # seconds
    voters: Mapping[str, Member]  # at that height


class Agreement:
    """Follows which blocks are sealed; a certificate stands in one of the blocks that come after."""

    def __init__(self, members: AuditMembers) -> None:
        self._members = members
        self._unsealed: dict[bytes, _Unsealed] = {}
        self._config = b""
        self._voters: dict[str, Member] = {}
        self._proposers: list[tuple[int, dict[str, Member]]] = []  # from which height of the engine on, the newest last
        self._engine_height = 0
        self.certificates = 0

    def came_along(
        self, need: Need, stored: BlockWithRWSet, rows: dict[tuple[str, str], bytes], *, linked: bool
    ) -> int:
        """Follow the voters through the blocks that came with a base; return how many signatures were checked.

        A block that changed the voters, or that no held block follows (`linked`), has the certificate of those before it. What a
        block says of the configuration goes into `rows`.
        """
        header = stored.block.header
        written = [write.value for rw_set in stored.txRWSets for write in rw_set.tx_writes if _is_config(write)]
        voters = _voters(ChainConfig.FromString(written[-1]).consensus) if written else self._voters
        checked = 0
        if header.block_height and (voters != self._voters or not linked):
            extra = stored.block.additional_data.extra_data if stored.block.HasField("additional_data") else {}
            seals = Certificate.FromString(extra.get("changan.certificate", b"")).seals
            found = {seal.signer.org_id for seal in seals}
            need(3 * len(found) > 2 * len(self._voters), "came without a quorum's certificate")
            for seal in seals:
                voter = self._voters.get(seal.signer.org_id)
                known = voter is not None and voter == seal.signer
                good = known and self._holds(seal.signer, header.block_hash, seal.signature, header.block_timestamp)
                need(good, f"came with a wrong seal of {seal.signer.org_id}")
            checked = len(seals)
        if written:
            rows[_CONFIG], self._voters = written[-1], voters
            self._members.forget()
        return checked

    def begin(self, need: Need, header: BlockHeader, rows: Mapping[tuple[str, str], bytes]) -> None:
        """Go on behind a base whose last block has this header; its rows must name the voters to whom the changes lead."""
        self._config = rows[_CONFIG]
        need(
            _voters(ChainConfig.FromString(self._config).consensus) == self._voters,
            "names other voters than came to be",
        )
        self._members.forget()
        self._proposers = [(0, self._voters)]
        self._engine_height = ConsensusArgs.FromString(header.consensus_args).engine_height
        self._unsealed[header.block_hash] = _Unsealed(header.block_height, header.block_timestamp, self._voters)

    def ordered_by_vote(self, rows: Mapping[tuple[str, str], bytes]) -> bool:
        """Whether the chain's blocks are agreed on by vote; the state is that at the end of the block before."""
        if rows[_CONFIG] != self._config:
            self._config = rows[_CONFIG]
            consensus = ChainConfig.FromString(self._config).consensus
            self._voters = _voters(consensus) if consensus.type == ConsensusType.TBFT else {}
            since = self._engine_height + _EFFECT if self._proposers else 0
            self._proposers.append((since, self._voters))
        return bool(self._voters)

    def block(self, need: Need, block: Block, rows: Mapping[tuple[str, str], bytes]) -> int:
        """Check a block's proposer and the certificates that it carries; return how many signatures were checked."""
        assert rows[_CONFIG] == self._config
        header = block.header
        engine_height = ConsensusArgs.FromString(header.consensus_args).engine_height
        need(engine_height > self._engine_height, "is not later in the engine than the block before it")
        self._engine_height = engine_height
        while len(self._proposers) > 1 and self._proposers[1][0] <= engine_height:
            del self._proposers[0]
        proposers = self._proposers[0][1]
        need(header.proposer == proposers.get(header.proposer.org_id), "was proposed by no voter")
        checked = 0
        extra = block.additional_data.extra_data if block.HasField("additional_data") else {}
        for sealed in SealedBlocks.FromString(extra.get("changan.sealed", b"")).blocks:
            found = self._unsealed.pop(sealed.block_hash, None)
            if found is None:
                continue  # of block 0, or sealed twice
            organisations = {seal.org_id for seal in sealed.seals}
            need(3 * len(organisations) > 2 * len(found.voters), f"carries no quorum for block {found.height}")
            for seal in sealed.seals:
                voter = found.voters.get(seal.org_id)
                good = voter is not None and self._holds(voter, sealed.block_hash, seal.signature, found.time)
                need(good, f"carries a wrong seal of {seal.org_id} for block {found.height}")
                checked += 1
            self.certificates += 1
        for old in self._unsealed.values():
            need(header.block_height - old.height <= WINDOW, f"block {old.height} has no certificate of agreement")
        self._unsealed[header.block_hash] = _Unsealed(header.block_height, header.block_timestamp, self._voters)
        return checked

    def _holds(self, voter: Member, message: bytes, signature: bytes, time: int) -> bool:
        try:
            return self._members.verifies(voter, message, signature, time)
        except MemberError:
            return False


def _is_config(write: TxWrite) -> bool:
    return (write.contract_name, write.key) == (_CONFIG[0], _CONFIG[1].encode())


def _voters(consensus: ConsensusConfig) -> dict[str, Member]:
    """Return the node of each organisation that votes: the one that is named, as its entry has it."""
    known = {entry.key: entry.value for entry in consensus.ext_config if entry.key.startswith(_PREFIX)}
    found = {}
    for node in consensus.nodes:
        pem = json.loads(known[f"{_PREFIX}{node.node_id[0]}"])["certificate"].encode()
        found[node.org_id] = Member(org_id=node.org_id, member_type=MemberType.CERT, member_info=pem)
    return found
