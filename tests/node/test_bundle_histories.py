"""Histories with what bundles wrote: as a dict of lists says it, after a kill and an upgrade too; what lags is said to."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import shutil
import threading
import time
from collections import defaultdict

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import node_inside

from changan import connect_async
from changan.client.connect import CallError
from changan.ledger.bundle import PARAMETER, columns_of, encode_bundle
from changan.node import histories
from changan.node.store.archive import ArchivedError
from changan.node.store.changed_rows import ChangedRows
from node_process import NodeProcess, changan

SOURCE = """
from changan.contract import {names}Contract, Map, U64, call, require


class Shelf(Contract):
{fields}    numbers: Map[U64, U64]
    total: U64

    @call
    def put(self, key: U64, value: U64) -> None:
        require(value != 13, "unlucky")
        self.numbers[key] = value
        self.total += 1

    @call
    def drop(self, key: U64) -> None:
        del self.numbers[key]
"""
FIRST = SOURCE.format(names="", fields="").encode()
SECOND = SOURCE.format(names="Bool, ", fields="    first: Bool\n    more: Map[U64, U64]\n").encode()
KEYS = 5
FRESH = itertools.count(1000, KEYS)


@pytest.fixture(scope="module")
def shelf(node):
    with node.connect() as client:
        client.deploy("shelf", "1.0", FIRST)
        yield client


def complete(client, contract: str, field: str, key: str = "", **options):
    """Return a history once nothing is missing in it."""
    deadline = time.monotonic() + 60
    while not (found := client.history(contract, field, key, **options)).is_complete:
        assert time.monotonic() < deadline, (found.height, found.complete_to)
    return found


class Model:
    """What a shelf's rows held, as lists by key, newest last."""

    def __init__(self, client, first: int) -> None:
        self.client = client
        self.first = first
        self.numbers: dict[int, int] = {}
        self.past: dict[int, list[tuple[str, str | None]]] = defaultdict(list)

    def _put(self, rows) -> set[int]:
        changed = set()
        for key, value in rows:
            if value != 13:
                self.numbers[key] = value
                changed.add(key)
        return changed

    def _note(self, tx_id: str, changed: set[int]) -> None:
        for key in changed:
            value = self.numbers.get(key)
            self.past[key].append((tx_id, None if value is None else str(value)))

    def put_many(self, rows) -> None:
        rows = [(self.first + key, value) for key, value in rows]
        table = {"key": [key for key, _ in rows], "value": [value for _, value in rows]}
        (sent,) = self.client.invoke_many("shelf", "put", table)
        self._note(sent.answer.tx_id, self._put(rows))

    def drop_many(self, keys) -> None:
        keys = [self.first + key for key in keys]
        (sent,) = self.client.invoke_many("shelf", "drop", {"key": keys})
        assert [row.succeeded for row in sent.rows] == [key in self.numbers for key in keys]
        gone = {key for key in keys if self.numbers.pop(key, None) is not None}
        self._note(sent.answer.tx_id, gone)

    def put_one(self, key: int, value: int) -> None:
        answer = self.client.invoke("shelf", "put", {"key": self.first + key, "value": value})
        self._note(answer.tx_id, self._put([(self.first + key, value)]))

    def check(self) -> None:
        for key in range(self.first, self.first + KEYS):
            found = complete(self.client, "shelf", "numbers", str(key))
            assert [(entry.tx_id, entry.value) for entry in found] == self.past[key][::-1]
            assert [entry.height for entry in found] == sorted((entry.height for entry in found), reverse=True)
            assert complete(self.client, "shelf", "numbers", str(key), limit=2) == found[:2]


