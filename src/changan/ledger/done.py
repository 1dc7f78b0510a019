"""What a transaction that ran leaves in its block: its bytes, its read-write set and its outcome, each with its digest."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from changan.ledger.commitment import outcome_leaf, outcome_leaf_of
from changan.ledger.hashing import rw_set_hash, transaction_hash
from changan.ledger.system import OWN
from changan.ledger.wire.fields import bytes_field, field, number_field, unless_empty
from changan.ledger.wire.messages import TxStatusCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from changan.crypto.digest import Digest
    from changan.ledger.execution import Executed
    from changan.ledger.state import Write
    from changan.ledger.wire.messages import Transaction, TxRequest, TxRWSet

_PAYLOAD, _SENDER, _ENDORSERS, _RESULT, _PAYER = range(1, 6)  # fields of Transaction
_CODE, _CONTRACT_RESULT, _RW_SET_HASH, _MESSAGE = range(1, 5)  # of Result
_TX_ID, _WRITE = 1, 3  # of TxRWSet
_KEY, _VALUE, _CONTRACT = range(1, 4)  # and of TxWrite


class Done(NamedTuple):
    """One transaction of an executed block."""

    tx_id: str
    timestamp: int
    code: int
    message: str
    answer: bytes
    """What the contract answered, a `ContractResult`."""
    data: bytes
    """The transaction as the block holds it, without being built and copied again."""
    digest: bytes
    """See `hashing.transaction_hash`."""
    rw_set: bytes
    rw_digest: bytes
    leaf: bytes
    """What the outcome tree holds of it."""
    writes: list[Write]
    """In the order of its read-write set."""
    settles: bool
    """Whether it brings the state tree up to date."""


def done_of(request: TxRequest, signed: bytes, executed: Executed, digest: Digest) -> Done:
    """Return what a transaction that ran leaves; `signed` is its payload as bytes, where they are at hand."""
    payload, result = request.payload, executed.result
    tx_id = payload.tx_id
    writes = _ordered(executed.writes)
    rw_set = _rw_set(tx_id, writes)
    rw_digest = digest(rw_set)
    head = field(_PAYLOAD, [signed or payload.SerializeToString()])  # in parts: that of a bundle is large
    head.append(bytes_field(_SENDER, request.sender.SerializeToString()))
    head += [bytes_field(_ENDORSERS, endorser.SerializeToString()) for endorser in request.endorsers]
    tail = bytes_field(_PAYER, request.payer.SerializeToString()) if request.HasField("payer") else b""
    before = number_field(_CODE, executed.code)
    after = bytes_field(_RW_SET_HASH, rw_digest) + unless_empty(_MESSAGE, executed.message.encode())

    def whole(called: bytes) -> bytes:
        return b"".join((*head, bytes_field(_RESULT, before + bytes_field(_CONTRACT_RESULT, called) + after), tail))

    with_gas, without = result.encoded()
    data = whole(with_gas)
    hashed = whole(without) if result.gas else data  # `transaction_hash` leaves it out
    leaf = outcome_leaf_of(tx_id, executed.code, result, digest)
    return Done(
        tx_id,
        payload.timestamp,
        executed.code,
        executed.message,
        with_gas,
        data,
        digest(hashed),
        rw_set,
        rw_digest,
        leaf,
        writes,
        _is_settling(payload.contract_name, executed.code),
    )


def done_at_genesis(transaction: Transaction, rw_set: TxRWSet, writes: list[Write], digest: Digest) -> Done:
    """Return what the transaction of block 0 leaves."""
    payload, result = transaction.payload, transaction.result
    return Done(
        payload.tx_id,
        payload.timestamp,
        result.code,
        result.message,
        result.contract_result.SerializeToString(),
        transaction.SerializeToString(),
        transaction_hash(transaction, digest),
        rw_set.SerializeToString(),
        rw_set_hash(rw_set, digest),
        outcome_leaf(transaction, digest),
        writes,
        settles=False,
    )


def _is_settling(contract: str, code: int) -> bool:
    """Whether a transaction brings the state tree up to date: a node asked for it, and may."""
    return contract == OWN and code == TxStatusCode.SUCCESS


def _ordered(writes: Iterable[Write]) -> list[Write]:
    """Return the last write of each row, in the order in which read-write sets list them."""
    last = {(write.contract, write.key): write for write in writes}
    return sorted(last.values(), key=lambda write: f"{write.contract}#{write.key}")


def _rw_set(tx_id: str, writes: Sequence[Write]) -> bytes:
    """Return a `TxRWSet` of nothing but writes. On the wire an empty value says that the row is gone."""
    parts = [unless_empty(_TX_ID, tx_id.encode())]
    for contract, key, value in writes:
        assert value != b"", "no row of ours is empty"
        row = (
            bytes_field(_KEY, key.encode()) + (b"" if value is None else bytes_field(_VALUE, value)) + _named(contract)
        )
        parts.append(bytes_field(_WRITE, row))
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _named(contract: str) -> bytes:
    return bytes_field(_CONTRACT, contract.encode())
