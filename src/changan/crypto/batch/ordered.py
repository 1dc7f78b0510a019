"""Rows in order of their key hashes, in buckets, and the tree above them, as instructions for numba.

Twin of `changan.crypto.state_tree`. For addresses see `changan.crypto.batch.trees`, for `way` `changan.crypto.batch.hashing`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit, types

from changan.crypto.batch.hashing import ROOM_BYTES, finish_all, open_room, place_of
from changan.crypto.batch.memory import (
    copy,
    leading_zeros,
    load_octet,
    load_word,
    prefetch,
    store_octet,
    store_word,
    swapped,
    zero,
)
from changan.crypto.batch.trees import pair_later

ROW_BYTES: Final = 64
"""A key hash and a value hash."""
_DEPTHS: Final = 256
_LINK_BYTES: Final = 24
_NODES_TOGETHER: Final = 4096
"""Buckets are hashed together until they have so many rows and nodes."""
_DIGIT_BITS: Final = 11
_DIGITS: Final = 1 << _DIGIT_BITS
_DIGITS_SORTED: Final = 4
"""Nobody finds many keys that agree in so many bits."""
_SORTED_ONE_BY_ONE: Final = 32
_AHEAD: Final = 8

_ADDRESS: Final = types.int64
_INTEGERS: Final = types.int64[::1]
_OCTETS: Final = types.uint8[::1]
_ROWS: Final = types.uint8[:, ::1]


@njit(nogil=True)
def _compared(one: Any, other: Any) -> Any:
    """Return -1, 0 or 1: how two key hashes stand to one another."""
    for word in range(4):
        left, right = np.uint64(swapped(load_word(one + 8 * word))), np.uint64(swapped(load_word(other + 8 * word)))
        if left != right:
            return -1 if left < right else 1
    return 0


@njit(nogil=True)
def _settled(rows: Any, order: Any) -> Any:
    """Bring rows that are nearly in order, older changes first, in full order with one change a key; return how many."""
    base = rows.ctypes.data
    count = 0
    for at in range(len(order)):
        moved = order[at]
        if at + _AHEAD < len(order):
            prefetch(base + ROW_BYTES * order[at + _AHEAD])
        place = count
        while place and _compared(base + ROW_BYTES * order[place - 1], base + ROW_BYTES * moved) > 0:
            place -= 1
        if place and _compared(base + ROW_BYTES * order[place - 1], base + ROW_BYTES * moved) == 0:
            order[place - 1] = moved  # the later change counts
            continue
        for shifted in range(count, place, -1):
            order[shifted] = order[shifted - 1]
        order[place] = moved
        count += 1
    return count


@njit([_INTEGERS(_ROWS)], nogil=True, cache=True)
def in_order(rows: Any) -> Any:
    """Return where the last change of each key lies, in the order of the keys; rows come as they were changed.

    Digit by digit, from the last of the leading bits to the first; what agrees in all of them is brought in order one by one.
    """
    count = len(rows)
    words, order = np.empty(count, np.int64), np.arange(count)
    for row in range(count):
        words[row] = swapped(load_word(rows[row].ctypes.data))
    if count > _SORTED_ONE_BY_ONE:
        other_words, other_order = np.empty_like(words), np.empty_like(order)
        places = np.empty(_DIGITS, np.int64)
        for shift in range(64 - _DIGIT_BITS * _DIGITS_SORTED, 64, _DIGIT_BITS):
            places[:] = 0
            for row in range(count):
                places[(words[row] >> shift) & (_DIGITS - 1)] += 1
            total = 0
            for digit in range(_DIGITS):
                places[digit], total = total, total + places[digit]
            for row in range(count):
                digit = (words[row] >> shift) & (_DIGITS - 1)
                place = places[digit]
                places[digit] = place + 1
                other_words[place], other_order[place] = words[row], order[row]
            words, other_words = other_words, words
            order, other_order = other_order, order
    return order[: _settled(rows, order)].copy()


@njit([types.boolean(_ROWS)], nogil=True, cache=True)
def is_ordered(rows: Any) -> Any:
    """Whether each row's key hash is greater than the one before."""
    for at in range(1, len(rows)):
        if _compared(rows[at - 1].ctypes.data, rows[at].ctypes.data) >= 0:
            return False
    return True


@njit(nogil=True)
def _bit(key: Any, depth: Any) -> Any:
    return (load_octet(key + (depth >> 3)) >> (7 - (depth & 7))) & 1


