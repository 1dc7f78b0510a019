"""Arithmetic modulo a 256-bit prime, as instructions for numba: four limbs of 64 bits, Montgomery's form with R = 2^256.

Every function takes a curve first: a number whose *type* says which curve is meant, so that the compiler sees the
prime as a constant. Nothing here is constant-time: public values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from changan.crypto.curves import P256_CURVE, SM2_CURVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.crypto.curves import Curve

LIMBS: Final = 4
ELEMENT: Final = types.UniTuple(types.uint64, LIMBS)
CURVES: Final[dict[Any, Curve]] = {types.uint8: SM2_CURVE, types.uint16: P256_CURVE}
"""The type of the first argument, and the curve that it stands for."""

_WORD: Final = ir.IntType(64)
_WHOLE: Final = ir.IntType(256)
_WIDE: Final = ir.IntType(320)
_PAIR: Final = ir.IntType(128)
_MASK: Final = (1 << 64) - 1
_NINES: Final = (1 << 32) - 1


def _limbs(builder: Any, value: Any) -> list[Any]:
    return [builder.extract_value(value, at) for at in range(LIMBS)]


def _split(builder: Any, value: Any) -> list[Any]:
    """Return the four low limbs of a wide integer."""
    wide = value.type
    return [builder.trunc(builder.lshr(value, ir.Constant(wide, 64 * at)), _WORD) for at in range(LIMBS)]


def _joined(builder: Any, limbs: list[Any], wide: Any = _WHOLE) -> Any:
    total = builder.zext(limbs[0], wide)
    for at, limb in enumerate(limbs[1:], 1):
        total = builder.or_(total, builder.shl(builder.zext(limb, wide), ir.Constant(wide, 64 * at)))
    return total


def _product(builder: Any, one: Any, other: Any) -> Any:
    return builder.mul(builder.zext(one, _PAIR), builder.zext(other, _PAIR))


def _row(builder: Any, limbs: list[Any], factor: Any) -> Any:
    """Return limbs * factor, 320 bits: even and odd products do not overlap, so two numbers are added once."""
    even, odd = (
        [builder.zext(_product(builder, limb, factor), _WIDE) for limb in half] for half in (limbs[::2], limbs[1::2])
    )
    low = builder.or_(even[0], builder.shl(even[1], ir.Constant(_WIDE, 128)))
    high = builder.or_(
        builder.shl(odd[0], ir.Constant(_WIDE, 64)),
        builder.shl(odd[1], ir.Constant(_WIDE, 192)),
    )
    return builder.add(low, high)


def _fold(builder: Any, total: Any, modulus: int) -> Any:
    """Return (total + m * modulus) / 2^64 for the m that makes the low limb zero."""
    low = builder.trunc(total, _WORD)
    rest = builder.lshr(total, ir.Constant(_WIDE, 64))
    if modulus & _MASK == _MASK:
        # The low limb of both primes is 2^64 - 1: m is the low limb itself, and m * (modulus + 1) / 2^64 is left to add.
        return _sparse(builder, rest, low, (modulus + 1) >> 64)
    factor = builder.mul(low, ir.Constant(_WORD, -pow(modulus, -1, 1 << 64) & _MASK))
    multiple = _row(builder, [ir.Constant(_WORD, modulus >> 64 * at & _MASK) for at in range(LIMBS)], factor)
    carry = builder.zext(builder.icmp_unsigned("!=", low, ir.Constant(_WORD, 0)), _WIDE)
    return builder.add(builder.add(rest, builder.lshr(multiple, ir.Constant(_WIDE, 64))), carry)


def _sparse(builder: Any, total: Any, factor: Any, number: int) -> Any:
    """Return total + factor * number, for a number that is a short sum of powers of two, by shifts."""
    if number % _NINES == 0:
        # SM2: (2^32 - 1)(2^160 - 1), so two wide operations.
        half = builder.zext(factor, _PAIR)
        nines = builder.zext(builder.sub(builder.shl(half, ir.Constant(_PAIR, 32)), half), _WIDE)
        total = builder.add(total, builder.shl(nines, ir.Constant(_WIDE, 160)))
        return builder.sub(total, nines)
    factor = builder.zext(factor, _WIDE)
    at = 0
    while number:
        if number & 1:
            negative = number & 3 == 3
            change = builder.sub if negative else builder.add
            total = change(total, builder.shl(factor, ir.Constant(_WIDE, at)))
            number += 1 if negative else -1
        number >>= 1
        at += 1
    return total


def _reduced(builder: Any, total: Any, modulus: int) -> Any:
    """Return the number modulo the modulus, for one below twice the modulus."""
    wide = total.type
    less = builder.sub(total, ir.Constant(wide, modulus))
    below = builder.icmp_unsigned("<", total, ir.Constant(wide, modulus))
    return builder.select(below, total, less)


def _multiplied(builder: Any, one: Any, other: Any, modulus: int) -> list[Any]:
    first, second = _limbs(builder, one), _limbs(builder, other)
    total = ir.Constant(_WIDE, 0)
    for limb in second:
        total = _fold(builder, builder.add(total, _row(builder, first, limb)), modulus)
    return _split(builder, _reduced(builder, total, modulus))


def _added(builder: Any, one: Any, other: Any, modulus: int) -> list[Any]:
    wide = ir.IntType(257)
    total = builder.add(
        builder.zext(_joined(builder, _limbs(builder, one)), wide),
        builder.zext(_joined(builder, _limbs(builder, other)), wide),
    )
    return _split(builder, _reduced(builder, total, modulus))


def _subtracted(builder: Any, one: Any, other: Any, modulus: int) -> list[Any]:
    first, second = _joined(builder, _limbs(builder, one)), _joined(builder, _limbs(builder, other))
    less = builder.sub(first, second)
    below = builder.icmp_unsigned("<", first, second)
    lift = builder.select(below, ir.Constant(_WHOLE, modulus), ir.Constant(_WHOLE, 0))
    return _split(builder, builder.add(less, lift))


def _operation(emit: Callable[..., list[Any]], of: str) -> Any:
    """Return an instruction on two elements modulo a number of the curve."""

    def typed(_context: Any, curve: Any, one: Any, other: Any) -> Any:
        modulus = getattr(CURVES[curve], of)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            limbs = emit(builder, arguments[1], arguments[2], modulus)
            return context.make_tuple(builder, signature.return_type, limbs)

        return ELEMENT(curve, ELEMENT, ELEMENT), generate

    return intrinsic(typed)


def _constant(value: Callable[[Curve], int]) -> Any:
    """Return an instruction that gives a number of the curve."""

    def typed(_context: Any, curve: Any) -> Any:
        number = value(CURVES[curve])

        def generate(context: Any, builder: Any, signature: Any, _arguments: Any) -> Any:
            limbs = [ir.Constant(_WORD, number >> 64 * at & _MASK) for at in range(LIMBS)]
            return context.make_tuple(builder, signature.return_type, limbs)

        return ELEMENT(curve), generate

    return intrinsic(typed)


def _below(bound: Callable[[Curve], int]) -> Any:
    """Return an instruction that says whether an element is less than a number of the curve."""

    def typed(_context: Any, curve: Any, one: Any) -> Any:
        number = bound(CURVES[curve])

        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            whole = _joined(builder, _limbs(builder, arguments[1]))
            return builder.icmp_unsigned("<", whole, ir.Constant(_WHOLE, number))

        return types.boolean(curve, ELEMENT), generate

    return intrinsic(typed)


multiply = _operation(_multiplied, "p")
add = _operation(_added, "p")
subtract = _operation(_subtracted, "p")
multiply_n = _operation(_multiplied, "n")
add_n = _operation(_added, "n")
subtract_n = _operation(_subtracted, "n")

one = _constant(lambda curve: (1 << 256) % curve.p)
square_of_r = _constant(lambda curve: (1 << 512) % curve.p)
square_of_r_n = _constant(lambda curve: (1 << 512) % curve.n)
one_n = _constant(lambda curve: (1 << 256) % curve.n)
order = _constant(lambda curve: curve.n)
order_in_field = _constant(lambda curve: (curve.n << 256) % curve.p)
inverse_exponent = _constant(lambda curve: curve.p - 2)
inverse_exponent_n = _constant(lambda curve: curve.n - 2)
below_order = _below(lambda curve: curve.n)
below_prime = _below(lambda curve: curve.p)
below_gap = _below(lambda curve: curve.p - curve.n)


@intrinsic
def is_sm2(_context: Any, curve: Any) -> Any:
    """Whether the curve is SM2's: a constant to the compiler."""
    answer = CURVES[curve] is SM2_CURVE

    def generate(_context: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(answer))

    return types.boolean(curve), generate


@intrinsic
def load(_context: Any, address: Any, at: Any) -> Any:
    """Return the `at`th 64-bit word behind an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature, arguments))

    return types.uint64(types.uint64, at), generate


@intrinsic
def store(_context: Any, address: Any, at: Any, word: Any) -> Any:
    """Write the `at`th 64-bit word behind an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature, arguments))
        return context.get_dummy_value()

    return types.void(types.uint64, at, types.uint64), generate


@intrinsic
def big_endian(_context: Any, address: Any) -> Any:
    """Return the 32 bytes behind an address as an element, most significant byte first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], _WHOLE.as_pointer())
        whole = builder.load(pointer, align=1)
        limbs = [builder.bswap(limb) for limb in reversed(_split(builder, whole))]
        return context.make_tuple(builder, signature.return_type, limbs)

    return ELEMENT(types.uint64), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    pointer = builder.inttoptr(arguments[0], _WORD.as_pointer())
    index = context.cast(builder, arguments[1], signature.args[1], types.int64)
    return builder.gep(pointer, [index])
