"""Whose request is looked at next: addresses in turn, and the connections of each in turn, however many requests one sends.

Looking at a request takes the event loop for a fraction of a millisecond. Without turns a peer that keeps a thousand requests
under way makes every other one wait for them all; with turns, for one or two.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

ROUNDS_BETWEEN = 15
"""Rounds of the event loop from a turn to the next while several wait. What arrives is taken in meanwhile, which is cheap: a
request that still lies in the server's own queue, first in and first out, has no turn."""

_Queue = deque["asyncio.Future[None]"]


class Turns:
    """Gives one turn after another. Each lasts until the next pause of whoever took it."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, OrderedDict[str, _Queue]] = OrderedDict()  # by address, and by its connections
        self._count = 0
        self._given = False  # a turn that is not over

    async def take(self, address: str, connection: str) -> None:
        """Return when a connection of an address has its turn."""
        loop = asyncio.get_running_loop()
        if not self._given:
            self._given = True
            loop.call_soon(self._give)
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(address, OrderedDict()).setdefault(connection, deque()).append(turn)
        self._count += 1
        await turn

    def _give(self, rounds: int = 0) -> None:
        """Give the next turn after so many more rounds."""
        loop = asyncio.get_running_loop()
        if rounds:
            loop.call_soon(self._give, rounds - 1)
            return
        while self._waiting:
            turn = self._next()
            if not turn.cancelled():
                turn.set_result(None)
                loop.call_soon(self._give, ROUNDS_BETWEEN if self._count > 1 else 0)
                return
        self._given = False

    def _next(self) -> asyncio.Future[None]:
        """Take out the turn that is due; its address and its connection go behind the others."""
        address, connections = self._waiting.popitem(last=False)
        connection, queue = connections.popitem(last=False)
        turn = queue.popleft()
        self._count -= 1
        if queue:
            connections[connection] = queue
        if connections:
            self._waiting[address] = connections
        return turn
