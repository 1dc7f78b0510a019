"""The state that a log was begun with whose older blocks are away, read for the audit by code of its own."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from changan.contract.package import recognise
from changan.contract.program import compile_source
from changan.errors import MalformedError
from changan.ledger.wire.messages import Contract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from changan.node.audit_hashes import AuditHashes
    from changan.node.beginning import Base

_CODE = "ContractByteCode:"
_OWN = "CHANGAN"
_HASH_BYTES = 32
_GONE = 0xFFFFFFFF


class BaseState(NamedTuple):
    """All rows at the end of a base's height, and what the rows of remembered ids were made from."""

    rows: Mapping[tuple[str, str], bytes]
    running: dict[int, bytes]
    """The running digest over the ids of a second."""
    ids: set[bytes]
    """The digests of the remembered ids."""
    forgotten: int | None


def read_state(base: Base, hashes: AuditHashes) -> BaseState:
    """Read a base; whether its rows are those of the chain is for the root over them to say. Raises MalformedError."""
    try:
        rows = dict(_system_rows(base))
        running, ids, forgotten = _remembered(base, hashes)
        for (contract, key), code in list(rows.items()):
            if contract == "CONTRACT_MANAGE" and key.startswith(_CODE):
                rows.update(_contract_rows(base, rows, key.removeprefix(_CODE), code))
    except (struct.error, IndexError, KeyError, ValueError, DecodeError) as error:
        raise MalformedError("the rows of the base do not decode") from error
    rows.update({(_OWN, f"ids.{second}"): digest for second, digest in running.items()})
    if forgotten is not None:
        rows[_OWN, "ids-forgotten"] = str(forgotten).encode()
    return BaseState(rows, running, ids, forgotten)


def _system_rows(base: Base) -> Iterator[tuple[tuple[str, str], bytes]]:
    for item in base.section("rows"):
        contract, at = _bound(item, 0, 2)
        key, at = _bound(item, at, 2)
        there, (value, end) = item[at], _bound(item, at + 1, 4)
        if there != 1 or end != len(item):
            raise MalformedError("a row of the base is not what it says")
        yield (contract.decode(), key.decode()), value


def _bound(item: bytes, at: int, width: int) -> tuple[bytes, int]:
    start = at + width
    end = start + int.from_bytes(item[at:start], "big")
    if end > len(item):
        raise MalformedError("a row of the base is cut short")
    return item[start:end], end


def _remembered(base: Base, hashes: AuditHashes) -> tuple[dict[int, bytes], set[bytes], int | None]:
    first, *seconds = base.section("remembered")
    forgotten = int.from_bytes(first, "big", signed=True)
    running: dict[int, bytes] = {}
    ids: set[bytes] = set()
    for item in seconds:
        second, digest = int.from_bytes(item[:8], "big", signed=True), b""
        for at in range(8 + _HASH_BYTES, len(item), _HASH_BYTES):
            digest = hashes.tagged(b"changan.ids", digest, item[at : at + _HASH_BYTES])
            ids.add(item[at : at + _HASH_BYTES])
        if digest != item[8 : 8 + _HASH_BYTES]:
            raise MalformedError("the ids of the base are not those of their digest")
        running[second] = digest
    return running, ids, forgotten if forgotten > -(2**62) else None


def _contract_rows(
    base: Base, rows: Mapping[tuple[str, str], bytes], name: str, code: bytes
) -> Iterator[tuple[tuple[str, str], bytes]]:
    name = Contract.FromString(rows["CONTRACT_MANAGE", f"Contract:{name}"]).name
    fields = list(compile_source(recognise(code) or "").fields)
    for piece in base.section(f"contract.{name}"):
        at = 0
        while at < len(piece):
            field, key_length, length = struct.unpack_from("<HHI", piece, at)
            start, end = at + 8, at + 8 + key_length + length
            if length == _GONE or end > len(piece):
                raise MalformedError("a row of the base is cut short")
            key = piece[start : start + key_length].hex()
            yield (name, f"{fields[field]}.{key}" if key else fields[field]), piece[start + key_length : end]
            at = end
