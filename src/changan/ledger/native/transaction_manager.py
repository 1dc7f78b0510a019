"""TRANSACTION_MANAGER: a black list of transactions, whose content nobody is shown any more. The chain itself keeps them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from changan.ledger.gas import address_text
from changan.ledger.native.call import NativeCall, NativeError
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import ContractEvent

if TYPE_CHECKING:
    from changan.ledger.native.call import Method
    from changan.ledger.state import Rows

_NAME = SystemContract.TRANSACTION_MANAGER.value
_PREFIX = "blacklistTxIds@"
_LISTED = b"1"
_ADDED, _DELETED = "100", "101"
"""Topics of the events, ChainMaker's numbers of them (msgbus)."""
AT_ONCE_MAX = 100
_TX_ID_CHARACTERS_MAX = 64


def is_listed(rows: Rows, tx_id: str) -> bool:
    """Whether a transaction stands on the black list."""
    return rows.get(_NAME, _PREFIX + tx_id) == _LISTED


def any_listed(rows: Rows) -> bool:
    """Whether any transaction stands on the black list."""
    return rows.count(_NAME) > 0


def _ids(call: NativeCall) -> list[str]:
    text = call.text("txIds")
    if not text:
        raise NativeError("the key `txIds` is not found in params")
    ids = text.split(",")
    if len(ids) > AT_ONCE_MAX:
        raise NativeError("the key `txIds` batch operation tx id exceeds 100")
    if any(not 1 <= len(tx_id) <= _TX_ID_CHARACTERS_MAX for tx_id in ids):
        raise NativeError("the txId length is invalid, must 1-64")
    return ids


def _change(call: NativeCall, value: bytes | None, topic: str) -> bytes:
    config = call.world.config
    if config.account_config.gas_admin_address != address_text(call.sender.address, config.vm.addr_type):
        raise NativeError("sender not gas admin")
    ids = _ids(call)
    for tx_id in ids:
        call.overlay.put(_NAME, _PREFIX + tx_id, value)
    call.events.append(
        ContractEvent(
            topic=topic,
            tx_id=call.payload.tx_id,
            contract_name=_NAME,
            contract_version="0",
            event_data=[config.chain_id, *ids],
        )
    )
    call.message = ""
    return b"ok"


def _add(call: NativeCall) -> bytes:
    return _change(call, _LISTED, _ADDED)


def _delete(call: NativeCall) -> bytes:
    return _change(call, None, _DELETED)


def _get(call: NativeCall) -> bytes:
    found = [(call.overlay.get(_NAME, _PREFIX + tx_id) or b"").decode() for tx_id in _ids(call)]
    call.message = ""
    return json.dumps(found, separators=(",", ":")).encode()


METHODS: dict[str, Method] = {
    "ADD_BLACKLIST_TX_IDS": _add,
    "DELETE_BLACKLIST_TX_IDS": _delete,
    "GET_BLACKLIST_TX_IDS": _get,
}
