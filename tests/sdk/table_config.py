"""Rows: changes of the chain's configuration, each seen on the chain and then put back, and access to system contracts."""

from __future__ import annotations

from collections.abc import Callable

from chainmaker.exceptions import AuthenticationError, ContractFreezeFailed
from chainmaker.keys import AddrType
from chainmaker.protos.common.result_pb2 import TxResponse
from chainmaker.protos.config.chain_config_pb2 import ChainConfig
from members import STRANGERS, done
from row import NOT_BUILT, WORKS, Row, Undo, forbidden, refused, works
from world import World

ORG, OTHER = "wx-org1.chainmaker.org", "wx-org2.chainmaker.org"
NODE, NODE_2 = "QmcQHCuAXaFkbcsPUj7e37hXXfZ9DdN7bozseo5oX4qiC4", "QmeyNRs2DwWjcHTpcVHoUSaDAAif4VQZ2wQDQAUNDP33gH"
RESOURCE = "T-P"
ABSENT = "ChainMaker 2.3.7 has no such method"

Seen = Callable[[World, ChainConfig], object]
Step = Callable[[World], object]


def nothing(_: World) -> None:
    """What needs no preparation."""


def do(method: str, *arguments: object) -> Step:
    """A step beside the method that a row is about: a call that has to succeed."""
    return lambda world: done(getattr(world.real, method)(*arguments))


def undo(*steps: Step) -> Undo:
    def go(world: World, _: ChainConfig) -> None:
        for step in steps:
            step(world)

    return go


def change(method: str, arguments: Callable[[World], tuple], seen: Seen, back: Undo, prepare: Step = nothing) -> Row:
    """A change of the configuration: the answer is the one that is then in force."""

    def call(world: World) -> object:
        prepare(world)
        return getattr(world.cc, method)(*arguments(world))

    def check(world: World, answer: TxResponse) -> bool:
        config = world.config_now()
        return answer.contract_result.result == config.SerializeToString() and bool(seen(world, config))

    return Row(method, WORKS, call, TxResponse, check, undo=back)


def given(*arguments: object) -> Callable[[World], tuple]:
    return lambda _: arguments


# The core and its blocks


def core_back(world: World, before: ChainConfig) -> None:
    core = before.core
    done(world.real.chain_config_core_update(core.tx_scheduler_timeout, core.tx_scheduler_validate_timeout))


def block_back(world: World, before: ChainConfig) -> None:
    block = before.block
    numbers = (block.tx_timeout, block.block_tx_capacity, block.block_size, block.block_interval)
    done(world.real.chain_config_block_update(block.tx_timestamp_verify, *numbers, block.tx_parameter_size))


def right_core(_: World, config: ChainConfig) -> bool:
    return (config.core.tx_scheduler_timeout, config.core.tx_scheduler_validate_timeout) == (20, 30)


def right_block(_: World, config: ChainConfig) -> bool:
    block = config.block
    numbers = (block.tx_timeout, block.block_tx_capacity, block.block_size, block.block_interval)
    return not block.tx_timestamp_verify and numbers == (900, 200, 20, 20)


def sends_endorsed(world: World) -> TxResponse:
    payload = world.real.create_chain_config_core_update_payload(20, 30)
    return world.cc.send_chain_config_update_request(payload, world.endorsed(payload))


def extensions(config: ChainConfig) -> dict[str, str]:
    return {entry.key: entry.value for entry in config.consensus.ext_config}


CORE = [
    change("chain_config_core_update", given(20, 30), right_core, core_back),
    works(
        "send_chain_config_update_request",
        TxResponse,
        lambda world, _: right_core(world, world.config_now()),
        sends_endorsed,
    )._replace(undo=core_back),
    change("chain_config_block_update", given(False, 900, 200, 20, 20), right_block, block_back),
    change(
        "chain_config_consensus_ext_add",
        given({"key": "value"}),
        lambda _, config: extensions(config)["key"] == "value",
        undo(do("chain_config_consensus_ext_delete", ["key"])),
    ),
    change(
        "chain_config_consensus_ext_update",
        given({"key": "other"}),
        lambda _, config: extensions(config)["key"] == "other",
        undo(do("chain_config_consensus_ext_delete", ["key"])),
        do("chain_config_consensus_ext_add", {"key": "value"}),
    ),
    change(
        "chain_config_consensus_ext_delete",
        given(["key"]),
        lambda _, config: "key" not in extensions(config),
        undo(),
        do("chain_config_consensus_ext_add", {"key": "value"}),
    ),
    change(
        "chain_config_enable_multi_sign_manual_run",
        given(False),
        lambda world, _: not world.real.chain_config_check_multi_sign_manual_run(),
        undo(do("chain_config_enable_multi_sign_manual_run", True)),
    ),
    *(
        Row(
            name,
            NOT_BUILT,
            lambda world, name=name: getattr(world.cc, name)({"key": "value"}),
            says="the consensus of a chain is chosen when it is made and is not switched on a live one",
        )
        for name in ("tbft_to_raft", "raft_to_tbft")
    ),
    forbidden(
        "chain_config_alter_addr_type",
        lambda world: world.cc.chain_config_alter_addr_type(AddrType.ZXL),
        "CHAIN_CONFIG-ALTER_ADDR_TYPE",
    ),
]


