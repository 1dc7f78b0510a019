"""Seeded: organisations and nodes come, change and go while nodes crash, lose their engines or disks, and are down."""

from __future__ import annotations

import json
import shutil

import pytest
from membership_running import audited, calls, genesis, join, receipts
from model import Model, Peer, node_of
from seeds_running import run_seeds
from syncing import ACCEPT, Newcomer, fetched
from test_application import balance, token, transfer

from changan.ledger.admission import RefusedError
from changan.ledger.receipt import verify_receipt
from changan.ledger.roster import is_quorum, roster_of
from changan.node.comet.abci.messages import (
    Misbehavior,
    RequestInitChain,
    RequestListSnapshots,
    Validator,
    ValidatorUpdate,
)
from changan.node.comet.application import LedgerApplication
from changan.node.comet.cluster import engine_home, renew_engine
from changan.node.comet.engine_home import EngineKeys
from changan.node.home import Home
from consortium import org_name

STEPS = 40


class Story:
    """One seed: what happens is drawn from the model's dice, and counted."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.dice = model.dice
        self.counts: dict[str, int] = {}
        self.spare = [node_of(model.consortium, 5)] + [
            node_of(model.consortium, n, "common1", "common") for n in range(1, 6)
        ]

    @property
    def roster(self):
        return roster_of(self.best.chain.world.config)

    @property
    def best(self) -> Peer:
        return max((peer for peer in self.model.peers if peer.up), key=lambda peer: peer.chain.world.height)

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    async def configure(self, method: str, parameters, *, org: int | None = None) -> bool:
        """Send a change by a node that is up; return whether it is in force."""
        model, world = self.model, self.best.chain.world
        names = {root.org_id for root in world.config.trust_roots}
        admins = [model.consortium.admin(n) for n in range(1, 6) if org_name(n) in names]
        sender = model.consortium.admin(org) if org else admins[0]
        changes = {"sequence": world.config.sequence + 1}
        request = model.request(
            "CHAIN_CONFIG", method, parameters, sender=sender, endorsers=() if org else admins, **changes
        )
        before = world.config.sequence
        model.submit(self.best.number, request)
        await self.blocks(2)
        return self.best.chain.world.config.sequence > before

    async def blocks(self, count: int, *, between: int | None = None) -> None:
        """Decide so many heights, if those who are up can."""
        for _ in range(count):
            await self.model.send()
            height = len(self.model.decided) + 1
            voting = [peer.number for peer in self.model.peers if peer.up and self.model.votes(peer, height)]
            if voting:
                await self.model.step(self.dice.choice(voting), crash_between=between)

    async def come(self) -> None:
        """A node is made known, and its organisation with it; it catches up."""
        known = {node.node_id for node in self.roster.nodes}
        spare = [node for node in self.spare if node.voter.node_id not in known]
        if not spare:
            return
        node = self.dice.choice(spare)
        org = node.voter.org_id
        if org not in {root.org_id for root in self.best.chain.world.config.trust_roots}:
            pem = self.model.consortium.authorities[org].certificate_pem.decode()
            await self.configure("TRUST_ROOT_ADD", {"org_id": org, "root": pem})
        made = node.voter.entry()
        if await self.configure("CONSENSUS_EXT_ADD", {made.key: made.value}):
            self.count("come")
            if all(peer.voter != node.voter for peer in self.model.peers):
                await self.model.add(node).handshake()

    async def vote(self) -> None:
        """A follower gets its organisation's vote."""
        roster = self.roster
        if not roster.followers:
            return
        node = self.dice.choice(roster.followers)
        old = roster.by_organisation.get(node.org_id)
        if old is None:
            parameters = {"org_id": node.org_id, "node_ids": node.node_id}
            done = await self.configure("NODE_ORG_ADD", parameters)
        else:
            parameters = {"org_id": node.org_id, "node_id": old.node_id, "new_node_id": node.node_id}
            number = next(n for n in range(1, 6) if org_name(n) == node.org_id)
            done = await self.configure("NODE_ID_UPDATE", parameters, org=number)
        if done:
            self.count("joined" if old is None else "promoted")

    async def go(self) -> None:
        """An organisation's vote is taken away, while four are left."""
        roster = self.roster
        if len(roster.voters) > 4:
            org = self.dice.choice(roster.voters).org_id
            if await self.configure("NODE_ORG_DELETE", {"org_id": org}):
                self.count("left")

    async def fault(self) -> None:
        model = self.model
        kind = self.dice.choice(["crash", "engine", "disk", "sync", "down", "between", "evidence"])
        up = [peer for peer in model.peers if peer.up]
        peer = self.dice.choice(up)
        if kind == "crash":
            await peer.crash()
        elif kind == "engine":
            if peer.chain.reader.held_from:
                return  # a node that began late begins anew where its engine lost its blocks
            await peer.handshake(engine_lost=True)
        elif kind == "sync":
            if not await self.sync(peer):
                return
        elif kind == "disk":
            await peer.snapshots.close()
            peer.storage.close()
            shutil.rmtree(model.directory / str(peer.number))
            peer.mempool.clear()
            peer.open()
            await peer.handshake(engine_lost=True)
        elif kind == "down":
            height = len(model.decided) + 3
            left = [one for one in up if one is not peer and model.votes(one, height)]
            if not is_quorum(len(left), len(model.validators(height))):
                return
            peer.up = False
        elif kind == "between":
            model.submit(self.best.number, transfer(model))
            await self.blocks(1, between=peer.number)
        else:
            culprit = self.dice.choice(self.roster.voters)
            validator = Validator(address=culprit.address, power=1)
            model.misbehavior = [Misbehavior(type=1, validator=validator, height=max(1, len(model.decided) - 2))]
        self.count(kind)

    async def sync(self, peer: Peer) -> bool:
        """A node loses its disk and takes the state of another; return whether that one has a snapshot."""
        model = self.model
        source = self.dice.choice([one for one in model.peers if one.up])
        await source.snapshots.close()
        offers = (await source.app.list_snapshots(RequestListSnapshots())).snapshots
        if source is peer or not offers:
            return False
        offered, chunks = await fetched(source)
        await peer.snapshots.close()
        peer.storage.close()
        shutil.rmtree(model.directory / str(peer.number))
        assert await Newcomer(model, peer.number).take(offered, chunks) == ACCEPT
        peer.mempool.clear()
        peer.open()
        await peer.handshake()
        return True

    async def run(self) -> None:
        model = self.model
        for _ in range(STEPS):
            down = [peer for peer in model.peers if not peer.up]
            if down and self.dice.random() < 0.5:
                await model.wake(down[0].number)
            what = self.dice.choice([self.come, self.vote, self.go, self.fault, self.fault, None])
            try:
                if what is not None:
                    await what()
                elif model.peers[0].up:
                    model.submit(0, transfer(model))
            except RefusedError as error:
                assert "TxId exist" not in str(error)
            await self.blocks(1)
        for peer in model.peers:
            if not peer.up:
                await model.wake(peer.number)
        for _ in range(6):
            for peer in model.peers:
                for number in list(peer.submission._afloat):
                    peer.submission._give_back(number)
            model.submit(0, transfer(model))
            await self.blocks(1)


