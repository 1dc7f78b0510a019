"""A view over many keys in one question: typed answers, rows that fail alone, one height, bounds, and who may ask."""

from __future__ import annotations

import asyncio
import struct
import threading

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zoo import ZOO, told, values

from changan import arrow, connect_async
from changan.client.connect import ArrowMissingError, CallError, TableError
from changan.client.tables import Method
from changan.contract.instance import Code
from changan.ledger.bundle import PARAMETER
from changan.ledger.bundle_run import VIEWS_GAS_MAX
from changan.ledger.wire.messages import BundleRows

ASKED = """
from changan.contract import U64, Address, Bool, Contract, Interface, Map, call, decline, require, view


class Asked(Contract):
    left: U64
    right: U64
    owner: Map[U64, Address]

    @call
    def move(self, n: U64) -> None:
        self.left += n
        self.right += U64(1000) - n
        self.left -= n

    @call
    def put(self, n: U64) -> None:
        self.left = n
        self.right = n

    @view
    def side(self, left: Bool) -> U64:
        if left:
            return self.left
        return self.right

    @view
    def tenth(self, of: U64) -> U64:
        require(of % 10 == 0, "no tenth of it is whole")
        return 100 // (of // 10)

    @view
    def me(self, n: U64) -> Address:
        return self.caller

    @view
    def now(self, n: U64) -> U64:
        return self.height

    @view
    def spin(self, n: U64) -> U64:
        x = U64(0)
        while x < n:
            x += 1
        return x

    @view
    def nothing(self, n: U64) -> None:
        require(n != 3, "three")
"""
CALLER = """
from changan.contract import U64, Address, Contract, Interface, call, view


class Other(Interface):
    @view
    def side(self, left: U64) -> U64:
        raise NotImplementedError


class Caller(Contract):
    @view
    def ask(self, to: Address) -> U64:
        return Other(to).side(U64(1))
"""


@pytest.fixture(scope="module")
def asked(node):
    with node.connect() as client:
        client.deploy("asked", "1.0", ASKED.encode())
        client.deploy("zoo", "1.0", ZOO.source.encode())
        client.deploy("caller", "1.0", CALLER.encode())
        yield client


def test_many_balances_in_one_question(node, asked):
    who = [n.to_bytes(20, "big") for n in range(1, 301)]
    asked.invoke_many("token", "transfer", {"to": who, "amount": range(1, 301)})
    table = asked.query_many("token", "balance_of", {"who": [*reversed(who), b"\xee" * 20]})
    assert table["result"].to_pylist() == [*range(300, 0, -1), 0]
    assert table.schema.types == [pa.uint64(), pa.string(), pa.uint8(), pa.uint16(), pa.uint64()]
    assert set(table["code"].to_pylist()) == {"OK"}
    for at in (0, 150, 300):
        one = asked.query("token", "balance_of", {"who": [*reversed(who), b"\xee" * 20][at]})
        assert (one.text, one.gas) == (str(table["result"][at].as_py()), table["gas"][at].as_py())
    said = table.schema.metadata
    assert (said[b"contract"], said[b"method"]) == (b"token", b"balance_of")
    assert 0 < int(said[b"height"]) <= node.get("/v1/health")["heights"]["chain1"]


def test_a_table_asks_for_a_table(asked):
    keys = asked.table("token", "balances").select(["key"]).rename_columns(["who"]).slice(0, 1000)
    answer = asked.query_many("token", "balance_of", keys)
    assert answer.num_rows == keys.num_rows
    assert 0 not in answer["result"].to_pylist()


