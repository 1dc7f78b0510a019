"""Hash trees over columns, records and state, as instructions for numba: SHA-256 by libcrypto, SM3 by our own rounds.

Each function is the twin of a plain one, named in its text, and gives the same bytes. `update` is the address of libcrypto's
SHA256_Update, or 0 for SM3. Addresses that come in are trusted; what lies behind them is not.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit, types

from changan.crypto.batch.digest import _absorb, _start
from changan.crypto.batch.memory import (
    call,
    copy,
    load_half,
    load_short,
    load_word,
    store_half,
    store_octet,
    store_word,
    swapped,
    zero,
)

CONTEXT_BYTES: Final = 112
"""SHA256_CTX: eight words of state, a count of bits, 64 octets that wait, how many, and the digest's length."""
SPARE_BYTES: Final = 80
"""What must be free behind a message, for its padding."""
_SHA256_START: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_GONE: Final = 0xFFFFFFFF
_RECORD_BYTES: Final = 8
_EVENT_BYTES: Final = 12
_ROW: Final = 64
_BAD: Final = -1


@njit(nogil=True)
def _digest(update: Any, context: Any, message: Any, size: Any, out: Any) -> None:
    """Write the digest of a message that has SPARE_BYTES behind it, which are overwritten."""
    end = (size + 8) // 64 * 64 + 64
    zero(message + size, end - size)
    store_octet(message + size, 0x80)
    store_word(message + end - 8, swapped(8 * size))
    if update:
        for at in range(8):
            store_half(context + 4 * at, _SHA256_START[at])
        zero(context + 32, CONTEXT_BYTES - 32)
        call(update, context, message, end)
        for at in range(8):
            store_half(out + 4 * at, swapped(load_half(context + 4 * at)) >> 32)
        return
    state = _start()
    for at in range(end // 64):
        state = _absorb(state, np.uint64(message + 64 * at))
    for at in range(8):
        store_half(out + 4 * at, (swapped(np.int64(state[at])) >> 32) & 0xFFFFFFFF)


@njit(nogil=True)
def _pair(update: Any, context: Any, scratch: Any, left: Any, right: Any, out: Any) -> None:
    """Write the digest of a node with two halves."""
    store_octet(scratch, 1)
    copy(scratch + 1, left, 32)
    copy(scratch + 33, right, 32)
    _digest(update, context, scratch, 65, out)


@njit(nogil=True)
def _root(update: Any, context: Any, scratch: Any, nodes: Any, count: Any) -> None:
    """Leave the root over `count` leaves of 32 bytes in the first of them."""
    while count > 1:
        for at in range(count // 2):
            _pair(update, context, scratch, nodes + 64 * at, nodes + 64 * at + 32, nodes + 32 * at)
        if count % 2:
            copy(nodes + 16 * (count - 1), nodes + 32 * (count - 1), 32)
        count = (count + 1) // 2


@njit(nogil=True)
def _piece(scratch: Any, data: Any, size: Any) -> Any:
    """Put the length of a piece and the piece; return where it ends."""
    store_half(scratch, size)
    copy(scratch + 4, data, size)
    return scratch + 4 + size


_ADDRESS: Final = types.int64
_WORDS: Final = types.int64[::1]
_OCTETS: Final = types.uint8[::1]


@njit(
    [
        _ADDRESS(
            _ADDRESS,
            types.int64[:, ::1],
            types.int64,
            _ADDRESS,
            _ADDRESS,
            _WORDS,
            _ADDRESS,
            types.int64,
            _OCTETS,
            _OCTETS,
        )
    ],
    nogil=True,
    cache=True,
)
def outcome_tree(
    update: Any,
    columns: Any,
    rows: Any,
    outcomes: Any,
    gas: Any,
    results: Any,
    events: Any,
    events_size: Any,
    nodes: Any,
    scratch: Any,
) -> Any:
    """Leave the root over a bundle's rows in the first 32 of `nodes` (32 octets a row); -1 where events are out of order.

    A column is where it begins, the width of its values or 0, and where their ends are; `results` is the same of the
    results, all zero where there are none. Twin of `changan.ledger.bundle_run.rows_of_bundle` and `tree_root`.
    """
    context = scratch.ctypes.data
    message = context + 128
    first = nodes.ctypes.data
    event, stop = events, events + events_size
    for row in range(rows):
        store_octet(message, 0)
        store_half(message + 1, row)
        store_half(message + 5, load_half(outcomes + 4 * row))
        store_word(message + 9, load_word(gas + 8 * row))
        at = message + 21
        for column in range(len(columns)):
            base, width, ends = columns[column, 0], columns[column, 1], columns[column, 2]
            if width:
                copy(at, base + width * row, width)
                at += width
            else:
                begin = load_half(ends + 4 * (row - 1)) if row else 0
                at = _piece(at, base + begin, load_half(ends + 4 * row) - begin)
        store_half(message + 17, at - message - 21)
        if results[1]:
            at = _piece(at, results[0] + results[1] * row, results[1])
        elif results[2]:
            begin = load_half(results[2] + 4 * (row - 1)) if row else 0
            at = _piece(at, results[0] + begin, load_half(results[2] + 4 * row) - begin)
        else:
            at = _piece(at, message, 0)
        head = at
        at += 4
        while event + _EVENT_BYTES <= stop and load_half(event) == row:
            size = _EVENT_BYTES - 4 + load_half(event + 8)
            if event + 4 + size > stop:
                return _BAD
            copy(at, event + 4, size)
            at += size
            event += 4 + size
        store_half(head, at - head - 4)
        _digest(update, context, message, at - message, first + 32 * row)
    if event != stop:
        return _BAD
    _root(update, context, message, first, rows)
    return 0


@njit(nogil=True)
def _record_end(at: Any, stop: Any) -> Any:
    """Return where the record of a delta ends, or -1 where it is cut short."""
    if at + _RECORD_BYTES > stop:
        return _BAD
    size = load_half(at + 4)
    end = at + _RECORD_BYTES + load_short(at + 2) + (0 if size == _GONE else size)
    return end if end <= stop else _BAD


@njit([types.int64(_ADDRESS, types.int64)], nogil=True, cache=True)
def count_records(delta: Any, size: Any) -> Any:
    """Return how many records a delta has, or -1 where one is cut short."""
    at, count = delta, 0
    while at < delta + size:
        at = _record_end(at, delta + size)
        if at == _BAD:
            return _BAD
        count += 1
    return count


@njit([types.int64(_ADDRESS, _ADDRESS, types.int64, types.int64, _OCTETS, _OCTETS)], nogil=True, cache=True)
def delta_tree(update: Any, delta: Any, size: Any, group: Any, nodes: Any, scratch: Any) -> Any:
    """Leave the root over a delta's records, in groups, in the first 32 of `nodes`; return how many groups.

    Twin of `changan.ledger.bundle_run.bundle_delta_root`. `scratch` has room for the delta and 256 octets.
    """
    context = scratch.ctypes.data
    message = context + 128
    first = nodes.ctypes.data
    start, at, held, groups = delta, delta, 0, 0
    stop = delta + size
    while at < stop:
        at = _record_end(at, stop)
        held += 1
        if held == group or at == stop:
            store_octet(message, 0)
            copy(message + 1, start, at - start)
            _digest(update, context, message, 1 + at - start, first + 32 * groups)
            groups += 1
            start, held = at, 0
    _root(update, context, message, first, groups)
    return groups
