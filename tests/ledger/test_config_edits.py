"""The edits of CHAIN_CONFIG one by one: numbers read as Go reads them, words of every refusal, and a model of what is listed."""

from __future__ import annotations

import math

import pytest
from config_editing import edit
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto.node_ids import node_id
from changan.errors import MalformedError
from changan.ledger.chain_config import PUBLIC_ORGANISATION, Mode, block_version
from changan.ledger.config_parameters import EditError, account_address, boolean, listed, text_of, unsigned
from changan.ledger.config_rules import POLICIES_MAX, ConfigError, check_config
from changan.ledger.wire.messages import ChainConfig, Policy, ResourcePolicy, TrustMemberConfig
from consortium import NODE_ID, START, org_name

ORG, OTHER = org_name(1), org_name(2)
NODES = [node_id(f"node {number}".encode()) for number in range(4)]


@pytest.fixture
def config(consortium) -> ChainConfig:
    return consortium.config()


def checked(config: ChainConfig, change) -> str:
    """Change a copy; return why it may not follow the configuration."""
    after = ChainConfig.FromString(config.SerializeToString())
    change(after)
    try:
        check_config(config, after, START)
    except ConfigError as error:
        return str(error)
    return ""


# Numbers, truth values, addresses


@given(st.integers(0, 2**70), st.integers(0, 3))
def test_numbers_as_parse_uint_reads_them(number, zeros):
    text = "0" * zeros + str(number)
    if number < 2**64:
        assert unsigned(text) == number
    else:
        with pytest.raises(EditError) as caught:
            unsigned(text)
        assert str(caught.value) == f'strconv.ParseUint: parsing "{text}": value out of range'


@pytest.mark.parametrize("text", ["", " 1", "1 ", "+1", "-1", "1_000", "0x10", "1e3", "1.0", "１", "٣", "²", "a" * 100])
def test_what_is_no_number(text):
    with pytest.raises(EditError) as caught:
        unsigned(text)
    assert str(caught.value) == f'strconv.ParseUint: parsing "{text[:64]}": invalid syntax'


@pytest.mark.parametrize("digits", [32, 33, 100, 5000])
def test_a_number_of_many_digits_is_not_worked_out(digits):
    assert unsigned("0" * 31 + "7") == 7
    with pytest.raises(EditError, match="value out of range"):
        unsigned("9" * digits)
    if digits > 32:
        with pytest.raises(EditError, match="value out of range"):
            unsigned("0" * digits)


def test_truth_as_parse_bool_reads_it():
    assert [boolean(text) for text in ("1", "t", "T", "TRUE", "true", "True")] == [True] * 6
    assert [boolean(text) for text in ("0", "f", "F", "FALSE", "false", "False")] == [False] * 6
    for text in ("", "tRUE", "yes", "2", " true", "真", "x" * 99):
        with pytest.raises(EditError) as caught:
            boolean(text)
        assert str(caught.value) == f'strconv.ParseBool: parsing "{text[:64]}": invalid syntax'


def test_a_parameter_that_is_no_text():
    assert text_of({}, "a") == ""
    assert text_of({"a": "字".encode()}, "a") == "字"
    with pytest.raises(EditError, match=r"^params is error, param\[a\] is not UTF-8$"):
        text_of({"a": b"\xff"}, "a")


@pytest.mark.parametrize(
    ("text", "plain", "zxl"),
    [
        ("ab" * 20, "ab" * 20, None),
        ("AB" * 20, "ab" * 20, None),
        ("0x" + "ab" * 20, "ab" * 20, None),
        ("0X" + "AB" * 20, "ab" * 20, None),
        ("0x0x" + "ab" * 20, None, None),
        ("ZX" + "ab" * 20, None, "ZX" + "ab" * 20),
        ("ZX" + "AB" * 20, None, "ZX" + "ab" * 20),
        ("zx" + "ab" * 20, None, None),
        ("ZX0x" + "ab" * 20, None, None),
        ("ab" * 19, None, None),
        ("ab" * 21, None, None),
        ("ab" * 20 + "\n", None, None),
        (" " + "ab" * 20, None, None),
        ("zz" * 20, None, None),
        ("", None, None),
    ],
)
def test_addresses_of_accounts(text, plain, zxl):
    assert [account_address(text, kind) for kind in (0, 1, 2)] == [plain, zxl, plain]


