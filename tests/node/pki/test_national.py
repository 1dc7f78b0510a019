"""The national suite's certificates: what we issue OpenSSL accepts, what OpenSSL issues we read, and what is forged nobody takes."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from changan.crypto import certificates, der
from changan.crypto.digest import sm3
from changan.crypto.keys import PublicKey, Scheme, SigningKey
from changan.crypto.sm2 import Sm2PrivateKey
from changan.crypto.suite import Suite
from changan.errors import MalformedError, UnverifiedError
from changan.node.pki.authority import Authority, AuthorityError

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ORG = "wx-org1.chainmaker.org"
AT = ("-attime", str(int(NOW.timestamp())))
# OpenSSL takes the identifier of a certificate's signature from here only.
ID = ("-vfyopt", "distid:1234567812345678")


@pytest.fixture(scope="module")
def authority():
    return Authority.create(ORG, NOW, Suite.NATIONAL)


def openssl(*arguments: object, **options):
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def certificate_of(pem):
    return x509.load_pem_x509_certificate(pem)


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def kinds(certificate):
    return [(each.oid.dotted_string, each.critical) for each in certificate.extensions]


def rebuilt(certificate, **changes):
    """The certificate with parts replaced: `tbs`, `algorithm`, `signature` or fields of the signed part by number."""
    outer = [
        part.encoded for part in der.elements(der.read(certificate.public_bytes(Encoding.DER), der.SEQUENCE).content)
    ]
    inner = [part.encoded for part in der.elements(der.read(outer[0], der.SEQUENCE).content)]
    for number, encoded in changes.pop("fields", {}).items():
        inner[number] = encoded
    outer[0] = der.write(der.SEQUENCE, *inner)
    if "algorithm" in changes:
        outer[1] = changes["algorithm"]
    if "key" in changes:
        outer[2] = der.write(der.BIT_STRING, b"\0", changes["key"].sign(outer[0]))
    return x509.load_der_x509_certificate(der.write(der.SEQUENCE, *outer))


def test_openssl_accepts_what_we_issue(authority, tmp_path):
    user = authority.issue("client1", "client", "sign", NOW)
    node = authority.issue("consensus1", "consensus", "sign", NOW)
    paths = {"ca": authority.certificate_pem, "user": user.certificate_pem, "node": node.certificate_pem}
    for name, content in paths.items():
        (tmp_path / name).write_bytes(content)
    for name in paths:
        found = openssl("verify", *AT, *ID, "-x509_strict", "-CAfile", tmp_path / "ca", tmp_path / name)
        assert found.returncode == 0, found.stderr
        text = openssl("x509", "-noout", "-text", "-in", tmp_path / name).stdout
        assert text.count("Signature Algorithm: SM2-with-SM3") == 2
        assert "ASN1 OID: SM2" in text
        assert openssl("x509", "-noout", "-pubkey", "-in", tmp_path / name).returncode == 0
    # The key of the certificate is the key of the file.
    (tmp_path / "key").write_bytes(user.key_pem)
    assert (
        openssl("pkey", "-in", tmp_path / "key", "-pubout").stdout
        == openssl("x509", "-noout", "-pubkey", "-in", tmp_path / "user").stdout
    )
    other = Authority.create(ORG, NOW, Suite.NATIONAL)
    (tmp_path / "other").write_bytes(other.certificate_pem)
    assert openssl("verify", *AT, *ID, "-CAfile", tmp_path / "other", tmp_path / "user").returncode != 0


def test_the_fields_are_the_international_ones(authority):
    pairs = [(authority.certificate_pem, Authority.create(ORG, NOW).certificate_pem)]
    international = Authority.create(ORG, NOW)
    for role in ("client", "admin", "light", "consensus", "common"):
        pairs += [
            (
                authority.issue("some1", role, "sign", NOW).certificate_pem,
                international.issue("some1", role, "sign", NOW).certificate_pem,
            )
        ]
    for ours, theirs in pairs:
        one, other = certificate_of(ours), certificate_of(theirs)
        assert (one.subject, one.issuer) == (other.subject, other.issuer)
        assert (one.not_valid_before_utc, one.not_valid_after_utc) == (
            other.not_valid_before_utc,
            other.not_valid_after_utc,
        )
        assert kinds(one) == kinds(other)
        assert extension(one, x509.KeyUsage) == extension(other, x509.KeyUsage)
        point = certificates.public_key(one).point
        assert extension(one, x509.SubjectKeyIdentifier).value.digest == sm3(point)
        assert certificates.signature_hash(one) == "SM3"
        assert certificates.signature_hash(other) == "SHA256"


def test_the_authority_is_taken_up_again(authority):
    again = Authority.load(authority.certificate_pem, authority.key_pem)
    assert (again.org_id, again.suite, again.key_pem) == (ORG, Suite.NATIONAL, authority.key_pem)
    user = again.issue("client1", "client", "sign", NOW)
    certificate, root = certificate_of(user.certificate_pem), certificate_of(authority.certificate_pem)
    certificates.require_issued(certificate, root)
    assert SigningKey(user.key_pem).public == certificates.public_key(certificate)
    assert extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier == sm3(
        certificates.public_key(root).point
    )
    with pytest.raises(AuthorityError, match="does not belong"):
        Authority.load(authority.certificate_pem, Authority.create(ORG, NOW, Suite.NATIONAL).key_pem)
    with pytest.raises(AuthorityError, match="does not belong"):
        Authority.load(authority.certificate_pem, Authority.create(ORG, NOW).key_pem)
    for curve in (None, "SM2", "P-256"):
        with pytest.raises(AuthorityError, match="TLS authority"):
            authority.issue("client1", "client", "tls", NOW, curve=curve)


def test_either_suite_certifies_keys_of_the_other(authority, tmp_path):
    international = Authority.create(ORG, NOW)
    for issuer, curve, scheme, digest in (
        (international, "SM2", Scheme.SM2, "SHA256"),
        (authority, "P-256", Scheme.P256, "SM3"),
        (authority, "secp256k1", Scheme.SECP256K1, "SM3"),
    ):
        issued = issuer.issue("client1", "client", "sign", NOW, curve=curve)
        certificate, root = certificate_of(issued.certificate_pem), certificate_of(issuer.certificate_pem)
        certificates.require_issued(certificate, root)
        assert certificates.public_key(certificate).scheme is scheme
        assert certificates.public_key(certificate) == SigningKey(issued.key_pem).public
        assert certificates.signature_hash(certificate) == digest
        (tmp_path / "ca").write_bytes(issuer.certificate_pem)
        (tmp_path / "user").write_bytes(issued.certificate_pem)
        found = openssl(
            "verify", *AT, *(ID if issuer is authority else ()), "-CAfile", tmp_path / "ca", tmp_path / "user"
        )
        assert found.returncode == 0, found.stderr
    for one, other in ((authority, international), (international, authority)):
        user = one.issue("client1", "client", "sign", NOW)
        with pytest.raises(UnverifiedError):
            certificates.require_issued(certificate_of(user.certificate_pem), certificate_of(other.certificate_pem))


def test_we_read_what_openssl_issues(tmp_path):
    options = ["-sm3", "-sigopt", "distid:1234567812345678", "-days", "30"]
    for name in ("ca", "user"):
        (tmp_path / f"{name}.key").write_bytes(Sm2PrivateKey.generate().private_pem())
    subject = f"/C=CN/O={ORG}/OU=root-cert/CN=ca"
    made = openssl("req", "-x509", "-key", tmp_path / "ca.key", *options, "-subj", subject, "-out", tmp_path / "ca")
    assert made.returncode == 0, made.stderr
    request = ["-sm3", "-sigopt", "distid:1234567812345678", "-subj", f"/C=CN/O={ORG}/OU=client/CN=client1"]
    assert openssl("req", "-new", "-key", tmp_path / "user.key", *request, "-out", tmp_path / "csr").returncode == 0
    signing = ["-CA", tmp_path / "ca", "-CAkey", tmp_path / "ca.key", "-CAcreateserial", *options]
    checked = ["-vfyopt", "distid:1234567812345678"]
    made = openssl("x509", "-req", "-in", tmp_path / "csr", *checked, *signing, "-out", tmp_path / "user")
    assert made.returncode == 0, made.stderr
    root, user = (certificate_of((tmp_path / name).read_bytes()) for name in ("ca", "user"))
    certificates.require_issued(root, root)
    certificates.require_issued(user, root)
    assert certificates.public_key(user) == SigningKey((tmp_path / "user.key").read_bytes()).public
    loaded = Authority.load((tmp_path / "ca").read_bytes(), (tmp_path / "ca.key").read_bytes())
    certificates.require_issued(certificate_of(loaded.issue("a", "client", "sign", NOW).certificate_pem), root)


def test_forged_certificates_are_refused(authority):
    root = certificate_of(authority.certificate_pem)
    certificate = certificate_of(authority.issue("client1", "client", "sign", NOW).certificate_pem)
    root_key = Sm2PrivateKey.from_pem(authority.key_pem)
    certificates.require_issued(rebuilt(certificate, key=root_key), root)
    with_null = certificates.SIGNATURE_ALGORITHM_WITH_NULL
    certificates.require_issued(rebuilt(certificate, fields={2: with_null}, algorithm=with_null, key=root_key), root)
    forged = [
        rebuilt(certificate, key=Sm2PrivateKey.generate()),
        rebuilt(certificate, fields={6: Sm2PrivateKey.generate().public.der}),
        rebuilt(certificate, fields={1: der.write(der.INTEGER, b"\x05")}),
        rebuilt(certificate, algorithm=with_null, key=root_key),  # the algorithm outside is another than inside
        rebuilt(certificate, fields={2: with_null}, key=root_key),
    ]
    for each in forged:
        with pytest.raises(UnverifiedError):
            certificates.require_issued(each, root)
    with pytest.raises(UnverifiedError, match="another issuer"):
        certificates.require_issued(certificate, certificate)
    off_curve = certificates.public_key(certificate).der[:-1] + b"\0"
    with pytest.raises(UnverifiedError):
        certificates.public_key(rebuilt(certificate, fields={6: off_curve}))


def test_revocation_list(authority, tmp_path):
    user_pem = authority.issue("client1", "client", "sign", NOW).certificate_pem
    serial = certificate_of(user_pem).serial_number
    pem = authority.revocation_list([serial, 7, 7], NOW)
    listed, root = x509.load_pem_x509_crl(pem), certificate_of(authority.certificate_pem)
    certificates.require_issued_list(listed, root)
    assert {entry.serial_number for entry in listed} == {serial, 7}
    with pytest.raises(UnverifiedError):
        certificates.require_issued_list(
            listed, certificate_of(Authority.create(ORG, NOW, Suite.NATIONAL).certificate_pem)
        )
    international = Authority.create(ORG, NOW)
    with pytest.raises(UnverifiedError, match="cannot have signed with SM2"):
        certificates.require_issued_list(listed, certificate_of(international.certificate_pem))
    theirs = x509.load_pem_x509_crl(international.revocation_list([1], NOW))
    certificates.require_issued_list(theirs, certificate_of(international.certificate_pem))
    for other in (authority, Authority.create(ORG, NOW)):
        with pytest.raises(UnverifiedError):
            certificates.require_issued_list(theirs, certificate_of(other.certificate_pem))
    for name, content in (("ca", authority.certificate_pem), ("crl", pem), ("user", user_pem)):
        (tmp_path / name).write_bytes(content)
    shown = openssl("crl", "-noout", "-text", "-in", tmp_path / "crl").stdout
    assert shown.count("Signature Algorithm: SM2-with-SM3") == 2
    # A list carries no identifier option in OpenSSL's command line, so its signature is checked by hand.
    (tmp_path / "tbs").write_bytes(listed.tbs_certlist_bytes)
    (tmp_path / "seal").write_bytes(listed.signature)
    (tmp_path / "public").write_text(openssl("x509", "-noout", "-pubkey", "-in", tmp_path / "ca").stdout)
    check = ["-verify", "-pubin", "-inkey", tmp_path / "public", "-sigfile", tmp_path / "seal", "-in", tmp_path / "tbs"]
    assert openssl("pkeyutl", *check, "-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678").returncode == 0


def test_certificates_that_are_cut_or_changed_never_crash(authority):
    certificate = certificate_of(authority.issue("client1", "client", "sign", NOW).certificate_pem)
    root, encoded = certificate_of(authority.certificate_pem), certificate.public_bytes(Encoding.DER)
    doubled = [part.encoded for part in der.elements(der.read(certificate.tbs_certificate_bytes, der.SEQUENCE).content)]
    extensions = der.read(der.read(doubled[7], 0xA3).content, der.SEQUENCE).content
    first = der.elements(extensions)[0].encoded
    doubled[7] = der.write(0xA3, der.write(der.SEQUENCE, extensions, first))
    with pytest.raises(MalformedError, match="Duplicate"):
        certificates.read_pem(rebuilt(certificate, fields={7: doubled[7]}).public_bytes(Encoding.PEM))
    read = 0
    for at in range(0, len(encoded), 3):
        broken = encoded[:at] + bytes([encoded[at] ^ 0x15]) + encoded[at + 1 :]
        try:
            changed = certificates.read_pem(ssl.DER_cert_to_PEM_cert(broken).encode())
        except MalformedError:
            continue
        read += 1
        with contextlib.suppress(UnverifiedError):
            certificates.public_key(changed)
        with pytest.raises(UnverifiedError):
            certificates.require_issued(changed, root)
    assert read > 10


def test_keys_of_certificates_are_the_ones_cryptography_reads():
    authority = Authority.create(ORG, NOW)
    certificate = certificate_of(authority.issue("a", "client", "sign", NOW).certificate_pem)
    assert certificates.public_key(certificate) == PublicKey(certificate.public_key())
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc > timedelta(3650)
