"""Connections of the HTTP door whose peers stall: heads and bodies that never end, answers that nobody reads, idle crowds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time

import grpc
import httpx2
import pytest
from inside import Inside, node_inside

from changan.node import event_stream, http_server, limits
from changan.node.metrics import METRICS

EVENTS = "/v1/events?start=0"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(http_server, "PATIENCE_S", 1.0)
    monkeypatch.setattr(http_server, "HEAD_S", 1.0)
    monkeypatch.setattr(http_server, "BODY_S", 1.5)


class Peer:
    """A socket that is read when the test says so, and not before."""

    def __init__(self, made: socket.socket) -> None:
        self.socket = made
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def receive(self, size: int = 65536) -> bytes:
        return await self._loop.sock_recv(self.socket, size)

    async def ended(self, seconds: float = 15) -> bytes:
        """What came until the node ended the connection."""
        found = b""
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError):
                while chunk := await self.receive():
                    found += chunk
        return found

    def leave(self) -> None:
        self.socket.close()


class Street:
    """A node whose HTTP door is open, and those who stand before it."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.peers: list[Peer] = []

    async def connect(self, data: bytes = b"", *, buffer: int = 0) -> Peer:
        host, port = self.inside.http.removeprefix("http://").split(":")
        made = socket.socket()
        self.peers.append(Peer(made))
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
        await self.peers[-1].send(data)
        return self.peers[-1]

    async def get(self, path: str = "/v1/health") -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=10) as client:
            return await client.get(f"{self.inside.http}{path}")


@pytest.fixture
async def street(tmp_path):
    async with node_inside(tmp_path / "home", demo=True) as inside:
        made = Street(inside)
        yield made
        for peer in made.peers:
            peer.leave()
        await until(lambda: open_streams() == 0)


def head(path: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


async def until(condition, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.02)


def open_streams() -> float:
    return METRICS.registry.get_sample_value("changan_subscriptions")


# Answers that nobody reads


async def test_a_reader_of_events_that_stops_reading_is_cut_off(street):
    await street.inside.shout(3000, 4000)  # far more than the sockets hold
    peer = await street.connect(head(EVENTS), buffer=4096)
    assert await peer.receive(15) == b"HTTP/1.1 200 OK"
    await until(lambda: open_streams() == 1)
    await until(lambda: open_streams() == 0)  # and nobody has read since
    taken = await peer.ended()
    assert len(taken) < 3000 * 4000 / 2
    assert not taken.endswith(b"0\r\n\r\n")  # no orderly end: the reader knows that something is missing
    assert (await street.get()).status_code == 200


async def test_the_same_over_tls(tmp_path, monkeypatch):
    async with node_inside(tmp_path / "home", demo=True, tls="server") as inside:
        await inside.shout(3000, 4000)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        host, port = inside.http.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context, limit=1024)
        writer.write(head(EVENTS))
        await reader.readline()
        await until(lambda: open_streams() == 1)
        await until(lambda: open_streams() == 0)
        writer.transport.abort()


async def test_pages_that_nobody_reads_are_cut_off_too(street):
    await street.inside.shout(600, 4000)
    tip = street.inside.chain.reader.height
    peer = await street.connect(head(f"/v1/blocks/{tip}") * 10, buffer=4096)
    with pytest.raises(ConnectionError):
        await kept_busy(peer)


async def kept_busy(peer: Peer) -> None:
    """Send what says nothing until the node has ended the connection."""
    async with asyncio.timeout(15):
        while True:
            await asyncio.sleep(0.05)
            await peer.send(b"\n")


async def test_a_reader_that_is_slow_but_reads_keeps_its_stream(street):
    await street.inside.shout(1500, 4000)
    peer = await street.connect(head(EVENTS), buffer=65536)
    taken, started = 0, time.monotonic()
    while taken < 1500 * 4000:
        chunk = await peer.receive(30_000)
        assert chunk, taken
        taken += len(chunk)
        await asyncio.sleep(0.02)
    assert time.monotonic() - started > 3 * http_server.PATIENCE_S


async def test_a_reader_that_goes_away_leaves_nothing_behind(street):
    peers = [await street.connect(head("/v1/events")) for _ in range(20)]
    await until(lambda: open_streams() == 20)
    for peer in peers:
        peer.leave()
    await until(lambda: open_streams() == 0)


