"""Who acts: a member of the wire becomes an identity, once a certificate, its organisation and its time have been checked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from changan.crypto import certificates
from changan.crypto.addresses import user_address
from changan.crypto.suite import require_admitted
from changan.errors import UnverifiedError
from changan.ledger.chain_config import admitted_suites
from changan.ledger.wire.messages import MemberFull, MemberType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.crypto.digest import Digest
    from changan.crypto.keys import PublicKey
    from changan.ledger.wire.messages import ChainConfig, EndorsementEntry, Member

ROLES = ("CONSENSUS", "COMMON", "CLIENT", "ADMIN", "LIGHT")
MEMBER_INFO_BYTES_MAX = 64 * 1024
"""A certificate with a chain of its own is a few KiB; whatever is far larger is refused before it is parsed."""

_TLS_USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
CACHED_BYTES_MAX = 64 * 1024 * 1024
_CACHED_ENTRY_BYTES = 4096  # an identity with its key, beside the member's bytes and the certificate's
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What reading a strange certificate may raise; some of it only when a part is looked at."""


class UndecodableMemberError(UnverifiedError):
    """A member whose certificate is not one at all, or is a TLS certificate; the wire has texts of their own for these."""


class Identity(NamedTuple):
    """A member whose certificate was checked against the trust roots of its organisation."""

    org_id: str
    role: str
    certificate: bytes  # PEM
    certificate_hash: str  # hex of the chain's digest of the DER
    member_id: str  # common name
    uid: str  # hex of the subject key identifier
    address: bytes  # 20 bytes, as contracts see the caller
    key: PublicKey
    signature_hash: str
    not_before: int  # seconds
    not_after: int  # seconds

    def full_member(self, member: Member) -> MemberFull:
        """Return the record that contracts keep of their creator."""
        return MemberFull(
            org_id=self.org_id,
            member_type=member.member_type,
            member_info=member.member_info,
            member_id=self.member_id,
            role=self.role,
            uid=self.uid,
        )


class CertificateRecords(NamedTuple):
    """What the chain knows of certificates beside its configuration: all of it as of the end of the block before."""

    by_hash: Mapping[str, bytes]  # hex -> PEM, from CERT_ADD
    by_alias: Mapping[str, bytes]  # alias -> PEM
    frozen: frozenset[str]  # hex of the hash
    revoked: frozenset[tuple[str, int]]  # (issuer as RFC 4514 text, serial number)


NO_RECORDS = CertificateRecords({}, {}, frozenset(), frozenset())
"""Where nothing is known beside a configuration."""


class IdentityCache:
    """Identities that were found, by the member's bytes. Anybody may write a certificate in many ways, so bytes are counted."""

    def __init__(self) -> None:
        self._found: dict[bytes, Identity] = {}
        self._bytes = 0

    def get(self, member: bytes) -> Identity | None:
        """Return what was found of a member, or None."""
        return self._found.get(member)

    def keep(self, member: bytes, identity: Identity) -> None:
        """Keep what was found of a member; when there is no more room, begin anew."""
        size = len(member) + len(identity.certificate) + _CACHED_ENTRY_BYTES
        if self._bytes + size > CACHED_BYTES_MAX:
            self._found.clear()
            self._bytes = 0
        self._found[member] = identity
        self._bytes += size

    @property
    def size(self) -> int:
        """How many bytes it takes, about."""
        return self._bytes


