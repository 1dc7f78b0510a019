"""T, ChainMaker's test contract: put, get and delete a key, or do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.system import SystemContract

if TYPE_CHECKING:
    from changan.ledger.native.call import NativeCall

_NAME = SystemContract.T.value


def _put(call: NativeCall) -> bytes:
    key = call.text("k")
    if key:
        call.overlay.put(_NAME, key, call.parameters.get("v") or None)
    return b""


def _get(call: NativeCall) -> bytes:
    return call.overlay.get(_NAME, call.text("k")) or b""


def _delete(call: NativeCall) -> bytes:
    call.overlay.put(_NAME, call.text("k"), None)
    return b""


def _nothing(call: NativeCall) -> bytes:
    del call
    return b""


METHODS = {"P": _put, "G": _get, "D": _delete, "N": _nothing}
