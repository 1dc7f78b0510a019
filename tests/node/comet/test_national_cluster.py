"""Four organisations on SM2 and SM3: every seal, digest and receipt of a cluster is national."""

from __future__ import annotations

import base64
import json

import pytest
from cluster_process import ClusterProcess, wait_for

from changan.crypto import certificates
from changan.crypto.digest import sm3
from changan.crypto.keys import Scheme
from changan.ledger.hashing import block_hash
from changan.ledger.wire.messages import BlockHeader, Certificate
from node_process import changan


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, engine):
    running = ClusterProcess(tmp_path_factory.mktemp("national") / "home", engine, "--suite", "gm")
    yield running
    assert running.stop() == 0, running.words()


def certified(cluster: ClusterProcess, n: int, tx_id: str):
    found = cluster.get(n, f"/v1/receipts/{tx_id}")
    return found if "certificate" in found else None


def test_a_call_is_agreed_on_under_sm2_and_its_receipt_holds_offline(cluster, tmp_path):
    with cluster.connect(1) as connection:
        tx_id = connection.invoke("evidence", "put", {"digest": "3d" * 32, "note": "国密"}).tx_id
        connection.invoke("token", "transfer", {"to": "22" * 20, "amount": 1})
    cluster.level()
    for n in range(4):
        found = wait_for(lambda n=n: certified(cluster, n, tx_id), 30)
        assert found["suite"] == 2
        header = BlockHeader.FromString(base64.b64decode(found["header"]))
        assert header.block_hash == block_hash(header, sm3)
        seals = Certificate.FromString(base64.b64decode(found["certificate"])).seals
        keys = [certificates.public_key(certificates.read_pem(seal.signer.member_info)) for seal in seals]
        assert {key.scheme for key in keys} == {Scheme.SM2}
        for key, seal in zip(keys, seals, strict=True):
            key.verify(header.block_hash, seal.signature, "SM3")
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(found))
    done = changan("verify-receipt", str(receipt), "--trust", str(cluster.home / "crypto-config"))
    assert done.returncode == 0, done.stderr
    [agreed] = [line for line in done.stdout.splitlines() if "agreed by" in line]
    assert agreed.count("wx-org") >= 3


def test_a_receipt_whose_quorum_lacks_one_is_refused(cluster, tmp_path):
    with cluster.connect(0) as connection:
        tx_id = connection.invoke("token", "transfer", {"to": "23" * 20, "amount": 1}).tx_id
        connection.invoke("token", "transfer", {"to": "23" * 20, "amount": 1})
    found = wait_for(lambda: certified(cluster, 0, tx_id), 30)
    seals = Certificate.FromString(base64.b64decode(found["certificate"])).seals
    few = base64.b64encode(Certificate(seals=seals[:2]).SerializeToString()).decode()
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps({**found, "certificate": few}))
    done = changan("verify-receipt", str(receipt), "--trust", str(cluster.home / "crypto-config"))
    assert done.returncode == 1
    assert "2 of 4 organisations sealed the block: that is no quorum" in done.stderr


def test_the_audit_passes_at_every_node(cluster):
    blocks = cluster.check_equal()
    assert len(blocks) > 3
    cluster.verify()
