"""The compiled checks: tables for a key, and many SM2 or ECDSA P-256 signatures at once, without the interpreter's lock.

A scalar is recoded into digits that are all +1 or -1, and read by columns: bit c of each of `teeth` parts of it selects
one point of a table (a signed comb). A key's table has 8 teeth, 128 points, 8 KiB; the base point's 13 teeth, 4096
points, 256 KiB. 32 doublings and 52 additions check one signature. Importing this module compiles it, or reads what was
compiled before from numba's cache: `changan.crypto.batch.warm` says where that lies.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit, types

from changan.crypto.batch import field

KEY_TEETH: Final = 8
KEY_SPACING: Final = 32
KEY_POINTS: Final = 1 << (KEY_TEETH - 1)
BASE_TEETH: Final = 13
BASE_SPACING: Final = 20
BASE_POINTS: Final = 1 << (BASE_TEETH - 1)
POINT_WORDS: Final = 8
"""Affine coordinates in Montgomery's form, limbs of 64 bits, the least significant first."""
_SIGNATURE_SHORTEST: Final = 8
_SCALAR_BYTES: Final = 32


@njit(nogil=True)
def _is_zero(element: Any) -> Any:
    return (element[0] | element[1] | element[2] | element[3]) == 0


@njit(nogil=True)
def _same(one: Any, other: Any) -> Any:
    return ((one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) | (one[3] ^ other[3])) == 0


@njit(nogil=True)
def _double(curve: Any, x: Any, y: Any, z: Any) -> Any:
    # The Explicit-Formulas Database's dbl-2001-b, for a = -3. A point at infinity (z = 0) stays one.
    delta = field.multiply(curve, z, z)
    gamma = field.multiply(curve, y, y)
    beta = field.multiply(curve, x, gamma)
    product = field.multiply(curve, field.subtract(curve, x, delta), field.add(curve, x, delta))
    alpha = field.add(curve, field.add(curve, product, product), product)
    beta = field.add(curve, beta, beta)
    beta = field.add(curve, beta, beta)
    new_x = field.subtract(curve, field.multiply(curve, alpha, alpha), field.add(curve, beta, beta))
    total = field.add(curve, y, z)
    new_z = field.subtract(curve, field.subtract(curve, field.multiply(curve, total, total), gamma), delta)
    gamma = field.multiply(curve, gamma, gamma)
    gamma = field.add(curve, gamma, gamma)
    gamma = field.add(curve, gamma, gamma)
    gamma = field.add(curve, gamma, gamma)
    new_y = field.subtract(curve, field.multiply(curve, alpha, field.subtract(curve, beta, new_x)), gamma)
    return new_x, new_y, new_z


@njit(nogil=True)
def _add(curve: Any, point: Any, x2: Any, y2: Any) -> Any:
    """Return a projective point plus an affine one. Complete: signers choose keys, so every case can be made to occur."""
    x1, y1, z1 = point
    if _is_zero(z1):
        return x2, y2, field.one(curve)
    square = field.multiply(curve, z1, z1)
    h = field.subtract(curve, field.multiply(curve, x2, square), x1)
    r = field.subtract(curve, field.multiply(curve, field.multiply(curve, y2, z1), square), y1)
    if _is_zero(h):
        if _is_zero(r):
            return _double(curve, x1, y1, z1)
        return x1, y1, h  # one is the other's negative: infinity
    hh = field.multiply(curve, h, h)
    hhh = field.multiply(curve, h, hh)
    v = field.multiply(curve, x1, hh)
    x3 = field.subtract(curve, field.subtract(curve, field.multiply(curve, r, r), hhh), field.add(curve, v, v))
    y3 = field.subtract(curve, field.multiply(curve, r, field.subtract(curve, v, x3)), field.multiply(curve, y1, hhh))
    return x3, y3, field.multiply(curve, z1, h)


@njit(nogil=True)
def _inverse(curve: Any, element: Any) -> Any:
    """Return 1 / element modulo p by Fermat's theorem, four bits of the exponent at a time."""
    powers = np.empty((16, 4), np.uint64)
    power = field.one(curve)
    for at in range(16):
        _put(powers, at, power)
        power = field.multiply(curve, power, element)
    total = field.one(curve)
    exponent = field.inverse_exponent(curve)
    for limb in (exponent[3], exponent[2], exponent[1], exponent[0]):
        for shift in range(60, -4, -4):
            for _ in range(4):
                total = field.multiply(curve, total, total)
            total = field.multiply(curve, total, _get(powers, (limb >> np.uint64(shift)) & np.uint64(15)))
    return total


