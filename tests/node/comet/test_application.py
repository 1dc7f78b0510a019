"""The application without an engine: proposals, lies, what is decided, and replays."""

from __future__ import annotations

import os
import random

import pytest
from model import Model
from test_server import requests as random_requests

from changan.client.requests import sign_request
from changan.contract.instance import BlockContext
from changan.errors import MalformedError
from changan.ledger.admission import Admitted, RefusedError
from changan.ledger.execution import Execution
from changan.ledger.snapshot import dump
from changan.ledger.wire.messages import ConsensusArgs, SealedBlocks, TxRequest
from changan.node.comet.abci.application import ACCEPT, REJECT
from changan.node.comet.abci.messages import (
    Head,
    RequestCheckTx,
    RequestExtendVote,
    RequestFinalizeBlock,
    RequestProcessProposal,
    RequestQuery,
    RequestVerifyVoteExtension,
    Response,
)
from changan.node.comet.abci.server import answer
from changan.node.comet.batches import HEAD, decode_batch, decode_head, encode_batch, encode_head
from consortium import EXAMPLES, Consortium

TO = "44" * 20


@pytest.fixture
async def model(tmp_path, consortium):
    made = Model(consortium, tmp_path, seed=1)
    await made.begin()
    yield made
    made.close()


async def token(model: Model) -> None:
    """Install the token contract."""
    from changan.client.requests import install_parameters

    code = (EXAMPLES / "token.py").read_bytes()
    request = model.request(
        "CONTRACT_MANAGE",
        "INIT_CONTRACT",
        install_parameters("token", "1.0", code, {"supply": "1000000"}),
        sender=model.consortium.admin(),
    )
    model.submit(0, request)
    await model.send()
    assert await model.step(0)
    assert "token" in model.peers[3].chain.world.instances


def transfer(model: Model, **changes):
    return model.request("token", "transfer", {"to": TO, "amount": "1"}, sender=model.consortium.admin(), **changes)


