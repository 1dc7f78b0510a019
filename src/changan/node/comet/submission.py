"""This node's own requests on their way into blocks: gossiped in batches, or put straight into this node's proposals."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from changan.errors import ChanganError
from changan.ledger.admission import RefusedError
from changan.ledger.wire.messages import TxStatusCode
from changan.node.comet.batches import encode_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.node.chain import Chain
    from changan.node.comet.batches import BatchCache
    from changan.node.pool import Waiting

_log = structlog.get_logger()
GOSSIPED_MAX = 8
"""Batches of this node that may be under way in the engine's gossip; more requests gather here and make larger batches."""
BATCH_REQUESTS_MAX = 500
BATCH_BYTES_MAX = 512 * 1024
AGAIN_S = 3.0
"""After so long without a decision a request is sent again; the chain takes it once."""
PAUSE_S = 0.2
_HERE_US_MAX = 1 << 62


class UnsentError(ChanganError):
    """The engine did not take a batch."""


class EngineDoor(Protocol):
    """Where the engine takes transactions."""

    async def broadcast(self, data: bytes) -> None:
        """Hand a transaction to the engine's gossip. Raises UnsentError."""


class _Afloat(NamedTuple):
    """A batch under way."""

    ids: Sequence[str]
    since: float  # of the monotonic clock
    proposed_at: int | None  # the engine's height, where it was not gossiped


class Submission:
    """Empties a chain's pool into the engine and keeps each request until it is executed, refused or out of its time."""

    def __init__(self, chain: Chain, cache: BatchCache, door: EngineDoor) -> None:
        self._chain = chain
        self._cache = cache
        self._door = door
        self._afloat: dict[int, _Afloat] = {}
        self._again: list[Waiting] = []
        self._moved = asyncio.Event()  # something was decided, or must be sent again

    async def run(self) -> None:
        """Send until the chain stops."""
        chain = self._chain
        while not chain.stopping:
            if not self._again:
                await self._something()
            taken = self._take(BATCH_REQUESTS_MAX, BATCH_BYTES_MAX)
            if taken and not chain.stopping:
                await self._gossip(taken)

    async def _something(self) -> None:
        """Return when requests wait and a batch may be sent, or it is time to look after those under way."""
        chain = self._chain
        self._moved.clear()
        waits = [self._moved.wait()]
        gossiped = sum(one.proposed_at is None for one in self._afloat.values())
        if gossiped < GOSSIPED_MAX:
            waits.append(chain.arrived.wait())
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.wait(tasks, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        now = time.monotonic()
        for number, one in list(self._afloat.items()):
            if now - one.since > AGAIN_S:
                self._give_back(number)

    def _take(self, count_max: int, bytes_max: int) -> list[Waiting]:
        """Take requests that are still good; those that are not are told so."""
        chain = self._chain
        capacity = max(1, chain.world.config.block.block_tx_capacity)
        if self._again:
            taken, self._again = self._first(min(count_max, capacity), bytes_max)
        else:
            taken = chain.pool.take(min(count_max, capacity), bytes_max)
        if not len(chain.pool):
            chain.arrived.clear()
            if chain.stopping:
                chain.arrived.set()
        return [waiting for waiting in taken if self._still_good(waiting)]

    def _first(self, count_max: int, bytes_max: int) -> tuple[list[Waiting], list[Waiting]]:
        """Part what must be sent again into a batch and the rest."""
        room, count = bytes_max, 0
        for waiting in self._again[:count_max]:
            if count and (waiting.size > room or waiting.alone or self._again[0].alone):
                break
            room -= waiting.size
            count += 1
        return self._again[:count], self._again[count:]

    def _still_good(self, waiting: Waiting) -> bool:
        chain, payload = self._chain, waiting.request.payload
        if chain.world.remembered.holds(payload.tx_id):
            return False  # it came by another node, and whoever waited was told
        try:
            if not chain.world.remembered.in_time(payload.timestamp, chain.time(), chain.world.tx_timeout):
                text = f"TxTimestamp error, chainId:{chain.chain_id}, txId:{payload.tx_id}"
                raise RefusedError(TxStatusCode.INTERNAL_ERROR, text)
            if waiting.verdict.epoch != chain.world.epoch:
                chain.authenticate(waiting.request)
        except RefusedError as error:
            _log.info("transaction.dropped", tx_id=payload.tx_id, reason=error.message)
            chain.drop(payload.tx_id, error)
            return False
        return True

    def _float(self, taken: Sequence[Waiting], proposed_at: int | None) -> tuple[int, bytes]:
        """Make a batch of requests and note that it is under way."""
        chain = self._chain
        number = secrets.randbits(63)
        requests = [waiting.request for waiting in taken]
        data = encode_batch(requests, number)
        if all(waiting.verdict.epoch == chain.world.epoch for waiting in taken):
            self._cache.keep(data, requests, [waiting.verdict for waiting in taken], chain.world.epoch)
        for waiting in taken:
            chain.afloat[waiting.request.payload.tx_id] = waiting
        ids = [waiting.request.payload.tx_id for waiting in taken]
        self._afloat[number] = _Afloat(ids, time.monotonic(), proposed_at)
        return number, data

    async def _gossip(self, taken: Sequence[Waiting]) -> None:
        number, data = self._float(taken, None)
        try:
            await self._door.broadcast(data)
        except UnsentError as error:
            _log.info("batch.unsent", requests=len(taken), reason=str(error))
            await asyncio.sleep(PAUSE_S)
            self._give_back(number)

    # As the application asks

    def propose(self, height: int, count_max: int, bytes_max: int) -> tuple[bytes, Sequence[object]] | None:
        """Return a batch of requests that wait here, for this node's proposal at a height of the engine."""
        if count_max < 1 or bytes_max < BATCH_BYTES_MAX or not len(self._chain.pool):
            return None
        taken = self._take(count_max, bytes_max // 2)
        if not taken:
            return None
        return self._float(taken, height)[1], taken

    def decided(self, height: int) -> None:
        """Forget batches that were executed; send again what was proposed and not decided."""
        afloat = self._chain.afloat
        for number, one in list(self._afloat.items()):
            if not any(tx_id in afloat for tx_id in one.ids):
                del self._afloat[number]
            elif one.proposed_at is not None and one.proposed_at <= height:
                self._give_back(number)
        self._moved.set()

    def _give_back(self, number: int) -> None:
        one = self._afloat.pop(number, None)
        if one is None:
            return
        afloat = self._chain.afloat
        self._again += [afloat[tx_id] for tx_id in one.ids if tx_id in afloat]
        self._moved.set()

    def stop(self) -> None:
        """Let `run` end."""
        self._moved.set()
