"""SM3 over Z and a message, for many messages at once, as instructions for numba. Source: GB/T 32905-2016."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

from changan.crypto.batch.memory import load_half, store_half
from changan.crypto.batch.rounds import sm3_rounds
from changan.crypto.round_constants import SM3_START

_WORD: Final = ir.IntType(32)
_STATE: Final = types.UniTuple(types.uint32, 8)
_BLOCK_BYTES: Final = 64
_LENGTH_BYTES: Final = 8
_Z_BYTES: Final = 32


@intrinsic
def _compress(_context: Any, state: Any, address: Any) -> Any:
    """Return the state after the block of 64 bytes behind an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = builder.inttoptr(arguments[1], _WORD.as_pointer())
        words = [builder.bswap(builder.load(builder.gep(block, [ir.Constant(_WORD, at)]), align=1)) for at in range(16)]
        before = [builder.extract_value(arguments[0], at) for at in range(8)]
        return context.make_tuple(builder, signature.return_type, sm3_rounds(builder, before, words))

    return _STATE(_STATE, types.uint64), generate


@intrinsic
def _start(_context: Any) -> Any:
    """Return the state before the first block."""

    def generate(context: Any, builder: Any, signature: Any, _arguments: Any) -> Any:
        return context.make_tuple(builder, signature.return_type, [ir.Constant(_WORD, word) for word in SM3_START])

    return _STATE(), generate


@njit(nogil=True)
def _absorb(state: Any, address: Any) -> Any:
    # One place, called from four: the rounds are unrolled, and compiling them takes time.
    return _compress(state, address)


@cfunc(types.int32(types.int64, types.int64, types.int64), cache=True)
def sm3_update(context: Any, message: Any, size: Any) -> Any:
    """Take whole blocks into the eight words of state that a context begins with."""
    state = (
        np.uint32(load_half(context)),
        np.uint32(load_half(context + 4)),
        np.uint32(load_half(context + 8)),
        np.uint32(load_half(context + 12)),
        np.uint32(load_half(context + 16)),
        np.uint32(load_half(context + 20)),
        np.uint32(load_half(context + 24)),
        np.uint32(load_half(context + 28)),
    )
    for at in range(size // _BLOCK_BYTES):
        state = _absorb(state, np.uint64(message + _BLOCK_BYTES * at))
    for at in range(8):
        store_half(context + 4 * at, np.int64(state[at]))
    return 0


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
