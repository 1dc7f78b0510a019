"""Receipts of single rows of a bundle: row, bundle, block. The bundle itself need not be shown.

A row's leaf binds its arguments, outcome, gas, result and events, and the caller where each row has its own; the bundle's
result binds the root over its leaves, else who called, and what; the block binds the bundle's result by its outcome root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from changan.crypto.addresses import ADDRESS_BYTES
from changan.crypto.merkle import Place, tree_path, tree_verify
from changan.crypto.suite import algorithms
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.agreement import agreement_part, sealed_by
from changan.ledger.bundle import MESSAGE
from changan.ledger.bundle_rows import BundleRow, rows_of_bundle
from changan.ledger.commitment import outcome_leaf
from changan.ledger.hashing import block_hash, suite_of_block
from changan.ledger.receipt_text import decoded, path_in, suite_in, text, texts
from changan.ledger.wire.messages import (
    BlockHeader,
    BundleResult,
    ConsensusArgs,
    ContractResult,
    Payload,
    Result,
    Transaction,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.contract.types import Signature
    from changan.ledger.agreement import Links, Trust
    from changan.ledger.bundle import Bundle
    from changan.ledger.wire.messages import BlockWithRWSet

FORMAT = "row-1"
_NUMBERS = ("row", "outcome", "gas", "index", "code")


class ProvenRow(NamedTuple):
    """What a row's receipt shows once it was verified."""

    header: BlockHeader
    tx_id: str
    bundle: BundleResult
    row: BundleRow
    caller: bytes  # 20 bytes
    arguments: bytes
    proposer: str | None  # common name of who sealed the block; None where no trust roots were given
    agreed: tuple[str, ...]  # organisations whose seals of the block hold, where trust roots were given


def make_row_receipt(
    stored: BlockWithRWSet, position: int, signature: Signature, bundle: Bundle, number: int, links: Links = ()
) -> dict[str, Any]:
    """Return the receipt of one row as JSON. Raises IndexError where the bundle has no such row."""
    suite = suite_of_block(stored.block.header)
    digest = algorithms(suite).digest
    side = next(rows for rows in stored.bundle_rows if rows.position == position)
    rows = list(rows_of_bundle(signature, bundle, side))
    row = rows[number]
    transaction = stored.block.txs[position]
    leaves = [outcome_leaf(tx, digest) for tx in stored.block.txs]
    return {
        "format": FORMAT,
        "suite": int(suite),
        "tx_id": transaction.payload.tx_id,
        "row": number,
        "outcome": row.outcome,
        "gas": row.gas,
        **dict(zip(("arguments", "result", "events"), texts([row.arguments, row.result, row.events]), strict=True)),
        "row_path": texts(tree_path([each.leaf for each in rows], number, digest)),
        "index": position,
        "code": transaction.result.code,
        "contract_result": text(transaction.result.contract_result.SerializeToString()),
        "outcome_path": texts(tree_path(leaves, position, digest)),
        "header": text(stored.block.header.SerializeToString()),
        **agreement_part(stored, links),
    }


def verify_row_receipt(receipt: Mapping[str, Any], trust: Trust | None = None) -> ProvenRow:
    """Check a row's receipt from its leaf to the block's hash, and with `trust` also who sealed the block.

    Raises MalformedError for what is no receipt, UnverifiedError for one that does not hold.
    """
    if receipt.get("format") != FORMAT:
        raise MalformedError(f"this is no receipt of format {FORMAT}")
    digest = algorithms(suite_in(receipt)).digest
    numbers = {name: receipt.get(name) for name in _NUMBERS}
    tx_id = receipt.get("tx_id")
    if not isinstance(tx_id, str) or not all(type(n) is int and 0 <= n < 1 << 32 for n in numbers.values()):
        raise MalformedError("the receipt lacks a number or the transaction's id")
    arguments, result, events = (decoded(receipt, name) for name in ("arguments", "result", "events"))
    row = BundleRow(receipt["row"], arguments, receipt["outcome"], receipt["gas"], result, events)
    try:
        header = BlockHeader.FromString(decoded(receipt, "header"))
        contract_result = ContractResult.FromString(decoded(receipt, "contract_result"))
        bundle = BundleResult.FromString(contract_result.result)
        root = ConsensusArgs.FromString(header.consensus_args).outcome_root
    except DecodeError as error:
        raise MalformedError("a part of the receipt does not decode") from error
    if contract_result.message != MESSAGE or contract_result.code or receipt["code"]:
        raise UnverifiedError("the result is not that of a bundle")
    if header.block_hash != block_hash(header, digest):
        raise UnverifiedError("the block's hash is not that of its header")
    place = Place(row.number, bundle.rows)
    if not tree_verify(row.leaf, place, path_in(receipt, "row_path"), bundle.outcome_root, digest):
        raise UnverifiedError("the row is not the one under the bundle's outcome root")
    bare = Transaction(
        payload=Payload(tx_id=tx_id), result=Result(code=receipt["code"], contract_result=contract_result)
    )
    place = Place(receipt["index"], header.tx_count)
    if not tree_verify(outcome_leaf(bare, digest), place, path_in(receipt, "outcome_path"), root, digest):
        raise UnverifiedError("the bundle's result is not the one under the block's outcome root")
    caller, own = bundle.caller, arguments
    if not caller:  # each row of a distilled bundle has its own
        caller, own = arguments[:ADDRESS_BYTES], arguments[ADDRESS_BYTES:]
    return ProvenRow(header, tx_id, bundle, row, caller, own, *sealed_by(receipt, header, trust))
