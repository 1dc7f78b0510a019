"""Hash trees over columns and records, as instructions for numba.

Each function is the twin of a plain one, named in its text, and gives the same bytes. For `way` see
`changan.crypto.batch.hashing`. Addresses that come in are trusted; what lies behind them is not.
"""

from __future__ import annotations

from typing import Any, Final

from numba import njit, types

from changan.crypto.batch.hashing import ROOM_BYTES, finish_all, later, open_room, place_of
from changan.crypto.batch.memory import copy, load_half, load_short, load_word, store_half, store_octet, store_word

_GONE: Final = 0xFFFFFFFF
_RECORD_BYTES: Final = 8
_EVENT_BYTES: Final = 12
_BAD: Final = -1


@njit(nogil=True)
def pair_later(way: Any, room: Any, left: Any, right: Any, out: Any) -> None:
    """Let the digest of a node with two halves be written later."""
    place = place_of(way, room, 65, out)
    store_octet(place, 1)
    copy(place + 1, left, 32)
    copy(place + 33, right, 32)


@njit(nogil=True)
def _root(way: Any, room: Any, nodes: Any, count: Any) -> None:
    """Leave the root over `count` leaves of 32 bytes in the first of them, once the leaves are there."""
    finish_all(way, room)
    while count > 1:
        for at in range(count // 2):
            pair_later(way, room, nodes + 64 * at, nodes + 64 * at + 32, nodes + 32 * at)
        finish_all(way, room)
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
            _WORDS,
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
    table: Any,
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
    way, room = table.ctypes.data, scratch.ctypes.data
    message = room + ROOM_BYTES
    first = nodes.ctypes.data
    open_room(room)
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
        later(way, room, message, at - message, first + 32 * row)
    if event != stop:
        return _BAD
    _root(way, room, first, rows)
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


@njit([types.int64(_WORDS, _ADDRESS, types.int64, types.int64, _OCTETS, _OCTETS)], nogil=True, cache=True)
def delta_tree(table: Any, delta: Any, size: Any, group: Any, nodes: Any, scratch: Any) -> Any:
    """Leave the root over a delta's records, in groups, in the first 32 of `nodes`; return how many groups.

    Twin of `changan.ledger.bundle_run.bundle_delta_root`. `scratch` has room for the delta, ROOM_BYTES and 256 octets.
    """
    way, room = table.ctypes.data, scratch.ctypes.data
    message = room + ROOM_BYTES
    first = nodes.ctypes.data
    open_room(room)
    start, at, held, groups = delta, delta, 0, 0
    stop = delta + size
    while at < stop:
        at = _record_end(at, stop)
        held += 1
        if held == group or at == stop:
            store_octet(message, 0)
            copy(message + 1, start, at - start)
            later(way, room, message, 1 + at - start, first + 32 * groups)
            groups += 1
            start, held = at, 0
    _root(way, room, first, groups)
    return groups
