"""Lines between the engines of a cluster: TCP relays whose weather a test makes, seeded. They run in a thread of their own.

A packet that is lost is one that TCP sends again: the bytes behind it stand still for a while, and now and then a connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from typing import NamedTuple

PIECE_BYTES = 16 * 1024
UNDER_WAY = 256  # pieces
RESENT_S = 0.2  # the least time after which TCP sends a lost packet again


class Weather(NamedTuple):
    """What a line does to what goes over it."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0  # the share of pieces that stand still until they are sent again
    reset: float = 0.0  # the share of pieces with which the connection ends
    bytes_per_s: float = 0.0  # 0: as many as come
    cut: bool = False


class Line:
    """One direction of dialling, from one node to another; bytes go both ways over it."""

    def __init__(self, target: int, seed: str) -> None:
        self.weather = Weather()
        self.carried = self.lost = self.resets = 0
        self.port = 0
        self._target = target
        self._dice = random.Random(seed)
        self._open: set[asyncio.Task] = set()

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def hang_up(self) -> None:
        for task in list(self._open):
            task.cancel()

    async def _carry(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        out = None
        try:
            if not self.weather.cut:
                back, out = await asyncio.open_connection("127.0.0.1", self._target)
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pump(reader, out))
                    pumps.create_task(self._pump(back, writer))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass
        finally:
            self._open.discard(task)
            for end in (writer, out):
                if end is not None:
                    end.close()

    async def _pump(self, reader, writer) -> None:
        """Carry bytes one way until that way ends; both ways end together."""
        queue: asyncio.Queue = asyncio.Queue(UNDER_WAY)
        delivering = asyncio.create_task(self._deliver(queue, writer))
        try:
            free = 0.0  # when the line has carried all that it was given
            while data := await reader.read(PIECE_BYTES):
                weather, now = self.weather, asyncio.get_running_loop().time()
                if self._dice.random() < weather.reset:
                    self.resets += 1
                    break
                at = max(now, free) + (len(data) / weather.bytes_per_s if weather.bytes_per_s else 0)
                if self._dice.random() < weather.loss:
                    self.lost += 1
                    at += RESENT_S + self._dice.random() * RESENT_S
                free = at
                await queue.put((at + weather.delay_s + self._dice.random() * weather.jitter_s, data))
                if delivering.done():
                    break
        finally:
            delivering.cancel()
        raise ConnectionResetError

    async def _deliver(self, queue, writer) -> None:
        with contextlib.suppress(OSError):
            while True:
                at, data = await queue.get()
                await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))
                writer.write(data)
                self.carried += len(data)
                await writer.drain()


class Lines:
    """All lines of a cluster whose engines listen at `ports`: `lines[a, b]` is the one by which a dials b."""

    def __init__(self, ports: list[int], seed: int) -> None:
        pairs = [(a, b) for a in range(len(ports)) for b in range(len(ports)) if a != b]
        self.lines = {pair: Line(ports[pair[1]], f"{seed} {pair}") for pair in pairs}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lines")
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        async def work() -> None:
            self._stopping = asyncio.Event()
            servers = [await line.listen() for line in self.lines.values()]
            self._ready.set()
            await self._stopping.wait()
            for server in servers:
                server.close()
            for line in self.lines.values():
                line.hang_up()
            await asyncio.sleep(0.05)

        with contextlib.closing(self._loop):
            self._loop.run_until_complete(work())

    def set(self, weather: Weather, *nodes: int) -> None:
        """Give weather to all lines of these nodes, or to all."""
        for pair, line in self.lines.items():
            if not nodes or set(pair) & set(nodes):
                line.weather = weather
                if weather.cut:
                    self._loop.call_soon_threadsafe(line.hang_up)

    def part(self, one: set[int]) -> None:
        """Cut the lines between these nodes and all others."""
        for pair, line in self.lines.items():
            if len(set(pair) & one) == 1:
                line.weather = Weather(cut=True)
                self._loop.call_soon_threadsafe(line.hang_up)

    def heal(self) -> None:
        self.set(Weather())

    def total(self, what: str) -> int:
        return sum(getattr(line, what) for line in self.lines.values())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
