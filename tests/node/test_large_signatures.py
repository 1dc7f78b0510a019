"""Signatures of large requests are looked at beside the event loop, at each door, so that nobody waits for a stranger's digest."""

from __future__ import annotations

import threading

import httpx2
import pytest
from inside import node_inside

from changan.client.arrow_bundle import arrow_bundle
from changan.client.requests import make_payload, sign_request
from changan.client.tables import Method
from changan.crypto.suite import Suite, algorithms
from changan.ledger.bundle import PARAMETER
from changan.node.rpc import LARGE_BYTES, takes_long_to_prove

LARGE_ROWS = LARGE_BYTES[Suite.INTERNATIONAL] // 36 + 100  # a digest each, and a note that says nothing


class Watched:
    """A verifier that notes in which thread it was asked."""

    def __init__(self, verifier) -> None:
        self._verifier = verifier
        self.threads: list[threading.Thread] = []

    def verify(self, signed):
        self.threads.append(threading.current_thread())
        return self._verifier.verify(signed)


@pytest.fixture
async def inside(tmp_path):
    async with node_inside(tmp_path / "home", demo=True) as one:
        one.chain.world.signatures = Watched(one.chain.world.signatures)
        yield one


def bundle(inside, rows: int):
    """Return a signed bundle of so many rows."""
    method = Method(inside.chain.world.instances["evidence"].program.describe(), "put")
    digests = [rows.to_bytes(16, "big") + number.to_bytes(16, "big") for number in range(rows)]
    ((_, data),) = method.bundles({"digest": digests, "note": [""] * rows}, rows, 0)
    return sign_request(make_payload("chain1", "evidence", "put", {PARAMETER: data}), inside.client)


async def over_grpc(inside, request) -> bool:
    return (await inside.send(request)).code == 0


async def over_http(inside, request) -> bool:
    return await post(inside, {}, request.SerializeToString())


async def over_http_in_columns(inside, request) -> bool:
    signature = inside.chain.world.instances["evidence"].program.method("put")
    return await post(inside, *arrow_bundle(request, signature))


async def post(inside, headers, body: bytes) -> bool:
    async with httpx2.AsyncClient(timeout=20) as client:
        answer = await client.post(f"{inside.http}/v1/bundles", headers=headers, content=body)
    return answer.status_code == 200 and answer.json()["succeeded"] == answer.json()["rows"]


@pytest.mark.parametrize("send", [over_grpc, over_http, over_http_in_columns])
async def test_where_signatures_are_looked_at(inside, send):
    seen = inside.chain.world.signatures.threads
    assert await send(inside, bundle(inside, 10))
    assert seen == [], "a small one is looked at where it is, which is faster than to go anywhere"
    assert await send(inside, bundle(inside, LARGE_ROWS))
    assert [thread is threading.main_thread() for thread in seen] == [False]


@pytest.mark.parametrize("send", [over_grpc, over_http])
async def test_a_large_one_whose_signature_does_not_hold_is_refused(inside, send):
    request = bundle(inside, LARGE_ROWS)
    request.sender.signature = bundle(inside, 10).sender.signature
    height = inside.chain.reader.height
    assert not await send(inside, request)
    assert len(inside.chain.world.signatures.threads) == 1
    assert inside.chain.reader.height == height


@pytest.mark.parametrize("suite", list(Suite))
async def test_what_is_large_depends_on_how_fast_the_digest_is(inside, suite):
    inside.chain.world.config.crypto.hash = algorithms(suite).digest_name
    request = bundle(inside, 1)
    sizes = [LARGE_BYTES[suite] - 1, LARGE_BYTES[suite]]
    assert [takes_long_to_prove(inside.chain, request, size) for size in sizes] == [False, True]
