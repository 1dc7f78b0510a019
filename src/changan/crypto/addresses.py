"""Addresses of users and contracts, as a chain's address type has them.

Source: ChainMaker 2.3.7, common/v2/evmutils and utils/v2/address.go; checked against recorded blocks in the tests.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import TYPE_CHECKING

from Crypto.Hash import keccak

from changan.crypto.digest import sm3
from changan.crypto.keys import Scheme
from changan.errors import MalformedError

if TYPE_CHECKING:
    from changan.crypto.digest import Digest
    from changan.crypto.keys import PublicKey

ADDRESS_BYTES = 20
ZXL_PREFIX = "ZX"


@unique
class AddressType(IntEnum):
    """How a chain makes addresses; the numbers are ChainMaker's."""

    CHAINMAKER = 0
    ZXL = 1
    ETHEREUM = 2


def keccak256(data: bytes) -> bytes:
    """Return the original Keccak-256 digest (not SHA3-256), 32 bytes."""
    return keccak.new(digest_bits=256, data=data).digest()


def user_address(key: PublicKey, address_type: int, digest: Digest) -> bytes:
    """Return the 20-byte address of the holder of `key`. Raises MalformedError for an unknown address type."""
    if address_type == AddressType.ZXL:
        return sm3(key.point)[:ADDRESS_BYTES]
    if address_type == AddressType.ETHEREUM:
        # A point's first byte only says its form, and PKCS#1 is treated alike; Ed25519 has no such byte to leave out.
        return keccak256(key.point if key.scheme is Scheme.ED25519 else key.point[1:])[-ADDRESS_BYTES:]
    if address_type == AddressType.CHAINMAKER:
        return keccak256(digest(key.point))[-ADDRESS_BYTES:]
    raise MalformedError(f"address type {address_type} is none of 0, 1, 2")


def contract_address(name: str, address_type: int) -> str:
    """Return a contract's address as text: 40 hex digits, under ZXL with `ZX` before them."""
    data = name.encode()
    if address_type == AddressType.ZXL:
        return ZXL_PREFIX + sm3(sm3(data))[:ADDRESS_BYTES].hex()
    return keccak256(keccak256(data))[-ADDRESS_BYTES:].hex()