@njit(nogil=True)
def _inverse_n(curve: Any, element: Any) -> Any:
    """Return 1 / element modulo n."""
    total = field.one_n(curve)
    exponent = field.inverse_exponent_n(curve)
    for limb in (exponent[3], exponent[2], exponent[1], exponent[0]):
        for shift in range(63, -1, -1):
            total = field.multiply_n(curve, total, total)
            if (limb >> np.uint64(shift)) & np.uint64(1):
                total = field.multiply_n(curve, total, element)
    return total


@njit(nogil=True)
def _put(rows: Any, at: Any, element: Any) -> None:
    rows[at, 0], rows[at, 1], rows[at, 2], rows[at, 3] = element


@njit(nogil=True)
def _get(rows: Any, at: Any) -> Any:
    return rows[at, 0], rows[at, 1], rows[at, 2], rows[at, 3]


@njit(nogil=True)
def _table_element(table: Any, at: Any) -> Any:
    return field.load(table, at), field.load(table, at + 1), field.load(table, at + 2), field.load(table, at + 3)


@njit(nogil=True)
def _write_affine(curve: Any, xs: Any, ys: Any, zs: Any, out: Any) -> None:
    """Write projective points, none of them infinity, as affine ones behind an address, with one inversion for all."""
    count = len(xs)
    prefix = np.empty((count, 4), np.uint64)
    total = field.one(curve)
    for at in range(count):
        _put(prefix, at, total)
        total = field.multiply(curve, total, _get(zs, at))
    inverse = _inverse(curve, total)
    for at in range(count - 1, -1, -1):
        own = field.multiply(curve, inverse, _get(prefix, at))
        inverse = field.multiply(curve, inverse, _get(zs, at))
        square = field.multiply(curve, own, own)
        x = field.multiply(curve, _get(xs, at), square)
        y = field.multiply(curve, _get(ys, at), field.multiply(curve, own, square))
        for limb in range(4):
            field.store(out, at * POINT_WORDS + limb, x[limb])
            field.store(out, at * POINT_WORDS + 4 + limb, y[limb])


@njit(nogil=True)
def _build(curve: Any, x: Any, y: Any, teeth: Any, spacing: Any, out: Any) -> None:
    """Write a point's table: entry i is 2^(spacing (teeth - 1)) P, plus or minus each lower tooth as i has it."""
    count = 1 << (teeth - 1)
    xs, ys, zs = np.empty((count, 4), np.uint64), np.empty((count, 4), np.uint64), np.empty((count, 4), np.uint64)
    # Teeth and their doubles, affine: an entry with one bit more is another one plus a double.
    count = 2 * teeth
    tx, ty, tz = np.empty((count, 4), np.uint64), np.empty((count, 4), np.uint64), np.empty((count, 4), np.uint64)
    px, py, pz = x, y, field.one(curve)
    for tooth in range(teeth):
        _put(tx, 2 * tooth, px)
        _put(ty, 2 * tooth, py)
        _put(tz, 2 * tooth, pz)
        for step in range(spacing):
            px, py, pz = _double(curve, px, py, pz)
            if step == 0:
                _put(tx, 2 * tooth + 1, px)
                _put(ty, 2 * tooth + 1, py)
                _put(tz, 2 * tooth + 1, pz)
    affine = np.empty(count * POINT_WORDS, np.uint64)
    points = np.uint64(affine.ctypes.data)
    _write_affine(curve, tx, ty, tz, points)
    zero = field.subtract(curve, x, x)
    last = 16 * (teeth - 1)
    entry = (_table_element(points, last), _table_element(points, last + 4), field.one(curve))
    for tooth in range(teeth - 1):
        negative = field.subtract(curve, zero, _table_element(points, 16 * tooth + 4))
        entry = _add(curve, entry, _table_element(points, 16 * tooth), negative)
    _put(xs, 0, entry[0])
    _put(ys, 0, entry[1])
    _put(zs, 0, entry[2])
    for tooth in range(teeth - 1):
        dx, dy = _table_element(points, 16 * tooth + 8), _table_element(points, 16 * tooth + 12)
        for at in range(1 << tooth):
            entry = _add(curve, (_get(xs, at), _get(ys, at), _get(zs, at)), dx, dy)
            _put(xs, at + (1 << tooth), entry[0])
            _put(ys, at + (1 << tooth), entry[1])
            _put(zs, at + (1 << tooth), entry[2])
    _write_affine(curve, xs, ys, zs, out)
    affine[0] = 0  # numba gives an array back after its last use, and addresses are none


