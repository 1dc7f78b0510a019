"""The client on an event loop: `async with connect_async(home=DIR) as node: await node.invoke(...)`."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc

from changan.client.broker import Gathering, gather, send_gathered
from changan.client.calls import PAGE_ROWS, Answer, Calls, Entry, History, Page, Pause, Reply, Send, Steps, unanswered
from changan.client.connect import TIMEOUT_S, find
from changan.client.doors import CHANNEL_OPTIONS, TLS_OPTIONS
from changan.client.lane import OwnCall, own_call, register_bls
from changan.client.many import invoke_many, query_many
from changan.client.passwords import Ask, ask_password
from changan.client.tables import ROWS_A_BUNDLE, Sent
from changan.client.whole import Place, fetch_field, fetch_history
from changan.ledger.wire.messages import TxRequest, TxResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    import httpx2
    import pyarrow as pa

    from changan.client.web import Web
    from changan.crypto.bls import BlsSigningKey

_T = TypeVar("_T")


class AsyncConnection:
    """A connection to one node as one user, for one event loop. Many calls may be under way at once."""

    def __init__(self, calls: Calls, channel: grpc.aio.Channel, web: Web) -> None:
        self._calls = calls
        self._channel = channel
        self._web = web
        self._methods = {
            name: channel.unary_unary(
                f"/api.RpcNode/{name}",
                request_serializer=TxRequest.SerializeToString,
                response_deserializer=TxResponse.FromString,
            )
            for name in ("SendRequest", "SendRequestSync")
        }

    async def invoke(
        self,
        contract: str,
        method: str,
        arguments: Mapping[str, object] | None = None,
        *,
        tx_id: str | None = None,
        endorsed: bool = False,
    ) -> Answer:
        """Call a contract and wait until the result rests on disk, as `Connection.invoke`."""
        return await self._drive(self._calls.invoke(contract, method, arguments or {}, tx_id, endorsed=endorsed))

    async def query(self, contract: str, method: str, arguments: Mapping[str, object] | None = None) -> Answer:
        """Ask a contract without leaving a trace. Raises CallError, UnreachableError."""
        return await self._drive(self._calls.query(contract, method, arguments or {}))

    async def deploy(
        self,
        name: str,
        version: str,
        code: bytes,
        arguments: Mapping[str, object] | None = None,
        *,
        upgrade: bool = False,
    ) -> Answer:
        """Install a contract, or upgrade it, endorsed by the administrators of this connection. Raises CallError."""
        return await self._drive(self._calls.deploy(name, version, code, arguments or {}, upgrade=upgrade))

    async def page(
        self, contract: str, field: str, *, after: str = "", height: int | None = None, limit: int = PAGE_ROWS
    ) -> Page:
        """Return a page of a contract's field; `after` and `height` come from the page before. Raises CallError."""
        return await self._drive(self._calls.page(contract, field, after, height, limit))

    async def rows(self, contract: str, field: str) -> AsyncIterator[Entry]:
        """Yield all rows of a contract's field as they are at one height. Raises CallError, also when that height is gone."""
        page = await self.page(contract, field)
        while True:
            for entry in page.entries:
                yield entry
            if page.next is None:
                return
            page = await self.page(contract, field, after=page.next, height=page.height)

    async def table(
        self, contract: str, field: str, *, height: int | None = None, progress: bool | None = None
    ) -> pa.Table:
        """Return all rows of a contract's field as they are at one height, as `Connection.table`."""
        place = Place(self._calls.chain_id, contract, field)
        return await asyncio.to_thread(fetch_field, self._streams, place, height, progress)

    async def history(self, contract: str, field: str, key: str = "", *, limit: int = 100) -> History:
        """Return which transactions wrote a row, newest first, as `Connection.history`. Raises CallError."""
        return await self._drive(self._calls.history(contract, field, key, limit))

    async def history_table(self, contract: str, field: str, key: str = "", *, limit: int = PAGE_ROWS) -> pa.Table:
        """Return which transactions wrote a row and what it held then, as `Connection.history_table`."""
        place = Place(self._calls.chain_id, contract, field)
        return await asyncio.to_thread(fetch_history, self._streams, place, key, limit)

    async def prove(self, contract: str, field: str, key: str = "", *, block: int | None = None) -> dict[str, Any]:
        """Return what proves a row, as `Connection.prove`."""
        return await self._drive(self._calls.prove(contract, field, key, block))

    async def invoke_many(
        self, contract: str, method: str, table: object, *, rows: int = ROWS_A_BUNDLE, budget: int = 0
    ) -> list[Sent]:
        """Call one method for every row of a table, `rows` calls under one signature, as `Connection.invoke_many`."""
        return await self._drive(invoke_many(self._calls, contract, method, table, rows, budget))

    async def query_many(self, contract: str, method: str, table: object) -> pa.Table:
        """Ask a view once for every row of a table, all at one height, as `Connection.query_many`."""
        return await self._drive(query_many(self._calls, contract, method, table))

    async def enable_cert_hash(self) -> None:
        """Send the digest of this user's certificate instead of it, as `Connection.enable_cert_hash`."""
        await self._drive(self._calls.enable_cert_hash())

    async def register_bls(self, key: BlsSigningKey) -> int:
        """Register a BLS key as this user's in the distilled lane, as `Connection.register_bls`."""
        return await self._drive(register_bls(self._calls, key))

    async def own_call(self, contract: str, method: str, arguments: Mapping[str, object]) -> OwnCall:
        """Return what signs bundles of a broker that hold this call, as `Connection.own_call`."""
        return await self._drive(own_call(self._calls, contract, method, arguments))

    async def gather(
        self, contract: str, method: str, rows: Mapping[int, Mapping[str, object]], *, budget: int = 0
    ) -> Gathering:
        """Return one bundle of calls of many clients that they are to sign, as `Connection.gather`."""
        return await self._drive(gather(self._calls, contract, method, rows, budget))

    async def send_gathered(self, gathering: Gathering) -> Sent:
        """Send what all clients of a bundle signed, as `Connection.send_gathered`."""
        return await self._drive(send_gathered(self._calls, gathering))

    async def _drive(self, steps: Steps[_T]) -> _T:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: _T = end.value
                return result
            reply = await self._take(step)

    async def _take(self, step: Send | Pause) -> Reply:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await self._methods[step.method](step.request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return unanswered(error)

    @cached_property
    def _streams(self) -> httpx2.Client:
        """The HTTP door for threads: Arrow reads streams by blocking calls."""
        return self._web.client()

    @cached_property
    def web(self) -> httpx2.AsyncClient:
        """The node's HTTP door as this user, as `Connection.web`."""
        return self._web.client_async()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()
        if "web" in self.__dict__:
            await self.web.aclose()
        if "_streams" in self.__dict__:
            self._streams.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def connect_async(
    address: str | None = None,
    *,
    home: str | Path,
    user: str = "client1",
    org_id: str = "",
    chain_id: str = "chain1",
    tls: bool | None = None,
    gas_limit: int = 0,
    password: Ask = ask_password,
) -> AsyncConnection:
    """Connect to a node as a user of its home; the parameters are those of `changan.connect`. Raises as that does."""
    reach = find(address, home, user, org_id, chain_id, tls=tls, gas_limit=gas_limit, password=password)
    if reach.credentials is None:
        channel = grpc.aio.insecure_channel(reach.address, options=CHANNEL_OPTIONS)
    else:
        channel = grpc.aio.secure_channel(reach.address, reach.credentials, options=TLS_OPTIONS)
    return AsyncConnection(reach.calls, channel, reach.web)
