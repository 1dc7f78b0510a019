"""`changan bench crypto`: the table has the form of all tables, and the kernels are the faster lane."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from changan.bench import crypto as crypto_bench
from changan.cli.main import main

pytestmark = pytest.mark.timeout(1200)


def test_the_table(kernels, monkeypatch, tmp_path):
    monkeypatch.setattr(crypto_bench, "_making", lambda *, node: [])
    monkeypatch.setattr(crypto_bench, "warm", lambda directory: kernels)
    for name, value in (("FEW", 8), ("MANY", 40), ("ROUNDS", 2)):
        monkeypatch.setattr(crypto_bench, name, value)
    path = tmp_path / "figures.json"
    found = CliRunner().invoke(main, ["bench", "crypto", "--seconds", "0.05", "--no-node", "--json", str(path)])
    assert found.exit_code == 0, found.output
    document = json.loads(path.read_text())
    assert set(document) == {"command", "machine", "date", "rows"}
    rows = {row["work"]: row for row in document["rows"]}
    for row in rows.values():
        assert set(row) == {"work", "peer", "unit", "median", "min", "max", "n", "note"}
        assert 0 < row["min"] <= row["median"] <= row["max"]
    assert {row["peer"] for row in rows.values()} >= {"changan", crypto_bench.version_of_openssl()}
    # Far below what is measured, because machines that test are busy.
    assert rows["SM2 verify, 8 keys, warm, ratio"]["median"] > 3
    assert 8 < rows["SM2 key's table, memory"]["median"] < 12