@njit(nogil=True)
def _recode(curve: Any, scalar: Any, bits: Any, top: Any) -> Any:
    """Write the digits of a scalar, 1 for +1 and 0 for -1, and return whether all are to be taken the other way."""
    flip = scalar[0] & np.uint64(1) == 0
    if flip:  # the digits give odd numbers; n - scalar is odd, and its negative is meant
        scalar = field.subtract_n(curve, field.order(curve), scalar)
    one, far = np.uint64(1), np.uint64(63)
    bits[0] = (scalar[0] >> one) | (scalar[1] << far)
    bits[1] = (scalar[1] >> one) | (scalar[2] << far)
    bits[2] = (scalar[2] >> one) | (scalar[3] << far)
    bits[3] = scalar[3] >> one
    bits[4] = np.uint64(0)
    bits[top >> 6] |= one << np.uint64(top & 63)
    return flip


@njit(nogil=True)
def _key_digit(bits: Any, column: Any) -> Any:
    digit = np.uint64(0)
    for limb in range(4):
        pair = bits[limb] >> np.uint64(column)
        low, high = pair & np.uint64(1), (pair >> np.uint64(KEY_SPACING)) & np.uint64(1)
        digit |= (low | (high << np.uint64(1))) << np.uint64(2 * limb)
    return digit


@njit(nogil=True)
def _base_digit(bits: Any, column: Any) -> Any:
    digit = np.uint64(0)
    for tooth in range(BASE_TEETH):
        at = column + BASE_SPACING * tooth
        digit |= ((bits[at >> 6] >> np.uint64(at & 63)) & np.uint64(1)) << np.uint64(tooth)
    return digit


@njit(nogil=True)
def _add_entry(curve: Any, point: Any, table: Any, digit: Any, points: Any) -> Any:
    """Add what a digit selects from a table of so many points: its top bit is a sign."""
    positive = digit & np.uint64(points) != 0
    if not positive:
        digit = ~digit
    at = np.int64(digit & np.uint64(points - 1)) * POINT_WORDS
    x, y = _table_element(table, at), _table_element(table, at + 4)
    if not positive:
        y = field.subtract(curve, field.subtract(curve, y, y), y)
    return _add(curve, point, x, y)


@njit(nogil=True)
def _combine(curve: Any, base: Any, u1: Any, table: Any, u2: Any, bits: Any) -> Any:
    """Return u1 G + u2 P, projective."""
    base_bits, key_bits = bits[0], bits[1]
    base_flip = _recode(curve, u1, base_bits, BASE_TEETH * BASE_SPACING - 1)
    key_flip = _recode(curve, u2, key_bits, KEY_TEETH * KEY_SPACING - 1)
    zero = field.subtract(curve, u1, u1)
    point = (zero, zero, zero)
    for column in range(KEY_SPACING - 1, -1, -1):
        point = _double(curve, point[0], point[1], point[2])
        digit = _key_digit(key_bits, column)
        point = _add_entry(curve, point, table, ~digit if key_flip else digit, KEY_POINTS)
        if column < BASE_SPACING:
            digit = _base_digit(base_bits, column)
            point = _add_entry(curve, point, base, ~digit if base_flip else digit, BASE_POINTS)
    return point


@njit(nogil=True)
def _read_integer(signatures: Any, at: Any, end: Any, out: Any) -> Any:
    """Write the positive DER integer at this place as 32 bytes; return where it ends, or -1 if it is none or longer."""
    if end - at < 3 or signatures[at] != 2:
        return -1
    size = np.int64(signatures[at + 1])
    at += 2
    if size < 1 or size > _SCALAR_BYTES + 1 or end - at < size or signatures[at] >= 128:
        return -1
    if signatures[at] == 0:
        # Zero is no part of a signature; else a leading zero must be due to the high bit that follows.
        if size == 1 or signatures[at + 1] < 128:
            return -1
        at += 1
        size -= 1
    elif size > _SCALAR_BYTES:
        return -1
    out[: _SCALAR_BYTES - size] = 0
    for index in range(size):
        out[_SCALAR_BYTES - size + index] = signatures[at + index]
    return at + size


@njit(nogil=True)
def _read_signature(curve: Any, signatures: Any, at: Any, end: Any, scratch: Any) -> Any:
    """Return whether canonical DER of two integers from 1 to n - 1 lies there, and the two."""
    zero = field.subtract(curve, field.one(curve), field.one(curve))
    if end - at < _SIGNATURE_SHORTEST or signatures[at] != 0x30 or np.int64(signatures[at + 1]) != end - at - 2:
        return False, zero, zero
    middle = _read_integer(signatures, at + 2, end, scratch[0])
    if middle < 0 or _read_integer(signatures, middle, end, scratch[1]) != end:
        return False, zero, zero
    r = field.big_endian(np.uint64(scratch[0].ctypes.data))
    s = field.big_endian(np.uint64(scratch[1].ctypes.data))
    held = not _is_zero(r) and not _is_zero(s) and field.below_order(curve, r) and field.below_order(curve, s)
    return held, r, s


