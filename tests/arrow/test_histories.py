"""What a row held as a table: typed values, deletions, masks, values of older types; from bytes, and through the door."""

from __future__ import annotations

import asyncio
import io

import httpx2
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo import ZOO, told, values

from changan import connect_async
from changan.arrow.histories import history_table
from changan.client.connect import CallError
from changan.contract.codec import pack
from changan.contract.types import U64, RecordType, TextType

KINDS = [
    kind
    for method in ("every", "records")
    for _, kind in ZOO.method(method).parameters
    if not isinstance(kind, RecordType)
]
SOURCE = """
from typing import Annotated

from annotated_types import MaxLen

from changan.contract import U64, U128, Contract, Enum, List, Map, Record, Text, call

Name = Annotated[Text, MaxLen(40)]


class Mood(Enum):
    CALM = 0
    WILD = 1


class Beast(Record):
    height: U64
    name: Name
    mood: Mood
    worth: U128{more}


class Stable(Contract):
    beasts: Map[U64, Beast]
    order: List[U64]
    count: U64

    @call
    def put(self, place: U64, height: U64, name: Name, worth: U128) -> None:
        self.beasts[place] = Beast(height=height, name=name, mood=Mood.WILD, worth=worth{given})
        self.order.append(place)
        self.count += 1

    @call
    def drop(self, place: U64) -> None:
        del self.beasts[place]
"""


@given(
    st.sampled_from(KINDS).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(st.none() | values(kind), max_size=6))
    )
)
def test_a_history_holds_what_was_written(case):
    kind, past = case
    writes = [(9 - n, n, f"tx{n}", b"" if v is None else pack(kind, v)) for n, v in enumerate(past)]
    if kind == TextType(20):  # an empty text has a length
        assert all(len(data) >= 4 for *_, data in writes if data)
    table = history_table(kind, writes, {"key": "k"})
    table.validate(full=True)
    assert table["value"].to_pylist() == [None if v is None else told(kind, v) for v in past]
    assert table["state"].to_pylist() == ["deleted" if v is None else "written" for v in past]
    assert table["height"].to_pylist() == [9 - n for n in range(len(past))]
    assert table["tx_id"].to_pylist() == [f"tx{n}" for n in range(len(past))]
    assert table.schema.metadata == {b"key": b"k", b"rows": str(len(past)).encode()}


@pytest.mark.parametrize(
    ("data", "state", "value"),
    [
        (None, "masked", None),
        (b"", "deleted", None),
        (bytes(8), "written", 0),
        (bytes(7), "other type", None),
        (bytes(9), "other type", None),
    ],
)
def test_states(data, state, value):
    assert history_table(U64, [(1, 2, "t", data)], {}).to_pylist() == [
        {"height": 1, "index": 2, "tx_id": "t", "state": state, "value": value}
    ]


@pytest.fixture(scope="module")
def stable(node):
    with node.connect() as client:
        client.deploy("stable", "1.0", SOURCE.replace("{more}", "").replace("{given}", "").encode())
        ids = [client.invoke("stable", "put", {"place": 1, "height": 150, "name": "青", "worth": 2**100}).tx_id]
        ids.append(client.invoke("stable", "put", {"place": 1, "height": 151, "name": "红", "worth": 5}).tx_id)
        ids.append(client.invoke("stable", "drop", {"place": 1}).tx_id)
        grown = SOURCE.replace("{more}", "\n    legs: U64").replace("{given}", ", legs=U64(4)")
        client.deploy("stable", "2.0", grown.encode(), upgrade=True)
        ids.append(client.invoke("stable", "put", {"place": 1, "height": 152, "name": "黑", "worth": 6}).tx_id)
        yield client, ids


def test_a_row_over_an_upgrade(stable):
    client, ids = stable
    table = client.history_table("stable", "beasts", "1")
    assert table.column_names == [
        "height", "index", "tx_id", "state", "value.height", "name", "mood", "worth", "legs",
    ]  # fmt: skip
    assert table["tx_id"].to_pylist() == list(reversed(ids))
    assert table["state"].to_pylist() == ["written", "deleted", "other type", "other type"]
    assert table["name"].to_pylist() == ["黑", None, None, None]
    assert table["legs"].to_pylist() == [4, None, None, None]
    assert table["value.height"][0].as_py() == 152
    heights = table["height"].to_pylist()
    assert heights == sorted(heights, reverse=True)
    written = client.history("stable", "beasts", "1")
    assert [entry.height for entry in written] == heights
    assert [entry.tx_id for entry in written] == table["tx_id"].to_pylist()
    assert client.history_table("stable", "beasts", "1", limit=2).num_rows == 2
    assert table.to_pandas()["mood"].tolist()[0] == "WILD"


def test_scalars_lists_and_what_was_never_written(stable):
    client, ids = stable
    assert client.history_table("stable", "count")["value"].to_pylist() == [3, 2, 1]
    assert client.history_table("stable", "order")["value"].to_pylist() == [3, 2, 1]  # its lengths
    assert client.history_table("stable", "order", "1").select(["tx_id", "value"]).to_pylist() == [
        {"tx_id": ids[1], "value": 1}
    ]
    nothing = client.history_table("stable", "beasts", "77")
    assert nothing.num_rows == 0
    assert nothing.schema.field("worth").type == pa.decimal256(39, 0)


def test_others_read_the_stream_and_an_event_loop_too(node, stable):
    _, ids = stable
    path = f"{node.http}/v1/contracts/stable/fields/count/history/table"
    answer = httpx2.get(path, timeout=10)
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert pl.read_ipc_stream(io.BytesIO(answer.content))["value"].to_list() == [3, 2, 1]

    async def session():
        async with connect_async(home=node.home) as client:
            return await client.history_table("stable", "beasts", "1", limit=1)

    assert asyncio.run(session())["tx_id"].to_pylist() == ids[-1:]


@pytest.mark.parametrize(
    ("field", "key", "limit", "says"),
    [
        ("none", "", 1, "field 'none'"),
        ("beasts", "x", 1, "is no U64"),
        ("beasts", "", 1, "is no U64"),
        ("count", "1", 1, "has no keys"),
        ("count", "", 0, "greater_than_equal"),
        ("count", "", 1001, "less_than_equal"),
        ("beasts", "1" * 5000, 1, "string_too_long"),
    ],
)
def test_what_has_no_history(stable, field, key, limit, says):
    client, _ = stable
    with pytest.raises(CallError, match=says):
        client.history_table("stable", field, key, limit=limit)
