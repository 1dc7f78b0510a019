"""Which module answers for which system contract, and what is said for those that this node does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.native import (
    account_manager,
    bls_clients,
    cert_manage,
    chain_config,
    contract_manage,
    multi_sign,
    probe,
    pubkey_manage,
    transaction_manager,
)
from changan.ledger.native.call import NativeError
from changan.ledger.system import LANE, SystemContract
from changan.ledger.wire.messages import TxStatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.ledger.native.call import Method

_ABSENT: Mapping[str, str] = {
    SystemContract.PRIVATE_COMPUTE: "enclaves (private computing between organisations is done with `changan job`)",
    SystemContract.DPOS_ERC20: "delegated proof of stake",
    SystemContract.DPOS_STAKE: "delegated proof of stake",
    SystemContract.GOVERNANCE: "the governance contract of early versions",
    SystemContract.CROSS_TRANSACTION: "cross-chain transactions",
    SystemContract.RELAY_CROSS: "cross-chain gateways",
}


def native_method(contract: str, name: str) -> Method:
    """Return the method of a system contract. Raises NativeError in ChainMaker's words, or saying what this node lacks."""
    built = _BUILT.get(contract)
    if built is None:
        lacks = _ABSENT.get(contract)
        text = f"this node is one without {lacks}" if lacks else f"{contract} has no methods to call"
        raise NativeError(f"{text}: {contract}-{name} changed nothing")
    found = built.get(name)
    if found is None:
        raise NativeError("the method does not found", TxStatusCode.CONTRACT_FAIL)
    return found


_BUILT: Mapping[str, Mapping[str, Method]] = {
    SystemContract.CHAIN_CONFIG: chain_config.METHODS,
    SystemContract.CERT_MANAGE: cert_manage.METHODS,
    SystemContract.CONTRACT_MANAGE: contract_manage.METHODS,
    SystemContract.PUBKEY_MANAGE: pubkey_manage.METHODS,
    SystemContract.ACCOUNT_MANAGER: account_manager.METHODS,
    SystemContract.MULTI_SIGN: multi_sign.methods(native_method),
    SystemContract.TRANSACTION_MANAGER: transaction_manager.METHODS,
    SystemContract.T: probe.METHODS,
    LANE: bls_clients.METHODS,
}
