"""One running chain, ordered by this node alone: requests in, blocks out, answers only when they rest on disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

import structlog

from changan.contract.instance import BlockContext
from changan.errors import ChanganError
from changan.ledger.admission import RefusedError, authenticate, check_form
from changan.ledger.execution import Execution
from changan.ledger.system import SystemContract
from changan.ledger.transition import Decided, apply_block
from changan.ledger.wire.messages import (
    BlockWithRWSet,
    ContractResult,
    Node,
    TxResponse,
    TxStatusCode,
    TxType,
)
from changan.node.chain_query import ChainQuery, QueryError
from changan.node.metrics import METRICS
from changan.node.pool import Pool, Waiting
from changan.node.reader import Reader
from changan.node.storage import encode_block
from changan.node.store.full import DiskFullError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from changan.crypto.keys import SigningKey
    from changan.ledger.admission import Admitted
    from changan.ledger.transition import AppliedBlock
    from changan.ledger.wire.messages import BlockConfig, Member, TxRequest
    from changan.ledger.world import World
    from changan.node.storage import ChainStorage

_log = structlog.get_logger()
POLL_HELD_S = 5.0
"""How long a question for a transaction that still waits is held, so that the SDK's busy loop asks once."""
DISK_RETRY_S = 0.5
CHECKPOINT_TRANSACTIONS = 10_000
CHECKPOINT_ROWS_SHARE = 10
"""A checkpoint is due when so many transactions came, and a tenth as many as there are rows: its cost stays a small share."""
MICROSECONDS = 1_000_000


class Proposer(NamedTuple):
    """This node as the proposer of blocks."""

    member: Member
    key: SigningKey
    signature_hash: str


class Committed(NamedTuple):
    """Where a transaction rests, and what came of it."""

    height: int
    position: int
    block: BlockWithRWSet

    @property
    def response(self) -> TxResponse:
        """Return the answer that a synchronous call gets."""
        transaction = self.block.block.txs[self.position]
        return TxResponse(
            code=transaction.result.code,
            message=transaction.result.message,
            contract_result=transaction.result.contract_result,
            tx_id=transaction.payload.tx_id,
            tx_timestamp=transaction.payload.timestamp,
            tx_block_height=self.height,
        )


class StoppedError(ChanganError):
    """The chain stops; whoever waited must ask again later by transaction id."""


