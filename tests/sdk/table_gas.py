"""Rows: ACCOUNT_MANAGER (gas), PUBKEY_MANAGE and MULTI_SIGN, which are not built, and the state of pool and ordering, which is."""

from __future__ import annotations

from collections.abc import Sequence

from chainmaker.keys import RechargeGasItem
from chainmaker.protos.common.request_pb2 import Payload
from chainmaker.protos.common.result_pb2 import TxResponse
from chainmaker.protos.syscontract.account_manager_pb2 import RechargeGas, RechargeGasReq
from chainmaker.protos.txpool.transaction_pool_pb2 import TxPoolStatus
from row import broken, forbidden, makes, unbuilt, works
from world import World

ADDRESS = "22" * 20
REFILL = [RechargeGasItem(ADDRESS, 5)]
REFILL_SENT = RechargeGasReq(batch_recharge_gas=[RechargeGas(address=ADDRESS, gas_amount=5)]).SerializeToString()
COMMITTED = 3


def set_admin(world: World) -> Payload:
    return world.real.create_set_gas_admin_payload(ADDRESS)


def send_endorsed(world: World, payload: Payload) -> TxResponse:
    return world.cc.send_gas_manage_request(payload, world.endorsed(payload))


def request(world: World) -> Payload:
    """A multi-signature request to freeze a contract, as users make it."""
    parameters = {"SYS_CONTRACT_NAME": "CONTRACT_MANAGE", "SYS_METHOD": "FREEZE_CONTRACT", "CONTRACT_NAME": world.token}
    return world.real.create_multi_sign_req_payload(parameters)


