"""Whole fields as Arrow tables through the door: types, one height under writes, access, bounds, bars, and what cuts one short."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading

import httpx2
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from inside import node_inside

from changan import arrow, connect_async
from changan.client import doors, whole
from changan.client.connect import ArrowMissingError, CallError, UnreachableError
from changan.node import chain, tables
from consortium import EXAMPLES
from node_process import NodeProcess

TOKEN = EXAMPLES / "token.py"
BALANCES = "/v1/contracts/token/fields/balances/table"
HOLDERS = 70_000  # more than a batch


def ids(count: int) -> list[bytes]:
    return [n.to_bytes(20, "big") for n in range(1, count + 1)]


@pytest.fixture(scope="module")
def bank(node):
    with node.connect() as client:
        client.invoke_many("token", "transfer", {"to": ids(HOLDERS), "amount": [n % 7 + 1 for n in range(HOLDERS)]})
        yield client


def test_a_map_is_a_table(node, bank):
    table = bank.table("token", "balances")
    assert table.num_rows == HOLDERS + 1  # and the issuer
    assert table.schema.types == [pa.binary(20), pa.uint64()]
    held = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert [held[who] for who in ids(9)] == [1, 2, 3, 4, 5, 6, 7, 1, 2]
    assert sum(held.values()) == 1_000_000
    said = table.schema.metadata
    assert said[b"rows"] == str(HOLDERS + 1).encode()
    assert 0 < int(said[b"height"]) <= node.get("/v1/health")["heights"]["chain1"]
    assert (said[b"contract"], said[b"field"]) == (b"token", b"balances")


def test_pandas_and_polars_take_it(bank):
    table = bank.table("token", "balances")
    frame = table.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["value"].dtype == "uint64"
    assert int(frame["value"].sum()) == 1_000_000
    other = pl.from_arrow(table)
    assert other["value"].sum() == 1_000_000
    assert other.filter(pl.col("key") == ids(3)[2])["value"].to_list() == [3]


def test_what_was_read_can_be_sent_back_as_a_bundle(bank):
    table = bank.table("token", "balances").slice(0, 40).rename_columns(["to", "amount"])
    (sent,) = bank.invoke_many("token", "transfer", table)
    assert all(row.succeeded for row in sent.rows)
    bank.invoke_many("token", "mint", {"to": ids(1), "amount": [0]})


def test_other_fields_too(node, bank):
    supply = bank.table("token", "supply")
    assert supply.to_pylist() == [{"value": 1_000_000}]
    bank.invoke("token", "approve", {"spender": "77" * 20, "amount": 9})
    (allowed,) = bank.table("token", "allowances").to_pylist()
    assert (allowed["key_1"], allowed["value"]) == (b"\x77" * 20, 9)


def test_an_event_loop_reads_several_at_once(node, bank):
    async def session():
        async with connect_async(home=node.home) as client:
            both = await asyncio.gather(client.table("token", "balances"), client.table("token", "supply"))
            return [table.num_rows for table in both]

    assert asyncio.run(session()) == [HOLDERS + 1, 1]


def test_a_table_is_of_one_height_while_writes_go_on(node, bank):
    done = threading.Event()
    failures: list[Exception] = []

    def write() -> None:
        try:
            with node.connect() as client:
                while not done.is_set():
                    client.invoke_many("token", "transfer", {"to": ids(500), "amount": [1] * 500})
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        heights = []
        while len(heights) < 6 or len(set(heights)) < 3:
            assert writer.is_alive(), failures
            table = bank.table("token", "balances")
            assert sum(table["value"].to_pylist()) == 1_000_000  # nobody's amount counts twice, nobody's is missing
            heights.append(int(table.schema.metadata[b"height"]))
    finally:
        done.set()
        writer.join(60)
    assert not failures
    assert heights == sorted(heights)


def test_the_height_of_pages_is_read_as_long_as_they_are(bank):
    page = bank.page("token", "balances", limit=5)
    bank.invoke("token", "transfer", {"to": "99" * 20, "amount": 1})
    then = bank.table("token", "balances", height=page.height)
    assert int(then.schema.metadata[b"height"]) == page.height
    assert b"\x99" * 20 not in then["key"].to_pylist()
    assert b"\x99" * 20 in bank.table("token", "balances")["key"].to_pylist()
    with pytest.raises(CallError, match="height 1 is gone"):
        bank.table("token", "balances", height=1)


@pytest.mark.parametrize(
    ("contract", "field", "says"),
    [
        ("none", "balances", "no contract 'none'"),
        ("token", "none", "field 'none'"),
        ("a/b", "c", "no contract|Not Found"),
    ],
)
def test_what_is_not_there(bank, contract, field, says):
    with pytest.raises(CallError, match=says):
        bank.table(contract, field)


def test_another_chain_has_tables_of_its_own(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "changan.toml").write_text('[[chains]]\nid = "chain1"\n[[chains]]\nid = "chain2"\n')
    node = NodeProcess(home)
    with node.connect(chain_id="chain2") as client:
        assert (
            client.web.get("/v1/chains").status_code == 200
        )  # the door stands open, and asks for no token that would tell
        client.deploy("other", "1.0", TOKEN.read_bytes(), {"supply": 77})
        assert client.table("other", "balances")["value"].to_pylist() == [77]
        assert client.history_table("other", "supply")["value"].to_pylist() == [77]
    with node.connect() as client, pytest.raises(CallError, match="no contract 'other'"):
        client.table("other", "balances")
    assert node.stop() == 0


def test_the_stream_is_what_its_media_type_says(node, bank):
    answer = httpx2.get(f"{node.http}{BALANCES}", timeout=30)
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert "content-length" not in answer.headers
    frame = pl.read_ipc_stream(io.BytesIO(answer.content))
    assert frame.height == HOLDERS + 2
    assert httpx2.get(f"{node.http}{BALANCES}?height=x", timeout=30).status_code == 422


def test_without_pyarrow_both_sides_say_what_to_install(node, bank, monkeypatch):
    monkeypatch.setattr(arrow, "find_spec", lambda _: None)
    with pytest.raises(ArrowMissingError, match=r"pip install 'changan\[tables\]'"):
        bank.table("token", "balances")


# What the node bounds


@pytest.fixture
def inside(tmp_path):
    async def run(play):
        async with node_inside(tmp_path / "home", demo=True) as found, httpx2.AsyncClient(base_url=found.http) as web:
            await play(found, web)

    return lambda play: asyncio.run(run(play))


def test_a_node_without_pyarrow_answers_501(inside, monkeypatch):
    async def play(_, web):
        monkeypatch.setattr(arrow, "find_spec", lambda _: None)
        answer = await web.get(BALANCES)
        assert answer.status_code == 501
        assert "changan[tables]" in answer.json()["detail"]

    inside(play)


class Held:
    """Readers that have the head of their answer and take no more of it."""

    def __init__(self, web) -> None:
        self._web = web
        self.answers: list[httpx2.Response] = []

    async def begin(self) -> httpx2.Response:
        answer = await self._web.send(self._web.build_request("GET", BALANCES), stream=True)
        self.answers.append(answer)
        return answer

    async def end(self) -> None:
        for answer in self.answers:
            await answer.aclose()


async def eventually(ask) -> None:
    """Ask until a table is given."""
    for _ in range(400):
        if (await ask()).status_code == 200:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no table was given")


def test_a_peer_reads_few_tables_at_once_and_more_when_they_end(inside, monkeypatch):
    gate = asyncio.Event()

    async def play(_, web):
        async def waiting(self, *place):
            self._enter(place[-1])
            try:
                yield b""
                yield b"begun"
                await gate.wait()
            finally:
                self._leave(place[-1])

        monkeypatch.setattr(tables.Tables, "_pieces", waiting)
        held = Held(web)
        for _ in range(tables.TABLES_A_PEER_MAX):
            assert (await held.begin()).status_code == 200
        refused = await held.begin()
        await refused.aread()
        assert refused.status_code == 429
        assert "2 tables already" in refused.json()["detail"]
        monkeypatch.setattr(tables, "TABLES_MAX", 2)
        monkeypatch.setattr(tables, "TABLES_A_PEER_MAX", 3)
        crowded = await held.begin()
        await crowded.aread()
        assert (crowded.status_code, "the node sends 2" in crowded.text) == (429, True)
        gate.set()
        await held.end()
        monkeypatch.undo()
        await eventually(lambda: web.get(BALANCES))

    inside(play)


def test_a_reader_who_leaves_makes_room(inside, monkeypatch):
    async def play(found, web):
        monkeypatch.setattr(tables, "TABLES_A_PEER_MAX", 1)
        for _ in range(5):
            held = Held(web)
            await eventually(held.begin)
            await held.end()

    inside(play)


def test_one_that_takes_too_long_is_cut_and_the_client_says_so(inside, monkeypatch):
    async def play(found, _):
        monkeypatch.setattr(tables, "TABLE_S", -1.0)
        async with connect_async(home=found.root) as client:
            with pytest.raises(UnreachableError, match="does not answer"):
                await client.table("token", "balances")

    inside(play)


def test_answers_of_a_view_over_many_rows_have_a_bound(inside, monkeypatch):
    async def play(found, _):
        async with connect_async(home=found.root) as client:
            monkeypatch.setattr(chain, "ANSWER_BYTES_MAX", 600)
            assert (await client.query_many("token", "balance_of", {"who": ids(29)})).num_rows == 29  # 20 bytes a row
            with pytest.raises(CallError, match=r"results take 60\d bytes, at most 600 are sent: ask for fewer rows"):
                await client.query_many("token", "balance_of", {"who": ids(30)})

    assert chain.ANSWER_BYTES_MAX < doors.MESSAGE_BYTES_MAX
    inside(play)


# What the client bears


SOMEWHERE = whole.Place("chain1", "a", "b")


def stream_of(rows: int, said: int) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"value": pa.array(range(rows), pa.uint64())}).replace_schema_metadata({"rows": str(said)})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def web_that_answers(content: bytes, status: int = 200) -> httpx2.Client:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=content))
    return httpx2.Client(transport=transport, base_url="http://node")


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_pieces_of_any_size_make_the_table(size):
    data = stream_of(1000, 1000)
    pieces = iter([data[at : at + size] for at in range(0, len(data), size)])
    assert whole.read_stream(pieces, progress=False)["value"].to_pylist() == list(range(1000))


def test_a_table_with_fewer_rows_than_were_said_is_none():
    with pytest.raises(UnreachableError, match="ended after 5 of 6 rows"):
        whole.fetch_field(web_that_answers(stream_of(5, 6)), SOMEWHERE, None, None)


@pytest.mark.parametrize("cut", range(0, 500, 37))
def test_a_stream_that_is_cut_is_no_table(cut):
    data = stream_of(20, 20)[:cut]
    with pytest.raises(UnreachableError, match=r"no table|ended after 0 of 20"):
        whole.fetch_field(web_that_answers(data), SOMEWHERE, None, None)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"{}", json.dumps({"detail": "why"}).encode()])
def test_an_answer_that_is_no_stream(content):
    with pytest.raises(UnreachableError, match="no table"):
        whole.fetch_field(web_that_answers(content), SOMEWHERE, None, None)
    with pytest.raises(CallError, match=r"why|^$|\{\}|.+"):
        whole.fetch_field(web_that_answers(content, 404), SOMEWHERE, None, None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("after", "progress", "terminal", "seen"),
    [
        (0.0, None, True, True),
        (0.0, None, False, False),
        (60.0, None, True, False),  # what is there at once needs no bar
        (60.0, True, False, True),
        (0.0, False, True, False),
    ],
)
def test_a_bar_is_drawn_where_somebody_watches(monkeypatch, after, progress, terminal, seen):
    monkeypatch.setattr(whole, "BAR_AFTER_S", after)
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    whole.read_stream(iter([stream_of(1000, 1000)]), progress=progress)
    assert ("1000/1000" in sys.stderr.getvalue()) is seen


def test_a_notebook_watches(monkeypatch):
    monkeypatch.setattr(whole, "BAR_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    whole.read_stream(iter([stream_of(7, 7)]), progress=None)
    assert "7/7" in sys.stderr.getvalue()
