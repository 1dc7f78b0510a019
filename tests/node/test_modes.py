"""`changan up --auth key|public`: the home, our client, the audit and the unmodified SDK, over each transport."""

from __future__ import annotations

import stat

import pytest
from test_sdk_transport import SCENARIO, run_sdk

from changan.ledger.wire.messages import ChainConfig
from node_process import NodeProcess, changan

WITH_ENDORSERS = """
import sys
from chainmaker import ChainClientWithEndorsers
from chainmaker.sdk_config import DefaultConfig
DefaultConfig.enable_log = False
client = ChainClientWithEndorsers.from_conf(sys.argv[1])
before = client.get_chain_config()
response = client.chain_config_block_update(block_tx_capacity=77)
assert response.code == 0, response
after = client.get_chain_config()
assert (after.block.block_tx_capacity, after.sequence) == (77, before.sequence + 1)
assert client.get_chain_config_by_block_height(0).block.block_tx_capacity == before.block.block_tx_capacity
print(after.auth_type, client.sender_address)
"""
LAYOUTS = {
    "key": [
        "wx-org1.chainmaker.org/admin/admin.key",
        "wx-org1.chainmaker.org/node/consensus1/consensus1.nodeid",
        "wx-org4.chainmaker.org/user/client1/client1.key",
    ],
    "public": ["node1/node1.nodeid", "node1/admin/admin4/admin4.key", "node1/user/client1/client1.pem"],
}


@pytest.fixture(scope="module", params=["key", "public"])
def mode(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def running(mode, tmp_path_factory):
    node = NodeProcess(tmp_path_factory.mktemp(mode) / "home", "--auth", mode)
    yield node
    assert node.stop() == 0, node.errors.read_text()[-2000:]
    verified = changan("verify", "--replay", "--home", str(node.home))
    assert verified.returncode == 0, verified.stderr


def test_the_files_of_a_home(mode, running):
    root = running.home / "crypto-config"
    for name in LAYOUTS[mode]:
        assert (root / name).exists()
    for key in root.rglob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert f'auth = "{mode}"' in (running.home / "changan.toml").read_text()


def test_the_sdk_works(running):
    run_sdk(SCENARIO, str(running.home / "sdk_config.yml"))
    run_sdk(WITH_ENDORSERS, str(running.home / "sdk_config.yml"))


def test_our_client_and_commands_work(mode, running):
    with running.connect() as client:
        assert client.invoke("token", "transfer", {"to": "77" * 20, "amount": 3}).gas > 0
        config = ChainConfig.FromString(client.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result)
    assert config.auth_type == {"key": "permissionedWithKey", "public": "public"}[mode]
    asked = changan("contract", "query", "token", "balance_of", f"who={'77' * 20}", "--home", str(running.home))
    assert asked.stdout.strip().startswith("3"), asked.stderr
    with running.connect(user="admin1") as admin:
        installed = admin.deploy("counted", "1.0", COUNTED)
        assert installed.height > 0


def test_a_home_keeps_its_mode(mode, running, tmp_path):
    other = {"key": "public", "public": "key"}[mode]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "changan.toml").write_text((running.home / "changan.toml").read_text())
    refused = changan("up", "--home", str(tmp_path / "home"), "--auth", other)
    assert refused.returncode == 1
    assert f"says auth = '{mode}'" in refused.stderr


@pytest.mark.parametrize("options", [["--tls"], ["--tls", "--mutual"]], ids=["one-way TLS", "mutual TLS"])
def test_the_sdk_works_over_tls(mode, tmp_path, options):
    node = NodeProcess(tmp_path / "home", "--auth", mode, *options)
    try:
        run_sdk(SCENARIO, str(node.home / "sdk_config_tls.yml"))
        with node.connect() as client:
            assert client.query("token", "balance_of", {"who": "44" * 20}).text == "5"
    finally:
        assert node.stop() == 0


COUNTED = b"""from changan.contract import U64, Contract, call


class Counted(Contract):
    count: U64

    @call
    def increase(self) -> None:
        self.count += 1
"""
