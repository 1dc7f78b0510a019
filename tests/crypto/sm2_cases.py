"""Signatures good and bad, with what they are called, for every lane that checks SM2 and P-256."""

from __future__ import annotations

import random
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from changan.crypto.batch.verifier import Signed
from changan.crypto.curves import P256_CURVE, SM2_CURVE
from changan.crypto.keys import PublicKey, Scheme
from changan.crypto.sm2 import Sm2PrivateKey


class Signer(NamedTuple):
    scheme: Scheme
    private: object
    public: PublicKey

    def sign(self, message: bytes, identifier: bytes | None = None) -> bytes:
        if self.scheme is Scheme.SM2:
            return self.private.sign(message) if identifier is None else self.private.sign(message, identifier)
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))

    @property
    def order(self) -> int:
        return SM2_CURVE.n if self.scheme is Scheme.SM2 else P256_CURVE.n


class Case(NamedTuple):
    kind: str
    signed: Signed
    must: bool | None  # None: whatever the lanes agree on


def signer(scheme: Scheme, number: int | None = None) -> Signer:
    if scheme is Scheme.SM2:
        private = Sm2PrivateKey.generate() if number is None else Sm2PrivateKey.from_number(number)
        return Signer(scheme, private, PublicKey(private.public))
    private = (
        ec.generate_private_key(ec.SECP256R1()) if number is None else ec.derive_private_key(number, ec.SECP256R1())
    )
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Signer(scheme, private, PublicKey.from_der(der))


def integer(number: int, pad: int = 0) -> bytes:
    """DER of an integer; `pad` puts superfluous octets before it."""
    body = number.to_bytes(number.bit_length() // 8 + 1, "big", signed=number < 0)
    body = (b"\xff" if number < 0 else b"\0") * pad + body
    return bytes([2, len(body)]) + body


def sequence(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return b"\x30" + (bytes([len(body)]) if len(body) < 128 else bytes([0x81, len(body)])) + body


def malformed(signature: bytes, order: int, rng: random.Random) -> list[tuple[str, bytes, bool | None]]:
    """What can be wrong with one signature, and whether each may hold."""
    r, s = decode_dss_signature(signature)
    at = rng.randrange(len(signature))
    flipped = signature[:at] + bytes([signature[at] ^ 1 << rng.randrange(8)]) + signature[at + 1 :]
    return [
        ("good", signature, True),
        ("one bit flipped", flipped, False),
        ("r = 0", encode_dss_signature(0, s), False),
        ("s = 0", encode_dss_signature(r, 0), False),
        ("both zero", encode_dss_signature(0, 0), False),
        ("r = n", encode_dss_signature(order, s), False),
        ("s = n", encode_dss_signature(r, order), False),
        ("r + n", encode_dss_signature(r + order, s), False),
        ("s + n", encode_dss_signature(r, s + order), False),
        ("r + s = n", encode_dss_signature(r, order - r), False),
        ("n - s", encode_dss_signature(r, order - s), None),
        ("2^256 - 1", encode_dss_signature((1 << 256) - 1, (1 << 256) - 1), False),
        ("huge", encode_dss_signature(r << 300, s), False),
        ("negative", sequence(integer(r - (1 << 256)), integer(s)), False),
        ("padded r", sequence(integer(r, pad=1), integer(s)), False),
        ("padded s", sequence(integer(r), integer(s, pad=1)), False),
        ("padded zero", sequence(integer(0, pad=1), integer(s)), False),
        ("long form of the length", b"\x30\x81" + signature[1:], False),
        ("indefinite length", b"\x30\x80" + signature[2:] + b"\0\0", False),
        ("truncated", signature[: rng.randrange(len(signature))], False),
        ("one octet short", signature[:-1], False),
        ("trailing octet", signature + b"\0", False),
        ("trailing octet inside", sequence(integer(r), integer(s), b"\0"), False),
        ("three integers", sequence(integer(r), integer(s), integer(1)), False),
        ("one integer", sequence(integer(r)), False),
        ("no integer", b"\x30\0", False),
        ("empty integer", b"\x30\x04\x02\x00\x02\x00", False),
        ("swapped", sequence(integer(s), integer(r)), False),
        ("raw", r.to_bytes(32, "big") + s.to_bytes(32, "big"), False),
        ("empty", b"", False),
        ("other tag", b"\x31" + signature[1:], False),
        ("random octets", rng.randbytes(rng.randrange(80)), False),
        ("length octet changed", signature[:1] + bytes([rng.randrange(256)]) + signature[2:], None),
        ("inner length changed", signature[:3] + bytes([rng.randrange(256)]) + signature[4:], None),
    ]


def cases(signers: list[Signer], count: int, rng: random.Random) -> list[Case]:
    """`count` cases: every third a good one, the others of every kind in turn, and messages of 0 to 300 bytes."""
    found: list[Case] = []
    while len(found) < count:
        one, other = rng.sample(signers, 2)
        message = rng.randbytes(rng.choice((0, 1, 22, 23, 24, 31, 32, 33, 55, 64, 87, 88, 96, rng.randrange(300))))
        signature = one.sign(message)
        name = "SHA256"
        for kind, seal, must in malformed(signature, one.order, rng):
            found.append(Case(kind, Signed(one.public, message, seal, name), must))
            fresh = rng.randbytes(40)
            found.append(Case("good", Signed(one.public, fresh, one.sign(fresh), name), True))
        found.append(Case("other message", Signed(one.public, message + b"x", signature, name), False))
        found.append(Case("other key", Signed(other.public, message, signature, name), False))
        if one.scheme is Scheme.SM2:
            found.append(
                Case("other identifier", Signed(one.public, message, one.sign(message, b"other"), name), False)
            )
            found.append(Case("no identifier", Signed(one.public, message, one.sign(message, b""), name), False))
    return found[:count]
