"""Proofs of rows: what a row of the state is at a height, or that there is none; and what a block wrote. Checked offline.

A state proof leads from the row's place in the state tree to the root that a block's header binds; a delta proof, from the
group of rows in which the block's delta lists it to the header's delta root. Both roots are under the block's hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from changan.crypto.merkle import tree_path
from changan.crypto.suite import algorithms
from changan.ledger.agreement import agreement_part, sealed_by
from changan.ledger.commitment import DELTA_GROUP_ROWS, delta_groups
from changan.ledger.hashing import suite_of_block
from changan.ledger.receipt_text import text, texts
from changan.ledger.row_path import DELTA_FORMAT, STATE_FORMAT, follow_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from changan.crypto.state_tree import StateProof
    from changan.ledger.agreement import Links, Trust
    from changan.ledger.state import Write
    from changan.ledger.wire.messages import BlockHeader, BlockWithRWSet


class ProvenRow(NamedTuple):
    """What a proof of a row shows once it was verified."""

    header: BlockHeader
    height: int  # of the state that has the row so, or of the block that wrote it
    contract: str
    key: str  # of the row: a field's name, and after a dot the key in hex
    value: bytes | None  # None: there is no such row, or the block took it out
    proposer: str | None  # common name of who sealed the block; None where no trust roots were given
    agreed: tuple[str, ...]  # organisations whose seals of the block hold, where trust roots were given


def make_state_proof(stored: BlockWithRWSet, name: Write, proof: StateProof, links: Links = ()) -> dict[str, Any]:
    """Return the proof of a row as JSON. `name` is the row with its value at the height whose root the block carries."""
    found = None
    if proof.key_hash is not None and proof.value_hash is not None:
        found = texts([proof.key_hash, proof.value_hash])
    return {**_head(STATE_FORMAT, stored, name, links), "siblings": texts(proof.siblings), "found": found}


def make_delta_proof(stored: BlockWithRWSet, writes: Sequence[Write], at: int, links: Links = ()) -> dict[str, Any]:
    """Return the proof that a block wrote row `at` of `writes`, which its delta lists in this order."""
    groups = delta_groups(writes)
    group = at // DELTA_GROUP_ROWS
    return {
        **_head(DELTA_FORMAT, stored, writes[at], links),
        "group": text(groups[group]),
        "group_index": group,
        "groups": len(groups),
        "group_path": texts(tree_path(groups, group, algorithms(suite_of_block(stored.block.header)).digest)),
    }


def _head(form: str, stored: BlockWithRWSet, row: Write, links: Links) -> dict[str, Any]:
    return {
        "format": form,
        "suite": int(suite_of_block(stored.block.header)),
        "contract": row.contract,
        "key": row.key,
        "value": None if row.value is None else text(row.value),
        "header": text(stored.block.header.SerializeToString()),
        **agreement_part(stored, links),
    }


def verify_row_proof(document: Mapping[str, Any], trust: Trust | None = None) -> ProvenRow:
    """Check the proof of a row up to the block's hash, and with `trust` also who sealed the block.

    Raises MalformedError for what is no such proof, UnverifiedError for one that does not hold.
    """
    path = follow_path(document)
    return ProvenRow(path.header, path.height, *path.row, *sealed_by(document, path.header, trust))
