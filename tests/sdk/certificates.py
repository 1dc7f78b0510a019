"""Authorities and members that a run makes for itself, as files: by OpenSSL's command line, on P-256 or on SM2."""

from __future__ import annotations

import base64
import subprocess
import textwrap
from pathlib import Path
from typing import NamedTuple

_PROFILES = """\
[req]
distinguished_name = whole
[whole]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[member]
keyUsage = critical, digitalSignature, nonRepudiation
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Algorithm(NamedTuple):
    """A curve, and with which digest and options OpenSSL signs on it."""

    curve: str
    digest: str
    identifier: tuple[str, ...]
    head: str
    """The beginning of a PKCS#8 key, as hex: what comes before the key in the form of SEC 1, which has one length."""


P256 = Algorithm("prime256v1", "sha256", (), "308193020100301306072a8648ce3d020106082a8648ce3d0301070479")
SM2 = Algorithm(
    "SM2", "sm3", ("distid:1234567812345678",), "308193020100301306072a8648ce3d020106082a811ccf5501822d0479"
)


def make_authority(path: Path, organisation: str, algorithm: Algorithm) -> tuple[Path, Path]:
    """Return the files of an authority's certificate and key, made at the first use."""
    return _made(path, algorithm, _subject(organisation, "root-cert", f"ca.{organisation}"), "authority")


def issue(
    path: Path, name: str, organisation: str, authority: tuple[Path, Path], algorithm: Algorithm
) -> tuple[Path, Path]:
    """Return the files of a client's certificate and key, made at the first use."""
    subject = _subject(organisation, "client", f"{name}.sign.{organisation}")
    return _made(path, algorithm, subject, "member", "-CA", str(authority[0]), "-CAkey", str(authority[1]))


def revocation_list(certificate: Path, authority: tuple[Path, Path], algorithm: Algorithm) -> str:
    """Return an authority's list (PEM) that revokes one certificate."""
    index, profile = certificate.with_suffix(".index"), certificate.with_suffix(".ca")
    serial = _openssl("x509", "-in", str(certificate), "-noout", "-serial").decode().strip().removeprefix("serial=")
    index.write_text(f"R\t491231235959Z\t260101000000Z\t{serial}\tunknown\t/CN=revoked\n")
    profile.write_text(f"[ca]\ndefault_ca = own\n[own]\ndatabase = {index}\ndefault_crl_days = 1\n")
    signing = ("-md", algorithm.digest, *(part for option in algorithm.identifier for part in ("-sigopt", option)))
    signer = ("-cert", str(authority[0]), "-keyfile", str(authority[1]))
    return _openssl("ca", "-gencrl", "-config", str(profile), *signing, *signer).decode()


def public_pem(key: Path) -> bytes:
    """Return the public half of a key file."""
    return _openssl("pkey", "-in", str(key), "-pubout")


def holds(key: Path, message: bytes, signature: bytes, algorithm: Algorithm, scratch: Path) -> bool:
    """Whether the owner of a key file signed a message."""
    for name, data in (("message", message), ("signature", signature)):
        (scratch / name).write_bytes(data)
    options = [part for option in algorithm.identifier for part in ("-pkeyopt", option)]
    files = ("-inkey", str(key), "-in", str(scratch / "message"), "-sigfile", str(scratch / "signature"))
    try:
        _openssl("pkeyutl", "-verify", "-rawin", "-digest", algorithm.digest, *options, *files)
    except subprocess.CalledProcessError:
        return False
    return True


def _made(path: Path, algorithm: Algorithm, subject: str, profile: str, *issuer: str) -> tuple[Path, Path]:
    certificate, key = path.with_name(f"{path.name}.crt"), path.with_name(f"{path.name}.key")
    if not certificate.exists():
        profiles = path.with_name("openssl.cnf")
        profiles.write_text(_PROFILES)
        key.write_bytes(_new_key(algorithm))
        options = [part for option in algorithm.identifier for part in ("-sigopt", option)]
        signing = ("-new", "-x509", "-days", "1", f"-{algorithm.digest}", *options, *issuer)
        shape = ("-config", str(profiles), "-extensions", profile, "-subj", subject)
        certificate.write_bytes(_openssl("req", *signing, *shape, "-key", str(key)))
    return certificate, key


def _new_key(algorithm: Algorithm) -> bytes:
    """Return a new key in the one form in which the SDK reads keys of SM2 (PEM): PKCS#8 that names the curve twice."""
    inner = _openssl("ec", "-outform", "DER", given=_openssl("ecparam", "-name", algorithm.curve, "-genkey", "-noout"))
    assert len(inner) == int(algorithm.head[-2:], 16), "a key in the form of SEC 1, with its curve and its public half"
    text = base64.b64encode(bytes.fromhex(algorithm.head) + inner).decode()
    return "\n".join(
        ("-----BEGIN PRIVATE KEY-----", *textwrap.wrap(text, 64), "-----END PRIVATE KEY-----", "")
    ).encode()


def _subject(organisation: str, unit: str, common: str) -> str:
    return f"/O={organisation}/OU={unit}/CN={common}"


def _openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout
