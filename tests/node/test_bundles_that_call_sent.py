"""Bundles to a contract that calls others through the doors: once the chain's rules allow it; histories, receipts, the audit."""

from __future__ import annotations

import json
import time

from node_process import NodeProcess, changan

ABOVE = """
from changan.contract import Address, Contract, Interface, Map, U64, call, require


class Store(Interface):
    @call
    def put(self, k: U64, v: U64) -> None:
        raise NotImplementedError

"""
SHELF = (
    ABOVE
    + """
class Shelf(Contract):
    rows: Map[U64, U64]

    @call
    def put(self, k: U64, v: U64) -> None:
        require(v < 5, "too much")
        self.rows[k] = v
"""
)
MOVER = (
    ABOVE
    + """
class Mover(Contract):
    done: U64

    @call
    def move(self, to: Address, k: U64, v: U64) -> None:
        self.done += 1
        Store(to).put(k, v)
"""
)


def test_through_the_doors(tmp_path):
    home = tmp_path / "home"
    node = NodeProcess(home)
    with node.connect() as client:
        client.deploy("shelf", "1.0", SHELF.encode())
        client.deploy("mover", "1.0", MOVER.encode())
        to = json.loads(client.query("CONTRACT_MANAGE", "GET_CONTRACT_INFO", {"CONTRACT_NAME": "shelf"}).result)[
            "address"
        ]
        table = {"to": [to] * 4, "k": [1, 2, 1, 3], "v": [1, 2, 3, 9]}
        (sent,) = client.invoke_many("mover", "move", table)
        assert [row.succeeded for row in sent.rows] == [True, True, True, False]
        assert [entry.value for entry in client.rows("shelf", "rows")] == ["3", "2"]
        told(client, sent.answer.tx_id)
    receipt = tmp_path / "row.json"
    assert changan("receipt", f"{sent.answer.tx_id}.2", "-o", str(receipt), "--home", str(home)).returncode == 0
    checked = changan("verify-receipt", str(receipt), "--trust", str(home / "crypto-config"))
    assert (checked.returncode, "mover.move" in checked.stdout) == (0, True), checked.stderr
    node.kill()
    node = NodeProcess(home, env={"CHANGAN_KERNELS": ""})
    with node.connect() as client:
        assert [entry.value for entry in client.rows("shelf", "rows")] == ["3", "2"]
        told(client, sent.answer.tx_id)
    assert node.stop() == 0
    verified = changan("verify", "--replay", "--home", str(home))
    assert verified.returncode == 0, verified.stderr


def told(client, tx_id: str) -> None:
    """The histories have the rows of both contracts."""
    deadline = time.monotonic() + 60
    for row, value in ((("shelf", "rows", "1"), "3"), (("mover", "done"), "3")):
        while not (found := client.history(*row)).is_complete:
            assert time.monotonic() < deadline
        assert [(entry.tx_id, entry.value) for entry in found] == [(tx_id, value)]
