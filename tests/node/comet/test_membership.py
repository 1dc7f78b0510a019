"""Voters change on a running chain: who votes from when, whose seals count, and what a receipt shows to who trusts the genesis alone."""

from __future__ import annotations

import base64
import copy

import pytest
from membership_running import audited, calls, change, entry, genesis, join, organisations, receipts
from model import Model, Node, node_of
from test_application import balance, transfer

from changan.errors import ChanganError, MalformedError, UnverifiedError
from changan.ledger.agreement import Electorate
from changan.ledger.members import Members
from changan.ledger.receipt import verify_receipt
from changan.ledger.roster import roster_of
from changan.ledger.row_proof import verify_row_proof
from changan.ledger.wire.messages import Certificate, ChainConfig, EndorsementEntry
from changan.node.comet.abci.messages import RequestFinalizeBlock, RequestInitChain, RequestQuery, ValidatorUpdate
from changan.node.proofs import delta_proof
from consortium import org_name

FIFTH = org_name(5)


# Joining, leaving, and another node in an organisation's place


async def test_an_organisation_joins_and_votes_two_heights_later(model, five):
    peer = await join(model, node_of(five, 5))
    admitted = len(model.decided)
    assert model.updates[admitted] == [(peer.voter.validator, 1)]
    for height, votes in ((admitted + 1, False), (admitted + 2, True)):
        assert (peer.voter in peer.rosters.voting(height).voters) == votes
        assert model.votes(peer, height) == votes
    assert peer.rosters.newest.votes_from == admitted + 2
    await calls(model, 1)
    model.submit(4, transfer(model))
    await model.send()
    assert await model.step(4)  # its first proposal
    assert model.peers[2].chain.reader.stored(model.heights()[2]).block.header.proposer == peer.voter.member
    await calls(model, 3)
    assert balance(model, 4) == 5
    assert len(set(model.heights())) == 1
    for number in range(5):
        audited(model, number)


async def test_five_voters_need_four(model, five):
    await join(model, node_of(five, 5))
    await calls(model, 2)
    model.peers[1].up = False
    await calls(model, 1)  # four of five are a quorum
    model.peers[2].up = False
    model.submit(0, transfer(model))
    await model.send()
    assert await model.step(0) is None  # three of five are none: it would have been one of four
    await model.wake(1)
    assert await model.step(0)


async def test_a_receipt_after_a_change_holds_by_the_genesis_alone(model, five):
    await join(model, node_of(five, 5))
    await calls(model, 6)
    trust = genesis(model)
    found = receipts(model)
    agreed = [set(verify_receipt(one, trust).agreed) for one in found]
    assert len(found) >= 8
    assert all(len(who) >= 3 for who in agreed)
    assert "membership" not in found[0]
    assert FIFTH not in set().union(*agreed[:4])
    assert any(FIFTH in who for who in agreed[5:])
    assert all(len(who) >= 4 for who in agreed[5:])
    last = found[-1]
    [link] = last["membership"]
    config = ChainConfig.FromString(verify_row_proof(link, trust).value)
    assert organisations(roster_of(config)) == [org_name(n) for n in range(1, 6)]
    # A follower that came later gives the same proofs.
    assert verify_receipt(receipts(model, 4)[-1], trust).header == verify_receipt(last, trust).header
    # The roots of the four first organisations lead as far as their genesis does.
    assert FIFTH in verify_receipt(last, model_roots(model)).agreed or len(verify_receipt(last, trust).agreed) >= 4


def model_roots(model: Model) -> Members:
    return Electorate.of(model.config).members


