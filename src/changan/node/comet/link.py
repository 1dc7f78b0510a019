"""The engine, and the socket at which it meets the application that this node has for it now."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

from changan.node.comet.abci.application import Application
from changan.node.comet.abci.server import AbciServer
from changan.node.comet.engine import Engine, socket_folder

if TYPE_CHECKING:
    from pathlib import Path

    from changan.node.comet.engine_home import EngineHome


class Link:
    """Runs the engine beside one application after another."""

    def __init__(self, binary: Path, home: EngineHome) -> None:
        self.home = home
        self.sockets = socket_folder(home.root)
        self.engine = Engine(binary, home, self.sockets)
        self._server = AbciServer(Application())
        self._task: asyncio.Task[None] | None = None

    def serve(self, application: Application) -> None:
        """Let an application answer the engine from now on."""
        self._server.application = application

    def run(self) -> asyncio.Task[None]:
        """Return the task that keeps the engine running; it begins with the first call."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="engine")
        return self._task

    async def _run(self) -> None:
        try:
            async with self._server.listen(self.engine.application_socket):
                await self.engine.run(self._begin, self._waits)
        finally:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def _begin(self, is_new: bool) -> None:  # noqa: FBT001  # the engine calls it
        self._server.application.engine_starts(is_new=is_new)

    def _waits(self, reason: str | None) -> None:
        self._server.application.engine_waits(reason)

    async def stop(self) -> None:
        """Stop the engine and close the socket."""
        await self.engine.stop()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
