"""Rows: ACCOUNT_MANAGER (gas), PUBKEY_MANAGE and MULTI_SIGN, and the state of pool and ordering."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import record
from chainmaker.keys import RechargeGasItem
from chainmaker.protos.common.request_pb2 import Payload
from chainmaker.protos.common.result_pb2 import TxResponse
from chainmaker.protos.config.chain_config_pb2 import ChainConfig
from chainmaker.protos.syscontract.account_manager_pb2 import RechargeGas, RechargeGasReq
from chainmaker.protos.syscontract.multi_sign_pb2 import MultiSignInfo, MultiSignStatus, VoteStatus
from chainmaker.protos.txpool.transaction_pool_pb2 import TxPoolStatus
from members import PUBLIC, done
from row import DEFECT, Call, Row, broken, forbidden, makes, sent_as, works
from world import ACCOUNT, World

REFILL = [RechargeGasItem(ACCOUNT, 5)]
REFILL_SENT = RechargeGasReq(batch_recharge_gas=[RechargeGas(address=ACCOUNT, gas_amount=5)]).SerializeToString()
COMMITTED = 3
NORMAL, FROZEN = 0, 1


# Gas accounts: each row finds ACCOUNT empty and leaves it so


def refill(world: World) -> list[RechargeGasItem]:
    return [RechargeGasItem(world.account, 5)]


def fill(world: World) -> None:
    done(world.real.recharge_gas(refill(world)))


def empty(world: World, _: ChainConfig) -> None:
    done(world.real.refund_gas(world.account, 5))


def thaw(world: World, _: ChainConfig) -> None:
    done(world.real.unfreeze_gas_account(world.account))


def balance(world: World) -> int:
    return world.real.get_gas_balance(world.account)


def after(prepare: Callable[[World], object], call: Call) -> Call:
    def go(world: World) -> object:
        prepare(world)
        return call(world)

    return go


def freeze(world: World) -> None:
    done(world.real.freeze_gas_account(world.account))


def refills(world: World) -> TxResponse:
    payload = world.real.create_recharge_gas_payload(refill(world))
    return world.cc.send_gas_manage_request(payload, world.endorsed(payload))


def fails(method: str, call: Call, says: str) -> Row:
    """A method that cannot succeed, for the SDK sends something else than the node's method takes."""

    def refused(_: World, answer: TxResponse) -> bool:
        return bool(answer.contract_result.code) and says in answer.contract_result.message

    return Row(method, DEFECT, call, check=refused, note=record.FOUND_HERE[method])


def sends_other(method: str, arguments: tuple, sent: str, **parameters: object) -> Row:
    """A payload that is not what the node's method takes."""
    call = lambda world: getattr(world.cc, method)(*arguments)  # noqa: E731
    right = lambda _, payload: sent_as(payload, sent, parameters)  # noqa: E731
    return Row(method, DEFECT, call, check=right, note=record.FOUND_HERE[method])


