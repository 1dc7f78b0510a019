"""One process of determinism.py: it executes blocks on a home of its own and notes what each of them came to.

`python bench/determinism_worker.py HOME BLOCKS OUT [--stop HEIGHT] [--checkpoint HEIGHT] [--import FILE] [--export FILE]`.
With --stop it ends after that height without closing anything, as a killed process does; what is in HOME already is taken up
from its checkpoint and log. OUT holds a line a block, and at the end one with what all of it came to.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from changan.ledger.snapshot import dump
from changan.ledger.transition import Decided, apply_block
from changan.ledger.wire.messages import BlockWithRWSet, ChainConfig, ConsensusArgs
from changan.node.storage import ChainStorage, record_parts, replay_block
from changan.node.store.checkpoint import write_checkpoint
from changan.node.transfer import export_chain, import_chain
from determinism_load import read_blocks

if TYPE_CHECKING:
    from changan.ledger.transition import AppliedBlock
    from changan.ledger.world import World


def main() -> None:
    """Execute, note, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("blocks", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stop", type=int, default=-1)
    parser.add_argument("--checkpoint", type=int, default=-1)
    parser.add_argument("--import", dest="source", type=Path)
    parser.add_argument("--export", dest="target", type=Path)
    options = parser.parse_args()
    config = ChainConfig.FromString(options.blocks.with_name("genesis").read_bytes())
    with options.out.open("a", encoding="ascii") as out:
        if options.source is not None:
            for _ in import_chain(options.source, options.home):
                pass
        storage = ChainStorage(options.home)
        if options.source is not None:
            _note_replayed(storage, out)
        world = storage.open_world(config)
        outcomes = hashlib.sha256()
        succeeded = total = 0
        for height, (time_us, requests) in enumerate(read_blocks(options.blocks), 1):
            if height <= world.height:
                continue
            decided = Decided(height, time_us, None, requests, [None] * len(requests))
            applied = apply_block(world, decided)
            storage.append(record_parts(applied), height)
            out.write(_line(applied))
            for transaction in applied.block.txs:
                result = transaction.result
                succeeded += result.code == 0
                total += 1
                outcomes.update(transaction.payload.tx_id.encode() + result.code.to_bytes(4, "big"))
                outcomes.update(result.contract_result.SerializeToString(deterministic=True))
            if height == options.checkpoint:
                write_checkpoint(storage.directory / "checkpoints", height, dump(world))
            if height == options.stop:
                out.flush()
                if options.target is not None:
                    for _ in export_chain(storage.log, options.target):
                        pass
                os._exit(0)
        final = {"root": _final_root(world), "outcomes": outcomes.hexdigest(), "succeeded": succeeded, "total": total}
        out.write(json.dumps(final) + "\n")
    storage.close()


def _note_replayed(storage: ChainStorage, out: object) -> None:
    """Execute what was imported once more from genesis, and note each block."""
    world = storage._from_genesis()
    for height in range(1, storage.log.durable_height + 1):
        applied = replay_block(world, BlockWithRWSet.FromString(storage.log.read(height)))
        out.write(_line(applied))  # type: ignore[attr-defined]  # a text file


def _line(applied: AppliedBlock) -> str:
    header = applied.block.header
    bound = ConsensusArgs.FromString(header.consensus_args)
    roots = (header.block_hash, bound.outcome_root, bound.delta_root, bound.state_root)
    return f"{header.block_height} {' '.join(root.hex() or '-' for root in roots)}\n"


def _final_root(world: World) -> str:
    """Return the root over the full state, with the rows that no block's root covers yet."""
    due = world.commitment.close_block(world.height + 1, [], settle=True)
    assert due is not None
    return due.root.hex()


if __name__ == "__main__":
    main()