class Members:
    """The members of a chain during one identity epoch. Identities are cached; a new epoch makes a new object."""

    def __init__(self, config: ChainConfig, records: CertificateRecords, digest: Digest) -> None:
        self._digest = digest
        self._address_type = config.vm.addr_type
        self._admits = admitted_suites(config)
        self._records = records
        self._cache = IdentityCache()
        self._roots: dict[str, list[x509.Certificate]] = {}
        for root in config.trust_roots:
            self._roots.setdefault(root.org_id, []).extend(_load(pem.encode()) for pem in root.root)
        self.voters = tuple(sorted(self._roots))  # who counts one where a majority is asked for
        self._admitted = {  # certificates of foreign authorities, each with the organisation and role that it has here
            _load(member.member_info.encode()).public_bytes(Encoding.DER): (member.org_id, member.role.upper())
            for member in config.trust_members
        }

    def identify(self, member: Member, time: int) -> Identity:
        """Return the identity behind `member` at block time `time` (seconds).

        Raises UndecodableMemberError for what is no signing certificate, UnadmittedError for one whose key is of a suite
        that the chain does not admit, UnverifiedError for one that does not hold.
        """
        key = member.SerializeToString()
        identity = self._cache.get(key)
        if identity is None:
            try:
                identity = self._resolve(member)
            except _UNREADABLE as error:
                raise UnverifiedError("the certificate does not decode") from error
            self._cache.keep(key, identity)
        if not identity.not_before <= time <= identity.not_after:
            raise UnverifiedError(f"the certificate of {identity.member_id} is expired or not yet valid")
        return identity

    def authenticate(self, entry: EndorsementEntry, signed: bytes, time: int) -> Identity:
        """Return who signed `signed`. Raises like `identify`, and UnverifiedError when the signature does not hold."""
        identity = self.identify(entry.signer, time)
        identity.key.verify(signed, entry.signature, identity.signature_hash)
        return identity

    def require_standing(self, certificate: x509.Certificate) -> str:
        """Return the hash of a certificate on this chain. Raises UnverifiedError for one that the chain froze or revoked."""
        certificate_hash = self._digest(certificate.public_bytes(Encoding.DER)).hex()
        if certificate_hash in self._records.frozen:
            raise UnverifiedError("the certificate is frozen")
        if (certificate.issuer.rfc4514_string(), certificate.serial_number) in self._records.revoked:
            raise UnverifiedError("the certificate is revoked")
        return certificate_hash

    def issued_list(self, revocations: x509.CertificateRevocationList) -> bool:
        """Whether one of the trust roots signed this list."""
        for root in (root for roots in self._roots.values() for root in roots):
            try:
                certificates.require_issued_list(revocations, root)
            except UnverifiedError:
                continue
            return True
        return False

    def _resolve(self, member: Member) -> Identity:
        if len(member.member_info) > MEMBER_INFO_BYTES_MAX:
            raise UnverifiedError(
                f"member_info is {len(member.member_info)} bytes; {MEMBER_INFO_BYTES_MAX} are allowed"
            )
        pem = self._certificate_of(member)
        certificate = _load(pem)
        try:
            return self._checked(member, certificate, pem)
        except _UNREADABLE as error:
            raise UnverifiedError("the certificate does not decode") from error

    def _checked(self, member: Member, certificate: x509.Certificate, pem: bytes) -> Identity:
        if (
            certificate.serial_number <= 0
        ):  # RFC 5280, 4.1.2.2; whether it is read at all hangs on the library's release
            raise UnverifiedError("the certificate's serial number is not positive")
        admitted = self._admitted.get(certificate.public_bytes(Encoding.DER))
        org_id, role = admitted or self._issued(certificate)
        if member.org_id != org_id:
            raise UnverifiedError(f"the certificate belongs to {org_id!r}, not to {member.org_id!r}")
        return self._identity(certificate, org_id, role, pem, self.require_standing(certificate))

    def _issued(self, certificate: x509.Certificate) -> tuple[str, str]:
        """Return the organisation and role that a certificate names, once one of that organisation's roots issued it."""
        if _is_tls(certificate):
            raise UndecodableMemberError("tls certificate is misused for tx sign")
        org_id = _attribute(certificate, NameOID.ORGANIZATION_NAME)
        role = _attribute(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME).upper()
        if role not in ROLES:
            raise UnverifiedError(f"the certificate's role {role!r} is none of {', '.join(ROLES)}")
        self._check_issued(certificate, org_id)
        _require_signing(certificate)
        return org_id, role

    def _identity(self, certificate: x509.Certificate, org_id: str, role: str, pem: bytes, digest: str) -> Identity:
        key = certificates.public_key(certificate)
        require_admitted(key, self._admits)
        return Identity(
            org_id=org_id,
            role=role,
            certificate=pem,
            certificate_hash=digest,
            member_id=_attribute(certificate, NameOID.COMMON_NAME),
            uid=_subject_key_identifier(certificate, key, self._digest).hex(),
            address=user_address(key, self._address_type, self._digest),
            key=key,
            signature_hash=certificates.signature_hash(certificate),
            not_before=_seconds(certificate.not_valid_before_utc),
            not_after=_seconds(certificate.not_valid_after_utc),
        )

    def _certificate_of(self, member: Member) -> bytes:
        if member.member_type == MemberType.CERT:
            return member.member_info
        if member.member_type == MemberType.CERT_HASH:
            found = self._records.by_hash.get(member.member_info.hex())
        elif member.member_type == MemberType.ALIAS:
            found = self._records.by_alias.get(member.member_info.decode("utf-8", "replace"))
        else:
            raise UnverifiedError(f"member type {member.member_type} is not used on a chain of certificates")
        if found is None:
            raise UnverifiedError("the chain knows no certificate under this hash or alias")
        return found

    def _check_issued(self, certificate: x509.Certificate, org_id: str) -> None:
        for root in self._roots.get(org_id, ()):
            try:
                certificates.require_issued(certificate, root)
            except UnverifiedError:
                continue
            if _is_authority(root):
                return
        raise UnverifiedError(f"no trust root of {org_id!r} issued this certificate")


def read_certificate(pem: bytes) -> x509.Certificate:
    """Decode one certificate in PEM. Raises UndecodableMemberError."""
    return _load(pem)


def _load(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except _UNREADABLE as error:
        raise UndecodableMemberError("failed to decode sign cert, rest not nil") from error


def _is_tls(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    except ValueError as error:
        raise UnverifiedError("the certificate's extensions do not decode") from error
    return any(oid in usage for oid in _TLS_USAGES)


def _require_signing(certificate: x509.Certificate) -> None:
    """Raise UnverifiedError for a certificate that its issuer meant for something else, or bound to what is not known here."""
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage) and not value.digital_signature:
            raise UnverifiedError("the certificate is not for digital signatures")
        if extension.critical and isinstance(value, x509.UnrecognizedExtension):
            raise UnverifiedError(
                f"the certificate's critical extension {extension.oid.dotted_string} is not known here"
            )


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    try:
        found = certificate.subject.get_attributes_for_oid(oid)
    except ValueError as error:
        raise UnverifiedError("the certificate's subject does not decode") from error
    return str(found[0].value) if found else ""


def _subject_key_identifier(certificate: x509.Certificate, key: PublicKey, digest: Digest) -> bytes:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return digest(key.point)


def _seconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
