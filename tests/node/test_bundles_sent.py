"""Bundles through the doors: client, HTTP, receipts of single rows, the audit, a restart."""

from __future__ import annotations

import asyncio
import json
import os
import shutil

import httpx2
import pytest

from changan import connect_async
from changan.client.connect import CallError, TableError
from changan.client.requests import make_payload, sign_request
from changan.client.tables import Method
from changan.ledger.bundle import PARAMETER
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.store.blocklog import BlockLog
from node_process import NodeProcess, changan


def digests(count: int, salt: int) -> list[bytes]:
    return [bytes([salt]) * 30 + n.to_bytes(2, "big") for n in range(count)]


def test_a_table_becomes_bundles(node):
    table = {"digest": [*digests(250, 1), digests(1, 1)[0]], "note": [f"片段 {n}" for n in range(251)]}
    with node.connect() as client:
        sent = client.invoke_many("evidence", "put", table, rows=100)
        assert [len(bundle.rows) for bundle in sent] == [100, 100, 51]
        assert all(row.succeeded for bundle in sent for row in bundle.rows[:50])
        assert not sent[-1].rows[-1].succeeded  # the same digest once more
        assert int(client.query("evidence", "total").text) >= 250
        with pytest.raises(TableError, match="column note is missing"):
            client.invoke_many("evidence", "put", {"digest": digests(1, 2)})
        with pytest.raises(TableError, match="row 1: Bytes"):
            client.invoke_many("evidence", "put", {"digest": [bytes(32), b"short"], "note": ["a", "b"]})
        with pytest.raises(TableError, match="differ in length"):
            client.invoke_many("evidence", "put", {"digest": digests(2, 2), "note": ["a"]})
        with pytest.raises(TableError, match="no rows"):
            client.invoke_many("evidence", "put", {"digest": [], "note": []})
        with pytest.raises(TableError, match="it has put"):
            client.invoke_many("evidence", "get", {})
        with pytest.raises(TableError, match="not list"):
            client.invoke_many("evidence", "put", [1])
        with pytest.raises(TableError, match="1 to 65536"):
            client.invoke_many("evidence", "put", table, rows=0)


def test_on_an_event_loop(node):
    async def session() -> None:
        async with connect_async(home=node.home) as client:
            table = {"to": ["33" * 20] * 5, "amount": range(1, 6)}
            (sent,) = await client.invoke_many("token", "transfer", table)
            assert [row.code for row in sent.rows] == [0] * 5
            assert (await client.query("token", "balance_of", {"who": "33" * 20})).text == "15"

    asyncio.run(session())


def test_the_receipt_of_one_row(node, tmp_path):
    with node.connect() as client:
        (sent,) = client.invoke_many("evidence", "put", {"digest": digests(9, 3), "note": ["x"] * 9})
    tx_id = sent.answer.tx_id
    file = tmp_path / "row.json"
    done = changan("receipt", f"{tx_id}.4", "-o", str(file), "--home", str(node.home))
    assert done.returncode == 0, done.stderr
    checked = changan("verify-receipt", str(file), "--trust", str(node.home / "crypto-config"))
    assert checked.returncode == 0, checked.stderr
    assert f"{tx_id}.4" in checked.stdout
    assert "evidence.put" in checked.stdout
    assert digests(9, 3)[4].hex() in checked.stdout
    assert json.loads(file.read_text()) == node.get(f"/v1/receipts/{tx_id}.4")
    assert file.stat().st_size < 8000  # it does not carry the bundle
    assert httpx2.get(f"{node.http}/v1/receipts/{tx_id}.9", timeout=10).status_code == 404
    assert httpx2.get(f"{node.http}/v1/receipts/{'0' * 64}.0", timeout=10).status_code == 404
    whole = changan("receipt", tx_id, "-o", str(tmp_path / "whole.json"), "--home", str(node.home))
    assert whole.returncode == 0
    assert changan("verify-receipt", str(tmp_path / "whole.json")).returncode == 0


def request(client, salt: int, **changes):
    description = client._drive(client._calls.describe("evidence"))
    table = {"digest": digests(20, salt), "note": ["n"] * 20}
    ((_, data),) = Method(description, "put").bundles(table, 100, 0)
    payload = make_payload("chain1", "evidence", "put", {PARAMETER: data})
    for name, value in changes.items():
        setattr(payload, name, value)
    return sign_request(payload, client.signer)


def post(node, data: bytes):
    return httpx2.post(f"{node.http}/v1/bundles", content=data, timeout=20)


def test_over_http(node):
    with node.connect() as client:
        good = request(client, 4)
        answer = post(node, good.SerializeToString())
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["rows"], found["succeeded"]) == (20, 20)
        again = post(node, good.SerializeToString())
        assert again.status_code == 422
        assert "TxId exist" in again.text
        altered = request(client, 5)
        altered.payload.parameters[0].value = altered.payload.parameters[0].value[:-1] + b"z"
        assert "authentication failed" in post(node, altered.SerializeToString()).text
        assert "signed by its sender" in post(node, b"\xff" * 20).text
        assert post(node, request(client, 6, chain_id="other").SerializeToString()).status_code == 404
        short = request(client, 7)
        payload = short.payload
        payload.parameters[0].value = payload.parameters[0].value[:-3]
        refused = post(node, sign_request(payload, client.signer).SerializeToString())
        assert refused.status_code == 422
        assert "shorter than 20 rows" in refused.text
        assert post(node, b"x" * (13 * 1024 * 1024)).status_code == 413


def test_the_audit_and_a_restart(tmp_path):
    home = tmp_path / "home"
    node = NodeProcess(home)
    with node.connect() as client:
        for salt in range(3):
            client.invoke_many("evidence", "put", {"digest": digests(400, 10 + salt), "note": ["n"] * 400}, rows=150)
        client.invoke_many("token", "transfer", {"to": ["44" * 20] * 3, "amount": [1, 0, 2]})
        total = client.query("evidence", "total").text
    node.kill()
    node = NodeProcess(home)
    with node.connect() as client:
        assert client.query("evidence", "total").text == total
        assert client.query("token", "balance_of", {"who": "44" * 20}).text == "3"
    assert node.stop() == 0
    verified = changan("verify", "--replay", "--home", str(home))
    assert verified.returncode == 0, verified.stderr
    source = BlockLog(home / "chains/chain1/log", read_only=True)
    for name in ("outcomes", "gas", "events", "delta"):
        forged_home = tmp_path / name
        shutil.copytree(home / "crypto-config", forged_home / "crypto-config")
        forged = BlockLog(forged_home / "chains/chain1/log")
        broken = None
        for height in range(source.durable_height + 1):
            record = source.read(height)
            stored = BlockWithRWSet.FromString(record)
            if stored.bundle_rows and broken is None:
                data = bytearray(getattr(stored.bundle_rows[0], name))
                data[-1] ^= 1
                setattr(stored.bundle_rows[0], name, bytes(data))
                record, broken = stored.SerializeToString(), height
            forged.append(height, record)
        forged.sync()
        forged.close()
        found = changan("verify", "--home", str(forged_home), env=dict(os.environ))
        assert found.returncode == 1, name
        assert f"block {broken}: " in found.stderr
    source.close()


def test_a_bundle_is_refused_at_the_door_in_words(node):
    with node.connect() as client, pytest.raises(CallError, match=r"bundle refused: .*no bundle"):
        client._drive(client._calls.bundle("evidence", "put", b"nonsense"))
