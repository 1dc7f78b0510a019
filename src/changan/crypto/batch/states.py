"""Many changes of a state at once, as instructions for numba: the newest record of each row, and its hashes.

Twin of the hashing in `changan.ledger.commitment`. For `way` see `changan.crypto.batch.hashing`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit, types

from changan.crypto.batch.hashing import ROOM_BYTES, finish_all, later, open_room
from changan.crypto.batch.memory import (
    copy,
    load_half,
    load_octet,
    load_short,
    load_word,
    prefetch,
    store_octet,
    store_word,
    swapped,
)

_GONE: Final = 0xFFFFFFFF
_RECORD_BYTES: Final = 8
_FIRST_PLACES: Final = 1024
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HIGH: Final = np.uint64(0xFFFFFFFF00000000)
_GROUP: Final = 64
_AHEAD: Final = 16

_INTEGERS: Final = types.int64[::1]
_OCTETS: Final = types.uint8[::1]
_FIXED: Final = types.Array(types.uint8, 1, "C", readonly=True)
_ROWS: Final = types.uint8[:, ::1]


@njit(nogil=True)
def _key_hash(record: Any, seed: Any) -> Any:
    """Return 64 bits of a record's field and key. Whoever does not know the seed cannot make them collide."""
    size = load_short(record + 2)
    found = (np.uint64(load_half(record)) ^ seed) * _MIX
    at, stop = record + _RECORD_BYTES, record + _RECORD_BYTES + size
    while at < stop:
        left = stop - at
        if left >= 8:
            word = np.uint64(load_word(at))
        else:
            word = np.uint64(0)
            for octet in range(left):
                word = (word << np.uint64(8)) | np.uint64(load_octet(at + octet))
        found = (found ^ word) * (seed | np.uint64(1))
        found ^= found >> _HALF
        found *= _MIX
        at += 8
    return found ^ (found >> _HALF)


@njit(nogil=True)
def _same_key(one: Any, other: Any) -> Any:
    if load_half(one) != load_half(other):  # field, and length of the key
        return False
    at, stop = _RECORD_BYTES, _RECORD_BYTES + load_short(one + 2)
    while at + 8 <= stop:
        if load_word(one + at) != load_word(other + at):
            return False
        at += 8
    while at < stop:
        if load_octet(one + at) != load_octet(other + at):
            return False
        at += 1
    return True


@njit(nogil=True)
def _record_bytes(record: Any) -> Any:
    size = load_half(record + 4)
    return _RECORD_BYTES + load_short(record + 2) + (0 if size == _GONE else size)


@njit(nogil=True)
def _place_anew(places: Any, hashes: Any, count: Any) -> None:
    mask = np.uint64(len(places) - 1)
    for each in range(count):
        place = hashes[each] & mask
        while places[place]:
            place = (place + np.uint64(1)) & mask
        places[place] = (hashes[each] & _HIGH) | np.uint64(each + 1)


