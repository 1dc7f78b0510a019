"""The system contracts: their names and numbers, in the order in which genesis writes them."""

from __future__ import annotations

from enum import StrEnum, unique


@unique
class SystemContract(StrEnum):
    """Names of contracts that live in the node itself. The order is that of ChainMaker's numbers, and of genesis."""

    CHAIN_CONFIG = "CHAIN_CONFIG"
    CHAIN_QUERY = "CHAIN_QUERY"
    CERT_MANAGE = "CERT_MANAGE"
    GOVERNANCE = "GOVERNANCE"
    MULTI_SIGN = "MULTI_SIGN"
    CONTRACT_MANAGE = "CONTRACT_MANAGE"
    PRIVATE_COMPUTE = "PRIVATE_COMPUTE"
    DPOS_ERC20 = "DPOS_ERC20"
    DPOS_STAKE = "DPOS_STAKE"
    SUBSCRIBE_MANAGE = "SUBSCRIBE_MANAGE"
    ARCHIVE_MANAGE = "ARCHIVE_MANAGE"
    CROSS_TRANSACTION = "CROSS_TRANSACTION"
    PUBKEY_MANAGE = "PUBKEY_MANAGE"
    ACCOUNT_MANAGER = "ACCOUNT_MANAGER"
    RELAY_CROSS = "RELAY_CROSS"
    TRANSACTION_MANAGER = "TRANSACTION_MANAGER"
    T = "T"


ALONE = frozenset(
    {
        SystemContract.CHAIN_CONFIG,
        SystemContract.CERT_MANAGE,
        SystemContract.PUBKEY_MANAGE,
        SystemContract.CONTRACT_MANAGE,
        SystemContract.MULTI_SIGN,
    }
)
"""Contracts all of whose transactions are alone in their block: what holds for a block is settled by the block before."""

LANE = "CHANGAN.BLS"
"""Our own contract of the distilled lane: who takes part in it, and with which BLS key. No installed contract has a dot in its
name."""

_ALONE_METHODS = frozenset(
    {
        (SystemContract.ACCOUNT_MANAGER.value, "SET_ADMIN"),
        (SystemContract.ACCOUNT_MANAGER.value, "SET_CONTRACT_METHOD_PAYER"),
        (SystemContract.ACCOUNT_MANAGER.value, "UNSET_CONTRACT_METHOD_PAYER"),
        (LANE, "REVOKE"),
    }
)


def is_alone(contract: str, method: str) -> bool:
    """Whether a transaction to this method is alone in its block, because it may change what holds for the next."""
    return contract in ALONE or (contract, method) in _ALONE_METHODS


OWN = "CHANGAN"
"""The name that owns the rows of the ledger itself, and under which a node answers what ChainMaker has no question for:
rows of a field, their history. No contract can have it.
"""
QUERY_MANY = "QUERY_MANY"
"""OWN's query that asks a view of a contract once for each row of a bundle's columns."""
SETTLE = "SETTLE"
"""OWN's one method that is invoked: a node sends it when the state tree is behind and nothing else waits."""
