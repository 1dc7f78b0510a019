"""Numbers as varints, seven bits an octet, the lowest first: what ids of nodes and protobuf's fields are written with.

Source: multiformats, unsigned-varint; protobuf's encoding, https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

_SEVEN_BITS = 0x7F


def varint(number: int) -> bytes:
    """Return a number that is not negative as a varint."""
    return _SHORT[number] if number < _SHORT_MAX else _encoded(number)


def _encoded(number: int) -> bytes:
    found = bytearray()
    while number > _SEVEN_BITS:
        found.append(number & _SEVEN_BITS | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_SHORT_MAX = 4096
_SHORT = [_encoded(number) for number in range(_SHORT_MAX)]  # most lengths there are
