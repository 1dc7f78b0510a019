"""The tree over a full state: binary, by the bits of each row's key hash, so that presence and absence can be proved.

The root depends on the set of rows alone. An empty subtree is 32 zero bytes, a subtree with one row is that row's leaf,
any other is the hash of its two halves. Subtrees of few rows are kept as flat bytes, which is what makes it small.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from changan.crypto.digest import Digest

EMPTY = bytes(32)
BUCKET_ROWS = 16
"""Rows kept flat below one node. More would save memory and cost hashing at every change."""
ROW_BYTES = 64
"""A key hash and a value hash."""
_DEPTH_MAX = 256

Changes = list[tuple[bytes, "bytes | None"]]


class _Bucket(NamedTuple):
    root: bytes
    rows: bytes  # key hash and value hash of each row, in order of the key hash


class _Inner(NamedTuple):
    root: bytes
    size: int  # rows below
    left: _Node
    right: _Node


_Node = _Bucket | _Inner
_NONE = _Bucket(EMPTY, b"")


class StateProof(NamedTuple):
    """What proves a row's value or its absence: the siblings from the root down, and the row found there, if any."""

    siblings: tuple[bytes, ...]
    key_hash: bytes | None
    value_hash: bytes | None


class StateTree:
    """A tree whose nodes never change, so that an iterator over an older state stays as it was."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._top: _Node = _NONE

    @property
    def root(self) -> bytes:
        """The root over all rows, 32 bytes."""
        return self._top.root

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return _count(self._top)

    def update(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Set rows by key hash to a value hash (32 bytes each), or take them out (None); a key's last change counts."""
        ordered = sorted(dict(changes).items())
        if ordered:
            self._top = self._updated(self._top, 0, ordered)

    def fork(self) -> StateTree:
        """Return a tree with the same rows that changes by itself."""
        made = StateTree(self._digest)
        made._top = self._top  # the same class
        return made

    def _updated(self, node: _Node, depth: int, changes: Changes) -> _Node:
        if isinstance(node, _Bucket):
            return self._build(_merged(node.rows, changes), depth)
        cut = _first_right([key for key, _ in changes], depth)
        left = self._updated(node.left, depth + 1, changes[:cut]) if cut else node.left
        right = self._updated(node.right, depth + 1, changes[cut:]) if cut < len(changes) else node.right
        if isinstance(left, _Bucket) and isinstance(right, _Bucket):
            rows = left.rows + right.rows
            if len(rows) <= BUCKET_ROWS * ROW_BYTES:
                return self._build(rows, depth)
        return self._joined(left, right)

    def _build(self, rows: bytes, depth: int) -> _Node:
        if len(rows) <= BUCKET_ROWS * ROW_BYTES:
            return _Bucket(_flat_root(rows, depth, self._digest), rows)
        cut = _cut(rows, depth)
        left, right = self._build(rows[:cut], depth + 1), self._build(rows[cut:], depth + 1)
        return self._joined(left, right)

    def _joined(self, left: _Node, right: _Node) -> _Inner:
        root = self._digest(b"\x01" + left.root + right.root)
        return _Inner(root, _count(left) + _count(right), left, right)

    def prove(self, key_hash: bytes) -> StateProof:
        """Return the proof that the row under `key_hash` has its value, or that there is none."""
        siblings: list[bytes] = []
        node = self._top
        depth = 0
        while isinstance(node, _Inner):
            right = _bit(key_hash, depth)
            siblings.append(node.left.root if right else node.right.root)
            node = node.right if right else node.left
            depth += 1
        more, rows = flat_siblings(node.rows, depth, key_hash, self._digest)
        if not rows:
            return StateProof((*siblings, *more), None, None)
        return StateProof((*siblings, *more), rows[:32], rows[32:])

    def leaves(self) -> Iterator[bytes]:
        """Return all rows as they are now, in order: many rows of 64 bytes an item. Later changes do not show."""
        return _leaves(self._top)

    def load(self, items: Iterable[bytes]) -> None:
        """Take the place of everything with what `leaves` gave. Raises MalformedError when it is out of order."""
        rows = b"".join(items)
        if len(rows) % ROW_BYTES:
            raise MalformedError("the rows of the state tree are cut short")
        keys = [rows[at : at + 32] for at in range(0, len(rows), ROW_BYTES)]
        if any(one >= two for one, two in pairwise(keys)):
            raise MalformedError("the rows of the state tree are out of order")
        self._top = self._build(rows, 0)


