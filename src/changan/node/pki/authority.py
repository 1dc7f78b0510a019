"""An organisation's certificate authority: it issues what ChainMaker's cryptogen issues, field for field."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, get_args

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from changan.crypto import certificates
from changan.crypto.keys import Scheme
from changan.crypto.node_ids import node_id as key_node_id
from changan.crypto.suite import Suite, algorithms
from changan.errors import ChanganError, MalformedError, UnverifiedError
from changan.node.pki.issuing import (
    Curve,
    PrivateKey,
    generate,
    key_pem,
    public_of,
    read_key,
    sign_certificate,
    sign_list,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from changan.crypto.keys import PublicKey

Role = Literal["client", "admin", "light", "consensus", "common"]
Usage = Literal["sign", "tls"]

AUTHORITY_DAYS = 3650
REVOCATION_LIST_DAYS = 3650
# A verifier whose clock runs a little behind must accept a certificate made just now.
CLOCK_SLACK = timedelta(hours=1)
SERVER_NAME = "chainmaker.org"

_NODE_ROLES: frozenset[Role] = frozenset({"consensus", "common"})
_LOCAL_HOSTS = (SERVER_NAME, "localhost")
_LOOPBACK = "127.0.0.1"
_DNS_NAME = re.compile(r"[A-Za-z0-9*_.-]+")


class AuthorityError(ChanganError):
    """A certificate that cannot be issued or read as asked."""


class Issued(NamedTuple):
    """A certificate and its private key, both PEM; the key is unencrypted PKCS #8."""

    certificate_pem: bytes
    key_pem: bytes