# Who belongs to the chain: the stranger is let in, and thrown out again


def is_in(world: World, _: ChainConfig | None = None) -> bool:
    return world.accepted(world.stranger())


def is_out(world: World, _: ChainConfig | None = None) -> bool:
    return not is_in(world)


def admit(world: World) -> None:
    """Make the strangers' authority a trust root."""
    assert is_out(world)
    done(world.real.chain_config_trust_root_add(STRANGERS, [world.authority()]))
    assert is_in(world)


def pem(world: World) -> str:
    return world.strangers_files()[0].read_text()


def member(role: str) -> Callable[[World], tuple]:
    return lambda world: (STRANGERS, NODE, pem(world), role)


def admit_alone(world: World) -> None:
    """Make the stranger's own certificate a trusted one."""
    assert is_out(world)
    done(world.real.chain_config_trust_member_add(*member("CLIENT")(world)))
    assert is_in(world)


def refuse_alone(world: World) -> None:
    done(world.real.chain_config_trust_member_delete(pem(world)))
    assert is_out(world)


def roots(config: ChainConfig) -> dict[str, list[str]]:
    return {root.org_id: list(root.root) for root in config.trust_roots}


dismiss = do("chain_config_trust_root_delete", STRANGERS)

MEMBERS = [
    change("chain_config_trust_root_add", lambda world: (STRANGERS, [world.authority()]), is_in, undo(dismiss)),
    change(
        "chain_config_trust_root_update",  # of an organisation without nodes that order, endorsed by its administrator
        lambda world: (OTHER, [*roots(world.config_now())[OTHER], world.authority()]),
        lambda world, config: roots(config)[OTHER][1:] == [world.authority()],
        lambda world, before: done(world.real.chain_config_trust_root_update(OTHER, roots(before)[OTHER])),
    ),
    change("chain_config_trust_root_delete", given(STRANGERS), is_out, undo(), admit),
    change("chain_config_trust_member_add", member("CLIENT"), is_in, undo(refuse_alone)),
    change(
        "chain_config_trust_member_update",
        member("ADMIN"),
        lambda world, config: is_in(world) and [entry.role for entry in config.trust_members] == ["ADMIN"],
        undo(refuse_alone),
        admit_alone,
    ),
    change("chain_config_trust_member_delete", lambda world: (pem(world),), is_out, undo(), admit_alone),
]


# Nodes


def nodes(config: ChainConfig) -> dict[str, list[str]]:
    """Return the ids of each organisation's nodes beside the one that orders."""
    first = config.consensus.nodes[0].node_id[0]
    return {org.org_id: [one for one in org.node_id if one != first] for org in config.consensus.nodes}


def nodes_are(**ids: list[str]) -> Seen:
    wanted = [ids.get("first", []), *([ids["second"]] if "second" in ids else [])]
    return lambda _, config: list(nodes(config).values()) == wanted


add_org = do("chain_config_consensus_node_org_add", OTHER, [NODE])
drop_org = do("chain_config_consensus_node_org_delete", OTHER)
add_id = do("chain_config_consensus_node_id_add", ORG, [NODE])
drop_id, drop_id_2 = (do("chain_config_consensus_node_id_delete", ORG, one) for one in (NODE, NODE_2))

