"""Where a chain begins whose older blocks are away: the snapshot that it was made from, which is kept beside its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from changan.errors import MalformedError
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.store.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from changan.ledger.wire.messages import BlockHeader
    from changan.node.store.blocklog import BlockLog
    from changan.node.store.checkpoint import Checkpoint

FILE = "base.ckpt"
BLOCKS = "blocks"
"""The section of a snapshot that holds the blocks that travel with it; the last one is that of its height."""


class Base(NamedTuple):
    """A state, and the blocks that came with it."""

    checkpoint: Checkpoint

    @property
    def height(self) -> int:
        """The height at the end of which the state is."""
        return self.checkpoint.height

    def section(self, name: str) -> Iterator[bytes]:
        """Return the items of a section. Raises MalformedError."""
        return self.checkpoint.section(name)

    def header(self, log: BlockLog) -> BlockHeader:
        """Return the header of the block of its height, which stands in the log. Raises ArchivedError, CorruptLogError."""
        return BlockWithRWSet.FromString(log.read(self.height)).block.header


def open_base(chain: Path) -> Base | None:
    """Return the base of a chain in a folder, None for one whose log begins with its genesis. Raises MalformedError."""
    path = chain / FILE
    return read_base(path) if path.exists() else None


def read_base(path: Path) -> Base:
    """Return the base that a file holds. Raises MalformedError."""
    checkpoint = open_checkpoint(path, 0)
    return Base(checkpoint._replace(height=max(blocks_of(checkpoint))))


def blocks_of(checkpoint: Checkpoint) -> dict[int, bytes]:
    """Return the records that travel with a snapshot, by height, in order. Raises MalformedError."""
    found: dict[int, bytes] = {}
    for record in checkpoint.section(BLOCKS):
        try:
            height = BlockWithRWSet.FromString(record).block.header.block_height
        except DecodeError as error:
            raise MalformedError("a block of the snapshot does not decode") from error
        if found and height <= next(reversed(found)):
            raise MalformedError("the blocks of the snapshot are out of order")
        found[height] = record
    if 0 not in found:
        raise MalformedError("the snapshot holds no genesis block")
    return found
