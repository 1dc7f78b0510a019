"""Gas accounts on a running node: our client, the command line and the unmodified SDK on a chain that charges."""

from __future__ import annotations

import pytest
from recorded_desk import Desk
from test_sdk_transport import run_sdk

from changan.client.connect import CallError
from changan.crypto.addresses import AddressType, user_address
from changan.crypto.digest import sha256
from changan.ledger.wire.messages import RechargeGas, RechargeGasReq
from node_process import NodeProcess, changan

ACCOUNTS = """
import sys
from chainmaker import ChainClientWithEndorsers
from chainmaker.sdk_config import DefaultConfig
DefaultConfig.enable_log = False
client = ChainClientWithEndorsers.from_conf(sys.argv[1])
user, admin = sys.argv[2:]
assert client.chain_config_enable_or_disable_gas(True, with_sync_result=True).code == 0
assert client.set_gas_admin(admin, with_sync_result=True).code == 0
assert client.get_gas_admin() == admin
assert client.get_gas_balance(user) == 0
"""


@pytest.fixture(scope="module")
def charging(tmp_path_factory):
    """A node whose chain charges; client1 has gas, and may still give it to others as the administrator."""
    node = NodeProcess(tmp_path_factory.mktemp("gas") / "home")
    desk = Desk(node)
    user = user_address(desk.client.key.public, AddressType.ETHEREUM, sha256).hex()
    run_sdk(ACCOUNTS, str(node.home / "sdk_config.yml"), user, user)
    with node.connect() as client:
        client.invoke("ACCOUNT_MANAGER", "RECHARGE_GAS", {"batch_recharge": recharge(user, 10_000_000)})
    yield node, user
    desk.close()
    assert node.stop() == 0
    verified = changan("verify", "--replay", "--home", str(node.home))
    assert verified.returncode == 0, verified.stderr


def recharge(address: str, amount: int) -> bytes:
    return RechargeGasReq(batch_recharge_gas=[RechargeGas(address=address, gas_amount=amount)]).SerializeToString()


def balance(node, address: str) -> int:
    with node.connect() as client:
        return int(client.query("ACCOUNT_MANAGER", "GET_BALANCE", {"address_key": address}).text)


def test_our_client_pays(charging):
    node, user = charging
    transfer = {"to": "66" * 20, "amount": 2}
    with node.connect() as client, pytest.raises(CallError, match="`GasLimit` must be set"):
        client.invoke("token", "transfer", transfer)
    before = balance(node, user)
    with node.connect(gas_limit=1_000_000) as client:
        paid = client.invoke("token", "transfer", transfer).gas
    assert paid > 0
    assert balance(node, user) == before - paid


def test_the_command_line_pays(charging):
    node, user = charging
    before = balance(node, user)
    asked = ["contract", "call", "token", "transfer", f"to={'66' * 20}", "amount=1", "--home", str(node.home)]
    assert "GasLimit" in changan(*asked).stderr
    done = changan(*asked, "--gas-limit", "1000000")
    assert done.returncode == 0, done.stderr
    assert balance(node, user) < before
