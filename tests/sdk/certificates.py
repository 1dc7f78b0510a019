"""Authorities and members that a run makes for itself, as files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_UNUSED = dict.fromkeys(
    ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
)


def make_authority(path: Path, organisation: str) -> tuple[Path, Path]:
    """Return the files of an authority's certificate and key, made at the first use."""
    files = path.with_name(f"{path.name}.crt"), path.with_name(f"{path.name}.key")
    if not files[0].exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(organisation, "root-cert", f"ca.{organisation}")
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_cert_sign=True, crl_sign=True, **_UNUSED
        )
        made = (
            _certificate(key, name, name, key, usage)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(files, made, key)
    return files


def issue(path: Path, name: str, organisation: str, authority: tuple[Path, Path]) -> tuple[Path, Path]:
    """Return the files of a client's certificate and key, made at the first use."""
    files = path.with_name(f"{path.name}.crt"), path.with_name(f"{path.name}.key")
    if not files[0].exists():
        issuer = x509.load_pem_x509_certificate(authority[0].read_bytes())
        signing = serialization.load_pem_private_key(authority[1].read_bytes(), None)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(organisation, "client", f"{name}.sign.{organisation}")
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=True, key_cert_sign=False, crl_sign=False, **_UNUSED
        )
        made = _certificate(key, subject, issuer.subject, signing, usage).sign(signing, hashes.SHA256())
        _write(files, made, key)
    return files


def _name(organisation: str, unit: str, common: str) -> x509.Name:
    parts = (
        (NameOID.ORGANIZATION_NAME, organisation),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common),
    )
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def _certificate(key, subject: x509.Name, issuer: x509.Name, signing, usage: x509.KeyUsage) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority_key, critical=False)
    )


def _write(files: tuple[Path, Path], certificate: x509.Certificate, key) -> None:
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