def flat_siblings(rows: bytes, depth: int, key_hash: bytes, digest: Digest) -> tuple[list[bytes], bytes]:
    """Return the siblings on the way down to a key among flat rows that agree above `depth`, and the row found, if any."""
    siblings = []
    while len(rows) > ROW_BYTES:
        cut = _cut(rows, depth)
        left, other = rows[:cut], rows[cut:]
        if _bit(key_hash, depth):
            left, other = other, left
        siblings.append(_flat_root(other, depth + 1, digest))
        rows = left
        depth += 1
    return siblings, rows


def _flat_root(rows: bytes, depth: int, digest: Digest) -> bytes:
    if not rows:
        return EMPTY
    if len(rows) == ROW_BYTES:
        return digest(b"\x00" + rows)
    cut = _cut(rows, depth)
    return digest(b"\x01" + _flat_root(rows[:cut], depth + 1, digest) + _flat_root(rows[cut:], depth + 1, digest))


def verify_state_proof(proof: StateProof, key_hash: bytes, root: bytes, digest: Digest) -> bool:
    """Whether `proof` shows, under `root`, what it says of `key_hash`.

    It shows presence when `proof.key_hash` is `key_hash`; otherwise it shows that no row has this key.
    """
    depth = len(proof.siblings)
    if depth > _DEPTH_MAX:
        return False
    if proof.key_hash is None or proof.value_hash is None:
        node = EMPTY
    else:
        if len(proof.key_hash) != len(EMPTY) or len(proof.value_hash) != len(EMPTY):
            return False
        if any(_bit(proof.key_hash, at) != _bit(key_hash, at) for at in range(depth)):
            return False
        node = digest(b"\x00" + proof.key_hash + proof.value_hash)
    for at in reversed(range(depth)):
        sibling = proof.siblings[at]
        if len(sibling) != len(EMPTY):
            return False
        node = digest(b"\x01" + (sibling + node if _bit(key_hash, at) else node + sibling))
    return node == root


def _count(node: _Node) -> int:
    return node.size if isinstance(node, _Inner) else len(node.rows) // ROW_BYTES


def _leaves(node: _Node) -> Iterator[bytes]:
    waiting: list[_Node] = [node]
    while waiting:
        at = waiting.pop()
        if isinstance(at, _Bucket):
            if at.rows:
                yield at.rows
        else:
            waiting += [at.right, at.left]


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def _cut(rows: bytes, depth: int) -> int:
    """Return where, in bytes, the rows begin whose key has a one at `depth`."""
    low, high = 0, len(rows) // ROW_BYTES
    byte, shift = depth >> 3, 7 - (depth & 7)
    while low < high:
        middle = (low + high) // 2
        if rows[middle * ROW_BYTES + byte] >> shift & 1:
            high = middle
        else:
            low = middle + 1
    return low * ROW_BYTES


def _first_right(keys: list[bytes], depth: int) -> int:
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if _bit(keys[middle], depth):
            high = middle
        else:
            low = middle + 1
    return low


def _merged(rows: bytes, changes: Changes) -> bytes:
    table: dict[bytes, bytes | None] = {
        rows[at : at + 32]: rows[at + 32 : at + ROW_BYTES] for at in range(0, len(rows), ROW_BYTES)
    }
    table.update(changes)
    return b"".join(key + value for key, value in sorted(table.items()) if value is not None)