NODES = [
    change("chain_config_consensus_node_org_add", given(OTHER, [NODE]), nodes_are(second=[NODE]), undo(drop_org)),
    change(
        "chain_config_consensus_node_org_update",
        given(OTHER, [NODE, NODE_2]),
        nodes_are(second=[NODE, NODE_2]),
        undo(drop_org),
        add_org,
    ),
    change("chain_config_consensus_node_org_delete", given(OTHER), nodes_are(), undo(), add_org),
    change("chain_config_consensus_node_id_add", given(ORG, [NODE]), nodes_are(first=[NODE]), undo(drop_id)),
    change(
        "chain_config_consensus_node_id_update",
        given(ORG, NODE, NODE_2),
        nodes_are(first=[NODE_2]),
        undo(drop_id_2),
        add_id,
    ),
    change("chain_config_consensus_node_id_delete", given(ORG, NODE), nodes_are(), undo(), add_id),
    *(
        refused(
            method,
            lambda world, method=method, rest=rest: getattr(world.cc, method)(*rest),
            "the method does not found",
            ABSENT,
        )
        for method, rest in (
            ("chain_config_consensus_node_addr_add", (ORG, [NODE])),
            ("chain_config_consensus_node_addr_update", (ORG, NODE, NODE_2)),
            ("chain_config_consensus_node_addr_delete", (ORG, NODE)),
            ("chain_config_dpos_node_id_update", ([NODE],)),
        )
    ),
]


# Policies, and who may call system contracts


def may_put(world: World, _: ChainConfig | None = None) -> bool:
    """Whether the client, who is no administrator and whom none endorses, may call P of T."""
    try:
        done(world.lonely.invoke_system_contract("T", "P", {"k": "policy", "v": "1"}, with_sync_result=True))
    except AuthenticationError:
        return False
    return True


def may_not_put(world: World, _: ChainConfig | None = None) -> bool:
    return not may_put(world)


def restrict(world: World) -> None:
    assert may_put(world)
    done(world.real.chain_config_permission_add(RESOURCE, "ANY", ["ADMIN"]))
    assert may_not_put(world)


def is_open(world: World) -> bool:
    """Whether anybody may call T."""
    try:
        world.real.query_system_contract("T", "G", {"k": "policy"})
    except ContractFreezeFailed:
        return False
    return True


def shut(world: World) -> None:
    done(world.real.revoke_native_contract_access(["T"]))
    assert not is_open(world)


def grants(world: World) -> TxResponse:
    shut(world)
    return world.cc.grant_native_contract_access(["T"])


allow = do("chain_config_permission_delete", RESOURCE)

ACCESS = [
    change("chain_config_permission_add", given(RESOURCE, "ANY", ["ADMIN"]), may_not_put, undo(allow)),
    change("chain_config_permission_update", given(RESOURCE, "ANY", ["CLIENT"]), may_put, undo(allow), restrict),
    change("chain_config_permission_delete", given(RESOURCE), may_put, undo(), restrict),
    works("grant_native_contract_access", TxResponse, lambda world, _: is_open(world), grants),
    works(
        "revoke_native_contract_access",
        TxResponse,
        lambda world, _: not is_open(world) and world.real.get_disabled_native_contract_list() == ["T"],
        lambda world: world.cc.revoke_native_contract_access(["T"]),
    )._replace(undo=undo(do("grant_native_contract_access", ["T"]))),
    works(
        "verify_native_contract_access",
        TxResponse,
        lambda _, answer: answer.contract_result.result == b"true",
        lambda world: world.cc.verify_native_contract_access(["T"]),
    ),
]


# Gas


toggle_gas = do("chain_config_enable_or_disable_gas")


def base_gas_back(world: World, before: ChainConfig) -> None:
    done(world.real.chain_config_set_invoke_base_gas(before.account_config.default_gas))
    toggle_gas(world)


def optimized_back(world: World, before: ChainConfig) -> None:
    done(world.real.chain_config_optimize_charge_gas(before.core.enable_optimize_charge_gas))
    toggle_gas(world)


def gas_admin_back(world: World, before: ChainConfig) -> None:
    done(world.real.chain_config_set_account_manager_admin(before.account_config.gas_admin_address))


GAS = [
    change(
        "chain_config_enable_or_disable_gas",
        given(True),
        lambda world, config: config.account_config.enable_gas and world.real.enabled_gas,
        undo(toggle_gas),
    ),
    change(
        "chain_config_set_invoke_base_gas",  # which only a chain with gas has, as the next
        given(5),
        lambda world, config: config.account_config.default_gas == world.real.default_gas == 5,
        base_gas_back,
        toggle_gas,
    ),
    change(
        "chain_config_optimize_charge_gas",
        given(True),
        lambda _, config: config.core.enable_optimize_charge_gas,
        optimized_back,
        toggle_gas,
    ),
    change(
        "chain_config_set_account_manager_admin",
        lambda world: (world.other_account,),
        lambda world, _: world.real.get_gas_admin() == world.other_account,
        gas_admin_back,
    ),
]

ROWS = [*CORE, *MEMBERS, *NODES, *ACCESS, *GAS]
