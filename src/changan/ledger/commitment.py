"""What a block commits to beside ChainMaker's roots: its delta, its outcomes, and the full state where that is due."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from changan.crypto.digest import tagged
from changan.crypto.merkle import tree_root
from changan.ledger.called import called_of
from changan.ledger.delta import Delta
from changan.ledger.rule_sets import ROOTS_OF_MUCH_ARE_LATER
from changan.ledger.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from changan.crypto.digest import Digest
    from changan.ledger.called import Called
    from changan.ledger.roots import AnyStateTree, Roots
    from changan.ledger.state import Write
    from changan.ledger.wire.messages import Transaction

DELTA_GROUP_ROWS = 16
"""Rows a leaf of the delta tree: a proof carries up to this many rows, and hashing costs a sixteenth."""
ROWS_AT_ONCE_MAX = 256
"""W of the state tree: while no more rows were written since the last root, the root is due in the same block."""
ROOT_DELAY_BLOCKS = 16
"""k of the state tree: otherwise the root of a height follows exactly so many blocks later …"""
WORK_A_BLOCK = 32_768
"""… and from rules 3 on another one for every so many rows that were written: bringing more into the tree takes longer."""
WORK_A_ROW = 8
"""Rows are set aside for the next root once so many were written for each row of the tree: its update costs more than a call."""
BLOCKS_BETWEEN_ROOTS_MAX = 256
"""… or once so many blocks went by without one, so that a root comes however rarely rows are written again."""

BYTES_AT_ONCE_MAX = 256 * 1024
"""More than this goes into the tree ahead of a block that settles: a few thousand rows, some milliseconds."""

KEY_TAG = b"changan.key"
VALUE_TAG = b"changan.value"


def state_key(contract: str, key: str, digest: Digest) -> bytes:
    """Return the place of a row in the state tree."""
    return tagged(KEY_TAG, contract.encode(), key.encode(), digest=digest)


def value_hash(value: bytes, digest: Digest) -> bytes:
    """Return the digest of a row's value as the state tree holds it."""
    return tagged(VALUE_TAG, value, digest=digest)


def delta_record(write: Write) -> bytes:
    """Return the canonical bytes of one changed row: length-bound contract, key, and value or its absence."""
    contract, key = write.contract.encode(), write.key.encode()
    head = len(contract).to_bytes(2, "big") + contract + len(key).to_bytes(2, "big") + key
    return head + (b"\x00" if write.value is None else b"\x01" + len(write.value).to_bytes(4, "big") + write.value)


def delta_groups(writes: Sequence[Write]) -> list[bytes]:
    """Return the leaves of the delta tree: records of the block's rows in order of first write, joined in groups."""
    records = [delta_record(write) for write in writes]
    return [b"".join(records[at : at + DELTA_GROUP_ROWS]) for at in range(0, len(records), DELTA_GROUP_ROWS)]


def delta_root(writes: Sequence[Write], digest: Digest) -> bytes:
    """Return the root over the rows that a block changed."""
    return tree_root(delta_groups(writes), digest)


def outcome_leaf(transaction: Transaction, digest: Digest) -> bytes:
    """Return what the outcome tree holds of one transaction: its id, code, gas, result, message and events.

    ChainMaker's tx_root leaves the gas out; this does not.
    """
    result = transaction.result
    return outcome_leaf_of(transaction.payload.tx_id, result.code, called_of(result.contract_result), digest)


def outcome_leaf_of(tx_id: str, code: int, called: Called, digest: Digest) -> bytes:
    """Return `outcome_leaf` of a transaction that is no message yet."""
    return tagged(
        b"changan.outcome",
        tx_id.encode(),
        _NUMBERS(code, called.code, called.gas),
        called.result,
        called.message.encode(),
        tagged(b"changan.events", *called.events, digest=digest),
        digest=digest,
    )


_NUMBERS = Struct(">3Q").pack


class StateRoot(NamedTuple):
    """A root over the full state as it was at the end of a height."""

    root: bytes
    height: int


class Pending(NamedTuple):
    """What the tree does not hold yet: rows that wait, rows set aside at a height, and the work done since that."""

    waiting: Waiting
    aside: Waiting
    aside_height: int | None
    due_height: int | None
    """Where the root over what was set aside stands."""
    work: int
    blocks: int


class _Growing:
    """A tree that takes rows in beside everything else."""

    def __init__(self, roots: Roots, tree: AnyStateTree, waiting: Waiting) -> None:
        self.done = False
        self._roots, self._tree, self._waiting = roots, tree, waiting
        self.result = roots.begin_aside(self._grow)
        """Returns the tree once it holds the rows."""

    def _grow(self) -> AnyStateTree:
        # It stays until the root is due: each row once, not as often as it was written.
        self._roots.compact(self._waiting)
        self._roots.fold(self._tree, self._waiting)
        self.done = True
        return self._tree


class _Ahead(NamedTuple):
    """The tree with all that was written up to some block, for one that settles, and what was written since."""

    tree: _Growing
    since: Waiting


