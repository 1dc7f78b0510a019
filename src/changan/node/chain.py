"""One chain of this node as its doors see it: requests in, answers only when they rest on disk, whoever orders them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from changan.contract.instance import BlockContext
from changan.ledger.admission import RefusedError, admit, ask, check_form, prove
from changan.ledger.bundle import PARAMETER, BundleError, open_bundle
from changan.ledger.contracts import find_instance
from changan.ledger.execution import Execution, disabled
from changan.ledger.lane import carries_bls
from changan.ledger.system import OWN, QUERY_MANY, SystemContract
from changan.ledger.transition import must_be_alone, run_block, seal_block
from changan.ledger.wire.messages import ContractResult, Node, TxResponse, TxStatusCode
from changan.node.answers import Committed, query_response
from changan.node.archive_door import serve_archive
from changan.node.chain_query import ChainQuery, QueryError
from changan.node.metrics import METRICS, stage
from changan.node.pool import Pool, Waiting
from changan.node.reads import ReadError, Reads
from changan.node.rest import Rest, StoppedError
from changan.node.store.archive import ArchivedError
from changan.node.threads import all_ended
from changan.node.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Coroutine, Sequence

    from changan.ledger.admission import Admitted, Proven
    from changan.ledger.bundle import OpenedBundle
    from changan.ledger.transition import AppliedBlock, Decided, RanBlock
    from changan.ledger.wire.messages import Payload, TxRequest
    from changan.ledger.world import World
    from changan.node.reader import Reader
    from changan.node.storage import ChainStorage
    from changan.node.waiters import End

POLL_HELD_S = 5.0
"""How long a question for a transaction that still waits is held, so that the SDK's busy loop asks once."""
MICROSECONDS = 1_000_000
SETTLING_MAX = 2
"""So many executed blocks may be on their way to the disk: one is written while the next already waits behind it."""
BLS_AT_ONCE = 2
"""So many threads look at BLS signatures: while one adds keys, under the interpreter's lock, another is in a pairing."""
BLS_A_TURN = 16
"""Requests with BLS signatures that are looked at before those of others."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""The largest answer of a view over many rows; clients take messages of 100 MiB."""
_ask, _prove = stage("authenticate")(ask), stage("authenticate")(prove)


