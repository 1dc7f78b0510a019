"""Receipts: what proves, offline and years later, that a transaction was sealed, how it ended, and what it wrote.

A receipt carries the transaction, its read-write set, the block header, and the paths between them. Whoever holds the
organisations' root certificates needs nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from changan.crypto.merkle import Place, chainmaker_path, chainmaker_verify, tree_path, tree_verify
from changan.crypto.suite import algorithms
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.agreement import agreement_part, sealed_by
from changan.ledger.commitment import outcome_leaf
from changan.ledger.hashing import block_hash, rw_set_hash, suite_of_block, transaction_hash
from changan.ledger.receipt_text import decoded, path_in, suite_in, text, texts
from changan.ledger.wire.messages import BlockHeader, ConsensusArgs, Transaction, TxRWSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.ledger.agreement import Links, Trust
    from changan.ledger.wire.messages import BlockWithRWSet

FORMAT = 1


class Proven(NamedTuple):
    """What a receipt shows once it was verified."""

    header: BlockHeader
    transaction: Transaction
    rw_set: TxRWSet
    proposer: str | None  # common name of who sealed the block; None where no trust roots were given
    agreed: tuple[str, ...] = ()  # organisations whose seals of the block hold, where trust roots were given


def make_receipt(stored: BlockWithRWSet, position: int, links: Links = ()) -> dict[str, Any]:
    """Return the receipt of one transaction of a block, as JSON; `links` prove the changes of the voters before it.

    Raises MalformedError for a block with another hash.
    """
    suite = suite_of_block(stored.block.header)
    digest = algorithms(suite).digest
    transactions = stored.block.txs
    hashes = [transaction_hash(tx, digest) for tx in transactions]
    outcomes = [outcome_leaf(tx, digest) for tx in transactions]
    return {
        "format": FORMAT,
        "suite": int(suite),
        "tx_id": transactions[position].payload.tx_id,
        "index": position,
        "header": text(stored.block.header.SerializeToString()),
        "transaction": text(transactions[position].SerializeToString()),
        "rw_set": text(stored.txRWSets[position].SerializeToString()),
        "tx_path": texts(chainmaker_path(hashes, position, digest)),
        "rw_set_path": texts(chainmaker_path([tx.result.rw_set_hash for tx in transactions], position, digest)),
        "outcome_path": texts(tree_path(outcomes, position, digest)),
        **agreement_part(stored, links),
    }


def verify_receipt(receipt: Mapping[str, Any], trust: Trust | None = None) -> Proven:
    """Check a receipt from the leaves to the block's hash, and with `trust` also who sealed the block.

    Raises MalformedError for what is no receipt, UnverifiedError for one that does not hold.
    """
    if receipt.get("format") != FORMAT:
        raise MalformedError(f"this is no receipt of format {FORMAT}")
    digest = algorithms(suite_in(receipt)).digest
    header, transaction, rw_set = _parts(receipt)
    index = receipt.get("index")
    if not isinstance(index, int):
        raise MalformedError("index is no number")
    place = Place(index, header.tx_count)
    if header.block_hash != block_hash(header, digest):
        raise UnverifiedError("the block's hash is not that of its header")
    leaf = transaction_hash(transaction, digest)
    if not chainmaker_verify(leaf, place, path_in(receipt, "tx_path"), header.tx_root, digest):
        raise UnverifiedError("the transaction is not the one under the block's tx_root")
    if rw_set_hash(rw_set, digest) != transaction.result.rw_set_hash:
        raise UnverifiedError("the read-write set is not the transaction's")
    path = path_in(receipt, "rw_set_path")
    if not chainmaker_verify(transaction.result.rw_set_hash, place, path, header.rw_set_root, digest):
        raise UnverifiedError("the read-write set is not the one under the block's rw_set_root")
    outcome = outcome_leaf(transaction, digest)
    root = ConsensusArgs.FromString(header.consensus_args).outcome_root
    if not tree_verify(outcome, place, path_in(receipt, "outcome_path"), root, digest):
        raise UnverifiedError("the outcome is not the one under the block's outcome root")
    return Proven(header, transaction, rw_set, *sealed_by(receipt, header, trust))


def _parts(receipt: Mapping[str, Any]) -> tuple[BlockHeader, Transaction, TxRWSet]:
    try:
        return (
            BlockHeader.FromString(decoded(receipt, "header")),
            Transaction.FromString(decoded(receipt, "transaction")),
            TxRWSet.FromString(decoded(receipt, "rw_set")),
        )
    except DecodeError as error:
        raise MalformedError("a part of the receipt does not decode") from error