def balance(model: Model, number: int = 0) -> int:
    world = model.peers[number].chain.world
    request = model.request("token", "balance_of", {"who": TO})
    identity = world.members.identify(request.sender.signer, model.time_us // 1_000_000)
    done = Execution(world, BlockContext(world.height, 0)).query(request, Admitted(identity, world.epoch))
    return int(done.result.result)


# Batches


def test_a_batch_comes_back_as_it_went(consortium, tmp_path):
    made = Model(consortium, tmp_path, seed=3)
    admins = consortium.admins()
    sent = [
        made.request("token", "transfer", {"to": TO, "amount": str(n)}, sender=admins[n % 4], endorsers=admins[: n % 3])
        for n in range(12)
    ]
    sent[5].payer.CopyFrom(admins[2].endorse(sent[5].payload))
    data = encode_batch(sent, 9)
    assert decode_batch(data) == sent
    assert len(data) < sum(one.ByteSize() for one in sent)
    dice = random.Random(5)
    for _ in range(300):
        changed = bytearray(data)
        changed[dice.randrange(len(changed))] = dice.randrange(256)
        try:
            found = decode_batch(bytes(changed[: dice.choice([len(changed), dice.randrange(len(changed))])]))
        except MalformedError:
            continue
        assert all(isinstance(one, TxRequest) for one in found)
    made.close()


# One height after another


async def test_a_block_is_the_same_at_every_node(model):
    await token(model)
    for n in range(12):
        model.submit(n % 4, transfer(model))
    await model.send()
    assert await model.step(1)
    assert model.heights() == [2, 2, 2, 2]
    assert len({peer.chain.world.block_hash for peer in model.peers}) == 1
    header = model.peers[2].chain.reader.block(2).block.header
    assert header.tx_count == 12
    assert header.proposer.org_id == "wx-org2.chainmaker.org"
    assert ConsensusArgs.FromString(header.consensus_args).engine_height == 2
    assert balance(model, 3) == 12


async def test_each_signature_is_checked_once_at_a_node(model):
    await token(model)
    before = [peer.cache.verified for peer in model.peers]
    for _ in range(10):
        model.submit(0, transfer(model))
    await model.send()
    await model.step(2)
    assert [peer.cache.verified - was for peer, was in zip(model.peers, before, strict=True)] == [0, 10, 10, 10]


async def test_an_empty_block_changes_nothing(model):
    await token(model)
    hashes = {peer.chain.world.block_hash for peer in model.peers}
    for n in range(4):
        decision = await model.step(n)
        assert not [data for data in decision.txs if data[:1] == b"\x01"]
    assert {peer.chain.world.block_hash for peer in model.peers} == hashes
    assert model.heights() == [1, 1, 1, 1]
    assert model.app_hashes[5] == model.app_hashes[1]


async def test_a_proposal_carries_the_certificate_of_the_block_before(model):
    await token(model)
    first = model.peers[0].chain.reader.stored(1).block.header.block_hash
    assert first not in sealed(await model.step(1))  # votes for block 1 were still to come
    assert first in sealed(await model.step(2))
    assert not sealed(await model.step(3))
    model.submit(0, transfer(model))
    await model.send()
    await model.step(3)
    for peer in model.peers:
        assert "changan.sealed" in peer.chain.reader.stored(2).block.additional_data.extra_data
        assert "changan.certificate" in peer.chain.reader.block(1).block.additional_data.extra_data


def sealed(decision) -> list[bytes]:
    heads = [decode_head(data) for data in decision.txs if data[:1] == HEAD]
    return [one.block_hash for head in heads for one in SealedBlocks.FromString(head.sealed).blocks]


async def test_each_block_has_one_certificate_in_the_records(model):
    await token(model)
    for n in range(10):
        model.submit(n % 4, transfer(model))
        await model.send()
        await model.step(n % 4)
        if n % 3 == 0:
            await model.step(n % 4)
    reader = model.peers[1].chain.reader
    found = [
        one.block_hash
        for height in range(reader.height + 1)
        for one in SealedBlocks.FromString(
            reader.stored(height).block.additional_data.extra_data.get("changan.sealed", b"")
        ).blocks
    ]
    assert len(found) == len(set(found))
    hashes = [reader.stored(height).block.header.block_hash for height in range(reader.height + 1)]
    assert found == hashes[1 : 1 + len(found)]  # block 0 is older than any certificate of a member
    assert len(found) >= len(hashes) - 3


async def test_a_proposer_that_has_just_started_carries_what_the_last_votes_sealed(model):
    await token(model)
    await model.step(1)
    first = model.peers[0].chain.world.block_hash
    await model.peers[2].crash()
    assert first in sealed(await model.step(2))


async def test_a_proposer_that_heard_no_votes_carries_what_the_engine_tells_of_them(model):
    await token(model)
    first = model.peers[0].chain.world.block_hash
    model.submit(0, transfer(model))
    await model.send()
    await model.step(1)  # the votes for block 2 sealed block 1
    for found in model.peers[2].seals._recent.values():
        found.seals.clear()
    assert sealed(await model.step(2))[-1] == first


async def test_a_wrong_seal_is_rejected(model):
    await token(model)
    app, height = model.peers[0].app, len(model.decided) + 1
    block_hash = model.peers[0].chain.world.block_hash
    good = (await model.peers[1].app.extend_vote(RequestExtendVote(height=height))).vote_extension
    foreign = model.peers[2].seals.own(block_hash)
    address = model.voters[1].address

    async def judge(signature: bytes, who: bytes = address) -> int:
        request = RequestVerifyVoteExtension(validator_address=who, height=height, vote_extension=signature)
        return (await app.verify_vote_extension(request)).status

    for wrong in (b"", foreign, good[:-1], good[:9] + bytes([good[9] ^ 1]) + good[10:], good + b"\x00"):
        assert await judge(wrong) == REJECT
    assert await judge(good) == ACCEPT
    assert await judge(good, model.voters[3].address) == REJECT


async def test_a_forged_certificate_is_rejected(model):
    await token(model)
    await model.step(1)
    head = decode_head((await model.peers[0].app.prepare_proposal(_prepare(model))).txs[0])
    (one,) = [one for one in SealedBlocks.FromString(head.sealed).blocks if len(one.seals) >= 3][-1:]
    forged = SealedBlocks(blocks=[one])
    forged.blocks[0].seals[0].signature = one.seals[1].signature
    twice, few = SealedBlocks(blocks=[one]), SealedBlocks(blocks=[one])
    twice.blocks[0].seals[1].CopyFrom(one.seals[0])
    del few.blocks[0].seals[2:]
    for sealed_blocks in (forged, twice, few):
        data = encode_head(Head(version=1, time_us=head.time_us, sealed=sealed_blocks.SerializeToString()))
        request = RequestProcessProposal(txs=[data], height=3, proposer_address=model.voters[0].address)
        assert {(await peer.app.process_proposal(request)).status for peer in model.peers} == {REJECT}
        before = [carried(peer) for peer in model.peers]
        for peer in model.peers:
            peer.seals.decided(decode_head(data))
        assert [carried(peer) for peer in model.peers] == before


def carried(peer) -> set[bytes]:
    return {block_hash for block_hash, found in peer.seals._recent.items() if found.is_carried}


async def test_a_sender_frozen_after_gossip_is_judged_again(model):
    """What holds for a block is what the block before left: a verdict of an older epoch counts for nothing."""
    await token(model)
    victim = model.consortium.signer(2, "client1", "client")
    doomed = model.request("token", "transfer", {"to": TO, "amount": "1"}, sender=victim)
    model.submit(1, doomed)
    future = model.peers[1].chain.result(doomed.payload.tx_id)
    parameters = {"certs": victim.member.member_info.decode()}
    freeze = model.request(
        "CERT_MANAGE", "CERTS_FREEZE", parameters, sender=model.consortium.admin(), endorsers=model.consortium.admins()
    )
    model.submit(0, freeze)
    await model.send()  # the freeze and the doomed request are both in every pool of the engine
    data = next(data for data in model.peers[0].mempool if decode_batch(data)[0] == doomed)
    assert await model.step(0)
    assert model.peers[0].chain.world.height == 2
    assert all(data not in peer.mempool for peer in model.peers)
    lie = encode_head(Head(version=1, time_us=model.time_us + 1_000_000))
    request = RequestProcessProposal(txs=[lie, data], height=3, proposer_address=model.voters[0].address)
    assert {(await peer.app.process_proposal(request)).status for peer in model.peers} == {REJECT}
    for number in list(model.peers[1].submission._afloat):
        model.peers[1].submission._give_back(number)
    await model.send()
    with pytest.raises(RefusedError):
        await future


async def test_the_same_request_in_two_batches_counts_once(model):
    await token(model)
    request = transfer(model)
    for n in range(4):
        model.submit(n, request)
    await model.send()
    await model.step(0)
    await model.step(1)
    assert balance(model) == 1
    assert all(not peer.mempool and not peer.chain.afloat for peer in model.peers)
    with pytest.raises(RefusedError, match="TxId exist"):
        model.submit(2, request)


async def test_of_a_batch_only_what_is_new_is_executed(model):
    await token(model)
    old, new, late = (transfer(model) for _ in range(3))
    model.submit(0, old)
    await model.send()
    assert await model.step(0)
    late.payload.timestamp -= 700
    late = sign_request(late.payload, model.consortium.admin())
    data = encode_batch([old, new, new, late, old], 1)
    for peer in model.peers:
        peer.mempool[data] = None
    assert await model.step(1)
    assert balance(model) == 2
    assert model.peers[0].chain.reader.block(3).block.header.tx_count == 1


async def test_what_a_proposal_lost_is_sent_again(model):
    await token(model)
    model.submit(1, transfer(model))
    model.lie = lambda _: [b"nonsense"]
    assert await model.step(1) is None  # the pool went straight into the proposal, and the proposal was rejected
    assert model.peers[1].chain.afloat
    model.lie = lambda txs: txs
    assert await model.step(2)
    await model.send()
    assert await model.step(3)
    assert balance(model) == 1


async def test_a_request_out_of_its_time_is_left_out_and_told(model):
    await token(model)
    request = transfer(model)
    model.submit(0, request)
    future = model.peers[0].chain.result(request.payload.tx_id)
    model.time_us += 700_000_000
    await model.send()
    with pytest.raises(RefusedError, match="TxTimestamp"):
        await future
    assert not model.peers[0].chain.is_pending(request.payload.tx_id)


async def test_one_that_must_be_alone_is(model):
    await token(model)
    model.submit(0, transfer(model))
    payload = {"CONTRACT_NAME": "token"}
    model.submit(1, model.request("CONTRACT_MANAGE", "FREEZE_CONTRACT", payload, endorsers=model.consortium.admins()))
    model.submit(2, transfer(model))
    await model.send()
    for n in range(4):
        await model.step(n)
    counts = [model.peers[0].chain.reader.block(h).block.header.tx_count for h in range(2, model.heights()[0] + 1)]
    assert counts in ([2, 1], [1, 1, 1], [1, 2])


# Lies


def lies(model: Model):
    """What a lying proposer may make of an honest proposal [head, batch]."""
    other = Consortium(1)
    stranger = model.request("token", "transfer", {"to": TO, "amount": "1"}, sender=other.signer())
    forged = transfer(model)
    forged.payload.parameters[1].value = b"999"
    foreign = transfer(model, chain_id="chain2")
    query = transfer(model, tx_type=1)
    past = model.request("CHAIN_QUERY", "GET_LAST_BLOCK", {}, sender=model.consortium.admin())
    freeze = model.request(
        "CONTRACT_MANAGE", "FREEZE_CONTRACT", {"CONTRACT_NAME": "token"}, endorsers=model.consortium.admins()
    )
    unendorsed = model.request("CONTRACT_MANAGE", "FREEZE_CONTRACT", {"CONTRACT_NAME": "token"})
    now = model.time_us

    def head(txs, **changes) -> bytes:
        found = decode_head(txs[0])
        for name, value in changes.items():
            setattr(found, name, value)
        return encode_head(found)

    def add(*requests):
        return lambda txs: [*txs, encode_batch(requests, 1)]

    return {
        "a sender of no organisation": add(stranger),
        "a changed amount": add(forged),
        "another chain's transaction": add(foreign),
        "a query as a transaction": add(query),
        "a question to the past": add(past),
        "one that must be alone, beside others": add(freeze),
        "two that must be alone": lambda txs: [txs[0], encode_batch([freeze], 1), encode_batch([freeze], 2), txs[1]],
        "a change that nobody endorsed": lambda txs: [txs[0], encode_batch([unendorsed], 1)],
        "more than a block holds": lambda txs: [*txs, encode_batch([transfer(model) for _ in range(1001)], 1)],
        "no head": lambda txs: txs[1:],
        "the head last": lambda txs: [*txs[1:], txs[0]],
        "two heads": lambda txs: [txs[0], *txs],
        "a head of another version": lambda txs: [head(txs, version=2), *txs[1:]],
        "a time of the past": lambda txs: [head(txs, time_us=1), *txs[1:]],
        "a time below zero": lambda txs: [head(txs, time_us=-1), *txs[1:]],
        "a time far ahead": lambda txs: [head(txs, time_us=now + 900_000_000), *txs[1:]],
        "a time at the end of time": lambda txs: [head(txs, time_us=2**63 - 1), *txs[1:]],
        "certificates that do not decode": lambda txs: [head(txs, sealed=b"\xff\xff"), *txs[1:]],
        "a certificate of no block": lambda txs: [head(txs, sealed=bytes.fromhex("0a060a0461626364")), *txs[1:]],
        "noise": lambda txs: [*txs, b"noise"],
        "an empty transaction": lambda txs: [*txs, b""],
        "an empty batch": lambda txs: [*txs, b"\x01"],
        "a cut batch": lambda txs: [txs[0], txs[1][:-3]],
    }


async def test_every_lie_is_rejected_by_every_honest_node(model):
    await token(model)
    model.submit(0, transfer(model))
    await model.send()
    height, balances = model.heights(), balance(model)
    for name, lie in lies(model).items():
        model.lie = lie
        before = model.rejections
        assert await model.step(0) is None, name
        assert model.rejections - before == 4, name
    assert model.heights() == height
    model.lie = lambda txs: txs
    assert await model.step(0)
    assert balance(model) == balances + 1


async def test_a_lie_that_was_decided_all_the_same_is_no_ledger_block(model):
    """More than a third lied; even then the honest nodes stay alike, and nothing unsigned happens."""
    await token(model)
    model.submit(0, transfer(model))
    await model.send()
    honest = list((await model.peers[0].app.prepare_proposal(_prepare(model))).txs)
    hashes = set()
    for name, lie in lies(model).items():
        if name == "a time far ahead" or "certificate" in name:
            continue  # judged by the clock, or outside the block's hash
        height = len(model.app_hashes) + 1
        for peer in model.peers:
            request = RequestFinalizeBlock(
                txs=lie(list(honest)), hash=name.encode(), height=height, proposer_address=model.voters[1].address
            )
            found = await peer.app.finalize_block(request)
            hashes.add(found.app_hash)
            model.app_hashes[height] = found.app_hash
            await peer.commit()
    assert len(hashes) == 1
    assert model.heights() == [1, 1, 1, 1]


def _prepare(model: Model):
    from changan.node.comet.abci.messages import RequestPrepareProposal

    peer = model.peers[0]
    return RequestPrepareProposal(
        max_tx_bytes=4 << 20,
        txs=list(peer.mempool),
        height=len(model.decided) + 1,
        local_last_commit=model.last_commit(),
    )


async def test_a_wrong_clock_is_outvoted(model):
    await token(model)
    for skew in (3_600_000_000, -3_600_000_000):
        model.peers[3].skew_us = skew
        for n in range(4):
            request = transfer(model)
            model.submit(0, request)
            await model.send()
            done = await model.step(n)
            assert (done is None) == (n == 3 and skew > 0)  # behind, it proposes the least time that grows
    assert len({peer.chain.world.block_hash for peer in model.peers}) == 1


# The door to the engine


async def test_peers_are_filtered_by_the_ledger(model):
    app = model.peers[0].app
    known, unknown = model.voters[2].peer, "ab" * 20
    assert (await app.query(RequestQuery(path=f"/p2p/filter/id/{known}"))).code == 0
    assert (await app.query(RequestQuery(path=f"/p2p/filter/id/{unknown}"))).code != 0
    assert (await app.query(RequestQuery(path="/p2p/filter/addr/127.0.0.1:1"))).code == 0
    assert (await app.query(RequestQuery(path="/store"))).code != 0


async def test_nothing_unauthentic_is_gossiped(model):
    await token(model)
    app = model.peers[0].app
    good, forged = transfer(model), transfer(model)
    forged.payload.parameters[1].value = b"999"
    assert (await app.check_tx(RequestCheckTx(tx=encode_batch([good], 1)))).code == 0
    for data in (
        encode_batch([good, forged], 2),
        b"",
        b"\x01",
        b"\x02",
        encode_head(Head(version=1)),
    ):
        assert (await app.check_tx(RequestCheckTx(tx=data))).code != 0


async def test_a_block_that_was_executed_and_not_committed_is_executed_again_after_a_crash(model):
    await token(model)
    for n in range(6):
        model.submit(0, transfer(model))
        await model.send()
        assert await model.step(n % 4, crash_between=(n + 1) % 4)
    assert len(set(model.heights())) == 1
    assert {balance(model, n) for n in range(4)} == {6}


async def test_an_engine_that_lost_its_blocks_is_told_the_same_again(model):
    await token(model)
    for n in range(4):
        model.submit(n, transfer(model))
        await model.send()
        await model.step(n)
        await model.step(n)
    peer = model.peers[2]
    before = peer.chain.world.block_hash
    await peer.handshake(engine_lost=True)
    assert peer.chain.world.block_hash == before
    await peer.handshake()
    model.submit(2, transfer(model))
    await model.send()
    assert await model.step(2)
    assert {balance(model, n) for n in range(4)} == {5}


async def test_an_engine_that_died_before_it_noted_an_answer_gets_it_again(model):
    await token(model)
    model.submit(0, transfer(model))
    await model.send()
    honest = list((await model.peers[0].app.prepare_proposal(_prepare(model))).txs)
    request = RequestFinalizeBlock(txs=honest, hash=b"x", height=2, proposer_address=model.voters[0].address)
    app = model.peers[0].app
    first = await app.finalize_block(request)
    assert await app.finalize_block(request) == first
    other = RequestFinalizeBlock(txs=[], hash=b"y", height=2, proposer_address=model.voters[0].address)
    found = Response.FromString((await answer(app, _wrapped("finalize_block", other))).data)
    assert "two blocks" in found.exception.error
    assert model.peers[0].chain.fault


def _wrapped(name, body) -> bytes:
    from changan.node.comet.abci.messages import Request

    request = Request()
    getattr(request, name).CopyFrom(body)
    return request.SerializeToString()


FUZZ_COUNT = int(os.environ.get("CHANGAN_FUZZ_REQUESTS", "3000"))


def picture(peer) -> list[tuple[str, list[bytes]]]:
    return [(name, list(items)) for name, items in dump(peer.chain.world)]


async def test_random_requests_change_no_state(model):
    await token(model)
    peer = model.peers[0]
    before = picture(peer)
    passed = 0
    for data in random_requests(seed=11, count=FUZZ_COUNT):
        peer.chain.rest.fault = None
        found = Response.FromString((await answer(peer.app, data)).data)
        passed += not found.HasField("exception")
    assert passed >= 0.3 * FUZZ_COUNT
    assert picture(peer) == before
    assert peer.chain.reader.height == 1


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
async def test_mutated_proposals_are_judged_alike_and_never_raise(model):
    """Whatever becomes of a good proposal: all nodes agree on it, and what they accept they can execute."""
    await token(model)
    for n in range(6):
        model.submit(n % 4, transfer(model))
    await model.send()
    honest = list((await model.peers[0].app.prepare_proposal(_prepare(model))).txs)
    dice = random.Random(3)
    accepted = 0
    for _ in range(FUZZ_COUNT // 4):
        txs = [bytearray(data) for data in honest]
        for _ in range(dice.randrange(1, 3)):
            data = dice.choice(txs)
            how = dice.randrange(4)
            if how < 2 and data:
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            elif how == 2:
                dice.shuffle(txs)
            else:
                txs.append(bytearray(dice.choice(txs)))
        request = RequestProcessProposal(
            txs=[bytes(data) for data in txs], height=2, proposer_address=model.voters[0].address
        )
        found = {(await peer.app.process_proposal(request)).status for peer in model.peers}
        assert len(found) == 1
        accepted += found == {ACCEPT}
        assert found <= {ACCEPT, REJECT}
    assert accepted < FUZZ_COUNT // 4
