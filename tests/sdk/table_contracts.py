"""Rows: contracts are installed, upgraded, frozen and revoked; they are called and asked, and so are system contracts."""

from __future__ import annotations

from chainmaker.protos.common.contract_pb2 import Contract
from chainmaker.protos.common.request_pb2 import TxRequest
from chainmaker.protos.common.result_pb2 import TxResponse
from row import Row, broken, makes, works
from world import World

NORMAL, FROZEN, REVOKED = 0, 1, 2
RECEIVER = "77" * 20


def installs(world: World) -> TxResponse:
    return world.cc.create_contract("installed", str(world.source), "DOCKER_GO", {"supply": "7"}, version="1.0")


def upgrades(world: World) -> TxResponse:
    name = world.contract("upgraded")
    return world.cc.upgrade_contract(name, str(world.source), "DOCKER_GO", version="2.0")


def changes(method: str, version_and_status: tuple[str, int], *before: str) -> Row:
    """A change of a contract's status: freeze_contract, and what it may need to be done `before`."""
    name = f"for_{method}"

    def call(world: World) -> TxResponse:
        world.contract(name)
        for step in before:
            assert getattr(world.real, step)(name).code == 0
        return getattr(world.cc, method)(name)

    return works(method, TxResponse, lambda world, _: world.status(name) == version_and_status, call)


def names_only(method: str, sent: str) -> Row:
    """The payload of a change of status, in which the SDK says `None` of all but the name."""
    nothing = dict.fromkeys(("CONTRACT_VERSION", "CONTRACT_RUNTIME_TYPE", "CONTRACT_BYTECODE"), "None")
    return makes(method, ("any",), f"I CONTRACT_MANAGE-{sent}", CONTRACT_NAME="any", **nothing)


def carries(method: str, sent: str) -> Row:
    return makes(
        method,
        ("any", "1.0", b"bytes", "GO", {"supply": "1"}),
        f"I CONTRACT_MANAGE-{sent}",
        CONTRACT_NAME="any",
        CONTRACT_VERSION="1.0",
        CONTRACT_RUNTIME_TYPE="GO",
        CONTRACT_BYTECODE=b"bytes",
        supply="1",
    )


def moves(method: str, call) -> Row:
    """A call that has to move 3 of the token to an account of its own."""
    account = method.encode().hex()[:40].ljust(40, "0")

    def check(world: World, _: object) -> bool:
        return world.balance(account) == 3

    return works(method, TxResponse, check, lambda world: call(world, {"to": account, "amount": "3"}))


def payload(world: World, parameters: dict):
    return world.real._payload_builder.create_invoke_payload(world.token, "transfer", parameters)


def sends_payload(method: str, **options) -> Row:
    return moves(method, lambda world, parameters: getattr(world.cc, method)(payload(world, parameters), **options))


def manages(world: World) -> TxResponse:
    made = world.real.create_contract_create_payload("managed", "1.0", str(world.source), "GO", {"supply": "7"})
    return world.cc.send_contract_manage_request(made, world.endorsed(made))


def send_many(world: World) -> list:
    """Call a method without parameters three times; the last one is waited for."""
    return world.cc.send_txs(3, world.counter, "increase", with_sync_result=True)


ROWS = [
    works("create_contract", TxResponse, lambda world, _: world.status("installed") == ("1.0", NORMAL), installs),
    works("upgrade_contract", TxResponse, lambda world, _: world.status("upgraded") == ("2.0", NORMAL), upgrades),
    changes("freeze_contract", ("1.0", FROZEN)),
    changes("unfreeze_contract", ("1.0", NORMAL), "freeze_contract"),
    changes("revoke_contract", ("1.0", REVOKED), "freeze_contract"),
    works("send_contract_manage_request", TxResponse, lambda world, _: world.status("managed")[0] == "1.0", manages),
    carries("create_contract_create_payload", "INIT_CONTRACT"),
    carries("create_contract_upgrade_payload", "UPGRADE_CONTRACT"),
    names_only("create_contract_freeze_payload", "FREEZE_CONTRACT"),
    names_only("create_contract_unfreeze_payload", "UNFREEZE_CONTRACT"),
    names_only("create_contract_revoke_payload", "REVOKE_CONTRACT"),
    works(
        "get_contract_info",
        Contract,
        lambda world, found: (
            (found.name, found.version, found.runtime_type) == (world.token, "1.0", 6)
            and found.creator.org_id == world.org
            and len(found.address) == len(world.account)
        ),
        lambda world: world.cc.get_contract_info(world.token),
    ),
    works(
        "check_contract",
        bool,
        lambda world, known: known and not world.real.check_contract("nobody"),
        lambda world: world.cc.check_contract(world.token),
    ),
    works(
        "get_contract_list",
        list,
        lambda world, found: (
            all(isinstance(one, Contract) for one in found)
            and {world.token, "CHAIN_CONFIG", "CONTRACT_MANAGE"} <= {one.name for one in found}
        ),
    ),
    works("get_disabled_native_contract_list", list, lambda _, found: found == []),
    broken("get_contract_byte_code", lambda world: world.cc.get_contract_byte_code("any"), "NotImplementedError"),
    broken("get_governance_contract", lambda world: world.cc.get_governance_contract(), "NotImplementedError"),
    # Calls
    moves("invoke_contract", lambda world, given: world.cc.invoke_contract(world.token, "transfer", given)),
    moves(
        "invoke_contract_with_limit",
        lambda world, given: world.cc.invoke_contract_with_limit(world.token, "transfer", given),
    ),
    sends_payload("send_request_with_sync_result", with_sync_result=True),
    sends_payload("send_manage_request"),
    moves("send_request", lambda world, given: world.sent_last(world.cc.send_request(payload(world, given)))),
    works(
        "get_tx_request",
        TxRequest,
        lambda world, request: world.signed(request.sender, request.payload.SerializeToString()),
        lambda world: world.cc.get_tx_request(world.token, "transfer", {"to": RECEIVER, "amount": "1"}),
    ),
    moves(
        "send_tx_request",
        lambda world, given: world.result_of(
            world.cc.send_tx_request(world.real.get_tx_request(world.token, "transfer", given))
        ),
    ),
    works(
        "send_txs",
        list,
        lambda world, answers: (
            [answer.code for answer in answers] == [0, 0, 0]
            and world.real.query_contract(world.counter, "get").contract_result.result == b"3"
        ),
        send_many,
    ),
    works(
        "query_contract",
        TxResponse,
        lambda _, answer: answer.contract_result.result == b"1000000",
        lambda world: world.cc.query_contract(world.token, "total_supply"),
    ),
    works(
        "invoke_system_contract",
        TxResponse,
        lambda world, _: world.real.query_system_contract("T", "G", {"k": "key"}).contract_result.result == b"value",
        lambda world: world.cc.invoke_system_contract("T", "P", {"k": "key", "v": "value"}, with_sync_result=True),
    ),
    works(
        "query_system_contract",
        TxResponse,
        lambda world, answer: int(answer.contract_result.result) == world.height,
        lambda world: world.cc.query_system_contract("CHAIN_QUERY", "GET_BLOCK_HEIGHT_BY_TX_ID", {"txId": world.tx_id}),
    ),
]
