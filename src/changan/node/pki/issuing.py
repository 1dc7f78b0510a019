"""Keys of both suites for certificates, and what an authority signs with them.

`cryptography` builds certificates but knows no SM2. Where a key is one, it builds a draft with a key of its own, and the
draft's algorithm, key and signature are replaced; all other fields are the ones it wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from changan.crypto import der
from changan.crypto.certificates import SIGNATURE_ALGORITHM
from changan.crypto.keys import PublicKey
from changan.crypto.sm2 import Sm2PrivateKey
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable

Curve = Literal["P-256", "secp256k1", "SM2", "Ed25519"]
PrivateKey = ec.EllipticCurvePrivateKey | Sm2PrivateKey
"""What an authority signs with."""
MemberKey = PrivateKey | Ed25519PrivateKey

# It signs drafts only, whose signatures are thrown away.
_DRAFT_KEY = ec.derive_private_key(1, ec.SECP256R1())
_ECDSA_WITH_SHA256 = der.write(der.SEQUENCE, bytes.fromhex("06082a8648ce3d040302"))
_ALGORITHM, _KEY = 1, 5  # places after a certificate's version; a list's algorithm follows its version too


@overload
def generate(curve: Literal["P-256", "secp256k1", "SM2"]) -> PrivateKey: ...


@overload
def generate(curve: Curve) -> MemberKey: ...


def generate(curve: Curve) -> MemberKey:
    """Make a key. Raises LibcryptoError for SM2 where the system has no libcrypto that does it."""
    if curve == "SM2":
        return Sm2PrivateKey.generate()
    if curve == "Ed25519":
        return Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1() if curve == "P-256" else ec.SECP256K1())


def read_key(pem: bytes) -> PrivateKey:
    """Read an unencrypted key on an elliptic curve. Raises ValueError saying what it is instead."""
    try:
        key = load_pem_private_key(pem, password=None)
    except UnsupportedAlgorithm as unknown:
        try:
            return Sm2PrivateKey.from_pem(pem)
        except MalformedError:
            raise ValueError(f"not an unencrypted PEM private key: {unknown}") from unknown
    except (ValueError, TypeError) as error:
        raise ValueError(f"not an unencrypted PEM private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve key, and only those are supported")  # noqa: TRY004 - a file's content
    return key


def public_of(key: MemberKey) -> PublicKey:
    """Return the public half."""
    return PublicKey(key.public if isinstance(key, Sm2PrivateKey) else key.public_key())


def key_pem(key: MemberKey) -> bytes:
    """Return the key in PEM, unencrypted PKCS #8."""
    if isinstance(key, Sm2PrivateKey):
        return key.private_pem()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def sign_certificate(builder: x509.CertificateBuilder, subject: PublicKey, issuer: PrivateKey) -> x509.Certificate:
    """Return the certificate of `subject` that `issuer` signed. The builder has no key yet. Raises ValueError."""
    draft = builder.public_key(_DRAFT_KEY.public_key()).sign(_DRAFT_KEY, hashes.SHA256())
    parts = _fields(draft.tbs_certificate_bytes)
    parts[_ALGORITHM + 1] = _algorithm_of(issuer)
    parts[_KEY + 1] = subject.der
    return x509.load_der_x509_certificate(_signed(parts, issuer))


def sign_list(builder: x509.CertificateRevocationListBuilder, issuer: PrivateKey) -> x509.CertificateRevocationList:
    """Return the revocation list that `issuer` signed. Raises ValueError."""
    parts = _fields(builder.sign(_DRAFT_KEY, hashes.SHA256()).tbs_certlist_bytes)
    parts[_ALGORITHM] = _algorithm_of(issuer)
    return x509.load_der_x509_crl(_signed(parts, issuer))


def _fields(tbs: bytes) -> list[bytes]:
    return [part.encoded for part in der.elements(der.read(tbs, der.SEQUENCE).content)]


def _algorithm_of(issuer: PrivateKey) -> bytes:
    return SIGNATURE_ALGORITHM if isinstance(issuer, Sm2PrivateKey) else _ECDSA_WITH_SHA256


def _signed(parts: Iterable[bytes], issuer: PrivateKey) -> bytes:
    tbs = der.write(der.SEQUENCE, *parts)
    signature = issuer.sign(tbs) if isinstance(issuer, Sm2PrivateKey) else issuer.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return der.write(der.SEQUENCE, tbs, _algorithm_of(issuer), der.write(der.BIT_STRING, b"\0", signature))
