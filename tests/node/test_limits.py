"""What one peer may ask: tokens against a clock that tests turn, streams that end however they end, and the HTTP door before them."""

from __future__ import annotations

import contextlib
import resource

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.node import limits as module
from changan.node.limits import LimitedApp, OpenStreams, RateLimits, address_of
from changan.node.process import file_limit, raise_file_limit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_second_holds_so_many_and_fills_again(clock):
    limits = RateLimits(10, clock)
    assert [limits.admit("a") for _ in range(11)] == [True] * 10 + [False]
    clock.now += 0.1
    assert [limits.admit("a") for _ in range(2)] == [True, False]
    clock.now += 100
    assert [limits.admit("a") for _ in range(11)] == [True] * 10 + [False], "no more than a second's worth is saved"


def test_peers_do_not_share(clock):
    limits = RateLimits(1, clock)
    assert [limits.admit(peer) for peer in "aabbc"] == [True, False, True, False, True]


def test_many_at_once_are_admitted_whole_or_not_at_all(clock):
    limits = RateLimits(10, clock)
    assert not limits.admit("a", 11)
    assert limits.admit("a", 4)
    assert not limits.admit("a", 7)
    assert limits.admit("a", 6), "what was refused took nothing"
    assert not limits.admit("a")


def test_of_many_addresses_the_oldest_is_forgotten(clock, monkeypatch):
    monkeypatch.setattr(module, "PEERS_MAX", 3)
    limits = RateLimits(1, clock)
    for peer in "abc":
        assert limits.admit(peer)
    assert not limits.admit("a")  # and is the newest now
    assert limits.admit("d")  # b is forgotten
    assert not limits.admit("c")
    assert not limits.admit("a")
    assert limits.admit("b")


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.integers(0, 8)), max_size=40),
)
def test_no_peer_has_more_than_its_rate_over_any_time(rate, asked):
    """Over any span, at most what flows in during it and one bucket. Eighths of a second are exact in binary."""
    clock = Clock()
    limits = RateLimits(rate, clock)
    admitted: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}
    for peer, count, eighths in asked:
        clock.now += eighths / 8
        if limits.admit(peer, count):
            admitted[peer].append((clock.now, count))
    for found in admitted.values():
        for start in range(len(found)):
            for end in range(start, len(found)):
                span = found[end][0] - found[start][0]
                assert sum(count for _, count in found[start : end + 1]) <= rate * (1 + span)


def test_the_refusal_says_what_to_do():
    assert RateLimits(7).refusal("10.0.0.9") == (
        "more than 7 requests a second from 10.0.0.9: send more slowly (rate_limit in changan.toml)"
    )


def test_streams_are_counted_while_they_last(monkeypatch):
    monkeypatch.setattr(module, "STREAMS_A_PEER_MAX", 2)
    streams = OpenStreams()
    with streams.held("a"):
        assert streams.refusal("a") is None
        with streams.held("a"):
            assert (
                streams.refusal("a")
                == "a has 2 streams open, which is the most: end one, or ask for more in one stream"
            )
            assert streams.refusal("b") is None
        assert streams.refusal("a") is None
    assert not streams._counts, "a peer that has none takes no memory"


def test_a_stream_that_fails_is_over(monkeypatch):
    monkeypatch.setattr(module, "STREAMS_A_PEER_MAX", 1)
    streams = OpenStreams()
    for _ in range(3):
        with contextlib.suppress(ConnectionError), streams.held("a"):
            raise ConnectionError
    assert streams.refusal("a") is None


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:50312", "127.0.0.1"),
        ("ipv6:[::1]:50312", "[::1]"),
        ("ipv6:%5B::1%5D:50312", "%5B::1%5D"),
        ("unix:/run/changan", "unix:/run/changan"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_the_address_in_a_peers_name(peer, address):
    assert address_of(peer) == address


async def door(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


async def test_the_http_door_says_when_to_come_again(clock):
    limits = RateLimits(2, clock)
    transport = httpx2.ASGITransport(LimitedApp(door, limits), client=("10.0.0.9", 4000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://node") as client:
        answers = [await client.get("/v1/health") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].text == "served"
        assert (answers[2].headers["retry-after"], answers[2].text) == ("1", limits.refusal("10.0.0.9"))
        clock.now += 1
        assert (await client.get("/v1/health")).status_code == 200


async def test_what_is_no_request_is_let_through(clock):
    """The server's own start and stop come this way too, from nobody."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    limits = RateLimits(1, clock)
    for _ in range(3):
        await LimitedApp(app, limits)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"] * 3


def test_as_many_files_as_the_system_allows():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        assert file_limit() == min(soft, 256)
        raise_file_limit()
        assert file_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
