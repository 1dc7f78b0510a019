"""Keys: those that check signatures, and those that make them and never show themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from changan.errors import MalformedError, UnverifiedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "SHA3_256": hashes.SHA3_256(),
}
_CURVES = (ec.SECP256R1, ec.SECP256K1, ec.SECP384R1, ec.SECP521R1)
_RSA_BITS = range(2048, 8193)
SIGNATURE_BYTES_MAX = 1024


def _hash_named(name: str) -> hashes.HashAlgorithm:
    found = _HASHES.get(name)
    if found is None:
        raise UnverifiedError(f"digest {name!r} signs nothing on this chain; known are {', '.join(_HASHES)}")
    return found


class PublicKey:
    """A key that checks signatures: ECDSA on P-256, P-384, P-521 or secp256k1, or RSA of 2048 bits and more."""

    __slots__ = ("_ecdsa", "_key", "der")

    def __init__(self, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> None:
        if isinstance(key, ec.EllipticCurvePublicKey):
            if not isinstance(key.curve, _CURVES):
                raise UnverifiedError(f"keys on {key.curve.name} are not admitted")
        elif key.key_size not in _RSA_BITS:
            raise UnverifiedError(f"RSA keys of {key.key_size} bits are not admitted")
        self._key = key
        self._ecdsa: dict[str, ec.ECDSA] = {}
        self.der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @classmethod
    def from_der(cls, der: bytes) -> PublicKey:
        """Read a SubjectPublicKeyInfo (RFC 5280). Raises UnverifiedError for a key of a kind that is not admitted."""
        try:
            key = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise UnverifiedError("the public key does not decode") from error
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise UnverifiedError("keys of this kind are not admitted")
        return cls(key)

    @property
    def point(self) -> bytes:
        """The key's own bytes: the uncompressed point (SEC 1, 2.3.3), or the PKCS#1 form of an RSA key."""
        if isinstance(self._key, rsa.RSAPublicKey):
            return self._key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        return self._key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def verify(self, message: bytes, signature: bytes, hash_name: str) -> None:
        """Check a signature over `message`. An ECDSA signature must be canonical DER (X.690, 8.3 and 10.1).

        Raises UnverifiedError.
        """
        if len(signature) > SIGNATURE_BYTES_MAX:
            raise UnverifiedError(f"the signature is {len(signature)} bytes, at most {SIGNATURE_BYTES_MAX} are allowed")
        try:
            if isinstance(self._key, rsa.RSAPublicKey):
                self._key.verify(signature, message, padding.PKCS1v15(), _hash_named(hash_name))
                return
            # One reading of a signature: what decodes loosely could be changed by others and still hold.
            if encode_dss_signature(*decode_dss_signature(signature)) != signature:
                raise UnverifiedError("the signature is not canonical DER")
            self._key.verify(signature, message, self._algorithm(hash_name))
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
        try:
            key = load_pem_private_key(pem, password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise MalformedError("the file holds no private key that can be read (encrypted, or not PEM)") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise MalformedError("private keys of this kind are not admitted")
        self._key = key

    def sign(self, message: bytes, hash_name: str) -> bytes:
        """Return a signature over `message`: DER for ECDSA, PKCS#1 v1.5 for RSA."""
        algorithm = _hash_named(hash_name)
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(message, padding.PKCS1v15(), algorithm)
        return self._key.sign(message, ec.ECDSA(algorithm))

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(self._key.public_key())

    def __repr__(self) -> str:
        return "SigningKey(hidden)"

    def __reduce__(self) -> Never:
        raise TypeError("a signing key is not serialised")

    def __copy__(self) -> Never:
        raise TypeError("a signing key is not copied")

    def __deepcopy__(self, memo: object) -> Never:
        raise TypeError("a signing key is not copied")
