"""A node that compiles contracts: the same chain as one that does not, through restarts and upgrades."""

from __future__ import annotations

import pytest

from changan.client.connect import CallError
from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs
from changan.node.store.blocklog import BlockLog
from node_process import NodeProcess, changan

CALLER = b"""
from changan.contract import Address, Contract, Interface, U64, call


class Token(Interface):
    @call
    def transfer(self, to: Address, amount: U64) -> None:
        raise NotImplementedError


class Giver(Contract):
    given: U64

    @call
    def give(self, token: Address, to: Address, amount: U64) -> None:
        Token(token).transfer(to, amount)
        self.given += amount
"""
UPGRADED = CALLER.replace(b"    given: U64\n", b"    given: U64\n    times: U64\n").replace(
    b"self.given += amount", b"self.given += amount\n        self.times += 1"
)


def token_address(client) -> str:
    import json

    contracts = json.loads(client.query("CONTRACT_MANAGE", "GET_CONTRACT_LIST").result)
    return {entry["name"]: entry["address"] for entry in contracts}["token"]


def test_calls_bundles_inner_calls_upgrades_and_a_kill(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "changan.toml").write_text('engine = "compiled"\n')
    node = NodeProcess(home)
    with node.connect() as client:
        token = token_address(client)
        client.deploy("giver", "1.0", CALLER)
        giver = {
            e["name"]: e["address"]
            for e in __import__("json").loads(client.query("CONTRACT_MANAGE", "GET_CONTRACT_LIST").result)
        }["giver"]
        client.invoke("token", "transfer", {"to": giver, "amount": 100})
        client.invoke("giver", "give", {"token": token, "to": "55" * 20, "amount": 7})
        with pytest.raises(CallError, match="inner call"):
            client.invoke("giver", "give", {"token": token, "to": "55" * 20, "amount": 1000})
        client.deploy("giver", "2.0", UPGRADED, upgrade=True)
        client.invoke("giver", "give", {"token": token, "to": "55" * 20, "amount": 1})
        table = {"to": [f"{n % 7:02x}" * 20 for n in range(500)], "amount": [n % 5 for n in range(500)]}
        (sent,) = client.invoke_many("token", "transfer", table)
        assert sum(row.succeeded for row in sent.rows) == 400
    node.kill()
    node = NodeProcess(home)
    with node.connect() as client:
        assert client.query("token", "balance_of", {"who": "55" * 20}).text == "8"
        assert [entry.value for entry in client.rows("giver", "times")] == ["1"]
        before = {entry.key: entry.value for entry in client.rows("token", "balances")}
        receipt = node.get(f"/v1/receipts/{sent.answer.tx_id}.3")
        assert receipt["row"] == 3
    assert node.stop() == 0
    (home / "changan.toml").write_text('engine = "plain"\n')  # a node may change its engine between two starts
    node = NodeProcess(home)
    with node.connect() as client:
        assert {entry.key: entry.value for entry in client.rows("token", "balances")} == before
        client.invoke_many("token", "transfer", table)
    assert node.stop() == 0
    assert changan("verify", "--replay", "--home", str(home)).returncode == 0
    log = BlockLog(home / "chains/chain1/log", read_only=True)
    last = BlockWithRWSet.FromString(log.read(log.durable_height))
    assert ConsensusArgs.FromString(last.block.header.consensus_args).state_root
    log.close()