class Chain:
    """One chain of this node. All methods but the disk's run on the event loop, so the state needs no lock."""

    def __init__(  # a chain is given everything it may touch, the clock included
        self,
        world: World,
        storage: ChainStorage,
        nodes: list[Node],
        chains: Callable[[], list[str]],
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.world = world
        self.chain_id = world.config.chain_id
        self._now_us = now_us
        self.pool = Pool()
        self.rest = Rest(world, storage)
        self.reads = Reads(world, self.rest)
        self.arrived = asyncio.Event()  # something waits in the pool
        self._lane = asyncio.Semaphore(BLS_AT_ONCE)
        self._hurry = asyncio.Event()  # somebody waits for a result, so the next block is sealed at once
        self._query = ChainQuery(world, self.reader, nodes, chains)
        self.request_bytes_max: int | None = None
        """The largest request that the ordering can carry; None where the door's own limit is all there is."""
        self.afloat: dict[str, Waiting] = {}  # handed to an ordering that has not decided on them yet
        self._sealing: set[str] = set()
        self._settling: deque[asyncio.Task[None]] = deque()  # of the blocks before, on their way to the disk
        self._waiters = Waiters()

    @property
    def reader(self) -> Reader:
        """What rests on disk."""
        return self.rest.reader

    @property
    def fault(self) -> str | None:
        """Why the chain takes no transactions now, in words, or None."""
        return self.rest.fault

    @property
    def stopping(self) -> bool:
        """Whether the chain takes no more requests and makes no more blocks."""
        return self.rest.stopping

    # Requests

    async def prove(self, requests: Sequence[TxRequest]) -> list[Proven]:
        """Look at the senders' signatures of several requests together, or of a large one, beside everything else."""
        if not any(carries_bls(request.payload) for request in requests):
            return await self._prove(requests)
        found: list[Proven] = []
        for start in range(0, len(requests), BLS_A_TURN):
            # Few at once: what the first finds of thousands of clients the next need not find again.
            async with self._lane:
                found += await self._prove(requests[start : start + BLS_A_TURN])
        return found

    async def _prove(self, requests: Sequence[TxRequest]) -> list[Proven]:
        return await asyncio.to_thread(_prove, _ask(requests, self.world, self.time()), self.world.signatures)

    async def submit(self, request: TxRequest, size: int, proven: Proven | None = None) -> TxResponse:
        """Take a request for the next block. Raises RefusedError. The answer says only that it was accepted."""
        self._take(request, size, proven)
        return TxResponse(code=TxStatusCode.SUCCESS, message="OK", tx_id=request.payload.tx_id)

    @stage("authenticate")
    def submit_all(
        self, requests: Sequence[tuple[TxRequest, int]], proofs: Sequence[Proven]
    ) -> list[RefusedError | None]:
        """Take requests, each with its size, for the next block; return why one was not taken, None for one that was."""
        committed = self.reader.committed([request.payload.tx_id for request, _ in requests])
        ends: list[RefusedError | None] = []
        for (request, size), proven in zip(requests, proofs, strict=True):
            try:
                self._admit(request, size, proven, committed)
            except RefusedError as error:
                ends.append(error)
            else:
                ends.append(None)
        return ends

    async def submit_and_wait(self, request: TxRequest, size: int, proven: Proven | None = None) -> TxResponse:
        """Take a request and answer when it rests on disk. Raises RefusedError, StoppedError."""
        self._take(request, size, proven)
        return (await self.result(request.payload.tx_id)).response

    def results(self, tx_ids: Sequence[str]) -> asyncio.Future[list[End]]:
        """Return a future of what becomes of each of several requests that wait."""
        self._hurry.set()
        return self._waiters.wait_all(tx_ids)

    def result(self, tx_id: str) -> asyncio.Future[Committed]:
        """Return a future of where a request that waits comes to rest; it raises RefusedError, StoppedError."""
        self._hurry.set()
        return self._waiters.wait(tx_id)

    def is_pending(self, tx_id: str) -> bool:
        """Whether a request with this id waits, or is in the block that is being made."""
        return tx_id in self.pool or tx_id in self.afloat or tx_id in self._sealing

    @stage("authenticate")
    def _take(self, request: TxRequest, size: int, proven: Proven | None) -> None:
        self._admit(request, size, proven, self.reader.committed([request.payload.tx_id]))

    def _admit(self, request: TxRequest, size: int, proven: Proven | None, committed: Container[str]) -> None:
        payload = request.payload
        if self.fault is not None or self.stopping:
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"Add tx failed, {self.fault or 'the node is stopping'}")
        verdict = self.authenticate(request, proven)
        if not self.world.remembered.in_time(payload.timestamp, self.time(), self.world.tx_timeout):
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"Add tx failed, TxTimestamp error, {self._place(payload)}")
        if self.world.remembered.holds(payload.tx_id) or payload.tx_id in committed:
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"Add tx failed, TxId exist in DB, {self._place(payload)}")
        if self.is_pending(payload.tx_id):
            return  # a retry of what already waits: it is accepted, and runs once
        if payload.contract_name == SystemContract.CHAIN_QUERY:
            text = f"CHAIN_QUERY-{payload.method} reads the chain's past: send it as a query, tx: {payload.tx_id}"
            raise RefusedError(TxStatusCode.CONTRACT_FAIL, text)
        if verdict.callers is None and PARAMETER.encode() in verdict.signed:
            verdict = verdict._replace(opened=self._open_bundle(payload))
        if self.request_bytes_max is not None and size > self.request_bytes_max:
            text = f"the request is {size} bytes, the ordering carries at most {self.request_bytes_max}"
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"Add tx failed, {text}, {self._place(payload)}")
        if not self.pool.has_room(size):
            text = f"Add tx failed, TxPool is full, chainId:{self.chain_id}"
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, text)
        self.pool.add(Waiting(request, size, verdict, must_be_alone(request)))
        self.arrived.set()

    def _place(self, payload: Payload) -> str:
        return f"chainId:{self.chain_id}, txId:{payload.tx_id}"

    def _open_bundle(self, payload: Payload) -> OpenedBundle | None:
        """Take a bundle apart, if this is one, and refuse at the door what a block would refuse. Raises RefusedError."""
        data = next((p.value for p in payload.parameters if p.key == PARAMETER), None)
        if data is None:
            return None
        instance = find_instance(self.world.rows, self.world.instances, payload.contract_name)
        if instance is None:
            return None
        try:
            if len(payload.parameters) != 1:
                raise BundleError(f"beside {PARAMETER} there is no other parameter")
            return open_bundle(instance.program, payload.method, data, rules=self.world.rules)
        except BundleError as error:
            text = f"bundle refused: {error}, txId:{payload.tx_id}"
            raise RefusedError(TxStatusCode.INVALID_PARAMETER, text) from error

    def authenticate(self, request: TxRequest, proven: Proven | None = None) -> Admitted:
        """Check who sent a request and that the policies allow it. Raises RefusedError."""
        check_form(request)
        return admit(request, self.world, self.time(), proven)

    def time(self) -> int:
        """Return the time, in seconds, that a block sealed now would have."""
        return self.next_time_us() // MICROSECONDS

    def next_time_us(self) -> int:
        """Return the time, in microseconds, that a block sealed now would have."""
        return max(self._now_us(), self.world.block_time_us + 1)

    # Queries

    async def query(self, request: TxRequest) -> TxResponse:
        """Answer a query from the state at the last block, once that block rests. Raises RefusedError."""
        verdict = self.authenticate(request)
        payload = request.payload
        if payload.contract_name == SystemContract.CHAIN_QUERY or payload.method == "GET_CHAIN_CONFIG_AT":
            return await self._chain_query(request)
        if payload.contract_name == OWN:
            return await self._own_query(request, verdict)
        height = self.world.height
        context = BlockContext(height + 1, self.time())
        executed = Execution(self.world, context).query(request, verdict)
        await self.rest.reaches(height)
        return query_response(request, executed.code, executed.result.wire)

    async def _chain_query(self, request: TxRequest) -> TxResponse:
        ended = disabled(self.world.rows, request.payload.contract_name)
        if ended is not None:
            return query_response(request, ended[0], ContractResult(code=1, message=ended[1]))
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
            return query_response(request, TxStatusCode.CONTRACT_FAIL, ContractResult(code=1, message=str(error)))
        return query_response(request, TxStatusCode.SUCCESS, ContractResult(result=answer, message="OK"))

    async def _own_query(self, request: TxRequest, verdict: Admitted) -> TxResponse:
        parameters = {parameter.key: parameter.value for parameter in request.payload.parameters}
        height = 0
        try:
            if request.payload.method == QUERY_MANY:
                height = self.world.height
                answer = self._query_many(parameters, BlockContext(height + 1, self.time()), verdict.sender.address)
                await self.rest.reaches(height)
            else:
                answer = await self.reads.answer(request.payload.method, parameters)
        except (ReadError, BundleError, ArchivedError) as error:
            return query_response(request, TxStatusCode.CONTRACT_FAIL, ContractResult(code=1, message=str(error)))
        response = query_response(request, TxStatusCode.SUCCESS, ContractResult(result=answer, message="OK"))
        response.tx_block_height = height
        return response

    def _query_many(self, parameters: dict[str, bytes], context: BlockContext, caller: bytes) -> bytes:
        """Return BundleRows: what a view gives for each row of a bundle's columns. Raises BundleError."""
        if parameters.keys() != {"contract", "method", PARAMETER}:
            raise BundleError(f"{QUERY_MANY} has the parameters contract, method and {PARAMETER}")
        contract, method = (parameters[name].decode("utf-8", "replace") for name in ("contract", "method"))
        rows = Execution(self.world, context).query_many(contract, method, parameters[PARAMETER], caller)
        if rows.ByteSize() > ANSWER_BYTES_MAX:
            text = f"the results take {rows.ByteSize()} bytes, at most {ANSWER_BYTES_MAX} are sent: ask for fewer rows"
            raise BundleError(text)
        return rows.SerializeToString()

    def _config_at(self, parameters: dict[str, bytes]) -> bytes:
        text = parameters.get("block_height", b"").decode("utf-8", "replace")
        if not text.isdigit() or len(text) > 20:  # noqa: PLR2004  # the digits of 2**64
            raise QueryError("invalid params len, need [block_height]")
        if int(text) > self.reader.height:
            raise QueryError(f"no such block, chainId:{self.chain_id}")
        # By the row, not by the last configuration block: a multi-sign changes it in a normal one, and a change may fail.
        try:
            return self.reader.row_at(SystemContract.CHAIN_CONFIG, SystemContract.CHAIN_CONFIG, int(text)) or b""
        except ArchivedError as error:
            raise QueryError(str(error)) from error

    async def archive(self, request: TxRequest) -> TxResponse:
        """Archive blocks, or bring them back, for an administrator. Raises RefusedError."""
        self.authenticate(request)
        if not self.world.remembered.in_time(request.payload.timestamp, self.time(), self.world.tx_timeout):
            raise RefusedError(TxStatusCode.INTERNAL_ERROR, f"TxTimestamp error, chainId:{self.chain_id}")
        return await serve_archive(self.rest, request)

    # Blocks

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for a result."""
        return bool(self._waiters)

    def hurry(self) -> Coroutine[Any, Any, object]:
        """Return what ends when somebody begins to wait for a result from now on, or the chain stops."""
        self._hurry.clear()  # not first when it runs: who begins before that would not be noticed
        return self._hurry.wait()

    async def execute(self, decided: Decided, seal: Callable[[bytes], bytes]) -> None:
        """Execute a decided block while those before it come to rest, then let it come to rest too.

        Raises what kept an earlier block from its rest.
        """
        root = self.world.commitment.needed_by(decided.height)
        if root is not None:
            await all_ended([root])  # requests are taken in and answered meanwhile
        applied = await self._apply_bit_by_bit(decided)
        header = applied.header
        header.signature = seal(header.block_hash)
        await self._settled_but(SETTLING_MAX - 1)
        self._settling.append(asyncio.create_task(self._settle_or_fail(applied)))
        await asyncio.sleep(0)  # requests and answers have their turn

    async def settled(self) -> None:
        """Return when every executed block rests. Raises what kept one from it."""
        await self._settled_but(0)

    async def _settled_but(self, count: int) -> None:
        while len(self._settling) > count:
            await self._settling[0]
            self._settling.popleft()

    async def _settle_or_fail(self, applied: AppliedBlock) -> None:
        try:
            await self.settle(applied)
        except Exception as error:
            if not isinstance(error, StoppedError):
                await self.fail(f"the chain stopped, start the node again: {error!r}")
            self.arrived.set()  # whoever waits for requests learns of it
            raise

    def apply(self, decided: Decided) -> AppliedBlock:
        """Execute a decided block; it does not rest yet."""
        return self._sealed(self._run(decided))

    async def _apply_bit_by_bit(self, decided: Decided) -> AppliedBlock:
        """Do what `apply` does; requests are taken in and answered while roots over many rows are made.

        Whoever reads the state meanwhile reads that of this block, and waits until it rests.
        """
        ran = self._run(decided)
        await all_ended(ran.begun)
        return self._sealed(ran)

    @stage("execute")
    def _run(self, decided: Decided) -> RanBlock:
        self._sealing.update(request.payload.tx_id for request in decided.requests)
        with METRICS.execution.labels(self.chain_id).time():
            return run_block(self.world, decided)

    @stage("roots")
    def _sealed(self, ran: RanBlock) -> AppliedBlock:
        applied = seal_block(self.world, ran)
        self.rest.checkpoints.executed(applied)
        return applied

    async def settle(self, applied: AppliedBlock) -> None:
        """Bring an executed block to rest and answer those who wait for it. Raises StoppedError."""
        await self.rest.bring(applied)
        self._acknowledge(applied)
        await self.rest.notify()

    def _acknowledge(self, applied: AppliedBlock) -> None:
        height = applied.header.block_height
        for done in applied.done:
            self.afloat.pop(done.tx_id, None)
            self._sealing.discard(done.tx_id)
            self._waiters.end(done.tx_id, Committed(height, done))

    def drop(self, tx_id: str, reason: RefusedError) -> None:
        """Tell those who wait for a transaction that it will not come."""
        self.afloat.pop(tx_id, None)
        self._waiters.end(tx_id, reason)

    async def fail(self, reason: str) -> None:
        """Take no more transactions, and tell those who wait why."""
        self.rest.fault = reason
        self._waiters.end_all(StoppedError(reason))
        await self.rest.notify()

    async def stop(self) -> None:
        """Stop after the block that is being made; what still waits is refused."""
        self.rest.stopping = True
        self.arrived.set()
        self._hurry.set()
        await self.rest.notify()

    async def close(self) -> None:
        """Write a last checkpoint and close the files. Nobody makes blocks any more."""
        self._waiters.end_all(StoppedError("the node is stopping"))
        await asyncio.gather(*self._settling, return_exceptions=True)  # a block behind one that could not rest
        await self.rest.close()