class Chain:
    """One chain of this node. All methods but the disk's run on the event loop, so the state needs no lock."""

    def __init__(  # a chain is given everything it may touch, the clock included
        self,
        world: World,
        storage: ChainStorage,
        proposer: Proposer,
        nodes: list[Node],
        chains: Callable[[], list[str]],
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.world = world
        self.chain_id = world.config.chain_id
        self._storage = storage
        self._proposer = proposer
        self._now_us = now_us
        self.pool = Pool()
        self.reader = Reader(storage.log, storage.index)
        self._query = ChainQuery(self.chain_id, self.reader, world.digest, nodes, chains)
        self._arrived = asyncio.Event()
        self._awaited = asyncio.Event()  # somebody waits for a result, so the next block is sealed at once
        self._rested = asyncio.Condition()
        self._sealing: dict[str, Waiting] = {}
        self._waiters: dict[str, list[asyncio.Future[Committed]]] = {}
        self._since_checkpoint = 0
        self._checkpointing: asyncio.Task[None] | None = None
        self.fault: str | None = None  # why the chain takes no transactions now, in words
        self._stopping = False

    # Requests

    async def submit(self, request: TxRequest, size: int) -> TxResponse:
        """Take a request for the next block. Raises RefusedError. The answer says only that it was accepted."""
        self._admit(request, size)
        return TxResponse(code=TxStatusCode.SUCCESS, message="OK", tx_id=request.payload.tx_id)

    async def submit_and_wait(self, request: TxRequest, size: int) -> TxResponse:
        """Take a request and answer when it rests on disk. Raises RefusedError, StoppedError."""
        self._admit(request, size)
        return (await self.result(request.payload.tx_id)).response

    def result(self, tx_id: str) -> asyncio.Future[Committed]:
        """Return a future of what becomes of a request that waits."""
        future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(tx_id, []).append(future)
        self._awaited.set()
        return future

    def is_pending(self, tx_id: str) -> bool:
        """Whether a request with this id waits, or is in the block that is being made."""
        return tx_id in self.pool or tx_id in self._sealing

    def _admit(self, request: TxRequest, size: int) -> None:
        payload = request.payload
        if self.fault is not None or self._stopping:
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"Add tx failed, {self.fault or 'the node is stopping'}")
        verdict = self._authenticate(request)
        place = f"chainId:{self.chain_id}, txId:{payload.tx_id}"
        if not self.world.remembered.in_time(payload.timestamp, self._time(), self.world.tx_timeout):
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"Add tx failed, TxTimestamp error, {place}")
        if self.world.remembered.holds(payload.tx_id) or self._was_committed(payload.tx_id):
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"Add tx failed, TxId exist in DB, {place}")
        if self.is_pending(payload.tx_id):
            return  # a retry of what already waits: it is accepted, and runs once
        if payload.contract_name == SystemContract.CHAIN_QUERY:
            text = f"CHAIN_QUERY-{payload.method} reads the chain's past: send it as a query, tx: {payload.tx_id}"
            raise RefusedError(TxStatusCode.CONTRACT_FAIL, text)
        if not self.pool.has_room(size):
            text = f"Add tx failed, TxPool is full, chainId:{self.chain_id}"
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, text)
        self.pool.add(Waiting(request, size, verdict))
        self._arrived.set()

    def _authenticate(self, request: TxRequest) -> Admitted:
        check_form(request)
        world = self.world
        return authenticate(request, world.members, world.policies, self._time(), world.epoch)

    def authenticate(self, request: TxRequest) -> Admitted:
        """Check who sent a request and that the policies allow it. Raises RefusedError."""
        return self._authenticate(request)

    def _time(self) -> int:
        """The time, in seconds, that a block sealed now would have."""
        return self._next_time_us() // MICROSECONDS

    def _next_time_us(self) -> int:
        return max(self._now_us(), self.world.block_time_us + 1)

    def _was_committed(self, tx_id: str) -> bool:
        return self.reader.height_of_transaction(tx_id) is not None

    # Queries

    async def query(self, request: TxRequest) -> TxResponse:
        """Answer a query from the state at the last block, once that block rests. Raises RefusedError."""
        verdict = self._authenticate(request)
        payload = request.payload
        if payload.contract_name == SystemContract.CHAIN_QUERY or payload.method == "GET_CHAIN_CONFIG_AT":
            return await self._chain_query(request)
        height = self.world.height
        context = BlockContext(height + 1, self._time())
        executed = Execution(self.world, context).query(payload, verdict.sender, request.sender.signer)
        await self.rests(height)
        return _query_response(request, executed.code, executed.result)

    async def _chain_query(self, request: TxRequest) -> TxResponse:
        parameters = {parameter.key: parameter.value for parameter in request.payload.parameters}
        tx_id = parameters.get("txId", b"").decode("utf-8", "replace")
        if request.payload.method == "GET_TX_BY_TX_ID" and self.is_pending(tx_id):
            await asyncio.wait([self.result(tx_id)], timeout=POLL_HELD_S)
        try:
            if request.payload.method == "GET_CHAIN_CONFIG_AT":
                answer = self._config_at(parameters)
            else:
                answer = self._query.answer(request.payload.method, parameters)
        except QueryError as error:
            return _query_response(request, TxStatusCode.CONTRACT_FAIL, ContractResult(code=1, message=str(error)))
        return _query_response(request, TxStatusCode.SUCCESS, ContractResult(result=answer, message="OK"))

    def _config_at(self, parameters: dict[str, bytes]) -> bytes:
        text = parameters.get("block_height", b"").decode("utf-8", "replace")
        if not text.isdigit() or len(text) > 20:  # noqa: PLR2004  # the digits of 2**64
            raise QueryError("invalid params len, need [block_height]")
        stored = self.reader.block(int(text))
        if stored is None:
            raise QueryError(f"no such block, chainId:{self.chain_id}")
        header = stored.block.header
        at = header.block_height if header.block_type & 1 else header.pre_conf_height
        config = self.reader.block(at)
        assert config is not None
        return config.block.txs[0].result.contract_result.result

    async def rests(self, height: int) -> None:
        """Return when the block at `height` rests on disk. Raises RefusedError while the disk is full, StoppedError."""
        if self.reader.height >= height:
            return
        async with self._rested:
            await self._rested.wait_for(lambda: self.reader.height >= height or self._stopping or self.fault)
        if self.reader.height >= height:
            return
        if self.fault is not None:  # what was seen may yet be lost; what rests is still read by CHAIN_QUERY
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, self.fault)
        raise StoppedError("the node is stopping")

    async def grows(self, height: int, timeout_s: float) -> None:
        """Return when a block above `height` rests, the chain stops, or the time is up."""
        if self.reader.height > height or self._stopping:
            return
        async with self._rested:
            waiting = self._rested.wait_for(lambda: self.reader.height > height or self._stopping)
            try:
                await asyncio.wait_for(waiting, timeout_s)
            except TimeoutError:
                return

    # Blocks

    async def run(self) -> None:
        """Make blocks until `stop`. What ends it before is shown as the chain's fault, and told to those who wait."""
        try:
            await self._make_blocks()
        except Exception as error:
            self.fault = f"the chain stopped, start the node again: {error!r}"
            self._refuse_waiters(self.fault)
            await self._notify()
            raise

    async def _make_blocks(self) -> None:
        while not self._stopping:
            await self._arrived.wait()
            config = self.world.config.block
            await self._gather(config)
            taken = self.pool.take(config.block_tx_capacity or 1, max(1, config.block_size) * 1024 * 1024)
            if not len(self.pool):
                self._arrived.clear()
            taken = [waiting for waiting in taken if self._still_good(waiting)]
            if taken:
                await self._make_block(taken)

    async def _gather(self, config: BlockConfig) -> None:
        """While nobody waits for a result, let requests gather for a block's interval."""
        if self._waiters or self._stopping or len(self.pool) >= config.block_tx_capacity:
            return
        self._awaited.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._awaited.wait(), config.block_interval / 1000)

    def _still_good(self, waiting: Waiting) -> bool:
        """Whether a request may still be proposed; one that may not is told so."""
        payload = waiting.request.payload
        try:
            if not self.world.remembered.in_time(payload.timestamp, self._time(), self.world.tx_timeout):
                text = f"TxTimestamp error, chainId:{self.chain_id}, txId:{payload.tx_id}"
                raise RefusedError(TxStatusCode.INTERNAL_ERROR, text)
            if waiting.verdict.epoch != self.world.epoch:
                self._authenticate(waiting.request)
        except RefusedError as error:
            _log.info("transaction.dropped", tx_id=payload.tx_id, reason=error.message)
            for future in self._waiters.pop(payload.tx_id, ()):
                if not future.done():
                    future.set_exception(error)
            return False
        return True

    async def _make_block(self, taken: list[Waiting]) -> None:
        self._sealing = {waiting.request.payload.tx_id: waiting for waiting in taken}
        started = time.perf_counter()
        decided = Decided(
            self.world.height + 1,
            self._next_time_us(),
            self._proposer.member,
            [waiting.request for waiting in taken],
            [waiting.verdict for waiting in taken],
        )
        applied = apply_block(self.world, decided)
        header = applied.block.header
        header.signature = self._proposer.key.sign(header.block_hash, self._proposer.signature_hash)
        METRICS.execution.labels(self.chain_id).observe(time.perf_counter() - started)
        await self._bring_to_rest(applied)

    async def _bring_to_rest(self, applied: AppliedBlock) -> None:
        """Write an executed block; while the disk refuses, keep its sealed bytes and take nothing new."""
        height = applied.block.header.block_height
        record = encode_block(applied)
        started = time.perf_counter()
        await self._when_there_is_room(height, lambda: asyncio.to_thread(self._storage.append, record, height))
        stored = BlockWithRWSet(block=applied.block, txRWSets=applied.rw_sets)
        await self._when_there_is_room(height, lambda: self._index(applied))
        self.reader.keep(height, stored)
        METRICS.commit.labels(self.chain_id).observe(time.perf_counter() - started)
        METRICS.transactions.labels(self.chain_id).inc(len(applied.block.txs))
        METRICS.height.labels(self.chain_id).set(height)
        self._acknowledge(height, stored)
        await self._notify()
        self._maybe_checkpoint(len(applied.block.txs))

    async def _notify(self) -> None:
        async with self._rested:
            self._rested.notify_all()

    async def _index(self, applied: AppliedBlock) -> None:
        self._storage.index_applied(applied)

    async def _when_there_is_room(self, height: int, write: Callable[[], Awaitable[None]]) -> None:
        """Write; while the disk is full, say so and try again. Raises StoppedError."""
        while True:
            try:
                await write()
            except DiskFullError as error:
                if self.fault is None:
                    _log.error("disk.full", height=height, reason=str(error))
                self.fault = f"the disk is full, block {height} waits for room: {error}"
                await self._notify()
                await asyncio.sleep(DISK_RETRY_S)
                if self._stopping:
                    raise StoppedError(self.fault) from error
            else:
                self.fault = None
                return

    def _acknowledge(self, height: int, stored: BlockWithRWSet) -> None:
        for position, transaction in enumerate(stored.block.txs):
            for future in self._waiters.pop(transaction.payload.tx_id, ()):
                if not future.done():
                    future.set_result(Committed(height, position, stored))
        self._sealing = {}

    def _maybe_checkpoint(self, transactions: int) -> None:
        self._since_checkpoint += transactions
        due = max(CHECKPOINT_TRANSACTIONS, self.world.row_count // CHECKPOINT_ROWS_SHARE)
        busy = self._checkpointing is not None and not self._checkpointing.done()
        if busy or self._since_checkpoint < due:
            return
        self._since_checkpoint = 0
        self._checkpointing = asyncio.create_task(self._write_checkpoint(self._storage.checkpoint(self.world)))

    async def _write_checkpoint(self, write: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(write)
        except OSError as error:  # a checkpoint is a cache: without it the next start replays more
            _log.warning("checkpoint.failed", reason=str(error))

    @property
    def stopping(self) -> bool:
        """Whether the chain takes no more requests and makes no more blocks."""
        return self._stopping

    async def stop(self) -> None:
        """Stop after the block that is being made; what still waits is refused."""
        self._stopping = True
        self._arrived.set()
        self._awaited.set()
        await self._notify()

    def _refuse_waiters(self, reason: str) -> None:
        for futures in self._waiters.values():
            for future in futures:
                if not future.done():
                    future.set_exception(StoppedError(reason))

    async def close(self) -> None:
        """Write a last checkpoint and close the files. `run` has ended."""
        self._refuse_waiters("the node is stopping")
        if self._checkpointing is not None:
            await self._checkpointing
        if self.fault is None and self._since_checkpoint:
            await self._write_checkpoint(self._storage.checkpoint(self.world))
        self._storage.close()


def _query_response(request: TxRequest, code: int, result: ContractResult) -> TxResponse:
    payload = request.payload
    message = "SUCCESS"
    if code != TxStatusCode.SUCCESS:
        message = (
            f"txStatusCode:{code}, resultCode:{result.code}, contractName[{payload.contract_name}] "
            f"method[{payload.method}] txType[QUERY_CONTRACT], {result.message}"
        )
    if payload.tx_type == TxType.INVOKE_CONTRACT and code == TxStatusCode.SUCCESS:
        message = "OK"
    return TxResponse(code=code, message=message, contract_result=result, tx_id=payload.tx_id)
