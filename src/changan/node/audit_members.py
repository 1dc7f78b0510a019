"""Who signed, for the audit: members read again from the rows of their time, by code of its own."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from changan.errors import ChanganError
from changan.ledger.wire.messages import AliasInfo, ChainConfig, MemberType, PKInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from changan.ledger.wire.messages import Member

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_HASHES: dict[str, hashes.HashAlgorithm] = {"SHA256": hashes.SHA256(), "SHA3_256": hashes.SHA3_256()}
_CERTIFICATE_MODES = ("", "identity", "permissionedwithcert")


class MemberError(ChanganError):
    """A member that was none of the chain's when it signed."""


class _Known(NamedTuple):
    """What checks a member's signatures, and while it may."""

    key: PublicKeyTypes
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
        name = (member.org_id, member.member_type, member.member_info)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._read(member)
        if not known.since <= time <= known.until:
            raise MemberError("a certificate was out of its time")
        return _holds(known.key, known.algorithm, message, signature)

    def _read(self, member: Member) -> _Known:
        row = self._rows.get(("CHAIN_CONFIG", "CHAIN_CONFIG"))
        if row is None:
            raise MemberError("the chain has no configuration that says who its members are")
        config = ChainConfig.FromString(row)
        if config.auth_type.lower() in _CERTIFICATE_MODES:
            return self._read_certificate(member, config)
        return self._read_key(member, config)

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
        algorithm = certificate.signature_hash_algorithm
        if algorithm is None:
            raise MemberError("a certificate names no digest")
        since, until = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        return _Known(certificate.public_key(), algorithm, since, until)

    # Keys

    def _read_key(self, member: Member, config: ChainConfig) -> _Known:
        key = _load(member.member_info)
        algorithm = _HASHES.get(config.crypto.hash)
        if algorithm is None:
            raise MemberError(f"the audit does not know the digest {config.crypto.hash}")
        if config.auth_type.lower() != "public" and self._organisation(key, config) != member.org_id:
            raise MemberError(f"a key that signed is none of {member.org_id}")
        return _Known(key, algorithm, 0, float("inf"))

    def _organisation(self, key: PublicKeyTypes, config: ChainConfig) -> str | None:
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for root in config.trust_roots:
            for pem in root.root:
                if _load(pem.encode()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == spki:
                    return root.org_id
        kind = 0 if isinstance(key, rsa.RSAPublicKey) else 3
        length = bytes([len(spki)]) if len(spki) < 0x80 else bytes([len(spki) & 0x7F | 0x80, len(spki) >> 7])  # noqa: PLR2004
        peer = _base58(b"\x12\x20" + hashlib.sha256(bytes([8, kind, 18]) + length + spki).digest())
        for node in config.consensus.nodes:
            if peer in node.node_id:
                return node.org_id
        row = self._rows.get(("PUBKEY_MANAGE", _base58(hashlib.sha256(spki).digest())))
        return None if row is None else PKInfo.FromString(row).org_id


def _issued(certificate: x509.Certificate, org_id: str, config: ChainConfig) -> bool:
    for root in (pem for trusted in config.trust_roots if trusted.org_id == org_id for pem in trusted.root):
        try:
            certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(root.encode()))
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _der(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def _load(text: bytes) -> PublicKeyTypes:
    """Read a key: PEM of any label, or hex."""
    body = b"".join(line for line in text.split(b"\n") if b"-----" not in line).replace(b"\r", b"").replace(b" ", b"")
    try:
        return load_der_public_key(base64.b64decode(body) if b"-----" in text else bytes.fromhex(body.decode()))
    except (ValueError, UnsupportedAlgorithm):
        raise MemberError("a public key does not decode") from None


def _base58(data: bytes) -> str:
    number, digits = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def _holds(key: PublicKeyTypes, algorithm: hashes.HashAlgorithm, message: bytes, signature: bytes) -> bool:
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), algorithm)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
