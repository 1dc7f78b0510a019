"""Ids of nodes: libp2p peer ids, which are digests of public keys in base 58.

Source: libp2p specs, peer-ids; the bitcoin alphabet of base 58.
"""

from __future__ import annotations

import hashlib

from changan.crypto.varints import varint

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PLACES = {digit: place for place, digit in enumerate(_ALPHABET)}
_CHARACTERS_MAX = 128
_SHA256 = b"\x12\x20"  # multihash: the algorithm, and the length of its digest
_DIGEST_BYTES = 32
_IDENTITY = 0x00
RSA, ECDSA = 0, 3
"""libp2p's numbers of the kinds of keys."""


def base58(data: bytes) -> str:
    """Return bytes in base 58; each leading zero byte is a leading 1."""
    number = int.from_bytes(data)
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def unbase58(text: str) -> bytes | None:
    """Return the bytes that a text in base 58 stands for, or None."""
    if len(text) > _CHARACTERS_MAX or any(digit not in _PLACES for digit in text):
        return None
    number = 0
    for digit in text:
        number = number * 58 + _PLACES[digit]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)


def node_id(der: bytes, kind: int = ECDSA) -> str:
    """Return the id of the node that holds the key of this SubjectPublicKeyInfo (DER)."""
    # libp2p's protobuf PublicKey: field 1 is the kind, field 2 the key.
    message = b"\x08" + bytes([kind]) + b"\x12" + varint(len(der)) + der
    return base58(_SHA256 + hashlib.sha256(message).digest())


def is_node_id(text: str) -> bool:
    """Whether a text is the id that some node may have."""
    data = unbase58(text)
    if data is None:
        return False
    digest = data.startswith(_SHA256) and len(data) == len(_SHA256) + _DIGEST_BYTES
    return digest or (len(data) > 2 and data[0] == _IDENTITY and data[1] == len(data) - 2)  # noqa: PLR2004  # the head
