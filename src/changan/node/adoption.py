"""A chain's folder made of a snapshot: taken in if the audit passes on what it makes, and not otherwise."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from changan.errors import UnverifiedError
from changan.ledger.rule_sets import RULES, require_known, rules_at
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.audit import Auditor
from changan.node.beginning import FILE, Base, blocks_of, read_base
from changan.node.store.blocklog import BlockLog
from changan.node.store.partial import write_partial_log

if TYPE_CHECKING:
    from pathlib import Path

    from changan.ledger.wire.messages import BlockHeader, ChainConfig


def adopt(staged: Path, chain: Path, genesis: ChainConfig, block_hash: bytes) -> tuple[BlockHeader, int]:
    """Make the folder `chain` of one that holds a snapshot as its base.

    Return the header of the snapshot's last block, and by which rules the next one is executed.

    `block_hash` is the hash that this block must have, `genesis` the configuration that the chain began with. Raises
    MalformedError, UnverifiedError, AuditError, CorruptLogError, UnknownRulesError, OSError.
    """
    base = read_base(staged / FILE)
    write_partial_log(staged / "log", blocks_of(base.checkpoint))
    log = BlockLog(staged / "log")
    try:
        made = _checked(log, base, genesis, block_hash)
    finally:
        log.close()
    staged.rename(chain)
    folder = os.open(chain.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return made


def _checked(log: BlockLog, base: Base, genesis: ChainConfig, block_hash: bytes) -> tuple[BlockHeader, int]:
    _, made = apply_genesis(genesis)
    if BlockWithRWSet.FromString(log.read(0)).block.header.block_hash != made.block.header.block_hash:
        raise UnverifiedError("the snapshot is of a chain with another genesis")
    header = base.header(log)
    if header.block_hash != block_hash:
        raise UnverifiedError(f"block {base.height} of the snapshot is not the one that was agreed on")
    auditor = Auditor(log, base=base)
    for _ in auditor.blocks():
        pass
    rules = rules_at(auditor.config, base.height + 1)
    require_known(rules, RULES, base.height + 1)
    return header, rules
