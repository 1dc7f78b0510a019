"""The kernels' rule in plain integers: the twin that tests hold against them, and against OpenSSL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.crypto import der
from changan.crypto.curves import FIELD_BYTES, SM2_CURVE, add, multiply, read_point
from changan.errors import MalformedError

if TYPE_CHECKING:
    from changan.crypto.curves import Curve

_SIGN = 0x80


def read_signature(curve: Curve, signature: bytes) -> tuple[int, int] | None:
    """Return r and s, both from 1 to n - 1, of a canonical DER signature, or None where there is none."""
    try:
        parts = der.elements(der.read(signature, der.SEQUENCE).content)
    except MalformedError:
        return None
    if len(parts) != 2:  # noqa: PLR2004 - r and s
        return None
    numbers = [_positive(part) for part in parts]
    return (numbers[0], numbers[1]) if all(0 < number < curve.n for number in numbers) else None


def holds(curve: Curve, point: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether a signature over a digest of 32 bytes holds for the key with this point (uncompressed, 65 bytes).

    SM2 (GM/T 0003.2, 7.1; the digest covers Z and the message) on its curve, ECDSA (FIPS 186-4, 6.4) on P-256.
    """
    key, numbers = read_point(curve, point), read_signature(curve, signature)
    if key is None or numbers is None:
        return False
    r, s = numbers
    e = int.from_bytes(digest[:FIELD_BYTES])
    if curve is SM2_CURVE:
        u1, u2 = s, (r + s) % curve.n
        if u2 == 0:
            return False
        target = (r - e) % curve.n
    else:
        inverse = pow(s, -1, curve.n)
        u1, u2, target = e * inverse % curve.n, r * inverse % curve.n, r
    total = add(curve, multiply(curve, u1, curve.base), multiply(curve, u2, key))
    return total is not None and total[0] % curve.n == target


def _positive(part: der.Element) -> int:
    """Return the number that a DER integer holds, or 0 where it is none, not the shortest form, or negative."""
    content = part.content
    if part.tag != der.INTEGER or not content or content[0] >= _SIGN:
        return 0
    if len(content) > 1 and content[0] == 0 and content[1] < _SIGN:
        return 0
    return int.from_bytes(content)
