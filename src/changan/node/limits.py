"""How many requests a second one peer may send: a bucket of tokens for each address."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

PEERS_MAX = 10_000


class RateLimits:
    """Tokens by address. A bucket holds what comes in one second, so a peer may send that many at once."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
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
        await self._app(scope, receive, send)
