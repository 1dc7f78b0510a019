"""What a proposal holds and what of it becomes a ledger block: one rule for the proposer, the judges and the decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.errors import ChanganError, MalformedError
from changan.ledger.admission import RefusedError
from changan.ledger.transition import must_be_alone
from changan.node.comet.batches import BATCH, decode_head, judge_requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.ledger.admission import Admitted
    from changan.ledger.wire.messages import TxRequest
    from changan.ledger.world import World
    from changan.node.comet.abci.messages import Head
    from changan.node.comet.batches import BatchCache, Judged

_MICROSECONDS = 1_000_000
_MIB = 1024 * 1024
TIME_US_MAX = 1 << 62


class UnfitError(ChanganError):
    """A batch, or a whole proposal, that no honest proposer would put into this block."""


class Parts(NamedTuple):
    """A proposal taken apart; an empty one has no head."""

    head: Head | None
    batches: Sequence[bytes]


def take_apart(transactions: Sequence[bytes]) -> Parts:
    """Return the parts of a proposal. Raises MalformedError."""
    if not transactions:
        return Parts(None, ())
    head, batches = decode_head(transactions[0]), transactions[1:]
    if any(data[:1] != BATCH for data in batches):
        raise MalformedError("a proposal holds its head and batches, nothing else")
    return Parts(head, batches)


class Selection:
    """Gathers what goes into the next ledger block. It depends on the state and the batches alone."""

    def __init__(self, world: World, time_us: int) -> None:
        """Begin. Raises UnfitError where the time does not grow."""
        if not world.block_time_us < time_us <= TIME_US_MAX:
            raise UnfitError("the block is not later than the block before it")
        self._world = world
        self._time = time_us // _MICROSECONDS
        self.time_us = time_us
        self.requests: list[TxRequest] = []
        self.verdicts: list[Admitted] = []
        self._ids: set[str] = set()
        self._closed = False  # what is chosen must be alone
        self._bytes = 0

    def add(self, judged: Judged) -> int:
        """Take a batch in, whole or not at all; return how many of its requests are new. Raises UnfitError.

        Requests that were already executed, or whose time is over, are left out without blame: they may have been good
        when their batch was made.
        """
        new: list[tuple[TxRequest, Admitted]] = []
        ids: set[str] = set()
        world = self._world
        for request, found in zip(judged.requests, judged.verdicts, strict=True):
            verdict = self._verdict(request, found)
            payload = request.payload
            tx_id = payload.tx_id
            if tx_id in self._ids or tx_id in ids or world.remembered.holds(tx_id):
                continue
            if not world.remembered.in_time(payload.timestamp, self._time, world.tx_timeout):
                continue
            ids.add(tx_id)
            new.append((request, verdict))
        self._make_room(new, len(judged.data))
        self.requests += [request for request, _ in new]
        self.verdicts += [verdict for _, verdict in new]
        self._ids |= ids
        return len(new)

    def _verdict(self, request: TxRequest, found: Admitted | RefusedError) -> Admitted:
        # Endorsers' certificates have times of their own, which a verdict does not carry.
        if not isinstance(found, RefusedError) and not request.endorsers and found.holds_at(self._time):
            return found
        [verdict] = judge_requests(self._world, [request], self._time)
        if isinstance(verdict, RefusedError):
            raise UnfitError(f"transaction {request.payload.tx_id[:64]!r}: {verdict}")
        return verdict

    def _make_room(self, new: Sequence[tuple[TxRequest, Admitted]], size: int) -> None:
        if not new:
            return
        config = self._world.config.block
        alone = any(must_be_alone(request) for request, _ in new)
        if self._closed or (alone and (self.requests or len(new) > 1)):
            raise UnfitError("a transaction that must be alone in its block is not")
        if len(self.requests) + len(new) > max(1, config.block_tx_capacity):
            raise UnfitError(f"more transactions than a block holds ({config.block_tx_capacity})")
        if self.requests and self._bytes + size > max(1, config.block_size) * _MIB:
            raise UnfitError(f"more bytes than a block holds ({config.block_size} MiB)")
        self._bytes += size
        self._closed = alone


def select(world: World, cache: BatchCache, parts: Parts) -> Selection | None:
    """Return what of a proposal goes into the next ledger block, None where it holds no batches.

    Raises UnfitError, MalformedError.
    """
    if parts.head is None or not parts.batches:
        return None
    selection = Selection(world, parts.head.time_us)
    for data in parts.batches:
        selection.add(cache.judge(data, world, parts.head.time_us // _MICROSECONDS))
    return selection
