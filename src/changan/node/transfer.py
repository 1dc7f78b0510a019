"""A chain on the move: its blocks as one file, out of one home and into another, checked on the way."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from changan.errors import ChanganError
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.store.blocklog import RECORD_BYTES_MAX, BlockLog
from changan.node.store.checksum import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

MAGIC = b"CHGNEXP\x01"
_HEAD = struct.Struct("<II")  # compressed length, checksum


class TransferError(ChanganError):
    """A file that is no chain, or that does not fit where it should go."""


def export_chain(log: BlockLog, target: Path) -> Iterator[int]:
    """Write the blocks that rest into a new file; yield each height. The node may go on working. Raises TransferError."""
    temporary = target.with_name(f"{target.name}.part")
    if target.exists():
        raise TransferError(f"{target} exists: give another name, or move it away")
    with temporary.open("wb") as file:
        file.write(MAGIC)
        for height in range(log.durable_height + 1):
            body = zlib.compress(log.read(height), 1)
            file.write(_HEAD.pack(len(body), crc32(body)) + body)
            yield height
        file.write(_HEAD.pack(0, 0))
    temporary.replace(target)


def import_chain(source: Path, directory: Path) -> Iterator[int]:
    """Write the blocks of a file into a new chain's folder; yield each height. Raises TransferError.

    The blocks must link; everything else is for `changan verify` to say.
    """
    if directory.exists():
        raise TransferError(f"{directory} exists: a chain is imported into a home that does not have it")
    with source.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise TransferError(f"{source} is no exported chain of this release")
        log = BlockLog(directory / "log")
        previous = b""
        try:
            for height, record in enumerate(_records(source, file)):
                previous = _linked(source, height, record, previous)
                log.append(height, record)
                yield height
            log.sync()
        finally:
            log.close()


def chain_id_of(source: Path) -> str:
    """Return the id of the chain that a file holds. Raises TransferError."""
    with source.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise TransferError(f"{source} is no exported chain of this release")
        for record in _records(source, file):
            try:
                return BlockWithRWSet.FromString(record).block.header.chain_id
            except DecodeError as error:
                raise TransferError(f"{source}: block 0 does not decode") from error
    raise TransferError(f"{source} holds no block")


def _records(source: Path, file: BufferedReader) -> Iterator[bytes]:
    while True:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise TransferError(f"{source} is cut short: export it again")
        length, checksum = _HEAD.unpack(head)
        if length == checksum == 0 and not file.read(1):
            return
        body = file.read(length)
        if not body or len(body) < length or crc32(body) != checksum:
            raise TransferError(f"{source} is damaged: export it again")
        inflate = zlib.decompressobj()
        try:
            record = inflate.decompress(body, RECORD_BYTES_MAX)
        except zlib.error as error:
            raise TransferError(f"{source} is damaged: export it again") from error
        if not inflate.eof:
            raise TransferError(f"{source} is damaged: export it again")
        yield record


def _linked(source: Path, height: int, record: bytes, previous: bytes) -> bytes:
    try:
        header = BlockWithRWSet.FromString(record).block.header
    except DecodeError as error:
        raise TransferError(f"{source}: block {height} does not decode") from error
    if header.block_height != height or header.pre_block_hash != previous:
        raise TransferError(f"{source}: block {height} does not follow the block before it")
    return header.block_hash
