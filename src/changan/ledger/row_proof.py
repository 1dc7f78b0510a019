"""Proofs of rows: what a row of the state is at a height, or that there is none; and what a block wrote. Checked offline.

A state proof leads from the row's place in the state tree to the root that a block's header binds; a delta proof, from the
group of rows in which the block's delta lists it to the header's delta root. Both roots are under the block's hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError

from changan.crypto.merkle import Place, tree_path, tree_verify
from changan.crypto.state_tree import StateProof, verify_state_proof
from changan.crypto.suite import algorithms, require_built
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.commitment import DELTA_GROUP_ROWS, delta_groups, state_key, value_hash
from changan.ledger.hashing import block_hash, suite_of_block
from changan.ledger.receipt import agreement_part, decoded, sealed_by, texts
from changan.ledger.state import Write
from changan.ledger.wire.messages import BlockHeader, ConsensusArgs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from changan.crypto.digest import Digest
    from changan.ledger.members import Members
    from changan.ledger.wire.messages import BlockWithRWSet

STATE_FORMAT = "state-1"
DELTA_FORMAT = "delta-1"
FORMATS = (STATE_FORMAT, DELTA_FORMAT)
_STEPS_MAX = 256  # of a path in the state tree
_GROUPS_MAX = 1 << 32
_NAME_BYTES_MAX = 1 << 14


class ProvenRow(NamedTuple):
    """What a proof of a row shows once it was verified."""

    header: BlockHeader
    height: int  # of the state that has the row so, or of the block that wrote it
    contract: str
    key: str  # of the row: a field's name, and after a dot the key in hex
    value: bytes | None  # None: there is no such row, or the block took it out
    proposer: str | None  # common name of who sealed the block; None where no trust roots were given
    agreed: tuple[str, ...]  # organisations whose seals of the block hold, where trust roots were given


def make_state_proof(stored: BlockWithRWSet, name: Write, proof: StateProof) -> dict[str, Any]:
    """Return the proof of a row as JSON. `name` is the row with its value at the height whose root the block carries."""
    found = None
    if proof.key_hash is not None and proof.value_hash is not None:
        found = texts([proof.key_hash, proof.value_hash])
    return {**_head(STATE_FORMAT, stored, name), "siblings": texts(proof.siblings), "found": found}


def make_delta_proof(stored: BlockWithRWSet, writes: Sequence[Write], at: int) -> dict[str, Any]:
    """Return the proof that a block wrote row `at` of `writes`, which its delta lists in this order."""
    groups = delta_groups(writes)
    group = at // DELTA_GROUP_ROWS
    return {
        **_head(DELTA_FORMAT, stored, writes[at]),
        "group": texts([groups[group]])[0],
        "group_index": group,
        "groups": len(groups),
        "group_path": texts(tree_path(groups, group, algorithms(suite_of_block(stored.block.header)).digest)),
    }


def _head(form: str, stored: BlockWithRWSet, row: Write) -> dict[str, Any]:
    return {
        "format": form,
        "suite": int(suite_of_block(stored.block.header)),
        "contract": row.contract,
        "key": row.key,
        "value": None if row.value is None else texts([row.value])[0],
        "header": texts([stored.block.header.SerializeToString()])[0],
        **agreement_part(stored),
    }


def verify_row_proof(document: Mapping[str, Any], members: Members | None = None) -> ProvenRow:
    """Check the proof of a row up to the block's hash, and with `members` also who sealed the block.

    Raises MalformedError for what is no such proof, UnverifiedError for one that does not hold.
    """
    form = document.get("format")
    if form not in FORMATS:
        raise MalformedError(f"this is no proof of a row: its format is none of {', '.join(FORMATS)}")
    suite = document.get("suite")
    digest = algorithms(require_built(suite if type(suite) is int else 0)).digest
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
        height = arguments.state_height
    else:
        _check_delta(document, row, arguments, digest)
        height = header.block_height
    return ProvenRow(header, height, *row, *sealed_by(document, header, members))


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
        proof = StateProof(_path(document, "siblings", _STEPS_MAX), None, None)
    else:
        leaf = _path(document, "found", 2)
        if len(leaf) != 2:  # noqa: PLR2004  # a key's hash and a value's
            raise MalformedError("found is the hash of a key and of a value, or null")
        proof = StateProof(_path(document, "siblings", _STEPS_MAX), *leaf)
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
    path = _path(document, "group_path", _GROUPS_MAX.bit_length())
    if not tree_verify(group, Place(index, total), list(path), arguments.delta_root, digest):
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


def _path(document: Mapping[str, Any], name: str, most: int) -> tuple[bytes, ...]:
    value = document.get(name)
    if not isinstance(value, list) or len(value) > most:
        raise MalformedError(f"the proof has no {name}, or one that is longer than any")
    return tuple(decoded({name: item}, name) for item in value)
