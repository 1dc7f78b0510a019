"""How executed blocks come to rest: log, indexes, checkpoints, a full disk outlived, and those who wait for a height told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from changan.errors import ChanganError
from changan.ledger.admission import RefusedError
from changan.ledger.wire.messages import TxStatusCode
from changan.node.checkpoints import Checkpoints
from changan.node.metrics import METRICS
from changan.node.reader import Reader
from changan.node.storage import OutOfTurnError, record_parts
from changan.node.store.full import DiskFullError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.ledger.transition import AppliedBlock
    from changan.ledger.world import World
    from changan.node.storage import ChainStorage

_log = structlog.get_logger()
DISK_RETRY_S = 0.5


class StoppedError(ChanganError):
    """The chain stops; whoever waited must ask again later by transaction id."""


class Rest:
    """The disk of one chain, and what waits for it."""

    def __init__(self, world: World, storage: ChainStorage) -> None:
        self.reader = Reader(storage.log, storage.index)
        self.fault: str | None = None  # why the chain takes no transactions now, in words
        self.stopping = False
        self._world = world
        self._chain_id = world.config.chain_id
        self._storage = storage
        self.histories = storage.follow(self.reader, world)
        self.checkpoints = Checkpoints(world, storage, self.reaches)
        self._disk = ThreadPoolExecutor(1, "disk")  # blocks come to rest in order, also while the event loop is busy
        self._changed = asyncio.Condition()

    async def bring(self, applied: AppliedBlock) -> None:
        """Write an executed block; while the disk refuses, keep its bytes and try again. Raises StoppedError."""
        height = applied.header.block_height
        record = record_parts(applied)
        started = time.perf_counter()
        await self._write(record, applied)
        self.reader.keep(height, record)
        self.histories.rested()
        METRICS.commit.labels(self._chain_id).observe(time.perf_counter() - started)
        METRICS.transactions.labels(self._chain_id).inc(len(applied.done))
        METRICS.logged.labels(self._chain_id).inc(sum(map(len, record)))
        METRICS.height.labels(self._chain_id).set(height)

    async def _write(self, record: Sequence[bytes], applied: AppliedBlock) -> None:
        """Let the disk take a block behind the one below it; while it refuses, ask again. Raises StoppedError."""
        height, loop = applied.header.block_height, asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self._disk, self._storage.log_block, record, height)
                # Not in that thread: LMDB lets go of the interpreter at every row, and whoever waits for it is woken in vain.
                self._storage.index_block(applied)
            except OutOfTurnError:  # the block below says why
                await asyncio.sleep(DISK_RETRY_S)
                if self.stopping:
                    raise StoppedError(self.fault or "the node is stopping") from None
            except DiskFullError as error:
                if self.fault is None:
                    _log.error("disk.full", height=height, reason=str(error))
                self.fault = f"the disk is full, block {height} waits for room: {error}"
                await self.notify()
                await asyncio.sleep(DISK_RETRY_S)
                if self.stopping:
                    raise StoppedError(self.fault) from error
            else:
                self.fault = None
                return

    # Those who wait

    async def notify(self) -> None:
        """Wake whoever waits for a height, a stop or a fault."""
        async with self._changed:
            self._changed.notify_all()

    async def reaches(self, height: int) -> None:
        """Return when the block at `height` rests. Raises RefusedError while the disk is full, StoppedError."""
        if self.reader.height >= height:
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self.reader.height >= height or self.stopping or self.fault)
        if self.reader.height >= height:
            return
        if self.fault is not None:  # what was seen may yet be lost; what rests is still read by CHAIN_QUERY
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, self.fault)
        raise StoppedError("the node is stopping")

    async def grows(self, height: int, timeout_s: float) -> None:
        """Return when a block above `height` rests, the chain stops, or the time is up."""
        if self.reader.height > height or self.stopping:
            return
        with contextlib.suppress(TimeoutError):
            # Not wait_for: it loses a cancellation that comes together with a block.
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self.reader.height > height or self.stopping)

    # The archive

    @property
    def archivable(self) -> int:
        """The height up to which blocks can be archived: the newest block is always at hand."""
        return self.reader.height - 1

    async def archive(self, height: int) -> None:
        """Move the blocks up to a height out of the way. Raises ArchivedError, OSError."""
        await asyncio.to_thread(self._storage.archive, height)

    async def restore(self, height: int) -> None:
        """Bring back what was archived last, which must hold the block at `height`. Raises ArchivedError, OSError."""
        await asyncio.to_thread(self._storage.restore, height)

    async def close(self) -> None:
        """Write a last checkpoint and close the files."""
        await self.checkpoints.close(last=self.fault is None)
        self._disk.shutdown()
        self._storage.close()
