"""The checksum of what a chain writes is CRC-32 as zlib has it."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from changan.node.store.checksum import crc32


@given(st.binary(max_size=3000), st.integers(0, 2**32 - 1))
def test_the_checksum_is_that_of_every_log_written_so_far(data, start):
    assert crc32(data, start) == zlib.crc32(data, start)
    assert crc32(memoryview(data)[1:], start) == zlib.crc32(data[1:], start)
