"""A node in this process, for tests that must reach into it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import grpc

from changan.client.requests import Signer, install_parameters, make_payload, sign_request
from changan.ledger.wire.messages import TxResponse, TxStatusCode, TxType
from changan.node.home import Home
from changan.node.pki.layout import read_crypto_config
from changan.node.run import Doors, RunningNode
from changan.node.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SHOUTER = """\
from typing import Annotated

from annotated_types import MaxLen

from changan.contract import Contract, Event, Text, call, emit

Words = Annotated[Text, MaxLen(4000)]


class E(Event):
    text: Words


class Shouter(Contract):
    @call
    def shout(self, text: Words) -> None:
        emit(E(text=text))
"""


class Inside:
    """One chain with its doors, and client1 of the first organisation."""

    def __init__(self, node: RunningNode, rpc: str, http: str, root: Path) -> None:
        self.node = node
        self.http = http
        self.root = root
        self.chain = node.chains["chain1"]
        self.channel = grpc.aio.insecure_channel(
            rpc, options=[("grpc.http2.bdp_probe", 0)]
        )  # what is not read is not buffered
        self._organisation = read_crypto_config(root).organisations[0]
        self.client = self.signer("client1")

    def signer(self, name: str) -> Signer:
        files = self._organisation.user(name)
        return Signer.from_files(self._organisation.org_id, files.sign_certificate, files.sign_key)

    def request(self, contract: str, method: str, parameters, **changes):
        payload = make_payload("chain1", contract, method, parameters)
        for name, value in changes.items():
            setattr(payload, name, value)
        return sign_request(payload, self.client)

    async def put(self, size: int = 1):
        """Put a value of a size; the block that holds it rests when this returns."""
        request = self.request("T", "P", {"k": "a", "v": bytes([120]) * size})
        return await self.chain.submit_and_wait(request, request.ByteSize())

    async def shout(self, times: int, size: int) -> None:
        """Let a contract emit so many events E, each of so many characters of data."""
        if "shouter" not in self.chain.world.instances:
            await self._rest(
                self.request(
                    "CONTRACT_MANAGE", "INIT_CONTRACT", install_parameters("shouter", "1.0", SHOUTER.encode(), {})
                )
            )
        requests = [self.request("shouter", "shout", {"text": "x" * size}) for _ in range(times)]
        await asyncio.gather(*map(self._rest, requests))

    async def _rest(self, request) -> None:
        response = await self.chain.submit_and_wait(request, request.ByteSize())
        assert response.code == TxStatusCode.SUCCESS, response.contract_result.message

    async def send(self, request) -> TxResponse:
        call = self.channel.unary_unary("/api.RpcNode/SendRequest", response_deserializer=TxResponse.FromString)
        return await call(request.SerializeToString(), timeout=10)

    def subscribe(self, method: str, start: int, end: int, **parameters):
        heights = {
            "START_BLOCK": start.to_bytes(8, "little", signed=True),
            "END_BLOCK": end.to_bytes(8, "little", signed=True),
        }
        request = self.request("SUBSCRIBE_MANAGE", method, {**heights, **parameters}, tx_type=TxType.SUBSCRIBE)
        return self.channel.unary_stream("/api.RpcNode/Subscribe")(request.SerializeToString(), timeout=60)


@contextlib.asynccontextmanager
async def node_inside(root: Path, *, demo: bool = False, tls: str = "none") -> AsyncIterator[Inside]:
    node = RunningNode(Home(root), Settings(), Doors(rpc_port=0, http_port=0, tls=tls), demo=demo)
    async with node.open() as ready:
        inside = Inside(node, ready.rpc, ready.http, root)
        try:
            yield inside
        finally:
            await inside.channel.close()
