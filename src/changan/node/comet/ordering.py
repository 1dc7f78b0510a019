"""Comet ordering: what waits in a chain's pool goes to the engine, and what the engine decides is executed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

from changan.node.comet.abci.server import AbciServer
from changan.node.comet.application import LedgerApplication
from changan.node.comet.batches import BatchCache
from changan.node.comet.engine import Engine, socket_folder
from changan.node.comet.engine_home import TX_BYTES_MAX
from changan.node.comet.membership import Membership
from changan.node.comet.rosters import Rosters
from changan.node.comet.seals import Seals
from changan.node.comet.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from changan.node.chain import Chain
    from changan.node.comet.abci.application import Application
    from changan.node.comet.engine_home import EngineHome
    from changan.node.solo import Proposer


REQUEST_BYTES_MAX = TX_BYTES_MAX - 64 * 1024
"""What a batch of one may hold; the engine refuses larger ones."""


class Comet:
    """Takes what waits in a chain's pool to an ordering that all organisations share."""

    def __init__(
        self, chain: Chain, proposer: Proposer, binary: Path, home: EngineHome, dialled: Collection[str] = ()
    ) -> None:
        """Take a chain and its engine's folder; `dialled` are the ids of the peers that the engine dials."""
        self._chain = chain
        self._sockets = socket_folder(home.root)
        self.engine = Engine(binary, home, self._sockets)
        self._cache = BatchCache()
        self._submission = Submission(chain, self._cache, self.engine.door)
        chain.request_bytes_max = REQUEST_BYTES_MAX
        self.rosters = Rosters(chain.world, chain.reader)
        seals = Seals(chain.reader, self.rosters, proposer)
        chain.reader.complete = seals.complete
        chain.reader.membership = Membership(self.rosters, chain.reader, chain.world.digest).links
        self.application = LedgerApplication(
            chain, self._cache, self._submission, seals, self.rosters, first_height=home.first_height, dialled=dialled
        )
        self.served: Application = self.application
        """What the engine talks to; tests put a recorder before the application."""

    @property
    def verified(self) -> int:
        """How many requests of others, or of its own anew, this node has checked for the ordering."""
        return self._cache.verified

    async def run(self) -> None:
        """Work until the chain stops. What ends it before is shown as the chain's fault, and told to those who wait."""
        try:
            async with AbciServer(self.served).listen(self.engine.application_socket):
                await self._work()
        except Exception as error:
            await self._chain.fail(f"the chain stopped, start the node again: {error!r}")
            raise
        finally:
            await self.engine.stop()
            shutil.rmtree(self._sockets, ignore_errors=True)

    async def _work(self) -> None:
        engine = asyncio.create_task(self.engine.run(self._begin), name="engine")
        submission = asyncio.create_task(self._submission.run(), name="submission")
        stopping = asyncio.create_task(self._stopping(), name="stopping")
        tasks = {engine, submission, stopping}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self.engine.stop()
            self._submission.stop()
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _begin(self, engine_is_new: bool) -> None:  # noqa: FBT001  # the engine calls it
        self.application.engine_is_new = engine_is_new

    async def _stopping(self) -> None:
        while not self._chain.stopping:
            await self._chain.hurry()
