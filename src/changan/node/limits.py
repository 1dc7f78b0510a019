"""What one peer may ask of the node: requests a second, from a bucket of tokens for each address, and streams at once."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from changan.node.metrics import METRICS
from changan.node.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

PEERS_MAX = 10_000
STREAMS_A_PEER_MAX = 500
"""Subscriptions of one address over both doors: nobody takes all that a node has."""


class RateLimits:
    """Tokens by address. A bucket holds what comes in one second, so a peer may send that many at once."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self.streams = OpenStreams()
        self.turns = Turns()
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def admit(self, peer: str, count: int = 1) -> bool:
        """Take tokens for so many requests of a peer; False when it has not so many left, and nothing is taken."""
        now = self._clock()
        tokens, then = self._buckets.get(peer, (float(self.per_second), now))
        tokens = min(float(self.per_second), tokens + (now - then) * self.per_second)
        admitted = tokens >= count
        self._buckets[peer] = (tokens - count if admitted else tokens, now)
        self._buckets.move_to_end(peer)
        if len(self._buckets) > PEERS_MAX:
            self._buckets.popitem(last=False)
        return admitted

    def refusal(self, peer: str) -> str:
        """Return what a peer is told that sends too much."""
        return (
            f"more than {self.per_second} requests a second from {peer}: send more slowly (rate_limit in changan.toml)"
        )


class OpenStreams:
    """The subscriptions that are open, by address."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def refusal(self, peer: str) -> str | None:
        """Return what a peer is told that has as many as it may have, or None."""
        if self._counts[peer] < STREAMS_A_PEER_MAX:
            return None
        return (
            f"{peer} has {STREAMS_A_PEER_MAX} streams open, which is the most: end one, or ask for more in one stream"
        )

    @contextlib.contextmanager
    def held(self, peer: str) -> Iterator[None]:
        """Count a stream while it lasts."""
        self._counts[peer] += 1
        try:
            with METRICS.subscriptions.track_inprogress():
                yield
        finally:
            self._counts[peer] -= 1
            if not self._counts[peer]:
                del self._counts[peer]


def address_of(peer: str) -> str:
    """Return the address in a gRPC peer's name, e.g. 127.0.0.1 of ipv4:127.0.0.1:50312."""
    return peer.rpartition(":")[0].partition(":")[2] or peer


class LimitedApp:
    """An HTTP application behind the limits."""

    def __init__(self, app: ASGIApp, limits: RateLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        peer = client[0] if client else "unknown"
        if scope["type"] == "http" and not self._limits.admit(peer):
            response = PlainTextResponse(self._limits.refusal(peer), 429, {"retry-after": "1"})
            await response(scope, receive, send)
            return
        await self._limits.turns.take(peer, f"{client}")
        await self._app(scope, receive, send)