@njit(nogil=True)
def _cut(rows: Any, count: Any, depth: Any) -> Any:
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if _bit(rows + ROW_BYTES * middle, depth):
            high = middle
        else:
            low = middle + 1
    return low


@njit([types.void(_INTEGERS, _INTEGERS, types.int64, _INTEGERS)], nogil=True, cache=True)
def cuts(buckets: Any, counts: Any, depth: Any, found: Any) -> None:
    """Write how many rows of each bucket, whose keys agree above `depth`, have no bit there."""
    for at in range(len(buckets)):
        found[at] = _cut(buckets[at], counts[at], depth)


@njit([types.void(_INTEGERS, _INTEGERS, _ROWS)], nogil=True, cache=True)
def put_together(buckets: Any, counts: Any, rows: Any) -> None:
    """Copy the rows of buckets one after another."""
    at = rows.ctypes.data
    for bucket in range(len(buckets)):
        copy(at, buckets[bucket], ROW_BYTES * counts[bucket])
        at += ROW_BYTES * counts[bucket]


@njit(nogil=True)
def _alike(one: Any, other: Any) -> Any:
    """Return how many leading bits two key hashes share."""
    for word in range(4):
        differ = swapped(load_word(one + 8 * word) ^ load_word(other + 8 * word))
        if differ:
            return 64 * word + leading_zeros(differ)
    return 256


@njit(nogil=True)
def _nodes_above(rows: Any, count: Any, depth: Any) -> Any:
    """Return how many nodes with two or more rows below stand above rows in order whose keys agree above `depth`."""
    found, before = 0, depth - 1
    for at in range(1, count):
        alike = _alike(rows + ROW_BYTES * (at - 1), rows + ROW_BYTES * at)
        found += max(0, alike - before)
        before = alike
    return found


@njit(types.int64(_ADDRESS, types.int64, types.int64, types.int64, _ADDRESS, _ADDRESS), nogil=True)
def _plan(rows: Any, leaf: Any, count: Any, depth: Any, links: Any, newest: Any) -> Any:
    """Number the nodes above rows, whose own numbers begin at `leaf`, and return the topmost.

    A node's links are its halves, 0 where one is empty, and the node before it of the same depth; `newest` has the newest node
    of every depth, and last the next number.
    """
    if count == 0:
        return 0
    if count == 1:
        return leaf
    cut = _cut(rows, count, depth)
    left = _plan(rows, leaf, cut, depth + 1, links, newest)
    right = _plan(rows + ROW_BYTES * cut, leaf + cut, count - cut, depth + 1, links, newest)
    node = load_word(newest + 8 * _DEPTHS)
    store_word(newest + 8 * _DEPTHS, node + 1)
    store_word(links + _LINK_BYTES * node, left)
    store_word(links + _LINK_BYTES * node + 8, right)
    store_word(links + _LINK_BYTES * node + 16, load_word(newest + 8 * depth))
    store_word(newest + 8 * depth, node)
    return node


@njit(nogil=True)
def _tops(way: Any, room: Any, buckets: Any, counts: Any, depth: Any, links: Any, first: Any, tops: Any) -> None:
    """Hash the rows of buckets and the nodes above them; write the number of each bucket's topmost node.

    Nodes of one depth are hashed together, those of all buckets: so the lanes are full.
    """
    newest_nodes = np.zeros(_DEPTHS + 1, np.int64)
    newest = newest_nodes.ctypes.data
    zero(first, 32)
    number = 1
    for bucket in range(len(buckets)):
        for row in range(counts[bucket]):
            place = place_of(way, room, 1 + ROW_BYTES, first + 32 * number)
            store_octet(place, 0)
            copy(place + 1, buckets[bucket] + ROW_BYTES * row, ROW_BYTES)
            number += 1
    store_word(newest + 8 * _DEPTHS, number)
    leaf = 1
    for bucket in range(len(buckets)):
        tops[bucket] = _plan(buckets[bucket], leaf, counts[bucket], depth, links, newest)
        leaf += counts[bucket]
    finish_all(way, room)
    for above in range(_DEPTHS - 1, depth - 1, -1):
        node = newest_nodes[above]
        if not node:
            continue
        while node:
            link = links + _LINK_BYTES * node
            pair_later(way, room, first + 32 * load_word(link), first + 32 * load_word(link + 8), first + 32 * node)
            node = load_word(link + 16)
        finish_all(way, room)


