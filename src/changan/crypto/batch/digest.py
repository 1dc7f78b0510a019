"""SM3 over Z and a message, for many messages at once, as instructions for numba. Source: GB/T 32905-2016."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_WORD: Final = ir.IntType(32)
_STATE: Final = types.UniTuple(types.uint32, 8)
_START: Final = (
    0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E,
)  # fmt: skip
_BLOCK_BYTES: Final = 64
_LENGTH_BYTES: Final = 8
_Z_BYTES: Final = 32
_ROUNDS: Final = 64
_FIRST_ROUNDS: Final = 16


def _constant(number: int) -> Any:
    return ir.Constant(_WORD, number & 0xFFFFFFFF)


def _rotated(builder: Any, word: Any, by: int) -> Any:
    by %= 32
    return builder.or_(builder.shl(word, _constant(by)), builder.lshr(word, _constant(32 - by))) if by else word


def _xor(builder: Any, *words: Any) -> Any:
    total = words[0]
    for word in words[1:]:
        total = builder.xor(total, word)
    return total


def _sum(builder: Any, *words: Any) -> Any:
    total = words[0]
    for word in words[1:]:
        total = builder.add(total, word)
    return total


def _expanded(builder: Any, words: list[Any]) -> list[Any]:
    """Return the 68 words of an expanded block."""
    words = list(words)
    for at in range(16, 68):
        mixed = _xor(builder, words[at - 16], words[at - 9], _rotated(builder, words[at - 3], 15))
        spread = _xor(builder, mixed, _rotated(builder, mixed, 15), _rotated(builder, mixed, 23))
        words.append(_xor(builder, spread, _rotated(builder, words[at - 13], 7), words[at - 6]))
    return words


def _rounds(builder: Any, state: list[Any], words: list[Any]) -> list[Any]:
    a, b, c, d, e, f, g, h = state
    for at in range(_ROUNDS):
        first = at < _FIRST_ROUNDS
        constant = 0x79CC4519 if first else 0x7A879D8A
        constant = (constant << at % 32 | constant >> (32 - at % 32)) & 0xFFFFFFFF
        turned = _rotated(builder, a, 12)
        ss1 = _rotated(builder, _sum(builder, turned, e, _constant(constant)), 7)
        ss2 = builder.xor(ss1, turned)
        if first:
            ff, gg = _xor(builder, a, b, c), _xor(builder, e, f, g)
        else:
            ff = builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b)))
            gg = builder.xor(g, builder.and_(e, builder.xor(f, g)))
        tt1 = _sum(builder, ff, d, ss2, builder.xor(words[at], words[at + 4]))
        tt2 = _sum(builder, gg, h, ss1, words[at])
        d, c, b, a = c, _rotated(builder, b, 9), a, tt1
        h, g, f = g, _rotated(builder, f, 19), e
        e = _xor(builder, tt2, _rotated(builder, tt2, 9), _rotated(builder, tt2, 17))
    return [a, b, c, d, e, f, g, h]


@intrinsic
def _compress(_context: Any, state: Any, address: Any) -> Any:
    """Return the state after the block of 64 bytes behind an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = builder.inttoptr(arguments[1], _WORD.as_pointer())
        words = [builder.bswap(builder.load(builder.gep(block, [_constant(at)]), align=1)) for at in range(16)]
        before = [builder.extract_value(arguments[0], at) for at in range(8)]
        after = _rounds(builder, before, _expanded(builder, words))
        mixed = [builder.xor(old, new) for old, new in zip(before, after, strict=True)]
        return context.make_tuple(builder, signature.return_type, mixed)

    return _STATE(_STATE, types.uint64), generate


@intrinsic
def _start(_context: Any) -> Any:
    """Return the state before the first block."""

    def generate(context: Any, builder: Any, signature: Any, _arguments: Any) -> Any:
        return context.make_tuple(builder, signature.return_type, [_constant(word) for word in _START])

    return _STATE(), generate


@njit(nogil=True)
def _absorb(state: Any, address: Any) -> Any:
    # One place, called from four: the rounds are unrolled, and compiling them takes time.
    return _compress(state, address)


@njit(nogil=True)
def _digest(prefix: Any, message: Any, size: Any, scratch: Any, out: Any) -> None:
    """Write the digest of 32 bytes and a message of `size` bytes."""
    block = np.uint64(scratch.ctypes.data)
    state = _start()
    filled = _Z_BYTES
    scratch[:filled] = prefix
    taken = 0
    while size - taken >= _BLOCK_BYTES - filled:
        if filled:
            _copy(message, taken, _BLOCK_BYTES - filled, scratch, filled)
            state = _absorb(state, block)
        else:
            state = _absorb(state, np.uint64(message.ctypes.data) + np.uint64(taken))
        taken += _BLOCK_BYTES - filled
        filled = 0
    _copy(message, taken, size - taken, scratch, filled)
    filled += size - taken
    scratch[filled] = 0x80
    scratch[filled + 1 :] = 0
    if filled >= _BLOCK_BYTES - _LENGTH_BYTES:
        state = _absorb(state, block)
        scratch[:] = 0
    bits = 8 * (_Z_BYTES + size)
    for at in range(_LENGTH_BYTES):
        scratch[_BLOCK_BYTES - 1 - at] = (bits >> (8 * at)) & 0xFF
    state = _absorb(state, block)
    for word in range(8):
        for at in range(4):
            out[4 * word + at] = (state[word] >> np.uint32(24 - 8 * at)) & np.uint32(0xFF)


@njit(nogil=True)
def _copy(message: Any, start: Any, count: Any, scratch: Any, to: Any) -> None:
    for at in range(count):
        scratch[to + at] = message[start + at]


_OCTETS: Final = types.Array(types.uint8, 1, "C", readonly=True)
_ROWS: Final = types.Array(types.uint8, 2, "C", readonly=True)


@njit([types.uint8[:, ::1](_ROWS, _OCTETS, types.int64[::1])], nogil=True, cache=True)
def digests(prefixes: Any, messages: Any, ends: Any) -> Any:
    """Return SM3(prefix and message), 32 bytes a row; message i ends at `ends[i]`, a prefix has 32 bytes."""
    count = len(prefixes)
    out = np.empty((count, 32), np.uint8)
    scratch = np.empty(_BLOCK_BYTES, np.uint8)
    start = 0
    for at in range(count):
        end = ends[at]
        _digest(prefixes[at], messages[start:end], end - start, scratch, out[at])
        start = end
    return out
