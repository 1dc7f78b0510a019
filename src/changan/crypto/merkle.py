"""Merkle trees: ChainMaker's, which blocks on the wire carry, and ours, whose leaves and nodes cannot be confused."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.crypto.digest import Digest

EMPTY_ROOT = bytes(32)
_LEAF = b"\x00"
_NODE = b"\x01"


def chainmaker_root(leaves: Sequence[bytes], digest: Digest) -> bytes:
    """Return ChainMaker's root over 32-byte leaves; empty without leaves.

    An odd last node is paired with itself. Leaves and inner nodes are hashed alike, so a path proves nothing unless its
    length and index are held against the number of leaves: use `chainmaker_verify`.
    Source: ChainMaker 2.3.7, common/v2/crypto/hash/merkle_tree.go.
    """
    level = list(leaves)
    if not level:
        return b""
    while len(level) > 1:
        level = _level_above(level, digest)
    return level[0]


def _level_above(level: list[bytes], digest: Digest) -> list[bytes]:
    if len(level) % 2:
        level = [*level, level[-1]]
    return [digest(level[at] + level[at + 1]) for at in range(0, len(level), 2)]


def chainmaker_path(leaves: Sequence[bytes], index: int, digest: Digest) -> list[bytes]:
    """Return the siblings of leaf `index` from the bottom up. Raises IndexError when there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    path = []
    level = list(leaves)
    while len(level) > 1:
        path.append(level[min(index ^ 1, len(level) - 1)])
        level = _level_above(level, digest)
        index //= 2
    return path


class Place(NamedTuple):
    """Where a leaf stands, and of how many it is one."""

    position: int
    total: int


def chainmaker_verify(leaf: bytes, place: Place, path: Sequence[bytes], root: bytes, digest: Digest) -> bool:
    """Whether `leaf` is leaf `place.position` of the `place.total` leaves under ChainMaker's `root`."""
    index, width = place
    if not 0 <= index < width:
        return False
    node = leaf
    for sibling in path:
        if width == 1:
            return False
        if index % 2:
            node = digest(sibling + node)
        elif index == width - 1 and sibling != node:
            return False  # the last of an odd row is its own sibling
        else:
            node = digest(node + sibling)
        index, width = index // 2, (width + 1) // 2
    return width == 1 and node == root


def tree_root(leaves: Sequence[bytes], digest: Digest) -> bytes:
    """Return the root over leaves of any length: RFC 9162's tree, its 0x00 and 0x01 prefixes; zeros without leaves."""
    if not leaves:
        return EMPTY_ROOT
    level = [digest(_LEAF + leaf) for leaf in leaves]
    while len(level) > 1:
        level = _next(level, digest)
    return level[0]


def _next(level: list[bytes], digest: Digest) -> list[bytes]:
    above = [digest(_NODE + level[at] + level[at + 1]) for at in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        above.append(level[-1])
    return above


def tree_path(leaves: Sequence[bytes], index: int, digest: Digest) -> list[bytes]:
    """Return the siblings of leaf `index` in `tree_root`'s tree, from the bottom up. Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    return _siblings(_levels(leaves, digest), index)


def tree_paths(leaves: Sequence[bytes], digest: Digest) -> list[list[bytes]]:
    """Return `tree_path` of every leaf, the tree made once."""
    levels = _levels(leaves, digest)
    return [_siblings(levels, index) for index in range(len(leaves))]


def _levels(leaves: Sequence[bytes], digest: Digest) -> list[list[bytes]]:
    """Return the rows of nodes below the root, the leaves' first."""
    level = [digest(_LEAF + leaf) for leaf in leaves]
    levels = []
    while len(level) > 1:
        levels.append(level)
        level = _next(level, digest)
    return levels


def _siblings(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    return [level[at ^ 1] for height, level in enumerate(levels) if (at := index >> height) ^ 1 < len(level)]


def tree_verify(leaf: bytes, place: Place, path: Sequence[bytes], root: bytes, digest: Digest) -> bool:
    """Whether `leaf` is leaf `place.position` of the `place.total` leaves under `root`."""
    index, width = place
    if not 0 <= index < width:
        return False
    node = digest(_LEAF + leaf)
    siblings = iter(path)
    while width > 1:
        if index ^ 1 < width:
            sibling = next(siblings, None)
            if sibling is None:
                return False
            node = digest(_NODE + sibling + node) if index % 2 else digest(_NODE + node + sibling)
        index, width = index // 2, (width + 1) // 2
    return next(siblings, None) is None and node == root
