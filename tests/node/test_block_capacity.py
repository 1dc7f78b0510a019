"""How many transactions a block takes: what the configuration says, from the block on that follows the change."""

from __future__ import annotations

import asyncio

import pytest

from changan import connect_async
from changan.ledger.wire.messages import BlockInfo
from node_process import NodeProcess

CALLS = 24


async def counts_after_a_change(node: NodeProcess, capacity: int) -> list[int]:
    """Change the capacity while many calls wait; return how many transactions the blocks after the change hold."""
    async with connect_async(home=node.home) as client:
        calls = [asyncio.create_task(client.invoke("T", "P", {"k": f"k{number}", "v": "x"})) for number in range(CALLS)]
        limits = {"block_tx_capacity": capacity}
        changed = await client.invoke("CHAIN_CONFIG", "BLOCK_UPDATE", limits, endorsed=True)
        calls += [
            asyncio.create_task(client.invoke("T", "P", {"k": f"l{number}", "v": "x"})) for number in range(CALLS)
        ]
        last = max([answer.height for answer in await asyncio.gather(*calls)])
        found = []
        for height in range(changed.height + 1, last + 1):
            asked = {"blockHeight": height, "withRWSet": "false"}
            answer = await client.query("CHAIN_QUERY", "GET_BLOCK_BY_HEIGHT", asked)
            found.append(BlockInfo.FromString(answer.result).block.header.tx_count)
        return found


@pytest.mark.parametrize("capacity", [1, 3])
def test_the_next_block_obeys(node, capacity):
    counts = asyncio.run(counts_after_a_change(node, capacity))
    assert sum(counts) >= CALLS
    assert max(counts) <= capacity