async def run_seed(five, directory, seed: int) -> dict[str, int]:
    model = Model(five, directory, seed)
    await model.begin()
    await token(model)
    story = Story(model)
    await story.run()
    assert len({peer.chain.world.block_hash for peer in model.peers}) == 1
    faults = [peer.app.faults for peer in model.peers]
    assert all(one == faults[0] for one in faults)
    assert len({balance(model, peer.number) for peer in model.peers}) == 1
    for number in range(len(model.peers)):
        audited(model, number)
    trust = genesis(model)
    found = receipts(model, model.dice.randrange(len(model.peers)))
    for one in found[:: max(1, len(found) // 12)] + found[-3:]:
        proven = verify_receipt(one, trust)
        roster = model.peers[0].rosters.sealing(proven.header.block_height)
        assert is_quorum(len(proven.agreed), len(roster.voters))
    story.counts["receipts"] = len(found)
    model.close()
    return story.counts


async def test_seeds_of_changes(often, five, tmp_path):
    kinds = {"come", "joined", "promoted", "left", "crash", "engine", "disk", "sync", "down", "between", "evidence"}
    total = await run_seeds("MEMBERSHIP", 4, lambda place, seed: run_seed(five, place, seed), tmp_path)
    assert total is None or kinds <= total.keys(), total


async def test_an_engine_that_is_begun_anew_has_the_voters_of_now(five, tmp_path):
    model = Model(five, tmp_path / "model", seed=5)
    await model.begin()
    await token(model)
    await join(model, node_of(five, 5))
    await calls(model, 3)
    voters = model.peers[0].rosters.newest.roster.voters
    assert [voter.validator for voter in voters] != [voter.validator for voter in model.voters]
    peer = model.peers[0]
    tip = peer.chain.world.block_hash
    home = Home(tmp_path / "home")
    engine_home(home.root, "chain1").make(EngineKeys.make(), "chain1", model.voters)
    shutil.copytree(model.directory / "0", home.chain_directory("chain1"))
    first, block_hash = renew_engine(home, "chain1")
    assert block_hash == tip
    made = json.loads((home.root / "engine/chain1/config/genesis.json").read_text())
    assert [one["address"] for one in made["validators"]] == [voter.address.hex().upper() for voter in voters]
    # The application takes an engine with these voters, and none with those of the genesis.
    application = LedgerApplication(
        peer.chain, peer.cache, peer.submission, peer.seals, peer.rosters, peer.snapshots, first_height=first
    )
    for named, fits in ((voters, True), (model.voters, False)):
        updates = [ValidatorUpdate(power=1) for _ in named]
        for update, voter in zip(updates, named, strict=True):
            update.pub_key.ed25519 = voter.validator
        request = RequestInitChain(chain_id="chain1", initial_height=first, validators=updates)
        if fits:
            assert (await application.init_chain(request)).app_hash == tip
        else:
            with pytest.raises(Exception, match="names other voters"):
                await application.init_chain(request)
    model.close()
