"""How a segment of the block log is written: its head, and the heads of its records."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from changan.node.store.checksum import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"CHGNLOG\x01"
FILE_HEAD = struct.Struct("<8sQ")
RECORD_HEAD = struct.Struct("<QIII")  # height, payload length, checksum of the payload, checksum of these three


def pack_head(height: int, parts: Iterable[bytes]) -> bytes:
    """Return the head of a record whose payload has these parts."""
    length = checksum = 0
    for part in parts:
        length, checksum = length + len(part), crc32(part, checksum)
    head = struct.pack("<QII", height, length, checksum)
    return head + struct.pack("<I", crc32(head))


def head_is_whole(head: bytes) -> bool:
    """Whether a record's head is as it was written."""
    return crc32(head[:-4]).to_bytes(4, "little") == head[-4:]


def is_zero(file: int, start: int, end: int) -> bool:
    """Whether a stretch of a file was never written."""
    while start < end:
        data = os.pread(file, min(1 << 20, end - start), start)
        if any(data) or not data:
            return False
        start += len(data)
    return True
