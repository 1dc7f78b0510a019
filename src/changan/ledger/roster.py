"""Who votes: the keys of each organisation's node as the chain's configuration binds them, and what a quorum of them is."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple, Self

from changan.crypto import certificates
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.wire.messages import ConfigKeyValue, Member, MemberType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from changan.crypto.keys import PublicKey
    from changan.ledger.wire.messages import ChainConfig

PREFIX = "comet."
ADDRESS_BYTES = 20


def address_of(key: bytes) -> bytes:
    """Return the engine's address of an Ed25519 key; in hex it is also the id of a peer."""
    return hashlib.sha256(key).digest()[:ADDRESS_BYTES]


class Voter(NamedTuple):
    """One organisation's voting node."""

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

    def record(self) -> dict[str, str]:
        """Return what stands of the voter in JSON, beside its organisation."""
        return {"validator": self.validator.hex(), "peer": self.peer, "certificate": self.certificate.decode()}

    @classmethod
    def of_record(cls, org_id: str, record: Mapping[str, str]) -> Self:
        """Return the voter of a record. Raises ValueError, KeyError, TypeError or AttributeError for what is none."""
        return cls(org_id, bytes.fromhex(record["validator"]), record["peer"], record["certificate"].encode())


def is_quorum(count: int, voters: int) -> bool:
    """Whether `count` of so many voters are more than two thirds."""
    return 3 * count > 2 * voters


class Roster:
    """The voters of a configuration."""

    def __init__(self, voters: Iterable[Voter]) -> None:
        self.voters = tuple(voters)
        self.by_address = {voter.address: voter for voter in self.voters}
        self.peers = frozenset(voter.peer for voter in self.voters)
        self._keys = {voter.org_id: _seal_key(voter) for voter in self.voters}

    def is_quorum(self, count: int) -> bool:
        """Whether so many voters are more than two thirds."""
        return is_quorum(count, len(self.voters))

    def seal_key(self, org_id: str) -> tuple[PublicKey, str]:
        """Return the key that checks an organisation's seals, and the digest it signs over."""
        return self._keys[org_id]


def _seal_key(voter: Voter) -> tuple[PublicKey, str]:
    try:
        certificate = certificates.read_pem(voter.certificate)
        return certificates.public_key(certificate), certificates.signature_hash(certificate)
    except (MalformedError, UnverifiedError) as error:
        raise MalformedError(f"the certificate of {voter.org_id}'s node cannot be used: {error}") from error


def entries(voters: Iterable[Voter]) -> Iterator[ConfigKeyValue]:
    """Return what the chain's configuration says of its voters (ConsensusConfig.ext_config)."""
    for voter in voters:
        yield ConfigKeyValue(key=f"{PREFIX}{voter.org_id}", value=json.dumps(voter.record()))


def roster_of(config: ChainConfig) -> Roster:
    """Return the voters of a chain. Raises MalformedError where the configuration names them wrongly."""
    found = []
    for entry in config.consensus.ext_config:
        if not entry.key.startswith(PREFIX):
            continue
        try:
            voter = Voter.of_record(entry.key.removeprefix(PREFIX), json.loads(entry.value))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedError(f"the configuration's entry {entry.key} does not decode") from error
        found.append(voter)
    return Roster(found)
