"""Hash trees by the kernels, behind plain functions: of a bundle's rows, of a delta, and of the state."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from changan.crypto.batch.buckets import BucketTree
from changan.crypto.digest import sha256, sm3
from changan.crypto.libcrypto import load as load_libcrypto
from changan.crypto.round_constants import SHA256_START, SM3_START
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from changan.crypto.digest import Digest

_NODE: Final = 32
_RECORDS_A_PIECE: Final = 16_384
_SPARE: Final = 512
_SEED_BITS: Final = 64
_SHA256_FEW: Final = 7
_SM3_FEW: Final = 1
"""So many messages are done sooner one after the other than in sixteen lanes."""


class Column(NamedTuple):
    """Values one after another: of `width` bytes each, or where each ends (u32, little-endian) if they differ."""

    data: Any  # a buffer
    width: int
    ends: Any = b""


class Changed(NamedTuple):
    """Rows of the state by their hashes, the older change of a key before the newer one."""

    rows: Any  # key hash and value hash, 64 bytes each
    present: Any  # whether each has a value


def _sha256(modules: Mapping[str, ModuleType]) -> list[int]:
    """Return the way of SHA-256: see `changan.crypto.batch.hashing`. Raises LibcryptoError."""
    found = ctypes.cast(load_libcrypto().SHA256_Update, ctypes.c_void_p).value
    assert found is not None
    lanes = modules["lanes"]
    return [found, lanes.sha256_lanes.address if lanes.SHA256_IN_LANES else 0, _SHA256_FEW, *SHA256_START]


def _sm3(modules: Mapping[str, ModuleType]) -> list[int]:
    """Return the way of SM3."""
    return [modules["digest"].sm3_update.address, modules["lanes"].sm3_lanes.address, _SM3_FEW, *SM3_START]


class Forest:
    """Makes the roots of one digest's trees. Calls release the interpreter's lock.

    `seed` is 64 bits that outsiders do not know: they could choose rows that make the look-up slow. No root depends on it.
    """

    def __init__(self, modules: Mapping[str, ModuleType], numpy: ModuleType, digest: Digest, seed: int) -> None:
        """Raises MalformedError for a digest that the kernels do not have, LibcryptoError where SHA-256 is not there."""
        if digest not in {sha256, sm3}:
            raise MalformedError("the kernels make trees of SHA-256 and SM3")
        self._trees, self._states, self._ordered = modules["trees"], modules["states"], modules["ordered"]
        self._numpy: Any = numpy
        self._digest = digest
        self._seed = numpy.uint64(seed % (1 << _SEED_BITS))
        self._spare: int = modules["hashing"].ROOM_BYTES + _SPARE
        self._way = numpy.array(_sha256(modules) if digest is sha256 else _sm3(modules), numpy.int64)

    def outcome_root(
        self, columns: Sequence[Column], outcomes: Any, gas: Any, results: Column | None, events: bytes
    ) -> bytes:
        """Return the root over a bundle's rows. Raises MalformedError for events that are out of order."""
        numpy = self._numpy
        rows = len(memoryview(outcomes).cast("B")) // 4
        keep: list[Any] = []
        table = numpy.array([self._described(column, keep) for column in columns], numpy.int64).reshape(-1, 3)
        result = self._described(results, keep) if results is not None else (0, 0, 0)
        size = sum(piece.nbytes for piece in keep) + len(events) + self._spare
        places = [self._placed(piece, keep) for piece in (outcomes, gas, events)]
        nodes = numpy.empty(_NODE * rows, numpy.uint8)
        scratch = numpy.empty(size, numpy.uint8)
        found = self._trees.outcome_tree(
            self._way,
            table,
            rows,
            *places[:2],
            numpy.array(result, numpy.int64),
            places[2],
            len(events),
            nodes,
            scratch,
        )
        if found:
            raise MalformedError("the events of a bundle are out of order")
        return bytes(nodes[:_NODE])

    def count_records(self, delta: bytes) -> int:
        """Return how many records a delta has. Raises MalformedError for one that is cut short."""
        keep: list[Any] = []
        found: int = self._trees.count_records(self._placed(delta, keep), len(delta))
        if found < 0:
            raise MalformedError("a record of a delta is cut short")
        return found

    def delta_root(self, delta: bytes, group: int) -> tuple[bytes, int]:
        """Return the root over a delta's records, `group` of them a leaf, and how many records there are."""
        count = self.count_records(delta)
        if not count:
            return bytes(_NODE), 0
        numpy = self._numpy
        keep: list[Any] = []
        nodes = numpy.empty(_NODE * (count // group + 1), numpy.uint8)
        scratch = numpy.empty(len(delta) + self._spare, numpy.uint8)
        self._trees.delta_tree(self._way, self._placed(delta, keep), len(delta), group, nodes, scratch)
        return bytes(nodes[:_NODE]), count

    def state_tree(self) -> BucketTree:
        """Return an empty tree of a state."""
        return BucketTree(self._ordered, self._numpy, self._digest, self._way)

    def compact(self, deltas: Sequence[bytes]) -> list[bytes]:
        """Return the newest record of every row in deltas that follow one another, many to a piece."""
        records, keep = self._newest(deltas)
        starts = range(0, len(records), _RECORDS_A_PIECE)
        found = [bytes(self._states.gather(records[start : start + _RECORDS_A_PIECE])) for start in starts]
        del keep
        return found

    def hashed(self, deltas: Sequence[bytes], key_head: bytes, names: Sequence[bytes], value_head: bytes) -> Changed:
        """Return the rows that deltas changed, by their hashes. For the heads see `states.hash_records`."""
        numpy = self._numpy
        records, keep = self._newest(deltas)
        rows = numpy.zeros((len(records), 64), numpy.uint8)
        present = numpy.zeros(len(records), numpy.uint8)
        joined = self._octets(b"".join(names))
        ends = numpy.cumsum(numpy.array([len(name) for name in names], numpy.int64))
        self._states.hash_records(
            self._way, records, self._octets(key_head), joined, ends, self._octets(value_head), rows, present
        )
        del keep
        return Changed(rows, present)

    def changed(self, hashes: Sequence[tuple[bytes, bytes | None]]) -> Changed:
        """Return rows whose hashes are known."""
        numpy = self._numpy
        data = b"".join(key + (value or bytes(32)) for key, value in hashes)
        rows = numpy.frombuffer(bytearray(data), numpy.uint8).reshape(-1, 64)
        return Changed(rows, numpy.array([value is not None for _, value in hashes], numpy.uint8))

    def joined(self, parts: Sequence[Changed]) -> Changed:
        """Return several changes that follow one another as one."""
        numpy = self._numpy
        parts = [part for part in parts if len(part.rows)] or parts[:1]
        if len(parts) == 1:
            return parts[0]  # what a large state changed is not copied
        return Changed(
            numpy.concatenate([part.rows for part in parts]), numpy.concatenate([part.present for part in parts])
        )

    def _newest(self, deltas: Sequence[bytes]) -> tuple[Any, list[Any]]:
        numpy = self._numpy
        keep: list[Any] = []
        places = numpy.array([self._placed(delta, keep) for delta in deltas], numpy.int64)
        sizes = numpy.array([len(delta) for delta in deltas], numpy.int64)
        records = self._states.newest(places, sizes, self._seed)
        return records, keep

    def _described(self, column: Column, keep: list[Any]) -> tuple[int, int, int]:
        return self._placed(column.data, keep), column.width, 0 if column.width else self._placed(column.ends, keep)

    def _placed(self, data: Any, keep: list[Any]) -> int:
        """Return where bytes lie; they stay as long as `keep` does."""
        piece = self._octets(data)
        keep.append(piece)
        place: int = piece.ctypes.data
        return place

    def _octets(self, data: Any) -> Any:
        return self._numpy.frombuffer(data, self._numpy.uint8)
