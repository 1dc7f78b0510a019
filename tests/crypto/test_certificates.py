"""Certificates and revocation lists of either suite: which key, which digest, and who issued them; in words where it is nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from changan.crypto import certificates
from changan.crypto.keys import PublicKey, Scheme
from changan.crypto.suite import Suite
from changan.errors import MalformedError, UnverifiedError
from changan.node.pki.authority import Authority

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORG = "wx-org1.chainmaker.org"


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def certificate(key, *, signer=None, subject="a", issuer="a", digest=None) -> x509.Certificate:
    signer = signer or key
    if digest is None and not isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        digest = hashes.SHA256()
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    return builder.sign(signer, digest)


def revocations(key, *, issuer="a", digest=None) -> x509.CertificateRevocationList:
    builder = x509.CertificateRevocationListBuilder().issuer_name(named(issuer))
    return builder.last_update(NOW).next_update(NOW + timedelta(days=1)).sign(key, digest)


P256 = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()
DSA = dsa.generate_private_key(1024)


def refused(words: str, call, *arguments) -> None:
    with pytest.raises(UnverifiedError) as caught:
        call(*arguments)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("key", "scheme"),
    [
        (P256, Scheme.P256),
        (ec.generate_private_key(ec.SECP384R1()), Scheme.P384),
        (ec.generate_private_key(ec.SECP521R1()), Scheme.P521),
        (ec.generate_private_key(ec.SECP256K1()), Scheme.SECP256K1),
        (RSA, Scheme.RSA),
        (ED25519, Scheme.ED25519),
    ],
    ids=lambda value: value.value if isinstance(value, Scheme) else "",
)
def test_the_key_is_the_one_that_cryptography_reads(key, scheme):
    found = certificates.public_key(certificate(key, signer=P256))
    assert (found, found.scheme) == (PublicKey(key.public_key()), scheme)


@pytest.mark.parametrize("key", [ED448, DSA, ec.generate_private_key(ec.SECP224R1())], ids=["Ed448", "DSA", "P-224"])
def test_a_key_that_is_not_admitted(key):
    with pytest.raises(UnverifiedError):
        certificates.public_key(certificate(key, signer=P256))


@pytest.mark.parametrize(
    ("digest", "name"),
    [
        (hashes.SHA256(), "SHA256"),
        (hashes.SHA384(), "SHA384"),
        (hashes.SHA512(), "SHA512"),
        (hashes.SHA224(), "SHA224"),
        (hashes.SHA3_256(), "SHA3_256"),
        (hashes.SHA3_512(), "SHA3_512"),
    ],
)
def test_the_digest_that_a_holder_signs_with(digest, name):
    assert certificates.signature_hash(certificate(P256, digest=digest)) == name


def test_a_signature_that_names_no_digest():
    refused(
        "the certificate's signature algorithm names no digest",
        certificates.signature_hash,
        certificate(P256, signer=ED25519, issuer="b"),
    )


def with_algorithm(made: x509.Certificate, old: bytes, new: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(made.public_bytes(Encoding.DER).replace(old, new))


ECDSA_WITH_SHA256 = bytes.fromhex("06082a8648ce3d040302")


def test_a_signature_algorithm_that_nobody_knows():
    strange = with_algorithm(certificate(P256), ECDSA_WITH_SHA256, bytes.fromhex("06082a8648ce3d040309"))
    refused("the certificate's signature algorithm is not admitted", certificates.signature_hash, strange)
    refused("the issuer's signature on the certificate does not hold", certificates.require_issued, strange, strange)


def test_a_certificate_whose_key_does_not_decode():
    made = certificate(P256)
    point = made.public_key().public_bytes(Encoding.X962, _uncompressed())
    broken = with_algorithm(made, point, b"\x04" + bytes(64))
    with pytest.raises(UnverifiedError):
        certificates.public_key(broken)


def _uncompressed():
    from cryptography.hazmat.primitives.serialization import PublicFormat

    return PublicFormat.UncompressedPoint


@pytest.mark.parametrize("key", [P256, RSA, ED25519], ids=["P-256", "RSA", "Ed25519"])
def test_who_issued_a_certificate(key):
    root = certificate(key, subject="root", issuer="root")
    user = certificate(P256, signer=key, subject="user", issuer="root")
    certificates.require_issued(root, root)
    certificates.require_issued(user, root)
    elsewhere = certificate(P256, signer=key, subject="user", issuer="other")
    refused("the certificate names another issuer", certificates.require_issued, elsewhere, root)
    forged = certificate(P256, signer=OTHER, subject="user", issuer="root")
    refused("the issuer's signature on the certificate does not hold", certificates.require_issued, forged, root)


@pytest.mark.parametrize(("key", "digest"), [(P256, hashes.SHA256()), (RSA, hashes.SHA384())], ids=["P-256", "RSA"])
def test_who_issued_a_list(key, digest):
    root = certificate(key)
    certificates.require_issued_list(revocations(key, digest=digest), root)
    other = revocations(key, issuer="b", digest=digest)
    refused("the revocation list names another issuer", certificates.require_issued_list, other, root)
    forged = revocations(OTHER, digest=hashes.SHA256())
    words = "the issuer's signature on the revocation list does not hold"
    refused(words, certificates.require_issued_list, forged, root)


def test_a_list_by_a_key_that_signs_none_here():
    words = "the issuer's signature on the revocation list does not hold"
    refused(words, certificates.require_issued_list, revocations(ED25519), certificate(ED25519))
    refused(words, certificates.require_issued_list, revocations(P256, digest=hashes.SHA256()), certificate(ED25519))


def test_suites_do_not_stand_in_for_one_another():
    """An issuer of the same name with a key of the other suite signed nothing of this one."""
    national, international = (Authority.create(ORG, NOW, suite) for suite in (Suite.NATIONAL, Suite.INTERNATIONAL))
    roots = [certificates.read_pem(one.certificate_pem) for one in (national, international)]
    users = [
        certificates.read_pem(one.issue("a", "client", "sign", NOW).certificate_pem)
        for one in (national, international)
    ]
    assert [certificates.signature_hash(user) for user in users] == ["SM3", "SHA256"]
    for user, root in zip(users, roots, strict=True):
        certificates.require_issued(user, root)
    refused(
        "the issuer's key is of P-256 and cannot have signed with SM2", certificates.require_issued, users[0], roots[1]
    )
    refused("the issuer's signature on the certificate does not hold", certificates.require_issued, users[1], roots[0])
    lists = [x509.load_pem_x509_crl(one.revocation_list([5], NOW)) for one in (national, international)]
    for listed, root in zip(lists, roots, strict=True):
        certificates.require_issued_list(listed, root)
    words = "the issuer's key is of P-256 and cannot have signed with SM2"
    refused(words, certificates.require_issued_list, lists[0], roots[1])
    words = "the issuer's signature on the revocation list does not hold"
    refused(words, certificates.require_issued_list, lists[1], roots[0])


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"text",
        b"\xff\xfe",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n",
        certificate(P256).public_bytes(Encoding.DER),
        certificate(P256).public_bytes(Encoding.PEM)[:-40],
        certificate(P256).public_bytes(Encoding.PEM).replace(b"CERTIFICATE", b"PUBLIC KEY"),
    ],
)
def test_what_is_no_certificate(pem):
    with pytest.raises(MalformedError, match=r"^not a PEM certificate: "):
        certificates.read_pem(pem)