class Authority:
    """The certificate authority of one organisation.

    Use `create` for a new one and `load` for one that exists. An authority with an SM2 key is one of the national suite:
    it signs SM2-with-SM3, and key identifiers are SM3 digests.
    """

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        """Pair a CA certificate with its key.

        Raises AuthorityError when they are not a pair, or when the certificate names no organisation or is no CA.
        """
        try:
            certified = certificates.public_key(certificate)
        except UnverifiedError as error:
            raise AuthorityError(f"the public key of the certificate cannot be used: {error}") from error
        if certified != public_of(key):
            raise AuthorityError("the CA key does not belong to the CA certificate: hand in two made as a pair")
        _require_authority(certificate)
        self._certificate = certificate
        self._key = key
        self.org_id = _organisation_of(certificate)
        self.suite = _suite_of(key)

    @classmethod
    def create(cls, org_id: str, now: datetime, suite: Suite = Suite.INTERNATIONAL) -> Self:
        """Make the authority of `org_id`, self-signed and valid for ten years from `now`, an aware datetime.

        Raises AuthorityError for an id no certificate can carry, or a `now` without a time zone; LibcryptoError where
        the national suite is asked for and the system has no library for it.
        """
        key = generate("SM2" if suite is Suite.NATIONAL else "P-256")
        common_name = f"ca.{org_id}"
        name = _name(org_id, "root-cert", common_name)
        identifier = x509.SubjectKeyIdentifier(_key_identifier(public_of(key), suite))
        builder = (
            _dated(_builder(name, name), now, AUTHORITY_DAYS)
            .add_extension(_key_usage("digital_signature", "key_cert_sign", "crl_sign"), critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(_alternative_names((*_LOCAL_HOSTS, common_name, _LOOPBACK)), critical=False)
        )
        return cls(sign_certificate(builder, public_of(key), key), key)

    @classmethod
    def load(cls, certificate_pem: bytes, key_pem: bytes) -> Self:
        """Take up an authority from its PEM certificate and unencrypted PEM key.

        Raises AuthorityError when either cannot be read, or when they are not a pair or not of a CA.
        """
        certificate = read_certificate(certificate_pem)
        try:
            key = read_key(key_pem)
        except ValueError as error:
            raise AuthorityError(f"the CA key is {error}") from error
        return cls(certificate, key)

    @property
    def certificate_pem(self) -> bytes:
        """The CA certificate, PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The CA's private key, PEM, unencrypted PKCS #8."""
        return key_pem(self._key)

    def issue(
        self,
        name: str,
        role: Role,
        usage: Usage,
        now: datetime,
        hosts: Sequence[str] = (),
        *,
        curve: Curve | None = None,
        days: int = 3650,
    ) -> Issued:
        """Make a key and a certificate for it, valid for `days` from `now`, an aware datetime.

        The key is on `curve`; without one, on SM2's where the authority's is, and on P-256 otherwise.

        `name` is the first part of the common name (`client1`), `role` its OU. `hosts` are further DNS names or
        addresses under which a node's TLS certificate shall be accepted.

        Raises AuthorityError for an unknown role, usage or curve, for hosts that only a node's TLS certificate can
        carry, for a TLS certificate with SM2 in it or a key on another curve than P-256, and for values no certificate
        can carry.
        """
        if curve is None:
            curve = "SM2" if self.suite is Suite.NATIONAL else "P-256"
        _require_known(role, usage, curve)
        is_node_tls = usage == "tls" and role in _NODE_ROLES
        if hosts and not is_node_tls:
            raise AuthorityError(f"hosts belong in the TLS certificate of a node, not in {usage} of role {role}")
        if usage == "tls" and self.suite is Suite.NATIONAL:
            raise AuthorityError(
                "TLS peers here know neither SM2 keys nor signatures: have the organisation's TLS authority issue it (tls-ca/)"
            )
        if usage == "tls" and curve != "P-256":
            raise AuthorityError(f"TLS peers do not accept {curve}: use P-256 for TLS, {curve} for signing only")
        key = generate(curve)
        common_name = f"{name}.{usage}.{self.org_id}"
        subject = _name(self.org_id, role, common_name)
        builder = _dated(_builder(subject, self._certificate.subject), now, days)
        if usage == "sign":
            builder = builder.add_extension(_key_usage("digital_signature", "content_commitment"), critical=True)
        else:
            usages = _key_usage("digital_signature", "key_encipherment", "data_encipherment")
            both_ends = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
            builder = builder.add_extension(usages, critical=True).add_extension(both_ends, critical=False)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier(_key_identifier(public_of(key), self.suite)), critical=False
        ).add_extension(self._authority_identifier(), critical=False)
        if is_node_tls:
            names = (*_LOCAL_HOSTS, common_name, _LOOPBACK, *hosts)
            builder = builder.add_extension(_alternative_names(names), critical=False)
        certificate = sign_certificate(builder, public_of(key), self._key)
        return Issued(certificate.public_bytes(Encoding.PEM), key_pem(key))

    def revocation_list(self, serials: Iterable[int], now: datetime) -> bytes:
        """List the certificates with these serial numbers as revoked at `now`, an aware datetime; returns PEM.

        Raises AuthorityError for a serial number no certificate can have, or a `now` without a time zone.
        """
        moment = _utc(now)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(moment)
            .next_update(moment + timedelta(days=REVOCATION_LIST_DAYS))
            .add_extension(self._authority_identifier(), critical=False)
            # The number must grow from list to list; time does, without anything to remember.
            .add_extension(x509.CRLNumber(int(moment.timestamp())), critical=False)
        )
        for serial in sorted(set(serials)):
            try:
                entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment).build()
            except ValueError as error:
                raise AuthorityError(f"{serial} is no serial number of a certificate: {error}") from error
            builder = builder.add_revoked_certificate(entry)
        return sign_list(builder, self._key).public_bytes(Encoding.PEM)

    def renew(self, certificate_pem: bytes, now: datetime, *, days: int = 3650) -> bytes:
        """Return a certificate that says what one of this authority's says, for the same key, for `days` from `now`; PEM.

        Raises AuthorityError for a certificate that this authority did not issue, and for a time no certificate can carry.
        """
        old = read_certificate(certificate_pem)
        try:
            certificates.require_issued(old, self._certificate)
            key = certificates.public_key(old)
        except UnverifiedError as error:
            raise AuthorityError(f"this is no certificate of the authority of {self.org_id}: {error}") from error
        builder = _dated(_builder(old.subject, self._certificate.subject), now, days)
        for extension in old.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        return sign_certificate(builder, key, self._key).public_bytes(Encoding.PEM)

    def _authority_identifier(self) -> x509.AuthorityKeyIdentifier:
        # An authority brought along may compute its identifier in another way: what it says of itself is what counts.
        try:
            own = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        except x509.ExtensionNotFound:
            own = _key_identifier(public_of(self._key), self.suite)
        return x509.AuthorityKeyIdentifier(own, None, None)


