"""Blocks on their way to the disk: in order, also when there is no room for one of them and the next already waits."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from changan.ledger.admission import RefusedError
from changan.ledger.transition import Decided
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node import chain as chains
from changan.node import rest
from changan.node.chain import Chain
from changan.node.rest import StoppedError
from changan.node.storage import ChainStorage, OutOfTurnError, record_parts
from consortium import Consortium, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Disk:
    """A chain over a storage that has room only when the test says so."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rest, "DISK_RETRY_S", 0.01)
        self._ledger = Ledger(Consortium())
        self.storage = ChainStorage(place)
        self.chain = Chain(self.storage.open_world(self._ledger.config), self.storage, [], list)
        self.full_at: set[int] = set()
        self.tried: list[int] = []
        write = self.storage.log.append

        def append(height: int, *parts: bytes) -> None:
            self.tried.append(height)
            if height in self.full_at:
                raise self.storage.log._full(OSError(errno.ENOSPC, "no room"), height)
            write(height, *parts)

        monkeypatch.setattr(self.storage.log, "append", append)

    def decided(self) -> Decided:
        """Return the next block, with one transaction."""
        ledger = self._ledger
        ledger.time_us += 1_000_000
        height = self.chain.world.height + 1
        request = ledger.request("CERT_MANAGE", "CERT_ADD", tx_id=f"tx{height}")
        return Decided(height, ledger.time_us, None, [request], [None])

    async def execute(self) -> None:
        """Execute one more block."""
        await self.chain.execute(self.decided(), lambda _: b"")


async def until(condition: Callable[[], object]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.005)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    return Disk(tmp_path, monkeypatch)


async def test_blocks_rest_in_order_and_each_answer_comes_after_its_own(disk):
    answers = [disk.chain.result(f"tx{height}") for height in range(1, 6)]
    for _ in range(5):
        await disk.execute()
    await disk.chain.settled()
    assert disk.tried == [1, 2, 3, 4, 5]
    assert [(await answer).height for answer in answers] == [1, 2, 3, 4, 5]
    assert disk.storage.log.durable_height == disk.storage.index.height == 5
    await disk.chain.close()


async def test_a_block_behind_one_without_room_waits_for_it(disk):
    disk.full_at = {1}
    first, second = disk.chain.result("tx1"), disk.chain.result("tx2")
    await disk.execute()
    await disk.execute()
    await until(lambda: disk.tried.count(1) > 2)
    assert 2 not in disk.tried
    assert not first.done()
    assert not second.done()
    assert disk.storage.log.durable_height == 0
    assert "block 1 waits for room" in disk.chain.fault
    disk.full_at.clear()
    assert (await first).height == 1
    assert (await second).height == 2
    await disk.chain.settled()
    assert disk.chain.fault is None
    assert [
        BlockWithRWSet.FromString(disk.storage.log.read(height)).block.txs[0].payload.tx_id for height in (1, 2)
    ] == [
        "tx1",
        "tx2",
    ]
    await disk.chain.close()


async def test_no_more_than_two_blocks_are_on_their_way(disk):
    disk.full_at = {1}
    await disk.execute()
    await disk.execute()
    third = asyncio.create_task(disk.execute())
    await until(lambda: disk.tried.count(1) > 2)
    assert not third.done()
    assert len(disk.chain._settling) == chains.SETTLING_MAX == 2
    disk.full_at.clear()
    await third
    await disk.chain.settled()
    assert disk.tried[-2:] == [2, 3]
    await disk.chain.close()


async def test_a_stop_while_there_is_no_room_loses_only_what_was_not_acknowledged(disk, tmp_path):
    await disk.execute()
    await disk.chain.settled()
    disk.full_at = {2}
    waiting = [disk.chain.result("tx2"), disk.chain.result("tx3")]
    await disk.execute()
    await disk.execute()
    await until(lambda: 2 in disk.tried)
    await disk.chain.stop()
    with pytest.raises(StoppedError):
        await disk.chain.settled()
    await disk.chain.close()
    for each in waiting:
        with pytest.raises(StoppedError):
            await each
    again = ChainStorage(tmp_path)
    assert again.log.durable_height == 1
    again.close()


async def test_the_index_alone_without_room_is_tried_again_and_the_record_is_not_written_twice(disk, monkeypatch):
    put, refused = disk.storage.index.put_blocks, [True, True]

    def put_blocks(entries: object) -> None:
        if refused:
            refused.pop()
            raise rest.DiskFullError("no room in the index")
        put(entries)

    monkeypatch.setattr(disk.storage.index, "put_blocks", put_blocks)
    answer = disk.chain.result("tx1")
    await disk.execute()
    assert (await answer).height == 1
    assert disk.tried == [1]
    assert disk.storage.index.height == 1
    await disk.chain.close()


async def test_what_else_the_disk_says_ends_the_chain_with_the_reason(disk, monkeypatch):
    def fail(height: int, *parts: bytes) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(disk.storage.log, "append", fail)
    answer = disk.chain.result("tx1")
    await disk.execute()
    with pytest.raises(OSError, match="Input/output error"):
        await disk.chain.settled()
    with pytest.raises(StoppedError, match="start the node again"):
        await answer
    with pytest.raises(RefusedError, match="start the node again"):
        await disk.chain.submit(disk.decided().requests[0], 100)


def test_a_record_out_of_turn_is_not_written(disk):
    first, second = (disk.chain.apply(disk.decided()) for _ in range(2))
    with pytest.raises(OutOfTurnError, match="block 2 waits for block 1"):
        disk.storage.bring(record_parts(second), second)
    assert disk.tried == []
    disk.storage.bring(record_parts(first), first)
    disk.storage.bring(record_parts(second), second)
    assert disk.storage.log.durable_height == 2


async def test_whoever_begins_to_wait_before_the_wait_runs_is_noticed(disk):
    """A block's interval is not sat out beside somebody who waits: between the look and the wait others have their turn."""
    waiting = asyncio.create_task(disk.chain.hurry())
    result = disk.chain.result("ab" * 32)  # before the task had its first turn
    await asyncio.wait_for(waiting, 5)
    result.cancel()
