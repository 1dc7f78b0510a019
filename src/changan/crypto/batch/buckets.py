"""The tree over a full state in buckets: rows in order, some dozens to a bucket, and a binary tree over the buckets.

It has the root and the proofs of `changan.crypto.state_tree.StateTree`, and takes a million changes at once by the kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from changan.crypto.state_tree import ROW_BYTES, StateProof, flat_siblings
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from changan.crypto.batch.forest import Changed
    from changan.crypto.digest import Digest

ROWS_A_BUCKET: Final = 64
_NODE: Final = 32


class BucketTree:
    """A tree whose buckets never change, so that an iterator over an older state, and a fork, stay as they were."""

    def __init__(self, states: ModuleType, numpy: ModuleType, digest: Digest, update: int) -> None:
        """Take the kernels, and a digest with what they know it by (see `changan.crypto.batch.trees`)."""
        self._states = states
        self._numpy: Any = numpy
        self._digest = digest
        self._update = update
        self._depth = 0
        self._buckets: list[Any] = [numpy.empty((0, ROW_BYTES), numpy.uint8)]
        self._nodes = numpy.zeros((2, _NODE), numpy.uint8)
        self._counts = numpy.zeros(2, numpy.int64)

    @property
    def root(self) -> bytes:
        """The root over all rows, 32 bytes."""
        return bytes(self._nodes[1])

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self._counts[1])

    def update(self, changes: Changed) -> None:
        """Set rows to a value hash, or take them out; a key's last change counts."""
        numpy = self._numpy
        if not len(changes.rows):
            return
        prefixes = changes.rows[:, :8].copy().view(">u8").ravel().astype(numpy.uint64)
        order = numpy.argsort(prefixes, kind="stable")
        order = order[: self._states.settle_order(changes.rows, order)]
        if self._split(self.rows + len(order)):
            self._lift_all()
        self._take(changes, order, prefixes[order])

    def fork(self) -> BucketTree:
        """Return a tree with the same rows that changes by itself."""
        made = BucketTree(self._states, self._numpy, self._digest, self._update)
        made._depth, made._buckets = self._depth, list(self._buckets)
        made._nodes, made._counts = self._nodes.copy(), self._counts.copy()
        return made

    def _take(self, changes: Changed, order: Any, prefixes: Any) -> None:
        numpy = self._numpy
        places = (prefixes >> numpy.uint64(64 - self._depth)).astype(numpy.int64) if self._depth else prefixes * 0
        touched, starts = numpy.unique(places.astype(numpy.int64), return_index=True)
        starts = numpy.append(starts, len(order)).astype(numpy.int64)
        old = [self._buckets[place] for place in touched]
        addresses, counts = self._described(old)
        sizes = numpy.empty(len(old), numpy.int64)
        nothing = numpy.empty(0, numpy.int64)
        merge = self._states.merge
        merge(changes.rows, changes.present, order, starts, addresses, counts, nothing, sizes)
        new = [numpy.empty((size, ROW_BYTES), numpy.uint8) for size in sizes.tolist()]
        made, _ = self._described(new)
        merge(changes.rows, changes.present, order, starts, addresses, counts, made, sizes)
        self._states.lift(self._update, self._depth, touched, made, sizes, self._nodes, self._counts)
        for place, bucket in zip(touched.tolist(), new, strict=True):
            self._buckets[place] = bucket

    def _described(self, buckets: list[Any]) -> tuple[Any, Any]:
        numpy = self._numpy
        places = [bucket.__array_interface__["data"][0] for bucket in buckets]
        return numpy.array(places, numpy.int64), numpy.array([len(bucket) for bucket in buckets], numpy.int64)

    def _split(self, rows: int) -> bool:
        """Halve the buckets until they are small enough for so many rows; return whether that was needed."""
        depth = self._depth
        while rows > ROWS_A_BUCKET << self._depth:
            byte, bit = self._depth >> 3, 7 - (self._depth & 7)
            halves = []
            for bucket in self._buckets:
                cut = int(self._numpy.searchsorted(bucket[:, byte] >> bit & 1, 1))
                halves += [bucket[:cut], bucket[cut:]]
            self._buckets = halves
            self._depth += 1
        return self._depth > depth

    def _lift_all(self) -> None:
        numpy = self._numpy
        size = 1 << self._depth
        self._nodes = numpy.zeros((2 * size, _NODE), numpy.uint8)
        self._counts = numpy.zeros(2 * size, numpy.int64)
        every = numpy.arange(size, dtype=numpy.int64)
        self._states.lift(self._update, self._depth, every, *self._described(self._buckets), self._nodes, self._counts)

    def prove(self, key_hash: bytes) -> StateProof:
        """Return the proof that the row under `key_hash` has its value, or that there is none."""
        siblings: list[bytes] = []
        place = int.from_bytes(key_hash[:8], "big") >> 64 - self._depth if self._depth else 0
        node, depth = 1, 0
        while depth < self._depth and self._counts[node] > 1:
            right = place >> self._depth - depth - 1 & 1
            siblings.append(bytes(self._nodes[2 * node + 1 - right]))
            node, depth = 2 * node + right, depth + 1
        if not self._counts[node]:
            return StateProof(tuple(siblings), None, None)
        while node < 1 << self._depth:  # one row is below
            node = 2 * node + int(self._counts[2 * node] == 0)
        rows = self._buckets[node - (1 << self._depth)].tobytes()
        more, rows = flat_siblings(rows, depth, key_hash, self._digest)
        if not rows:
            return StateProof((*siblings, *more), None, None)
        return StateProof((*siblings, *more), rows[:_NODE], rows[_NODE:])

    def leaves(self) -> Iterator[bytes]:
        """Return all rows as they are now, in order: many rows of 64 bytes an item. Later changes do not show."""
        return (bucket.tobytes() for bucket in list(self._buckets) if len(bucket))

    def load(self, items: Iterable[bytes]) -> None:
        """Take the place of everything with what `leaves` gave. Raises MalformedError when it is out of order."""
        data = bytearray(b"".join(items))
        if len(data) % ROW_BYTES:
            raise MalformedError("the rows of the state tree are cut short")
        rows = self._numpy.frombuffer(data, self._numpy.uint8).reshape(-1, ROW_BYTES)
        if not self._states.is_ordered(rows):
            raise MalformedError("the rows of the state tree are out of order")
        self._depth, self._buckets = 0, [rows]
        self._split(len(rows))
        self._lift_all()
