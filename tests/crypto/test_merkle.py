"""Both Merkle trees: against a second writing of ChainMaker's rule, and every path of every small tree."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto.digest import sha256
from changan.crypto.merkle import (
    Place,
    chainmaker_path,
    chainmaker_root,
    chainmaker_verify,
    tree_path,
    tree_paths,
    tree_root,
    tree_verify,
)


def flat_array_root(leaves: list[bytes]) -> bytes:
    """ChainMaker's own way: an array of the next power of two, nil beyond the leaves, nil right sibling doubled."""
    if not leaves:
        return b""
    width = 1
    while width < len(leaves):
        width *= 2
    row: list[bytes | None] = [*leaves, *[None] * (width - len(leaves))]
    while len(row) > 1:
        above: list[bytes | None] = []
        for at in range(0, len(row), 2):
            left, right = row[at], row[at + 1]
            if left is None:
                above.append(None)
            else:
                above.append(hashlib.sha256(left + (left if right is None else right)).digest())
        row = above
    assert row[0] is not None
    return row[0]


LEAVES = st.lists(st.binary(min_size=32, max_size=32), max_size=70)


@given(LEAVES)
def test_chainmaker_root_is_the_flat_arrays(leaves):
    assert chainmaker_root(leaves, sha256) == flat_array_root(leaves)


@pytest.mark.parametrize("count", range(1, 34))
def test_every_chainmaker_path_holds_at_its_place_alone(count):
    leaves = [sha256(bytes([n])) for n in range(count)]
    root = chainmaker_root(leaves, sha256)
    for index in range(count):
        path = chainmaker_path(leaves, index, sha256)
        assert chainmaker_verify(leaves[index], Place(index, count), path, root, sha256)
        for other in range(-1, count + 2):
            if other != index:
                assert not chainmaker_verify(leaves[index], Place(other, count), path, root, sha256)
        assert not chainmaker_verify(leaves[index], Place(index, 2 * count + 2), path, root, sha256)
        assert not chainmaker_verify(leaves[index], Place(index, count), [*path, leaves[0]], root, sha256)
        if path:
            assert not chainmaker_verify(leaves[index], Place(index, count), path[1:], root, sha256)


def test_chainmakers_doubled_last_leaf_proves_no_second_transaction():
    three = [sha256(bytes([n])) for n in range(3)]
    four = [*three, three[2]]
    root = chainmaker_root(three, sha256)
    assert root == chainmaker_root(four, sha256)  # the known weakness of the tree ...
    path = chainmaker_path(four, 3, sha256)
    assert not chainmaker_verify(four[3], Place(3, 3), path, root, sha256)  # ... which the count closes


@pytest.mark.parametrize("count", range(1, 34))
def test_every_path_of_ours_holds_at_its_place_alone(count):
    leaves = [b"leaf %d" % n for n in range(count)]
    root = tree_root(leaves, sha256)
    for index in range(count):
        path = tree_path(leaves, index, sha256)
        assert tree_verify(leaves[index], Place(index, count), path, root, sha256)
        assert not tree_verify(b"other", Place(index, count), path, root, sha256)
        for other in range(-1, count + 2):
            if other != index:
                assert not tree_verify(leaves[index], Place(other, count), path, root, sha256)
        assert not tree_verify(leaves[index], Place(index, count), [*path, root], root, sha256)
        if path:
            assert not tree_verify(leaves[index], Place(index, count), path[1:], root, sha256)


def test_rfc_9162_example_shape():
    a, b, c = (hashlib.sha256(b"\x00" + leaf).digest() for leaf in (b"a", b"b", b"c"))
    ab = hashlib.sha256(b"\x01" + a + b).digest()
    assert tree_root([b"a", b"b", b"c"], sha256) == hashlib.sha256(b"\x01" + ab + c).digest()
    assert tree_root([], sha256) == bytes(32)
    with pytest.raises(IndexError):
        tree_path([b"a"], 1, sha256)
    with pytest.raises(IndexError):
        chainmaker_path([], 0, sha256)


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_all_paths_at_once_are_those_one_by_one(leaves):
    assert tree_paths(leaves, sha256) == [tree_path(leaves, index, sha256) for index in range(len(leaves))]