@njit(nogil=True)
def _has_abscissa(curve: Any, point: Any, target: Any) -> Any:
    """Whether the point is not infinity and its x is `target` modulo n."""
    if _is_zero(point[2]):
        return False
    square = field.multiply(curve, point[2], point[2])
    x = field.multiply(curve, target, field.square_of_r(curve))
    if _same(field.multiply(curve, x, square), point[0]):
        return True
    if not field.below_gap(curve, target):
        return False
    x = field.add(curve, x, field.order_in_field(curve))
    return _same(field.multiply(curve, x, square), point[0])


@njit(nogil=True)
def _reduced_n(curve: Any, number: Any) -> Any:
    return number if field.below_order(curve, number) else field.subtract_n(curve, number, field.order(curve))


@njit(nogil=True)
def _inverses_n(curve: Any, parsed: Any, good: Any) -> Any:
    """Return 1 / s (in Montgomery's form of 1 / s, times R) for every signature that was read, with one inversion."""
    count = len(good)
    inverses = np.empty((count, 4), np.uint64)
    total = field.one_n(curve)
    for at in range(count):
        if good[at]:
            s = field.multiply_n(curve, _get(parsed[1], at), field.square_of_r_n(curve))
            _put(parsed[1], at, s)
            _put(inverses, at, total)
            total = field.multiply_n(curve, total, s)
    inverse = _inverse_n(curve, total)
    for at in range(count - 1, -1, -1):
        if good[at]:
            own = field.multiply_n(curve, inverse, _get(inverses, at))
            inverse = field.multiply_n(curve, inverse, _get(parsed[1], at))
            _put(inverses, at, own)
    return inverses


@njit(nogil=True)
def _verify(curve: Any, base: Any, tables: Any, digests: Any, signatures: Any, ends: Any) -> Any:
    count = len(tables)
    good = np.zeros(count, np.bool_)
    parsed = np.empty((2, count, 4), np.uint64)
    scratch = np.empty((2, _SCALAR_BYTES), np.uint8)
    start = 0
    for at in range(count):
        held, r, s = _read_signature(curve, signatures, start, ends[at], scratch)
        start = ends[at]
        good[at] = held
        _put(parsed[0], at, r)
        _put(parsed[1], at, s)
    bits = np.empty((2, 5), np.uint64)
    if field.is_sm2(curve):
        for at in range(count):
            if not good[at]:
                continue
            r, s = _get(parsed[0], at), _get(parsed[1], at)
            total = field.add_n(curve, r, s)
            if _is_zero(total):
                good[at] = False
                continue
            e = _reduced_n(curve, field.big_endian(np.uint64(digests[at].ctypes.data)))
            point = _combine(curve, base, s, tables[at], total, bits)
            good[at] = _has_abscissa(curve, point, field.subtract_n(curve, r, e))
        return good
    inverses = _inverses_n(curve, parsed, good)
    for at in range(count):
        if good[at]:
            r, inverse = _get(parsed[0], at), _get(inverses, at)
            e = _reduced_n(curve, field.big_endian(np.uint64(digests[at].ctypes.data)))
            u1, u2 = field.multiply_n(curve, e, inverse), field.multiply_n(curve, r, inverse)
            good[at] = _has_abscissa(curve, _combine(curve, base, u1, tables[at], u2, bits), r)
    return good


def _verify_type(curve: Any) -> Any:
    octets = types.Array(types.uint8, 1, "C", readonly=True)
    rows = types.Array(types.uint8, 2, "C", readonly=True)
    return types.boolean[::1](curve, types.uint64, types.uint64[::1], rows, octets, types.int64[::1])


@njit([_verify_type(curve) for curve in field.CURVES], nogil=True, cache=True)
def verify(curve: Any, base: Any, tables: Any, digests: Any, signatures: Any, ends: Any) -> Any:
    """Return for each signature whether it holds.

    `base` and `tables` are addresses of tables; `digests` has 32 bytes a row; signature i ends at `ends[i]`.
    """
    return _verify(curve, base, tables, digests, signatures, ends)


def _build_type(curve: Any) -> Any:
    rows = types.Array(types.uint8, 2, "C", readonly=True)
    return types.void(curve, rows, types.int64, types.int64, types.uint64[::1])


@njit([_build_type(curve) for curve in field.CURVES], nogil=True, cache=True)
def build(curve: Any, points: Any, teeth: Any, spacing: Any, tables: Any) -> None:
    """Write the tables of points (x and y, 64 bytes a row, checked to lie on the curve) behind the addresses."""
    for at in range(len(points)):
        place = np.uint64(points[at].ctypes.data)
        x = field.multiply(curve, field.big_endian(place), field.square_of_r(curve))
        y = field.multiply(curve, field.big_endian(place + np.uint64(32)), field.square_of_r(curve))
        _build(curve, x, y, teeth, spacing, tables[at])