@pytest.mark.parametrize("name", ["give_deep", "give_fixed", "give_wide", "give_name", "give_color"])
def test_results_of_every_type_come_back_as_they_went(asked, name):
    signature = ZOO.method(name)

    @settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(*(values(kind) for _, kind in signature.parameters)), min_size=1, max_size=6))
    def held(rows):
        columns = zip(*rows, strict=True)
        table = {
            parameter: [told(kind, value) for value in column]
            for (parameter, kind), column in zip(signature.parameters, columns, strict=True)
        }
        found = asked.query_many("zoo", name, whole(table))
        if name == "give_wide":
            wanted = [value + 1 if value < 2**128 - 1 else None for (value,) in rows]
        else:
            wanted = [told(signature.result, row[-1]) for row in rows]
        assert found["result"].to_pylist() == wanted
        assert [code == "OK" for code in found["code"].to_pylist()] == [value is not None for value in wanted]

    held()


def whole(value):
    """Decimals, which pyarrow gives for U128, as the numbers that people write."""
    if isinstance(value, dict):
        return {name: whole(part) for name, part in value.items()}
    if isinstance(value, list):
        return [whole(part) for part in value]
    return int(value) if type(value).__name__ == "Decimal" else value


def test_a_row_that_fails_fails_alone(asked):
    table = asked.query_many("asked", "tenth", {"of": [10, 15, 0, 50]})
    assert table["result"].to_pylist() == [100, None, None, 20]
    assert table["code"].to_pylist() == ["OK", "DECLINED", "DIVISION_BY_ZERO", "OK"]
    lines = ASKED.splitlines()
    assert "no tenth" in lines[table["line"][1].as_py() - 1]
    assert "100 //" in lines[table["line"][2].as_py() - 1]
    with pytest.raises(CallError, match="no tenth of it is whole"):
        asked.query("asked", "tenth", {"of": 15})


def test_a_view_without_a_result_has_no_such_column(asked):
    table = asked.query_many("asked", "nothing", {"n": [1, 3]})
    assert table.column_names == ["code", "detail", "line", "gas"]
    assert table["code"].to_pylist() == ["OK", "DECLINED"]


def test_the_caller_is_who_asks(node, asked):
    mine = asked.query_many("asked", "me", {"n": [1, 2]})["result"].to_pylist()
    assert [who.hex() for who in mine] == [asked.query("asked", "me", {"n": 1}).text] * 2
    with node.connect("client1", org_id="wx-org2.chainmaker.org") as other:
        assert other.query_many("asked", "me", {"n": [1]})["result"][0].as_py() != mine[0]


def test_all_rows_are_of_one_height_while_writes_go_on(node, asked):
    done = threading.Event()

    def write() -> None:
        with node.connect() as client:
            number = 0
            while not done.is_set():
                number += 1
                client.invoke("asked", "put", {"n": number})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = set()
        for _ in range(300):
            table = asked.query_many("asked", "side", {"left": [True, False] * 200})
            found = set(table["result"].to_pylist())
            assert len(found) == 1  # both sides are written by one call
            seen |= found
            if len(seen) > 5:
                break
        assert len(seen) > 5
        now = asked.query_many("asked", "now", {"n": [1]})
        assert now["result"][0].as_py() == int(now.schema.metadata[b"height"]) + 1  # as every query: the block to come
    finally:
        done.set()
        writer.join(30)


