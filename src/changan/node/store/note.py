"""The file `durable` beside a block log: a height that is known to rest, in two slots that are written in turn."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from changan.node.store.checksum import crc32

if TYPE_CHECKING:
    from pathlib import Path

_SLOT = struct.Struct("<QQI")  # sequence, height + 1, checksum
_SLOT_BYTES = 32


class DurableNote:
    """The note of one log. A slot that was torn leaves the other, which is older."""

    def __init__(self, path: Path, flags: int) -> None:
        """Open the file. Raises FileNotFoundError."""
        self._file = os.open(path, flags, 0o600)
        self._turn = 0

    def read(self) -> int:
        """Return the height that is noted, -1 where none is."""
        best = (-1, -1)
        for slot in range(2):
            data = os.pread(self._file, _SLOT.size, slot * _SLOT_BYTES)
            if len(data) == _SLOT.size:
                turn, above, checksum = _SLOT.unpack(data)
                if crc32(data[:16]) == checksum:
                    best = max(best, (turn, above - 1))
        self._turn = best[0] + 1
        return best[1]

    def write(self, height: int) -> None:
        """Note a height; it rests after `sync`. Raises OSError."""
        data = struct.pack("<QQ", self._turn, height + 1)
        os.pwrite(self._file, data + struct.pack("<I", crc32(data)), self._turn % 2 * _SLOT_BYTES)
        self._turn += 1

    def sync(self) -> None:
        """Make what was noted rest. Raises OSError."""
        if self._file >= 0:
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
