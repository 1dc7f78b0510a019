"""Snapshots of a chain that never rests: they age while they are fetched, and no block holds its own root for long."""

from __future__ import annotations

import asyncio

from membership_running import calls
from model import Model, node_of
from syncing import ACCEPT, Newcomer, fetched

from changan.ledger import commitment
from changan.node.comet import snapshots
from changan.node.comet.abci.messages import RequestListSnapshots, RequestLoadSnapshotChunk
from changan.node.solo import Proposer, settle


async def offers(model: Model, number: int = 0) -> list[int]:
    peer = model.peers[number]
    await peer.snapshots.close()
    return [one.height for one in (await peer.app.list_snapshots(RequestListSnapshots())).snapshots]


async def test_a_snapshot_that_ages_while_it_is_fetched_is_given_up_for_a_newer_one(grown, five):
    model = grown
    peer = model.peers[0]
    offered, chunks = await fetched(peer)
    newcomer = Newcomer(model)
    assert await newcomer.offer(offered) == ACCEPT
    for index in range(2):
        assert (await newcomer.chunk(index, chunks[index]))[0] == ACCEPT
    while offered.height in await offers(model):
        await calls(model, 5)
    gone = RequestLoadSnapshotChunk(height=offered.height, format=1, chunk=2)
    assert (await peer.app.load_snapshot_chunk(gone)).chunk == b""
    newer, chunks = await fetched(peer)  # the engine asks its peers again, and offers what they have by then
    assert newer.height > offered.height
    assert await newcomer.take(newer, chunks) == ACCEPT
    await calls(model, 20)  # blocks that came while the rows were checked
    late = await newcomer.goes_on(node_of(five, 5, "common1", "common"))
    await calls(model, 2)
    assert late.chain.world.block_hash == peer.chain.world.block_hash


async def test_the_next_snapshot_lets_time_pass_in_which_the_last_can_be_fetched(grown, monkeypatch):
    await calls(grown, 4)
    monkeypatch.setattr(snapshots, "APART_S", 1e9)
    before = await offers(grown)
    await calls(grown, 60)
    assert await offers(grown) == before
    monkeypatch.setattr(snapshots, "APART_S", 0)
    await calls(grown, 4)
    assert (await offers(grown))[-1] > before[-1]


async def test_where_no_block_holds_its_own_root_one_is_asked_for(grown, five, monkeypatch):
    model, peer = grown, grown.peers[0]
    signer = peer.signer
    await calls(model, 5)
    before = await offers(model)
    asking = asyncio.create_task(peer.snapshots.ask_for_roots(Proposer(signer.member, signer.key, signer.hash_name)))
    with monkeypatch.context() as busy:  # as where hundreds of rows are written in each block
        busy.setattr(commitment, "ROWS_AT_ONCE_MAX", 0)
        for _ in range(400):
            await calls(model, 1)
            if peer.snapshots._overdue.is_set():
                break
    assert await offers(model) == before
    await calls(model, 4)
    asking.cancel()
    asked = [tx for block in blocks_of(peer) for tx in block.txs if tx.payload.method == "SETTLE"]
    assert len(asked) == 1
    assert (await offers(model))[-1] > before[-1]
    assert await offers(model, 3) == await offers(model)
    newcomer = Newcomer(model)
    assert await newcomer.take(*await fetched(peer)) == ACCEPT
    late = await newcomer.goes_on(node_of(five, 5, "common1", "common"))
    await calls(model, 3)
    assert late.chain.world.block_hash == peer.chain.world.block_hash


def blocks_of(peer):
    return [peer.chain.reader.stored(height).block for height in range(peer.chain.reader.height + 1)]


async def test_while_the_chain_takes_nothing_a_root_is_not_asked_for(grown):
    peer, signer = grown.peers[0], grown.peers[0].signer
    proposer = Proposer(signer.member, signer.key, signer.hash_name)
    peer.chain.rest.fault = "no room"
    await settle(peer.chain, proposer)
    assert not len(peer.chain.pool)
    peer.chain.rest.fault = None
    await settle(peer.chain, proposer)
    assert len(peer.chain.pool) == 1
