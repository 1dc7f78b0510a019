"""Use the official SDK on a chain of SM2 and SM3, and say of each step how it ended: `python national.py CONFIG CONTRACT`.

It knows the node only through the SDK. What it prints is JSON: {"steps": {step: [ended, words]}, "ours": [modules of ours]}.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from chainmaker import ChainClientWithEndorsers
from chainmaker.keys import AddrType, RechargeGasItem
from chainmaker.protos.common.request_pb2 import Payload
from chainmaker.utils import file_utils
from chainmaker.utils.gm import SM2Signature

TO = "11" * 20
Step = Callable[[], object]


def steps(client: ChainClientWithEndorsers, endorsers: list, code: bytes) -> dict[str, Step]:
    """Every step is true where it works."""
    user, mode = client.user, client.get_chain_config().auth_type
    own = user.get_address(AddrType.ZXL)
    sent: dict[str, str] = {}

    def done(answer) -> bool:
        return (answer.code, answer.contract_result.code) == (0, 0)

    def send(payload: Payload) -> bool:
        signed = client.create_endorsers(payload, endorsers)
        return done(client.send_request_with_sync_result(payload, signed, with_sync_result=True))

    def install() -> bool:
        return send(client.create_contract_create_payload("coins", "1.0", code, "DOCKER_GO", {"supply": "1000"}))

    def transfer() -> bool:
        answer = client.invoke_contract("coins", "transfer", {"to": TO, "amount": "5"}, with_sync_result=True)
        sent["tx"] = answer.tx_id
        return done(answer)

    def balance() -> bool:
        return client.query_contract("coins", "balance_of", {"who": TO}).contract_result.result == b"5"

    def found() -> bool:
        info = client.get_tx_by_tx_id(sent["tx"])
        entry, message = info.transaction.sender, info.transaction.payload.SerializeToString()
        return user.public_key.verify_with_sm3(SM2Signature.load(entry.signature), message)

    def proof() -> bool:
        height = client.get_block_height_by_tx_id(sent["tx"])
        block = client.get_block_by_height(height, with_rw_set=True)
        return (
            block.block.header.block_hash.hex() == client.get_block_by_tx_id(sent["tx"]).block.header.block_hash.hex()
        )

    def by_hash() -> bool:
        header = client.get_last_block().block.header
        return client.get_block_by_hash(header.block_hash.hex()).block.header == header

    def own_account() -> bool:
        before = client.query_contract("coins", "balance_of", {"who": own}).contract_result.result
        return before == b"995"

    def configure() -> bool:
        client.chain_config_block_update(block_interval=20)
        return client.get_chain_config().block.block_interval == 20

    def gas() -> bool:
        appointed = done(client.set_gas_admin(own)) and client.get_gas_admin() == own
        return appointed and done(client.recharge_gas([RechargeGasItem(own, 7)])) and client.get_gas_balance(own) == 7

    def multi_sign() -> bool:
        parameters = {"SYS_CONTRACT_NAME": "CHAIN_CONFIG", "SYS_METHOD": "BLOCK_UPDATE", "block_interval": "30"}
        payload = client.create_multi_sign_req_payload(parameters)
        return send(payload) and bool(client.multi_sign_query(payload.tx_id).payload.tx_id)

    def freeze() -> bool:
        made = client.create_contract_freeze_payload, client.create_contract_unfreeze_payload
        return all(send(make("coins")) for make in made)

    def subscribe() -> bool:
        seen: list = []
        client.subscribe_block(0, 1, callback=seen.append)
        return [info.block.header.block_height for info in seen] == [0, 1]

    certified = {
        "cert_hash": lambda: len(client.get_cert_hash()) == 64,
        "add_cert": lambda: bool(client.add_cert()),
        "enable_cert_hash": lambda: client.enable_cert_hash() or True,
    }
    return {
        "install": install,
        "transfer": transfer,
        "balance": balance,
        "the transaction, and its signature by the SDK's own SM2": found,
        "blocks": proof,
        "a block by its hash": by_hash,
        "the account of the address": own_account,
        "chain info": lambda: client.get_chain_info().block_height > 0,
        "address": lambda: client.address == own,
        "the chain's address type": lambda: client.addr_type is AddrType.ZXL,
        "update the configuration": configure,
        "gas accounts": gas,
        "check_gas_admin": client.check_gas_admin,
        "multi-sign": multi_sign,
        "freeze and unfreeze": freeze,
        "subscribe to blocks": subscribe,
        "contract info": lambda: client.get_contract_info("coins").address.startswith("ZX"),
        "address, once the chain's type was asked for": lambda: client.address == own,
        "sender_address": lambda: bool(client.sender_address),
        "ChainMaker's form of the address": lambda: bool(user.get_address(AddrType.CHAINMAKER)),
        "keys of the SDK's own kind": lambda: type(client.public_key).__name__ == "SM2PublicKey",
        "uid": lambda: len(user.uid) == 64,
        **(certified if mode == "permissionedWithCert" else {}),
    }


def main() -> int:
    with contextlib.redirect_stdout(sys.stderr):  # the SDK prints what its library cannot read
        endorsers = file_utils.load_yaml(sys.argv[1])["chain_client"]["endorsers"]
        client = ChainClientWithEndorsers.from_conf(sys.argv[1])
        client.disable_log()
        ended = {}
        for name, step in steps(client, endorsers, Path(sys.argv[2]).read_bytes()).items():
            try:
                ended[name] = ["works" if step() else "is wrong", ""]
            except Exception as error:
                ended[name] = [type(error).__name__, str(error)[:300]]
        client.stop()
    ours = sorted(name for name in sys.modules if name.partition(".")[0] == "changan")
    sys.stdout.write(json.dumps({"steps": ended, "ours": ours}))
    return 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
