"""CHAIN_CONFIG: each method changes what it names, from the next block on; what it refuses changes nothing."""

from __future__ import annotations

import pytest

from changan.client.requests import Signer
from changan.crypto.keys import SigningKey
from changan.crypto.node_ids import is_node_id, node_id
from changan.ledger.snapshot import dump, load
from changan.ledger.transition import InvalidBlockError
from changan.ledger.wire.messages import ChainConfig, Member, MemberType, Policy, TxStatusCode
from changan.node.audit import AuditError, Auditor
from changan.node.pki.authority import Authority
from consortium import NODE_ID, NOW, Consortium, Ledger, org_name

ORG9 = "wx-org9.chainmaker.org"
OTHER_NODE = node_id(b"another node")
WAY_BACK = "is what every other policy is put right with: administrators must be able to do it"
MAJORITY = Policy(rule="majority", role_list=["admin"]).SerializeToString()


@pytest.fixture
def ledger(consortium) -> Ledger:
    return Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"))


@pytest.fixture(scope="module")
def newcomer() -> Authority:
    return Authority.create(ORG9, NOW)


def root(authority: Authority) -> str:
    return authority.certificate_pem.decode()


def permission(rule: str, roles=(), organisations=()) -> bytes:
    return Policy(rule=rule, role_list=roles, org_list=organisations).SerializeToString()


# What is refused, in the words of the record (rows 138-156 and part 2) and of ChainMaker's source; ours where it lets a chain end

