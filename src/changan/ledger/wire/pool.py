"""A descriptor pool of our own, filled from a serialized FileDescriptorSet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import descriptor_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

_SET_FIELD = 0x0A  # FileDescriptorSet.file: field 1, length-delimited
_CONTINUED = 0x80


def pool_of(data: bytes) -> descriptor_pool.DescriptorPool:
    """Return a pool that holds the files of a serialized FileDescriptorSet, and nothing else."""
    pool = descriptor_pool.DescriptorPool()
    for raw in _files(data):
        pool.AddSerializedFile(raw)
    return pool


def _files(data: bytes) -> Iterator[bytes]:
    """Split a serialized FileDescriptorSet into its files."""
    at = 0
    while at < len(data):
        assert data[at] == _SET_FIELD
        at += 1
        length = shift = 0
        while True:
            byte = data[at]
            at += 1
            length |= (byte & ~_CONTINUED) << shift
            shift += 7
            if byte < _CONTINUED:
                break
        yield data[at : at + length]
        at += length
