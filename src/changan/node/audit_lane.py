"""The audit of the distilled lane: who the clients of a bundle are, that they signed it, and that each proved to hold its key."""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from changan.crypto.bls import BlsKey, require_together
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.wire.messages import BlsClient
from changan.node.audit_keys import MemberError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from changan.ledger.wire.messages import Payload, Transaction, TxRWSet
    from changan.node.audit_members import AuditMembers

_NAME = "CHANGAN.BLS"
_HEAD = struct.Struct("<4sIQ8s")
_SIGNATURE_BYTES = 96
_ADDRESS_BYTES = 20
_key = lru_cache(maxsize=131_072)(BlsKey)


def is_distilled(data: bytes) -> bool:
    """Whether a bundle's rows have clients of their own."""
    return data[:4] == b"CGD\x01"


def columns_start(data: bytes) -> int:
    """Return where the columns of a bundle begin, whichever kind it is."""
    rows: int = _HEAD.unpack_from(data)[1]
    return _HEAD.size + (_SIGNATURE_BYTES + 4 * rows if is_distilled(data) else 0)


class AuditLane:
    """Reads clients from the audit's rows as they are before a block."""

    def __init__(
        self,
        rows: Mapping[tuple[str, str], bytes],
        members: AuditMembers,
        root: Callable[[Sequence[bytes]], bytes],
        digest: Callable[[bytes], bytes],
    ) -> None:
        self._rows = rows
        self._members = members
        self._root = root
        self._digest = digest

    def clients(self, data: bytes, time: int) -> list[BlsClient]:
        """Return the clients of a distilled bundle. Raises MemberError for one that may not sign at `time`, struct.error."""
        rows = _HEAD.unpack_from(data)[1]
        numbers = struct.unpack_from(f"<{rows}I", data, _HEAD.size + _SIGNATURE_BYTES)
        if any(after <= before for before, after in pairwise(numbers)):
            raise MemberError("the clients of a bundle are out of order")
        return [self._client(number, time) for number in numbers]

    def _client(self, number: int, time: int) -> BlsClient:
        row = self._rows.get((_NAME, f"client.{number}"))
        client = None if row is None else BlsClient.FromString(row)
        if client is None or client.revoked:
            raise MemberError(f"client {number} of a bundle is not registered, or was revoked")
        self._members.require(client.member, time)
        return client

    def signed(self, payload: Payload, clients: Sequence[BlsClient], arguments: Sequence[bytes]) -> bool:
        """Whether exactly these clients signed a bundle; `arguments` stand behind each row's caller. Raises BlsMissingError."""
        data = payload.parameters[0].value
        _, rows, budget, _ = _HEAD.unpack_from(data)
        leaves = [
            struct.pack("<IIQI", row, 0, 0, len(shown)) + shown + bytes(8)  # neither result nor events yet
            for row, shown in enumerate(arguments)
        ]
        parts = [
            b"changan.distilled.1",
            payload.chain_id.encode(),
            payload.contract_name.encode(),
            payload.method.encode(),
            payload.tx_id.encode(),
            struct.pack(">q", payload.timestamp),
            struct.pack(">Q", budget),
            struct.pack(">I", rows),
            self._root(leaves),
        ]
        message = self._digest(b"".join(struct.pack(">Q", len(part)) + part for part in parts))
        try:
            keys = [_key(client.key) for client in clients]
            require_together(keys, message, data[_HEAD.size : _HEAD.size + _SIGNATURE_BYTES])
        except (MalformedError, UnverifiedError):
            return False
        return True


def is_registration(tx: Transaction) -> bool:
    """Whether a transaction made somebody a client."""
    return (tx.payload.contract_name, tx.payload.method) == (_NAME, "REGISTER") and not tx.result.code


def proves_possession(tx: Transaction, rw_set: TxRWSet) -> bool:
    """Whether a registration wrote its sender with the key that it brought, and the key signed for it. Raises BlsMissingError."""
    given = {parameter.key: parameter.value for parameter in tx.payload.parameters}
    made = [
        BlsClient.FromString(write.value)
        for write in rw_set.tx_writes
        if write.contract_name == _NAME and write.key.startswith(b"client.")
    ]
    if len(made) != 1 or len(made[0].address) != _ADDRESS_BYTES:
        return False
    [client] = made
    try:
        statement = tx.payload.chain_id.encode() + client.address
        _key(client.key).require_possession(statement, given.get("proof", b""))
    except (MalformedError, UnverifiedError):
        return False
    return client.key == given.get("key") and client.member == tx.sender.signer