@given(st.lists(st.text("abc ", max_size=4), max_size=6))
def test_a_joined_list_is_its_parts_without_blanks(parts):
    assert listed(",".join(parts)) == [part.strip() for part in parts if part.strip()]


# Gas


GAS = [
    ("SET_INVOKE_BASE_GAS", "set_invoke_base_gas", "invoke base gas", "default_gas"),
    ("SET_INSTALL_BASE_GAS", "set_install_base_gas", "install base gas", "install_base_gas"),
    ("SET_INVOKE_GAS_PRICE", "set_invoke_gas_price", "invoke gas price", "default_gas_price"),
    ("SET_INSTALL_GAS_PRICE", "set_install_gas_price", "install gas price", "install_gas_price"),
]


@pytest.mark.parametrize(("method", "parameter", "words", "field"), GAS)
def test_gas_settings(config, method, parameter, words, field):
    assert edit(config, method, **{parameter: "5"}) == "`enable_gas` flag is not opened"
    assert edit(config, "ENABLE_OR_DISABLE_GAS") == ""
    assert edit(config, method) == f"set {words} failed, require param [{parameter}], but not found"
    for text in ("0", "7", "65536"):
        assert edit(config, method, **{parameter: text}) == ""
        assert getattr(config.account_config, field) == float(text)
    before = config.SerializeToString()
    for bad in ("", "x", "1,5", "1_0", "inf", "nan", "NaN", "1e9999", "0x1p3", "１", "1e99999", b"\xff", " 1"):
        words_of_it = f"set {words} failed, failed to parse default gas from param[{parameter}]"
        assert edit(config, method, **{parameter: bad}) == words_of_it
    assert config.SerializeToString() == before
    assert edit(config, "ENABLE_OR_DISABLE_GAS") == ""
    assert edit(config, method, **{parameter: "5"}) == "`enable_gas` flag is not opened"


@given(st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(["1e3", ".5", "5.", "+2", "-0", "1E-3"]))
def test_a_price_is_the_nearest_float_that_the_field_has(number):
    config = ChainConfig()
    config.account_config.enable_gas = True
    text = str(number)
    said = edit(config, "SET_INVOKE_GAS_PRICE", set_invoke_gas_price=text)
    value = float(text)
    if not math.isfinite(value) or abs(value) > 2**32 - 1:
        assert said.startswith("set invoke gas price failed, failed to parse")
    elif value < 0:
        assert said == "gas price should not be less than 0"
    else:
        assert said == ""
        assert math.isclose(config.account_config.default_gas_price, value, rel_tol=1e-6, abs_tol=1e-40)


@pytest.mark.parametrize(("text", "kept"), [("9" * 18, 10**18 - 1), (str(2**63 - 1), 2**63 - 1), ("0007", 7)])
def test_a_whole_amount_up_to_what_an_account_can_hold(text, kept):
    config = ChainConfig()
    config.account_config.enable_gas = True
    assert edit(config, "SET_INVOKE_BASE_GAS", set_invoke_base_gas=text) == ""
    assert config.account_config.default_gas == kept
    for more in (str(2**63), "0" * 21, "-1", "1.0"):
        assert "failed to parse" in edit(config, "SET_INVOKE_BASE_GAS", set_invoke_base_gas=more)


def test_who_fills_gas_accounts(config):
    assert edit(config, "SET_ACCOUNT_MANAGER_ADMIN", address_key="") == " params is error, param[public_key]=,"
    assert edit(config, "SET_ACCOUNT_MANAGER_ADMIN", address_key="0x" + "AB" * 20) == ""
    assert config.account_config.gas_admin_address == "ab" * 20
    assert edit(config, "SET_ACCOUNT_MANAGER_ADMIN", address_key="ZX" + "ab" * 20) == "account address is illegal"


# Core, blocks and versions


