"""Rows of a contract as records one after another: what a delta holds, a checkpoint keeps and a compiled module reads and writes.

A record is the field's number (u16), the length of the key (u16) and of the value (u32, all ones where the row is gone),
little-endian, then key and value as `codec.pack` has them; a list's length has an empty key.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from changan.contract.codec import BadArgumentError
from changan.contract.instance import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HEADER = struct.Struct("<HHI")
HEADER_BYTES = _HEADER.size
GONE = 0xFFFFFFFF
"""The length of a value that is no more."""
_CUT = "a record of a delta is cut short"


def record(field: int, key: bytes, value: bytes | None) -> bytes:
    """Return the record of a row of the field with this number; without a value the row is gone."""
    return _HEADER.pack(field, len(key), GONE if value is None else len(value)) + key + (value or b"")


def record_of(places: Mapping[str, int], row: Row) -> bytes:
    """Return one row as a record; `places` are the fields' numbers by name."""
    name, _, key = row.key.partition(".")
    return record(places[name], bytes.fromhex(key), row.value)


def records(data: bytes) -> Iterator[bytes]:
    """Return the records that stand one after another. Raises BadArgumentError."""
    at = 0
    while at < len(data):
        _, key_size, size = _header(data, at)
        end = at + HEADER_BYTES + key_size + (0 if size == GONE else size)
        if end > len(data):
            raise BadArgumentError(_CUT)
        yield data[at:end]
        at = end


def rows_of(names: Sequence[str], data: bytes) -> Iterator[Row]:
    """Return the rows that records stand for; `names` are the fields' names by number. Raises BadArgumentError."""
    at, end = 0, len(data)
    while at < end:
        field, key_size, size = _header(data, at)
        if field >= len(names):
            raise BadArgumentError("a record of a delta names no field")
        start = at + HEADER_BYTES
        middle = start + key_size
        at = middle + (0 if size == GONE else size)
        if at > end:
            raise BadArgumentError(_CUT)
        key = f"{names[field]}.{data[start:middle].hex()}" if key_size else names[field]
        yield Row(key, None if size == GONE else data[middle:at])


def find_value(data: bytes, field: int, key: bytes) -> tuple[bytes | None] | None:
    """Return what records say of a row: its value, None inside where it is gone, and None where they do not name it.

    Raises BadArgumentError.
    """
    if key not in data:
        return None
    at, head, found = 0, struct.pack("<HH", field, len(key)), None
    while at < len(data):
        _, key_size, size = _header(data, at)
        start = at + HEADER_BYTES
        middle = start + key_size
        after = middle + (0 if size == GONE else size)
        if data.startswith(head, at) and data[start:middle] == key:
            found = (None if size == GONE else data[middle:after],)
        at = after
    return found


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Return field, key size and value size of the record at a place. Raises BadArgumentError."""
    try:
        return _HEADER.unpack_from(data, at)
    except struct.error as error:
        raise BadArgumentError("a record of a delta does not decode") from error
