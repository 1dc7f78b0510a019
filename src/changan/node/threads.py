"""Work in threads of this node, for whose end threads and coroutines may wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor

_T = TypeVar("_T")


class InThread(Generic[_T]):
    """Work that a thread does. Whoever calls it waits and has its result."""

    def __init__(self, threads: Executor, work: Callable[[], _T]) -> None:
        """Let one of these threads do the work, which begins as soon as one is free."""
        self._future = threads.submit(work)

    def __call__(self) -> _T:
        """Return what the work returned, or raise what it raised, once it is done."""
        return self._future.result()

    async def ended(self) -> None:
        """Return once the work is done. Raises what it raised."""
        # No other thread is woken to wait: each that is takes half a millisecond of a bundle's time.
        await asyncio.shield(asyncio.wrap_future(self._future))


async def all_ended(begun: Iterable[Callable[[], object]]) -> None:
    """Return once all work is done that was begun in threads; what was not begun yet is done in one now."""
    for each in begun:
        if isinstance(each, InThread):
            await each.ended()
        else:
            await asyncio.to_thread(each)
