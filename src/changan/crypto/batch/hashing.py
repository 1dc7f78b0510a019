"""Digests of messages behind addresses, one at a time or as many as there are lanes, as instructions for numba.

Behind `way` stands how, in words: the address of what takes blocks into a state, as libcrypto's SHA256_Update does; the address
of what digests in lanes, or 0; how many messages are done sooner one after the other; and the first state. A room of ROOM_BYTES
is opened once and handed to all. Messages that may wait go into it, beside others of as many blocks, and have their digests
after `finish_all`.
"""

from __future__ import annotations

from typing import Any, Final

from numba import njit

from changan.crypto.batch.lanes import LANES, STATE_BYTES
from changan.crypto.batch.memory import (
    call,
    copy,
    load_half,
    load_word,
    store_half,
    store_octet,
    store_word,
    swapped,
    zero,
)

_CONTEXT_BYTES: Final = 112
"""SHA256_CTX: eight words of state, a count of bits, 64 octets that wait, how many, and the digest's length."""
_BLOCKS_MAX: Final = 16
"""Messages of more blocks do not wait."""
_UPDATE, _LANES, _FEW, _START = range(0, 32, 8)
_DIGESTS: Final = STATE_BYTES
_COUNTS: Final = _DIGESTS + 32 * LANES
_OUTS: Final = _COUNTS + 8 * (_BLOCKS_MAX + 1)
_SIZES: Final = _OUTS + 8 * LANES * (_BLOCKS_MAX + 1)
_WAITING: Final = _SIZES + 8 * LANES * (_BLOCKS_MAX + 1)
ROOM_BYTES: Final = _WAITING + 64 * LANES * _BLOCKS_MAX * (_BLOCKS_MAX + 1) // 2


@njit(nogil=True)
def open_room(room: Any) -> None:
    """Let no message wait in a room."""
    zero(room + _COUNTS, _WAITING - _COUNTS)


@njit(nogil=True)
def _padded(message: Any, size: Any) -> Any:
    """Pad a message; return how many octets it has then."""
    end = (size + 8) // 64 * 64 + 64
    zero(message + size, end - size)
    store_octet(message + size, 0x80)
    store_word(message + end - 8, swapped(8 * size))
    return end


@njit(nogil=True)
def _digest(way: Any, room: Any, message: Any, size: Any, out: Any) -> None:
    """Write the digest of a message that is padded to `size` octets."""
    for at in range(8):
        store_half(room + 4 * at, load_word(way + _START + 8 * at))
    zero(room + 32, _CONTEXT_BYTES - 32)
    call(load_word(way + _UPDATE), room, message, size)
    for at in range(8):
        store_half(out + 4 * at, swapped(load_half(room + 4 * at)) >> 32)


@njit(nogil=True)
def _waiting(blocks: Any) -> Any:
    """Return where in a room the messages of so many blocks wait."""
    return _WAITING + 64 * LANES * (blocks * (blocks - 1) // 2)


@njit(nogil=True)
def place_of(way: Any, room: Any, size: Any, out: Any) -> Any:
    """Return where to put a message of at most _BLOCKS_MAX blocks before the next is asked for; its digest goes to `out`."""
    blocks = (size + 8) // 64 + 1
    counted = room + _COUNTS + 8 * blocks
    count = load_word(counted)
    if count == LANES or (count and not load_word(way + _LANES)):
        _finish(way, room, blocks)
        count = 0
    store_word(counted, count + 1)
    place = room + _waiting(blocks) + 64 * blocks * count
    row = 8 * (LANES * blocks + count)
    store_word(room + _OUTS + row, out)
    if load_word(room + _SIZES + row) != size + 1:  # the padding of the message before is not that of this one
        _padded(place, size)
        store_word(room + _SIZES + row, size + 1)
    return place


@njit(nogil=True)
def later(way: Any, room: Any, message: Any, size: Any, out: Any) -> None:
    """Let a message be digested together with others; it may be overwritten at once, and has room for its padding behind it."""
    if size + 8 >= 64 * _BLOCKS_MAX:
        _digest(way, room, message, _padded(message, size), out)
    else:
        copy(place_of(way, room, size, out), message, size)


@njit(nogil=True)
def _finish(way: Any, room: Any, blocks: Any) -> None:
    """Write the digests of the messages of so many blocks."""
    counted = room + _COUNTS + 8 * blocks
    count = load_word(counted)
    row = 8 * LANES * blocks
    place = room + _waiting(blocks)
    if load_word(way + _LANES) and count > load_word(way + _FEW):
        call(load_word(way + _LANES), room, place, blocks)
        for lane in range(count):
            copy(load_word(room + _OUTS + row + 8 * lane), room + _DIGESTS + 32 * lane, 32)
    else:
        for lane in range(count):
            out = load_word(room + _OUTS + row + 8 * lane)
            _digest(way, room, place + 64 * blocks * lane, 64 * blocks, out)
    store_word(counted, 0)


@njit(nogil=True)
def finish_all(way: Any, room: Any) -> None:
    """Write the digests of all messages that wait."""
    for blocks in range(1, _BLOCKS_MAX + 1):
        if load_word(room + _COUNTS + 8 * blocks):
            _finish(way, room, blocks)