GAS = [
    works("get_gas_admin", str, lambda world, found: found == world.real.address),
    works("check_gas_admin", bool, lambda _, mine: mine),
    works(
        "set_gas_admin",
        TxResponse,
        lambda world, _: world.real.get_gas_admin() == world.other_account,
        lambda world: world.cc.set_gas_admin(world.other_account),
    )._replace(undo=lambda world, _: done(world.real.set_gas_admin(world.gas_administrator))),
    works(
        "get_gas_balance",
        int,
        lambda _, amount: amount == 5,
        after(fill, lambda world: world.cc.get_gas_balance(world.account)),
    )._replace(undo=empty),
    works(
        "recharge_gas",
        TxResponse,
        lambda world, _: balance(world) == 5,
        lambda world: world.cc.recharge_gas(refill(world)),
    )._replace(undo=empty),
    works("send_gas_manage_request", TxResponse, lambda world, _: balance(world) == 5, refills)._replace(undo=empty),
    works(
        "refund_gas",
        TxResponse,
        lambda world, _: balance(world) == 2,
        after(fill, lambda world: world.cc.refund_gas(world.account, 3)),
    )._replace(undo=lambda world, _: done(world.real.refund_gas(world.account, 2))),
    works(
        "freeze_gas_account",
        TxResponse,
        lambda world, _: not world.real.get_gas_account_status(world.account),
        lambda world: world.cc.freeze_gas_account(world.account),
    )._replace(undo=thaw),
    works(
        "unfreeze_gas_account",
        TxResponse,
        lambda world, _: world.real.get_gas_account_status(world.account),
        after(freeze, lambda world: world.cc.unfreeze_gas_account(world.account)),
    ),
    works(
        "get_gas_account_status",
        bool,
        lambda world, usable: not usable and world.real.get_gas_account_status(world.other_account),
        after(freeze, lambda world: world.cc.get_gas_account_status(world.account)),
    )._replace(undo=thaw),
    fails("charge_gas", lambda world: world.cc.charge_gas(refill(world)), "params key charge_public_key not exist"),
    fails(
        "refund_gas_vm", lambda world: world.cc.refund_gas_vm(world.account, 5), "gasBalance[0] < chargeGasAmount[5]"
    ),
    makes("create_set_gas_admin_payload", (ACCOUNT,), "I ACCOUNT_MANAGER-SET_ADMIN", address_key=ACCOUNT),
    makes("create_recharge_gas_payload", (REFILL,), "I ACCOUNT_MANAGER-RECHARGE_GAS", batch_recharge=REFILL_SENT),
    makes("create_frozen_gas_account_payload", (ACCOUNT,), "I ACCOUNT_MANAGER-FROZEN_ACCOUNT", address_key=ACCOUNT),
    makes("create_unfrozen_gas_account_payload", (ACCOUNT,), "I ACCOUNT_MANAGER-UNFROZEN_ACCOUNT", address_key=ACCOUNT),
    makes(
        "create_refund_gas_payload",
        (ACCOUNT, 5),
        "I ACCOUNT_MANAGER-REFUND_GAS",
        address_key=ACCOUNT,
        charge_gas_amount=5,
    ),
    sends_other(
        "create_refund_gas_vm_payload",
        (ACCOUNT, 5),
        "I ACCOUNT_MANAGER-REFUND_GAS",
        address_key=ACCOUNT,
        charge_gas_amount=5,
    ),
    sends_other("create_charge_gas_payload", (REFILL,), "I ACCOUNT_MANAGER-CHARGE_GAS", batch_recharge=REFILL_SENT),
    sends_other(
        "create_charge_gas_for_multi_account_payload",
        (ACCOUNT, 5),
        "I ACCOUNT_MANAGER-CHARGE_GAS_FOR_MULTI_ACCOUNT",
        address_key=ACCOUNT,
        charge_gas_amount=5,
    ),
    works(
        "attach_gas_limit",
        Payload,
        lambda _, payload: payload.limit.gas_limit == 7,
        lambda world: world.cc.attach_gas_limit(Payload(), 7),
    ),
    broken(
        "estimate_gas",
        lambda world: world.cc.estimate_gas(world.real.create_set_gas_admin_payload(ACCOUNT)),
        "AttributeError.*'name'",
    ),
    broken(
        "charge_gas_for_multi_account",
        lambda world: world.cc.charge_gas_for_multi_account([(ACCOUNT, 5)]),
        "TypeError.*missing 1 required positional argument",
    ),
]

PUBKEY = [
    forbidden("add_pubkey", lambda world: world.cc.add_pubkey("PEM", world.org, "CLIENT"), "PUBKEY_MANAGE-PUBKEY_ADD"),
    forbidden("delete_pubkey", lambda world: world.cc.delete_pubkey("PEM", world.org), "PUBKEY_MANAGE-PUBKEY_DELETE"),
    forbidden(
        "send_pubkey_manage_request",
        lambda world: world.cc.send_pubkey_manage_request(world.real.create_pubkey_delete_payload("PEM", world.org)),
        "PUBKEY_MANAGE-PUBKEY_DELETE",
    ),
    works(
        "query_pubkey",  # a chain of certificates registers no key
        TxResponse,
        lambda _, answer: answer.contract_result.result == b"",
        lambda world: world.cc.query_pubkey(world.real.public_bytes.decode()),
    ),
    makes(
        "create_pubkey_add_payload",
        ("PEM", "org", "CLIENT"),
        "I PUBKEY_MANAGE-PUBKEY_ADD",
        pubkey="PEM",
        org_id="org",
        role="CLIENT",
    ),
    makes("create_pubkey_delete_payload", ("PEM", "org"), "I PUBKEY_MANAGE-PUBKEY_DELETE", pubkey="PEM", org_id="org"),
]


# MULTI_SIGN: a contract is frozen together


def proposal(world: World, method: str) -> Payload:
    """Return a request to freeze a contract of the method's own."""
    parameters = {"SYS_CONTRACT_NAME": "CONTRACT_MANAGE", "SYS_METHOD": "FREEZE_CONTRACT"}
    parameters["CONTRACT_NAME"] = world.contract(f"for_{method}")
    return world.keep(f"proposal {method}", lambda: world.real.create_multi_sign_req_payload(parameters))