REFUSALS = [
    ("BLOCK_UPDATE", {"tx_timeout": "abc"}, 'strconv.ParseUint: parsing "abc": invalid syntax'),
    (
        "BLOCK_UPDATE",
        {"block_interval": "5"},
        "blockInterval should be within the range of [10,10000], blockInterval is 5",
    ),
    (
        "BLOCK_UPDATE",
        {"block_interval": "10001"},
        "blockInterval should be within the range of [10,10000], blockInterval is 10001",
    ),
    ("BLOCK_UPDATE", {}, "params is error"),
    ("BLOCK_UPDATE", {"tx_timeout": "10"}, "txTimeout less than 600, txTimeout is 10"),
    ("BLOCK_UPDATE", {"tx_timeout": "86401"}, "txTimeout more than 86400, txTimeout is 86401"),
    ("BLOCK_UPDATE", {"block_tx_capacity": "0"}, "blockTxCapacity less than 1, blockTxCapacity is 0"),
    ("BLOCK_UPDATE", {"block_size": "0"}, "blockSize less than 1, blockSize is 0"),
    (
        "BLOCK_UPDATE",
        {"tx_parameter_size": "101"},
        "txParameterSize should be [0,100] MB, txParameterSize is 101",
    ),
    ("BLOCK_UPDATE", {"block_size": str(2**32)}, f'strconv.ParseUint: parsing "{2**32}": value out of range'),
    ("BLOCK_UPDATE", {"tx_timestamp_verify": "yes"}, 'strconv.ParseBool: parsing "yes": invalid syntax'),
    ("CORE_UPDATE", {}, "params is error"),
    ("CORE_UPDATE", {"tx_scheduler_timeout": "61"}, "out of range"),
    ("CORE_UPDATE", {"tx_scheduler_timeout": "x"}, 'strconv.ParseUint: parsing "x": invalid syntax'),
    (
        "CORE_UPDATE",
        {"enable_optimize_charge_gas": "true"},
        "can not set `enable_optimize_charge_gas` flag when `enable_gas` is disabled",
    ),
    ("TRUST_ROOT_ADD", {"org_id": ORG9, "root": "junk"}, "invalid PEM string for certificate"),
    ("TRUST_ROOT_ADD", {"org_id": ORG9}, "params is error, add trust root cert require param [org_id, root] not found"),
    (
        "TRUST_ROOT_DELETE",
        {"org_id": ORG9},
        f"delete trust root cert failed, param [{ORG9}] not found from TrustRoot",
    ),
    ("TRUST_ROOT_DELETE", {}, "delete trust root cert failed, require param [org_id], but not found"),
    (
        "TRUST_ROOT_DELETE",
        {"org_id": org_name(1)},
        "delete trust root cert failed, you must delete all consensus nodes under the organization first",
    ),
    (
        "PERMISSION_ADD",
        {"CHAIN_CONFIG-TRUST_ROOT_ADD": MAJORITY},
        "permission resource_name[CHAIN_CONFIG-TRUST_ROOT_ADD] is exist",
    ),
    ("PERMISSION_DELETE", {"NO_SUCH": ""}, "permission resource name does not exist resource_name[NO_SUCH]"),
    ("PERMISSION_UPDATE", {"NO_SUCH": MAJORITY}, "permission resource name does not exist resource_name[NO_SUCH]"),
    ("PERMISSION_ADD", {"T-P": b"\xff"}, "policy Unmarshal err:unexpected EOF"),
    ("PERMISSION_ADD", {"T-P": permission("SOME")}, "bad configuration: unsupported rule [SOME] for T-P"),
    ("PERMISSION_ADD", {"T-P": permission("5/4")}, "the policy of T-P asks for more than everybody: 5/4"),
    (
        "PERMISSION_ADD",
        {"T-P": permission("SELF")},
        "self rule can only be used by NODE_ID_UPDATE or TRUST_ROOT_UPDATE",
    ),
    (
        "PERMISSION_ADD",
        {"T-P": permission("MAJORITY", ["CLIENT"])},
        "config rule[MAJORITY], role can only be admin or null",
    ),
    (
        "PERMISSION_ADD",
        {"T-P": permission("MAJORITY", [], [org_name(1)])},
        "config rule[MAJORITY], org_list param not allowed",
    ),
    (
        "PERMISSION_ADD",
        {"T-P": permission("ANY", ["KING"])},
        "the policy of T-P names roles that no member has: KING",
    ),
    (
        "PERMISSION_ADD",
        {"T-P": permission("ANY", [], [ORG9])},
        f"the policy of T-P names organisations that are not of this chain: {ORG9}",
    ),
    (
        "PERMISSION_ADD",
        {"INVOKE_CONTRACT": permission("ANY")},
        "the policy of INVOKE_CONTRACT is fixed: members must be able to speak",
    ),
    (
        "PERMISSION_ADD",
        {"CHAIN_CONFIG-PERMISSION_UPDATE": permission("FORBIDDEN")},
        f"CHAIN_CONFIG-PERMISSION_UPDATE {WAY_BACK}",
    ),
    (
        "PERMISSION_ADD",
        {"CHAIN_CONFIG-PERMISSION_DELETE": permission("ANY", ["LIGHT"])},
        f"CHAIN_CONFIG-PERMISSION_DELETE {WAY_BACK}",
    ),
    (
        "PERMISSION_ADD",
        {"CHAIN_CONFIG-PERMISSION_UPDATE": permission("5")},
        "CHAIN_CONFIG-PERMISSION_UPDATE asks for 5 signatures, and there are 4 to give them",
    ),
    ("NODE_ID_ADD", {"org_id": org_name(1), "node_ids": "junk"}, "wrong node id set"),
    ("NODE_ID_ADD", {"org_id": org_name(1), "node_ids": NODE_ID}, "node id existed"),
    (
        "NODE_ID_ADD",
        {"org_id": ORG9, "node_ids": OTHER_NODE},
        f"add node id failed, param [{ORG9}] not found from nodes",
    ),
    ("NODE_ID_ADD", {}, "add node id failed, require param [org_id, node_ids], but not found"),
    (
        "NODE_ID_DELETE",
        {"org_id": org_name(1), "node_id": OTHER_NODE},
        f"delete node id failed, param orgId[{org_name(1)}] addr[{OTHER_NODE}] not found from nodes",
    ),
    ("NODE_ID_DELETE", {"org_id": org_name(1), "node_id": NODE_ID}, "nodeIds len less than 1, nodeIds len is 0"),
    (
        "NODE_ORG_UPDATE",
        {"org_id": org_name(1), "node_ids": OTHER_NODE},
        f"node {NODE_ID} alone orders this chain: without it there would be no further block",
    ),
    ("NODE_ORG_ADD", {"org_id": org_name(1), "node_ids": OTHER_NODE}, "org_id is exist"),
    ("NODE_ORG_ADD", {"org_id": ORG9, "node_ids": OTHER_NODE}, f"org id({ORG9}) not in trust roots config"),
    ("NODE_ORG_DELETE", {"org_id": org_name(1)}, "there is at least one org"),
    ("NODE_ADDR_ADD", {"org_id": org_name(1), "node_addrs": "/ip4/127.0.0.1"}, "the method does not found"),
    ("CONSENSUS_EXT_UPDATE", {"nosuch": "x"}, "params is error"),
    ("CONSENSUS_EXT_DELETE", {"nosuch": ""}, "ext_config is empty"),
    ("SET_INVOKE_BASE_GAS", {"set_invoke_base_gas": "300"}, "`enable_gas` flag is not opened"),
    ("SET_ACCOUNT_MANAGER_ADMIN", {}, " params key address_key not exist "),
    ("SET_ACCOUNT_MANAGER_ADMIN", {"address_key": "xyz"}, "account address is illegal"),
    ("UPDATE_VERSION", {}, "set version failed, require param [block_version], but not found"),
    (
        "UPDATE_VERSION",
        {"block_version": "v2.3.7"},
        "set version failed, require int format from param[block_version]",
    ),
    (
        "UPDATE_VERSION",
        {"block_version": "2030701"},
        "set version failed, param[block_version] must less or equal 2030700",
    ),
    ("UPDATE_VERSION", {"block_version": "20"}, "set version failed, param[block_version] must greater or equal 2301"),
    ("MULTI_SIGN_ENABLE_MANUAL_RUN", {}, "the key `multi_sign_enable_manual_run` is not found in params"),
    ("DISABLE_ONLY_CREATOR_UPGRADE", {}, "already disabled"),
    ("TRUST_MEMBER_DELETE", {"member_info": "x"}, "delete trust member failed, param [x] not found from TrustMembers"),
    (
        "TRUST_MEMBER_ADD",
        {"org_id": ORG9},
        "params is error, add trust member require param [org_id, member_info,role,node_id] not found",
    ),
    ("VM_SUPPORT_LIST_ADD", {"vm_type": "jvm"}, "vm type[jvm] is not a valid vm type"),
    ("VM_SUPPORT_LIST_DEL", {"vm_type": "evm"}, "vm type[evm] not exist"),
    (
        "GET_CHAIN_CONFIG_AT",
        {},
        "GET_CHAIN_CONFIG_AT reads the chain's past: it is answered at the door, never in a block",
    ),
]