async def test_no_change_can_be_left_out_swapped_or_made_up(model, five):
    await join(model, node_of(five, 5))
    await calls(model, 4)
    assert not await change(model, "NODE_ORG_DELETE", {"org_id": org_name(2)})
    await calls(model, 4)
    trust = genesis(model)
    last = receipts(model)[-1]
    assert org_name(2) not in verify_receipt(last, trust).agreed
    first, second = last["membership"]
    earlier = receipts(model)[3]
    harmless = delta_proof(
        model.peers[0].chain.reader.block(3), "CHAIN_CONFIG", "CHAIN_CONFIG", model.peers[0].chain.world.digest
    )
    other = {**first, "value": earlier["header"]}
    unsealed = {name: value for name, value in second.items() if name != "certificate"}
    lies = {
        "the order": [second, first],
        "one twice": [first, first, second],
        "an unsealed one": [first, unsealed],
        "one sealed by those whom it names": [second],
        "another row": [{**first, "key": "x"}, second],
        "another value": [other, second],
        "a header's certificate": [{**first, "certificate": last["certificate"]}, second],
        "one that comes later": [first, second, last["membership"][1]],
        "nothing that is one": [first, {}],
        "no list": {"0": first},
        "what is no document": [1],
    }
    for lie in lies.values():
        with pytest.raises((UnverifiedError, MalformedError)):
            verify_receipt({**last, "membership": lie}, trust)
    # A change of the configuration that left the voters alone does no harm in between.
    assert verify_receipt({**last, "membership": [harmless, first, second]}, trust).agreed
    with pytest.raises(UnverifiedError, match="chain1"):
        verify_receipt(last, trust._replace(chain_id="chain2"))


async def test_a_receipt_without_a_certificate_is_not_taken_for_agreed(model):
    """One lying node can seal what it likes; where the voters are known its word alone is nothing."""
    await calls(model, 3)
    lie = {name: value for name, value in receipts(model)[-1].items() if name != "certificate"}
    with pytest.raises(UnverifiedError, match="no certificate of agreement"):
        verify_receipt(lie, genesis(model))


async def test_those_who_left_can_make_no_receipt_of_what_came_later(model, five):
    await join(model, node_of(five, 5))
    await calls(model, 3)
    for n in (1, 2):
        assert not await change(model, "NODE_ORG_DELETE", {"org_id": org_name(n)}, by=2)
        await calls(model, 2, by=2)
    trust = genesis(model)
    last = receipts(model, 2)[-1]
    assert set(verify_receipt(last, trust).agreed) == {org_name(n) for n in (3, 4, 5)}
    with pytest.raises(UnverifiedError, match="has no vote on it"):
        verify_receipt({**last, "membership": []}, trust)


async def test_an_organisation_leaves_and_the_rest_go_on(model):
    assert not await change(model, "NODE_ORG_DELETE", {"org_id": org_name(4)})
    gone = len(model.decided)
    assert model.updates[gone] == [(model.peers[3].voter.validator, 0)]
    model.submit(0, transfer(model))
    await model.send()
    assert await model.step(3)  # it votes and proposes for one height more
    assert model.peers[0].chain.reader.stored(model.heights()[0]).block.header.proposer.org_id == org_name(4)
    await calls(model, 3)
    assert len(model.validators(len(model.decided) + 1)) == 3
    assert await model.step(3) is None
    # Its node is known and follows; when it is taken out it may not even connect.
    assert model.heights()[3] == model.heights()[0]
    peer = model.peers[3].voter.peer
    assert (await model.peers[0].app.query(RequestQuery(path=f"/p2p/filter/id/{peer}"))).code == 0
    assert not await change(model, "CONSENSUS_EXT_DELETE", {f"comet.{model.peers[3].voter.node_id}": ""})
    assert (await model.peers[0].app.query(RequestQuery(path=f"/p2p/filter/id/{peer}"))).code != 0
    assert not await change(model, "TRUST_ROOT_DELETE", {"org_id": org_name(4)})
    await calls(model, 2)
    audited(model, 0)