class StateCommitment:
    """The tree over the full state, and the rule by which its root is due: by work done, never by a clock.

    While few rows are written the root is due at once. Otherwise, when enough work was done, the rows are set aside at a
    height, and the root of that height is due at another one that follows from how many they were; rows that change meanwhile
    wait for the next turn. A block that settles brings everything up to date: a node asks for one when nothing else is to be
    done.
    """

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self.tree: AnyStateTree = roots.state_tree()
        self._waiting = Waiting()
        self._aside = Waiting()
        self._aside_height: int | None = None
        self._due_height: int | None = None
        self._growing: _Growing | None = None  # the tree with what was set aside
        self._ahead: _Ahead | None = None
        self._work = 0  # rows written since rows were last set aside, each as often as it was written
        self._blocks = 0  # and how many blocks wrote them

    def use(self, roots: Roots) -> None:
        """Make trees in another way from now on."""
        tree = roots.state_tree()
        tree.load(self.tree.leaves())
        self._roots, self.tree, self._ahead = roots, tree, None
        if self._aside_height is not None:
            self._set_out()

    def begin(self, rows: Iterable[Write | Delta]) -> bytes:
        """Take the place of an empty tree with all rows of a state; return the root over them."""
        waiting = Waiting()
        waiting.add(rows)
        self._roots.fold(self.tree, waiting)
        return self.tree.root

    @property
    def behind(self) -> bool:
        """Whether rows have changed that no root covers yet."""
        return bool(self._waiting) or self._aside_height is not None

    @property
    def is_folding(self) -> bool:
        """Whether rows were set aside, and the root over them is being made or waits for its height."""
        return self._aside_height is not None

    def close_block(
        self, height: int, changes: Sequence[Write | Delta], *, settle: bool = False, rules: int = 1
    ) -> StateRoot | None:
        """Take in what block `height`, executed by `rules`, changed; return the root that is due in this block, if one is."""
        self._waiting.add(changes)
        if self._ahead is not None:
            self._ahead.since.add(changes)
        self._work += sum(change.rows if isinstance(change, Delta) else 1 for change in changes)
        self._blocks += 1
        if settle or (self._aside_height is None and self._work <= ROWS_AT_ONCE_MAX):
            self._take_aside()
            self._settle()
            self._turn()
            return StateRoot(self.tree.root, height)
        due = None
        if self._aside_height is not None and self._is_due(height):
            aside_height = self._aside_height
            self._take_aside()
            due = StateRoot(self.tree.root, aside_height)
        enough = WORK_A_ROW * max(self.tree.rows, ROWS_AT_ONCE_MAX)
        worked = self._work >= enough or self._blocks >= BLOCKS_BETWEEN_ROOTS_MAX
        if self._aside_height is None and self._work > ROWS_AT_ONCE_MAX and worked:
            self._aside, self._aside_height = self._waiting, height
            longer = self._work // WORK_A_BLOCK if rules >= ROOTS_OF_MUCH_ARE_LATER else 0
            self._due_height = height + ROOT_DELAY_BLOCKS + longer
            self._turn()
            self._set_out()
        elif self._waiting.is_large:
            self._roots.compact(self._waiting)
        return due

    def needed_by(self, height: int) -> Callable[[], object] | None:
        """Return what ends once the root that is due in the block at a height is made; None where none is."""
        return self._growing.result if self._growing is not None and self._is_due(height) else None

    def catch_up(self) -> Callable[[], object] | None:
        """Return what ends once more of what waits is in a tree for a block that settles; None where that has little to do.

        Ask again when that has ended. What blocks write meanwhile waits for the next time.
        """
        for made in (self._growing, None if self._ahead is None else self._ahead.tree):
            if made is not None and not made.done:
                return made.result
        if self._ahead is not None:
            tree, waiting = self._ahead.tree.result(), self._ahead.since
        else:
            tree = self.tree if self._growing is None else self._growing.result()
            waiting = self._waiting.snapshot()
        if waiting.size <= BYTES_AT_ONCE_MAX:
            return None
        self._ahead = _Ahead(_Growing(self._roots, tree.fork(), waiting), Waiting())
        return self._ahead.tree.result

    def _settle(self) -> None:
        """Bring everything into the tree."""
        if self._ahead is not None and self._ahead.tree.done:
            self.tree = self._ahead.tree.result()
            self._roots.fold(self.tree, self._ahead.since)
        else:
            self._roots.fold(self.tree, self._waiting)

    def _is_due(self, height: int) -> bool:
        return self._due_height is not None and height >= self._due_height

    def _turn(self) -> None:
        self._waiting, self._ahead = Waiting(), None
        self._work = self._blocks = 0

    def _set_out(self) -> None:
        self._growing = _Growing(self._roots, self.tree.fork(), self._aside)

    def _take_aside(self) -> None:
        if self._growing is not None:
            self.tree = self._growing.result()
        self._aside, self._aside_height, self._due_height, self._growing = Waiting(), None, None, None

    def pending(self) -> Pending:
        """Return what a checkpoint must hold beside the rows."""
        aside = (self._aside.snapshot(), self._aside_height, self._due_height)
        return Pending(self._waiting.snapshot(), *aside, self._work, self._blocks)

    def resume(self, pending: Pending) -> None:
        """Take in what `pending` gave."""
        self._waiting, self._aside, self._aside_height = pending.waiting, pending.aside, pending.aside_height
        self._due_height, self._work, self._blocks = pending.due_height, pending.work, pending.blocks
        if self._aside_height is not None:
            self._set_out()