@pytest.mark.parametrize(("method", "parameters", "message"), REFUSALS)
def test_what_is_refused_changes_nothing(ledger, method, parameters, message):
    before = ledger.world.config.SerializeToString()
    result = ledger.configure(method, parameters)
    assert (result.code, result.contract_result.code) == (TxStatusCode.CONTRACT_FAIL, 1)
    assert result.contract_result.message == message
    assert not result.contract_result.contract_event
    assert not ledger.blocks[-1].rw_sets[0].tx_writes
    assert ledger.world.config.SerializeToString() == before


def test_a_switch_of_the_consensus_is_refused_in_words(ledger):
    before = ledger.world.config.SerializeToString()
    result = ledger.configure("CONSENSUS_SWITCH", {"from": "1", "to": "4"})
    assert result.code == TxStatusCode.CONTRACT_FAIL
    assert "is chosen when it is made and is not switched on a live one" in result.contract_result.message
    assert ledger.world.config.SerializeToString() == before


# What is changed


def changed(ledger: Ledger, method: str, parameters=None, **options) -> ChainConfig:
    """Make a change that succeeds, and return the configuration that is in force now."""
    sequence = ledger.world.config.sequence
    result = ledger.configure(method, parameters, **options)
    outcome = result.contract_result
    assert (result.code, outcome.code, outcome.message) == (TxStatusCode.SUCCESS, 0, "OK"), outcome.message
    config = ChainConfig.FromString(outcome.result)
    assert config.sequence == sequence + 1
    assert ledger.world.config == config
    write = ledger.blocks[-1].rw_sets[0].tx_writes[0]
    assert (write.contract_name, write.key, write.value) == ("CHAIN_CONFIG", b"CHAIN_CONFIG", outcome.result)
    if method != "MULTI_SIGN_ENABLE_MANUAL_RUN":
        (event,) = outcome.contract_event
        assert (event.topic, event.contract_name, event.contract_version) == ("16", "CHAIN_CONFIG", config.version)
        assert list(event.event_data) == [outcome.result.hex()]
    return config


