"""SM2 with SM3 (GM/T 0003.2): keys in their files, the distinguishing identifier, signatures.

The system's libcrypto does what touches a secret; see `changan.crypto.libcrypto`.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from changan.crypto import der, libcrypto
from changan.crypto.curves import FIELD_BYTES, SM2_CURVE, read_point
from changan.crypto.digest import sm3
from changan.errors import MalformedError

DEFAULT_IDENTIFIER: Final = b"1234567812345678"
IDENTIFIER_BYTES_MAX: Final = 8190
"""Its length is written in bits, in two bytes; one byte less than that allows is what OpenSSL takes."""

_KEY_OID: Final = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey
_CURVE_OID: Final = bytes.fromhex("06082a811ccf5501822d")  # 1.2.156.10197.1.301
SIGNATURE_OID: Final = bytes.fromhex("06082a811ccf55018375")
"""The encoded identifier 1.2.156.10197.1.501, SM2 with SM3."""
ALGORITHM: Final = der.write(der.SEQUENCE, _KEY_OID, _CURVE_OID)
"""The encoded AlgorithmIdentifier of an SM2 key."""
_PUBLIC_HEAD: Final = bytes.fromhex("3059") + ALGORITHM + bytes.fromhex("034200")
_CONSTANTS: Final = b"".join(
    number.to_bytes(FIELD_BYTES) for number in (SM2_CURVE.p - 3, SM2_CURVE.b, SM2_CURVE.gx, SM2_CURVE.gy)
)
_PEM_HEAD: Final = b"-----BEGIN PRIVATE KEY-----\n"
_PEM_TAIL: Final = b"-----END PRIVATE KEY-----\n"


def require_identifier(identifier: bytes) -> bytes:
    """Return the identifier. Raises MalformedError for one that the scheme cannot carry."""
    if len(identifier) > IDENTIFIER_BYTES_MAX:
        raise MalformedError(f"the identifier is {len(identifier)} bytes, at most {IDENTIFIER_BYTES_MAX} are possible")
    return identifier


def z_value(point: bytes, identifier: bytes = DEFAULT_IDENTIFIER) -> bytes:
    """Return Z, the digest of identifier, curve and public point (65 bytes) that precedes every message; 32 bytes."""
    bits = 8 * len(require_identifier(identifier))
    return sm3(bits.to_bytes(2) + identifier + _CONSTANTS + point[1:])


class Sm2PublicKey:
    """A public SM2 key: a point of the curve, checked."""

    __slots__ = ("_pair", "der", "point")

    def __init__(self, point: bytes) -> None:
        """Take an uncompressed point, 65 bytes. Raises MalformedError for what is none of the curve."""
        if read_point(SM2_CURVE, point) is None:
            raise MalformedError("the public key is no point of the SM2 curve")
        self.point = point
        self.der = _PUBLIC_HEAD + point
        self._pair: libcrypto.Sm2Pair | None = None

    @classmethod
    def from_der(cls, encoded: bytes) -> Sm2PublicKey:
        """Read a SubjectPublicKeyInfo with an uncompressed point, the one form that is taken. Raises MalformedError."""
        if not is_public_der(encoded):
            raise MalformedError("this is no SM2 key with an uncompressed point")
        return cls(encoded[len(_PUBLIC_HEAD) :])

    def holds(self, message: bytes, signature: bytes, identifier: bytes = DEFAULT_IDENTIFIER) -> bool:
        """Whether the signature (canonical DER) over `message` holds. Raises LibcryptoError, MalformedError."""
        if self._pair is None:
            self._pair = libcrypto.public_from_der(self.der)
        return libcrypto.sm2_holds(self._pair, message, signature, require_identifier(identifier))

    def __reduce__(self) -> tuple[type[Sm2PublicKey], tuple[bytes]]:
        return Sm2PublicKey, (self.point,)


class Sm2PrivateKey:
    """A private SM2 key. It signs; `private_pem` is its one way out."""

    __slots__ = ("_pair", "public")

    def __init__(self, pair: libcrypto.Sm2Pair) -> None:
        self._pair = pair
        self.public = Sm2PublicKey.from_der(libcrypto.public_der(pair))

    @classmethod
    def generate(cls) -> Sm2PrivateKey:
        """Make a key with libcrypto's generator of random numbers. Raises LibcryptoError."""
        return cls(libcrypto.generate_sm2())

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> Sm2PrivateKey:
        """Read PKCS#8 (encrypted with `password` or not) or an ECPrivateKey. Raises MalformedError, LibcryptoError."""
        return cls(libcrypto.pair_from_pem(pem, password))

    @classmethod
    def from_number(cls, number: int) -> Sm2PrivateKey:
        """Make the key with this private number, 1 to n - 2: for vectors and tests. Raises MalformedError."""
        if not 1 <= number < SM2_CURVE.n - 1:
            raise MalformedError("a private SM2 number lies between 1 and n - 2")
        inner = der.write(der.INTEGER, b"\1"), der.write(der.OCTET_STRING, number.to_bytes(FIELD_BYTES))
        content = der.write(der.SEQUENCE, *inner, der.write(der.CONTEXT_0, _CURVE_OID))
        return cls.from_pem(_pem(content))

    def sign(self, message: bytes, identifier: bytes = DEFAULT_IDENTIFIER) -> bytes:
        """Return a signature over `message`, DER. Raises LibcryptoError."""
        return libcrypto.sign_sm2(self._pair, message, require_identifier(identifier))

    def private_pem(self) -> bytes:
        """Return PKCS#8 with curve and public key inside the ECPrivateKey, without which the official SDK cannot sign."""
        parts = der.elements(der.read(libcrypto.private_der(self._pair), der.SEQUENCE).content)
        number = parts[1].content.rjust(FIELD_BYTES, b"\0")
        inner = (
            der.write(der.INTEGER, b"\1"),
            der.write(der.OCTET_STRING, number),
            der.write(der.CONTEXT_0, _CURVE_OID),
            der.write(der.CONTEXT_0 + 1, der.write(der.BIT_STRING, b"\0", self.public.point)),
        )
        return _pem(der.write(der.SEQUENCE, *inner))

    def __repr__(self) -> str:
        return "Sm2PrivateKey(hidden)"


def is_public_der(encoded: bytes) -> bool:
    """Whether these bytes have the form of a SubjectPublicKeyInfo for SM2."""
    return encoded.startswith(_PUBLIC_HEAD) and len(encoded) == len(_PUBLIC_HEAD) + 1 + 2 * FIELD_BYTES


def _pem(private: bytes) -> bytes:
    whole = der.write(der.SEQUENCE, der.write(der.INTEGER, b"\0"), ALGORITHM, der.write(der.OCTET_STRING, private))
    text = b64encode(whole)
    return _PEM_HEAD + b"".join(text[at : at + 64] + b"\n" for at in range(0, len(text), 64)) + _PEM_TAIL
