"""Who signed, for the audit: members read again from the rows of their time, by code of its own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from changan.ledger.wire.messages import AliasInfo, ChainConfig, MemberType, PKInfo
from changan.node.audit_keys import AuditKey, MemberError, base58

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.ledger.wire.messages import Member

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA3_256": hashes.SHA3_256(),
    "SM3": hashes.SM3(),
}
_CERTIFICATE_MODES = ("", "identity", "permissionedwithcert")
_SM2_WITH_SM3 = "1.2.156.10197.1.501"


class _Known(NamedTuple):
    """What checks a member's signatures, and while it may."""

    key: AuditKey
    algorithm: hashes.HashAlgorithm
    since: float
    until: float


class AuditMembers:
    """The members of a chain as the audit's rows have them now."""

    def __init__(self, rows: Mapping[tuple[str, str], bytes]) -> None:
        self._rows = rows
        self._known: dict[tuple[str, int, bytes], _Known] = {}

    def forget(self) -> None:
        """Read every member again: the rows that say who is one changed."""
        self._known.clear()

    def verifies(self, member: Member, message: bytes, signature: bytes, time: int) -> bool:
        """Whether a member signed `message`. Raises MemberError for who is none at this time."""
        known = self._standing(member, time)
        return known.key.signed(message, signature, known.algorithm)

    def require(self, member: Member, time: int) -> None:
        """Raise MemberError for who is no member at this time."""
        self._standing(member, time)

    def _standing(self, member: Member, time: int) -> _Known:
        name = (member.org_id, member.member_type, member.member_info)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._read(member)
        if not known.since <= time <= known.until:
            raise MemberError("a certificate was out of its time")
        return known

    def _read(self, member: Member) -> _Known:
        row = self._rows.get(("CHAIN_CONFIG", "CHAIN_CONFIG"))
        if row is None:
            raise MemberError("the chain has no configuration that says who its members are")
        config = ChainConfig.FromString(row)
        by_certificate = config.auth_type.lower() in _CERTIFICATE_MODES
        known = self._read_certificate(member, config) if by_certificate else self._read_key(member, config)
        if not _admits(config, known.key):
            raise MemberError("a key that signed is of a suite that the chain does not admit")
        return known

    # Certificates

    def _read_certificate(self, member: Member, config: ChainConfig) -> _Known:
        pem: bytes | None = member.member_info
        if member.member_type == MemberType.CERT_HASH:
            pem = self._rows.get(("CERT_MANAGE", member.member_info.hex()))
        elif member.member_type == MemberType.ALIAS:
            row = self._rows.get(("CERT_MANAGE", f"alias.{member.member_info.decode()}"))
            pem = None if row is None else AliasInfo.FromString(row).now_cert.cert
        if pem is None:
            raise MemberError("a member names a certificate that the chain does not know")
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError:
            raise MemberError("a certificate does not decode") from None
        der = certificate.public_bytes(Encoding.DER)
        foreign = {_der(known.member_info): known.org_id for known in config.trust_members}
        if foreign.get(der) != member.org_id and not _issued(certificate, member.org_id, config):
            raise MemberError(f"no trust root of {member.org_id} issued a certificate that signed")
        algorithm = _digest_in(certificate)
        since, until = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        return _Known(AuditKey.of_certificate(certificate), algorithm, since, until)

    # Keys

    def _read_key(self, member: Member, config: ChainConfig) -> _Known:
        key = AuditKey.of_text(member.member_info)
        algorithm = _HASHES.get(config.crypto.hash)
        if algorithm is None:
            raise MemberError(f"the audit does not know the digest {config.crypto.hash}")
        if config.auth_type.lower() != "public" and self._organisation(key, config) != member.org_id:
            raise MemberError(f"a key that signed is none of {member.org_id}")
        return _Known(key, algorithm, 0, float("inf"))

    def _organisation(self, key: AuditKey, config: ChainConfig) -> str | None:
        for root in config.trust_roots:
            if any(AuditKey.of_text(pem.encode()).spki == key.spki for pem in root.root):
                return root.org_id
        for node in config.consensus.nodes:
            if key.node_id in node.node_id:
                return node.org_id
        row = self._rows.get(("PUBKEY_MANAGE", base58(hashlib.sha256(key.spki).digest())))
        return None if row is None else PKInfo.FromString(row).org_id


def _admits(config: ChainConfig, key: AuditKey) -> bool:
    """Whether a configuration admits keys of this suite: its own, and those that it names beside."""
    beside = {entry.key: entry.value for entry in config.consensus.ext_config}.get("changan.admits", "").split(",")
    own = "gm" if config.crypto.hash == "SM3" else "intl"
    return ("gm" if key.is_sm2 else "intl") in {own, *(name.strip() for name in beside)}


def _issued(certificate: x509.Certificate, org_id: str, config: ChainConfig) -> bool:
    roots = (pem for trusted in config.trust_roots if trusted.org_id == org_id for pem in trusted.root)
    return any(_issued_by(certificate, x509.load_pem_x509_certificate(pem.encode())) for pem in roots)


def _issued_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    if certificate.signature_algorithm_oid.dotted_string == _SM2_WITH_SM3:
        key = AuditKey.of_certificate(root)
        signed = key.signed(certificate.tbs_certificate_bytes, certificate.signature, hashes.SM3())
        return key.is_sm2 and signed and certificate.issuer == root.subject
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _digest_in(certificate: x509.Certificate) -> hashes.HashAlgorithm:
    if certificate.signature_algorithm_oid.dotted_string == _SM2_WITH_SM3:
        return hashes.SM3()
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        raise MemberError("a certificate names no digest")
    return algorithm


def _der(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
