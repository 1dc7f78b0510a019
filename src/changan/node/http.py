"""The HTTP door: health, metrics, blocks, transactions, receipts, contracts, their rows, and events as they happen."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from changan import __version__
from changan.ledger.admission import RefusedError
from changan.ledger.bundle import MESSAGE, PARAMETER
from changan.ledger.receipt import make_receipt
from changan.ledger.wire.messages import BundleResult, TxRequest
from changan.node.hidden import is_hidden, shown_block
from changan.node.limits import LimitedApp, RateLimits
from changan.node.metrics import METRICS
from changan.node.reads import PAGE_MAX, ReadError
from changan.node.rest import StoppedError
from changan.node.rpc import REQUEST_BYTES_MAX
from changan.node.store.archive import ArchivedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.types import ASGIApp

    from changan.ledger.wire.messages import BlockWithRWSet
    from changan.node.chain import Chain

EVENTS_IDLE_S = 15.0
_ROW_DIGITS = 6
ChainId = Annotated[str, Query(description="the chain; left out: the first one", max_length=128)]
Name = Annotated[str, Path(max_length=128)]


def make_http(
    chains: Mapping[str, Chain], limits: RateLimits, more: Mapping[str, Callable[[], Awaitable[Any]]]
) -> ASGIApp:
    """Return the application over the chains of a node; `more` are further reads, by path."""
    app = FastAPI(title="changan", version=__version__, description="Reads of one changan node.", redoc_url=None)
    _Routes(chains).add_to(app)
    for path, read in more.items():
        app.get(path, summary=read.__doc__)(read)
    for kind, status in ((ReadError, 404), (ArchivedError, 410), (RefusedError, 503), (StoppedError, 503)):
        app.add_exception_handler(kind, _answering(status))
    return LimitedApp(app, limits)


def _answering(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda _, error: JSONResponse({"detail": str(error)}, status)


class _Routes:
    def __init__(self, chains: Mapping[str, Chain]) -> None:
        self._chains = chains

    def add_to(self, app: FastAPI) -> None:
        get = app.get
        get("/v1/health", summary="Whether the node works")(self.health)
        get("/metrics", summary="Counters for Prometheus", response_class=Response)(self.metrics)
        get("/v1/chains", summary="The chains of this node")(self.chains)
        get("/v1/blocks/{height}", summary="A block by its height")(self.block)
        get("/v1/transactions/{tx_id}", summary="A transaction by its id")(self.transaction)
        get("/v1/receipts/{tx_id}", summary="What proves a transaction offline")(self.receipt)
        app.post("/v1/bundles", summary="Send a bundle: a signed TxRequest in protobuf; answers when it rests")(
            self.send_bundle
        )
        get("/v1/contracts", summary="The Python contracts of a chain")(self.contracts)
        get("/v1/contracts/{name}", summary="A contract's methods, fields and events")(self.contract)
        get("/v1/contracts/{name}/fields/{field}", summary="A page of a map, or a field's value")(self.field)
        get("/v1/contracts/{name}/fields/{field}/history", summary="Which transactions wrote a row")(self.history)
        get("/v1/events", summary="Contract events as server-sent events")(self.events)

    def _chain(self, chain: str) -> Chain:
        found = self._chains.get(chain) if chain else next(iter(self._chains.values()))
        if found is None:
            raise HTTPException(404, f"this node has no chain {chain!r}; it has {', '.join(self._chains)}")
        return found

    async def health(self) -> JSONResponse:
        faults = {chain_id: chain.fault for chain_id, chain in self._chains.items() if chain.fault is not None}
        heights = {chain_id: chain.reader.height for chain_id, chain in self._chains.items()}
        status = 503 if faults else 200
        return JSONResponse({"ok": not faults, "version": __version__, "heights": heights, "faults": faults}, status)

    async def metrics(self) -> Response:
        for chain_id, chain in self._chains.items():
            METRICS.pool.labels(chain_id).set(len(chain.pool))
        return Response(generate_latest(METRICS.registry), media_type=CONTENT_TYPE_LATEST)

    async def chains(self) -> list[dict[str, Any]]:
        return [
            {"chain_id": chain_id, "height": chain.reader.height, "contracts": sorted(chain.world.instances)}
            for chain_id, chain in self._chains.items()
        ]

    async def block(self, height: Annotated[int, Path(ge=0)], chain: ChainId = "") -> dict[str, Any]:
        node = self._chain(chain)
        found = node.reader.block(height)
        if found is None:
            raise HTTPException(404, f"there is no block {height} yet")
        return MessageToDict(shown_block(node.world, found).block, preserving_proto_field_name=True)

    async def transaction(self, tx_id: Annotated[str, Path(max_length=256)], chain: ChainId = "") -> dict[str, Any]:
        stored, position = self._located(tx_id, chain)
        stored = shown_block(self._chain(chain).world, stored)
        header = stored.block.header
        return {
            "height": header.block_height,
            "block_hash": header.block_hash.hex(),
            "index": position,
            "transaction": MessageToDict(stored.block.txs[position], preserving_proto_field_name=True),
            "rw_set": MessageToDict(stored.txRWSets[position], preserving_proto_field_name=True),
        }

    async def receipt(self, tx_id: Annotated[str, Path(max_length=256)], chain: ChainId = "") -> dict[str, Any]:
        call, dot, row = tx_id.rpartition(".")
        if dot and row.isdigit() and len(row) <= _ROW_DIGITS:  # a row of a bundle: its id and the row's number
            return self._chain(chain).reads.row_receipt(call, int(row))
        located = self._located(tx_id, chain)
        if is_hidden(self._chain(chain).world, tx_id):
            raise HTTPException(404, f"the content of transaction {tx_id!r} is masked, so it has no receipt")
        return make_receipt(*located)

    def _located(self, tx_id: str, chain: str) -> tuple[BlockWithRWSet, int]:
        found = self._chain(chain).reader.transaction(tx_id)
        if found is None:
            raise HTTPException(404, f"no transaction {tx_id!r} rests on this chain (yet)")
        return found.block, found.position

    async def send_bundle(self, request: Request) -> JSONResponse:
        data = b""
        async for chunk in request.stream():
            data += chunk
            if len(data) > REQUEST_BYTES_MAX:
                raise HTTPException(413, f"a request has at most {REQUEST_BYTES_MAX} bytes: send fewer rows at once")
        try:
            sent = TxRequest.FromString(data)
        except DecodeError as error:
            raise HTTPException(422, "the body is a serialized TxRequest, signed by its sender") from error
        if [parameter.key for parameter in sent.payload.parameters] != [PARAMETER]:
            raise HTTPException(422, f"the request carries one parameter, {PARAMETER}; see docs/bundles")
        chain = self._chains.get(sent.payload.chain_id)
        if chain is None:
            raise HTTPException(404, f"this node has no chain {sent.payload.chain_id[:64]!r}")
        try:
            response = await chain.submit_and_wait(sent, len(data))
        except RefusedError as error:
            raise HTTPException(422, error.message) from error
        called = response.contract_result
        if response.code or called.message != MESSAGE:
            raise HTTPException(422, called.message or response.message)
        result = BundleResult.FromString(called.result)
        return JSONResponse(
            {
                "tx_id": response.tx_id,
                "height": response.tx_block_height,
                "rows": result.rows,
                "succeeded": result.succeeded,
                "gas": result.gas,
            }
        )

    async def contracts(self, chain: ChainId = "") -> list[dict[str, Any]]:
        return [
            {"name": name, "class": instance.program.name, "digest": instance.program.digest.hex()}
            for name, instance in sorted(self._chain(chain).world.instances.items())
        ]

    async def contract(self, name: Name, chain: ChainId = "") -> dict[str, Any]:
        instance = self._chain(chain).world.instances.get(name)
        if instance is None:
            raise HTTPException(404, f"there is no Python contract {name!r}")
        return instance.program.describe()

    async def field(
        self,
        name: Name,
        field: Name,
        chain: ChainId = "",
        after: Annotated[
            str, Query(max_length=2048, pattern="^[0-9a-f]*$", description="`next` of the page before")
        ] = "",
        height: Annotated[int | None, Query(ge=0, description="the height of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        return await self._chain(chain).reads.rows(name, field, after, limit, height)

    async def history(
        self,
        name: Name,
        field: Name,
        chain: ChainId = "",
        key: Annotated[str, Query(max_length=4096, description="the key as an argument is written")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> list[dict[str, Any]]:
        return self._chain(chain).reads.history(name, field, key, limit)

    async def events(
        self,
        request: Request,
        chain: ChainId = "",
        contract: Annotated[str, Query(max_length=128)] = "",
        topic: Annotated[str, Query(max_length=128)] = "",
        start: Annotated[int, Query(ge=-1, description="first height; -1: from now on")] = -1,
    ) -> StreamingResponse:
        node = self._chain(chain)
        resume = request.headers.get("last-event-id", "").split(".")
        height = int(resume[0]) + 1 if resume[0].isdigit() else start
        first = node.reader.height + 1 if height < 0 else height
        node.reader.block(first)  # an archived one is told before the stream begins
        return StreamingResponse(_events(node, first, contract, topic), media_type="text/event-stream")


async def _events(chain: Chain, height: int, contract: str, topic: str) -> AsyncIterator[bytes]:
    with METRICS.subscriptions.track_inprogress():
        while not chain.stopping:
            try:
                stored = chain.reader.block(height)
            except ArchivedError as error:
                yield f": {error}\n\n".encode()
                return
            if stored is None:
                await chain.rest.grows(height - 1, EVENTS_IDLE_S)
                if chain.reader.height < height:
                    yield b": idle\n\n"
                continue
            for tx in shown_block(chain.world, stored).block.txs:
                for event in tx.result.contract_result.contract_event:
                    if contract not in {"", event.contract_name} or topic not in {"", event.topic}:
                        continue
                    data = {
                        "height": height,
                        "tx_id": event.tx_id,
                        "contract": event.contract_name,
                        "topic": event.topic,
                        "data": list(event.event_data),
                    }
                    text = json.dumps(data, ensure_ascii=False)
                    yield f"id: {height}\nevent: {event.topic}\ndata: {text}\n\n".encode()
            height += 1
            await asyncio.sleep(0)
