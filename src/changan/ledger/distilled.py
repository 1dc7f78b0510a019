"""Distilled bundles: rows of many clients, one a client, under one BLS multi-signature of exactly these clients.

Layout, all little-endian: the head of a bundle with `CGD` and 1; the multi-signature, 96 bytes; the number of each row's client
(u32), strictly increasing; then the columns as every bundle has them. What all clients sign is the digest, tagged and with
each part bound to its length, of chain id, contract, method, transaction id, timestamp (8 bytes, big-endian as the next two),
gas budget (8), rows (4), and the root over one leaf a row: as of the rows of a bundle that ran, but for outcome, gas, result
and events, which are none yet; each row's caller stands before its arguments.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from changan.crypto.digest import tagged
from changan.ledger.bundle import (
    HEAD_BYTES,
    PARAMETER,
    Bundle,
    BundleError,
    encode_columns,
    encode_head,
    read_columns,
    read_head,
)
from changan.ledger.bundle_rows import BundleColumns, BundleRow, rows_of_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract.compiled.columns import ColumnData
    from changan.contract.types import Signature
    from changan.crypto.digest import Digest
    from changan.ledger.roots import Roots
    from changan.ledger.wire.messages import Payload

MAGIC = b"CGD\x01"
SIGNATURE_BYTES = 96
_NUMBER_BYTES = 4
_TAG = b"changan.distilled.1"


class Distilled(NamedTuple):
    """A decoded distilled bundle: the numbers of its clients in the order of the rows, and what they signed together."""

    clients: tuple[int, ...]
    signature: bytes
    bundle: Bundle

    def called_by(self, addresses: bytes) -> Bundle:
        """Return the bundle with its rows' callers, 20 bytes a row."""
        return self.bundle._replace(callers=addresses)


def distilled_parameter(payload: Payload) -> bytes | None:
    """Return the parameter of a call that is a distilled bundle, else None."""
    if len(payload.parameters) != 1 or payload.parameters[0].key != PARAMETER:
        return None
    data = payload.parameters[0].value
    return data if data.startswith(MAGIC) else None


def encode_distilled(
    signature: Signature, columns: Sequence[ColumnData], clients: Sequence[int], budget: int, joined: bytes
) -> bytes:
    """Return the parameter of a distilled bundle; `joined` is the multi-signature."""
    head = encode_head(signature, len(clients), budget, MAGIC)
    return head + joined + struct.pack(f"<{len(clients)}I", *clients) + encode_columns(columns)


def decode_distilled(data: bytes, signature: Signature) -> Distilled:
    """Return the distilled bundle in a parameter. Raises BundleError."""
    rows, budget = read_head(data, signature, MAGIC)
    clients = read_clients(data)
    start = HEAD_BYTES + SIGNATURE_BYTES + _NUMBER_BYTES * rows
    columns = read_columns(data, start, rows, signature)
    return Distilled(clients, data[HEAD_BYTES : HEAD_BYTES + SIGNATURE_BYTES], Bundle(rows, budget, columns))


def read_clients(data: bytes) -> tuple[int, ...]:
    """Return the numbers of a distilled bundle's clients, whatever method it is for. Raises BundleError."""
    rows = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "little")
    start = HEAD_BYTES + SIGNATURE_BYTES
    if len(data) < start + _NUMBER_BYTES * rows:
        raise BundleError(f"the bundle ends before the numbers of its {rows} clients do")
    clients = struct.unpack_from(f"<{rows}I", data, start)
    if list(clients) != sorted(set(clients)):
        raise BundleError("the numbers of the clients grow from row to row, and none comes twice: sort the rows")
    return clients


def rows_root(signature: Signature, bundle: Bundle, roots: Roots) -> bytes:
    """Return the root over the rows of a bundle, with their callers, before it ran."""
    return roots.outcome_root(_without_result(signature), bundle, _nothing_yet(bundle.rows))


def unrun_rows(signature: Signature, bundle: Bundle) -> list[BundleRow]:
    """Return the rows of a bundle, with their callers, before it ran: what `rows_root` is over."""
    return list(rows_of_bundle(_without_result(signature), bundle, _nothing_yet(bundle.rows)))


def _without_result(signature: Signature) -> Signature:
    return replace(signature, result=None)


def _nothing_yet(rows: int) -> BundleColumns:
    return BundleColumns(bytes(4 * rows), bytes(8 * rows), b"", b"", b"", b"")


def signed_message(payload: Payload, budget: int, rows: int, root: bytes, digest: Digest) -> bytes:
    """Return what all clients of a distilled bundle sign, 32 bytes. Of the payload only what is named here counts."""
    return tagged(
        _TAG,
        payload.chain_id.encode(),
        payload.contract_name.encode(),
        payload.method.encode(),
        payload.tx_id.encode(),
        payload.timestamp.to_bytes(8, "big", signed=True),
        budget.to_bytes(8, "big"),
        rows.to_bytes(4, "big"),
        root,
        digest=digest,
    )
