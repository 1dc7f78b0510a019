"""The audit's hashes: every tree and record that a block is hashed into, written a second time, over the chain's digest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SM3, Hash

from changan.ledger.wire.messages import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_GROUP = 16


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sha3_256(data: bytes) -> bytes:
    return hashlib.sha3_256(data).digest()


def _sm3(data: bytes) -> bytes:
    state = Hash(SM3())
    state.update(data)
    return state.finalize()


DIGESTS: dict[str, Callable[[bytes], bytes]] = {"SHA256": _sha256, "SHA3_256": _sha3_256, "SM3": _sm3}
"""What a chain's configuration may name (`crypto.hash`)."""


class AuditHashes:
    """What is hashed how, over one digest."""

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        self.of = digest

    def tagged(self, tag: bytes, *parts: bytes) -> bytes:
        """Return the digest of a tag and parts, each bound to its length."""
        return self.of(b"".join(len(part).to_bytes(8, "big") + part for part in (tag, *parts)))

    def doubling_root(self, leaves: Sequence[bytes]) -> bytes:
        """Return the root of ChainMaker's tree: the last of an odd row stands beside itself."""
        row = list(leaves)
        while len(row) > 1:
            row += row[-1:] * (len(row) % 2)
            row = [self.of(left + right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    def prefixed_root(self, leaves: Sequence[bytes]) -> bytes:
        """Return the root of RFC 9162's tree by its recursive definition: split at the largest power of two below the length."""
        if not leaves:
            return bytes(32)
        if len(leaves) == 1:
            return self.of(b"\x00" + leaves[0])
        split = 1 << (len(leaves) - 1).bit_length() - 1
        return self.of(b"\x01" + self.prefixed_root(leaves[:split]) + self.prefixed_root(leaves[split:]))

    def without_gas(self, tx: Transaction) -> bytes:
        """Return the hash of a transaction, in which its gas does not count."""
        copy = Transaction.FromString(tx.SerializeToString())
        copy.result.contract_result.gas_used = 0
        return self.of(copy.SerializeToString())

    def outcome(self, tx: Transaction) -> bytes:
        """Return the leaf of a transaction in the tree of outcomes, in which its gas counts."""
        result = tx.result.contract_result
        numbers = b"".join(number.to_bytes(8, "big") for number in (tx.result.code, result.code, result.gas_used))
        events = self.tagged(b"changan.events", *(event.SerializeToString() for event in result.contract_event))
        return self.tagged(
            b"changan.outcome", tx.payload.tx_id.encode(), numbers, result.result, result.message.encode(), events
        )

    def delta(self, writes: Sequence[tuple[str, str, bytes | None]]) -> bytes:
        """Return the root over the rows that a block changed, in groups."""
        records = []
        for contract, name, value in writes:
            owner, key = contract.encode(), name.encode()
            record = len(owner).to_bytes(2, "big") + owner + len(key).to_bytes(2, "big") + key
            records.append(record + (b"\x00" if value is None else b"\x01" + len(value).to_bytes(4, "big") + value))
        groups = [b"".join(records[at : at + _GROUP]) for at in range(0, len(records), _GROUP)]
        return self.prefixed_root(groups)
