"""Rows: what the methods that change the configuration, or who may call system contracts, send."""

from __future__ import annotations

import record
from chainmaker.keys import AddrType
from chainmaker.protos.accesscontrol.policy_pb2 import Policy
from chainmaker.protos.common.request_pb2 import EndorsementEntry, Payload
from row import DEFECT, Row, broken, makes, sent_as, works
from world import World

ORG = "wx-org1.chainmaker.org"
RESOURCE = "token-transfer"
RULE = Policy(rule="ANY", role_list=["CLIENT"])
RULE_SENT = RULE.SerializeToString()


def aliased(method: str, *arguments: object, **parameters: object) -> Row:
    """A payload that names the wrong method, for the SDK's enumeration makes one name of two."""

    def sent_wrongly(_: World, payload: Payload) -> bool:
        return sent_as(payload, "I CHAIN_CONFIG-GET_CHAIN_CONFIG_AT", parameters)

    call = lambda world: getattr(world.cc, method)(*arguments)  # noqa: E731
    return Row(method, DEFECT, call, check=sent_wrongly, note=record.ALIASED)


ROWS = [
    makes(
        "create_chain_config_core_update_payload",
        (20, 30),
        "I CHAIN_CONFIG-CORE_UPDATE",
        tx_scheduler_timeout=20,
        tx_scheduler_validate_timeout=30,
    ),
    makes(
        "create_chain_config_optimize_charge_gas_payload",
        (True,),
        "I CHAIN_CONFIG-CORE_UPDATE",
        enable_optimize_charge_gas="true",
    ),
    makes(
        "create_chain_config_block_update_payload",
        (False, 900, 200, 20, 30, 40),
        "I CHAIN_CONFIG-BLOCK_UPDATE",
        tx_timestamp_verify="false",
        tx_timeout=900,
        block_tx_capacity=200,
        block_size=20,
        block_interval=30,
        tx_parameter_size=40,
    ),
    *(
        makes(f"create_chain_config_trust_root_{name}_payload", (ORG, ["A", "B"]), sent, org_id=ORG, root="A,B")
        for name, sent in (("add", "I CHAIN_CONFIG-TRUST_ROOT_ADD"), ("update", "I CHAIN_CONFIG-TRUST_ROOT_UPDATE"))
    ),
    makes("create_chain_config_trust_root_delete_payload", (ORG,), "I CHAIN_CONFIG-TRUST_ROOT_DELETE", org_id=ORG),
    *(
        makes(
            f"create_chain_config_trust_member_{name}_payload",
            (ORG, "Qm9", "PEM", "CLIENT"),
            sent,
            org_id=ORG,
            node_id="Qm9",
            member_info="PEM",
            role="CLIENT",
        )
        for name, sent in (("add", "I CHAIN_CONFIG-TRUST_MEMBER_ADD"), ("update", "I CHAIN_CONFIG-TRUST_MEMBER_UPDATE"))
    ),
    makes(
        "create_chain_config_trust_member_delete_payload",
        ("PEM",),
        "I CHAIN_CONFIG-TRUST_MEMBER_DELETE",
        member_info="PEM",
    ),
    *(
        makes(f"create_chain_config_consensus_node_{name}_payload", (ORG, ["A", "B"]), sent, org_id=ORG, node_ids="A,B")
        for name, sent in (
            ("org_add", "I CHAIN_CONFIG-NODE_ORG_ADD"),
            ("org_update", "I CHAIN_CONFIG-NODE_ORG_UPDATE"),
            ("id_add", "I CHAIN_CONFIG-NODE_ID_ADD"),
        )
    ),
    makes(
        "create_chain_config_consensus_node_org_delete_payload", (ORG,), "I CHAIN_CONFIG-NODE_ORG_DELETE", org_id=ORG
    ),
    makes(
        "create_chain_config_consensus_node_id_update_payload",
        (ORG, "A", "B"),
        "I CHAIN_CONFIG-NODE_ID_UPDATE",
        org_id=ORG,
        node_id="A",
        new_node_id="B",
    ),
    makes(
        "create_chain_config_consensus_node_id_delete_payload",
        (ORG, "A"),
        "I CHAIN_CONFIG-NODE_ID_DELETE",
        org_id=ORG,
        node_id="A",
    ),
    makes(
        "create_chain_config_node_addr_add_payload",
        (ORG, ["A", "B"]),
        "I CHAIN_CONFIG-NODE_ADDR_ADD",
        org_id=ORG,
        node_addrs="A,B",
    ),
    makes(
        "create_chain_config_node_addr_update_payload",
        (ORG, "A", "B"),
        "I CHAIN_CONFIG-NODE_ADDR_UPDATE",
        org_id=ORG,
        node_addr="A",
        new_node_addr="B",
    ),
    makes(
        "create_chain_config_node_addr_delete_payload",
        (ORG, "A"),
        "I CHAIN_CONFIG-NODE_ADDR_DELETE",
        org_id=ORG,
        node_addr="A",
    ),
    makes("create_chain_config_consensus_ext_add_payload", ({"k": "v"},), "I CHAIN_CONFIG-CONSENSUS_EXT_ADD", k="v"),
    makes(
        "create_chain_config_consensus_ext_update_payload",
        ({"k": "v"},),
        "I CHAIN_CONFIG-CONSENSUS_EXT_UPDATE",
        k="v",
    ),
    makes("create_chain_config_consensus_ext_delete_payload", (["k"],), "I CHAIN_CONFIG-CONSENSUS_EXT_DELETE", k=""),
    *(
        makes(f"create_chain_config_permission_{name}_payload", (RESOURCE, RULE), sent, **{RESOURCE: RULE_SENT})
        for name, sent in (("add", "I CHAIN_CONFIG-PERMISSION_ADD"), ("update", "I CHAIN_CONFIG-PERMISSION_UPDATE"))
    ),
    makes(
        "create_chain_config_permission_delete_payload",
        (RESOURCE,),
        "I CHAIN_CONFIG-PERMISSION_DELETE",
        **{RESOURCE: ""},
    ),
    works(
        "create_policy",
        Policy,
        lambda _, policy: policy == RULE,
        lambda world: world.cc.create_policy("ANY", role_list=["CLIENT"]),
    ),
    makes(
        "create_chain_config_alter_addr_type_payload", (AddrType.ZXL,), "I CHAIN_CONFIG-ALTER_ADDR_TYPE", addr_type=1
    ),
    makes("create_chain_config_enable_or_disable_gas_payload", (), "I CHAIN_CONFIG-ENABLE_OR_DISABLE_GAS"),
    *(
        makes(name, (5,), "I CHAIN_CONFIG-SET_INVOKE_BASE_GAS", set_invoke_base_gas=5)
        for name in ("create_chain_config_set_invoke_base_gas_payload", "create_set_invoke_base_gas_payload")
    ),
    makes(
        "create_chain_config_set_account_manager_admin_payload",
        ("22" * 20,),
        "I CHAIN_CONFIG-SET_ACCOUNT_MANAGER_ADMIN",
        address_key="22" * 20,
    ),
    makes(
        "create_chain_config_enable_multi_sign_manual_run_payload",
        (True,),
        "I CHAIN_CONFIG-MULTI_SIGN_ENABLE_MANUAL_RUN",
        multi_sign_enable_manual_run="true",
    ),
    makes(
        "create_chain_config_consensus_switch_payload",
        ("TBFT", "RAFT", {"k": "v"}),
        "I CHAIN_CONFIG-CONSENSUS_SWITCH",
        **{"from": 1, "to": 4, "ext_config": '{"k": "v"}'},
    ),
    makes(
        "create_tbft_to_raft_payload",
        ({},),
        "I CHAIN_CONFIG-CONSENSUS_SWITCH",
        **{"from": 1, "to": 4, "ext_config": "{}"},
    ),
    makes(
        "create_raft_to_tbft_payload",
        ({},),
        "I CHAIN_CONFIG-CONSENSUS_SWITCH",
        **{"from": 4, "to": 1, "ext_config": "{}"},
    ),
    makes(
        "create_chain_config_update_version_payload",
        ("2030700",),
        "I CHAIN_CONFIG-UPDATE_VERSION",
        block_version="2030700",
    ),
    makes(
        "create_chain_config_dpos_node_id_update_payload",
        (["Qm9"],),
        "I CHAIN_CONFIG-DPOS_NODE_ID_UPDATE",
        node_ids="['Qm9']",
    ),
    works(
        "sign_chain_config_payload",
        EndorsementEntry,
        lambda world, entry: world.signed(entry, b"bytes"),
        lambda world: world.cc.sign_chain_config_payload(b"bytes"),
    ),
    # What the SDK gets wrong
    aliased("create_set_invoke_gas_price_payload", 5, set_invoke_gas_price=5),
    aliased("create_set_install_base_gas_payload", 5, set_install_base_gas=5),
    aliased("create_chain_config_enable_only_creator_update_payload"),
    aliased("create_chain_config_disable_only_creator_update_payload"),
    broken(
        "enable_disable_only_creator_update",
        lambda world: world.cc.enable_disable_only_creator_update(),
        r"method\[GET_CHAIN_CONFIG_AT\].*need \[block_height\]",
    ),
    broken(
        "create_set_install_gas_price_payload",
        lambda world: world.cc.create_set_install_gas_price_payload(5),
        "TypeError: bad argument type",
    ),
    # Who may call system contracts
    *(
        makes(
            f"create_native_contract_access_{name}_payload",
            (["DPOS_STAKE"],),
            f"I CONTRACT_MANAGE-{name.upper()}_CONTRACT_ACCESS",
            NATIVE_CONTRACT_NAME='["DPOS_STAKE"]',
        )
        for name in ("grant", "revoke", "verify")
    ),
    makes(
        "create_init_new_native_contract_payload",
        ("name", "1.0", b"bytes", "GO"),
        "I CONTRACT_MANAGE-INIT_NEW_NATIVE_CONTRACT",
        CONTRACT_NAME="name",
        CONTRACT_VERSION="1.0",
        CONTRACT_RUNTIME_TYPE="GO",
        CONTRACT_BYTECODE=b"bytes",
    ),
    broken(
        "init_new_native_contract",
        lambda world: world.cc.init_new_native_contract("name", "1.0", b"bytes", "GO"),
        "NotImplementedError",
    ),
]
