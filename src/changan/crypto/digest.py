"""Digests by name, and digests over several parts that cannot run into each other."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha3_256 as _sha3_256
from hashlib import sha256 as _sha256
from hashlib import sha384 as _sha384
from hashlib import sha512 as _sha512
from struct import Struct

from cryptography.hazmat.primitives.hashes import SM3, Hash

from changan.errors import MalformedError

Digest = Callable[[bytes], bytes]
"""A function from any bytes to 32 bytes."""
DIGEST_BYTES = 32


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 digest (FIPS 180-4), 32 bytes."""
    return _sha256(data).digest()


def sha3_256(data: bytes) -> bytes:
    """Return the SHA3-256 digest (FIPS 202), 32 bytes."""
    return _sha3_256(data).digest()


def sm3(data: bytes) -> bytes:
    """Return the SM3 digest (GB/T 32905-2016), 32 bytes."""
    state = Hash(SM3())
    state.update(data)
    return state.finalize()


def sha384(data: bytes) -> bytes:
    """Return the SHA-384 digest (FIPS 180-4), 48 bytes: for signatures only."""
    return _sha384(data).digest()


def sha512(data: bytes) -> bytes:
    """Return the SHA-512 digest (FIPS 180-4), 64 bytes: for signatures only."""
    return _sha512(data).digest()


SIGNED_DIGESTS: dict[str, Digest] = {
    "SHA256": sha256,
    "SHA384": sha384,
    "SHA512": sha512,
    "SHA3_256": sha3_256,
    "SM3": sm3,
}
"""The digests that a signature may be made over."""

_NAMED: dict[str, Digest] = {"SHA256": sha256, "SHA3_256": sha3_256, "SM3": sm3}


def digest_named(name: str) -> Digest:
    """Return the digest that a chain's configuration names. Raises MalformedError for a name that is none of ours."""
    found = _NAMED.get(name)
    if found is None:
        raise MalformedError(f"digest {name!r} is none of {', '.join(_NAMED)}")
    return found


def tagged(tag: bytes, *parts: bytes, digest: Digest = sha256) -> bytes:
    """Return the digest of a tag and parts, each bound to its length (8 bytes), so that no two lists collide."""
    bound = [_LENGTHS[len(tag)], tag]
    for part in parts:
        size = len(part)
        bound.append(_LENGTHS[size] if size < _LENGTHS_MAX else _LENGTH(size))
        bound.append(part)
    return digest(b"".join(bound))


_LENGTH = Struct(">Q").pack
_LENGTHS_MAX = 4096
_LENGTHS = [
    _LENGTH(size) for size in range(_LENGTHS_MAX)
]  # most lengths there are; every row and outcome takes several
