"""Memory behind addresses, and calls of C functions, as instructions for numba.

Addresses, counts and words are signed: with unsigned ones among them numba would count in floating point.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_OCTET: Final = ir.IntType(8)
_WORD: Final = ir.IntType(64)


def _load(bits: int, doc: str) -> Any:
    kind = ir.IntType(bits)

    def typed(_context: Any, address: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            found = builder.load(builder.inttoptr(arguments[0], kind.as_pointer()), align=1)
            return found if bits == 64 else builder.zext(found, _WORD)  # a word already

        return types.int64(types.int64), generate

    typed.__doc__ = doc
    return intrinsic(typed)


load_octet = _load(8, "Return the octet behind an address.")
load_short = _load(16, "Return the little-endian 16 bits behind an address.")
load_half = _load(32, "Return the little-endian 32 bits behind an address.")
load_word = _load(64, "Return the little-endian 64 bits behind an address.")


def _store(bits: int, doc: str) -> Any:
    kind = ir.IntType(bits)

    def typed(_context: Any, address: Any, value: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            value = arguments[1] if bits == 64 else builder.trunc(arguments[1], kind)
            builder.store(value, builder.inttoptr(arguments[0], kind.as_pointer()), align=1)
            return _OCTET(0)

        return types.uint8(types.int64, types.int64), generate

    typed.__doc__ = doc
    return intrinsic(typed)


store_octet = _store(8, "Put an octet behind an address.")
store_half = _store(32, "Put 32 bits behind an address, little-endian.")
store_word = _store(64, "Put 64 bits behind an address, little-endian.")


@intrinsic
def swapped(_context: Any, word: Any) -> Any:
    """Return a word with its octets in the other order."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.int64(types.int64), generate


@intrinsic
def leading_zeros(_context: Any, word: Any) -> Any:
    """Return how many bits of a word, which is not 0, stand before its first 1."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.int64), generate


@intrinsic
def copy(_context: Any, to: Any, start: Any, count: Any) -> Any:
    """Copy octets from one address to another; they do not overlap."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        places = [builder.inttoptr(address, _OCTET.as_pointer()) for address in arguments[:2]]
        cgutils.raw_memcpy(builder, places[0], places[1], arguments[2], 1)
        return _OCTET(0)

    return types.uint8(types.int64, types.int64, types.int64), generate


@intrinsic
def zero(_context: Any, to: Any, count: Any) -> Any:
    """Put zeros behind an address."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(arguments[0], _OCTET.as_pointer()), arguments[1], 0)
        return _OCTET(0)

    return types.uint8(types.int64, types.int64), generate


@intrinsic
def call(_context: Any, function: Any, one: Any, two: Any, count: Any) -> Any:
    """Call the C function `int f(void *, const void *, size_t)` behind an address."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = _OCTET.as_pointer()
        kind = ir.FunctionType(ir.IntType(32), [pointer, pointer, _WORD])
        target = builder.inttoptr(arguments[0], kind.as_pointer())
        places = [builder.inttoptr(address, pointer) for address in arguments[1:3]]
        builder.call(target, [*places, arguments[3]])
        return _OCTET(0)

    return types.uint8(types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def prefetch(_context: Any, address: Any) -> Any:
    """Ask for what lies behind an address, which will be read soon."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        half = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [_OCTET.as_pointer(), half, half, half])
        asked = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        place = builder.inttoptr(arguments[0], _OCTET.as_pointer())
        builder.call(asked, [place, half(0), half(3), half(1)])  # to read, to keep, data
        return _OCTET(0)

    return types.uint8(types.int64), generate
