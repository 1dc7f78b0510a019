"""A chain that is left alone soon proves its whole state: the node asks for the block that brings the tree up to date."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from changan.client.requests import install_parameters
from changan.ledger.commitment import StateCommitment
from changan.ledger.roots import Roots
from changan.ledger.snapshot import _rows
from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs
from changan.node.chain import Chain
from changan.node.solo import Proposer, Solo
from changan.node.storage import ChainStorage
from changan.node.store.blocklog import BlockLog
from consortium import Consortium, Ledger
from node_process import changan

SOURCE = b"""
from changan.contract import Contract, Map, U64, call


class Many(Contract):
    rows: Map[U64, U64]

    @call
    def fill(self, start: U64, count: U64) -> None:
        for n in range(start, start + count):
            self.rows[U64(n)] = 1
"""


def test_the_state_root_arrives_when_nothing_else_happens(node):
    with node.connect() as client:
        client.deploy("many", "1", SOURCE)
        height = client.invoke("many", "fill", {"start": 0, "count": 1000}).height
    deadline = time.monotonic() + 10
    while node.get("/v1/chains")[0]["height"] == height and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)
    assert node.get("/v1/chains")[0]["height"] == height + 1  # once, and no more
    log = BlockLog(node.home / "chains/chain1/log", read_only=True)
    stored = BlockWithRWSet.FromString(log.read(height + 1))
    assert stored.block.txs[0].payload.method == "SETTLE"
    arguments = ConsensusArgs.FromString(stored.block.header.consensus_args)
    assert arguments.state_height == height + 1
    assert arguments.state_root
    assert not ConsensusArgs.FromString(
        BlockWithRWSet.FromString(log.read(height)).block.header.consensus_args
    ).state_root
    log.close()
    assert changan("verify", "--replay", "--home", str(node.home)).returncode == 0


async def test_requests_are_served_while_what_waits_goes_into_the_tree(tmp_path, monkeypatch):
    monkeypatch.setattr("changan.ledger.commitment.BYTES_AT_ONCE_MAX", 1000)
    monkeypatch.setattr("changan.node.solo.SETTLE_AFTER_S", 0.05)
    consortium = Consortium()
    ledger, storage = Ledger(consortium), ChainStorage(tmp_path)
    chain = Chain(storage.open_world(ledger.config), storage, [], list, lambda: ledger.time_us)
    commitment, done, threads = chain.world.commitment, Event(), ThreadPoolExecutor(1)
    began = []

    def begin_aside(work):
        began.append(work)
        return threads.submit(lambda: (done.wait(60), work())[1]).result

    commitment._roots.begin_aside = begin_aside
    signer = consortium.signer(1, "consensus1", "consensus")
    solo = asyncio.create_task(Solo(chain, Proposer(signer.member, signer.key, signer.hash_name)).run())

    async def call(contract, method, parameters, **options):
        ledger.time_us += 1_000_000
        request = ledger.request(contract, method, parameters, **options)
        response = await asyncio.wait_for(chain.submit_and_wait(request, request.ByteSize()), 10)
        assert response.code == 0, response

    async def passes(test):
        deadline = time.monotonic() + 10
        while not test():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    await call(
        "CONTRACT_MANAGE", "INIT_CONTRACT", install_parameters("many", "1", SOURCE, {}), sender=consortium.admin()
    )
    await call("many", "fill", {"start": "0", "count": "1000"})
    await passes(lambda: began)  # the chain was left alone, and a thread has begun
    height = chain.world.height
    await call("many", "fill", {"start": "1000", "count": "900"})  # nobody waits for that thread
    assert (chain.world.height, len(began)) == (height + 1, 1)
    done.set()
    await passes(lambda: not commitment.behind)
    assert len(began) == 2  # what came meanwhile, in the tree that was there
    assert commitment._ahead is None
    assert chain.world.height == height + 2
    await chain.settled()
    arguments = ConsensusArgs.FromString(chain.reader.stored(height + 2).block.header.consensus_args)
    again = StateCommitment(Roots(chain.world.digest))
    assert (arguments.state_height, arguments.state_root) == (height + 2, again.begin(_rows(chain.world)))
    await chain.stop()
    await solo
    await chain.close()
    threads.shutdown()