async def test_an_organisation_puts_another_node_in_its_place(model, five):
    """A node with a certificate of role common follows without a vote until its own administrator promotes it."""
    further = node_of(five, 2, "common1", "common")
    assert not await change(model, "CONSENSUS_EXT_ADD", entry(further))
    peer = model.add(further)
    await peer.handshake()
    assert peer.voter in peer.rosters.newest.roster.followers
    await calls(model, 2)
    assert not model.votes(peer, len(model.decided) + 1)
    old = model.peers[1].voter
    parameters = {"org_id": org_name(2), "node_id": old.node_id, "new_node_id": further.voter.node_id}
    assert not await change(model, "NODE_ID_UPDATE", parameters, org=2, alone=True)
    assert sorted(model.updates[len(model.decided)]) == sorted([(old.validator, 0), (further.voter.validator, 1)])
    await calls(model, 2)
    model.submit(4, transfer(model))
    await model.send()
    assert await model.step(4)
    await calls(model, 3)
    trust = genesis(model)
    sealed = [verify_receipt(one, trust) for one in receipts(model)]
    assert any(org_name(2) in one.agreed for one in sealed[-3:])
    # The old key of the organisation seals nothing any more, though the organisation is the same.
    assert model.peers[1].voter in model.peers[0].rosters.newest.roster.followers
    last = receipts(model)[-1]
    certificate = Certificate.FromString(base64.b64decode(last["certificate"]))
    header = verify_receipt(last, trust).header
    old_seal = five.signer(2, "consensus1", "consensus")
    sealed_by_old = EndorsementEntry(
        signer=old_seal.member, signature=old_seal.key.sign(header.block_hash, old_seal.hash_name)
    )
    kept = [entry for entry in certificate.seals if entry.signer.org_id != org_name(2)]
    lie = base64.b64encode(Certificate(seals=[*kept[:2], sealed_by_old]).SerializeToString()).decode()
    with pytest.raises(UnverifiedError, match="has no vote on it"):
        verify_receipt({**last, "certificate": lie}, trust)
    for number in range(5):
        audited(model, number)


async def test_a_certificate_is_renewed_in_place_and_the_vote_stays(model, five):
    renewed = five.signer(3, "consensus9", "consensus")
    voter = model.peers[2].voter._replace(certificate=renewed.member.member_info)
    assert not await change(model, "CONSENSUS_EXT_UPDATE", entry(Node(voter, renewed)))
    assert model.updates[len(model.decided)] == []
    await calls(model, 1)
    model.peers[2].voter, model.peers[2].signer = voter, renewed
    await model.peers[2].crash()
    await calls(model, 4)
    assert any(org_name(3) in verify_receipt(one, genesis(model)).agreed for one in receipts(model)[-3:])
    audited(model, 0)


async def test_a_key_of_votes_is_replaced_in_place(model, five):
    """The same node with new keys: the old one votes until the new one does."""
    fresh = bytes([77]) * 32
    old = model.peers[2].voter
    voter = old._replace(validator=fresh)
    assert not await change(model, "CONSENSUS_EXT_UPDATE", entry(Node(voter, model.peers[2].signer)))
    assert sorted(model.updates[len(model.decided)]) == sorted([(old.validator, 0), (fresh, 1)])
    await calls(model, 1)
    model.peers[2].voter = voter
    await calls(model, 2)
    model.submit(2, transfer(model))
    await model.send()
    assert await model.step(2)
    audited(model, 1)


# Crashes and lost stores, in the middle of a change


@pytest.mark.parametrize("heights", [0, 1, 2, 5])
async def test_an_engine_that_lost_its_blocks_hears_the_same_changes_again(model, five, heights):
    await join(model, node_of(five, 5))
    await calls(model, heights)
    for peer in model.peers:
        await peer.handshake(engine_lost=True)  # the model holds each answer against the first one
        await peer.crash()
    await calls(model, 3)
    assert len({peer.chain.world.block_hash for peer in model.peers}) == 1