def test_every_block_setting(ledger):
    config = changed(
        ledger,
        "BLOCK_UPDATE",
        {
            "tx_timestamp_verify": "false",
            "tx_timeout": "700",
            "block_tx_capacity": "7",
            "block_size": "3",
            "block_interval": "77",
            "tx_parameter_size": "2",
            "block_timestamp_verify": "true",
            "block_timeout": "30",
        },
    )
    block = config.block
    assert not block.tx_timestamp_verify
    assert block.block_timestamp_verify
    assert (block.tx_timeout, block.block_tx_capacity, block.block_size) == (700, 7, 3)
    assert (block.block_interval, block.tx_parameter_size, block.block_timeout) == (77, 2, 30)
    # the size of a parameter counts from the next block on
    result = ledger.call("T", "P", {"k": "a", "v": b"x" * (2 * 1024 * 1024)})
    assert result.code == TxStatusCode.INVALID_PARAMETER


def test_a_raised_timeout_counts_from_the_next_block_and_re_admits_nothing_forgotten(ledger):
    old = ledger.request("T", "P", {"k": "a"})
    first = old.payload.timestamp
    ledger.seal(old)
    ledger.time_us += 601 * 1_000_000
    ledger.call("T", "P", {"k": "b"})  # forgets the first id
    assert ledger.world.remembered.forgotten_until >= first
    changed(ledger, "BLOCK_UPDATE", {"tx_timeout": "6000"})
    with pytest.raises(InvalidBlockError, match="out of its time"):
        ledger.seal(old)
    changed(ledger, "BLOCK_UPDATE", {"tx_timestamp_verify": "false"})
    with pytest.raises(InvalidBlockError, match="out of its time"):
        ledger.seal(old)
    late = ledger.request("T", "P", {"k": "c"}, timestamp=first + 1)
    ledger.time_us += 100_000 * 1_000_000
    ledger.seal(late)  # times are not checked any more, and this one was never forgotten


def test_a_transaction_that_was_too_old_is_in_time_after_the_timeout_is_raised(ledger):
    # Nothing of this second was forgotten, so a longer timeout lets it in.
    late = ledger.request("T", "P", {"k": "a"})
    ledger.time_us += 700 * 1_000_000
    with pytest.raises(InvalidBlockError, match="out of its time"):
        ledger.seal(late)
    changed(ledger, "BLOCK_UPDATE", {"tx_timeout": "6000"})
    assert ledger.seal(late).block.txs[0].result.code == TxStatusCode.SUCCESS


def test_core_settings(ledger):
    config = changed(ledger, "CORE_UPDATE", {"tx_scheduler_timeout": "20", "enable_sender_group": "true"})
    assert (config.core.tx_scheduler_timeout, config.core.enable_sender_group) == (20, True)
    changed(ledger, "ENABLE_OR_DISABLE_GAS")
    assert changed(ledger, "CORE_UPDATE", {"enable_optimize_charge_gas": "true"}).core.enable_optimize_charge_gas


