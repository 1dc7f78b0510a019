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
_SLABS_MAX: Final = 256
_SPARE_ROWS: Final = 4096
_BUCKETS_A_PIECE: Final = 256


class BucketTree:
    """A tree whose buckets never change, so that an iterator over an older state, and a fork, stay as they were.

    A bucket is where its rows begin, and how many they are, within a slab: the rows that one update wrote. Arrays say that of
    all buckets, for a list of many thousands would keep other threads from the interpreter whenever it is looked through.
    """

    def __init__(self, ordered: ModuleType, numpy: ModuleType, digest: Digest, way: Any) -> None:
        """Take the kernels, and a digest with the way they make it (see `changan.crypto.batch.hashing`)."""
        self._ordered = ordered
        self._numpy: Any = numpy
        self._digest = digest
        self._way = way
        self._depth = 0
        self._begin(numpy.empty((0, ROW_BYTES), numpy.uint8))
        self._nodes = numpy.zeros((2, _NODE), numpy.uint8)
        self._counts = numpy.zeros(2, numpy.int64)

    def _begin(self, rows: Any) -> None:
        """Let one bucket hold all rows."""
        numpy = self._numpy
        self._slabs: list[Any] = [rows]
        self._slab = numpy.zeros(1, numpy.int64)
        self._places = numpy.array([_place(rows)], numpy.int64)
        self._sizes = numpy.array([len(rows)], numpy.int64)

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
        if not len(changes.rows):
            return
        order = self._ordered.in_order(changes.rows)
        if self._split(self.rows + len(order)):
            self._lift_all()
        self._take(changes, order)

    def fork(self) -> BucketTree:
        """Return a tree with the same rows that changes by itself."""
        made = BucketTree(self._ordered, self._numpy, self._digest, self._way)
        made._depth, made._slabs = self._depth, list(self._slabs)
        made._slab, made._places, made._sizes = self._slab.copy(), self._places.copy(), self._sizes.copy()
        made._nodes, made._counts = self._nodes.copy(), self._counts.copy()
        return made

    def _take(self, changes: Changed, order: Any) -> None:
        numpy = self._numpy
        touched, starts = self._ordered.dealt(changes.rows, order, self._depth)
        places, sizes = self._places[touched], self._sizes[touched]
        # What is asked for and never written takes no memory.
        room = numpy.empty((int(sizes.sum()) + len(order), ROW_BYTES), numpy.uint8)
        slab = room[: self._ordered.merge(changes.rows, changes.present, order, starts, places, sizes, room)]
        self._ordered.lift(self._way, self._depth, touched, places, sizes, self._nodes, self._counts)
        self._places[touched], self._sizes[touched], self._slab[touched] = places, sizes, len(self._slabs)
        self._slabs.append(slab)
        self._tidy()

    def _tidy(self) -> None:
        """Let go of slabs in which no bucket lies, and put all buckets in one where the others are many or half empty."""
        numpy = self._numpy
        if len(self._slabs) < _SLABS_MAX and self._held * 2 <= self.rows * 3 + _SPARE_ROWS:
            return
        lying = numpy.bincount(self._slab, self._sizes, len(self._slabs)) > 0
        self._slab = (numpy.cumsum(lying) - 1)[self._slab].clip(0)  # an empty bucket lies anywhere
        kept = [slab for slab, holds in zip(self._slabs, lying.tolist(), strict=True) if holds]
        self._slabs = kept or self._slabs[:1]
        if len(self._slabs) >= _SLABS_MAX or self._held > 2 * self.rows + _SPARE_ROWS:
            slab = self._joined(self._places, self._sizes)
            self._places = self._places_in(slab, self._sizes)
            self._slabs, self._slab = [slab], numpy.zeros(len(self._places), numpy.int64)

    @property
    def _held(self) -> int:
        """How many rows are held in all slabs, those of buckets that were written anew since among them."""
        return sum(map(len, self._slabs))

    def _places_in(self, slab: Any, sizes: Any) -> Any:
        """Return where buckets of these sizes begin that lie in a slab one after another."""
        return _place(slab) + ROW_BYTES * (self._numpy.cumsum(sizes) - sizes)

    def _joined(self, places: Any, sizes: Any) -> Any:
        """Return the rows of buckets one after another."""
        rows = self._numpy.empty((int(sizes.sum()), ROW_BYTES), self._numpy.uint8)
        self._ordered.put_together(places, sizes, rows)
        return rows

    def _split(self, rows: int) -> bool:
        """Halve the buckets until they are small enough for so many rows; return whether that was needed."""
        numpy, depth = self._numpy, self._depth
        while rows > ROWS_A_BUCKET << self._depth:
            cuts = numpy.empty(len(self._sizes), numpy.int64)
            self._ordered.cuts(self._places, self._sizes, self._depth, cuts)
            self._places = numpy.stack((self._places, self._places + ROW_BYTES * cuts), 1).ravel()
            self._sizes = numpy.stack((cuts, self._sizes - cuts), 1).ravel()
            self._slab = numpy.repeat(self._slab, 2)
            self._depth += 1
        return self._depth > depth

    def _lift_all(self) -> None:
        numpy = self._numpy
        size = 1 << self._depth
        self._nodes = numpy.zeros((2 * size, _NODE), numpy.uint8)
        self._counts = numpy.zeros(2 * size, numpy.int64)
        every = numpy.arange(size, dtype=numpy.int64)
        self._ordered.lift(self._way, self._depth, every, self._places, self._sizes, self._nodes, self._counts)

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
        bucket = slice(node - (1 << self._depth), node - (1 << self._depth) + 1)
        rows = self._joined(self._places[bucket], self._sizes[bucket]).tobytes()
        more, rows = flat_siblings(rows, depth, key_hash, self._digest)
        if not rows:
            return StateProof((*siblings, *more), None, None)
        return StateProof((*siblings, *more), rows[:_NODE], rows[_NODE:])

    def leaves(self) -> Iterator[bytes]:
        """Return all rows as they are now, in order: many rows of 64 bytes an item. Later changes do not show."""
        return self.fork()._pieces()  # noqa: SLF001  # of this class

    def _pieces(self) -> Iterator[bytes]:
        for start in range(0, len(self._places), _BUCKETS_A_PIECE):
            piece = slice(start, start + _BUCKETS_A_PIECE)
            if data := self._joined(self._places[piece], self._sizes[piece]).tobytes():
                yield data

    def load(self, items: Iterable[bytes]) -> None:
        """Take the place of everything with what `leaves` gave. Raises MalformedError when it is out of order."""
        data = bytearray(b"".join(items))
        if len(data) % ROW_BYTES:
            raise MalformedError("the rows of the state tree are cut short")
        rows = self._numpy.frombuffer(data, self._numpy.uint8).reshape(-1, ROW_BYTES)
        if not self._ordered.is_ordered(rows):
            raise MalformedError("the rows of the state tree are out of order")
        self._depth = 0
        self._begin(rows)
        self._split(len(rows))
        self._lift_all()


def _place(rows: Any) -> int:
    """Return where an array's rows begin; the array must outlive whoever uses that."""
    found: int = rows.__array_interface__["data"][0]
    return found
