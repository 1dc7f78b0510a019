"""A chain that is left alone soon proves its whole state: the node asks for the block that brings the tree up to date."""

from __future__ import annotations

import time

from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs
from changan.node.store.blocklog import BlockLog
from node_process import changan

SOURCE = b"""
from changan.contract import Contract, Map, U64, call


class Many(Contract):
    rows: Map[U64, U64]

    @call
    def fill(self, start: U64, count: U64) -> None:
        for n in range(start, start + count):
            self.rows[U64(n)] = 1
"""


def test_the_state_root_arrives_when_nothing_else_happens(node):
    with node.connect() as client:
        client.deploy("many", "1", SOURCE)
        height = client.invoke("many", "fill", {"start": 0, "count": 1000}).height
    deadline = time.monotonic() + 10
    while node.get("/v1/chains")[0]["height"] == height and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)
    assert node.get("/v1/chains")[0]["height"] == height + 1  # once, and no more
    log = BlockLog(node.home / "chains/chain1/log", read_only=True)
    stored = BlockWithRWSet.FromString(log.read(height + 1))
    assert stored.block.txs[0].payload.method == "SETTLE"
    arguments = ConsensusArgs.FromString(stored.block.header.consensus_args)
    assert arguments.state_height == height + 1
    assert arguments.state_root
    assert not ConsensusArgs.FromString(
        BlockWithRWSet.FromString(log.read(height)).block.header.consensus_args
    ).state_root
    log.close()
    assert changan("verify", "--replay", "--home", str(node.home)).returncode == 0
