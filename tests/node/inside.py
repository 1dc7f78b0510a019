"""A node in this process, for tests that must reach into it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import grpc

from changan.client.requests import Signer, make_payload, sign_request
from changan.ledger.wire.messages import TxResponse, TxType
from changan.node.home import Home
from changan.node.pki.layout import read_crypto_config
from changan.node.run import Doors, RunningNode
from changan.node.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Inside:
    """One chain with its doors, and client1 of the first organisation."""

    def __init__(self, node: RunningNode, rpc: str, root: Path) -> None:
        self.node = node
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
async def node_inside(root: Path) -> AsyncIterator[Inside]:
    node = RunningNode(Home(root), Settings(), Doors(rpc_port=0, http_port=0), demo=False)
    async with node.open() as ready:
        inside = Inside(node, ready.rpc, root)
        try:
            yield inside
        finally:
            await inside.channel.close()
