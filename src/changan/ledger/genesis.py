"""Block 0: one transaction that carries the configuration. Every node of a chain makes the same one.

Source: ChainMaker 2.3.7, utils/v2/genesis.go; its tx_root and rw_set_root are re-computed from recorded chains in the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.chain_config import chain_digest, text_form
from changan.ledger.contracts import OWNER, record_key, system_record
from changan.ledger.hashing import rw_set_hash
from changan.ledger.state import Write
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import (
    ContractResult,
    KeyValuePair,
    Payload,
    Result,
    Transaction,
    TxRWSet,
    TxWrite,
)

if TYPE_CHECKING:
    from changan.ledger.wire.messages import ChainConfig

GENESIS_TIME = 1606669261
"""Seconds; ChainMaker gives every chain this time, and makes the transaction's id from it."""
GENESIS_TX_ID = "ce6c57b969e84054b7c87bfe5113f615" * 2


def genesis_writes(config: ChainConfig) -> list[Write]:
    """Return the rows that genesis writes, in its own order."""
    name = SystemContract.CHAIN_CONFIG.value
    writes = [Write(name, name, config.SerializeToString())]
    for contract in SystemContract:
        disabled = contract.value in config.contract.disabled_native_contract
        record = system_record(contract.value, config.vm.addr_type, disabled=disabled)
        writes += [Write(OWNER, record_key(key), record.SerializeToString()) for key in (record.name, record.address)]
    return writes


def genesis_rw_set(writes: list[Write]) -> TxRWSet:
    """Return the read-write set of the genesis transaction."""
    return TxRWSet(
        tx_id=GENESIS_TX_ID,
        tx_writes=[TxWrite(key=w.key.encode(), value=w.value or b"", contract_name=w.contract) for w in writes],
    )


def genesis_transaction(config: ChainConfig) -> tuple[Transaction, TxRWSet, list[Write]]:
    """Return the transaction of block 0, its read-write set, and the rows it writes."""
    writes = genesis_writes(config)
    rw_set = genesis_rw_set(writes)
    payload = Payload(
        chain_id=config.chain_id,
        tx_id=GENESIS_TX_ID,
        timestamp=GENESIS_TIME,
        contract_name=SystemContract.CHAIN_CONFIG.value,
        method="Genesis",
        parameters=[KeyValuePair(key=SystemContract.CHAIN_CONFIG.value, value=text_form(config).encode())],
    )
    result = Result(
        contract_result=ContractResult(result=config.SerializeToString()),
        rw_set_hash=rw_set_hash(rw_set, chain_digest(config)),
    )
    return Transaction(payload=payload, result=result), rw_set, writes
