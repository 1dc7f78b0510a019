"""What the rounds of SHA-256 and SM3 begin with and add. Sources: FIPS 180-4, 4.2.2 and 5.3.3; GB/T 32905-2016, 4.1 and 4.2."""

from __future__ import annotations

from typing import Final


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _root_bits(number: int, power: int) -> int:
    """Return the first 32 bits after the point of a root of a number."""
    low, high = 0, number << 32
    while high - low > 1:
        middle = (low + high) // 2
        if middle**power <= number << (32 * power):
            low = middle
        else:
            high = middle
    return low & 0xFFFFFFFF


SHA256_START: Final = [_root_bits(prime, 2) for prime in _primes(8)]
SHA256_ROUNDS: Final = [_root_bits(prime, 3) for prime in _primes(64)]
SM3_START: Final = [
    0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E,
]  # fmt: skip
SM3_ROUNDS: Final = [
    ((0x79CC4519 if i < 16 else 0x7A879D8A) << (i % 32) | (0x79CC4519 if i < 16 else 0x7A879D8A) >> (32 - i % 32))  # noqa: PLR2004  # the 16th round
    & 0xFFFFFFFF
    for i in range(64)
]
