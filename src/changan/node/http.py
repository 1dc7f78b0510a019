"""The HTTP door: health, metrics, blocks, transactions, receipts, contracts, their rows, and events as they happen."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response, Security
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPBase
from google.protobuf.json_format import MessageToDict
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware

from changan import __version__
from changan.arrow import MEDIA_TYPE, ArrowMissingError
from changan.client.doors import REQUEST_HEADER, SIGNED
from changan.ledger.admission import RefusedError
from changan.ledger.wire.messages import TxType
from changan.node.access import TOKEN_S, Access, AccessError, Entrance
from changan.node.bundle_door import send_arrow_bundle, send_bundle
from changan.node.chain import Chain  # FastAPI reads the annotations
from changan.node.event_stream import event_stream
from changan.node.hidden import shown_block
from changan.node.limits import LimitedApp, RateLimits
from changan.node.metrics import METRICS
from changan.node.reads import PAGE_MAX, ReadError
from changan.node.rest import StoppedError
from changan.node.rpc import REQUEST_BYTES_MAX
from changan.node.store.archive import ArchivedError
from changan.node.tables import Tables, TablesBusyError
from changan.node.tls_peers import StandingPeersApp, TlsPeers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp

    from changan.ledger.wire.messages import BlockWithRWSet
    from changan.node.limits import OpenStreams

TOKEN_REQUEST_BYTES_MAX = 16 * 1024
"""A member's certificate and a payload without content. A token keeps the member as it was written."""
_ROW_DIGITS = 6
_HEIGHT = re.compile(r"\d{1,18}")
ChainId = Annotated[str, Query(description="the chain; left out: the first one", max_length=128)]
Name = Annotated[str, Path(max_length=128)]
RowKey = Annotated[str, Query(max_length=4096, description="the key as an argument is written")]
_STATUS: dict[type[Exception], int] = {
    ReadError: 404,
    ArchivedError: 410,
    TablesBusyError: 429,
    ArrowMissingError: 501,
    RefusedError: 503,
    StoppedError: 503,
}
_TOKEN = HTTPBearer(scheme_name="token", description="A token of POST /v1/tokens", auto_error=False)
_SIGNATURE = HTTPBase(
    scheme=SIGNED.lower(),
    scheme_name="signature",
    description="A TxRequest in base64: a query of CHANGAN, method READ, whose parameter `target` is the path with its query",
    auto_error=False,
)


def _access(request: Request, chain: str, kind: int) -> Access:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    entrance: Entrance = request.app.state.entrance
    return entrance.admit(request.headers.get("authorization", ""), chain, target, kind)


async def _reading(request: Request, chain: ChainId = "") -> Chain:
    return _access(request, chain, TxType.QUERY_CONTRACT).chain


async def _subscribing(request: Request, chain: ChainId = "") -> Access:
    return _access(request, chain, TxType.SUBSCRIBE)


_MEMBERS = [Security(_TOKEN), Security(_SIGNATURE)]  # for OpenAPI; what they carry is read by the entrance
Reading = Annotated[Chain, Depends(_reading)]
"""A chain that the request may read."""
Subscribing = Annotated[Access, Depends(_subscribing)]


def make_http(
    chains: Mapping[str, Chain],
    limits: RateLimits,
    more: Mapping[str, Callable[..., Awaitable[Any]]],
    open_at: str | None,
) -> ASGIApp:
    """Return the application over the chains of a node; `more` are further reads, by path.

    `open_at` is the loopback address at which anybody may read; None asks every reader who it is.
    """
    app = FastAPI(title="changan", version=__version__, description="Reads of one changan node.", redoc_url=None)
    app.state.entrance = Entrance(chains, is_open=open_at is not None)
    _Routes(chains, limits.streams).add_to(app)
    for path, read in more.items():
        app.get(path, summary=read.__doc__, dependencies=[Depends(_reading), *_MEMBERS])(read)
    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, _answering(status))
    app.add_exception_handler(AccessError, _not_admitted)
    if open_at is not None:  # a page of the web that calls this machine by a name of its own reads nothing
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[open_at, "localhost", "127.0.0.1"])
    return LimitedApp(StandingPeersApp(app, TlsPeers(chains)), limits)


