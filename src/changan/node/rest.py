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
from changan.ledger.picture import Picture
from changan.ledger.snapshot import dump
from changan.ledger.wire.messages import TxStatusCode
from changan.node.metrics import METRICS
from changan.node.reader import Reader
from changan.node.storage import OutOfTurnError, record_of
from changan.node.store.full import DiskFullError

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.ledger.transition import AppliedBlock
    from changan.ledger.world import World
    from changan.node.storage import ChainStorage

_log = structlog.get_logger()
DISK_RETRY_S = 0.5
CHECKPOINT_TRANSACTIONS = 10_000
CHECKPOINT_ROWS_SHARE = 10
CHECKPOINT_TRANSACTIONS_MAX = 30_000
"""A checkpoint is due when so many transactions came, and a tenth as many as there are rows: its cost stays a small share.
It is due at the latest after this many, so that what a start replays takes seconds."""
PICTURE_PACE = 4
"""So many times as fast as the next checkpoint comes due, the rows for this one are taken."""


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
        self._disk = ThreadPoolExecutor(1, "disk")  # blocks come to rest in order, also while the event loop is busy
        self._changed = asyncio.Condition()
        # What was replayed counts too: else a node that dies again and again before its next checkpoint replays ever more.
        self._since_checkpoint = storage.replayed
        self._picture: Picture | None = None
        self._checkpointing: asyncio.Task[None] | None = None

    async def bring(self, applied: AppliedBlock) -> None:
        """Write an executed block; while the disk refuses, keep its bytes and try again. Raises StoppedError."""
        height = applied.header.block_height
        record = record_of(applied)
        started = time.perf_counter()
        await self._write(record, applied)
        self.reader.keep(height, record)
        self.histories.rested()
        METRICS.commit.labels(self._chain_id).observe(time.perf_counter() - started)
        METRICS.transactions.labels(self._chain_id).inc(len(applied.done))
        METRICS.height.labels(self._chain_id).set(height)

    async def _write(self, record: bytes, applied: AppliedBlock) -> None:
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

    # Checkpoints

    def executed(self, applied: AppliedBlock) -> None:
        """Go on with a checkpoint after a block that was executed, or begin one if so much was done since the last."""
        due = max(CHECKPOINT_TRANSACTIONS, self._world.row_count // CHECKPOINT_ROWS_SHARE)
        due = min(due, CHECKPOINT_TRANSACTIONS_MAX)
        self._since_checkpoint += applied.work
        picture = self._picture
        if picture is not None:
            picture.follow(applied.changes, applied.work * PICTURE_PACE / due)
        elif self._since_checkpoint >= due and (self._checkpointing is None or self._checkpointing.done()):
            self._since_checkpoint = 0
            picture = Picture(self._world)
        if picture is None or picture.is_spoilt:
            self._picture = None
        elif picture.is_ready:
            self._picture = None
            write = self._storage.checkpoint(self._world.height, picture.finish())
            self._checkpointing = asyncio.create_task(self._checkpoint(self._world.height, write))
        else:
            self._picture = picture

    async def _checkpoint(self, height: int, write: Callable[[], None]) -> None:
        try:
            await self.reaches(height)  # the picture may be of a block that is still on its way to the disk
            await asyncio.to_thread(write)
        except (OSError, RefusedError, StoppedError) as error:  # it is a cache: without it the next start replays more
            _log.warning("checkpoint.failed", reason=str(error))

    async def close(self) -> None:
        """Write a last checkpoint and close the files."""
        if self._checkpointing is not None:
            await self._checkpointing
        if self.fault is None and (self._since_checkpoint or self._picture is not None):
            await self._checkpoint(self._world.height, self._storage.checkpoint(self._world.height, dump(self._world)))
        self._disk.shutdown()
        self._storage.close()
