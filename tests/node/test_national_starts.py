"""Homes on SM2 and SM3 from their first start on: what goes on, what is refused, and which suites meet on one chain."""

from __future__ import annotations

import stat
import subprocess

import pytest
from test_archive_node import Archivist

from changan import connect
from changan.client.members import find_member
from changan.crypto.keys import Scheme
from changan.crypto.suite import Suite
from changan.ledger.wire.messages import ChainConfig
from changan.node.pki.layout import make_crypto_config
from consortium import NOW
from node_process import NodeProcess, changan

ORG = "wx-org1.chainmaker.org"
TO = "11" * 20


def test_a_killed_node_goes_on_and_keeps_its_suite(tmp_path):
    home = tmp_path / "home"
    first = NodeProcess(home, "--suite", "gm", "--no-demo")
    with first.connect("admin1") as client:
        tx_id = client.invoke("T", "P", {"k": "a", "v": "b"}).tx_id
    first.kill()
    done = changan("up", "--suite", "intl", "--home", str(home), "--rpc-port", "0", "--http-port", "0")
    assert done.returncode == 1
    assert "says suite = 'gm', and the chains of a home keep that for ever: leave --suite out" in done.stderr
    assert changan("chain", "add", "second", "--home", str(home)).returncode == 0
    again = NodeProcess(home)
    try:
        assert again.get(f"/v1/receipts/{tx_id}")["suite"] == 2
        for chain in ("chain1", "second"):
            with connect(again.rpc, home=home, user="admin1", chain_id=chain) as client:
                config = ChainConfig.FromString(client.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result)
                assert (config.chain_id, config.crypto.hash) == (chain, "SM3")
                client.invoke("T", "P", {"k": "a"})
    finally:
        assert again.stop() == 0
    verified = changan("verify", "--replay", "--home", str(home), "--chain", "second")
    assert verified.returncode == 0, verified.stderr


def test_blocks_are_archived_and_come_back(tmp_path):
    archivist = Archivist(NodeProcess(tmp_path / "home", "--suite", "gm", "--no-demo"))
    height = archivist.heights[2]
    block = archivist.ask("GET_FULL_BLOCK_BY_HEIGHT", blockHeight=str(height))
    assert archivist.archive(height).code == 0
    assert archivist.get(f"/v1/receipts/{archivist.ids[0]}").status_code == 410
    assert archivist.verified().startswith("ok")
    assert archivist.restore(block).code == 0
    assert archivist.node.stop() == 0


@pytest.mark.parametrize(("suite", "made", "words"), [
    ("gm", Suite.INTERNATIONAL, "a key of P-256 is of the suite intl, and this chain admits gm"),
    ("intl", Suite.NATIONAL, "a key of SM2 is of the suite gm, and this chain admits intl"),
])  # fmt: skip
def test_certificates_of_another_suite_that_are_brought_along_are_refused(tmp_path, suite, made, words):
    home = tmp_path / "home"
    make_crypto_config(home, [ORG], NOW, suite=made)
    done = changan("up", "--suite", suite, "--home", str(home), "--rpc-port", "0", "--http-port", "0")
    assert done.returncode == 1
    assert f"check trust root failed, {ORG}: {words}" in done.stderr
    assert not (home / "chains").exists()
    again = changan("up", "--suite", "gm" if suite == "intl" else "intl", "--home", str(home))
    assert f"says suite = '{suite}': leave --suite out, or change it there" in again.stderr


@pytest.mark.parametrize("auth", ["key", "public"])
def test_members_that_are_keys(tmp_path, auth):
    home = tmp_path / "home"
    node = NodeProcess(home, "--suite", "gm", "--auth", auth, "--tls")
    try:
        with node.connect() as client:
            assert client.signer.key.public.scheme is Scheme.SM2
            client.invoke("token", "transfer", {"to": TO, "amount": 5})
            assert client.query("token", "balance_of", {"who": TO}).text == "5"
        keys = list((home / "crypto-config").rglob("*.key"))
        assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
        public = next((home / "crypto-config").rglob("client1.pem"))
        subprocess.run(["openssl", "pkey", "-pubin", "-noout", "-in", public], check=True, timeout=60)
    finally:
        assert node.stop() == 0
    verified = changan("verify", "--replay", "--home", str(home))
    assert verified.returncode == 0, verified.stderr


def test_an_international_chain_that_admits_sm2(tmp_path):
    """Both suites' members on one chain: the organisation's own authority certifies either."""
    home = tmp_path / "home"
    crypto = make_crypto_config(home, [ORG], NOW)
    authority = crypto.organisations[0].authority()
    stem = home / "crypto-config" / ORG / "user" / "guest" / "guest.sign"
    issued = authority.issue("guest", "client", "sign", NOW, curve="SM2")
    stem.parent.mkdir()
    stem.with_suffix(".sign.crt").write_bytes(issued.certificate_pem)
    stem.with_suffix(".sign.key").write_bytes(issued.key_pem)
    (home / "changan.toml").write_text('organisations = 1\ndemo = true\n\n[[chains]]\nid = "chain1"\nadmits = ["gm"]\n')
    node = NodeProcess(home)
    try:
        assert find_member(home / "crypto-config", ORG, "guest").key.public.scheme is Scheme.SM2
        with node.connect("guest") as guest, node.connect() as client:
            receipt = node.get(
                f"/v1/receipts/{guest.invoke('evidence', 'put', {'digest': bytes(32), 'note': 'x'}).tx_id}"
            )
            assert receipt["suite"] == 1
            client.invoke("token", "transfer", {"to": TO, "amount": 1})
    finally:
        assert node.stop() == 0
    verified = changan("verify", "--replay", "--home", str(home))
    assert verified.returncode == 0, verified.stderr
