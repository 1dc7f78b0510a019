"""What each method of CHAIN_CONFIG changes in a configuration: one function a method, from its parameters.

An edit changes the configuration it is given, or raises EditError in ChainMaker's words (vm-native 2.3.7). Whether the
result may be in force is judged by `changan.ledger.config_rules`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from changan.ledger import config_members
from changan.ledger.chain_config import PROTOCOL_VERSION, block_version
from changan.ledger.config_parameters import TRUE, UINT32_MAX, EditError, account_address, boolean, text_of, unsigned
from changan.ledger.wire.messages import ConfigKeyValue, Policy, ResourcePolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.ledger.config_parameters import Edit, Parameters
    from changan.ledger.wire.messages import ChainConfig

SCHEDULER_TIMEOUT_S_MAX = 60
OLDEST_VERSION = 2301
VM_TYPES = frozenset({"wasmer", "gasm", "evm", "dockergo", "wxvm", "go", "dockerjava", "python"})
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


# Core and blocks


def core_update(config: ChainConfig, parameters: Parameters) -> None:
    """CORE_UPDATE."""
    changed = False
    for name in ("tx_scheduler_timeout", "tx_scheduler_validate_timeout"):
        if name in parameters:
            value = unsigned(text_of(parameters, name))
            if value > SCHEDULER_TIMEOUT_S_MAX:
                raise EditError("out of range")
            setattr(config.core, name, value)
            changed = True
    for name in ("enable_sender_group", "enable_conflicts_bit_window", "enable_optimize_charge_gas"):
        if name in parameters:
            if name == "enable_optimize_charge_gas" and not config.account_config.enable_gas:
                raise EditError("can not set `enable_optimize_charge_gas` flag when `enable_gas` is disabled")
            setattr(config.core, name, text_of(parameters, name) in TRUE)
            changed = True
    if not changed:
        raise EditError("params is error")


def block_update(config: ChainConfig, parameters: Parameters) -> None:
    """BLOCK_UPDATE."""
    changed = False
    for name in ("tx_timestamp_verify", "block_timestamp_verify"):
        if name in parameters:
            setattr(config.block, name, boolean(text_of(parameters, name)))
            changed = True
    for name in (
        "tx_timeout",
        "block_tx_capacity",
        "block_size",
        "block_interval",
        "tx_parameter_size",
        "block_timeout",
    ):
        if name in parameters:
            setattr(config.block, name, unsigned(text_of(parameters, name), UINT32_MAX))
            changed = True
    if not changed:
        raise EditError("params is error")


def consensus_ext_add(config: ChainConfig, parameters: Parameters) -> None:
    """CONSENSUS_EXT_ADD."""
    known = {entry.key for entry in config.consensus.ext_config}
    for name in sorted(parameters):
        if name in known:
            raise EditError(f"ext_config key[{name}] is exist")
        config.consensus.ext_config.append(ConfigKeyValue(key=name, value=text_of(parameters, name)))
    if not parameters:
        raise EditError("params is error")


def consensus_ext_update(config: ChainConfig, parameters: Parameters) -> None:
    """CONSENSUS_EXT_UPDATE: keys that are not there are passed over, but one must be."""
    found = [entry for entry in config.consensus.ext_config if entry.key in parameters]
    for entry in found:
        entry.value = text_of(parameters, entry.key)
    if not found:
        raise EditError("params is error")


def consensus_ext_delete(config: ChainConfig, parameters: Parameters) -> None:
    """CONSENSUS_EXT_DELETE."""
    entries = config.consensus.ext_config
    if not entries:
        raise EditError("ext_config is empty")
    kept = [entry for entry in entries if entry.key not in parameters]
    if len(kept) == len(entries):
        raise EditError("params is error")
    copies = [ConfigKeyValue(key=entry.key, value=entry.value) for entry in kept]
    del entries[:]
    entries.extend(copies)


def consensus_switch(config: ChainConfig, parameters: Parameters) -> None:
    """CONSENSUS_SWITCH: refused, whatever is asked."""
    wanted = text_of(parameters, "to") or "another"
    raise EditError(
        f"the consensus of a chain is chosen when it is made and is not switched on a live one (from {config.consensus.type} "
        f"to {wanted[:16]}): make a new chain with `changan cluster init`, and bring the blocks along with `changan export`"
    )


# Policies


def permission_add(config: ChainConfig, parameters: Parameters) -> None:
    """PERMISSION_ADD: name of the resource -> accesscontrol.Policy."""
    known = {entry.resource_name for entry in config.resource_policies}
    for name in sorted(parameters):
        if name in known:
            raise EditError(f"permission resource_name[{name}] is exist")
        config.resource_policies.append(ResourcePolicy(resource_name=name, policy=_policy(parameters[name])))
    if not parameters:
        raise EditError("params is error")


def permission_update(config: ChainConfig, parameters: Parameters) -> None:
    """PERMISSION_UPDATE."""
    known = {entry.resource_name: entry for entry in config.resource_policies}
    for name in sorted(parameters):
        if name not in known:
            raise EditError(f"permission resource name does not exist resource_name[{name}]")
        known[name].policy.CopyFrom(_policy(parameters[name]))
    if not parameters:
        raise EditError("params is error")


def permission_delete(config: ChainConfig, parameters: Parameters) -> None:
    """PERMISSION_DELETE: what was set goes, and the default counts again."""
    for name in sorted(parameters):
        at = next((at for at, entry in enumerate(config.resource_policies) if entry.resource_name == name), None)
        if at is None:
            raise EditError(f"permission resource name does not exist resource_name[{name}]")
        del config.resource_policies[at]
    if not parameters:
        raise EditError("params is error")


def _policy(data: bytes) -> Policy:
    try:
        policy = Policy.FromString(data)
    except DecodeError as error:
        raise EditError("policy Unmarshal err:unexpected EOF") from error
    policy.rule = policy.rule.strip().upper()
    policy.role_list[:] = [role.strip().upper() for role in policy.role_list]
    return policy


# Gas


def toggle_gas(config: ChainConfig, _: Parameters) -> None:
    """ENABLE_OR_DISABLE_GAS."""
    config.account_config.enable_gas = not config.account_config.enable_gas


def _gas_number(parameter: str, field: str, words: str, *, whole: bool) -> Edit:
    def edit(config: ChainConfig, parameters: Parameters) -> None:
        if not config.account_config.enable_gas:
            raise EditError("`enable_gas` flag is not opened")
        if parameter not in parameters:
            raise EditError(f"set {words} failed, require param [{parameter}], but not found")
        value = _whole(parameters[parameter]) if whole else _price(parameters[parameter])
        if value is None:
            raise EditError(f"set {words} failed, failed to parse default gas from param[{parameter}]")
        if value < 0:
            raise EditError("gas price should not be less than 0")
        setattr(config.account_config, field, value)

    return edit


def _whole(data: bytes) -> int | None:
    text = data.decode("utf-8", "replace")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 2**63 else None  # noqa: PLR2004


def _price(data: bytes) -> float | None:
    text = data.decode("utf-8", "replace")
    if _FLOAT.fullmatch(text) is None:
        return None
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= UINT32_MAX else None


def set_account_manager_admin(config: ChainConfig, parameters: Parameters) -> None:
    """SET_ACCOUNT_MANAGER_ADMIN: who fills gas accounts."""
    if "address_key" not in parameters:
        raise EditError(" params key address_key not exist ")
    text = text_of(parameters, "address_key")
    if not text:
        raise EditError(" params is error, param[public_key]=,")
    address = account_address(text, config.vm.addr_type)
    if address is None:
        raise EditError("account address is illegal")
    config.account_config.gas_admin_address = address


# The rest


def update_version(config: ChainConfig, parameters: Parameters) -> None:
    """UPDATE_VERSION: the protocol version from the next block on."""
    if "block_version" not in parameters:
        raise EditError("set version failed, require param [block_version], but not found")
    text = text_of(parameters, "block_version")
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > UINT32_MAX:  # noqa: PLR2004
        raise EditError("set version failed, require int format from param[block_version]")
    newest = block_version(PROTOCOL_VERSION)
    if int(text) > newest:
        raise EditError(f"set version failed, param[block_version] must less or equal {newest}")
    if int(text) < OLDEST_VERSION:
        raise EditError(f"set version failed, param[block_version] must greater or equal {OLDEST_VERSION}")
    config.version = str(int(text))


def multi_sign_manual_run(config: ChainConfig, parameters: Parameters) -> None:
    """MULTI_SIGN_ENABLE_MANUAL_RUN."""
    if "multi_sign_enable_manual_run" not in parameters:
        raise EditError("the key `multi_sign_enable_manual_run` is not found in params")
    config.vm.native.multisign.enable_manual_run = text_of(parameters, "multi_sign_enable_manual_run") in TRUE


def only_creator_upgrades(config: ChainConfig, _: Parameters) -> None:
    """ENABLE_ONLY_CREATOR_UPGRADE."""
    if config.contract.only_creator_can_upgrade:
        raise EditError("already enabled")
    config.contract.only_creator_can_upgrade = True


def anybody_upgrades(config: ChainConfig, _: Parameters) -> None:
    """DISABLE_ONLY_CREATOR_UPGRADE: those upgrade whom the policy of UPGRADE_CONTRACT admits."""
    if not config.contract.only_creator_can_upgrade:
        raise EditError("already disabled")
    config.contract.only_creator_can_upgrade = False


def alter_address_type(config: ChainConfig, parameters: Parameters) -> None:
    """ALTER_ADDR_TYPE: refused, because the accounts of every user would be out of reach."""
    del config, parameters
    raise EditError("the kind of addresses is fixed when a chain is made: every account would have another address")


def vm_support_add(config: ChainConfig, parameters: Parameters) -> None:
    """VM_SUPPORT_LIST_ADD."""
    kind = text_of(parameters, "vm_type").strip().lower()
    if kind not in VM_TYPES:
        raise EditError(f"vm type[{kind}] is not a valid vm type")
    if kind in config.vm.support_list:
        raise EditError(f"vm type[{kind}] already exist")
    config.vm.support_list.append(kind)


def vm_support_delete(config: ChainConfig, parameters: Parameters) -> None:
    """VM_SUPPORT_LIST_DEL."""
    kind = text_of(parameters, "vm_type").strip().lower()
    if kind not in config.vm.support_list:
        raise EditError(f"vm type[{kind}] not exist")
    config.vm.support_list.remove(kind)


EDITS: Mapping[str, Edit] = {
    **config_members.EDITS,
    "CORE_UPDATE": core_update,
    "BLOCK_UPDATE": block_update,
    "CONSENSUS_EXT_ADD": consensus_ext_add,
    "CONSENSUS_EXT_UPDATE": consensus_ext_update,
    "CONSENSUS_EXT_DELETE": consensus_ext_delete,
    "CONSENSUS_SWITCH": consensus_switch,
    "PERMISSION_ADD": permission_add,
    "PERMISSION_UPDATE": permission_update,
    "PERMISSION_DELETE": permission_delete,
    "ENABLE_OR_DISABLE_GAS": toggle_gas,
    "SET_INVOKE_BASE_GAS": _gas_number("set_invoke_base_gas", "default_gas", "invoke base gas", whole=True),
    "SET_INVOKE_GAS_PRICE": _gas_number("set_invoke_gas_price", "default_gas_price", "invoke gas price", whole=False),
    "SET_INSTALL_BASE_GAS": _gas_number("set_install_base_gas", "install_base_gas", "install base gas", whole=True),
    "SET_INSTALL_GAS_PRICE": _gas_number(
        "set_install_gas_price", "install_gas_price", "install gas price", whole=False
    ),
    "SET_ACCOUNT_MANAGER_ADMIN": set_account_manager_admin,
    "UPDATE_VERSION": update_version,
    "MULTI_SIGN_ENABLE_MANUAL_RUN": multi_sign_manual_run,
    "ENABLE_ONLY_CREATOR_UPGRADE": only_creator_upgrades,
    "DISABLE_ONLY_CREATOR_UPGRADE": anybody_upgrades,
    "ALTER_ADDR_TYPE": alter_address_type,
    "VM_SUPPORT_LIST_ADD": vm_support_add,
    "VM_SUPPORT_LIST_DEL": vm_support_delete,
}
