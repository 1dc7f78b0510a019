"""The past of the voters: the audit follows who may propose and what is a quorum; a node never guesses what is away."""

from __future__ import annotations

import pytest
from membership_running import audited, calls, change, entry, genesis, join, receipts
from model import Node, node_of

from changan.ledger.hashing import block_hash
from changan.ledger.receipt import verify_receipt
from changan.ledger.wire.messages import BlockWithRWSet, SealedBlocks
from changan.node.audit import AuditError, Auditor
from changan.node.comet.rosters import RosterGoneError, Rosters
from changan.node.store.archive import ArchivedError
from consortium import SealedLog, org_name


async def test_the_audit_names_a_proposer_whose_vote_was_over(model, five):
    await join(model, node_of(five, 5))
    await calls(model, 3)
    records = [model.peers[0].storage.log.read(height) for height in range(model.heights()[0] + 1)]
    for _ in Auditor(SealedLog(records)).blocks():
        pass
    digest = model.peers[0].chain.world.digest
    for height, who in ((4, model.peers[4].voter), (3, model.peers[4].voter)):  # before its vote counted
        stored = BlockWithRWSet.FromString(records[height])
        stored.block.header.proposer.CopyFrom(who.member)
        stored.block.header.block_hash = block_hash(stored.block.header, digest)
        lie = [*records[:height], stored.SerializeToString(), *records[height + 1 :]]
        with pytest.raises(AuditError, match=f"block {height}: was proposed by no voter"):
            for _ in Auditor(SealedLog(lie)).blocks():
                pass


async def test_the_audit_counts_the_quorum_of_the_block(model, five):
    """Three seals were a quorum of four; of five they are none."""
    await join(model, node_of(five, 5))
    await calls(model, 5)
    records = [model.peers[0].storage.log.read(height) for height in range(model.heights()[0] + 1)]
    cut = 0
    for height, record in enumerate(records):
        stored = BlockWithRWSet.FromString(record)
        extra = stored.block.additional_data.extra_data
        sealed = SealedBlocks.FromString(extra.get("changan.sealed", b""))
        if not sealed.blocks:
            continue
        for one in sealed.blocks:
            del one.seals[3:]
        extra["changan.sealed"] = sealed.SerializeToString()
        lie = [*records[:height], stored.SerializeToString(), *records[height + 1 :]]
        try:
            for _ in Auditor(SealedLog(lie)).blocks():
                pass
        except AuditError as error:
            assert "carries no quorum" in str(error)
            cut += 1
    assert 3 <= cut < len(records) - 4


async def test_a_certificate_that_ended_seals_nothing_and_its_node_votes_on(model, five):
    """Verifiers judge certificates by the block's time; so do those who gather the seals. The vote itself stays."""
    short = five.signer(4, "consensus4", "consensus", days=1)
    voter = model.peers[3].voter._replace(certificate=short.member.member_info)
    assert not await change(model, "CONSENSUS_EXT_UPDATE", entry(Node(voter, short)))
    await calls(model, 1)
    model.peers[3].voter, model.peers[3].signer = voter, short
    await model.peers[3].crash()
    await calls(model, 3)
    before = len(receipts(model))
    model.time_us += 2 * 86_400_000_000
    await calls(model, 6)
    agreed = [set(verify_receipt(one, genesis(model)).agreed) for one in receipts(model)]
    assert any(org_name(4) in who for who in agreed[:before])
    assert all(who == {org_name(n) for n in (1, 2, 3)} for who in agreed[before + 1 :])
    assert model.votes(model.peers[3], len(model.decided) + 1)
    audited(model, 0)


class Away:
    """A reader of whose blocks those up to a height are archived, and their files away."""

    def __init__(self, reader, height: int) -> None:
        self._reader = reader
        self.archived_height = height

    def __getattr__(self, name: str):
        return getattr(self._reader, name)

    def stored(self, height: int):
        if height <= self.archived_height:
            raise ArchivedError(f"block {height} is archived, its file is away")
        return self._reader.stored(height)


async def test_who_voted_then_is_never_guessed(model, five):
    """A node that does not know any more must stop where it is asked: the others would name somebody else in the block."""
    await join(model, node_of(five, 5))
    await calls(model, 4)
    peer, newest = model.peers[0], model.peers[0].rosters.newest
    world, reader = peer.chain.world, peer.chain.reader
    tip, engine_tip = reader.height, len(model.decided)
    whole = Rosters(world, reader)
    assert [whole.sealing(height).voters for height in (0, newest.height)] == [tuple(model.voters)] * 2
    # The genesis is away, the changes since are at hand.
    some = Rosters(world, Away(reader, 1))
    assert some.newest.roster.nodes == newest.roster.nodes
    for height in range(newest.votes_from, engine_tip + 2):
        assert some.voting(height).voters == whole.voting(height).voters
    for height in range(newest.height + 1, tip + 2):
        assert some.sealing(height).voters == whole.sealing(height).voters
    with pytest.raises(RosterGoneError, match="bring their files back"):
        some.voting(1)
    with pytest.raises(RosterGoneError):
        some.sealing(1)
    # All that wrote a configuration is away; who votes now is known all the same.
    none = Rosters(world, Away(reader, tip - 1))
    assert none.newest.roster.voters == newest.roster.voters
    assert none.voting(engine_tip + 1).voters == whole.voting(engine_tip + 1).voters
    assert none.sealing(tip).voters == whole.sealing(tip).voters
    assert none.sealing(tip + 1).voters == newest.roster.voters
    assert Rosters(world, Away(reader, tip - 3)).voting(engine_tip).voters == whole.voting(engine_tip).voters
    with pytest.raises(RosterGoneError):
        none.voting(engine_tip - 2)
    with pytest.raises(RosterGoneError):
        none.sealing(tip - 1)
