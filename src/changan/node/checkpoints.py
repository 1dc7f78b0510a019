"""When checkpoints of a chain are due, and how they are written while its blocks go on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import structlog

from changan.errors import ChanganError
from changan.ledger.picture import Picture
from changan.ledger.snapshot import dump
from changan.node.metrics import stage
from changan.node.process import give_way

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future

    from changan.ledger.snapshot import Section
    from changan.ledger.transition import AppliedBlock
    from changan.ledger.world import World
    from changan.node.storage import ChainStorage
    from changan.node.store.checkpoint import CheckpointFile

_log = structlog.get_logger()
TRANSACTIONS = 10_000
ROWS_SHARE = 10
TRANSACTIONS_MAX = 100_000
"""A checkpoint is due when so many transactions came, and a tenth as many as there are rows: its cost stays a small share.
It is due at the latest after this many, so that what a start replays takes seconds."""
PACE = 4
"""So many times as fast as the next checkpoint comes due, the rows for this one are taken."""

BLOCKS_WAITED_MAX = 512
"""For so many blocks at the most a checkpoint waits for a root that is being made."""


class _UnderWay(NamedTuple):
    """A checkpoint that is being taken, block after block."""

    picture: Picture
    file: CheckpointFile
    writes: list[Future[None]]  # of its parts, in order


class Checkpoints:
    """The checkpoints of one chain. They are caches: without one, the next start replays more."""

    def __init__(self, world: World, storage: ChainStorage, reaches: Callable[[int], Awaitable[None]]) -> None:
        """Take what returns once the block at a height rests."""
        self._world = world
        self._storage = storage
        self._reaches = reaches
        # What was replayed counts too: else a node that dies again and again before its next checkpoint replays ever more.
        self._since = storage.replayed
        self._waited = 0  # blocks since all that a checkpoint needs was there
        self._writer = ThreadPoolExecutor(1, "checkpoint", initializer=give_way)
        self._under_way: _UnderWay | None = None
        self._finishing: asyncio.Task[None] | None = None

    @stage("checkpoint")
    def executed(self, applied: AppliedBlock) -> None:
        """Go on with a checkpoint after a block that was executed, or begin one if so much was done since the last."""
        due = min(max(TRANSACTIONS, self._world.row_count // ROWS_SHARE), TRANSACTIONS_MAX)
        self._since += applied.work
        if self._under_way is not None:
            self._follow(self._under_way, applied, due)
        elif self._since >= due and (self._finishing is None or self._finishing.done()):
            self._begin()
        if self._under_way is not None and self._under_way.picture.is_ready and self._may_finish():
            made, self._under_way = self._under_way, None
            self._finishing = asyncio.create_task(self._finish(made, self._world.height, made.picture.finish()))

    def _may_finish(self) -> bool:
        """Whether now is the time: a root over much in the making keeps a core busy too, and what is set aside goes into it."""
        self._waited += 1
        return not self._world.commitment.is_folding or self._waited > BLOCKS_WAITED_MAX

    def _begin(self) -> None:
        self._since = self._waited = 0
        try:
            self._under_way = _UnderWay(Picture(self._world), self._storage.new_checkpoint(), [])
        except OSError as error:
            _failed(error)

    def _follow(self, made: _UnderWay, applied: AppliedBlock, due: int) -> None:
        if made.picture.is_spoilt:
            self._under_way = None
            self._finishing = asyncio.create_task(self._discard(made))
            return
        for part in made.picture.follow(applied.changes, applied.work * PACE / due):
            made.writes.append(self._writer.submit(made.file.write, [part]))

    async def _finish(self, made: _UnderWay, height: int, rest: Sequence[Section]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._reaches(height)  # the picture may be of a block that is still on its way to the disk
            for write in made.writes:
                await asyncio.wrap_future(write)
            await loop.run_in_executor(self._writer, made.file.write, rest)
            await loop.run_in_executor(self._writer, made.file.finish, height)
        except (OSError, ChanganError) as error:
            _failed(error)
        finally:
            await self._discard(made)

    async def _discard(self, made: _UnderWay) -> None:
        """Let nothing stay of what was not finished. The next one begins after this, for its file has the same name."""
        await asyncio.get_running_loop().run_in_executor(self._writer, made.file.discard)

    async def close(self, *, last: bool) -> None:
        """Stop, with a last checkpoint unless nothing was done since the one before."""
        if self._finishing is not None:
            await self._finishing
        made, self._under_way = self._under_way, None
        if made is not None:
            await self._discard(made)
        if last and (self._since or made is not None):
            self._begin()
            if self._under_way is not None:
                await self._finish(self._under_way, self._world.height, dump(self._world))
        self._writer.shutdown()


def _failed(error: Exception) -> None:
    _log.warning("checkpoint.failed", reason=str(error))