@pytest.mark.parametrize("victim", range(5))
async def test_a_crash_between_execution_and_rest_of_a_change(model, five, victim):
    peer = await join(model, node_of(five, 5))
    await calls(model, 2)
    world = model.peers[0].chain.world
    request = model.request(
        "CHAIN_CONFIG",
        "NODE_ORG_DELETE",
        {"org_id": org_name(4)},
        sender=five.admin(1),
        endorsers=five.admins(),
        sequence=world.config.sequence + 1,
    )
    model.submit(0, request)
    await model.send()
    assert await model.step(1, crash_between=victim)
    assert model.peers[victim].rosters.newest.roster.voters == peer.rosters.newest.roster.voters
    await calls(model, 3)
    assert len(set(model.heights())) == 1


async def test_a_disk_that_is_wiped_comes_back_through_every_change(model, five, tmp_path):
    import shutil

    await join(model, node_of(five, 5))
    await calls(model, 3)
    assert not await change(model, "NODE_ORG_DELETE", {"org_id": org_name(3)})
    await calls(model, 3)
    peer = model.peers[1]
    peer.storage.close()
    shutil.rmtree(tmp_path / "1")
    peer.open()
    await peer.handshake(engine_lost=True)
    assert peer.chain.world.block_hash == model.peers[0].chain.world.block_hash
    assert [c.height for c in peer.rosters._changes] == [c.height for c in model.peers[0].rosters._changes]
    await calls(model, 2)
    audited(model, 1)


async def test_while_it_catches_up_a_node_admits_those_whom_it_was_told_to_dial(model, five):
    node = node_of(five, 5)
    late = Model(five, model.directory / "late", seed=2)
    peer = late.peers[0]

    async def admits(id_: str) -> bool:
        return (await peer.app.query(RequestQuery(path=f"/p2p/filter/id/{id_}"))).code == 0

    assert not await admits(node.voter.peer)
    peer.app._dialled = frozenset({node.voter.peer})
    assert await admits(node.voter.peer)
    late.close()
    # Of one whom the ledger knew and dropped, the ledger's word counts.
    peer = model.peers[0]
    gone = model.peers[3].voter
    assert not await change(model, "NODE_ORG_DELETE", {"org_id": gone.org_id})
    assert not await change(model, "CONSENSUS_EXT_DELETE", {f"comet.{gone.node_id}": ""})
    peer.app._dialled = frozenset({gone.peer})
    assert not await admits(gone.peer)


async def test_an_engine_of_other_voters_is_refused(model):
    app = model.peers[0].app
    named = [ValidatorUpdate(power=1) for _ in model.voters]
    for update, voter in zip(named, model.voters, strict=True):
        update.pub_key.ed25519 = voter.validator
    request = RequestInitChain(chain_id="chain1", initial_height=1, validators=named)
    assert await app.init_chain(request)
    for wrong in (named[:3], [*named, ValidatorUpdate()], []):
        with pytest.raises(ChanganError, match="names other voters"):
            await app.init_chain(RequestInitChain(chain_id="chain1", initial_height=1, validators=wrong))


async def test_a_stranger_proposes_no_ledger_block(model, five):
    """Even if a quorum decided it: the block of one who has no vote at that height is void, alike at every node."""
    node = node_of(five, 5)
    await join(model, node)
    model.submit(0, transfer(model))
    await model.send()
    height = len(model.decided) + 1
    from test_application import _prepare

    honest = list((await model.peers[0].app.prepare_proposal(_prepare(model))).txs)
    before = model.heights()
    for peer in model.peers:  # the newcomer's vote counts one height later
        request = RequestFinalizeBlock(txs=honest, hash=b"early", height=height, proposer_address=node.voter.address)
        await peer.app.finalize_block(request)
        await peer.commit()
    assert model.heights() == before


async def test_a_copy_of_a_receipt_is_left_as_it_was(model, five):
    await join(model, node_of(five, 5))
    await calls(model, 4)
    last = receipts(model)[-1]
    before = copy.deepcopy(last)
    verify_receipt(last, genesis(model))
    assert last == before
