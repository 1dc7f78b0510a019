"""What the doors show of transactions on the black list: that they are there, and nothing of what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.native.transaction_manager import any_listed, is_listed
from changan.ledger.wire.messages import BlockWithRWSet, TxRWSet

if TYPE_CHECKING:
    from changan.ledger.wire.messages import Transaction
    from changan.ledger.world import World

VIOLATION = "该交易违规，内容已屏蔽。"
"""ChainMaker's words in the place of everything that is hidden: the transaction broke a rule, its content is masked."""


def is_hidden(world: World, tx_id: str) -> bool:
    """Whether a transaction's content is hidden."""
    return is_listed(world.rows, tx_id)


def shown_block(world: World, stored: BlockWithRWSet) -> BlockWithRWSet:
    """Return a block as the doors show it. Its header and hashes stay; nobody can re-hash what is hidden."""
    if not any_listed(world.rows) or not any(is_hidden(world, tx.payload.tx_id) for tx in stored.block.txs):
        return stored
    shown = BlockWithRWSet.FromString(stored.SerializeToString())
    for at, tx in enumerate(shown.block.txs):
        if is_hidden(world, tx.payload.tx_id):
            _mask(tx)
            shown.txRWSets[at].CopyFrom(TxRWSet(tx_id=tx.payload.tx_id))
    del shown.contract_events[:]
    return shown


def _mask(tx: Transaction) -> None:
    tx.payload.contract_name = tx.payload.method = VIOLATION
    del tx.payload.parameters[:]
    result = tx.result.contract_result
    result.result, result.message = b"", VIOLATION
    del result.contract_event[:]
    tx.result.message = VIOLATION