def test_extensions_of_the_consensus(ledger):
    config = changed(ledger, "CONSENSUS_EXT_ADD", {"b": "2", "a": "1"})
    assert [(entry.key, entry.value) for entry in config.consensus.ext_config] == [("a", "1"), ("b", "2")]
    again = ledger.configure("CONSENSUS_EXT_ADD", {"a": "3"}).contract_result
    assert again.message == "ext_config key[a] is exist"
    config = changed(ledger, "CONSENSUS_EXT_UPDATE", {"a": "9", "nosuch": "x"})
    assert config.consensus.ext_config[0].value == "9"
    config = changed(ledger, "CONSENSUS_EXT_DELETE", {"a": ""})
    assert [entry.key for entry in config.consensus.ext_config] == ["b"]


def test_records_of_consensus_nodes(ledger):
    mine = {"org_id": org_name(1)}
    config = changed(ledger, "NODE_ID_ADD", {**mine, "node_ids": OTHER_NODE})
    assert list(config.consensus.nodes[0].node_id) == [NODE_ID, OTHER_NODE]
    third = node_id(b"a third node")
    update = {**mine, "node_id": OTHER_NODE, "new_node_id": third}
    config = changed(ledger, "NODE_ID_UPDATE", update, sender=ledger.consortium.admin(), endorsers=[])
    assert list(config.consensus.nodes[0].node_id) == [NODE_ID, third]
    config = changed(ledger, "NODE_ID_DELETE", {**mine, "node_id": third})
    assert list(config.consensus.nodes[0].node_id) == [NODE_ID]
    config = changed(ledger, "NODE_ORG_ADD", {"org_id": org_name(2), "node_ids": f"{OTHER_NODE}, {third}"})
    assert list(config.consensus.nodes[1].node_id) == [OTHER_NODE, third]
    config = changed(ledger, "NODE_ORG_UPDATE", {"org_id": org_name(2), "node_ids": third})
    assert list(config.consensus.nodes[1].node_id) == [third]
    refused = ledger.configure("TRUST_ROOT_DELETE", {"org_id": org_name(2)}).contract_result.message
    assert refused.endswith("you must delete all consensus nodes under the organization first")
    config = changed(ledger, "NODE_ORG_DELETE", {"org_id": org_name(2)})
    assert len(config.consensus.nodes) == 1


def test_an_organisation_joins_renews_its_root_and_leaves(consortium, newcomer):
    ledger = Ledger(Consortium())
    friends = ledger.consortium
    friends.authorities[ORG9] = newcomer
    admin = _member(newcomer, "admin1", "admin")
    with pytest.raises(InvalidBlockError, match="refine endorsements failed"):
        ledger.call("T", "P", {"k": "a"}, sender=admin)
    voters = [friends.admin(n) for n in range(1, 5)]
    changed(ledger, "TRUST_ROOT_ADD", {"org_id": ORG9, "root": root(newcomer)}, endorsers=voters)
    assert ledger.call("T", "P", {"k": "a"}, sender=admin).code == TxStatusCode.SUCCESS
    # five organisations now: three are still a majority, and the new one counts among them
    changed(ledger, "BLOCK_UPDATE", {"block_size": "4"}, endorsers=[*voters[:2], admin])
    twice = ledger.configure("TRUST_ROOT_ADD", {"org_id": ORG9, "root": root(newcomer)}, endorsers=voters)
    assert twice.contract_result.message == (
        f"check root certificate failed,trust root already exists in orgId[{ORG9}]"
    )
    # a new root beside the old one, then alone: members of the old root are out from the next block on
    renewed = Authority.create(ORG9, NOW)
    changed(ledger, "TRUST_ROOT_ADD", {"org_id": ORG9, "root": root(renewed)}, endorsers=voters)
    assert ledger.call("T", "P", {"k": "a"}, sender=admin).code == TxStatusCode.SUCCESS
    update = {"org_id": ORG9, "root": root(renewed)}
    changed(ledger, "TRUST_ROOT_UPDATE", update, sender=admin, endorsers=[])
    with pytest.raises(InvalidBlockError, match="refine endorsements failed"):
        ledger.call("T", "P", {"k": "a"}, sender=admin)
    assert ledger.call("T", "P", {"k": "a"}, sender=_member(renewed, "admin1", "admin")).code == TxStatusCode.SUCCESS
    changed(ledger, "TRUST_ROOT_DELETE", {"org_id": ORG9}, endorsers=voters)
    with pytest.raises(InvalidBlockError, match="refine endorsements failed"):
        ledger.call("T", "P", {"k": "a"}, sender=_member(renewed, "admin1", "admin"))


