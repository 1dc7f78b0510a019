"""Public keys as ChainMaker's members write them: PEM, or the DER in hex."""

from __future__ import annotations

import base64
import binascii
import re

from changan.crypto.keys import PublicKey
from changan.errors import UnverifiedError

PEM_BYTES_MAX = 8192
_PEM = re.compile(
    rb"\s*-----BEGIN (?P<label>(?:RSA )?PUBLIC KEY)-----\s+(?P<body>[A-Za-z0-9+/=\s]+)-----END (?P=label)-----\s*"
)
_HEX = frozenset(b"0123456789abcdefABCDEF")


def read_public_key(data: bytes) -> PublicKey:
    """Read a public key: SubjectPublicKeyInfo or PKCS#1 in PEM under either label, or hex of the DER.

    Go writes RSA keys in PKCS#1 under "PUBLIC KEY", so what the label says does not count.
    Raises UnverifiedError, with ChainMaker's words for what is neither PEM nor hex.
    """
    if len(data) > PEM_BYTES_MAX:
        raise UnverifiedError(f"a public key of {len(data)} bytes; {PEM_BYTES_MAX} are allowed")
    found = _PEM.fullmatch(data)
    if found is None:
        return PublicKey.from_der(_unhex(data))
    try:
        der = base64.b64decode(b"".join(found["body"].split()), validate=True)
    except binascii.Error as error:
        raise UnverifiedError("the public key is not base64 between its PEM lines") from error
    return PublicKey.from_der(der)


def public_key_pem(key: PublicKey) -> bytes:
    """Return a key as SubjectPublicKeyInfo in PEM, with the last newline."""
    body = base64.b64encode(key.der)
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return b"-----BEGIN PUBLIC KEY-----\n" + b"\n".join(lines) + b"\n-----END PUBLIC KEY-----\n"


def _unhex(data: bytes) -> bytes:
    wrong = next((byte for byte in data if byte not in _HEX), None)
    if wrong is not None:
        shown = f" {chr(wrong)!r}" if chr(wrong).isprintable() else ""
        raise UnverifiedError(f"fail to decode public key: [encoding/hex: invalid byte: U+{wrong:04X}{shown}]")
    if len(data) % 2:
        raise UnverifiedError("fail to decode public key: [encoding/hex: odd length hex string]")
    return bytes.fromhex(data.decode())
