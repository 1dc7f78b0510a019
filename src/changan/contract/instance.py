"""The execution interface: an instance takes calls, gives outcomes, gas, results and events, and hands over changed rows.

The plain instance, the compiled one and later other engines implement it; the node knows no more than this.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Value = int | bool | bytes | str | tuple[object, ...] | None
"""A typed value as back ends hold it: U64, I64, U128 and enum members are int, Bool is bool, addresses and fixed bytes are
bytes, Text is str, records are tuples of values in field order, Lists (results only) are tuples."""


@unique
class Code(IntEnum):
    """How a call ended. Numbers are consensus: append, never reuse."""

    OK = 0
    DECLINED = 1
    OVERFLOW = 2
    DIVISION_BY_ZERO = 3
    MISSING_KEY = 4
    OUT_OF_GAS = 5
    OUT_OF_BOUNDS = 6
    BAD_ARGUMENT = 7
    STORAGE_QUOTA = 8
    INNER_CALL = 9


@unique
class InnerFailure(IntEnum):
    """Why a call between contracts failed; the detail of Code.INNER_CALL."""

    UNKNOWN_CONTRACT = 0
    UNKNOWN_METHOD = 1
    TOO_DEEP = 2
    REENTERED = 3
    FAILED = 4


class BlockContext(NamedTuple):
    """What a contract may know of the block: its height, and its time in whole seconds since 1970."""

    height: int
    time: int


class Call(NamedTuple):
    """One call: the 20-byte caller, the decoded arguments in parameter order, and the gas it may use."""

    caller: bytes
    arguments: tuple[Value, ...]
    gas_limit: int


class Event(NamedTuple):
    """An emitted event: the name of its class, its fields in order, and the address of the contract that emitted it."""

    name: str
    fields: tuple[Value, ...]
    emitter: bytes


class Outcome(NamedTuple):
    """How one call ended. A call that did not end with Code.OK left no write and no event; its gas stays."""

    code: Code
    detail: int
    line: int
    gas: int
    result: Value
    events: tuple[Event, ...]


class Row(NamedTuple):
    """One row of state. The key is `field` or `field.<hex of the packed key>`; the value is None where the row is gone."""

    key: str
    value: bytes | None


class Host(Protocol):
    """What an instance may ask of the world while it runs: calls to other contracts."""

    def call(self, target: bytes, method: str, call: Call, *, reads_only: bool) -> Outcome:
        """Call `method` of the contract at address `target`; with `reads_only`, only if it is a view."""
        ...

    def settle(self, *, keep: bool) -> None:
        """End what the calls of one outermost call left open in other contracts."""
        ...


class Instance(Protocol):
    """One contract with its state in memory."""

    @property
    def logical_bytes(self) -> int:
        """Size of the committed state that counts against the quota, in bytes."""
        ...

    def run(self, method: str, calls: Sequence[Call], block: BlockContext, host: Host | None = None) -> list[Outcome]:
        """Execute outermost calls in order; each one is kept or rolled back alone, with every contract it entered."""
        ...

    def enter(self, method: str, call: Call, block: BlockContext, host: Host) -> Outcome:
        """Execute an inner call. Its undo log stays open until `settle`."""
        ...

    def settle(self, *, keep: bool) -> None:
        """End the undo log that `enter` left open: keep the writes, or roll them back."""
        ...

    def collect(self) -> list[Row]:
        """Return the rows changed since the last collect, in order of their first committed write, and forget them."""
        ...

    def restore(self, rows: Iterable[Row]) -> None:
        """Put rows in (or, with value None, take them out) without gas and without marking them as changed."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return the value of the row with this key, or None."""
        ...

    def rows(self) -> Iterator[Row]:
        """Return all rows as they are now; the iterator stays valid and unchanged while later calls run."""
        ...