def test_core_settings_change_what_they_name(config):
    assert edit(config, "CORE_UPDATE", tx_scheduler_timeout="60", tx_scheduler_validate_timeout="0") == ""
    assert (config.core.tx_scheduler_timeout, config.core.tx_scheduler_validate_timeout) == (60, 0)
    assert edit(config, "CORE_UPDATE", enable_sender_group="T", enable_conflicts_bit_window="no") == ""
    assert (config.core.enable_sender_group, config.core.enable_conflicts_bit_window) == (True, False)
    assert edit(config, "CORE_UPDATE", tx_scheduler_validate_timeout="61") == "out of range"
    assert edit(config, "CORE_UPDATE", other="1") == "params is error"
    config.account_config.enable_gas = True
    assert edit(config, "CORE_UPDATE", enable_optimize_charge_gas="true") == ""
    assert config.core.enable_optimize_charge_gas


@pytest.mark.parametrize(
    "name", ["tx_timeout", "block_tx_capacity", "block_size", "block_interval", "tx_parameter_size", "block_timeout"]
)
def test_block_settings_hold_thirty_two_bits(config, name):
    assert edit(config, "BLOCK_UPDATE", **{name: str(2**32 - 1)}) == ""
    assert getattr(config.block, name) == 2**32 - 1
    assert edit(config, "BLOCK_UPDATE", **{name: str(2**32)}).endswith("value out of range")


@pytest.mark.parametrize(
    ("name", "least", "most", "less", "more"),
    [
        ("tx_timeout", 600, 86_400, "txTimeout less than 600, txTimeout is 599", "txTimeout more than 86400, txTimeout is 86401"),
        ("block_tx_capacity", 1, 100_000, "blockTxCapacity less than 1, blockTxCapacity is 0", "blockTxCapacity more than 100000, blockTxCapacity is 100001"),
        ("block_size", 1, 100, "blockSize less than 1, blockSize is 0", "blockSize more than 100, blockSize is 101"),
    ],
)  # fmt: skip
def test_bounds_of_block_settings(config, name, least, most, less, more):
    for value, words in ((least, ""), (most, ""), (least - 1, less), (most + 1, more)):
        assert checked(config, lambda after, value=value: setattr(after.block, name, value)) == words


def test_a_bound_that_a_chain_was_made_with_stays_as_it_is(config):
    config.block.tx_timeout, config.block.block_interval = 60, 3
    assert checked(config, lambda after: setattr(after.block, "block_size", 50)) == ""
    assert "txTimeout less than 600" in checked(config, lambda after: setattr(after.block, "tx_timeout", 61))
    assert "[10,10000], blockInterval is 4" in checked(config, lambda after: setattr(after.block, "block_interval", 4))


def test_a_verified_time_needs_a_bound_that_can_be_kept(config):
    def verified(seconds):
        def change(after):
            after.block.block_timestamp_verify, after.block.block_timeout = True, seconds

        return change

    assert checked(config, verified(10)) == ""
    assert checked(config, verified(9)) == "chain config error"


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("2030700", 2030700),
        ("v2.3.7", 2030700),
        ("2.3.7", 2030700),
        ("v2.3.1", 2030100),
        ("v2.4.0", 2040001),
        ("v2.3.0", 2301),
        ("v2.2.1", 2211),
        ("v2.2.0", 2201),
        ("v2.1.0", 20),
        ("v1.0.0", 20),
        ("v3.0.1", 3000100),
    ],
)
def test_versions_as_block_headers_carry_them(version, number):
    assert block_version(version) == number


@pytest.mark.parametrize(
    "version", ["", "v", "2.3", "v2.3.7.1", "v2.3.x", "２.３.７", "V2.3.7", " 2030700", "v2.3.7\n"]
)
def test_what_is_no_version(version):
    with pytest.raises(MalformedError, match=r"is neither a number such as 2030700 nor of the form v2\.3\.7"):
        block_version(version)


# Who belongs to the chain


