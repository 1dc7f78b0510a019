"""Comet ordering: what waits in a chain's pool goes to the engine, and what the engine decides is executed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from changan.node.comet.application import LedgerApplication
from changan.node.comet.batches import BatchCache
from changan.node.comet.cluster import SNAPSHOTS
from changan.node.comet.engine_home import TX_BYTES_MAX
from changan.node.comet.membership import Membership
from changan.node.comet.rosters import Rosters
from changan.node.comet.seals import Seals
from changan.node.comet.snapshots import Snapshots
from changan.node.comet.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from changan.ledger.agreement import Links
    from changan.ledger.world import World
    from changan.node.chain import Chain
    from changan.node.comet.abci.application import Application
    from changan.node.comet.link import Link
    from changan.node.solo import Proposer


REQUEST_BYTES_MAX = TX_BYTES_MAX - 64 * 1024
"""What a batch of one may hold; the engine refuses larger ones."""


class Comet:
    """Takes what waits in a chain's pool to an ordering that all organisations share."""

    def __init__(
        self,
        chain: Chain,
        directory: Path,
        proposer: Proposer,
        link: Link,
        dialled: Collection[str] = (),
        kept_blocks: int = 0,
    ) -> None:
        """Take a chain with its folder, and its engine.

        `dialled` are the ids of the peers that the engine dials, `kept_blocks` is how many of its blocks it keeps; 0: all.
        """
        self._chain = chain
        self._link = link
        self._proposer = proposer
        self.engine = link.engine
        self._cache = BatchCache()
        self._submission = Submission(chain, self._cache, self.engine.door)
        chain.request_bytes_max = REQUEST_BYTES_MAX
        self.rosters = Rosters(chain.world, chain.reader)
        seals = Seals(chain.reader, self.rosters, proposer)
        chain.reader.complete = seals.complete
        chain.reader.membership = Membership(self.rosters, chain.reader, chain.world.digest).links
        self.snapshots = Snapshots(chain, self.rosters, directory / SNAPSHOTS, kept_blocks)
        self.application = LedgerApplication(
            chain,
            self._cache,
            self._submission,
            seals,
            self.rosters,
            self.snapshots,
            first_height=link.home.first_height,
            dialled=dialled,
        )
        self.served: Application = self.application
        """What the engine talks to; tests put a recorder before the application."""

    @property
    def world(self) -> World:
        """The state of the chain at the end of its last block."""
        return self._chain.world

    def links(self, height: int) -> Links:
        """Return the proofs of the changes of the voters below a height. Raises UnprovableError, ArchivedError."""
        return self._chain.reader.membership(height)

    @property
    def verified(self) -> int:
        """How many requests of others, or of its own anew, this node has checked for the ordering."""
        return self._cache.verified

    async def run(self) -> None:
        """Work until the chain stops. What ends it before is shown as the chain's fault, and told to those who wait."""
        self._link.serve(self.served)
        try:
            await self._work()
        except Exception as error:
            await self._chain.fail(f"the chain stopped, start the node again: {error!r}")
            raise
        finally:
            await self._link.stop()
            await self.snapshots.close()

    async def _work(self) -> None:
        submission = asyncio.create_task(self._submission.run(), name="submission")
        stopping = asyncio.create_task(self._stopping(), name="stopping")
        roots = asyncio.create_task(self.snapshots.ask_for_roots(self._proposer), name="roots")
        tasks = (submission, stopping, roots)
        try:
            done, _ = await asyncio.wait({self._link.run(), *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self.engine.stop()
            self._submission.stop()
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _stopping(self) -> None:
        while not self._chain.stopping:
            await self._chain.hurry()