@njit([types.UniTuple(_INTEGERS, 2)(_ROWS, _INTEGERS, types.int64)], nogil=True, cache=True)
def dealt(rows: Any, order: Any, depth: Any) -> Any:
    """Return the buckets, by the first `depth` bits, of rows in order, and where those of each begin and the last ones end."""
    base = rows.ctypes.data
    touched, starts = np.empty(len(order), np.int64), np.empty(len(order) + 1, np.int64)
    count, before = 0, -1
    for at in range(len(order)):
        if at + _AHEAD < len(order):
            prefetch(base + ROW_BYTES * order[at + _AHEAD])
        bucket = 0
        if depth:
            bucket = (swapped(load_word(base + ROW_BYTES * order[at])) >> (64 - depth)) & ((1 << depth) - 1)
        if bucket != before:
            touched[count], starts[count] = bucket, at
            count += 1
            before = bucket
    starts[count] = len(order)
    return touched[:count].copy(), starts[: count + 1].copy()


@njit([types.int64(_ROWS, _OCTETS, _INTEGERS, _INTEGERS, _INTEGERS, _INTEGERS, _ROWS)], nogil=True, cache=True)
def merge(rows: Any, present: Any, order: Any, starts: Any, buckets: Any, counts: Any, slab: Any) -> Any:
    """Merge changes in order into buckets: those from `starts[i]` on into bucket i.

    The buckets are written one after another into a slab with room for their rows and all changes; `buckets` and `counts` say
    then where they lie there. Return how many rows there are.
    """
    base, first = rows.ctypes.data, slab.ctypes.data
    to = first
    for bucket in range(len(buckets)):
        change, last = starts[bucket], starts[bucket + 1]
        held, end = buckets[bucket], buckets[bucket] + ROW_BYTES * counts[bucket]
        buckets[bucket] = to
        while held < end or change < last:
            if change == last:
                copy(to, held, end - held)
                to += end - held
                break
            moved = base + ROW_BYTES * order[change]
            if change + _AHEAD < len(order):
                prefetch(base + ROW_BYTES * order[change + _AHEAD])
            side = 1 if held == end else _compared(held, moved)
            if side < 0:
                copy(to, held, ROW_BYTES)
                to += ROW_BYTES
                held += ROW_BYTES
                continue
            if side == 0:
                held += ROW_BYTES
            if present[order[change]]:
                copy(to, moved, ROW_BYTES)
                to += ROW_BYTES
            change += 1
        counts[bucket] = (to - buckets[bucket]) // ROW_BYTES
    return (to - first) // ROW_BYTES


@njit([types.void(_INTEGERS, types.int64, _INTEGERS, _INTEGERS, _INTEGERS, _ROWS, _INTEGERS)], nogil=True, cache=True)
def lift(table: Any, depth: Any, touched: Any, buckets: Any, bucket_counts: Any, nodes: Any, counts: Any) -> None:
    """Hash the touched buckets again, and the nodes above them. Node 1 is the root, 2n and 2n + 1 are the halves of n."""
    scratch = np.empty(ROOM_BYTES, np.uint8)
    way, room = table.ctypes.data, scratch.ctypes.data
    open_room(room)
    leaves = 1 << depth
    links, digests = np.empty(_LINK_BYTES, np.uint8), np.empty(32, np.uint8)
    tops = np.empty(len(touched), np.int64)
    begin = 0
    while begin < len(touched):
        end, held = begin, 1
        while end < len(touched) and held < _NODES_TOGETHER:
            held += bucket_counts[end] + _nodes_above(buckets[end], bucket_counts[end], depth)
            end += 1
        if 32 * held > len(digests):
            links, digests = np.empty(_LINK_BYTES * held, np.uint8), np.empty(32 * held, np.uint8)
        first, some = digests.ctypes.data, slice(begin, end)
        _tops(way, room, buckets[some], bucket_counts[some], depth, links.ctypes.data, first, tops[some])
        for at in range(begin, end):
            node = leaves + touched[at]
            counts[node] = bucket_counts[at]
            copy(nodes[node].ctypes.data, first + 32 * tops[at], 32)
        begin = end
    for level in range(depth):
        before = -1
        for at in range(len(touched)):
            node = (leaves + touched[at]) >> (level + 1)
            if node == before:
                continue
            before = node
            left, right, out = nodes[2 * node].ctypes.data, nodes[2 * node + 1].ctypes.data, nodes[node].ctypes.data
            counts[node] = counts[2 * node] + counts[2 * node + 1]
            if counts[node] > 1:
                pair_later(way, room, left, right, out)
            else:
                copy(out, left if counts[2 * node] else right, 32)
        finish_all(way, room)
    links[0] = digests[0] = scratch[0] = 0  # numba gives an array back after its last use, and addresses are none
