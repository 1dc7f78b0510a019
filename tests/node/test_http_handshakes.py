"""Handshakes of TLS at the HTTP door: those that stall are cut off and make room, and what comes with the last word of one is not lost."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import httpx2
import pytest
from inside import node_inside

from changan.node import http_server

GET = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(http_server, "HEAD_S", 1.0)


@pytest.fixture
async def node(tmp_path):
    async with node_inside(tmp_path / "home", demo=True, tls="server") as inside:
        yield inside


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Shaker:
    """A peer that makes its handshake step by step."""

    def __init__(self) -> None:
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trusting().wrap_bio(self._incoming, self.outgoing)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self, node) -> Shaker:
        host, port = node.http.removeprefix("https://").split(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        return self

    def hello(self) -> bytes:
        """Return the first message of the handshake."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self.outgoing.read()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def finish_with(self, request: bytes) -> None:
        """Make the handshake, and send its last message and a request in one piece."""
        await self.send(self.hello())
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._incoming.write(await self._reader.read(65536))
        self._tls.write(request)
        await self.send(self.outgoing.read())

    async def answer(self) -> bytes:
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                return self._tls.read(65536)
            self._incoming.write(await self._reader.read(65536))

    async def ended(self) -> None:
        """Return when the node has ended the connection."""
        async with asyncio.timeout(15):
            with contextlib.suppress(ConnectionError):
                while await self._reader.read(65536):
                    pass

    def leave(self) -> None:
        self._writer.transport.abort()


@pytest.fixture
async def meet(node):
    """Connections to the door; none outlives the test."""
    met = []

    async def meet() -> Shaker:
        met.append(await Shaker().connect(node))
        return met[-1]

    yield meet
    for peer in met:
        peer.leave()


async def healthy(node) -> bool:
    async with httpx2.AsyncClient(verify=trusting(), timeout=10) as client:
        return (await client.get(f"{node.http}/v1/health")).status_code == 200


@pytest.mark.parametrize("sent", ["nothing", "a byte", "half a hello", "a hello, and no more", "no TLS at all"])
async def test_what_does_not_get_on_is_cut_off(node, meet, sent):
    peer = await meet()
    hello = peer.hello()
    data = {"nothing": b"", "a byte": hello[:1], "half a hello": hello[:100], "no TLS at all": GET}.get(sent, hello)
    await peer.send(data)
    await peer.ended()
    assert await healthy(node)


async def test_what_comes_with_the_last_word_is_answered(meet):
    for _ in range(20):
        peer = await meet()
        await peer.finish_with(GET)
        assert (await peer.answer()).startswith(b"HTTP/1.1 200 OK")


async def test_who_leaves_at_once_costs_nothing(node, meet):
    for data in (b"", Shaker().hello(), GET):
        peer = await meet()
        await peer.send(data)
        peer.leave()
    peer = await meet()
    await peer.finish_with(b"")
    peer.leave()
    assert await healthy(node)


async def test_a_crowd_that_stalls_makes_room(node, meet, monkeypatch):
    monkeypatch.setattr(http_server, "CONNECTIONS_MAX", 30)
    monkeypatch.setattr(http_server, "HEAD_S", 600.0)
    crowd = [await meet() for _ in range(100)]
    for peer in crowd[::2]:
        await peer.send(peer.hello())
    for _ in range(5):
        assert await healthy(node)
    await asyncio.gather(*(peer.ended() for peer in crowd[:60]))  # the first to stall were the first to go
