"""Receipts: what proves, offline and years later, that a transaction was sealed, how it ended, and what it wrote.

A receipt carries the transaction, its read-write set, the block header, and the paths between them. Whoever holds the
organisations' root certificates needs nothing else.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from changan.crypto.merkle import Place, chainmaker_path, chainmaker_verify, tree_path, tree_verify
from changan.crypto.suite import algorithms, require_built
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.commitment import outcome_leaf
from changan.ledger.hashing import block_hash, rw_set_hash, suite_of_block, transaction_hash
from changan.ledger.roster import is_quorum
from changan.ledger.wire.messages import BlockHeader, Certificate, ConsensusArgs, Transaction, TxRWSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from changan.crypto.suite import Suite
    from changan.ledger.members import Members
    from changan.ledger.wire.messages import BlockWithRWSet

FORMAT = 1
PATH_MAX = 64
CERTIFICATE_KEY = "changan.certificate"
"""Where a block that is handed out carries its certificate of agreement (AdditionalData.extra_data)."""


class Proven(NamedTuple):
    """What a receipt shows once it was verified."""

    header: BlockHeader
    transaction: Transaction
    rw_set: TxRWSet
    proposer: str | None  # common name of who sealed the block; None where no trust roots were given
    agreed: tuple[str, ...] = ()  # organisations whose seals of the block hold, where trust roots were given


def make_receipt(stored: BlockWithRWSet, position: int) -> dict[str, Any]:
    """Return the receipt of one transaction of a block, as JSON. Raises MalformedError for a block with another hash."""
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
        "header": _text(stored.block.header.SerializeToString()),
        "transaction": _text(transactions[position].SerializeToString()),
        "rw_set": _text(stored.txRWSets[position].SerializeToString()),
        "tx_path": texts(chainmaker_path(hashes, position, digest)),
        "rw_set_path": texts(chainmaker_path([tx.result.rw_set_hash for tx in transactions], position, digest)),
        "outcome_path": texts(tree_path(outcomes, position, digest)),
        **agreement_part(stored),
    }


def agreement_part(stored: BlockWithRWSet) -> dict[str, str]:
    """Return what a receipt carries of a block's certificate of agreement; nothing where the block has none."""
    if not stored.block.HasField("additional_data"):
        return {}
    certificate = stored.block.additional_data.extra_data.get(CERTIFICATE_KEY, b"")
    return {"certificate": _text(certificate)} if certificate else {}


def verify_receipt(receipt: Mapping[str, Any], members: Members | None = None) -> Proven:
    """Check a receipt from the leaves to the block's hash, and with `members` also who sealed the block.

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
    return Proven(header, transaction, rw_set, *sealed_by(receipt, header, members))


def sealed_by(
    receipt: Mapping[str, Any], header: BlockHeader, members: Members | None
) -> tuple[str | None, tuple[str, ...]]:
    """Return who sealed a block, and the organisations that agreed on it where the receipt has their certificate.

    Raises MalformedError, UnverifiedError.
    """
    if members is None:
        return None, ()
    if "certificate" in receipt:
        return header.proposer.org_id, _agreed(header, members, decoded(receipt, "certificate"))
    return proposer_of(header, members), ()


def _agreed(header: BlockHeader, members: Members, data: bytes) -> tuple[str, ...]:
    """Return the organisations that sealed a block, if they are more than two thirds of those trusted."""
    try:
        entries = Certificate.FromString(data).seals
    except DecodeError as error:
        raise MalformedError("the certificate does not decode") from error
    if len(entries) > len(members.voters):
        raise UnverifiedError("the certificate has more seals than there are organisations")
    found: set[str] = set()
    for entry in entries:
        sealer = members.authenticate(entry, header.block_hash, header.block_timestamp)
        if sealer.role != "CONSENSUS":
            raise UnverifiedError(f"the block was sealed by {sealer.member_id}, who is no voting node")
        found.add(sealer.org_id)
    if not is_quorum(len(found), len(members.voters)):
        text = f"{len(found)} of {len(members.voters)} organisations sealed the block: that is no quorum"
        raise UnverifiedError(text)
    return tuple(sorted(found))


def proposer_of(header: BlockHeader, members: Members) -> str:
    """Return who sealed a block. Raises UnverifiedError."""
    if not header.HasField("proposer"):
        raise UnverifiedError("block 0 has no proposer: compare its hash with the one you know")
    sealer = members.identify(header.proposer, header.block_timestamp)
    sealer.key.verify(header.block_hash, header.signature, sealer.signature_hash)
    if sealer.role not in {"CONSENSUS", "COMMON"}:
        raise UnverifiedError(f"the block was sealed by {sealer.member_id}, who is no node")
    return sealer.member_id


def _parts(receipt: Mapping[str, Any]) -> tuple[BlockHeader, Transaction, TxRWSet]:
    try:
        return (
            BlockHeader.FromString(decoded(receipt, "header")),
            Transaction.FromString(decoded(receipt, "transaction")),
            TxRWSet.FromString(decoded(receipt, "rw_set")),
        )
    except DecodeError as error:
        raise MalformedError("a part of the receipt does not decode") from error


def suite_in(receipt: Mapping[str, Any]) -> Suite:
    """Return the suite that a receipt names. Raises UnverifiedError for one that is unknown."""
    suite = receipt.get("suite")
    return require_built(suite if isinstance(suite, int) else 0)


def decoded(receipt: Mapping[str, Any], name: str) -> bytes:
    """Return a part of a receipt. Raises MalformedError."""
    value = receipt.get(name)
    if not isinstance(value, str):
        raise MalformedError(f"the receipt has no {name}")
    return _from_base64(value, name)


def _from_base64(value: str, name: str) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{name} is not base64") from error
    if _text(data) != value:  # the last letter has bits that stand for nothing; one receipt has one text
        raise MalformedError(f"{name} is base64 in another form than a receipt's")
    return data


def path_in(receipt: Mapping[str, Any], name: str) -> list[bytes]:
    """Return a path in a receipt. Raises MalformedError."""
    value = receipt.get(name)
    if not isinstance(value, list) or len(value) > PATH_MAX or not all(isinstance(item, str) for item in value):
        raise MalformedError(f"the receipt has no {name}")
    return [_from_base64(item, name) for item in value]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def texts(items: Sequence[bytes]) -> list[str]:
    """Return bytes as a receipt has them."""
    return [_text(item) for item in items]
