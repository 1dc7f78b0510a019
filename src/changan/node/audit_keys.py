"""The audit's keys: read and asked by code of its own, SM2 straight from the system's libcrypto."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from changan.crypto import der, libcrypto
from changan.errors import ChanganError, MalformedError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from changan.crypto.libcrypto import Sm2Pair

_IDENTIFIER = b"1234567812345678"
_SM2_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
"""How the SubjectPublicKeyInfo of an SM2 key begins; the point's two coordinates follow."""
_SM2_KEY_BYTES = len(_SM2_KEY) + 64
_VERSION = 0xA0
_KEY_PLACE = 5  # behind serial number, algorithm, issuer, validity and subject
_RSA, _ECDSA = 0, 3
"""libp2p's numbers of the kinds of keys."""
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class MemberError(ChanganError):
    """A member that was none of the chain's when it signed."""


class AuditKey:
    """A public key. `spki` is its SubjectPublicKeyInfo, whatever form it was given in."""

    def __init__(self, encoded: bytes) -> None:
        self.is_sm2 = encoded.startswith(_SM2_KEY) and len(encoded) == _SM2_KEY_BYTES
        self._key: PublicKeyTypes | Sm2Pair
        try:
            if self.is_sm2:
                self._key, self.spki = libcrypto.public_from_der(encoded), encoded
            else:
                self._key = key = load_der_public_key(encoded)
                self.spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, UnsupportedAlgorithm, MalformedError):
            raise MemberError("a public key does not decode") from None

    @classmethod
    def of_text(cls, text: bytes) -> Self:
        """Read a key in PEM of any label, or in hex. Raises MemberError."""
        body = b"".join(line for line in text.split(b"\n") if b"-----" not in line)
        body = body.replace(b"\r", b"").replace(b" ", b"")
        try:
            return cls(base64.b64decode(body) if b"-----" in text else bytes.fromhex(body.decode()))
        except ValueError:
            raise MemberError("a public key does not decode") from None

    @classmethod
    def of_certificate(cls, certificate: x509.Certificate) -> Self:
        """Read the key that a certificate is about. Raises MemberError."""
        try:
            parts = der.elements(der.read(certificate.tbs_certificate_bytes, der.SEQUENCE).content)
        except MalformedError:
            raise MemberError("a certificate does not decode") from None
        return cls([part.encoded for part in parts if part.tag != _VERSION][_KEY_PLACE])

    @property
    def node_id(self) -> str:
        """The id of the node that has this key."""
        kind = _RSA if isinstance(self._key, rsa.RSAPublicKey) else _ECDSA
        size = len(self.spki)
        length = bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])  # noqa: PLR2004 - a varint
        return base58(b"\x12\x20" + hashlib.sha256(bytes([8, kind, 18]) + length + self.spki).digest())

    def signed(self, message: bytes, signature: bytes, algorithm: hashes.HashAlgorithm) -> bool:
        """Whether this key signed `message`. SM2 and Ed25519 have a digest of their own, whatever `algorithm` is."""
        key = self._key
        try:
            if isinstance(key, libcrypto.Sm2Pair):
                return libcrypto.sm2_holds(key, message, signature, _IDENTIFIER)
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, message, ec.ECDSA(algorithm))
            elif isinstance(key, rsa.RSAPublicKey):
                known = hashes.SHA256() if isinstance(algorithm, hashes.SM3) else algorithm
                key.verify(signature, message, padding.PKCS1v15(), known)
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            else:
                return False
        except (InvalidSignature, UnsupportedAlgorithm):
            return False
        return True


def base58(data: bytes) -> str:
    """Return bytes in base 58 with bitcoin's alphabet."""
    number, digits = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits
