"""The two 256-bit curves that have a batch verifier, and their arithmetic in plain integers: slow, and short enough to be read.

Sources: GM/T 0003.5-2012 (SM2) and FIPS 186-4, D.1.2.3 (P-256). Public values only: nothing here is constant-time.
"""

from __future__ import annotations

from typing import NamedTuple

FIELD_BYTES = 32
POINT_BYTES = 65
"""An uncompressed point (SEC 1, 2.3.3): 04, x, y."""
_UNCOMPRESSED = 4

Point = tuple[int, int] | None
"""Affine coordinates; None is the point at infinity."""


class Curve(NamedTuple):
    """y² = x³ - 3x + b modulo p, with a base point (gx, gy) of prime order n; every point of the curve is a multiple of it."""

    name: str
    p: int
    b: int
    n: int
    gx: int
    gy: int

    @property
    def base(self) -> tuple[int, int]:
        """The base point."""
        return self.gx, self.gy

    def holds(self, x: int, y: int) -> bool:
        """Whether (x, y) lies on the curve, with both coordinates reduced."""
        return 0 <= x < self.p and 0 <= y < self.p and (y * y - (x * x - 3) * x - self.b) % self.p == 0


SM2_CURVE = Curve(
    name="SM2",
    p=0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_00000000_FFFFFFFF_FFFFFFFF,
    b=0x28E9FA9E_9D9F5E34_4D5A9E4B_CF6509A7_F39789F5_15AB8F92_DDBCBD41_4D940E93,
    n=0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_7203DF6B_21C6052B_53BBF409_39D54123,
    gx=0x32C4AE2C_1F198119_5F990446_6A39C994_8FE30BBF_F2660BE1_715A4589_334C74C7,
    gy=0xBC3736A2_F4F6779C_59BDCEE3_6B692153_D0A9877C_C62A4740_02DF32E5_2139F0A0,
)
P256_CURVE = Curve(
    name="P-256",
    p=0xFFFFFFFF_00000001_00000000_00000000_00000000_FFFFFFFF_FFFFFFFF_FFFFFFFF,
    b=0x5AC635D8_AA3A93E7_B3EBBD55_769886BC_651D06B0_CC53B0F6_3BCE3C3E_27D2604B,
    n=0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551,
    gx=0x6B17D1F2_E12C4247_F8BCE6E5_63A440F2_77037D81_2DEB33A0_F4A13945_D898C296,
    gy=0x4FE342E2_FE1A7F9B_8EE7EB4A_7C0F9E16_2BCE3357_6B315ECE_CBB64068_37BF51F5,
)


def read_point(curve: Curve, data: bytes) -> tuple[int, int] | None:
    """Return the point that 65 bytes in uncompressed form hold, or None where they hold no point of the curve."""
    if len(data) != POINT_BYTES or data[0] != _UNCOMPRESSED:
        return None
    x = int.from_bytes(data[1 : 1 + FIELD_BYTES])
    y = int.from_bytes(data[1 + FIELD_BYTES :])
    return (x, y) if curve.holds(x, y) else None


def write_point(x: int, y: int) -> bytes:
    """Return the uncompressed form of a point, 65 bytes."""
    return bytes([_UNCOMPRESSED]) + x.to_bytes(FIELD_BYTES) + y.to_bytes(FIELD_BYTES)


def add(curve: Curve, one: Point, other: Point) -> Point:
    """Return the sum of two points of the curve."""
    if one is None:
        return other
    if other is None:
        return one
    (x1, y1), (x2, y2) = one, other
    if x1 == x2:
        if (y1 + y2) % curve.p == 0:
            return None
        slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, curve.p)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, curve.p)
    x = (slope * slope - x1 - x2) % curve.p
    return x, (slope * (x1 - x) - y1) % curve.p


def multiply(curve: Curve, factor: int, point: Point) -> Point:
    """Return `factor` times a point, for a public factor of at least 0."""
    total: Point = None
    for digit in f"{factor:b}":
        total = add(curve, total, total)
        if digit == "1":
            total = add(curve, total, point)
    return total
