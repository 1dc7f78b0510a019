"""The official SDK over each transport, in processes that never import ours, and beside us in one process in either order."""

from __future__ import annotations

import subprocess
import sys

import pytest

from node_process import NodeProcess

SCENARIO = """
import sys
from chainmaker import ChainClient
from chainmaker.sdk_config import DefaultConfig
DefaultConfig.enable_log = False
client = ChainClient.from_conf(sys.argv[1])
assert client.get_chain_config().chain_id == "chain1"
response = client.invoke_contract("token", "transfer", {"to": "44" * 20, "amount": "5"}, with_sync_result=True)
assert response.code == 0, response
assert client.query_contract("token", "balance_of", {"who": "44" * 20}).contract_result.result == b"5"
assert not [name for name in sys.modules if name.split(".")[0] == "changan"]
"""


def run_sdk(program: str, config: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, config, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("options", [[], ["--tls"], ["--tls", "--mutual"]], ids=["plain", "one-way TLS", "mutual TLS"])
def test_the_sdk_works_over_every_transport(tmp_path, options):
    node = NodeProcess(tmp_path / "home", *options)
    try:
        name = "sdk_config_tls.yml" if options else "sdk_config.yml"
        run_sdk(SCENARIO, str(node.home / name))
    finally:
        assert node.stop() == 0


@pytest.mark.parametrize(
    "order", ["changan.ledger.wire.messages, chainmaker", "chainmaker, changan.ledger.wire.messages"]
)
def test_both_packages_live_in_one_process(node, order):
    program = (
        f"import {order}\n"
        + SCENARIO.replace("assert not [name", "assert [name")
        + (
            "from changan.ledger.wire.messages import TxRequest\n"
            "from chainmaker.protos.common.request_pb2 import TxRequest as Theirs\n"
            "assert TxRequest is not Theirs\n"
            "assert TxRequest.DESCRIPTOR.full_name == Theirs.DESCRIPTOR.full_name\n"
        )
    )
    program = program.replace('== b"5"', '!= b""')
    run_sdk(program, str(node.home / "sdk_config.yml"))


def test_a_load_of_several_processes_is_counted_exactly(node):
    program = """
import sys
from chainmaker import ChainClient
from chainmaker.sdk_config import DefaultConfig
DefaultConfig.enable_log = False
client = ChainClient.from_conf(sys.argv[1])
for n in range(60):
    response = client.invoke_contract("token", "transfer", {"to": "55" * 20, "amount": "1"}, with_sync_result=n % 3 == 0)
    assert response.code == 0, response
client.invoke_contract("token", "transfer", {"to": "66" * 20, "amount": "1"}, with_sync_result=True)
"""
    config = str(node.home / "sdk_config.yml")
    workers = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", program, config]) for _ in range(3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    with node.connect() as client:
        assert client.query("token", "balance_of", {"who": "55" * 20}).text == "180"


def test_a_client_without_tls_is_refused_where_tls_is_asked_for(tmp_path):
    node = NodeProcess(tmp_path / "home", "--tls", "--mutual")
    try:
        text = (node.home / "sdk_config_tls.yml").read_text()
        plain = node.home / "plain.yml"
        plain.write_text(text.replace("enable_tls: true", "enable_tls: false"))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCENARIO, str(plain)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode != 0
    finally:
        assert node.stop() == 0
