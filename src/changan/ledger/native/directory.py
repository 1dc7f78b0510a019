"""Which module answers for which system contract, and what is said for those that are not built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.native import cert_manage, chain_config, contract_manage, probe
from changan.ledger.native.call import NativeError
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import TxStatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.ledger.native.call import Method

_BUILT: Mapping[str, Mapping[str, Method]] = {
    SystemContract.CHAIN_CONFIG: chain_config.METHODS,
    SystemContract.CERT_MANAGE: cert_manage.METHODS,
    SystemContract.CONTRACT_MANAGE: contract_manage.METHODS,
    SystemContract.T: probe.METHODS,
}
_KNOWN_LATER = {
    SystemContract.CHAIN_CONFIG: [
        "CORE_UPDATE",
        "BLOCK_UPDATE",
        "TRUST_ROOT_ADD",
        "TRUST_ROOT_UPDATE",
        "TRUST_ROOT_DELETE",
        "NODE_ADDR_ADD",
        "NODE_ADDR_UPDATE",
        "NODE_ADDR_DELETE",
        "NODE_ORG_ADD",
        "NODE_ORG_UPDATE",
        "NODE_ORG_DELETE",
        "CONSENSUS_EXT_ADD",
        "CONSENSUS_EXT_UPDATE",
        "CONSENSUS_EXT_DELETE",
        "PERMISSION_ADD",
        "PERMISSION_UPDATE",
        "PERMISSION_DELETE",
        "NODE_ID_ADD",
        "NODE_ID_UPDATE",
        "NODE_ID_DELETE",
        "TRUST_MEMBER_ADD",
        "TRUST_MEMBER_UPDATE",
        "TRUST_MEMBER_DELETE",
        "ALTER_ADDR_TYPE",
        "ENABLE_OR_DISABLE_GAS",
        "SET_INVOKE_BASE_GAS",
        "SET_INVOKE_GAS_PRICE",
        "SET_INSTALL_BASE_GAS",
        "SET_INSTALL_GAS_PRICE",
        "SET_ACCOUNT_MANAGER_ADMIN",
        "UPDATE_VERSION",
        "MULTI_SIGN_ENABLE_MANUAL_RUN",
        "ENABLE_ONLY_CREATOR_UPGRADE",
        "DISABLE_ONLY_CREATOR_UPGRADE",
        "CONSENSUS_SWITCH",
        "DPOS_NODE_ID_UPDATE",
        "SET_ETH_CONFIG",
        "VM_SUPPORT_LIST_ADD",
    ],
    SystemContract.CONTRACT_MANAGE: [
        "GRANT_CONTRACT_ACCESS",
        "REVOKE_CONTRACT_ACCESS",
        "VERIFY_CONTRACT_ACCESS",
        "INIT_NEW_NATIVE_CONTRACT",
    ],
}


def native_method(contract: str, name: str) -> Method:
    """Return the method of a system contract. Raises NativeError in ChainMaker's words, or saying what is not built."""
    built = _BUILT.get(SystemContract(contract))
    if built is None:
        raise NativeError(f"{contract} is not built into this node yet; nothing was changed")
    found = built.get(name)
    if found is None:
        if name in _KNOWN_LATER.get(SystemContract(contract), ()):
            raise NativeError(f"{contract}-{name} is not built into this node yet; nothing was changed")
        raise NativeError("the method does not found", TxStatusCode.CONTRACT_FAIL)
    return found
