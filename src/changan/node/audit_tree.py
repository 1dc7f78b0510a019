"""The state tree a second time, written another way, so that an audit does not repeat the executor's mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_Leaf = tuple[bytes, bytes]  # key and leaf hash


class AuditTree:
    """A binary tree by key bits, as the definition reads: one row is its leaf, more are the hash of two halves."""

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        self._digest = digest
        self._top: list[object] | _Leaf | None = None
        self._keys: set[bytes] = set()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._keys)

    def set(self, key: bytes, value: bytes | None) -> None:
        """Set or take out the row under a key hash."""
        (self._keys.discard if value is None else self._keys.add)(key)
        leaf = None if value is None else (key, self._digest(b"\x00" + key + value))
        self._top = _set(self._top, key, leaf, 0)

    def root(self) -> bytes:
        """Return the root over all rows."""
        return self._hash(self._top)

    def _hash(self, node: object) -> bytes:
        if node is None:
            return bytes(32)
        if isinstance(node, tuple):
            return bytes(node[1])
        assert isinstance(node, list)
        if node[2] is None:
            node[2] = self._digest(b"\x01" + self._hash(node[0]) + self._hash(node[1]))
        return bytes(node[2])


def _set(node: object, key: bytes, leaf: _Leaf | None, depth: int) -> list[object] | _Leaf | None:
    """Return `node` with the row set. An inner node is [left, right, hash or None]."""
    if isinstance(node, list):
        side = key[depth // 8] >> 7 - depth % 8 & 1
        node[side] = _set(node[side], key, leaf, depth + 1)
        node[2] = None
        lone = [child for child in node[:2] if child is not None]
        if len(lone) == 1 and isinstance(lone[0], tuple):
            return lone[0]
        return node if lone else None
    if node is None or (isinstance(node, tuple) and node[0] == key):
        return leaf
    assert isinstance(node, tuple)
    if leaf is None:
        return node
    return _split(node, leaf, depth)


def _split(one: _Leaf, two: _Leaf, depth: int) -> list[object]:
    inner: list[object] = [None, None, None]
    sides = [leaf[0][depth // 8] >> 7 - depth % 8 & 1 for leaf in (one, two)]
    if sides[0] == sides[1]:
        inner[sides[0]] = _split(one, two, depth + 1)
    else:
        inner[sides[0]], inner[sides[1]] = one, two
    return inner