def test_an_event_loop_asks_many_at_once(node, asked):
    async def session():
        async with connect_async(home=node.home) as client:
            tables = await asyncio.gather(*(client.query_many("asked", "tenth", {"of": [10 * n]}) for n in range(1, 9)))
            return [table["result"][0].as_py() for table in tables]

    assert asyncio.run(session()) == [100 // n for n in range(1, 9)]


def test_all_rows_together_have_a_budget(asked):
    answer = asked.query_many("asked", "spin", {"n": [100_000] * 200})
    codes = answer["code"].to_pylist()
    done = codes.count("OK")
    assert 0 < done < 200
    assert codes == ["OK"] * done + ["OUT_OF_GAS"] * (200 - done)
    assert sum(answer["gas"].to_pylist()) <= VIEWS_GAS_MAX
    assert answer["result"].null_count == 200 - done


# What is refused


@pytest.mark.parametrize(
    ("contract", "method", "table", "error", "says"),
    [
        ("asked", "put", {"n": [1]}, TableError, "no @view put; it has side, tenth"),
        ("asked", "none", {"n": [1]}, TableError, "no @view none"),
        ("asked", "tenth", {"of": []}, TableError, "no rows"),
        ("asked", "tenth", {"of": [-1]}, TableError, "of, row 0: U64 wanted"),
        ("asked", "tenth", {"of": [None]}, TableError, "of, row 0: U64 wanted"),
        ("asked", "tenth", {"off": [1]}, TableError, "of is missing"),
        ("asked", "tenth", {"of": [1], "n": [1]}, TableError, "n is none of the method's"),
        ("asked", "tenth", {"of": range(65_537)}, TableError, "at most 65536 rows"),
        ("nobody", "tenth", {"of": [1]}, CallError, "no contract 'nobody'"),
        ("caller", "ask", {"to": [b"t" * 20]}, CallError, "calls other contracts"),
    ],
)
def test_what_is_no_question(asked, contract, method, table, error, says):
    with pytest.raises(error, match=says):
        asked.query_many(contract, method, table)


def bundle(asked, method: str = "tenth", **columns) -> bytes:
    described = Method(asked._drive(asked._calls.describe("asked")), method, "view")
    [(_, data)] = described.bundles(columns or {"of": [10]}, 1000, 0)
    return data


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"method": "put"}, "no @view 'put'"),
        ({"method": "side"}, "columns are not those of side"),
        ({"contract": "none"}, "contractName not found"),
        ({"contract": "CHAIN_CONFIG"}, "contractName not found"),
        ({"contract": b"\xff"}, "contractName not found"),
        ({PARAMETER: b""}, "no bundle of version 1"),
        ({PARAMETER: b"CGB\x01" + bytes(20)}, "columns are not those of"),
        ({"colour": "red"}, "has the parameters contract, method"),
        ({"method": None}, "has the parameters contract, method"),
    ],
)
def test_questions_that_no_client_of_ours_asks(asked, changes, says):
    arguments = {"contract": "asked", "method": "tenth", PARAMETER: bundle(asked), **changes}
    with pytest.raises(CallError, match=says):
        asked.query("CHANGAN", "QUERY_MANY", {name: value for name, value in arguments.items() if value is not None})


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_columns_that_are_cut_or_too_long(asked, cut):
    arguments = {"contract": "asked", "method": "tenth"}
    with pytest.raises(CallError, match=r"shorter than 1 rows|no bundle"):
        asked.query("CHANGAN", "QUERY_MANY", {**arguments, PARAMETER: bundle(asked)[:-cut]})
    with pytest.raises(CallError, match=f"{cut} bytes follow the last column"):
        asked.query("CHANGAN", "QUERY_MANY", {**arguments, PARAMETER: bundle(asked) + bytes(cut)})


@pytest.mark.parametrize(
    ("budget", "most"), [(1000, 1000), (VIEWS_GAS_MAX + 1, VIEWS_GAS_MAX), (2**64 - 1, VIEWS_GAS_MAX)]
)
def test_a_budget_of_ones_own_is_kept_but_grants_nothing(asked, budget, most):
    data = bytearray(bundle(asked, "spin", n=[100_000] * 200))
    data[8:16] = struct.pack("<Q", budget)
    answer = asked.query("CHANGAN", "QUERY_MANY", {"contract": "asked", "method": "spin", PARAMETER: bytes(data)})
    rows = BundleRows.FromString(answer.result)
    assert 0 < sum(memoryview(rows.gas).cast("Q")) <= most
    assert memoryview(rows.outcomes).cast("I")[199] & 255 == Code.OUT_OF_GAS


def test_without_pyarrow_nothing_is_asked(asked, monkeypatch):
    monkeypatch.setattr(arrow, "find_spec", lambda _: None)
    with pytest.raises(ArrowMissingError, match=r"changan\[tables\]"):
        asked.query_many("asked", "tenth", {"of": [10]})