def _answering(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda _, error: JSONResponse({"detail": str(error)}, status)


def _not_admitted(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AccessError)
    headers = {"www-authenticate": f"Bearer, {SIGNED}"} if error.status == 401 else None  # noqa: PLR2004  # HTTP's number
    return JSONResponse({"detail": str(error)}, error.status, headers)


async def _body(request: Request, most: int) -> bytes:
    """Return a request's body. Raises HTTPException for one that is too large, or packed so that it may become so."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "a body is sent as it is, not compressed")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise HTTPException(413, f"a request here has at most {most} bytes")
    return data


class _Routes:
    def __init__(self, chains: Mapping[str, Chain], streams: OpenStreams) -> None:
        self._chains = chains
        self._streams = streams
        self._tables = Tables()

    def add_to(self, app: FastAPI) -> None:
        # Open to everybody: they tell heights and counts, and nothing of what is in a chain.
        app.get("/v1/health", summary="Whether the node works")(self.health)
        app.get("/metrics", summary="Counters for Prometheus", response_class=Response)(self.metrics)
        post = app.post
        post("/v1/tokens", summary="Obtain a token: a signed TxRequest in protobuf, a query of CHANGAN, method TOKEN")(
            self.give_token
        )
        post(
            "/v1/bundles",
            summary="Send a bundle: a signed TxRequest, or its columns in Arrow; answers when it rests",
        )(self.send_bundle)
        get = partial(app.get, dependencies=_MEMBERS)
        get("/v1/chains", summary="The chains of this node")(self.chains)
        get("/v1/blocks/{height}", summary="A block by its height")(self.block)
        get("/v1/transactions/{tx_id}", summary="A transaction by its id")(self.transaction)
        get("/v1/receipts/{tx_id}", summary="What proves a transaction offline")(self.receipt)
        get("/v1/contracts", summary="The Python contracts of a chain")(self.contracts)
        get("/v1/contracts/{name}", summary="A contract's methods, fields and events")(self.contract)
        get("/v1/contracts/{name}/fields/{field}", summary="A page of a map, or a field's value")(self.field)
        get("/v1/contracts/{name}/fields/{field}/table", summary="All of a field as an Arrow IPC stream")(self.table)
        get("/v1/contracts/{name}/fields/{field}/history", summary="Which transactions wrote a row")(self.history)
        get("/v1/contracts/{name}/fields/{field}/history/table", summary="The same as an Arrow IPC stream")(
            self.history_table
        )
        get("/v1/contracts/{name}/fields/{field}/proof", summary="What proves a row, or that there is none, offline")(
            self.proof
        )
        get("/v1/events", summary="Contract events as server-sent events")(self.events)

    async def health(self) -> JSONResponse:
        faults = {chain_id: chain.fault for chain_id, chain in self._chains.items() if chain.fault is not None}
        heights = {chain_id: chain.reader.height for chain_id, chain in self._chains.items()}
        status = 503 if faults else 200
        return JSONResponse({"ok": not faults, "version": __version__, "heights": heights, "faults": faults}, status)

    async def metrics(self) -> Response:
        for chain_id, chain in self._chains.items():
            METRICS.pool.labels(chain_id).set(len(chain.pool))
        return Response(generate_latest(METRICS.registry), media_type=CONTENT_TYPE_LATEST)

    async def give_token(self, request: Request) -> JSONResponse:
        entrance: Entrance = request.app.state.entrance
        token, access = entrance.give_token(await _body(request, TOKEN_REQUEST_BYTES_MAX))
        answer = {"token": token, "expires_in": TOKEN_S, "chain": access.chain.chain_id}
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    async def chains(self, request: Request, chain: Reading) -> list[dict[str, Any]]:
        entrance: Entrance = request.app.state.entrance
        shown = self._chains.values() if entrance.is_open else [chain]
        return [
            {"chain_id": one.chain_id, "height": one.reader.height, "contracts": sorted(one.world.instances)}
            for one in shown
        ]

    async def block(self, height: Annotated[int, Path(ge=0)], chain: Reading) -> dict[str, Any]:
        found = chain.reader.block(height)
        if found is None:
            raise HTTPException(404, f"there is no block {height} yet")
        return MessageToDict(shown_block(chain.world, found).block, preserving_proto_field_name=True)

    async def transaction(self, tx_id: Annotated[str, Path(max_length=256)], chain: Reading) -> dict[str, Any]:
        stored, position = _located(tx_id, chain)
        stored = shown_block(chain.world, stored)
        header = stored.block.header
        return {
            "height": header.block_height,
            "block_hash": header.block_hash.hex(),
            "index": position,
            "transaction": MessageToDict(stored.block.txs[position], preserving_proto_field_name=True),
            "rw_set": MessageToDict(stored.txRWSets[position], preserving_proto_field_name=True),
        }

    async def receipt(self, tx_id: Annotated[str, Path(max_length=256)], chain: Reading) -> dict[str, Any]:
        call, dot, row = tx_id.rpartition(".")
        if dot and row.isdigit() and len(row) <= _ROW_DIGITS:  # a row of a bundle: its id and the row's number
            return chain.reads.row_receipt(call, int(row))
        return chain.reads.receipt(tx_id)

    async def send_bundle(self, request: Request) -> JSONResponse:
        data = await _body(request, REQUEST_BYTES_MAX)
        if request.headers.get("content-type") == MEDIA_TYPE:
            return JSONResponse(await send_arrow_bundle(self._chains, request.headers.get(REQUEST_HEADER, ""), data))
        return JSONResponse(await send_bundle(self._chains, data))

    async def contracts(self, chain: Reading) -> list[dict[str, Any]]:
        return [
            {"name": name, "class": instance.program.name, "digest": instance.program.digest.hex()}
            for name, instance in sorted(chain.world.instances.items())
        ]

    async def contract(self, name: Name, chain: Reading) -> dict[str, Any]:
        instance = chain.world.instances.get(name)
        if instance is None:
            raise HTTPException(404, f"there is no Python contract {name!r}")
        return instance.program.describe()

    async def field(
        self,
        name: Name,
        field: Name,
        chain: Reading,
        after: Annotated[
            str, Query(max_length=2048, pattern="^[0-9a-f]*$", description="`next` of the page before")
        ] = "",
        height: Annotated[int | None, Query(ge=0, description="the height of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        return await chain.reads.rows(name, field, after, limit, height)

    async def table(
        self,
        request: Request,
        name: Name,
        field: Name,
        chain: Reading,
        height: Annotated[
            int | None, Query(ge=0, description="a height whose pages are being read; left out: now")
        ] = None,
    ) -> StreamingResponse:
        pieces = await self._tables.stream(chain.reads, name, field, height, _peer(request))
        return StreamingResponse(pieces, media_type=MEDIA_TYPE)

    async def history(
        self,
        name: Name,
        field: Name,
        chain: Reading,
        key: RowKey = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        return await chain.reads.history(name, field, key, limit)

    async def history_table(
        self,
        request: Request,
        name: Name,
        field: Name,
        chain: Reading,
        key: RowKey = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> Response:
        made = await self._tables.history(chain.reads, name, field, key, limit, _peer(request))
        return Response(made, media_type=MEDIA_TYPE)

    async def proof(
        self,
        name: Name,
        field: Annotated[str, Path(max_length=128, description="of a contract that is not in Python: the row's key")],
        chain: Reading,
        key: RowKey = "",
        block: Annotated[int | None, Query(ge=0, description="prove what this block wrote, not what is")] = None,
    ) -> dict[str, Any]:
        return await chain.reads.proof(name, field, key, block)

    async def events(
        self,
        request: Request,
        access: Subscribing,
        contract: Annotated[str, Query(max_length=128)] = "",
        topic: Annotated[str, Query(max_length=128)] = "",
        start: Annotated[int, Query(ge=-1, description="first height; -1: from now on")] = -1,
    ) -> StreamingResponse:
        reader = access.chain.reader
        resume = request.headers.get("last-event-id", "").split(".")
        height = int(resume[0]) + 1 if _HEIGHT.fullmatch(resume[0]) else start
        first = reader.height + 1 if height < 0 else height
        reader.block(first)  # an archived one is told before the stream begins
        peer = _peer(request)
        refusal = self._streams.refusal(peer)
        if refusal is not None:
            raise HTTPException(429, refusal)
        events = event_stream(access, first, contract, topic, self._streams, peer)
        return StreamingResponse(events, media_type="text/event-stream")


def _peer(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _located(tx_id: str, chain: Chain) -> tuple[BlockWithRWSet, int]:
    found = chain.reader.transaction(tx_id)
    if found is None:
        raise HTTPException(404, f"no transaction {tx_id!r} rests on this chain (yet)")
    return found.block, found.position
