"""Who agreed to a block, for those who have nothing but a receipt and what they trust: organisations' roots, or a genesis.

Voters change. Each change is the row of the configuration that some block wrote, proved under the hash of that block, which
those who voted until then have sealed. A receipt carries these proofs in order: a genesis leads to the voters of its block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from changan.errors import MalformedError, UnverifiedError
from changan.ledger.chain_config import chain_digest
from changan.ledger.members import NO_RECORDS, Members
from changan.ledger.receipt_text import decoded, text
from changan.ledger.roster import Roster, is_quorum, roster_of
from changan.ledger.row_path import DELTA_FORMAT, follow_path
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import Certificate, ChainConfig, ConsensusType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changan.ledger.wire.messages import BlockHeader, BlockWithRWSet, EndorsementEntry

CERTIFICATE_KEY = "changan.certificate"
"""Where a block that is handed out carries its certificate of agreement (AdditionalData.extra_data)."""
LINKS_MAX = 10_000
_CONFIG = SystemContract.CHAIN_CONFIG.value

Links = Sequence[Mapping[str, Any]]
"""Proofs (`delta-1`) of the changes of a chain's voters, oldest first."""


class Electorate(NamedTuple):
    """Whose word counts at a height of a chain whose genesis is trusted."""

    chain_id: str
    members: Members
    roster: Roster | None  # None where one node orders the chain

    @classmethod
    def of(cls, config: ChainConfig) -> Electorate:
        """Return those of a configuration. Raises MalformedError, UnverifiedError."""
        members = Members(config, NO_RECORDS, chain_digest(config))
        by_vote = config.consensus.type == ConsensusType.TBFT
        return cls(config.chain_id, members, roster_of(config) if by_vote else None)


Trust = Members | Electorate
"""What is trusted: the roots of organisations, each of which counts one; or a genesis."""


def agreement_part(stored: BlockWithRWSet, links: Links = ()) -> dict[str, Any]:
    """Return what a receipt carries of a block's certificate of agreement; nothing where the block has none."""
    if not stored.block.HasField("additional_data"):
        return {}
    certificate = stored.block.additional_data.extra_data.get(CERTIFICATE_KEY, b"")
    if not certificate:
        return {}
    return {"certificate": text(certificate), **({"membership": list(links)} if links else {})}


def sealed_by(
    document: Mapping[str, Any], header: BlockHeader, trust: Trust | None
) -> tuple[str | None, tuple[str, ...]]:
    """Return who sealed a block, and the organisations that agreed on it where the receipt has their certificate.

    Raises MalformedError, UnverifiedError.
    """
    if trust is None:
        return None, ()
    trust = _followed(document, header, trust)
    if "certificate" in document:
        return header.proposer.org_id, _agreed(header, trust, decoded(document, "certificate"))
    if isinstance(trust, Electorate):
        if trust.roster is not None and header.block_height:
            raise UnverifiedError(
                "the receipt carries no certificate of agreement: fetch it again after the next block"
            )
        trust = trust.members
    return _proposer(header, trust), ()


def _followed(document: Mapping[str, Any], header: BlockHeader, trust: Trust) -> Trust:
    """Return whose word counts for a block, behind the changes that its receipt proves."""
    if isinstance(trust, Electorate) and trust.chain_id != header.chain_id:
        raise UnverifiedError(f"the block is of chain {header.chain_id!r}, and what is trusted of {trust.chain_id!r}")
    return follow(document.get("membership", []), header.chain_id, header.block_height, trust)


def follow(links: object, chain_id: str, height: int, trust: Trust) -> Trust:
    """Return whose word counts for the block at a height, behind the proofs of the changes before it.

    Raises MalformedError, UnverifiedError.
    """
    if not isinstance(links, list) or len(links) > LINKS_MAX or not all(isinstance(link, dict) for link in links):
        raise MalformedError("membership is a list of proofs, one a change of the voters")
    before = 0
    for link in links:
        path = follow_path(link)
        row, changed = path.row, path.header.block_height
        if link["format"] != DELTA_FORMAT or (row.contract, row.key) != (_CONFIG, _CONFIG) or row.value is None:
            raise UnverifiedError("a change of the voters is proved by another row than the configuration's")
        if path.header.chain_id != chain_id or not before < changed < height:
            raise UnverifiedError("the changes of the voters are not those of the chain before the block, in order")
        _agreed(path.header, trust, decoded(link, "certificate"))
        try:
            trust = Electorate.of(ChainConfig.FromString(row.value))
        except DecodeError as error:
            raise MalformedError("a change of the voters does not decode") from error
        before = changed
    return trust


def _agreed(header: BlockHeader, trust: Trust, data: bytes) -> tuple[str, ...]:
    """Return the organisations that sealed a block, if they are more than two thirds of those that vote."""
    try:
        entries = Certificate.FromString(data).seals
    except DecodeError as error:
        raise MalformedError("the certificate does not decode") from error
    if isinstance(trust, Electorate):
        if trust.roster is None:
            raise UnverifiedError("one node orders this chain: its blocks have no certificates of agreement")
        voters = len(trust.roster.voters)
        found = {_voter(entry, header, trust, trust.roster) for entry in _bounded(entries, voters)}
    else:
        voters = len(trust.voters)
        found = {_node(entry, header, trust) for entry in _bounded(entries, voters)}
    if not is_quorum(len(found), voters):
        raise UnverifiedError(f"{len(found)} of {voters} organisations sealed the block: that is no quorum")
    return tuple(sorted(found))


def _bounded(entries: Sequence[EndorsementEntry], voters: int) -> Iterable[EndorsementEntry]:
    if len(entries) > voters:
        raise UnverifiedError("the certificate has more seals than there are organisations")
    return entries


def _voter(entry: EndorsementEntry, header: BlockHeader, trust: Electorate, roster: Roster) -> str:
    voter = roster.by_organisation.get(entry.signer.org_id)
    if voter is None or entry.signer != voter.member:
        raise UnverifiedError(f"the block was sealed by a node of {entry.signer.org_id!r} that has no vote on it")
    trust.members.authenticate(entry, header.block_hash, header.block_timestamp)
    return voter.org_id


def _node(entry: EndorsementEntry, header: BlockHeader, members: Members) -> str:
    """Return whose node sealed a block, where it is not known who votes: by its certificate's role."""
    sealer = members.authenticate(entry, header.block_hash, header.block_timestamp)
    if sealer.role != "CONSENSUS":
        raise UnverifiedError(f"the block was sealed by {sealer.member_id}, who is no voting node")
    return sealer.org_id


def _proposer(header: BlockHeader, members: Members) -> str:
    if not header.HasField("proposer"):
        raise UnverifiedError("block 0 has no proposer: compare its hash with the one you know")
    sealer = members.identify(header.proposer, header.block_timestamp)
    sealer.key.verify(header.block_hash, header.signature, sealer.signature_hash)
    if sealer.role not in {"CONSENSUS", "COMMON"}:
        raise UnverifiedError(f"the block was sealed by {sealer.member_id}, who is no node")
    return sealer.member_id