def test_trust_roots_of_an_organisation(config):
    assert edit(config, "TRUST_ROOT_ADD", org_id="new", root="a,b") == ""
    assert edit(config, "TRUST_ROOT_ADD", org_id="new", root="c") == ""
    assert list(config.trust_roots[-1].root) == ["a", "b", "c"]
    assert edit(config, "TRUST_ROOT_UPDATE", org_id="new", root="d") == ""
    assert list(config.trust_roots[-1].root) == ["d"]
    in_use = "update trust root cert failed,you must delete all consensus nodes under the organization first"
    assert edit(config, "TRUST_ROOT_UPDATE", org_id=ORG, root="d") == in_use
    assert edit(config, "TRUST_ROOT_UPDATE", org_id="no", root="d") == "params is error can not found orgId[no]"
    missing = "params is error, add trust root cert require param [org_id, root]  not found"
    assert edit(config, "TRUST_ROOT_UPDATE", org_id=" ", root="d") == missing
    assert edit(config, "TRUST_ROOT_DELETE", org_id="new") == ""
    assert [root.org_id for root in config.trust_roots] == [org_name(number) for number in range(1, 5)]


def test_administrators_of_a_public_chain():
    config = ChainConfig(auth_type=Mode.PUBLIC.value)
    config.trust_roots.add(org_id=PUBLIC_ORGANISATION, root=["k1", "k2"])

    def delete(**parameters) -> str:
        return edit(config, "TRUST_ROOT_DELETE", org_id=PUBLIC_ORGANISATION, **parameters)

    assert delete() == "delete trust root failed, require param [root], but not found"
    assert delete(root="k3") == "delete trust root failed, root not found, root: k3"
    assert delete(root="k1") == ""
    assert list(config.trust_roots[0].root) == ["k2"]
    assert delete(root="k2") == "delete trust root failed, can't delete all TrustRoot"
    assert list(config.trust_roots[0].root) == ["k2"]


def test_trust_members(config):
    one = {"org_id": "far", "member_info": "PEM", "role": "client", "node_id": "n"}
    for left_out in one:
        words = "params is error, add trust member require param [org_id, member_info,role,node_id] not found"
        assert edit(config, "TRUST_MEMBER_ADD", **one | {left_out: ""}) == words
    assert (
        edit(config, "TRUST_MEMBER_UPDATE", **one)
        == "update trust member failed, param [PEM] not found from TrustMembers"
    )
    assert edit(config, "TRUST_MEMBER_ADD", **one) == ""
    again = "params is error, add trsut member failed, the memberinfo[PEM] already exist in chainconfig"
    assert edit(config, "TRUST_MEMBER_ADD", **one | {"org_id": "other"}) == again
    assert edit(config, "TRUST_MEMBER_UPDATE", **one | {"org_id": "near", "role": "admin"}) == ""
    assert list(config.trust_members) == [
        TrustMemberConfig(org_id="near", member_info="PEM", role="admin", node_id="n")
    ]
    assert edit(config, "TRUST_MEMBER_DELETE") == "delete trust member failed, require param [node_id], but not found"
    assert edit(config, "TRUST_MEMBER_DELETE", member_info="PEM") == ""
    assert not config.trust_members


def test_consensus_nodes_word_for_word(config):
    for method, words in (
        ("NODE_ID_UPDATE", "update node id failed, require param [org_id, node_id, new_node_id], but not found"),
        ("NODE_ID_DELETE", "delete node id failed, require param [org_id, node_id], but not found"),
        ("NODE_ORG_ADD", "add node org failed, require param [org_id, node_ids], but not found"),
        ("NODE_ORG_UPDATE", "update node org failed, require param [org_id, node_ids], but not found"),
        ("NODE_ORG_DELETE", "delete node org failed, require param [org_id], but not found"),
    ):
        assert edit(config, method) == words
    gone = f"update node id failed, param orgId[{ORG}] addr[{NODES[0]}] not found from nodes"
    assert edit(config, "NODE_ID_UPDATE", org_id=ORG, node_id=NODES[0], new_node_id=NODES[1]) == gone
    nowhere = f"delete node id failed, param orgId[{OTHER}] not found from nodes"
    assert edit(config, "NODE_ID_DELETE", org_id=OTHER, node_id=NODE_ID) == nowhere
    assert edit(config, "NODE_ORG_ADD", org_id=OTHER, node_ids=" , ,") == "params is error"
    assert edit(config, "NODE_ORG_UPDATE", org_id=ORG, node_ids=",") == "params is error"
    unknown = f"update node org failed, param orgId[{OTHER}] not found from nodes"
    assert edit(config, "NODE_ORG_UPDATE", org_id=OTHER, node_ids=NODES[0]) == unknown
    assert edit(config, "NODE_ORG_ADD", org_id=OTHER, node_ids=NODES[0]) == ""
    assert (
        edit(config, "NODE_ORG_DELETE", org_id="no") == "delete node org failed, param orgId[no] not found from nodes"
    )