ROWS = [
    unbuilt("get_gas_admin", lambda world: world.cc.get_gas_admin(), "ACCOUNT_MANAGER"),
    unbuilt("check_gas_admin", lambda world: world.cc.check_gas_admin(), "ACCOUNT_MANAGER"),
    unbuilt("get_gas_balance", lambda world: world.cc.get_gas_balance(ADDRESS), "ACCOUNT_MANAGER"),
    unbuilt("get_gas_account_status", lambda world: world.cc.get_gas_account_status(ADDRESS), "ACCOUNT_MANAGER"),
    unbuilt("set_gas_admin", lambda world: world.cc.set_gas_admin(ADDRESS), "ACCOUNT_MANAGER"),
    unbuilt("recharge_gas", lambda world: world.cc.recharge_gas(REFILL), "ACCOUNT_MANAGER"),
    unbuilt("charge_gas", lambda world: world.cc.charge_gas(REFILL), "ACCOUNT_MANAGER"),
    unbuilt("refund_gas", lambda world: world.cc.refund_gas(ADDRESS, 5), "ACCOUNT_MANAGER"),
    unbuilt("refund_gas_vm", lambda world: world.cc.refund_gas_vm(ADDRESS, 5), "ACCOUNT_MANAGER"),
    unbuilt("freeze_gas_account", lambda world: world.cc.freeze_gas_account(ADDRESS), "ACCOUNT_MANAGER"),
    unbuilt("unfreeze_gas_account", lambda world: world.cc.unfreeze_gas_account(ADDRESS), "ACCOUNT_MANAGER"),
    unbuilt(
        "send_gas_manage_request",
        lambda world: send_endorsed(world, set_admin(world)),
        "ACCOUNT_MANAGER",
    ),
    makes("create_set_gas_admin_payload", (ADDRESS,), "I ACCOUNT_MANAGER-SET_ADMIN", address_key=ADDRESS),
    makes("create_recharge_gas_payload", (REFILL,), "I ACCOUNT_MANAGER-RECHARGE_GAS", batch_recharge=REFILL_SENT),
    makes("create_charge_gas_payload", (REFILL,), "I ACCOUNT_MANAGER-CHARGE_GAS", batch_recharge=REFILL_SENT),
    makes("create_frozen_gas_account_payload", (ADDRESS,), "I ACCOUNT_MANAGER-FROZEN_ACCOUNT", address_key=ADDRESS),
    makes("create_unfrozen_gas_account_payload", (ADDRESS,), "I ACCOUNT_MANAGER-UNFROZEN_ACCOUNT", address_key=ADDRESS),
    *(
        makes(name, (ADDRESS, 5), f"I ACCOUNT_MANAGER-{sent}", address_key=ADDRESS, charge_gas_amount=5)
        for name, sent in (
            ("create_refund_gas_payload", "REFUND_GAS"),
            ("create_refund_gas_vm_payload", "REFUND_GAS"),
            ("create_charge_gas_for_multi_account_payload", "CHARGE_GAS_FOR_MULTI_ACCOUNT"),
        )
    ),
    works(
        "attach_gas_limit",
        Payload,
        lambda _, payload: payload.limit.gas_limit == 7,
        lambda world: world.cc.attach_gas_limit(Payload(), 7),
    ),
    broken("estimate_gas", lambda world: world.cc.estimate_gas(set_admin(world)), "AttributeError.*'name'"),
    broken(
        "charge_gas_for_multi_account",
        lambda world: world.cc.charge_gas_for_multi_account([(ADDRESS, 5)]),
        "TypeError.*missing 1 required positional argument",
    ),
    # PUBKEY_MANAGE
    forbidden("add_pubkey", lambda world: world.cc.add_pubkey("PEM", world.org, "CLIENT"), "PUBKEY_MANAGE-PUBKEY_ADD"),
    forbidden("delete_pubkey", lambda world: world.cc.delete_pubkey("PEM", world.org), "PUBKEY_MANAGE-PUBKEY_DELETE"),
    forbidden(
        "send_pubkey_manage_request",
        lambda world: world.cc.send_pubkey_manage_request(world.real.create_pubkey_delete_payload("PEM", world.org)),
        "PUBKEY_MANAGE-PUBKEY_DELETE",
    ),
    unbuilt("query_pubkey", lambda world: world.cc.query_pubkey("PEM"), "PUBKEY_MANAGE"),
    makes(
        "create_pubkey_add_payload",
        ("PEM", "org", "CLIENT"),
        "I PUBKEY_MANAGE-PUBKEY_ADD",
        pubkey="PEM",
        org_id="org",
        role="CLIENT",
    ),
    makes("create_pubkey_delete_payload", ("PEM", "org"), "I PUBKEY_MANAGE-PUBKEY_DELETE", pubkey="PEM", org_id="org"),
    # MULTI_SIGN
    unbuilt("multi_sign_req", lambda world: world.cc.multi_sign_req(request(world)), "MULTI_SIGN"),
    unbuilt("multi_sign_vote", lambda world: world.cc.multi_sign_vote(request(world)), "MULTI_SIGN"),
    unbuilt("multi_sign_vote_by_tx_id", lambda world: world.cc.multi_sign_vote_by_tx_id(world.tx_id), "MULTI_SIGN"),
    unbuilt("multi_sign_query", lambda world: world.cc.multi_sign_query(world.tx_id), "MULTI_SIGN"),
    unbuilt("multi_sign_trig", lambda world: world.cc.multi_sign_trig(tx_id=world.tx_id), "MULTI_SIGN"),
    makes("create_multi_sign_req_payload", ({"SYS_METHOD": "X"},), "I MULTI_SIGN-REQ", SYS_METHOD="X"),
    # The pool and the ordering, which have calls of their own
    works("get_pool_status", TxPoolStatus, lambda _, status: status.common_tx_pool_size > 0),
    works(
        "get_tx_ids_by_type_and_stage",
        Sequence,
        lambda world, found: world.tx_id not in found and all(isinstance(tx_id, str) for tx_id in found),
    ),
    works(
        "get_txs_in_pool_by_tx_ids",
        tuple,
        lambda world, answer: (list(answer[0]), list(answer[1])) == ([], [world.tx_id]),
        lambda world: world.cc.get_txs_in_pool_by_tx_ids([world.tx_id]),
    ),
    works(
        "get_tx_status",
        int,
        lambda _, status: status == COMMITTED,
        lambda world: world.cc.get_tx_status(world.tx_id),
    ),
    works("get_consensus_height", int, lambda world, height: height == world.tip()),
    works(
        "get_consensus_validators",
        Sequence,
        lambda world, found: list(found) == [one for org in world.config_now().consensus.nodes for one in org.node_id],
    ),
    works("get_consensus_state_json", dict, lambda world, state: state["height"] == world.tip()),
]
