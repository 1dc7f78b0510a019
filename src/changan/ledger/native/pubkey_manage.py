"""PUBKEY_MANAGE: keys are registered under an organisation with a role, and taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.crypto.key_forms import read_public_key
from changan.crypto.suite import UnadmittedError, require_admitted
from changan.errors import UnverifiedError
from changan.ledger.chain_config import admitted_suites
from changan.ledger.key_members import key_row
from changan.ledger.native.call import NativeCall, NativeError
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import ContractEvent, PKInfo

if TYPE_CHECKING:
    from changan.crypto.keys import PublicKey
    from changan.ledger.native.call import Method
    from changan.ledger.state import Rows

_NAME = SystemContract.PUBKEY_MANAGE.value
_ROLES = frozenset({"CLIENT", "LIGHT", "COMMON"})
_ADDED, _DELETED = "23", "24"
"""Topics of the events, ChainMaker's numbers of them (msgbus)."""


def read_keys(rows: Rows) -> dict[str, PKInfo]:
    """Return the registered keys by row key, from the committed rows."""
    return {row: PKInfo.FromString(value) for row, value in rows.under(_NAME, "")}


def _key(call: NativeCall, doing: str) -> PublicKey:
    if not call.text("pubkey").strip():
        raise NativeError(f"params is error, param[pubkey] of {doing}Pubkey not found")
    try:
        return read_public_key(call.parameters["pubkey"])
    except UnverifiedError as error:
        raise NativeError(str(error)) from error


def _organisation(call: NativeCall, doing: str) -> str:
    org_id = call.text("org_id")
    if not org_id.strip():
        raise NativeError(f"params is error, param[org_id] of {doing}Pubkey not found")
    return org_id


def _add(call: NativeCall) -> bytes:
    org_id = _organisation(call, "Add")
    role = call.text("role")
    if not role.strip():
        raise NativeError("params is error, param[role] of AddPubkey not found")
    if role.upper() not in _ROLES:
        raise NativeError(f"params is error, illegal param[role] of AddPubkey: {role}")
    key = _key(call, "Add")
    try:
        require_admitted(key, admitted_suites(call.world.config))
    except UnadmittedError as error:
        raise NativeError(str(error)) from error
    row = key_row(key)
    known = call.overlay.get(_NAME, row)
    if known is not None and PKInfo.FromString(known).org_id != org_id:
        raise NativeError(
            f"the key belongs to {PKInfo.FromString(known).org_id}: that organisation must delete it first"
        )
    info = PKInfo(pk_bytes=key.der, role=role.upper(), org_id=org_id)
    call.overlay.put(_NAME, row, info.SerializeToString())
    _announce(call, _ADDED, [org_id, role, call.text("pubkey")])
    return b"Success"


def _delete(call: NativeCall) -> bytes:
    org_id = _organisation(call, "Delete")
    row = key_row(_key(call, "Delete"))
    known = call.overlay.get(_NAME, row)
    # The real node lets an organisation delete the keys of another; here such a key does not exist for it.
    if known is None or PKInfo.FromString(known).org_id != org_id:
        raise NativeError(f"DeletePubkey get pubkey failed, pubkey[{call.text('pubkey')}], err: not exist")
    call.overlay.put(_NAME, row, None)
    _announce(call, _DELETED, [org_id, call.text("pubkey")])
    return b"Success"


def _query(call: NativeCall) -> bytes:
    return call.overlay.get(_NAME, key_row(_key(call, "Query"))) or b""


def _announce(call: NativeCall, topic: str, data: list[str]) -> None:
    call.events.append(
        ContractEvent(
            topic=topic,
            tx_id=call.payload.tx_id,
            contract_name=_NAME,
            contract_version=call.world.config.version,
            event_data=data,
        )
    )


METHODS: dict[str, Method] = {"PUBKEY_ADD": _add, "PUBKEY_DELETE": _delete, "PUBKEY_QUERY": _query}
