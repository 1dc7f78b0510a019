"""Requests that wait for a block: bounded, in order of arrival for each sender, taken turn by turn between senders."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from changan.ledger.admission import Admitted
    from changan.ledger.wire.messages import TxRequest

REQUESTS_MAX = 50_000
BYTES_MAX = 512 * 1024 * 1024


class Waiting(NamedTuple):
    """One admitted request, its size in bytes and what was found of it."""

    request: TxRequest
    size: int
    verdict: Admitted
    alone: bool
    """Whether it must be the only one in its block."""


class Pool:
    """Admitted requests. A full pool refuses; it never grows beyond its bounds."""

    def __init__(self) -> None:
        self._by_sender: OrderedDict[str, deque[Waiting]] = OrderedDict()
        self._by_id: dict[str, Waiting] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, tx_id: str) -> bool:
        return tx_id in self._by_id

    def get(self, tx_id: str) -> Waiting | None:
        """Return the waiting request with this id, or None."""
        return self._by_id.get(tx_id)

    def ids(self) -> list[str]:
        """Return the ids of all waiting requests."""
        return list(self._by_id)

    def has_room(self, size: int) -> bool:
        """Whether a request of this size still fits."""
        return len(self._by_id) < REQUESTS_MAX and self._bytes + size <= BYTES_MAX

    def add(self, waiting: Waiting) -> None:
        """Let a request wait. The caller has asked `has_room`, and that no request of this id waits."""
        tx_id = waiting.request.payload.tx_id
        assert tx_id not in self._by_id
        self._by_id[tx_id] = waiting
        self._by_sender.setdefault(waiting.verdict.sender.certificate_hash, deque()).append(waiting)
        self._bytes += waiting.size

    def take(self, count_max: int, bytes_max: int) -> list[Waiting]:
        """Remove and return what the next block holds: one request of each sender in turn; some must be alone."""
        taken: list[Waiting] = []
        room = bytes_max
        while self._by_sender and len(taken) < count_max:
            sender, queue = next(iter(self._by_sender.items()))
            waiting = queue[0]
            alone = waiting.alone
            if taken and (alone or waiting.size > room):
                break
            queue.popleft()
            self._by_sender.move_to_end(sender)
            if not queue:
                del self._by_sender[sender]
            del self._by_id[waiting.request.payload.tx_id]
            self._bytes -= waiting.size
            room -= waiting.size
            taken.append(waiting)
            if alone:
                break
        return taken