def test_nodes_stand_once_and_belong_to_an_organisation(config):
    def with_node(org, *ids):
        return lambda after: after.consensus.nodes.add(org_id=org, node_id=ids)

    assert checked(config, with_node(OTHER, NODES[0])) == ""
    assert checked(config, with_node(ORG, NODES[0])) == f"org id({ORG}) existed"
    assert checked(config, with_node("no", NODES[0])) == "org id(no) not in trust roots config"
    assert checked(config, with_node(OTHER, NODE_ID)) == "node id existed"
    assert checked(config, with_node(OTHER, NODES[0], NODES[0])) == "node id existed"
    assert checked(config, with_node(OTHER, "junk")) == "wrong node id set"
    assert checked(config, lambda after: after.consensus.ClearField("nodes")) == "there is at least one consensus node"


# Policies as a whole


def policy(rule_text: str, roles=(), organisations=()) -> Policy:
    return Policy(rule=rule_text, role_list=roles, org_list=organisations)


def test_a_chain_has_so_many_policies_and_each_once(config):
    def many(count):
        def change(after):
            after.resource_policies.extend(
                ResourcePolicy(resource_name=f"T-{number}", policy=policy("ANY")) for number in range(count)
            )

        return change

    room = POLICIES_MAX - len(config.resource_policies)
    assert checked(config, many(room)) == ""
    assert checked(config, many(room + 1)) == f"{POLICIES_MAX + 1} policies, at most {POLICIES_MAX} are allowed"
    again = config.resource_policies[0]
    assert checked(config, lambda after: after.resource_policies.append(again)) == "resource name duplicate"


@pytest.mark.parametrize("text", ["5", " 5 ", "05", "999999999"])
def test_the_way_back_cannot_ask_for_more_than_there_are(config, text):
    entry = ResourcePolicy(resource_name="CHAIN_CONFIG-PERMISSION_UPDATE", policy=policy(text))
    words = f"CHAIN_CONFIG-PERMISSION_UPDATE asks for {text.strip()} signatures, and there are 4 to give them"
    assert checked(config, lambda after: after.resource_policies.append(entry)) == words


@pytest.mark.parametrize(
    ("text", "read"), [("１", None), ("٣", None), ("4", "4"), ("1/２", None), (" majority\n", "MAJORITY")]
)
def test_a_rule_is_written_in_ascii(config, text, read):
    """Which digits there are beside ASCII's differs between releases of Python, so nodes could disagree."""
    entry = ResourcePolicy(resource_name="T-P", policy=policy(text))
    said = checked(config, lambda after: after.resource_policies.append(entry))
    assert said == ("" if read else f"bad configuration: unsupported rule [{text}] for T-P")


def test_self_means_nothing_without_organisations():
    config = ChainConfig(auth_type=Mode.PUBLIC.value)
    entry = ResourcePolicy(resource_name="CHAIN_CONFIG-TRUST_ROOT_UPDATE", policy=policy("SELF"))
    from changan.ledger.config_rules import _check_policies

    config.trust_roots.add(org_id=PUBLIC_ORGANISATION, root=["k1"])
    config.resource_policies.append(entry)
    with pytest.raises(ConfigError, match="cannot be SELF: a public chain has no organisations"):
        _check_policies(config, {PUBLIC_ORGANISATION}, Mode.PUBLIC)
    _check_policies(config, {PUBLIC_ORGANISATION}, Mode.KEYS)
