"""ChainMaker's hash rules: read-write sets, transactions, the order between them, and blocks.

Source: ChainMaker 2.3.7, utils/v2 and common/v2/crypto/hash; every rule is checked against recorded blocks in the tests.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from changan.crypto.suite import Suite, algorithms
from changan.errors import MalformedError
from changan.ledger.wire.messages import DAG, BlockHeader, Neighbor

if TYPE_CHECKING:
    from changan.crypto.digest import Digest
    from changan.ledger.wire.messages import Transaction, TxRWSet


def rw_set_hash(rw_set: TxRWSet, digest: Digest) -> bytes:
    """Return the digest of one transaction's reads and writes."""
    return digest(rw_set.SerializeToString())


def transaction_hash(transaction: Transaction, digest: Digest) -> bytes:
    """Return the digest of a transaction with its result, the gas left out (block version 2300 and later)."""
    result = transaction.result.contract_result
    gas = result.gas_used
    if not gas:
        return digest(transaction.SerializeToString())
    result.gas_used = 0
    try:
        return digest(transaction.SerializeToString())
    finally:
        result.gas_used = gas


@lru_cache(maxsize=16)
def ordered_dag(tx_count: int) -> DAG:
    """Return the order in which a block's transactions ran: each one after the one before it. Nobody changes it."""
    return DAG(vertexes=[Neighbor(neighbors=[index - 1] if index else []) for index in range(tx_count)])


def dag_hash(dag: DAG, digest: Digest) -> bytes:
    """Return the digest of the order between a block's transactions."""
    return digest(dag.SerializeToString())


def block_hash(header: BlockHeader, digest: Digest) -> bytes:
    """Return the digest of a block header; its own hash and the proposer's signature are left out."""
    bare = BlockHeader()
    bare.CopyFrom(header)
    bare.ClearField("block_hash")
    bare.ClearField("signature")
    return digest(bare.SerializeToString())


def suite_of_block(header: BlockHeader) -> Suite:
    """Return the suite that a block was made with: the one whose digest gives its hash. Raises MalformedError."""
    for suite in Suite:
        if block_hash(header, algorithms(suite).digest) == header.block_hash:
            return suite
    raise MalformedError("the block's hash is that of no suite: the header was changed")
