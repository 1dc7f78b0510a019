"""Blocks and receipts whose hashes are made to hold again, so that what is fuzzed looks behind them."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.message import DecodeError

from changan.crypto.digest import sha256
from changan.crypto.merkle import chainmaker_root, tree_root
from changan.ledger.commitment import outcome_leaf
from changan.ledger.hashing import block_hash, dag_hash, ordered_dag, rw_set_hash, transaction_hash
from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs, Transaction, TxRWSet
from changan.node import audit
from changan.node.audit_keys import MemberError


def mended_receipt(stored: BlockWithRWSet, position: int) -> dict[str, Any]:
    """Return a receipt of a block of one transaction, all of whose hashes hold."""
    tx, rw_set = Transaction(), TxRWSet()
    tx.CopyFrom(stored.block.txs[position])
    rw_set.CopyFrom(stored.txRWSets[position])
    mended = BlockWithRWSet(txRWSets=[rw_set])
    mended.block.CopyFrom(stored.block)
    del mended.block.txs[:]
    mended.block.txs.append(tx)
    mend(mended)
    parts = {"header": mended.block.header, "transaction": mended.block.txs[0], "rw_set": rw_set}
    texts = {name: base64.b64encode(part.SerializeToString()).decode() for name, part in parts.items()}
    return {"format": 1, "suite": 1, "index": 0, "tx_path": [], "rw_set_path": [], "outcome_path": [], **texts}


def mend(stored: BlockWithRWSet) -> None:
    """Make the hashes of a block hold, so that an audit looks further."""
    block, header = stored.block, stored.block.header
    header.tx_count = len(block.txs)
    for tx, rw_set in zip(block.txs, stored.txRWSets, strict=False):
        rw_set.tx_id = tx.payload.tx_id
        tx.result.rw_set_hash = rw_set_hash(rw_set, sha256)
    block.dag.CopyFrom(ordered_dag(len(block.txs)))
    header.dag_hash = dag_hash(block.dag, sha256)
    header.tx_root = chainmaker_root([transaction_hash(tx, sha256) for tx in block.txs], sha256)
    header.rw_set_root = chainmaker_root([tx.result.rw_set_hash for tx in block.txs], sha256)
    try:
        arguments = ConsensusArgs.FromString(header.consensus_args)
    except DecodeError:
        arguments = ConsensusArgs()
    arguments.outcome_root = tree_root([outcome_leaf(tx, sha256) for tx in block.txs], sha256)
    header.consensus_args = arguments.SerializeToString()
    header.block_hash = block_hash(header, sha256)


class Records:
    """A log of records in memory, as an audit reads it."""

    def __init__(self, records: list[bytes]) -> None:
        self._records = records
        self.durable_height = len(records) - 1

    def read(self, height: int) -> bytes:
        """Return a record."""
        return self._records[height]


class Lenient(audit.Auditor):
    """An audit that takes every signature as good, so that inputs come further."""

    def _signatures(self, need: audit._Need, stored: Any) -> None:
        for tx in stored.block.txs:
            try:
                self._members.verifies(tx.sender.signer, b"", b"", stored.block.header.block_timestamp)
            except MemberError as error:
                raise need.error(str(error)) from None
