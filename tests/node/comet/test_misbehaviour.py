"""Who breaks the rules of agreement stands in a block: the same at every node, whatever happened to it, and for good."""

from __future__ import annotations

import shutil

import pytest
from membership_running import audited, calls, change, entry, join, receipts
from model import Model, node_of
from test_application import transfer

from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockHeader, ConsensusArgs
from changan.node.audit import AuditError, Auditor
from changan.node.comet.abci.messages import Misbehavior, Validator
from changan.node.comet.application import FAULTS_SHOWN
from changan.node.storage import replay_block
from consortium import SealedLog, org_name


def twice(voter, height: int, kind: int = 1) -> Misbehavior:
    return Misbehavior(type=kind, validator=Validator(address=voter.address, power=1), height=height)


def recorded(model: Model, height: int, number: int = 0) -> list[tuple]:
    stored = model.peers[number].chain.reader.stored(height)
    found = ConsensusArgs.FromString(stored.block.header.consensus_args).misbehaviour
    return [(one.org_id, one.node_id, one.kind, one.engine_height) for one in found]


def third(model: Model, height: int, kind: int = 1) -> tuple:
    return (org_name(3), model.peers[2].voter.node_id, kind, height)


def shown(model: Model, block: int | None, height: int) -> dict:
    return {
        "organisation": org_name(3),
        "node_id": model.peers[2].voter.node_id,
        "kind": "two votes for one height",
        "engine_height": height,
        "block": block,
    }


async def test_the_block_that_comes_with_the_evidence_names_the_organisation(model):
    await calls(model, 2)
    model.misbehavior = [twice(model.peers[2].voter, 2)]
    await calls(model, 2)
    assert recorded(model, 3) == []
    assert recorded(model, 4) == [third(model, 2)]
    assert recorded(model, 5) == []
    assert len({peer.chain.world.block_hash for peer in model.peers}) == 1
    assert all(peer.app.faults == [shown(model, 4, 2)] for peer in model.peers)
    audited(model, 1)


async def test_evidence_in_an_empty_block_waits_for_the_next_ledger_block(model):
    model.misbehavior = [twice(model.peers[2].voter, 1)]
    await model.step(0)
    await model.step(1)
    assert model.heights() == [1, 1, 1, 1]
    assert model.app_hashes[3] == model.app_hashes[1]
    assert model.peers[3].app.faults == [shown(model, None, 1)]
    model.misbehavior = [twice(model.peers[0].voter, 2, kind=2)]
    await calls(model, 1)
    first = (org_name(1), model.peers[0].voter.node_id, 2, 2)
    assert recorded(model, 2) == [third(model, 1), first]
    assert model.peers[3].app.faults[0]["kind"] == "a light client was shown another chain"
    await calls(model, 1)
    assert recorded(model, 3) == []


@pytest.mark.parametrize("victim", range(4))
async def test_a_node_that_dies_with_evidence_unrecorded_records_it_all_the_same(model, victim):
    model.misbehavior = [twice(model.peers[2].voter, 1)]
    await model.step(0)
    await model.peers[victim].crash()
    model.submit(0, transfer(model))
    await model.send()
    await model.step(1, crash_between=(victim + 1) % 4)
    assert recorded(model, 2, victim) == [third(model, 1)]
    assert all(peer.app.faults == [shown(model, 2, 1)] for peer in model.peers)


async def test_it_is_there_after_a_start_and_a_new_index_and_a_wiped_disk(model, tmp_path):
    model.misbehavior = [twice(model.peers[2].voter, 1)]
    await calls(model, 3)
    for number, lost in ((0, None), (1, "index"), (2, ".")):
        peer = model.peers[number]
        peer.storage.close()
        if lost is not None:
            shutil.rmtree(tmp_path / str(number) / lost)
        peer.open()
        await peer.handshake(engine_lost=lost == ".")
        assert peer.app.faults == [shown(model, 2, 1)]
    await model.peers[3].handshake(engine_lost=True)  # it hears of the evidence again, and records it no second time
    await calls(model, 2)
    assert [recorded(model, height, 3) for height in range(1, 6)] == [[], [third(model, 1)], [], [], []]


async def test_a_node_that_comes_later_reads_the_same(model, five):
    model.misbehavior = [twice(model.peers[2].voter, 1)]
    await calls(model, 2)
    peer = await join(model, node_of(five, 5))
    assert peer.app.faults == [shown(model, 2, 1)]


async def test_it_names_who_voted_then(model, five):
    """The key was replaced since: it is the node of before that is named, and a stranger's address names nobody."""
    further = node_of(five, 3, "common1", "common")
    old = model.peers[2].voter
    assert not await change(model, "CONSENSUS_EXT_ADD", entry(further))
    at = len(model.decided)
    parameters = {"org_id": org_name(3), "node_id": old.node_id, "new_node_id": further.voter.node_id}
    assert not await change(model, "NODE_ID_UPDATE", parameters, org=3, alone=True)
    model.add(further)
    await model.peers[4].handshake()
    await calls(model, 3)
    newest = len(model.decided)
    stranger = node_of(five, 5).voter
    model.misbehavior = [twice(old, at), twice(further.voter, newest), twice(stranger, at), twice(further.voter, at)]
    await calls(model, 1)
    found = recorded(model, model.heights()[0])
    assert [(node_id, height) for _, node_id, _, height in found] == [
        (old.node_id, at),
        (further.voter.node_id, newest),
    ]


async def test_evidence_is_bound_by_the_blocks_hash_and_executed_again(model):
    model.misbehavior = [twice(model.peers[2].voter, 1)]
    await calls(model, 4)
    reader = model.peers[0].chain.reader
    world, _ = apply_genesis(model.config)
    for height in range(1, reader.height + 1):
        replay_block(world, reader.stored(height))
    assert world.block_hash == model.peers[0].chain.world.block_hash
    records = [model.peers[0].storage.log.read(height) for height in range(reader.height + 1)]
    stored = reader.stored(2)
    lie = type(stored).FromString(stored.SerializeToString())
    arguments = ConsensusArgs.FromString(lie.block.header.consensus_args)
    arguments.misbehaviour[0].org_id = org_name(1)
    lie.block.header.consensus_args = arguments.SerializeToString()
    with pytest.raises(AuditError, match="block 2: block_hash is wrong"):
        for _ in Auditor(SealedLog([*records[:2], lie.SerializeToString(), *records[3:]])).blocks():
            pass


async def test_a_receipt_of_its_block_shows_it(model):
    model.misbehavior = [twice(model.peers[2].voter, 1)]
    await calls(model, 4)
    import base64

    headers = [BlockHeader.FromString(base64.b64decode(one["header"])) for one in receipts(model)]
    [found] = [header for header in headers if header.block_height == 2]
    [one] = ConsensusArgs.FromString(found.consensus_args).misbehaviour
    assert one.org_id == org_name(3)


async def test_so_many_are_shown_and_the_newest_first(model):
    for n in range(6):
        model.misbehavior = [twice(model.peers[2].voter, 1)] * 25
        await calls(model, 1)
        assert len(model.peers[0].app.faults) == min(25 * (n + 1), FAULTS_SHOWN)
    assert model.peers[0].app.faults[0]["block"] == 7
    assert model.peers[0].app.faults[-1]["block"] == 4


async def test_a_chain_without_evidence_has_blocks_as_before(model):
    await calls(model, 2)
    for height in range(1, 4):
        arguments = ConsensusArgs.FromString(model.peers[0].chain.reader.stored(height).block.header.consensus_args)
        assert not arguments.misbehaviour
    assert model.peers[0].app.faults == []
