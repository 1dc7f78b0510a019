"""What there is to say about an identity without its key: who it is, how long it holds, its addresses and hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from changan.crypto import certificates
from changan.crypto.addresses import ZXL_PREFIX, AddressType, user_address
from changan.crypto.digest import digest_named
from changan.crypto.key_forms import read_public_key
from changan.crypto.keys import Scheme
from changan.errors import UnverifiedError
from changan.ledger.chain_config import Mode
from changan.node.pki.identities import certificate_of, is_sealed_identity, locate, role_of
from changan.node.pki.layout import LayoutError, read_file
from changan.node.pki.revocations import revoked

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from changan.crypto.keys import PublicKey
    from changan.node.pki.layout import Organisation


class Validity(NamedTuple):
    """One certificate of an identity: its serial number, and when it ends."""

    serial: int
    not_after: datetime
    is_revoked: bool


class Described(NamedTuple):
    """One identity. `certificate_hash` is that of CERT_ADD and CERTS_FREEZE; a key has none, and no signing certificate."""

    name: str
    org_id: str
    role: str
    subject: str
    scheme: str
    sign: Validity | None
    tls: Validity | None
    certificate_hash: str
    uid: str
    address: str  # as ETHEREUM makes it
    zxl_address: str
    is_sealed: bool


def describe(mode: Mode, organisation: Organisation, name: str) -> Described:
    """Return what can be said of an identity. Raises LayoutError for one whose files are not here."""
    credential = locate(organisation, name)
    back = revoked(organisation)
    certificate = certificate_of(credential.sign_certificate) if mode is Mode.CERTIFICATES else None
    key = _key(credential.sign_certificate)
    # A chain has one digest: that of its authorities, or where members are keys, of those keys.
    suite = key if certificate is None else _key(organisation.root_certificate)
    digest = digest_named("SM3" if suite.scheme is Scheme.SM2 else "SHA256")
    tls = certificate_of(credential.tls_certificate) if credential.tls_certificate.exists() else None
    return Described(
        name=name,
        org_id=organisation.org_id,
        role=role_of(mode, credential),
        subject=certificate.subject.rfc4514_string() if certificate else "",
        scheme=key.scheme.value,
        sign=_validity(certificate, back),
        tls=_validity(tls, back),
        certificate_hash=digest(certificate.public_bytes(Encoding.DER)).hex() if certificate else "",
        uid=_identifier(certificate) or digest(key.point).hex(),
        address=user_address(key, AddressType.ETHEREUM, digest).hex(),
        zxl_address=ZXL_PREFIX + user_address(key, AddressType.ZXL, digest).hex(),
        is_sealed=is_sealed_identity(organisation, name),
    )


def _key(path: Path) -> PublicKey:
    """Return the key of a certificate, or the public key, in a file."""
    try:
        if path.suffix == ".crt":
            return certificates.public_key(certificate_of(path))
        return read_public_key(read_file(path, "a public key, PEM"))
    except UnverifiedError as error:
        raise LayoutError(f"{path}: {error}") from error


def _validity(certificate: x509.Certificate | None, back: frozenset[int]) -> Validity | None:
    if certificate is None:
        return None
    serial = certificate.serial_number
    return Validity(serial, certificate.not_valid_after_utc, serial in back)


def _identifier(certificate: x509.Certificate | None) -> str:
    if certificate is None:
        return ""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    except x509.ExtensionNotFound:
        return ""
