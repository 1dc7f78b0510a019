"""The way of a row to the hash of a block: under the root over the state, or in the group of rows that a delta lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from changan.crypto.merkle import Place, tree_verify
from changan.crypto.state_tree import StateProof, verify_state_proof
from changan.crypto.suite import algorithms
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.commitment import state_key, value_hash
from changan.ledger.hashing import block_hash
from changan.ledger.receipt_text import decoded, path_in, suite_in
from changan.ledger.state import Write
from changan.ledger.wire.messages import BlockHeader, ConsensusArgs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from changan.crypto.digest import Digest

STATE_FORMAT = "state-1"
DELTA_FORMAT = "delta-1"
FORMATS = (STATE_FORMAT, DELTA_FORMAT)
_STEPS_MAX = 256  # of a path in the state tree
_GROUPS_MAX = 1 << 32
_NAME_BYTES_MAX = 1 << 14


class RowPath(NamedTuple):
    """A row that stands under the hash of a block. Who sealed the block is another question."""

    header: BlockHeader
    height: int  # of the state that has the row so, or of the block that wrote it
    row: Write


def follow_path(document: Mapping[str, Any]) -> RowPath:
    """Check the proof of a row up to the block's hash.

    Raises MalformedError for what is no such proof, UnverifiedError for one that does not hold.
    """
    form = document.get("format")
    if form not in FORMATS:
        raise MalformedError(f"this is no proof of a row: its format is none of {', '.join(FORMATS)}")
    digest = algorithms(suite_in(document)).digest
    row = _row(document)
    try:
        header = BlockHeader.FromString(decoded(document, "header"))
        arguments = ConsensusArgs.FromString(header.consensus_args)
    except DecodeError as error:
        raise MalformedError("the header does not decode") from error
    if header.block_hash != block_hash(header, digest):
        raise UnverifiedError("the block's hash is not that of its header")
    if form == STATE_FORMAT:
        _check_state(document, row, arguments, digest)
        return RowPath(header, arguments.state_height, row)
    _check_delta(document, row, arguments, digest)
    return RowPath(header, header.block_height, row)


def _row(document: Mapping[str, Any]) -> Write:
    contract, key, value = (document.get(name) for name in ("contract", "key", "value"))
    if not isinstance(contract, str) or not isinstance(key, str) or "value" not in document:
        raise MalformedError("the proof names no row: contract, key and value, null where there is none")
    try:
        size = max(len(contract.encode()), len(key.encode()))
    except UnicodeEncodeError as error:
        raise MalformedError("the row's name is no text") from error
    if size > _NAME_BYTES_MAX:
        raise MalformedError("the row's name is longer than any row's")
    return Write(contract, key, None if value is None else decoded(document, "value"))


def _check_state(document: Mapping[str, Any], row: Write, arguments: ConsensusArgs, digest: Digest) -> None:
    if not arguments.state_root:
        raise UnverifiedError("the block carries no root over the state")
    place = state_key(row.contract, row.key, digest)
    found = document.get("found")
    if found is None:
        proof = StateProof(tuple(path_in(document, "siblings", _STEPS_MAX)), None, None)
    else:
        leaf = path_in(document, "found", 2)
        if len(leaf) != 2:  # noqa: PLR2004  # a key's hash and a value's
            raise MalformedError("found is the hash of a key and of a value, or null")
        proof = StateProof(tuple(path_in(document, "siblings", _STEPS_MAX)), *leaf)
    if not verify_state_proof(proof, place, arguments.state_root, digest):
        raise UnverifiedError("the row's path does not lead to the block's root over the state")
    is_there = proof.key_hash == place
    if is_there != (row.value is not None):
        raise UnverifiedError("the row is there" if is_there else "there is no such row")
    if row.value is not None and proof.value_hash != value_hash(row.value, digest):
        raise UnverifiedError("the row's value is not the one under the block's root over the state")


def _check_delta(document: Mapping[str, Any], row: Write, arguments: ConsensusArgs, digest: Digest) -> None:
    index, total = (document.get(name) for name in ("group_index", "groups"))
    if type(index) is not int or type(total) is not int or not 0 <= index < total <= _GROUPS_MAX:
        raise MalformedError("group_index and groups are numbers, the first below the second")
    group = decoded(document, "group")
    path = path_in(document, "group_path", _GROUPS_MAX.bit_length())
    if not tree_verify(group, Place(index, total), path, arguments.delta_root, digest):
        raise UnverifiedError("the group of rows is not one under the block's delta root")
    if row not in _rows_of(group):
        raise UnverifiedError("the group of rows does not hold this row with this value")


def _rows_of(group: bytes) -> list[Write]:
    """Return the rows of a group of the delta, as `commitment.delta_record` puts them. Raises UnverifiedError."""
    try:
        return list(_records(group))
    except (IndexError, UnicodeDecodeError) as error:  # under a root that no honest node makes
        raise UnverifiedError("the group holds something that is no row") from error


def _records(group: bytes) -> Iterator[Write]:
    at = 0
    while at < len(group):
        names = []
        for _ in range(2):
            end = at + 2 + int.from_bytes(group[at : at + 2], "big")
            names.append(group[at + 2 : end].decode())
            at = end
        if group[at] == 0:
            value, at = None, at + 1
        else:
            end = at + 5 + int.from_bytes(group[at + 1 : at + 5], "big")
            value, at = group[at + 5 : end], end
        yield Write(names[0], names[1], value)
