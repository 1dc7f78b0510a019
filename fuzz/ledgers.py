"""The ledger that the fuzz targets run on: rebuilt from blocks kept beside the corpus, so that no private key is kept."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.storage import genesis_config, replay_block

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changan.ledger.members import Identity
    from changan.ledger.wire.messages import EndorsementEntry
    from changan.ledger.world import World

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
BLOCKS_FILE = HERE / "ledger.blocks"
_LENGTH = struct.Struct(">I")


def write_blocks(records: Iterable[bytes]) -> None:
    """Keep the blocks of a ledger."""
    BLOCKS_FILE.write_bytes(b"".join(_LENGTH.pack(len(record)) + record for record in records))


def read_blocks() -> list[bytes]:
    """Return the kept blocks' records."""
    data, at, found = BLOCKS_FILE.read_bytes(), 0, []
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


RECORDS = read_blocks() if BLOCKS_FILE.exists() else []
STORED = [BlockWithRWSet.FromString(record) for record in RECORDS]


def new_world() -> World:
    """Return the state at the end of the kept blocks."""
    world, _ = apply_genesis(genesis_config(STORED[0]))
    for stored in STORED[1:]:
        replay_block(world, stored)
    return world


def senders() -> list[EndorsementEntry]:
    """Return the kept blocks' first sender (a client) and endorser (an admin)."""
    transactions = [tx for stored in STORED[1:] for tx in stored.block.txs]
    admin = next(entry for tx in transactions for entry in tx.endorsers)
    return [transactions[0].sender, admin]


def identities(world: World) -> list[Identity]:
    """Return those senders as the ledger knows them."""
    time = world.block_time_us // 1_000_000
    return [world.members.identify(entry.signer, time) for entry in senders()]
