"""Signed requests, as ChainMaker's SDKs make them."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from changan.client.passwords import ask_password, open_key
from changan.crypto import certificates
from changan.crypto.key_forms import public_key_pem
from changan.crypto.keys import SigningKey
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.wire.messages import (
    EndorsementEntry,
    KeyValuePair,
    Member,
    MemberType,
    Payload,
    TxRequest,
    TxType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from changan.client.passwords import Ask
    from changan.crypto.digest import Digest

TX_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Signer:
    """A member with its certificate and its private key, which is never shown."""

    member: Member
    key: SigningKey = field(repr=False)
    hash_name: str = "SHA256"

    @classmethod
    def from_files(cls, org_id: str, certificate: Path, key: Path, ask: Ask = ask_password) -> Signer:
        """Read a member's files; `ask` gives the password of a sealed key. Raises MalformedError, PasswordError, OSError."""
        pem = certificate.read_bytes()
        try:
            name = certificates.signature_hash(certificates.read_pem(pem))
        except (MalformedError, UnverifiedError) as error:
            raise MalformedError(f"{certificate}: {error}") from error
        member = Member(org_id=org_id, member_type=MemberType.CERT, member_info=pem)
        return cls(member, SigningKey(open_key(key, ask)), name)

    @classmethod
    def from_key(cls, org_id: str, key: Path, hash_name: str = "SHA256", ask: Ask = ask_password) -> Signer:
        """Read a member that is a key; `hash_name` is the digest of the chain. Raises as `from_files`."""
        private = SigningKey(open_key(key, ask))
        member = Member(org_id=org_id, member_type=MemberType.PUBLIC_KEY, member_info=public_key_pem(private.public))
        return cls(member, private, hash_name)

    def by_hash(self, digest: Digest) -> Signer:
        """Return this member named by the digest of its certificate, 32 bytes, which the chain must know.

        Raises MalformedError where the member is no certificate.
        """
        if self.member.member_type != MemberType.CERT:
            raise MalformedError("only a member with a certificate can be named by its hash, and this one is a key")
        named = digest(certificates.read_pem(self.member.member_info).public_bytes(Encoding.DER))
        return replace(
            self, member=Member(org_id=self.member.org_id, member_type=MemberType.CERT_HASH, member_info=named)
        )

    def endorse(self, payload: Payload) -> EndorsementEntry:
        """Sign a payload."""
        return EndorsementEntry(
            signer=self.member, signature=self.key.sign(payload.SerializeToString(), self.hash_name)
        )


def new_tx_id() -> str:
    """Return a fresh transaction id: 64 hex digits."""
    return secrets.token_hex(TX_ID_BYTES)


def make_payload(
    chain_id: str,
    contract: str,
    method: str,
    parameters: Mapping[str, bytes | str],
    *,
    query: bool = False,
    tx_id: str | None = None,
) -> Payload:
    """Return a payload of now."""
    return Payload(
        chain_id=chain_id,
        tx_type=TxType.QUERY_CONTRACT if query else TxType.INVOKE_CONTRACT,
        tx_id=tx_id or new_tx_id(),
        timestamp=int(time.time()),
        contract_name=contract,
        method=method,
        parameters=[
            KeyValuePair(key=key, value=value.encode() if isinstance(value, str) else value)
            for key, value in parameters.items()
        ],
    )


def sign_request(payload: Payload, sender: Signer, endorsers: Iterable[Signer] = ()) -> TxRequest:
    """Return a request signed by its sender and endorsers."""
    return TxRequest(
        payload=payload, sender=sender.endorse(payload), endorsers=[signer.endorse(payload) for signer in endorsers]
    )


def install_parameters(
    name: str, version: str, code: bytes, arguments: Mapping[str, bytes | str]
) -> dict[str, bytes | str]:
    """Return the parameters of CONTRACT_MANAGE's INIT_CONTRACT and UPGRADE_CONTRACT."""
    return {
        "CONTRACT_NAME": name,
        "CONTRACT_VERSION": version,
        "CONTRACT_RUNTIME_TYPE": "DOCKER_GO",
        "CONTRACT_BYTECODE": code,
        **arguments,
    }