def propose(world: World, method: str, votes: int = 0) -> Payload:
    """Send such a request with nobody's endorsement, and let the first administrators agree; return it."""
    payload = proposal(world, method)
    done(world.lonely.multi_sign_req(payload, with_sync_result=True))
    for number in range(1, votes + 1):
        done(world.real.multi_sign_vote(payload, world.administrator(number)))
    assert standing(world, method) == (MultiSignStatus.PROCESSING, [VoteStatus.AGREE] * votes, NORMAL)
    return payload


def standing(world: World, method: str) -> tuple[int, list[int], int]:
    """Return how a request stands, the votes on it, and the status of the contract."""
    found = world.real.multi_sign_query(proposal(world, method).tx_id)
    return found.status, [vote.vote for vote in found.vote_infos], world.status(f"for_{method}")[1]


def run_at_once(world: World) -> None:
    """Let the deciding vote run what was proposed."""
    done(world.real.chain_config_enable_multi_sign_manual_run(False))


def run_when_triggered(world: World, _: ChainConfig) -> None:
    """Let what was proposed wait for who proposed it, as on a new chain."""
    done(world.real.chain_config_enable_multi_sign_manual_run())


def triggers(world: World) -> TxResponse:
    payload = proposal(world, "multi_sign_trig")
    done(world.real.multi_sign_req(payload))
    assert standing(world, "multi_sign_trig") == (MultiSignStatus.PASSED, [VoteStatus.AGREE] * 4, NORMAL)
    return world.cc.multi_sign_trig(payload)


def rejects(world: World) -> TxResponse:
    tx_id = propose(world, "multi_sign_vote_by_tx_id").tx_id
    return world.cc.multi_sign_vote_by_tx_id(tx_id, world.administrator(1), is_agree=False)


def quorum(world: World) -> int:
    """Return how many administrators freeze a contract: a majority, or any of a public chain."""
    return 1 if world.mode == PUBLIC else 3


def decides(world: World) -> TxResponse:
    run_at_once(world)
    payload = propose(world, "multi_sign_vote", quorum(world) - 1)
    return world.cc.multi_sign_vote(payload, world.administrator(quorum(world)))


def asks(world: World) -> MultiSignInfo:
    run_at_once(world)
    return world.cc.multi_sign_query(propose(world, "multi_sign_query", quorum(world) // 2).tx_id)


MULTI_SIGN = [
    works(
        "multi_sign_req",  # all four administrators endorse it, so that it runs at once
        TxResponse,
        lambda world, _: standing(world, "multi_sign_req") == (MultiSignStatus.ADOPTED, [VoteStatus.AGREE] * 4, FROZEN),
        after(run_at_once, lambda world: world.cc.multi_sign_req(proposal(world, "multi_sign_req"))),
    )._replace(undo=run_when_triggered),
    works(
        "multi_sign_vote",
        TxResponse,
        lambda world, _: (
            standing(world, "multi_sign_vote") == (MultiSignStatus.ADOPTED, [VoteStatus.AGREE] * quorum(world), FROZEN)
        ),
        decides,
    )._replace(undo=run_when_triggered),
    works(
        "multi_sign_vote_by_tx_id",
        TxResponse,
        lambda world, _: (
            standing(world, "multi_sign_vote_by_tx_id") == (MultiSignStatus.PROCESSING, [VoteStatus.REJECT], NORMAL)
        ),
        rejects,
    ),
    works(
        "multi_sign_query",
        MultiSignInfo,
        lambda world, found: (
            found.payload == proposal(world, "multi_sign_query")
            and (found.contract_name, found.method) == ("CONTRACT_MANAGE", "FREEZE_CONTRACT")
            and [vote.endorsement.signer.org_id for vote in found.vote_infos] == [world.org] * (quorum(world) // 2)
        ),
        asks,
    )._replace(undo=run_when_triggered),
    works(
        "multi_sign_trig",
        TxResponse,
        lambda world, _: standing(world, "multi_sign_trig")[::2] == (MultiSignStatus.ADOPTED, FROZEN),
        triggers,
    ),
    makes("create_multi_sign_req_payload", ({"SYS_METHOD": "X"},), "I MULTI_SIGN-REQ", SYS_METHOD="X"),
]

# The pool and the ordering, which have calls of their own
STATE = [
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

ROWS = [*GAS, *PUBKEY, *MULTI_SIGN, *STATE]
