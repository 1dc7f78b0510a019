"""A message of calls for two chains: each is answered with what became of it, however long the other chain takes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from changan.ledger.done import Done
from changan.ledger.wire.messages import Payload, TxRequest, TxResponse
from changan.node.answers import Committed
from changan.node.packed_door import PackedDoor
from changan.node.waiters import Waiters


class FakeChain:
    """A chain of which one knows no more than who waits for what."""

    def __init__(self) -> None:
        self.pending: set[str] = set()
        self.waiters = Waiters()
        self.is_pending = self.pending.__contains__
        self.results = self.waiters.wait_all

    def rests(self, tx_id: str, height: int) -> None:
        self.pending.discard(tx_id)
        done = Done(tx_id, 1, 0, "", b"", b"", b"", b"", b"", b"", [], settles=False)
        self.waiters.end(tx_id, Committed(height, done))


async def test_what_rests_while_another_chain_is_waited_for_is_told():
    chains = {"slow": FakeChain(), "quick": FakeChain()}
    requests = [(TxRequest(payload=Payload(chain_id=name, tx_id=f"of {name}")), 1) for name in chains]
    for name, chain in chains.items():
        chain.pending.add(f"of {name}")
    answers: list[bytes | None] = [None, None]
    door = PackedDoor(SimpleNamespace(chains=chains))
    waiting = asyncio.create_task(door._await_all(requests, answers))
    await asyncio.sleep(0)
    chains["quick"].rests("of quick", 5)
    await asyncio.sleep(0)
    assert not waiting.done()
    chains["slow"].rests("of slow", 9)
    await waiting
    assert [TxResponse.FromString(answer or b"").tx_block_height for answer in answers] == [9, 5]
