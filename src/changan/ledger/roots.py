"""How the roots over many rows are made: row by row in Python, or by kernels where a node has them. Both give the same roots."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from changan.contract.compiled.layout import fixed_size
from changan.contract.records import records
from changan.crypto.batch.buckets import BucketTree
from changan.crypto.batch.forest import Column
from changan.crypto.merkle import tree_root
from changan.crypto.state_tree import StateTree
from changan.ledger.bundle_rows import rows_of_bundle
from changan.ledger.commitment import KEY_TAG, VALUE_TAG, state_key, value_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.contract.types import Signature
    from changan.crypto.batch.forest import Forest
    from changan.crypto.digest import Digest
    from changan.ledger.bundle import Bundle
    from changan.ledger.bundle_rows import BundleColumns
    from changan.ledger.waiting import Group, Waiting

_T = TypeVar("_T")


class Begin(Protocol):
    """Takes work that depends on nothing that changes, and gives what returns its result once it is done."""

    def __call__(self, work: Callable[[], _T], /) -> Callable[[], _T]: ...


def when_asked(work: Callable[[], _T]) -> Callable[[], _T]:
    """Begin nothing: the work is done when its result is asked for first, in whichever thread that is."""
    asked, lock = cache(work), Lock()

    def result() -> _T:
        with lock:
            return asked()

    return result


AnyStateTree: TypeAlias = StateTree | BucketTree
DELTA_GROUP_RECORDS = 16


class Roots:
    """Roots made in Python: the reference."""

    def __init__(self, digest: Digest) -> None:
        self.digest = digest

    def begin(self, work: Callable[[], _T]) -> Callable[[], _T]:
        """Begin work that depends on nothing that changes; what is returned gives its result."""
        return when_asked(work)

    def begin_aside(self, work: Callable[[], _T]) -> Callable[[], _T]:
        """Begin such work that nobody waits for yet."""
        return when_asked(work)

    def outcome_root(self, signature: Signature, bundle: Bundle, rows: BundleColumns) -> bytes:
        """Return the root over the rows of a bundle with what came of them."""
        return tree_root([row.leaf for row in rows_of_bundle(signature, bundle, rows)], self.digest)

    def delta_root(self, delta: bytes) -> tuple[bytes, int]:
        """Return the root over a delta, in groups of records, and how many records it has."""
        found = list(records(delta))
        groups = [b"".join(found[at : at + DELTA_GROUP_RECORDS]) for at in range(0, len(found), DELTA_GROUP_RECORDS)]
        return tree_root(groups, self.digest), len(found)

    def state_tree(self) -> AnyStateTree:
        """Return an empty tree over a state."""
        return StateTree(self.digest)

    def fold(self, tree: AnyStateTree, waiting: Waiting) -> None:
        """Bring what waits into a tree that `state_tree` made."""
        assert isinstance(tree, StateTree)
        newest = {(write.contract, write.key): write.value for write in waiting.writes()}
        tree.update(_hashes(newest, self.digest))

    def compact(self, waiting: Waiting) -> None:
        """Keep of what waits each row's newest value alone, where that is quick."""


class KernelRoots(Roots):
    """Roots made by kernels."""

    def __init__(
        self, digest: Digest, forest: Forest, begin: Begin = when_asked, begin_aside: Begin = when_asked
    ) -> None:
        """`begin` and `begin_aside` are as those of `Roots`: in threads, the kernels run beside one another."""
        super().__init__(digest)
        self._forest = forest
        self._begin, self._begin_aside = begin, begin_aside

    def begin(self, work: Callable[[], _T]) -> Callable[[], _T]:
        """Begin work that depends on nothing that changes; what is returned gives its result."""
        return self._begin(work)

    def begin_aside(self, work: Callable[[], _T]) -> Callable[[], _T]:
        """Begin such work that nobody waits for yet."""
        return self._begin_aside(work)

    def outcome_root(self, signature: Signature, bundle: Bundle, rows: BundleColumns) -> bytes:
        """Return the root over the rows of a bundle with what came of them."""
        shown = bundle.shown(signature)
        columns = [Column(column.data, fixed_size(kind) or 0, column.ends or b"") for kind, column in shown]
        results = None
        if signature.result is not None:
            results = Column(rows.results, fixed_size(signature.result) or 0, rows.result_ends)
        return self._forest.outcome_root(columns, rows.outcomes, rows.gas, results, rows.events)

    def delta_root(self, delta: bytes) -> tuple[bytes, int]:
        """Return the root over a delta, in groups of records, and how many records it has."""
        return self._forest.delta_root(delta, DELTA_GROUP_RECORDS)

    def state_tree(self) -> AnyStateTree:
        """Return an empty tree over a state."""
        return self._forest.state_tree()

    def fold(self, tree: AnyStateTree, waiting: Waiting) -> None:
        """Bring what waits into a tree that `state_tree` made."""
        assert isinstance(tree, BucketTree)
        parts = [self._forest.changed(_hashes(waiting.rows, self.digest))]
        parts += [self._hashed(group) for group in waiting.groups]
        tree.update(self._forest.joined(parts))

    def _hashed(self, group: Group) -> Any:
        names = [name.encode() for name in group.names]
        return self._forest.hashed(
            list(group.deltas), _bound(KEY_TAG) + _bound(group.contract.encode()), names, _bound(VALUE_TAG)
        )

    def compact(self, waiting: Waiting) -> None:
        """Keep of what waits each row's newest value alone."""
        waiting.compact(self._forest.compact)


def _hashes(rows: dict[tuple[str, str], bytes | None], digest: Digest) -> list[tuple[bytes, bytes | None]]:
    return [
        (state_key(contract, key, digest), None if value is None else value_hash(value, digest))
        for (contract, key), value in rows.items()
    ]


def _bound(part: bytes) -> bytes:
    """Return a part with its length before it, as `tagged` takes it in."""
    return len(part).to_bytes(8, "big") + part
