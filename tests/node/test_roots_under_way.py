"""While the roots of a block's bundles are made, requests are taken in, and whoever reads its state waits until it rests."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from changan.client.requests import install_parameters
from changan.ledger.bundle import PARAMETER, columns_of, encode_bundle
from changan.ledger.transition import Decided, apply_genesis, run_block, seal_block
from changan.ledger.wire.messages import TxType
from changan.node.chain import Chain
from changan.node.storage import ChainStorage
from consortium import Consortium, Ledger

SOURCE = b"""
from changan.contract import U64, Bytes, Contract, Map, call, view


class Counter(Contract):
    counts: Map[U64, U64]

    @call
    def add(self, place: U64, more: U64) -> None:
        self.counts[place] = self.counts.get(place, 0) + more

    @view
    def count(self, place: U64) -> U64:
        return self.counts[place]
"""


@pytest.fixture
def ledger():
    return Ledger(Consortium())


def bundle(ledger: Ledger, world, rows):
    signature = world.instances["counter"].program.method("add")
    data = encode_bundle(signature, columns_of(signature, rows), len(rows), 0)
    return ledger.request("counter", "add", {PARAMETER: data}, sender=ledger.consortium.admin())


def installation(ledger: Ledger):
    given = install_parameters("counter", "1.0", SOURCE, {})
    admin, admins = ledger.consortium.admin(), ledger.consortium.admins()
    return ledger.request("CONTRACT_MANAGE", "INIT_CONTRACT", given, sender=admin, endorsers=admins)


def decided(ledger: Ledger, world, requests) -> Decided:
    ledger.time_us += 1_000_000
    return Decided(world.height + 1, ledger.time_us, None, requests, [None] * len(requests))


async def test_the_node_goes_on_while_the_roots_of_bundles_are_made(tmp_path, ledger):
    storage = ChainStorage(tmp_path)
    world = storage.open_world(ledger.config)
    chain = Chain(world, storage, [], list, now_us=lambda: ledger.time_us + 1_000_000)
    await chain.execute(decided(ledger, world, [installation(ledger)]), lambda _: b"")
    await chain.settled()
    go, threads = Event(), ThreadPoolExecutor(1)
    world.roots.begin = lambda work: threads.submit(lambda: (go.wait(60), work())[1]).result

    admin = ledger.consortium.admin()
    block = decided(ledger, world, [bundle(ledger, world, [(1, 5), (2, 7)])])
    making = asyncio.create_task(chain.execute(block, lambda _: b""))
    await asyncio.sleep(0.2)
    assert not making.done()
    assert chain.is_pending(block.requests[0].payload.tx_id)
    later = ledger.request("counter", "add", {"place": "1", "more": "1"}, sender=admin)
    assert (await chain.submit(later, 200)).message == "OK"
    asked = asyncio.create_task(
        chain.query(ledger.request("counter", "count", {"place": "2"}, sender=admin, tx_type=TxType.QUERY_CONTRACT))
    )
    await asyncio.sleep(0.2)
    assert not asked.done()  # the state holds what does not rest yet
    assert chain.reader.height == 1
    go.set()
    await making
    answer = await asked
    assert answer.contract_result.result == b"7", answer
    assert chain.reader.height == 2
    await chain.close()
    threads.shutdown()


def test_halves_are_the_whole(ledger):
    """Blocks of bundles beside single calls, their roots made late and in any order, hash as those made at once."""
    worlds = [apply_genesis(ledger.config)[0] for _ in range(2)]
    threads = ThreadPoolExecutor(3)
    worlds[1].roots.begin = lambda work: threads.submit(work).result
    for number in range(8):
        requests = [installation(ledger)] if not number else []
        for at in range(number):
            requests += [
                bundle(ledger, worlds[0], [(at, number), (number, at)]),
                ledger.request("counter", "add", {"place": str(at), "more": "1"}, sender=ledger.consortium.admin()),
            ]
        block = decided(ledger, worlds[0], requests)
        hashes = []
        for world in worlds:
            ran = run_block(world, block)
            assert (world.height, len(ran.begun)) == (number + 1, number)
            for end in ran.begun:
                end()
            hashes.append(seal_block(world, ran).header.block_hash)
        assert hashes[0] == hashes[1]
    threads.shutdown()
