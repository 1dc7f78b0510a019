"""Proofs of rows through the doors, while the tree keeps up and while it lags behind."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest

from changan import connect_async
from changan.cli.audit import _members
from changan.client.connect import CallError
from changan.crypto.suite import Suite
from changan.ledger.row_proof import verify_row_proof
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node import proofs
from changan.node.proofs import Proofs, UnprovableError
from changan.node.storage import record_of
from changan.node.store.blocklog import BlockLog
from consortium import Ledger
from node_process import NodeProcess, changan

TO = "22" * 20
ROWS = "/v1/contracts/token/fields/balances/proof"


def verified(document, node: NodeProcess):
    return verify_row_proof(document, _members(node.home / "crypto-config", Suite.INTERNATIONAL))


def test_a_balance_proved_from_the_command_line_to_an_offline_check(node, tmp_path):
    with node.connect() as client:
        answer = client.invoke("token", "transfer", {"to": TO, "amount": 5})
    file = tmp_path / "proof.json"
    where = ["--home", str(node.home)]
    trust = ["--trust", str(node.home / "crypto-config")]
    done = changan("contract", "prove", "token", "balances", TO, "-o", str(file), *where)
    assert done.returncode == 0, done.stderr
    checked = changan("verify-receipt", str(file), *trust)
    assert checked.returncode == 0, checked.stderr
    assert f"token balances.{TO}" in checked.stdout
    assert "consensus1" in checked.stdout
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "value": None}))
    denied = changan("verify-receipt", str(file), *trust)
    assert (denied.returncode, "the row is there" in denied.stderr) == (1, True)
    absent = changan("contract", "prove", "token", "balances", "77" * 20, *where)
    file.write_text(absent.stdout)
    assert "there is no such row" in changan("verify-receipt", str(file)).stdout
    assert "没有该行" in changan("verify-receipt", str(file), env={"LC_ALL": "zh_CN.UTF-8"}).stdout
    written = changan(
        "contract", "prove", "token", "balances", TO, "--block", str(answer.height), "-o", str(file), *where
    )
    assert written.returncode == 0, written.stderr
    assert f"written by block: {answer.height}" in changan("verify-receipt", str(file), *trust).stdout


def test_client_http_and_event_loop_give_the_same(node):
    with node.connect() as client:
        client.invoke("token", "transfer", {"to": TO, "amount": 1})
        given = client.prove("token", "balances", TO)
        assert node.get(f"{ROWS}?key={TO}") == given
        assert verified(given, node).value
        assert verified(client.prove("token", "supply"), node).value
        config = verified(client.prove("CHAIN_CONFIG", "CHAIN_CONFIG"), node)
        assert config.value == client.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result
        assert verified(client.prove("nothing", "at-all"), node).value is None
        assert verified(client.prove("CHANGAN", "ids-forgotten"), node).value is None

        async def session():
            async with connect_async(home=node.home) as there:
                return await there.prove("token", "balances", TO)

        assert asyncio.run(session()) == given


def test_every_write_of_a_block_and_of_the_ledger_itself(node):
    with node.connect() as client:
        answer = client.invoke("token", "transfer", {"to": "33" * 20, "amount": 2})
        proven = verified(client.prove("token", "balances", "33" * 20, block=answer.height), node)
        assert (proven.height, proven.contract, proven.key) == (answer.height, "token", "balances." + "33" * 20)
        with pytest.raises(CallError, match="lists no write of this row"):
            client.prove("token", "balances", "44" * 20, block=answer.height)
        (sent,) = client.invoke_many("evidence", "put", {"digest": [bytes(32)], "note": ["n"]})
        with pytest.raises(CallError, match="proved by its receipt"):
            client.prove("evidence", "entries", "00" * 32, block=sent.answer.height)
        assert verified(client.prove("evidence", "entries", "00" * 32), node).value  # the state has it
    genesis = node.get("/v1/contracts/CHAIN_CONFIG/fields/CHAIN_CONFIG/proof?block=0")
    assert verify_row_proof(genesis).height == 0


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        (f"{ROWS}?key=zz", 404, "40 hex digits"),
        (f"{ROWS}", 404, "key"),
        ("/v1/contracts/token/fields/none/proof", 404, "no contract 'token' with a field 'none'"),
        ("/v1/contracts/token/fields/supply/proof?key=1", 404, "has no keys"),
        (f"{ROWS}?key={TO}&block=99999999", 404, "there is no block 99999999 yet"),
        (f"{ROWS}?key={TO}&block=-1", 422, "greater than or equal to 0"),
        (f"{ROWS}?key={'2' * 5000}", 422, "at most 4096"),
        ("/v1/contracts/CHANGAN/fields/ids.--5/proof", 200, "state-1"),
        ("/v1/contracts/CHANGAN/fields/ids.²/proof", 200, "state-1"),
    ],
)
def test_questions_without_an_answer(node, path, status, says):
    answer = httpx2.get(f"{node.http}{path}", timeout=10)
    assert answer.status_code == status
    assert says in answer.text


def test_signed_questions_are_bounded_too(node):
    with node.connect() as client:
        for arguments, says in [
            ({"contract": "CHANGAN", "field": "x" * 2000}, "at most 1024 characters"),
            ({"contract": "token", "field": "supply", "block": "-3"}, "block is a whole number"),
            ({"contract": "token", "field": "supply", "more": "1"}, "PROVE has no parameter 'more'"),
        ]:
            with pytest.raises(CallError, match=says):
                client.query("CHANGAN", "PROVE", arguments)


def test_a_block_of_an_older_release_says_what_else_proves_it(tmp_path):
    """Such a block lacks the rows that the ledger itself wrote."""
    home = tmp_path / "home"
    node = NodeProcess(home)
    with node.connect() as client:
        height = client.invoke("token", "transfer", {"to": TO, "amount": 5}).height
        assert client.prove("token", "balances", TO, block=height)
    assert node.stop() == 0
    source = BlockLog(home / "chains/chain1/log", read_only=True)
    records = [source.read(at) for at in range(source.durable_height + 1)]
    source.close()
    (home / "chains/chain1/log").rename(tmp_path / "log")
    older = BlockLog(home / "chains/chain1/log")
    for at, record in enumerate(records):
        stored = BlockWithRWSet.FromString(record)
        assert stored.own_writes or at == 0
        del stored.own_writes[:]
        older.append(at, stored.SerializeToString())
    older.sync()
    older.close()
    assert changan("verify", "--replay", "--home", str(home)).returncode == 0
    node = NodeProcess(home)
    with node.connect() as client:
        with pytest.raises(CallError, match="older release"):
            client.prove("token", "balances", TO, block=height)
        assert client.prove("token", "balances", TO)["value"]
    assert node.stop() == 0


def test_the_audit_names_a_block_whose_own_rows_were_changed(tmp_path):
    home = tmp_path / "home"
    node = NodeProcess(home, "--no-demo")
    with node.connect() as client:
        height = client.invoke("T", "P", {"k": "a", "v": "b"}).height
    assert node.stop() == 0
    source = BlockLog(home / "chains/chain1/log", read_only=True)
    records = [source.read(at) for at in range(source.durable_height + 1)]
    source.close()
    forged_home = tmp_path / "forged"
    (home / "crypto-config").rename(forged_home.with_name("crypto-config"))
    forged = BlockLog(forged_home / "chains/chain1/log")
    for at, record in enumerate(records):
        stored = BlockWithRWSet.FromString(record)
        if at == height:
            stored.own_writes[0].value = bytes(32)
        forged.append(at, stored.SerializeToString())
    forged.sync()
    forged.close()
    found = changan("verify", "--home", str(forged_home))
    assert found.returncode == 1
    assert f"block {height}: own_writes" in found.stderr


# A tree that lags


class Rested:
    """A ledger in memory as the disk of a node would have it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.reader = self
        self.looked_at: list[int] = []

    def membership(self, _: int) -> list:
        return []

    async def reaches(self, height: int) -> None:
        assert height == self._ledger.world.height

    def stored(self, height: int) -> BlockWithRWSet:
        self.looked_at.append(height)
        return BlockWithRWSet.FromString(record_of(self._ledger.blocks[height]))

    block = stored

    def complete(self, stored) -> None:
        pass

    def older_values(self, contract: str, key: str, most: int):
        found = [w.value for b in self._ledger.blocks for w in b.writes if (w.contract, w.key) == (contract, key)]
        yield from [value or b"" for value in reversed(found)][:most]


