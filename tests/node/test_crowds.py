"""Ten thousand connections that say nothing, at each door in turn, while somebody works."""

from __future__ import annotations

import resource
import socket
import time
from pathlib import Path

import httpx2
import pytest
from recorded_desk import Desk

from changan.node import http_server, run
from node_process import NodeProcess

SPARE = 600  # files that this process and its client need


@pytest.fixture
def many_files():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield min(10_000, before[1] - SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def files_of(node: NodeProcess) -> int:
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def resident_mib(node: NodeProcess) -> float:
    lines = Path(f"/proc/{node.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def limit_of(node: NodeProcess) -> int:
    lines = Path(f"/proc/{node.process.pid}/limits").read_text().splitlines()
    return int(next(line.split()[3] for line in lines if line.startswith("Max open files")))


def crowd(address: str, count: int) -> list[socket.socket]:
    host, port = address.removeprefix("http://").split(":")
    return [socket.create_connection((host, int(port)), timeout=20) for _ in range(count)]


def until(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


def test_a_node_may_open_as_many_files_as_the_system_allows(node):
    assert limit_of(node) == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.mark.parametrize("door", ["rpc", "http"])
def test_a_crowd_that_says_nothing(node, many_files, door):
    before, memory = files_of(node), resident_mib(node)
    room = limit_of(node) - run.FILES_KEPT if door == "rpc" else http_server.CONNECTIONS_MAX
    with node.connect() as client:
        client.invoke("T", "P", {"k": "a", "v": "before"})
        count = many_files if door == "rpc" else min(many_files, 3 * http_server.CONNECTIONS_MAX)
        silent = crowd(getattr(node, door), count)
        try:
            until(lambda: files_of(node) <= room + before + 200, 30)
            for number in range(20):
                client.invoke("T", "P", {"k": "a", "v": str(number)})
                assert httpx2.get(f"{node.http}/v1/health", timeout=10).status_code == 200
            if count < room or door == "http":
                with node.connect() as newcomer:
                    assert newcomer.query("T", "G", {"k": "a"}).text == "19"
            assert resident_mib(node) - memory < 600
            until(lambda: files_of(node) < before + 200, 45)  # nobody of it is left, though nobody hung up
            assert client.query("T", "G", {"k": "a"}).text == "19"
        finally:
            for one in silent:
                one.close()


def test_streams_that_never_read_on_grpc_beside_calls(node):
    """As many subscriptions as a peer may have, none of them read: calls go on, and one more is refused in words."""
    desk = Desk(node)
    call = desk.channel.unary_stream("/api.RpcNode/Subscribe")
    request = desk.subscription("SUBSCRIBE_BLOCK", -1, -1).SerializeToString()
    streams = [call(request, timeout=60) for _ in range(500)]
    until(lambda: "changan_subscriptions 500.0" in httpx2.get(f"{node.http}/metrics", timeout=10).text, 30)
    _, ended = desk.listen(desk.subscription("SUBSCRIBE_BLOCK", 0, 0))
    assert "500 streams open" in ended
    with node.connect() as client:
        for number in range(20):
            client.invoke("T", "P", {"k": "b", "v": str(number)})
    for stream in streams:
        stream.cancel()
    until(lambda: "changan_subscriptions 0.0" in httpx2.get(f"{node.http}/metrics", timeout=10).text, 30)
    desk.close()
