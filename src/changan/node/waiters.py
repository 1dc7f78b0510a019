"""Who waits for what becomes of requests: each for one, or together for all that came in one message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.node.answers import Committed

End: TypeAlias = "Committed | Exception"
"""What became of a request: where it rests, or why it will not come."""


class _Alone:
    """A future for one request."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()

    def end(self, _: int, end: End) -> None:
        """Give what became of it to whoever waits."""
        if self.future.done():
            return
        if isinstance(end, Exception):
            self.future.set_exception(end)
        else:
            self.future.set_result(end)


class _Together:
    """One future for several requests."""

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[list[End]] = asyncio.get_running_loop().create_future()
        self._ends: list[End | None] = [None] * count
        self._left = count
        if not count:
            self.future.set_result([])

    def end(self, place: int, end: End) -> None:
        """Note what became of one of them; when that is known of all, whoever waits goes on."""
        if self._ends[place] is None:
            self._left -= 1
        self._ends[place] = end
        if not self._left and not self.future.done():
            self.future.set_result([end for end in self._ends if end is not None])


class Waiters:
    """Those who wait, by transaction id. It lives on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[_Alone | _Together, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wait(self, tx_id: str) -> asyncio.Future[Committed]:
        """Return a future of where a request comes to rest; it ends with why where the request does not."""
        alone = _Alone()
        self._waiting.setdefault(tx_id, []).append((alone, 0))
        return alone.future

    def wait_all(self, tx_ids: Sequence[str]) -> asyncio.Future[list[End]]:
        """Return a future of what becomes of each of these requests."""
        together, waiting = _Together(len(tx_ids)), self._waiting
        for place, tx_id in enumerate(tx_ids):
            waiting.setdefault(tx_id, []).append((together, place))
        return together.future

    def end(self, tx_id: str, end: End) -> None:
        """Tell those who wait for a request what became of it."""
        for wait, place in self._waiting.pop(tx_id, ()):
            wait.end(place, end)

    def end_all(self, end: End) -> None:
        """Tell everybody the same."""
        for tx_id in list(self._waiting):
            self.end(tx_id, end)
