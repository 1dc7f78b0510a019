"""Seeded: four nodes decide many heights while they crash, lie, are down, lose their engines and do not hear one another."""

from __future__ import annotations

from model import Model
from seeds_running import run_seeds
from test_application import balance, lies, token, transfer

from changan.ledger.admission import RefusedError
from changan.ledger.wire.messages import TxRequest
from changan.node.audit import Auditor

HEIGHTS = 12
HOUR_US = 3_600_000_000
KINDS = ["crash", "between", "down", "lie", "cut", "skew", "lost", "void", "repeat", "blocks"]


class Story:
    """One seed: what happens is drawn from the model's dice, and counted."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.dice = model.dice
        self.counts = dict.fromkeys(KINDS, 0)
        self.sent: list[TxRequest] = []

    async def run(self) -> None:
        model, dice = self.model, self.dice
        while model.heights()[0] < HEIGHTS or any(not peer.up for peer in model.peers):
            between = await self.fault()
            self.clients()
            if dice.random() < 0.8:
                await model.send()
            decision = await model.step(dice.randrange(4), crash_between=between)
            self.counts["void"] += decision is None
        await self.settle()
        self.check()

    async def fault(self) -> int | None:
        """Let something happen to a node, or nothing; return who crashes before it has committed the next block."""
        model, dice, counts = self.model, self.dice, self.counts
        kind = dice.random()
        down = [peer.number for peer in model.peers if not peer.up]
        model.lie, model.cut = (lambda txs: txs), set()
        between = None
        if down and dice.random() < 0.4:
            await model.wake(down[0])
        elif kind < 0.06 and not down:
            model.peers[dice.randrange(4)].up = False
            counts["down"] += 1
        elif kind < 0.12:
            await dice.choice([peer for peer in model.peers if peer.up]).crash()
            counts["crash"] += 1
        elif kind < 0.18:
            between = dice.randrange(4)
            counts["between"] += 1
        elif kind < 0.26:
            name = dice.choice(["noise", "no head", "a time of the past", "a changed amount"])
            lie = lies(model)[name]
            model.lie = lambda txs: lie(txs) if txs else [b"noise"]
            counts["lie"] += 1
        elif kind < 0.34:
            model.cut = {dice.randrange(4)}
            counts["cut"] += 1
        elif kind < 0.38:
            peer = dice.choice(model.peers)
            if all(other is peer or not other.skew_us for other in model.peers):
                peer.skew_us = dice.choice([0, HOUR_US, -HOUR_US])
                counts["skew"] += bool(peer.skew_us)
        elif kind < 0.42:
            await dice.choice([peer for peer in model.peers if peer.up]).handshake(engine_lost=True)
            counts["lost"] += 1
        return between

    def clients(self) -> None:
        """Hand requests to nodes, some of them again."""
        model, dice = self.model, self.dice
        for _ in range(dice.randrange(6)):
            number = dice.randrange(4)
            if not model.peers[number].up or model.peers[number].skew_us:
                continue
            again = self.sent and dice.random() < 0.15
            request = dice.choice(self.sent) if again else transfer(model)
            self.counts["repeat"] += bool(again)
            try:
                model.submit(number, request)
                self.sent.append(request)
            except RefusedError:
                assert again

    async def settle(self) -> None:
        """Let all be well, until nothing waits any more."""
        model = self.model
        for peer in model.peers:
            peer.skew_us = 0
        model.lie, model.cut = (lambda txs: txs), set()
        for n in range(12):
            for peer in model.peers:
                for number in list(peer.submission._afloat):
                    peer.submission._give_back(number)
            await model.send()
            await model.step(n % 4)

    def check(self) -> None:
        """Nothing is lost, nothing doubled, and all nodes hold the same."""
        model = self.model
        assert len({peer.chain.world.block_hash for peer in model.peers}) == 1
        blocks = [model.peers[0].chain.reader.stored(height).block for height in range(model.heights()[0] + 1)]
        ids = [tx.payload.tx_id for block in blocks for tx in block.txs]
        assert len(ids) == len(set(ids))
        moved = sum(tx.payload.method == "transfer" for block in blocks for tx in block.txs)
        assert {balance(model, n) for n in range(4)} == {moved}
        assert not any(peer.chain.afloat or len(peer.chain.pool) for peer in model.peers)
        for peer in model.peers:
            for _ in Auditor(peer.storage.log).blocks():
                pass
        assert len(blocks) > HEIGHTS
        self.counts["blocks"] = len(blocks)


async def run_seed(consortium, directory, seed: int) -> dict[str, int]:
    """Run one seed; return how often each kind of fault happened."""
    model = Model(consortium, directory, seed, block_tx_capacity=7)
    await model.begin()
    await token(model)
    story = Story(model)
    await story.run()
    model.close()
    return story.counts


async def test_seeds(consortium, tmp_path):
    total = await run_seeds("MODEL", 12, lambda place, seed: run_seed(consortium, place, seed), tmp_path)
    assert total is None or all(total.values()), total
