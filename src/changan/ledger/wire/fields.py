"""Fields of length-delimited protobuf put together by hand: large parts that are bytes already are not built and copied again.

Source: protobuf's encoding, https://protobuf.dev/programming-guides/encoding (tags, length-delimited fields).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.crypto.varints import varint

if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTH_DELIMITED = 2


def prefixed(data: bytes) -> bytes:
    """Return bytes with their length before them."""
    return varint(len(data)) + data


def field(number: int, parts: Sequence[bytes]) -> list[bytes]:
    """Return a field of bytes, or of a message, that consists of parts."""
    return [varint(number << 3 | _LENGTH_DELIMITED), varint(sum(map(len, parts))), *parts]


def bytes_field(number: int, data: bytes) -> bytes:
    """Return a field of bytes that are few."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(data)) + data


def number_field(number: int, value: int) -> bytes:
    """Return a field of a number that is not negative as proto3 has it: nothing for 0."""
    return varint(number << 3) + varint(value) if value else b""


def unless_empty(number: int, data: bytes) -> bytes:
    """Return a field of bytes that are few as proto3 has it: nothing where it is empty."""
    return bytes_field(number, data) if data else b""