@njit([_INTEGERS(_INTEGERS, _INTEGERS, types.uint64)], nogil=True, cache=True)
def newest(deltas: Any, sizes: Any, seed: Any) -> Any:
    """Return the last record of every row in deltas that follow one another.

    Records are looked at in groups, so that many cache misses are under way at once.
    """
    places = np.zeros(_FIRST_PLACES, np.uint64)  # the high half of a row's hash, and one more than its number
    records = np.empty(_FIRST_PLACES // 2, np.int64)
    hashes = np.empty(_FIRST_PLACES // 2, np.uint64)
    group = np.empty(_GROUP, np.int64)
    keys = np.empty(_GROUP, np.uint64)
    count = 0
    for number in range(len(deltas)):
        at, stop = deltas[number], deltas[number] + sizes[number]
        while at < stop:
            while count + _GROUP > len(records):
                records = np.concatenate((records, np.empty_like(records)))
                hashes = np.concatenate((hashes, np.empty_like(hashes)))
                places = np.zeros(2 * len(places), np.uint64)
                _place_anew(places, hashes, count)
            mask = np.uint64(len(places) - 1)
            base = places.ctypes.data
            held = 0
            while at < stop and held < _GROUP:
                group[held], keys[held] = at, _key_hash(at, seed)
                prefetch(base + 8 * np.int64(keys[held] & mask))
                held += 1
                at += _record_bytes(at)
            for each in range(held):
                entry = places[keys[each] & mask]
                if entry and (entry & _HIGH) == (keys[each] & _HIGH):
                    prefetch(records[np.int64(entry & _LOW) - 1])
            for each in range(held):
                place = keys[each] & mask
                while True:
                    entry = places[place]
                    if entry == 0:
                        places[place] = (keys[each] & _HIGH) | np.uint64(count + 1)
                        records[count], hashes[count] = group[each], keys[each]
                        count += 1
                        break
                    row = np.int64(entry & _LOW) - 1
                    if (entry & _HIGH) == (keys[each] & _HIGH) and _same_key(records[row], group[each]):
                        records[row] = group[each]
                        break
                    place = (place + np.uint64(1)) & mask
    return records[:count].copy()


@njit([types.uint8[::1](_INTEGERS)], nogil=True, cache=True)
def gather(records: Any) -> Any:
    """Return records one after another."""
    total = 0
    for record in records:
        total += _record_bytes(record)
    found = np.empty(total, np.uint8)
    at = found.ctypes.data
    for record in records:
        size = _record_bytes(record)
        copy(at, record, size)
        at += size
    return found


@njit(nogil=True)
def _length(at: Any, size: Any) -> Any:
    """Put a length as eight octets, most significant first; return where it ends."""
    store_word(at, swapped(size))
    return at + 8


@njit(nogil=True)
def _hex(to: Any, data: Any, size: Any) -> Any:
    for at in range(size):
        octet = load_octet(data + at)
        for half in range(2):
            digit = (octet >> (4 - 4 * half)) & 15
            store_octet(to + 2 * at + half, digit + (48 if digit < 10 else 87))
    return to + 2 * size


@njit([types.void(_INTEGERS, _INTEGERS, _FIXED, _FIXED, _INTEGERS, _FIXED, _ROWS, _OCTETS)], nogil=True, cache=True)
def hash_records(
    table: Any, records: Any, key_head: Any, names: Any, name_ends: Any, value_head: Any, rows: Any, present: Any
) -> None:
    """Write a row of key hash and value hash for each record, and whether the row has a value.

    `key_head` is what the digest of a key begins with: the tag and the contract with their lengths; `value_head` the tag of
    values with its length. `names` are the fields' names one after another.
    """
    longest = 0
    for number in range(len(records)):
        size = load_half(records[number] + 4)
        longest = max(longest, 2 * load_short(records[number] + 2), 0 if size == _GONE else size)
    scratch = np.empty(ROOM_BYTES + longest + len(key_head) + len(names) + 512, np.uint8)
    way, room = table.ctypes.data, scratch.ctypes.data
    message = room + ROOM_BYTES
    open_room(room)
    for number in range(len(records)):
        record = records[number]
        if number + _AHEAD < len(records):
            prefetch(records[number + _AHEAD])
            prefetch(records[number + _AHEAD] + 64)
        field, key_size, size = load_short(record), load_short(record + 2), load_half(record + 4)
        copy(message, key_head.ctypes.data, len(key_head))
        head = message + len(key_head)
        at = head + 8
        begin = name_ends[field - 1] if field else 0
        copy(at, names.ctypes.data + begin, name_ends[field] - begin)
        at += name_ends[field] - begin
        if key_size:
            store_octet(at, 46)
            at = _hex(at + 1, record + _RECORD_BYTES, key_size)
        _length(head, at - head - 8)
        later(way, room, message, at - message, rows[number].ctypes.data)
        present[number] = size != _GONE
        if size != _GONE:
            copy(message, value_head.ctypes.data, len(value_head))
            at = _length(message + len(value_head), size)
            copy(at, record + _RECORD_BYTES + key_size, size)
            later(way, room, message, at + size - message, rows[number].ctypes.data + 32)
    finish_all(way, room)
    scratch[0] = 0  # numba gives an array back after its last use, and addresses are none
