"""What a row held, read at the doors: beside the event loop, and as tables only few at a time."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx2
import pytest
from inside import node_inside

from changan import connect_async
from changan.node import tables

HISTORY = "/v1/contracts/token/fields/supply/history"


class SlowDisk:
    """Lets whoever asks for the places of a row's past wait until it may go on."""

    def __init__(self, reader, monkeypatch) -> None:
        self._ask = reader.key_history
        self.go_on = threading.Event()
        self.asked = 0
        monkeypatch.setattr(reader, "key_history", self._wait)

    def _wait(self, *what):
        self.asked += 1
        assert self.go_on.wait(20), "the event loop waits for the disk"
        return self._ask(*what)

    async def is_asked(self, times: int) -> None:
        deadline = time.monotonic() + 15
        while self.asked < times:
            assert time.monotonic() < deadline, "nobody asks"
            await asyncio.sleep(0.01)


@pytest.fixture
async def inside(tmp_path):
    async with node_inside(tmp_path / "home", demo=True) as one:
        yield one


@pytest.fixture
async def web(inside):
    async with httpx2.AsyncClient(base_url=inside.http, timeout=20) as client:
        yield client


@pytest.fixture
def disk(inside, monkeypatch):
    return SlowDisk(inside.chain.reader, monkeypatch)


async def test_others_are_answered_while_the_past_is_read(inside, web, disk):
    async with connect_async(home=inside.root) as client:
        asked = [
            asyncio.create_task(one)
            for one in (web.get(HISTORY), web.get(f"{HISTORY}/table"), client.history("token", "supply"))
        ]
        await disk.is_asked(3)
        assert (await web.get("/v1/health")).status_code == 200
        assert (await client.query("token", "balance_of", {"who": "33" * 20})).text == "0"
        disk.go_on.set()
        written, table, entries = await asyncio.gather(*asked)
    assert [entry["value"] for entry in written.json()["writes"]] == [entry.value for entry in entries] == ["1000000"]
    assert table.status_code == 200


async def test_a_peer_reads_few_of_them_as_tables_at_once(web, disk):
    asked = [asyncio.create_task(web.get(f"{HISTORY}/table")) for _ in range(tables.TABLES_A_PEER_MAX)]
    await disk.is_asked(tables.TABLES_A_PEER_MAX)
    refused = await web.get(f"{HISTORY}/table")
    assert (refused.status_code, "2 tables already" in refused.json()["detail"]) == (429, True)
    disk.go_on.set()
    assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200, 200]
    assert (await web.get(f"{HISTORY}/table")).status_code == 200


async def test_a_question_that_is_wrong_takes_no_place(web):
    for _ in range(tables.TABLES_MAX + 1):
        assert (await web.get("/v1/contracts/token/fields/nothing/history/table")).status_code == 404
    assert (await web.get(f"{HISTORY}/table")).status_code == 200
