"""Rows of a field, page by page at one height, and their history: by client, command line and HTTP."""

from __future__ import annotations

import json
import threading

import httpx2
import pytest

from changan.client.connect import CallError
from node_process import changan

SOURCE = """
from changan.contract import Address, Contract, List, Map, Record, U64, call


class Pair(Record):
    low: U64
    high: U64


class Shelf(Contract):
    total: U64
    numbers: Map[U64, U64]
    grants: Map[tuple[Address, U64], Pair]
    log: List[U64]

    @call
    def put(self, key: U64, value: U64) -> None:
        self.numbers[key] = value
        self.grants[self.caller, key] = Pair(low=key, high=value)
        self.log.append(key)
        self.total += 1

    @call
    def drop(self, key: U64) -> None:
        del self.numbers[key]
"""


@pytest.fixture(scope="module")
def shelf(node):
    with node.connect() as client:
        client.deploy("shelf", "1.0", SOURCE.encode())
        for key in range(25):
            client.invoke("shelf", "put", {"key": key * 7 % 25, "value": key})
        yield client


def test_all_rows_in_order_at_one_height(node, shelf):
    assert [entry.key for entry in shelf.rows("shelf", "numbers")] == [str(key) for key in range(25)]
    assert [entry.value for entry in shelf.rows("shelf", "log")][-25:] == [str(k * 7 % 25) for k in range(25)]
    (total,) = shelf.rows("shelf", "total")
    assert total.key is None
    assert int(total.value) >= 25
    grants = list(shelf.rows("shelf", "grants"))
    assert grants[3].key[1] == "3"
    assert grants[3].value["low"] == "3"


def test_pages_fit_together_while_writes_go_on(node, shelf):
    page = shelf.page("shelf", "numbers", limit=10)
    found = list(page.entries)
    for key in (100, 101):
        shelf.invoke("shelf", "put", {"key": key, "value": 1})
    shelf.invoke("shelf", "drop", {"key": 20})
    while page.next is not None:
        page = shelf.page("shelf", "numbers", after=page.next, height=page.height, limit=10)
        found += page.entries
    assert [entry.key for entry in found] == [str(key) for key in range(25)]
    now = [entry.key for entry in shelf.rows("shelf", "numbers")]
    assert now == [str(key) for key in range(25) if key != 20] + ["100", "101"]
    shelf.invoke("shelf", "put", {"key": 20, "value": 20})
    shelf.invoke("shelf", "drop", {"key": 100})
    shelf.invoke("shelf", "drop", {"key": 101})


def test_a_height_that_is_gone_says_so(node, shelf):
    with pytest.raises(CallError, match="height 1 is gone"):
        shelf.page("shelf", "numbers", height=1)
    response = httpx2.get(f"{node.http}/v1/contracts/shelf/fields/numbers?height=1", timeout=10)
    assert response.status_code == 404
    assert "begin again without a height" in response.text


@pytest.mark.parametrize(
    ("method", "arguments", "says"),
    [
        ("ROWS", {"contract": "none", "field": "numbers"}, "no contract"),
        ("ROWS", {"contract": "shelf", "field": "none"}, "no contract"),
        ("ROWS", {"contract": "shelf", "field": "numbers", "limit": "0"}, "limit is 1"),
        ("ROWS", {"contract": "shelf", "field": "numbers", "limit": "x"}, "whole number"),
        ("ROWS", {"contract": "shelf", "field": "numbers", "after": "zz"}, "hex"),
        ("ROWS", {"contract": "shelf", "field": "numbers", "after": "abc"}, "hex"),
        ("ROWS", {"contract": "shelf", "field": "numbers", "colour": "red"}, "no parameter 'colour'"),
        ("HISTORY", {"contract": "shelf", "field": "numbers", "key": "x"}, "is no U64"),
        ("HISTORY", {"contract": "shelf", "field": "total", "key": "1"}, "has no keys"),
        ("HISTORY", {"contract": "shelf", "field": "grants", "key": "[1"}, "JSON list"),
        ("HISTORY", {"contract": "shelf", "field": "grants", "key": "[1]"}, "list of 2 parts"),
        ("NOTHING", {}, "answers DESCRIBE, ROWS"),
    ],
)
def test_what_is_refused(shelf, method, arguments, says):
    with pytest.raises(CallError, match=says):
        shelf.query("CHANGAN", method, arguments)


def test_nobody_installs_or_invokes_the_name(shelf):
    with pytest.raises(CallError, match="invalid contract name"):
        shelf.deploy("CHANGAN", "1.0", SOURCE.encode())
    with pytest.raises(CallError, match="contractName not found"):
        shelf.invoke("CHANGAN", "ROWS", {"contract": "shelf", "field": "numbers"})


def test_the_history_of_a_row(node, shelf):
    shelf.invoke("shelf", "put", {"key": 500, "value": 1})
    last = shelf.invoke("shelf", "put", {"key": 500, "value": 2})
    gone = shelf.invoke("shelf", "drop", {"key": 500})
    history = shelf.history("shelf", "numbers", "500")
    assert [entry.value for entry in history] == [None, "2", "1"]
    assert [entry.tx_id for entry in history[:2]] == [gone.tx_id, last.tx_id]
    assert len(shelf.history("shelf", "numbers", "500", limit=1)) == 1
    caller = next(iter(shelf.rows("shelf", "grants"))).key[0]
    assert shelf.history("shelf", "grants", json.dumps([caller, "500"]))[0].value == {"low": "500", "high": "2"}
    done = changan("contract", "history", "shelf", "numbers", "500", "--home", str(node.home))
    assert [json.loads(line)["value"] for line in done.stdout.splitlines()] == [None, "2", "1"]


def test_the_command_line_needs_only_the_home(node, shelf):
    done = changan("contract", "rows", "shelf", "numbers", "--limit", "3", "--home", str(node.home))
    assert [json.loads(line)["key"] for line in done.stdout.splitlines()] == ["0", "1", "2"]
    assert changan("status", "--home", str(node.home)).returncode == 0


def test_readers_and_writers_at_once(node, shelf):
    """Every listing is of one height: each put writes one row and appends one entry, so their counts agree."""
    stop = threading.Event()

    def write() -> None:
        with node.connect() as client:
            key = 1000
            while not stop.is_set():
                client.invoke("shelf", "put", {"key": key, "value": key})
                key += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            page = shelf.page("shelf", "numbers", limit=20)
            keys = [int(entry.key) for entry in page.entries]
            while page.next is not None:
                page = shelf.page("shelf", "numbers", after=page.next, height=page.height, limit=20)
                keys += [int(entry.key) for entry in page.entries]
            assert keys == sorted(set(keys))
            grown = [key for key in keys if key >= 1000]
            assert grown == list(range(1000, 1000 + len(grown)))
    finally:
        stop.set()
        writer.join(20)
