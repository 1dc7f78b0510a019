"""CHANGAN.BLS: clients register the BLS keys with which they sign in the distilled lane, are found, and are taken out again.

That a key is a point of the group and in the registrant's hands is looked at on admission, like every signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.ledger.clients import LANE_CLOSED, NUMBERS_MAX, client_row, find_client, holder_row, taken_row
from changan.ledger.native.call import NativeCall, NativeError
from changan.ledger.system import LANE
from changan.ledger.wire.messages import BlsClient, BlsClients

if TYPE_CHECKING:
    from changan.ledger.native.call import Method

FOUND_AT_ONCE_MAX = 4096
_NEXT = "next"


def _require_lane(call: NativeCall) -> None:
    if call.world.clients is None:
        raise NativeError(LANE_CLOSED)


def _register(call: NativeCall) -> bytes:
    """REGISTER: take the sender in with a key of 48 bytes; the answer is its number."""
    _require_lane(call)
    call.require("register a BLS key", ("key", "proof"))
    key, address, overlay = call.parameters["key"], call.sender.address, call.overlay
    held = overlay.get(LANE, holder_row(address))
    if held is not None:
        raise NativeError(f"{address.hex()} holds a BLS key already, as client {held.decode()}: revoke that one first")
    if overlay.get(LANE, taken_row(key)) is not None:
        raise NativeError("this BLS key was registered before: make a new one")
    text = overlay.get(LANE, _NEXT) or b"0"
    number = int(text)
    if number >= NUMBERS_MAX:
        raise NativeError("there are no more numbers for clients")
    client = BlsClient(number=number, key=key, address=address, member=call.member)
    overlay.put(LANE, client_row(number), client.SerializeToString())
    overlay.put(LANE, holder_row(address), text)
    overlay.put(LANE, taken_row(key), text)
    overlay.put(LANE, _NEXT, str(number + 1).encode())
    return text


def _revoke(call: NativeCall) -> bytes:
    """REVOKE: take a client out for good, by whom it is or by an administrator."""
    _require_lane(call)
    call.require("revoke a BLS key", ("number",))
    client = _client(call, call.text("number"))
    if call.sender.address != client.address and call.sender.role != "ADMIN":
        raise NativeError(f"client {client.number} is revoked by whom it is, or by an administrator")
    if client.revoked:
        raise NativeError(f"client {client.number} was revoked before")
    client.revoked = True
    call.overlay.put(LANE, client_row(client.number), client.SerializeToString())
    call.overlay.put(LANE, holder_row(client.address), None)
    return b"Success"


def _find(call: NativeCall) -> bytes:
    """FIND: return `BlsClients` of comma-joined numbers."""
    _require_lane(call)
    call.require("find clients", ("numbers",))
    texts = call.text("numbers").split(",")
    if len(texts) > FOUND_AT_ONCE_MAX:
        raise NativeError(f"{len(texts)} numbers at once, at most {FOUND_AT_ONCE_MAX} are allowed")
    return BlsClients(clients=[_client(call, text) for text in texts]).SerializeToString()


def _client(call: NativeCall, text: str) -> BlsClient:
    whole = text.isascii() and text.isdigit() and len(text) <= len(str(NUMBERS_MAX))
    client = find_client(call.overlay, int(text)) if whole else None
    if client is None:
        raise NativeError(f"no client is registered under the number {text[:64]!r}")
    return client


METHODS: dict[str, Method] = {"REGISTER": _register, "REVOKE": _revoke, "FIND": _find}