def read_certificate(pem: bytes) -> x509.Certificate:
    """Return the certificate in this PEM text.

    Raises AuthorityError when there is none.
    """
    try:
        return certificates.read_pem(pem)
    except MalformedError as error:
        raise AuthorityError(str(error)) from error


def node_id(tls_certificate_pem: bytes) -> str:
    """Return ChainMaker's id of the node that has this PEM TLS certificate: the libp2p peer id of its public key.

    Raises AuthorityError when the certificate cannot be read or its key is not on an elliptic curve.
    """
    public_key = _public_key(read_certificate(tls_certificate_pem))
    return key_node_id(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuthorityError(f"the public key of the certificate cannot be used: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise AuthorityError("the certificate's key is not an elliptic curve key, and only those are supported")
    return key


def _require_authority(certificate: x509.Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise AuthorityError("the certificate has no readable basicConstraints, so it cannot be a CA's") from error
    if not constraints.ca:
        raise AuthorityError("the certificate says of itself that it is not a CA's")


def _organisation_of(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if len(names) != 1:
        raise AuthorityError(f"the CA certificate names {len(names)} organisations (O=), and must name one")
    return str(names[0].value)


def _require_known(role: Role, usage: Usage, curve: Curve) -> None:
    # The types promise this, but these values also come from command lines.
    for what, value, known in (("role", role, Role), ("usage", usage, Usage), ("curve", curve, Curve)):
        if value not in get_args(known):
            raise AuthorityError(f"{what} {value!r} is not known; it is one of {', '.join(get_args(known))}")


def _name(org_id: str, unit: str, common_name: str) -> x509.Name:
    # Country, province and city are the ones cryptogen writes.
    parts = (
        (NameOID.COUNTRY_NAME, "CN"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Beijing"),
        (NameOID.LOCALITY_NAME, "Beijing"),
        (NameOID.ORGANIZATION_NAME, org_id),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common_name),
    )
    try:
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    except ValueError as error:
        raise AuthorityError(f"no certificate can carry the name {common_name!r}: {error}") from error


def _builder(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    return builder.serial_number(x509.random_serial_number())


def _dated(builder: x509.CertificateBuilder, now: datetime, days: int) -> x509.CertificateBuilder:
    if days < 1:
        raise AuthorityError(f"a certificate valid for {days} days is of no use: give at least 1")
    moment = _utc(now)
    try:
        return builder.not_valid_before(moment - CLOCK_SLACK).not_valid_after(moment + timedelta(days=days))
    except (ValueError, OverflowError) as error:
        raise AuthorityError(f"no certificate can be valid for {days} days from {moment}: {error}") from error


def _utc(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise AuthorityError("the time has no time zone: hand in datetime.now(UTC)")
    # Certificates count whole seconds.
    return now.astimezone(UTC).replace(microsecond=0)


def _key_usage(*purposes: str) -> x509.KeyUsage:
    known = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{purpose: purpose in purposes for purpose in known})


def _alternative_names(hosts: Iterable[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative_name(host) for host in dict.fromkeys(hosts)])


def _alternative_name(host: str) -> x509.GeneralName:
    address: IPv4Address | IPv6Address
    try:
        address = ip_address(host)
    except ValueError:
        # A port or scheme would be certified as typed, and then match nothing.
        if not _DNS_NAME.fullmatch(host):
            raise AuthorityError(f"{host!r} is neither an address nor a DNS name: give no port, no scheme") from None
        return x509.DNSName(host)
    return x509.IPAddress(address)


def _key_identifier(key: PublicKey, suite: Suite) -> bytes:
    # ChainMaker hashes the point with the suite's digest; the usual SHA-1 of RFC 5280 would be 20 bytes.
    return algorithms(suite).digest(key.point)


def _suite_of(key: PrivateKey) -> Suite:
    return Suite.NATIONAL if public_of(key).scheme is Scheme.SM2 else Suite.INTERNATIONAL
