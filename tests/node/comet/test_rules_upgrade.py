"""A rolling upgrade in the model: nodes of two releases, rules that change at a height, and an old release that stops there."""

from __future__ import annotations

import pytest
from membership_running import calls, change
from model import Model, node_of
from test_application import transfer

from changan.ledger.execution import Execution
from changan.ledger.rule_sets import KEY, UnknownRulesError
from changan.node import adoption
from changan.node.audit import AuditError, Auditor
from changan.node.comet.abci.messages import RequestInfo

OLDER, NEWER = 1, 2


@pytest.fixture(autouse=True)
def other_rules(monkeypatch):
    """What the newer rules do in this test: they leave a word in what comes of a call."""
    run = Execution._run

    def newer(self, *arguments, **options):
        executed = run(self, *arguments, **options)
        if options["keep"] and self._world.rules == NEWER and not executed.code:
            return executed._replace(result=executed.result._replace(message="by the newer rules"))
        return executed

    monkeypatch.setattr(Execution, "_run", newer)
    for known in ("ledger.world.RULES", "node.adoption.RULES", "node.audit._RULES"):
        monkeypatch.setattr(f"changan.{known}", OLDER)


def release(peer, rules: int = NEWER) -> None:
    """Let a node be of the release that knows these rules."""
    peer.chain.world.rules_known = rules


async def upgraded(model: Model, blocks: int = 4) -> int:
    """Name a height for the newer rules; return it."""
    at = model.peers[0].chain.world.height + blocks
    assert not await change(model, "CONSENSUS_EXT_ADD", {KEY: f"{NEWER}@{at}"})
    return at


def words(model: Model, number: int = 0) -> list[str]:
    reader = model.peers[number].chain.reader
    return [reader.stored(at).block.txs[0].result.contract_result.message for at in range(1, reader.height + 1)]


async def test_all_go_by_the_old_rules_until_the_height_and_by_the_new_ones_from_it(model):
    for peer in model.peers:
        release(peer)
    at = await upgraded(model)
    await calls(model, 6)
    assert [text == "by the newer rules" for text in words(model)] == [height >= at for height in range(1, at + 4)]
    assert len({peer.chain.world.block_hash for peer in model.peers}) == 1


async def test_the_engine_hears_of_it_with_the_block_before(model):
    """ConsensusParams.version.app counts from the engine's next height; in bytes: field 4, 2 long, field 1, the rules."""
    for peer in model.peers:
        release(peer)
    said: dict[int, bytes] = {}
    finalize = model.peers[2].app._finalize

    def noted(request):
        answer = finalize(request)
        said[request.height] = answer.consensus_param_updates
        return answer

    model.peers[2].app._finalize = noted
    at = await upgraded(model)
    await calls(model, 2)
    await model.step(0)  # an empty block of the engine changes nothing
    assert (await model.peers[2].app.info(RequestInfo())).app_version == NEWER
    await calls(model, 2)
    [told] = [height for height, data in said.items() if data]
    assert said[told] == b"\x22\x02\x08" + bytes([NEWER])
    heights = model.peers[2].app._heights
    assert heights.ledger_at(told) == at - 1
    assert heights.of(at - 1) == told
    # An engine that lost its blocks hears the same again, and begins with the version of its first block.
    model.peers[2].app.engine_is_new = True
    assert (await model.peers[2].app.info(RequestInfo())).app_version == OLDER
    before = dict(said)
    said.clear()
    await model.peers[2].handshake(engine_lost=True)
    assert {height: data for height, data in said.items() if data} == {told: before[told]}


async def test_an_old_release_stops_at_the_height_and_goes_on_when_it_is_upgraded(model):
    for peer in model.peers[:3]:
        release(peer)
    old = model.peers[3]
    at = await upgraded(model)
    await calls(model, 2)
    assert old.chain.world.height == at - 1  # until then it votes and executes like the others
    tip = old.chain.world.block_hash
    model.submit(0, transfer(model))
    await model.send()
    with pytest.raises(
        UnknownRulesError, match=f"block {at} is executed by rules {NEWER}, and this release knows rules up to"
    ):
        await model.step(0)
    assert (old.chain.world.height, old.chain.world.block_hash) == (at - 1, tip)
    assert "install a release that knows them" in old.chain.fault
    with pytest.raises(UnknownRulesError):  # the engine is not started again and again
        old.app.engine_starts(is_new=False)
    old.up = False
    await calls(model, 3)
    assert model.peers[0].chain.world.height == at + 3
    old.storage.close()
    old.mempool.clear()
    old.open()
    release(old)  # the newer release is installed, and the node started
    await old.handshake()
    old.up = True
    await calls(model, 2)
    assert len({peer.chain.world.block_hash for peer in model.peers}) == 1
    assert words(model, 3) == words(model)


async def test_a_newer_release_goes_by_older_rules_when_it_replays_the_past(model, five, monkeypatch):
    monkeypatch.setattr("changan.ledger.world.RULES", NEWER)
    for peer in model.peers:
        release(peer)
    await upgraded(model)
    await calls(model, 6)
    fresh = model.add(node_of(five, 5, "common1", "common"))
    await fresh.handshake()
    assert fresh.chain.world.block_hash == model.peers[0].chain.world.block_hash
    await model.peers[1].crash()
    assert model.peers[1].chain.world.block_hash == model.peers[0].chain.world.block_hash


async def test_an_audit_of_an_old_release_says_that_it_does_not_know_the_rules(model):
    for peer in model.peers:
        release(peer)
    at = await upgraded(model)
    await calls(model, 5)
    with pytest.raises(AuditError, match=f"block {at}: goes by rules beyond {OLDER}"):
        list(Auditor(model.peers[0].storage.log).blocks())


async def test_an_old_release_takes_no_state_from_the_time_of_newer_rules(often, model, monkeypatch):
    from syncing import ACCEPT, REJECT_SNAPSHOT, Newcomer, fetched

    for peer in model.peers:
        release(peer)
    await upgraded(model)
    await calls(model, 1)
    for peer in model.peers:  # the next block's snapshot is of the last height before the newer rules
        await peer.snapshots.close()
        peer.snapshots._work = 10**9
    await calls(model, 1)
    await model.step(0)
    await model.step(0)
    offered, chunks = await fetched(model.peers[0])
    newcomer = Newcomer(model)
    assert await newcomer.take(offered, chunks) == REJECT_SNAPSHOT
    assert not newcomer.chain.exists()
    monkeypatch.setattr(adoption, "RULES", NEWER)
    assert await newcomer.take(offered, chunks) == ACCEPT
    assert (await newcomer.sync.info(RequestInfo())).app_version == NEWER