KEY = st.integers(0, KEYS - 1)
VALUE = st.integers(0, 9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put_many"), st.lists(st.tuples(KEY, VALUE | st.just(13)), min_size=1, max_size=8)),
        st.tuples(st.just("drop_many"), st.lists(KEY, min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("put_one"), KEY, VALUE),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=15)
@given(STEPS)
def test_it_tells_what_a_dict_of_lists_tells(shelf, steps):
    model = Model(shelf, next(FRESH))
    for name, *given_ in steps:
        getattr(model, name)(*given_)
    model.check()


def test_a_value_and_a_table(node, shelf):
    before = len(complete(shelf, "shelf", "total", limit=1000))
    shelf.invoke_many("shelf", "put", {"key": [1, 2, 1], "value": [5, 6, 7]})
    shelf.invoke("shelf", "put", {"key": 1, "value": 8})
    totals = complete(shelf, "shelf", "total", limit=1000)
    assert len(totals) == before + 2
    assert int(totals[0].value) - int(totals[1].value) == 1
    assert int(totals[1].value) - int(totals[2].value if before else "0") == 3
    table = shelf.history_table("shelf", "numbers", "1")
    assert table["value"].to_pylist()[:2] == [8, 7]
    assert table["state"].to_pylist()[:2] == ["written"] * 2
    metadata = table.schema.metadata
    assert int(metadata[b"complete_to"]) >= int(metadata[b"height"]) == totals.height
    done = changan("contract", "history", "shelf", "numbers", "1", "--limit", "2", "--home", str(node.home))
    assert [json.loads(line)["value"] for line in done.stdout.splitlines()] == ["8", "7"]
    assert done.stderr == ""
    assert "changan_histories_height{" in httpx2.get(f"{node.http}/metrics", timeout=10).text


def test_what_a_killed_node_told_it_tells_again(tmp_path):
    node = NodeProcess(tmp_path / "home")
    with node.connect() as client:
        client.deploy("shelf", "1.0", FIRST)
        model = Model(client, 1)
        for value in range(3):
            model.put_many([(key, value) for key in range(KEYS)])
        client.deploy("shelf", "2.0", SECOND, upgrade=True)  # other numbers of the same fields
        model.put_many([(0, 8), (1, 13), (2, 9)])
        model.put_one(0, 4)
        model.check()
    node.kill()
    for is_new in (False, True):
        if is_new:
            shutil.rmtree(tmp_path / "home/chains/chain1/histories")
        node = NodeProcess(tmp_path / "home")
        with node.connect() as client:
            model.client = client
            model.check()
            assert complete(client, "shelf", "more", "1") == complete(client, "shelf", "first") == []
            model.put_many([(3, 7)])
            model.check()
        assert node.stop() == 0


@pytest.fixture
def follower(monkeypatch):
    """Holds back who follows the chain until it is let go."""
    go_on = threading.Event()
    follow = histories.Histories._follow

    def held(self):
        while not (go_on.wait(0.05) or self._stopping.is_set()):
            pass
        follow(self)

    monkeypatch.setattr(histories.Histories, "_follow", held)
    monkeypatch.setattr(histories, "CATCH_UP_S", 0.1)
    return go_on


TO = {"to": ["33" * 20] * 4, "amount": [1, 2, 3, 4]}


async def until_complete(client, *row):
    async with asyncio.timeout(30):
        while not (found := await client.history(*row)).is_complete:
            pass
        return found


async def test_what_lags_is_said_to(tmp_path, follower):
    async with node_inside(tmp_path / "home", demo=True) as inside, connect_async(home=inside.root) as client:
        (sent,) = await client.invoke_many("token", "transfer", TO)
        answer = await client.invoke("token", "transfer", {"to": "33" * 20, "amount": 5})
        row = ("token", "balances", "33" * 20)
        found = await client.history(*row)
        assert [entry.tx_id for entry in found] == [answer.tx_id]  # the bundle before it is missing
        assert (found.is_complete, found.complete_to, found.height) == (False, -1, answer.height)
        async with httpx2.AsyncClient(base_url=inside.http, timeout=20) as web:
            path = f"/v1/contracts/token/fields/balances/history?key={'33' * 20}"
            told = (await web.get(path)).json()
            assert (told["complete_to"], told["height"], len(told["writes"])) == (-1, answer.height, 1)
        done = await asyncio.to_thread(changan, "contract", "history", *row, "--home", str(inside.root))
        assert "above height -1 what bundles wrote is missing still" in done.stderr
        follower.set()
        found = await until_complete(client, *row)
        assert [(entry.tx_id, entry.value) for entry in found] == [(answer.tx_id, "15"), (sent.answer.tx_id, "10")]


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(histories, "ChangedRows", functools.partial(ChangedRows, rows_a_file=3))


async def test_a_damaged_file_is_made_again(tmp_path, small_files):
    root, row = tmp_path / "home", ("token", "balances", "33" * 20)
    async with node_inside(root, demo=True) as inside, connect_async(home=root) as client:
        for _ in range(4):
            await client.invoke_many("token", "transfer", TO)
        before = await until_complete(client, *row)
        folder = root / "chains/chain1/histories"
        kept = sorted(folder.iterdir())
        assert len(before) == 4
        assert len(kept) >= 2
        kept[0].write_bytes(kept[0].read_bytes()[:-1] + b"?")
        kept[1].unlink()
        with pytest.raises(CallError, match="is made again from the log: ask again later"):
            await client.history(*row)
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(CallError):
                    assert await until_complete(client, *row) == before
                    break
    async with node_inside(root, demo=True) as inside, connect_async(home=root) as client:
        assert await until_complete(client, *row) == before
        assert inside.chain.rest.histories.complete_to == inside.chain.reader.height


async def test_what_is_away_is_said_to_be(tmp_path, follower, monkeypatch):
    async with node_inside(tmp_path / "home", demo=True) as inside, connect_async(home=inside.root) as client:
        (first,) = await client.invoke_many("token", "transfer", TO)
        (second,) = await client.invoke_many("token", "transfer", TO)
        stored = inside.chain.reader.stored

        def away(height: int):
            if height == first.answer.height:
                raise ArchivedError(f"block {height} is archived")
            return stored(height)

        monkeypatch.setattr(inside.chain.reader, "stored", away)
        follower.set()
        row = ("token", "balances", "33" * 20)
        async with asyncio.timeout(30):
            while (await inside.chain.rest.histories.caught_up()) > inside.chain.rest.histories.complete_to:
                pass
        with pytest.raises(CallError, match=f"blocks from {first.answer.height + 1} on, and knows of 1 writes"):
            await client.history(*row)
        found = await client.history(*row, limit=1)
        assert (found[0].tx_id, found[0].value, found.is_complete) == (second.answer.tx_id, "20", True)


async def test_several_in_one_block_stand_in_their_order(tmp_path):
    async with node_inside(tmp_path / "home", demo=True) as inside, connect_async(home=inside.root) as client:
        signature = inside.chain.world.instances["token"].program.method("transfer")
        to = bytes.fromhex("33" * 20)

        def bundle(amount: int):
            columns = columns_of(signature, [(to, amount)] * 2)
            return inside.request("token", "transfer", {PARAMETER: encode_bundle(signature, columns, 2, 0)})

        requests = [bundle(1), inside.request("token", "transfer", {"to": to.hex(), "amount": "5"}), bundle(2)]
        for request in requests:  # nothing runs in between, so one block takes them all
            await inside.chain.submit(request, request.ByteSize())
        await asyncio.gather(*[inside.chain.result(request.payload.tx_id) for request in requests])
        found = await until_complete(client, "token", "balances", to.hex())
        assert [entry.value for entry in found] == ["11", "7", "2"]
        assert [entry.tx_id for entry in found] == [request.payload.tx_id for request in reversed(requests)]
        assert len({entry.height for entry in found}) == 1
