"""Keys: those that check signatures, and those that make them and never show themselves."""

from __future__ import annotations

from enum import Enum, unique
from typing import TYPE_CHECKING, Never

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from changan.crypto import sm2
from changan.crypto.libcrypto import LibcryptoError
from changan.crypto.sm2 import DEFAULT_IDENTIFIER, Sm2PrivateKey, Sm2PublicKey
from changan.errors import MalformedError, UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "SHA3_256": hashes.SHA3_256(),
    "SM3": hashes.SM3(),
}
_RSA_BITS = range(2048, 8193)
SIGNATURE_BYTES_MAX = 1024


@unique
class Scheme(Enum):
    """The kinds of keys that are admitted; the values are the names that people read."""

    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"
    SECP256K1 = "secp256k1"
    RSA = "RSA"
    ED25519 = "Ed25519"
    SM2 = "SM2"


_CURVES: Mapping[str, Scheme] = {
    "secp256r1": Scheme.P256,
    "secp384r1": Scheme.P384,
    "secp521r1": Scheme.P521,
    "secp256k1": Scheme.SECP256K1,
}
_Public = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey | Sm2PublicKey
_Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | Sm2PrivateKey


def _hash_named(name: str) -> hashes.HashAlgorithm:
    found = _HASHES.get(name)
    if found is None:
        raise UnverifiedError(f"digest {name!r} signs nothing on this chain; known are {', '.join(_HASHES)}")
    return found


def _rsa_hash(name: str) -> hashes.HashAlgorithm:
    # PKCS#1 has no identifier for SM3: on an SM3 chain an RSA key signs with SHA-256, as ChainMaker has it.
    return _hash_named("SHA256" if name == "SM3" else name)


def _scheme_of(key: _Public) -> Scheme:
    if isinstance(key, Sm2PublicKey):
        return Scheme.SM2
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Scheme.ED25519
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            raise UnverifiedError(f"RSA keys of {key.key_size} bits are not admitted")
        return Scheme.RSA
    scheme = _CURVES.get(key.curve.name)
    if scheme is None:
        raise UnverifiedError(f"keys on {key.curve.name} are not admitted")
    return scheme


class PublicKey:
    """A key that checks signatures: SM2; ECDSA on P-256, P-384, P-521 or secp256k1; Ed25519; RSA of 2048 bits and more."""

    __slots__ = ("_ecdsa", "_key", "der", "scheme")

    def __init__(self, key: _Public) -> None:
        """Take up a key. Raises UnverifiedError for one that is not admitted."""
        self.scheme = _scheme_of(key)
        self._key = key
        self._ecdsa: dict[str, ec.ECDSA] = {}
        self.der = (
            key.der
            if isinstance(key, Sm2PublicKey)
            else key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )

    @classmethod
    def from_der(cls, der: bytes) -> PublicKey:
        """Read a SubjectPublicKeyInfo (RFC 5280). Raises UnverifiedError for a key of a kind that is not admitted."""
        try:
            if sm2.is_public_der(der):
                return cls(Sm2PublicKey.from_der(der))
            key = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm, MalformedError) as error:
            raise UnverifiedError("the public key does not decode") from error
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
            raise UnverifiedError("keys of this kind are not admitted")
        return cls(key)

    @property
    def point(self) -> bytes:
        """The key's own bytes: the uncompressed point (SEC 1, 2.3.3), 32 bytes of Ed25519, or PKCS#1 of an RSA key."""
        if isinstance(self._key, Sm2PublicKey):
            return self._key.point
        if isinstance(self._key, rsa.RSAPublicKey):
            return self._key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return self._key.public_bytes_raw()
        return self._key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def verify(
        self, message: bytes, signature: bytes, hash_name: str, *, identifier: bytes = DEFAULT_IDENTIFIER
    ) -> None:
        """Check a signature over `message`. An SM2 or ECDSA signature must be canonical DER (X.690, 8.3 and 10.1).

        `hash_name` says the digest of ECDSA and RSA; SM2 signs with SM3 and Ed25519 with its own, whatever it says.
        `identifier` is SM2's distinguishing identifier. Raises UnverifiedError.
        """
        if len(signature) > SIGNATURE_BYTES_MAX:
            raise UnverifiedError(f"the signature is {len(signature)} bytes, at most {SIGNATURE_BYTES_MAX} are allowed")
        key = self._key
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, message, padding.PKCS1v15(), _rsa_hash(hash_name))
                return
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
                return
            # One reading of a signature: what decodes loosely could be changed by others and still hold.
            if encode_dss_signature(*decode_dss_signature(signature)) != signature:
                raise UnverifiedError("the signature is not canonical DER")
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, message, self._algorithm(hash_name))
            elif not key.holds(message, signature, identifier):
                raise UnverifiedError("the signature does not hold")
        except (InvalidSignature, ValueError, OverflowError) as error:
            raise UnverifiedError("the signature does not hold") from error

    def _algorithm(self, hash_name: str) -> ec.ECDSA:
        found = self._ecdsa.get(hash_name)
        if found is None:
            found = self._ecdsa[hash_name] = ec.ECDSA(_hash_named(hash_name))
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.der == self.der

    def __hash__(self) -> int:
        return hash(self.der)


class SigningKey:
    """A private key. It signs; it is not printed, copied or pickled."""

    __slots__ = ("_key",)

    def __init__(self, pem: bytes, password: bytes | None = None) -> None:
        """Read a private key in PEM. Raises MalformedError."""
        self._key = _private(pem, password)

    def sign(self, message: bytes, hash_name: str, *, identifier: bytes = DEFAULT_IDENTIFIER) -> bytes:
        """Return a signature over `message`: DER for SM2 and ECDSA, PKCS#1 v1.5 for RSA, 64 bytes for Ed25519."""
        if isinstance(self._key, Sm2PrivateKey):
            return self._key.sign(message, identifier)
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(message, padding.PKCS1v15(), _rsa_hash(hash_name))
        return self._key.sign(message, ec.ECDSA(_hash_named(hash_name)))

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(self._key.public if isinstance(self._key, Sm2PrivateKey) else self._key.public_key())

    def __repr__(self) -> str:
        return "SigningKey(hidden)"

    def __reduce__(self) -> Never:
        raise TypeError("a signing key is not serialised")

    def __copy__(self) -> Never:
        raise TypeError("a signing key is not copied")

    def __deepcopy__(self, memo: object) -> Never:
        raise TypeError("a signing key is not copied")


def _private(pem: bytes, password: bytes | None) -> _Private:
    try:
        key = load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return _sm2_private(pem, password, error)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise MalformedError("private keys of this kind are not admitted")
    return key


def _sm2_private(pem: bytes, password: bytes | None, refusal: Exception) -> Sm2PrivateKey:
    # What `cryptography` does not read may be SM2, or encrypted with SM4; only opening it tells.
    problem = "the file holds no private key that can be read (encrypted, or not PEM)"
    try:
        return Sm2PrivateKey.from_pem(pem, password)
    except MalformedError:
        raise MalformedError(problem) from refusal
    except LibcryptoError:
        if isinstance(refusal, UnsupportedAlgorithm):
            raise
        raise MalformedError(problem) from refusal
