"""Distilled bundles between organisations: each node looks at the multi-signature itself, at the state that all of them have."""

from __future__ import annotations

import pytest
from model import Model

from changan.client.requests import install_parameters, sign_request
from changan.crypto.bls import join_shares
from changan.ledger.bundle import PARAMETER, Bundle, columns_of
from changan.ledger.clients import possession
from changan.ledger.distilled import encode_distilled, rows_root, signed_message
from changan.ledger.roots import Roots
from changan.ledger.system import LANE
from changan.node.comet.abci.messages import Head
from changan.node.comet.batches import encode_batch, encode_head
from consortium import EXAMPLES
from lane_parties import TO, Party, party

pytest.importorskip("chia_rs")


class Agreed:
    """Four nodes, and parties whose places are their numbers once they registered."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.parties = [party(model.consortium, number, org=1 + number % 4) for number in range(4)]

    def address(self, who: Party) -> bytes:
        world = self.model.peers[0].chain.world
        return world.members.identify(who.signer.member, self.model.time_us // 1_000_000).address

    async def begin(self) -> None:
        """Install the token, and let every node sent its own party's registration."""
        await self.model.begin()
        code = (EXAMPLES / "token.py").read_bytes()
        admin = self.model.consortium.admin()
        installed = install_parameters("token", "1.0", code, {"supply": "1000"})
        await self.run(0, self.model.request("CONTRACT_MANAGE", "INIT_CONTRACT", installed, sender=admin))
        for number, who in enumerate(self.parties):
            given = {"to": self.address(who).hex(), "amount": "100"}
            await self.run(number, self.model.request("token", "transfer", given, sender=admin))

    def registration(self, number: int):
        who = self.parties[number]
        proof = who.key.prove_possession(possession("chain1", self.address(who)))
        return self.model.request(LANE, "REGISTER", {"key": who.key.public.data, "proof": proof}, sender=who.signer)

    async def run(self, node: int, request) -> None:
        self.model.submit(node, request)
        await self.model.send()
        assert await self.model.step(node)

    def bundle(self, rows: dict[int, tuple], *, signers: list[int] | None = None):
        world = self.model.peers[0].chain.world
        signature = world.instances["token"].program.method("transfer")
        payload = self.model.request("token", "transfer", {PARAMETER: b""}).payload
        columns = columns_of(signature, list(rows.values()))
        callers = b"".join(self.address(self.parties[number]) for number in rows)
        root = rows_root(signature, Bundle(len(rows), 0, columns, callers), Roots(world.digest))
        message = signed_message(payload, 0, len(rows), root, world.digest)
        keys = [self.parties[number].key for number in rows]
        public = [key.public for key in keys]
        chosen = [self.parties[number].key for number in (rows if signers is None else signers)]
        joined = join_shares([key.sign_together(public, message) for key in chosen])
        payload.parameters[0].value = encode_distilled(signature, columns, list(rows), 0, joined)
        return sign_request(payload, self.model.consortium.signer())

    def paid(self) -> set[bytes | None]:
        """What every node has of the receiver's balance."""
        return {peer.chain.world.row("token", f"balances.{TO.hex()}") for peer in self.model.peers}

    def proposal(self, *requests) -> list[bytes]:
        """A proposal that holds these requests, whatever a proposer thinks of them."""
        head = Head(version=1, time_us=self.model.time_us + 1_000)
        return [encode_head(head), encode_batch(requests, 1)]


@pytest.fixture
async def agreed(tmp_path, consortium):
    made = Agreed(Model(consortium, tmp_path, seed=7, distilled=True))
    await made.begin()
    yield made
    made.model.close()


async def test_every_node_takes_it_with_the_same_callers(agreed):
    for number in range(4):
        await agreed.run(number, agreed.registration(number))
    await agreed.run(2, agreed.bundle({0: (TO, 5), 1: (TO, 500), 3: (TO, 7)}))
    assert agreed.paid() == {(12).to_bytes(8, "big")}
    assert len({peer.chain.world.block_hash for peer in agreed.model.peers}) == 1
    assert agreed.model.rejections == 0


async def test_who_met_it_before_its_clients_registered_takes_it_then(agreed):
    """A refusal is of its moment: the same batch is good one block later, and no node holds on to what it found."""
    await agreed.run(0, agreed.registration(0))
    early = agreed.bundle({0: (TO, 1), 1: (TO, 2)})
    data = encode_batch([early], 9)
    for peer in agreed.model.peers:
        assert peer.cache.judge(data, peer.chain.world, agreed.model.time_us // 1_000_000).refusal is not None
    await agreed.run(0, agreed.registration(1))
    agreed.model.lie = lambda txs: [encode_head(Head(version=1, time_us=agreed.model.time_us + 1_000)), data]
    assert await agreed.model.step(1)
    assert agreed.model.rejections == 0
    assert agreed.paid() == {(3).to_bytes(8, "big")}


async def test_what_not_all_signed_is_rejected_by_everybody(agreed):
    for number in range(3):
        await agreed.run(number, agreed.registration(number))
    bad = agreed.bundle({0: (TO, 1), 2: (TO, 1)}, signers=[0])
    agreed.model.lie = lambda txs: agreed.proposal(bad)
    assert await agreed.model.step(0) is None
    assert agreed.model.rejections == 4
    assert agreed.paid() == {None}


async def test_a_revoked_client_is_rejected_though_its_bundle_was_found_good(agreed):
    for number in range(2):
        await agreed.run(number, agreed.registration(number))
    late = agreed.bundle({0: (TO, 1), 1: (TO, 1)})
    agreed.model.submit(3, late)
    await agreed.model.send()
    assert all(peer.mempool for peer in agreed.model.peers)  # every node found it good
    request = agreed.model.request(LANE, "REVOKE", {"number": "1"}, sender=agreed.parties[1].signer)
    agreed.model.lie = lambda txs: agreed.proposal(request)
    assert await agreed.model.step(0)
    agreed.model.lie = lambda txs: agreed.proposal(late)
    assert await agreed.model.step(1) is None
    assert agreed.model.rejections == 4
    agreed.model.lie = lambda txs: txs
    await agreed.model.step(1)
    assert agreed.paid() == {None}
