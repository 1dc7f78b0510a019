"""The state tree against a model that follows the definition literally."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from changan.crypto.digest import sha256
from changan.crypto.state_tree import EMPTY, StateProof, StateTree, verify_state_proof


def literal_root(rows: dict[bytes, bytes], depth: int = 0) -> bytes:
    """The definition, word by word."""
    if not rows:
        return bytes(32)
    if len(rows) == 1:
        ((key, value),) = rows.items()
        return hashlib.sha256(b"\x00" + key + value).digest()
    halves: list[dict[bytes, bytes]] = [{}, {}]
    for key, value in rows.items():
        bits = bin(int.from_bytes(key, "big") | 1 << 256)[3:]
        halves[int(bits[depth])][key] = value
    return hashlib.sha256(b"\x01" + literal_root(halves[0], depth + 1) + literal_root(halves[1], depth + 1)).digest()


# Few distinct first bytes make deep common prefixes, so that buckets split far down and empty siblings occur.
KEYS = st.builds(
    lambda head, tail: bytes([head]) * 3 + bytes(25) + tail.to_bytes(4, "big"),
    st.sampled_from([0, 1, 255]),
    st.integers(0, 80),
)
VALUES = st.one_of(st.none(), st.binary(min_size=32, max_size=32))
BATCHES = st.lists(st.lists(st.tuples(KEYS, VALUES), max_size=40), max_size=6)


@given(BATCHES)
def test_root_is_the_definitions(batches):
    tree, model = StateTree(sha256), {}
    for batch in batches:
        tree.update(batch)
        for key, value in batch:
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
        assert tree.root == literal_root(model)
    again = StateTree(sha256)
    again.load(tree.leaves())
    assert again.root == tree.root


@given(st.dictionaries(KEYS, st.binary(min_size=32, max_size=32), max_size=60), KEYS)
def test_presence_and_absence_are_proved_and_nothing_else(rows, key):
    tree = StateTree(sha256)
    tree.update(rows.items())
    proof = tree.prove(key)
    assert verify_state_proof(proof, key, tree.root, sha256)
    if key in rows:
        assert (proof.key_hash, proof.value_hash) == (key, rows[key])
        lies = [StateProof(proof.siblings, key, bytes(31) + b"\x09"), StateProof(proof.siblings, None, None)]
    else:
        assert proof.key_hash != key
        lies = [StateProof(proof.siblings, key, bytes(32))]
    lies.append(StateProof((*proof.siblings, EMPTY), proof.key_hash, proof.value_hash))
    if proof.siblings:
        lies.append(StateProof(proof.siblings[1:], proof.key_hash, proof.value_hash))
    for lie in lies:
        if rows or lie.key_hash is not None:
            assert not verify_state_proof(lie, key, tree.root, sha256)


def test_an_iterator_over_an_older_state_stays_as_it_was():
    tree = StateTree(sha256)
    keys = [sha256(bytes([n])) for n in range(200)]
    tree.update((key, sha256(key)) for key in keys)
    leaves, root = tree.leaves(), tree.root
    tree.update((key, None) for key in keys)
    assert tree.root == EMPTY
    older = StateTree(sha256)
    older.load(leaves)
    assert older.root == root