def test_an_organisation_that_a_policy_names_does_not_leave_before_it(ledger):
    changed(ledger, "PERMISSION_ADD", {"T-P": permission("ANY", [], [org_name(3)])})
    refused = ledger.configure("TRUST_ROOT_DELETE", {"org_id": org_name(3)}).contract_result.message
    assert refused == f"the policy of T-P names organisations that are not of this chain: {org_name(3)}"
    changed(ledger, "PERMISSION_DELETE", {"T-P": ""})
    changed(ledger, "TRUST_ROOT_DELETE", {"org_id": org_name(3)})


def test_a_root_that_is_no_authority_is_refused(ledger, newcomer):
    leaf = newcomer.issue("x", "client", "sign", NOW).certificate_pem.decode()
    refused = ledger.configure("TRUST_ROOT_ADD", {"org_id": ORG9, "root": leaf}).contract_result.message
    assert "not that of an authority" in refused


def test_a_single_certificate_of_a_foreign_authority(ledger, newcomer):
    stranger = _member(newcomer, "guest", "client", org=org_name(2))
    pem = stranger.member.member_info.decode()
    with pytest.raises(InvalidBlockError, match="refine endorsements failed"):
        ledger.call("T", "P", {"k": "a"}, sender=stranger)
    entry = {"org_id": org_name(2), "member_info": pem, "role": "client", "node_id": OTHER_NODE}
    changed(ledger, "TRUST_MEMBER_ADD", entry)
    assert ledger.call("T", "P", {"k": "a"}, sender=stranger).code == TxStatusCode.SUCCESS
    assert ledger.configure("TRUST_MEMBER_ADD", entry).contract_result.message.endswith("already exist in chainconfig")
    changed(ledger, "TRUST_MEMBER_UPDATE", {**entry, "role": "admin"})
    identity = ledger.world.members.identify(stranger.member, ledger.time_us // 1_000_000)
    assert (identity.org_id, identity.role) == (org_name(2), "ADMIN")
    changed(ledger, "TRUST_MEMBER_DELETE", {"member_info": pem})
    with pytest.raises(InvalidBlockError, match="refine endorsements failed"):
        ledger.call("T", "P", {"k": "a"}, sender=stranger)
    assert list(Auditor(ledger.log()).blocks()) == list(range(len(ledger.blocks)))


def test_policies_are_obeyed_from_the_next_block(ledger):
    assert ledger.call("T", "P", {"k": "a"}).code == TxStatusCode.SUCCESS
    changed(ledger, "PERMISSION_ADD", {"T-P": permission("any", ["admin"], [org_name(1), org_name(2)])})
    with pytest.raises(InvalidBlockError, match=r"signers do not meet the requirement \(T-P\)"):
        ledger.call("T", "P", {"k": "a"})
    assert ledger.call("T", "P", {"k": "a"}, sender=ledger.consortium.admin(2)).code == TxStatusCode.SUCCESS
    changed(ledger, "PERMISSION_UPDATE", {"T-P": permission("FORBIDDEN")})
    with pytest.raises(InvalidBlockError, match=r"\[T-P\] is forbidden to access"):
        ledger.call("T", "P", {"k": "a"}, sender=ledger.consortium.admin(2))
    changed(ledger, "PERMISSION_DELETE", {"T-P": ""})
    assert ledger.call("T", "P", {"k": "a"}).code == TxStatusCode.SUCCESS


def test_the_rest(ledger):
    assert changed(ledger, "UPDATE_VERSION", {"block_version": "2030600"}).version == "2030600"
    assert ledger.blocks[-1].block.header.block_version == 2030600
    ledger.call("T", "P", {"k": "a"})
    assert ledger.blocks[-1].block.header.block_version == 2030600
    assert not changed(
        ledger, "MULTI_SIGN_ENABLE_MANUAL_RUN", {"multi_sign_enable_manual_run": "junk"}
    ).vm.native.multisign.enable_manual_run
    assert changed(ledger, "ENABLE_OR_DISABLE_GAS").account_config.enable_gas
    assert changed(ledger, "SET_INVOKE_BASE_GAS", {"set_invoke_base_gas": "300"}).account_config.default_gas == 300
    price = changed(ledger, "SET_INVOKE_GAS_PRICE", {"set_invoke_gas_price": "0.5"}).account_config.default_gas_price
    assert price == 0.5
    assert changed(ledger, "SET_INSTALL_BASE_GAS", {"set_install_base_gas": "7"}).account_config.install_base_gas == 7
    assert (
        changed(ledger, "SET_INSTALL_GAS_PRICE", {"set_install_gas_price": "0.25"}).account_config.install_gas_price
        == 0.25
    )
    for name, words in (
        ("set_invoke_base_gas", "invoke base gas"),
        ("set_invoke_gas_price", "invoke gas price"),
        ("set_install_base_gas", "install base gas"),
        ("set_install_gas_price", "install gas price"),
    ):
        missing = ledger.configure(name.upper(), {}).contract_result.message
        assert missing == f"set {words} failed, require param [{name}], but not found"
        junk = ledger.configure(name.upper(), {name: "abc"}).contract_result.message
        assert junk == f"set {words} failed, failed to parse default gas from param[{name}]"
    address = "AB" * 20
    assert (
        changed(ledger, "SET_ACCOUNT_MANAGER_ADMIN", {"address_key": address}).account_config.gas_admin_address
        == address.lower()
    )
    assert not changed(ledger, "ENABLE_OR_DISABLE_GAS").account_config.enable_gas


def test_only_the_creator_upgrades(ledger):
    assert ledger.install("token", supply="1").code == TxStatusCode.SUCCESS
    changed(ledger, "ENABLE_ONLY_CREATOR_UPGRADE")
    assert ledger.configure("ENABLE_ONLY_CREATOR_UPGRADE").contract_result.message == "already enabled"
    code = (ledger.blocks[-3].rw_sets[0]).tx_writes
    source = next(write.value for write in code if write.key == b"ContractByteCode:token")
    upgrade = {
        "CONTRACT_NAME": "token",
        "CONTRACT_VERSION": "2.0",
        "CONTRACT_RUNTIME_TYPE": "DOCKER_GO",
        "CONTRACT_BYTECODE": source,
    }
    refused = ledger.manage("UPGRADE_CONTRACT", upgrade)
    assert refused.contract_result.message == "only creators are allowed to upgrade contract"
    done = ledger.call(
        "CONTRACT_MANAGE",
        "UPGRADE_CONTRACT",
        upgrade,
        sender=ledger.consortium.admin(),
        endorsers=ledger.consortium.admins(),
    )
    assert done.code == TxStatusCode.SUCCESS, done.contract_result.message
    changed(ledger, "DISABLE_ONLY_CREATOR_UPGRADE")


def test_the_kinds_of_contracts_that_a_chain_runs(ledger):
    changed(ledger, "VM_SUPPORT_LIST_DEL", {"vm_type": "python"})
    assert "runs no contracts in Python" in ledger.install("token", supply="1").contract_result.message
    changed(ledger, "VM_SUPPORT_LIST_ADD", {"vm_type": " Python "})
    assert ledger.install("token", supply="1").code == TxStatusCode.SUCCESS


def test_the_kind_of_addresses_stays_whatever_the_policies_say(ledger):
    changed(ledger, "PERMISSION_ADD", {"CHAIN_CONFIG-ALTER_ADDR_TYPE": permission("ANY", ["ADMIN"])})
    refused = ledger.configure("ALTER_ADDR_TYPE", {"addr_type": "0"}).contract_result.message
    assert refused.startswith("the kind of addresses is fixed")


# Those who follow: the audit, a checkpoint


def test_the_audit_judges_members_by_the_roots_of_their_time(newcomer):
    friends = Consortium()
    sealer = friends.signer(1, "consensus1", "consensus")
    ledger = Ledger(friends, sealer=sealer)
    voters = friends.admins()
    admin = _member(newcomer, "admin1", "admin")
    changed(ledger, "TRUST_ROOT_ADD", {"org_id": ORG9, "root": root(newcomer)}, endorsers=voters)
    ledger.call("T", "P", {"k": "a"}, sender=admin)
    changed(ledger, "TRUST_ROOT_DELETE", {"org_id": ORG9}, endorsers=voters)
    auditor = Auditor(ledger.log())
    assert list(auditor.blocks()) == list(range(len(ledger.blocks)))
    # The same transaction one block later, when its organisation had left, is found out.
    forged = Ledger(friends, sealer=sealer)
    forged.time_us = ledger.time_us
    world = forged.world
    changed(forged, "TRUST_ROOT_ADD", {"org_id": ORG9, "root": root(newcomer)}, endorsers=voters)
    kept = world.members
    forged.call("T", "P", {"k": "a"}, sender=admin)
    changed(forged, "TRUST_ROOT_DELETE", {"org_id": ORG9}, endorsers=voters)
    world.members = kept
    forged.call("T", "P", {"k": "a"}, sender=admin)
    with pytest.raises(AuditError, match=r"block 4: no trust root of wx-org9"):
        list(Auditor(forged.log()).blocks())


def test_a_checkpoint_keeps_what_was_changed(ledger):
    changed(ledger, "BLOCK_UPDATE", {"tx_timeout": "777"})
    changed(ledger, "PERMISSION_ADD", {"T-P": permission("ANY", ["ADMIN"])})
    sections = {name: list(items) for name, items in dump(ledger.world)}
    again = load(sections.__getitem__)
    assert again.config == ledger.world.config
    assert again.tx_timeout == 777
    assert again.policies.rules == ledger.world.policies.rules


def test_a_checkpoint_that_is_written_later_is_of_the_height_where_it_was_taken(ledger):
    changed(ledger, "BLOCK_UPDATE", {"tx_timeout": "777"})
    sections, root = dump(ledger.world), ledger.world.commitment.tree.root
    changed(ledger, "BLOCK_UPDATE", {"tx_timeout": "778"})
    again = load({name: list(items) for name, items in sections}.__getitem__)
    assert again.tx_timeout == 777
    assert again.commitment.tree.root == root != ledger.world.commitment.tree.root


def test_ids_of_nodes():
    assert is_node_id(NODE_ID)
    assert is_node_id("QmevZk6NBok2L3mhrwakA8CskYcTWnsefdMq7qkVwktFQA")
    assert is_node_id("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp")
    for wrong in ("", "Qm", NODE_ID[:-1], NODE_ID + "1", NODE_ID.replace("m", "0", 1), "1" * 46, "x" * 500):
        assert not is_node_id(wrong)


def _member(authority: Authority, name: str, role: str, org: str = ORG9) -> Signer:
    issued = authority.issue(name, role, "sign", NOW)
    member = Member(org_id=org, member_type=MemberType.CERT, member_info=issued.certificate_pem)
    return Signer(member, SigningKey(issued.key_pem))
