"""`changan bench ledger` in small: a node with kernels and compiled contracts, loaded through its door, verified, killed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from changan.bench import ledger
from changan.bench.ledger import Load
from changan.bench.single import BenchError
from changan.bench.stages import REST, STAGES
from changan.bench.workloads import LOADS, Shape, workload
from changan.contract.compiled.columns import check_columns, count_rows
from node_process import NodeProcess, changan

pytestmark = pytest.mark.timeout(1200)  # whoever comes first waits for the kernels to compile


@pytest.fixture
def compiled_kernels(kernels, pytestconfig, monkeypatch):
    monkeypatch.setenv("CHANGAN_KERNELS", str(pytestconfig.cache.mkdir("kernels")))


@pytest.mark.parametrize(
    ("suite", "curve", "lane", "signers", "rows"),
    [
        ("intl", None, "bundle", 3, 300),
        ("gm", None, "bundle", 3, 300),
        ("intl", None, "packed", 3, 20),
        ("intl", "Ed25519", "packed", 3, 20),
        ("intl", None, "single", 3, 1),
        ("intl", None, "distilled", 60, 40),
    ],
)
def test_a_small_load_is_measured_and_verified(compiled_kernels, suite, curve, lane, signers, rows):
    if lane == "distilled":
        pytest.importorskip("chia_rs")
    load = Load(suite, "payments", lane, 0.5, 500, signers, rows, 0.9, 4, 2000, curve=curve)
    table, stages = ledger.run(load, peers=lane == "packed", verify=True)
    assert table[0]["work"].startswith(suite if curve is None else f"{suite} ({curve})")
    units = {row["unit"]: row["median"] for row in table if row["peer"] == "changan"}
    assert units["calls/s"] > 0
    assert units["s to verify"] > 0
    assert ("clients registered/s" in units) == (lane == "distilled")
    assert all(" 0 declined" in row["note"] for row in table if row["peer"] == "changan")
    assert any(row["peer"] == "sqlite" for row in table) == (lane == "packed")
    by_stage = {row["stage"]: row for row in stages}
    assert list(by_stage) == [*STAGES, REST]
    assert all(by_stage[name]["cpu_ns"] > 0 for name in ("authenticate", "execute", "roots", "log", "index", REST))
    assert sum(row["cpu_ns"] for row in stages) == pytest.approx(units["node CPU-ns/call"], rel=0.01)
    limited = {name for name, row in by_stage.items() if row["limit_ns"]}
    assert limited == {"execute", "roots", "log"} | ({"authenticate"} if lane != "distilled" else set())


def test_a_generated_contract_is_a_load_like_another(compiled_kernels):
    load = Load("intl", "generated:7", "bundle", 0.5, 500, 3, 300, 0.9, 4, 3000)
    [first, *_] = ledger.run(load, peers=False, verify=True).rows
    calls, declined = (int(text.split()[0]) for text in first["note"].split(","))
    assert first["work"].startswith("intl: generated:7, bundle of 300")
    assert 0 < declined < calls / 8


def test_bundles_that_memory_does_not_hold_come_again_under_ids_of_their_own(compiled_kernels, monkeypatch):
    monkeypatch.setattr(ledger, "MESSAGES_BYTES_MAX", 45_000)  # two messages
    load = Load("intl", "payments", "bundle", 1, 500, 2, 300, 0, 4, 3000)
    assert load.messages == 2
    table = ledger.run(load, peers=False, verify=True).rows
    assert int(table[0]["note"].split(" calls")[0]) > 1500
    assert " 0 declined" in table[0]["note"]


def test_a_load_that_cannot_be_is_refused_before_a_node_starts():
    fair = Load("intl", "payments", "distilled", 1, 500, 64, 64, 0, 4, 0)
    with pytest.raises(
        BenchError, match="each row has a client of its own: give --signers 65 or more, or fewer --rows"
    ):
        ledger.run(fair._replace(rows=65), peers=False, verify=False)
    with pytest.raises(BenchError, match="the national suite has no BLS signatures"):
        ledger.run(fair._replace(suite="gm"), peers=False, verify=False)
    with pytest.raises(BenchError, match="keys of the national suite are SM2"):
        ledger.run(fair._replace(suite="gm", lane="packed", curve="P-256"), peers=False, verify=False)
    with pytest.raises(BenchError, match="a message of the lane single is one call"):
        ledger.run(fair._replace(lane="single"), peers=False, verify=False)


@pytest.mark.parametrize("name", list(LOADS))
def test_loads_fit_their_contracts_and_differ_from_bundle_to_bundle(name):
    what = workload(name)
    shape = Shape(200, [bytes([n]) * 20 for n in range(3)], 64, 1.0)
    prepared = list(what.prepare(np, shape))
    parts = what.parts(np, shape, 1)
    made = [next(parts) for _ in range(12)]
    for part in prepared + made:
        signature = what.signature(part.method)
        assert count_rows(signature, bytes(20), part.columns) == part.rows
        check_columns(signature, part.columns)
    assert len({bytes(part.columns[0].data) for part in made}) == len(made)


def test_bundles_that_were_acknowledged_survive_a_kill(compiled_kernels, tmp_path):
    """Killed under load; what was answered is there, replayed by the kernels, and verifies."""
    home = tmp_path / "home"
    home.mkdir()
    load = Load("intl", "payments", "bundle", 30, 2000, 3, 500, 0, 8, 0)
    (home / "changan.toml").write_text(ledger.settings_of(load))
    node = NodeProcess(home)
    options = {"home": str(home), **load._asdict(), "messages": 60}
    del options["suite"], options["engine"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "changan.bench.ledger_worker", json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout.readline().strip() == "go"
    worker.stdin.write("\n")
    worker.stdin.flush()
    with node.connect() as client:
        seen = []
        for n in range(3):
            table = {
                "account": [bytes([n, at]) * 10 for at in range(20)],
                "holder": [bytes(20)] * 20,
                "balance": [1 + n] * 20,
            }
            [sent] = client.invoke_many("payments", "open", table)
            assert all(row.succeeded for row in sent.rows)
            seen.append(sent.answer.tx_id)
    node.kill()
    worker.communicate(timeout=60)
    again = NodeProcess(home)
    try:
        with again.connect() as client:
            for n in range(3):
                who = bytes([n, 7]).hex() * 10
                assert client.query("payments", "balance_of", {"account": who}).text == str(1 + n)
            for tx_id in seen:
                assert client.web.get(f"/v1/receipts/{tx_id}").status_code == 200
    finally:
        assert again.stop() == 0
    done = changan("verify", "--replay", "--sample", "5", "--home", str(home), timeout=120)
    assert done.returncode == 0, done.stderr
    whole = changan("verify", "--replay", "--home", str(home), timeout=240)
    assert whole.returncode == 0, whole.stderr
