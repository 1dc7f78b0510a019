"""Solo ordering: this node alone decides what comes next, as soon as anything waits. It is no consensus."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

import structlog

from changan.client.requests import Signer, make_payload, sign_request
from changan.ledger.admission import RefusedError
from changan.ledger.system import OWN, SETTLE
from changan.ledger.transition import Decided
from changan.ledger.wire.messages import TxStatusCode
from changan.node.chain import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.crypto.keys import SigningKey
    from changan.ledger.wire.messages import BlockConfig, Member
    from changan.node.chain import Chain
    from changan.node.pool import Waiting

_log = structlog.get_logger()
_MIB = 1024 * 1024
SETTLE_AFTER_S = 0.5


class Proposer(NamedTuple):
    """This node as the proposer of blocks."""

    member: Member
    key: SigningKey
    signature_hash: str

    def seal(self, block_hash: bytes) -> bytes:
        """Sign the hash of a block."""
        return self.key.sign(block_hash, self.signature_hash)


async def settle(chain: Chain, proposer: Proposer) -> None:
    """Ask for the block that brings the state tree up to date: it holds the root of its own height."""
    payload = make_payload(chain.chain_id, OWN, SETTLE, {})
    payload.timestamp = chain.time()
    request = sign_request(payload, Signer(proposer.member, proposer.key, proposer.signature_hash))
    with contextlib.suppress(RefusedError):  # e.g. this node's certificate was revoked
        await chain.submit(request, request.ByteSize())


class Solo:
    """Takes what waits in a chain's pool, block after block."""

    def __init__(self, chain: Chain, proposer: Proposer) -> None:
        self._chain = chain
        self._proposer = proposer

    async def run(self) -> None:
        """Make blocks until the chain stops. What ends it before is shown as the chain's fault, and told to those who wait."""
        try:
            await self._make_blocks()
            await self._chain.settled()
        except Exception as error:
            await self._chain.fail(f"the chain stopped, start the node again: {error!r}")
            raise

    async def _make_blocks(self) -> None:
        chain = self._chain
        while not chain.stopping:
            if chain.world.commitment.behind:
                await self._settle_when_idle()
            await chain.arrived.wait()
            config = chain.world.config.block
            await self._gather(config)
            taken = chain.pool.take(config.block_tx_capacity or 1, max(1, config.block_size) * _MIB)
            if not len(chain.pool):
                chain.arrived.clear()
            time_us = chain.next_time_us()
            taken = [waiting for waiting in taken if self._still_good(waiting, time_us // MICROSECONDS)]
            if taken:
                await self._make_block(taken, time_us)
            elif not len(chain.pool):
                await chain.settled()

    async def _settle_when_idle(self) -> None:
        """When nothing waits for a while and the state tree is behind, ask for the block that brings it up to date."""
        chain = self._chain
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(chain.arrived.wait(), SETTLE_AFTER_S)
            return
        while (work := chain.world.commitment.catch_up()) is not None:
            if not await self._done_before_any_arrives(work):
                return
        await settle(chain, self._proposer)

    async def _done_before_any_arrives(self, work: Callable[[], object]) -> bool:
        """Let a thread work until it has done; if a request arrives before, it goes on by itself."""
        arrived = asyncio.ensure_future(self._chain.arrived.wait())
        done = asyncio.ensure_future(asyncio.to_thread(work))
        await asyncio.wait({arrived, done}, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        if done.done():
            done.result()
        return done.done()

    async def _gather(self, config: BlockConfig) -> None:
        """While nobody waits for a result, let requests gather for a block's interval."""
        chain = self._chain
        if chain.awaited or chain.stopping or len(chain.pool) >= config.block_tx_capacity:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(chain.hurry(), config.block_interval / 1000)

    def _still_good(self, waiting: Waiting, time: int) -> bool:
        """Whether a request may be in a block of `time`, seconds; one that may not is told so."""
        chain, payload = self._chain, waiting.request.payload
        try:
            if not chain.world.remembered.in_time(payload.timestamp, time, chain.world.tx_timeout):
                text = f"TxTimestamp error, chainId:{chain.chain_id}, txId:{payload.tx_id}"
                raise RefusedError(TxStatusCode.INTERNAL_ERROR, text)
            if waiting.verdict.epoch != chain.world.epoch or not waiting.verdict.holds_at(time):
                chain.authenticate(waiting.request)
        except RefusedError as error:
            _log.info("transaction.dropped", tx_id=payload.tx_id, reason=error.message)
            chain.drop(payload.tx_id, error)
            return False
        return True

    async def _make_block(self, taken: list[Waiting], time_us: int) -> None:
        chain = self._chain
        decided = Decided(
            chain.world.height + 1,
            time_us,
            self._proposer.member,
            [waiting.request for waiting in taken],
            [waiting.verdict for waiting in taken],
        )
        await chain.execute(decided, self._proposer.seal)
