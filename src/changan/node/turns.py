"""Whose request is looked at next: addresses in turn, and the connections of each in turn, however many requests one sends.

Looking at a request takes the event loop for a fraction of a millisecond. Without turns a peer that keeps a thousand requests
under way makes every other one wait for them all; with turns, for one or two.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

ROUNDS_BETWEEN = 15
"""Rounds of the event loop after a turn, at most. What arrives is taken in meanwhile, which is cheap: a request that still lies
in the server's own queue, first in and first out, has no turn. Without them, a queue that was once long would stay long: one
request would come out of it for each that is looked at, and never two wait here."""
QUIET_ROUNDS = 8
"""… and so many in a row in which nobody came. While the server has requests one comes every five to seven rounds."""

_Queue = deque["asyncio.Future[None]"]


class Turns:
    """Gives one turn after another. Each lasts until the next pause of whoever took it."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, OrderedDict[str, _Queue]] = OrderedDict()  # by address, and by its connections
        self._given = False  # a turn that is not over
        self._quiet = 0  # rounds since somebody came

    async def take(self, address: str, connection: str) -> None:
        """Return when a connection of an address has its turn."""
        loop = asyncio.get_running_loop()
        self._quiet = 0
        if not self._given:
            self._given = True
            self._pause(ROUNDS_BETWEEN)
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(address, OrderedDict()).setdefault(connection, deque()).append(turn)
        await turn

    def _pause(self, rounds: int) -> None:
        """Give the next turn after so many rounds, or sooner where nobody comes."""
        self._quiet += 1
        if rounds and self._quiet <= QUIET_ROUNDS:
            asyncio.get_running_loop().call_soon(self._pause, rounds - 1)
        else:
            self._give()

    def _give(self) -> None:
        while self._waiting:
            turn = self._next()
            if not turn.cancelled():
                turn.set_result(None)
                self._quiet = 0
                self._pause(ROUNDS_BETWEEN)
                return
        self._given = False

    def _next(self) -> asyncio.Future[None]:
        """Take out the turn that is due; its address and its connection go behind the others."""
        address, connections = self._waiting.popitem(last=False)
        connection, queue = connections.popitem(last=False)
        turn = queue.popleft()
        if queue:
            connections[connection] = queue
        if connections:
            self._waiting[address] = connections
        return turn
