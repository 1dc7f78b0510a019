"""Who votes: the nodes that a chain's configuration knows, which of them votes for its organisation, and what a quorum is.

`consensus.ext_config` holds one entry a node, `comet.NODE_ID`; `consensus.nodes` names of each organisation the one that votes.
A node that is known and not named there follows without a vote.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, NamedTuple, Self

from changan.crypto import certificates
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.wire.messages import ConfigKeyValue, Member, MemberType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from changan.crypto.keys import PublicKey
    from changan.ledger.wire.messages import ChainConfig

PREFIX = "comet."
ADDRESS_BYTES = 20
RECORD_CHARACTERS_MAX = 16 * 1024
_KEY = re.compile(r"[0-9a-f]{64}")
_PEER = re.compile(r"[0-9a-f]{40}")
_FIELDS = {"org_id", "validator", "peer", "certificate"}


def address_of(key: bytes) -> bytes:
    """Return the engine's address of an Ed25519 key; in hex it is also the id of a peer."""
    return hashlib.sha256(key).digest()[:ADDRESS_BYTES]


class Voter(NamedTuple):
    """One organisation's node that votes, or may once it is named in that place."""

    node_id: str
    org_id: str
    validator: bytes  # Ed25519 public key of its votes
    peer: str  # the id of its connections, hex
    certificate: bytes  # PEM, of the key that seals ledger blocks

    @property
    def address(self) -> bytes:
        """The engine's address of this voter."""
        return address_of(self.validator)

    @property
    def member(self) -> Member:
        """The voter as the proposer of a ledger block."""
        return Member(org_id=self.org_id, member_type=MemberType.CERT, member_info=self.certificate)

    def entry(self) -> ConfigKeyValue:
        """Return what makes the node known: an entry of ConsensusConfig.ext_config."""
        record = {
            "org_id": self.org_id,
            "validator": self.validator.hex(),
            "peer": self.peer,
            "certificate": self.certificate.decode(),
        }
        return ConfigKeyValue(key=f"{PREFIX}{self.node_id}", value=json.dumps(record))

    @classmethod
    def of_entry(cls, key: str, value: str) -> Self:
        """Return the node of an entry. Raises MalformedError."""
        try:
            record = json.loads(value) if len(value) <= RECORD_CHARACTERS_MAX else None
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or record.keys() != _FIELDS or not all(map(_is_text, record.values())):
            text = f"the entry {key} is no node: it is JSON of {', '.join(sorted(_FIELDS))}, each a text"
            raise MalformedError(text)
        if _KEY.fullmatch(record["validator"]) is None or _PEER.fullmatch(record["peer"]) is None:
            raise MalformedError(f"the entry {key} names no key of votes (64 hex digits) or no peer (40)")
        certificate = record["certificate"].encode()
        node_id = key.removeprefix(PREFIX)
        return cls(node_id, record["org_id"], bytes.fromhex(record["validator"]), record["peer"], certificate)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii()


def is_quorum(count: int, voters: int) -> bool:
    """Whether `count` of so many voters are more than two thirds."""
    return 3 * count > 2 * voters


class Roster:
    """The nodes of a configuration: `voters`, one an organisation, and `followers`, which have no vote."""

    def __init__(self, voters: Iterable[Voter], followers: Iterable[Voter] = ()) -> None:
        """Take the nodes. Raises MalformedError where a certificate cannot be used."""
        self.voters = tuple(voters)
        self.followers = tuple(followers)
        self.by_address = {voter.address: voter for voter in self.voters}
        self.by_organisation = {voter.org_id: voter for voter in self.voters}
        self.peers = {node.peer: node for node in self.nodes}
        self._sealers = {node.node_id: _sealer(node) for node in self.nodes}

    @property
    def nodes(self) -> tuple[Voter, ...]:
        """All nodes that may connect."""
        return (*self.voters, *self.followers)

    def is_quorum(self, count: int) -> bool:
        """Whether so many voters are more than two thirds."""
        return is_quorum(count, len(self.voters))

    def seal_key(self, node: Voter) -> PublicKey:
        """Return the key that checks a node's seals."""
        return self._sealers[node.node_id].key

    def sealed(self, node: Voter, block_hash: bytes, signature: bytes) -> bool:
        """Whether a node of this roster signed the hash of a block."""
        sealer = self._sealers[node.node_id]
        try:
            sealer.key.verify(block_hash, signature, sealer.digest)
        except UnverifiedError:
            return False
        return True

    def counts(self, node: Voter, time: int) -> bool:
        """Whether a node's seal of a block of `time` (seconds) counts: it votes by this roster, and its certificate holds."""
        known = self.by_organisation.get(node.org_id)
        if known is None or known.member != node.member:
            return False
        sealer = self._sealers[known.node_id]
        return sealer.since <= time <= sealer.until


class _Sealer(NamedTuple):
    """What checks a node's seals, and while they count."""

    key: PublicKey
    digest: str  # that it signs over
    since: float  # seconds
    until: float


def _sealer(node: Voter) -> _Sealer:
    try:
        certificate = certificates.read_pem(node.certificate)
        key, digest = certificates.public_key(certificate), certificates.signature_hash(certificate)
        since, until = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        return _Sealer(key, digest, since, until)
    except (MalformedError, UnverifiedError) as error:
        raise MalformedError(
            f"the certificate of {node.org_id}'s node {node.node_id} cannot be used: {error}"
        ) from error


def entries(nodes: Iterable[Voter]) -> Iterator[ConfigKeyValue]:
    """Return what makes nodes known to a chain (ConsensusConfig.ext_config)."""
    return (node.entry() for node in nodes)


def roster_of(config: ChainConfig) -> Roster:
    """Return the nodes of a chain that is ordered by vote. Raises MalformedError where the configuration names them wrongly."""
    known: dict[str, Voter] = {}
    for entry in config.consensus.ext_config:
        if entry.key.startswith(PREFIX):
            node = Voter.of_entry(entry.key, entry.value)
            known[node.node_id] = node
    voters = []
    for named in config.consensus.nodes:
        if len(named.node_id) != 1:
            raise MalformedError(
                f"{named.org_id} would have {len(named.node_id)} nodes that vote, and it has one vote: NODE_ID_UPDATE puts "
                "a node in another's place, NODE_ORG_DELETE takes an organisation's vote away"
            )
        voter = known.pop(named.node_id[0], None)
        if voter is None or voter.org_id != named.org_id:
            raise MalformedError(
                f"the chain knows no node {named.node_id[0][:128]} of {named.org_id}: make it known first, with "
                f"CONSENSUS_EXT_ADD {PREFIX}{named.node_id[0][:128]}"
            )
        voters.append(voter)
    return Roster(voters, known.values())
