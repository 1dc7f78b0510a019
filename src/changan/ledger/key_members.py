"""Who acts where members are public keys: registered ones, each of an organisation, or anybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.crypto.addresses import user_address
from changan.crypto.digest import sha256
from changan.crypto.key_forms import public_key_pem, read_public_key
from changan.crypto.keys import Scheme
from changan.crypto.node_ids import ECDSA, RSA, base58, node_id
from changan.crypto.suite import require_admitted
from changan.errors import UnverifiedError
from changan.ledger.chain_config import Mode, admitted_suites, mode_of
from changan.ledger.members import NO_RECORDS, Identity, IdentityCache, Members
from changan.ledger.wire.messages import MemberType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.crypto.digest import Digest
    from changan.crypto.keys import PublicKey
    from changan.ledger.wire.messages import ChainConfig, Member, PKInfo

_FOR_EVER = 2**62
_NOBODY = ""
"""The role of a known key that names no organisation: it is itself, and may do nothing."""


class UnusedFormError(UnverifiedError):
    """A form of member that a chain of registered keys has no use for; the wire has a text of its own for it."""


def key_row(key: PublicKey) -> str:
    """Return the key of the row in which PUBKEY_MANAGE keeps a public key, whatever the digest of the chain is."""
    return base58(sha256(key.der))


class KeyMembers(Members):
    """The members of a chain of keys during one identity epoch."""

    def __init__(self, config: ChainConfig, registered: Mapping[str, PKInfo], digest: Digest) -> None:
        """Take the members of `config`; `registered` is what PUBKEY_MANAGE knows, by row key."""
        self._digest = digest
        self._address_type = config.vm.addr_type
        self._admits = admitted_suites(config)
        self._mode = mode_of(config)
        self._signature_hash = config.crypto.hash
        self._records = NO_RECORDS
        self._cache = IdentityCache()
        self._roots = {}
        self._registered = registered
        self._nodes = {one: node.org_id for node in config.consensus.nodes for one in node.node_id}
        self._administrators = {
            read_public_key(pem.encode()).der: root.org_id for root in config.trust_roots for pem in root.root
        }
        organisations = sorted({root.org_id for root in config.trust_roots})
        each = sorted(digest(der).hex() for der in self._administrators)
        self.voters = tuple(each if self._mode is Mode.PUBLIC else organisations)

    def _resolve(self, member: Member) -> Identity:
        if self._mode is Mode.PUBLIC:
            if member.member_type != MemberType.PUBLIC_KEY:
                raise UnverifiedError(f"member type {member.member_type} is not used on a public chain")
            key = read_public_key(member.member_info)
            return self._identity_of(key, _NOBODY, self._public_role(key))
        # The real node takes a key under the number of certificates, too.
        if member.member_type == MemberType.CERT_HASH:
            raise UnusedFormError("this method should not be called")
        if member.member_type not in {MemberType.PUBLIC_KEY, MemberType.CERT}:
            raise UnverifiedError(f"member type {member.member_type} is not used on a chain of keys")
        key = read_public_key(member.member_info)
        org_id, role = self._standing(key)
        if not member.org_id:
            return self._identity_of(key, _NOBODY, _NOBODY)
        if member.org_id != org_id:
            raise UnverifiedError(f"the key belongs to {org_id!r}, not to {member.org_id!r}")
        return self._identity_of(key, org_id, role)

    def _standing(self, key: PublicKey) -> tuple[str, str]:
        """Return organisation and role of a key: what the configuration says of it counts before a registration."""
        org_id = self._administrators.get(key.der)
        if org_id is not None:
            return org_id, "ADMIN"
        org_id = self._nodes.get(_node_id(key))
        if org_id is not None:
            return org_id, "CONSENSUS"
        found = self._registered.get(key_row(key))
        if found is None:
            raise UnverifiedError("the chain knows no such key")
        return found.org_id, found.role

    def _public_role(self, key: PublicKey) -> str:
        if key.der in self._administrators:
            return "ADMIN"
        return "CONSENSUS" if _node_id(key) in self._nodes else "CLIENT"

    def _identity_of(self, key: PublicKey, org_id: str, role: str) -> Identity:
        require_admitted(key, self._admits)
        return Identity(
            org_id=org_id,
            role=role,
            certificate=b"",
            certificate_hash=self._digest(key.der).hex(),
            member_id=public_key_pem(key).decode(),
            uid=self._digest(key.point).hex(),
            address=user_address(key, self._address_type, self._digest),
            key=key,
            signature_hash=self._signature_hash,
            not_before=0,
            not_after=_FOR_EVER,
        )


def _node_id(key: PublicKey) -> str:
    return node_id(key.der, RSA if key.scheme is Scheme.RSA else ECDSA)