def put(ledger: Ledger, count: int, value: str):
    return ledger.seal(*(ledger.request("T", "P", {"k": f"k{n}", "v": value}) for n in range(count)))


@pytest.fixture
def lagging(consortium):
    """Rows of which the newest value is not under any root yet."""
    ledger = Ledger(consortium)
    put(ledger, 100, "first")
    for number in range(3):
        put(ledger, 300, f"later {number}")
    assert ledger.world.commitment.behind
    return ledger


def test_under_load_the_proof_is_of_the_height_that_has_a_root(lagging):
    key = next(write.key for write in lagging.blocks[1].writes if write.key.endswith("k7"))
    late = next(write.key for write in lagging.blocks[2].writes if write.key.endswith("k250"))
    rested = Rested(lagging)
    made = Proofs(lagging.world, rested)
    proven = verify_row_proof(asyncio.run(made.of_state("T", key)))
    assert (proven.height, proven.value) == (1, b"first")
    assert verify_row_proof(asyncio.run(made.of_state("T", late))).value is None  # not there at that height
    assert lagging.world.row("T", key) == b"later 2"
    rested.looked_at.clear()
    asyncio.run(made.of_state("T", key))
    assert rested.looked_at == [1]  # it knows by now which block carries the root


def test_once_it_has_caught_up_the_newest_value_is_proved(lagging):
    key = next(write.key for write in lagging.blocks[1].writes if write.key.endswith("k7"))
    made = Proofs(lagging.world, Rested(lagging))
    seen = set()
    for _ in range(40):
        put(lagging, 300, "newest")
        proven = verify_row_proof(asyncio.run(made.of_state("T", key)))
        before = [b for b in lagging.blocks if b.block.header.block_height <= proven.height]
        written = [w.value for b in before for w in b.writes if (w.contract, w.key) == ("T", key)]
        assert proven.value == written[-1]
        seen.add(proven.height)
    assert len(seen) > 1


def test_a_row_that_is_written_all_the_time_is_not_looked_for_for_ever(lagging, monkeypatch):
    monkeypatch.setattr(proofs, "OLDER_VALUES_MAX", 2)
    key = next(write.key for write in lagging.blocks[1].writes if write.key.endswith("k7"))
    with pytest.raises(UnprovableError, match="written many times"):
        asyncio.run(Proofs(lagging.world, Rested(lagging)).of_state("T", key))