async def test_a_silent_stream_is_not_one_that_nobody_reads(street, monkeypatch):
    monkeypatch.setattr(event_stream, "IDLE_S", 0.2)
    peer = await street.connect(head("/v1/events"))
    seen = b""
    while seen.count(b": idle") < 12:  # longer than anybody's patience
        seen += await peer.receive(4096)
    await street.inside.shout(1, 10)
    while b"event: E" not in seen:
        seen += await peer.receive(4096)


async def test_streams_of_one_peer_are_counted_over_both_doors(street, monkeypatch):
    monkeypatch.setattr(limits, "STREAMS_A_PEER_MAX", 5)
    inside = street.inside
    for _ in range(4):
        await street.connect(head("/v1/events"))
    subscription = inside.subscribe("SUBSCRIBE_BLOCK", 0, -1)
    assert await subscription.read()
    await until(lambda: open_streams() == 5)
    refused = await street.get("/v1/events")
    assert (refused.status_code, "5 streams open" in refused.text) == (429, True)
    assert (await street.get("/v1/chains")).status_code == 200
    with pytest.raises(grpc.aio.AioRpcError, match="5 streams open"):
        await inside.subscribe("SUBSCRIBE_BLOCK", 0, -1).read()
    subscription.cancel()
    await until(lambda: open_streams() == 4)
    assert await inside.subscribe("SUBSCRIBE_BLOCK", 0, 0).read()


# Requests that never end


NEVER_ENDING = {
    "nothing": b"",
    "one byte": b"G",
    "one line": b"GET /v1/health HTTP/1.1\r\n",
    "no end of the head": head("/v1/health")[:-2] + b"X-",
    "half a body": head("/v1/bundles", "Content-Length: 1000", method="POST") + b"x" * 10,
    "half a chunk": head("/v1/bundles", "Transfer-Encoding: chunked", method="POST") + b"5\r\nab",
    "half of the next": head("/v1/health") + b"GET /v1/he",
}


async def test_what_never_ends_is_cut_off(street):
    peers = [await street.connect(data) for data in NEVER_ENDING.values()]
    answers = await asyncio.gather(*(peer.ended() for peer in peers))
    assert [answer[:15] for answer in answers] == [b""] * 6 + [b"HTTP/1.1 200 OK"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_byte_at_a_time_does_not_buy_time(street, method):
    lines = ["Content-Length: 100000"] if method == "POST" else []
    whole = head("/v1/bundles", *lines, method=method)
    peer = await street.connect(whole if method == "POST" else whole[:-2])
    end = asyncio.create_task(peer.ended())
    while not end.done():
        with contextlib.suppress(OSError):
            await peer.send(b"x")
        await asyncio.sleep(0.02)
    await end


async def test_a_connection_that_is_used_again_and_again_is_left_alone(street):
    async with httpx2.AsyncClient(base_url=street.inside.http, timeout=10) as client:
        started = time.monotonic()
        ports = set()
        while time.monotonic() < started + 3 * http_server.HEAD_S:
            answer = await client.get("/v1/health")
            assert answer.status_code == 200
            ports.add(answer.extensions["network_stream"].get_extra_info("socket").getsockname())
            await asyncio.sleep(0.1)
        assert len(ports) == 1


# Crowds


async def test_a_crowd_of_idle_connections_makes_room_for_who_asks(street, monkeypatch):
    monkeypatch.setattr(http_server, "CONNECTIONS_MAX", 40)
    monkeypatch.setattr(http_server, "HEAD_S", 60.0)
    busy = [await street.connect(head("/v1/events")) for _ in range(5)]
    await until(lambda: open_streams() == 5)
    for _ in range(150):
        await street.connect(b"GET / HT")
    for _ in range(10):
        assert (await street.get()).status_code == 200
    assert open_streams() == 5  # whoever is being answered stays
    await street.inside.shout(1, 10)
    seen = b""
    while b"event: E" not in seen:
        seen += await busy[0].receive()


async def test_where_everybody_is_busy_the_newcomer_goes(street, monkeypatch):
    monkeypatch.setattr(http_server, "CONNECTIONS_MAX", 5)
    busy = [await street.connect(head("/v1/events")) for _ in range(5)]
    await until(lambda: open_streams() == 5)
    assert await (await street.connect()).ended() == b""
    busy[0].leave()
    await until(lambda: open_streams() == 4)
    assert (await street.get()).status_code == 200
