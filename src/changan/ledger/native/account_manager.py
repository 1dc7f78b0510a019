"""ACCOUNT_MANAGER: gas accounts are filled, emptied, frozen and asked for. Only the gas administrator moves gas.

On ChainMaker 2.3.7 anybody credits any account with REFUND_GAS_VM and debits it with CHARGE_GAS; here both ask for the
administrator, as their neighbours do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from changan.crypto.addresses import user_address
from changan.crypto.key_forms import read_public_key
from changan.errors import UnverifiedError
from changan.ledger.config_edits import set_account_manager_admin
from changan.ledger.config_parameters import account_address
from changan.ledger.gas import (
    ACCOUNTS,
    address_text,
    balance_of,
    balance_row,
    frozen_row,
    frozen_words,
    is_frozen,
    short_balance,
)
from changan.ledger.native.call import NativeCall, NativeError
from changan.ledger.native.chain_config import change_config, read_config
from changan.ledger.wire.messages import RechargeGasReq

if TYPE_CHECKING:
    from changan.ledger.native.call import Method

_INT64_MAX = 2**63 - 1
_DONE = b"success"
BATCH_MAX = 1000


def _administrator(call: NativeCall) -> str:
    return read_config(call.overlay).account_config.gas_admin_address


def _require_administrator(call: NativeCall) -> None:
    sender = address_text(call.sender.address, call.world.config.vm.addr_type)
    if _administrator(call) != sender:
        raise NativeError(" verify admin failed ")


def _present(call: NativeCall, name: str) -> str:
    if name not in call.parameters:
        raise NativeError(f" params key {name} not exist ")
    return call.text(name)


def _address(call: NativeCall, text: str) -> str:
    found = account_address(text, call.world.config.vm.addr_type)
    if found is None:
        raise NativeError("account address is illegal")
    return found


def _named_account(call: NativeCall) -> str:
    text = _present(call, "address_key")
    if not text:
        raise NativeError(" params is error, param[address_key]=")
    return _address(call, text)


def _amount(text: str) -> int:
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        raise NativeError(f'strconv.ParseInt: parsing "{text[:64]}": invalid syntax')
    value = int(digits[:32]) * (-1 if text.startswith("-") else 1)
    if len(digits) > 32 or abs(value) > _INT64_MAX:  # noqa: PLR2004  # more digits than any number that is taken
        raise NativeError(f'strconv.ParseInt: parsing "{text[:64]}": value out of range')
    return _checked(value)


def _checked(amount: int) -> int:
    if amount < 0:
        raise NativeError("amount must >= 0")
    return amount


def _put_balance(call: NativeCall, account: str, amount: int) -> None:
    if amount > _INT64_MAX:
        raise NativeError("int64 is overflow")
    call.overlay.put(ACCOUNTS, balance_row(account), str(amount).encode())


def _take(call: NativeCall, account: str, amount_text: str) -> bytes:
    if is_frozen(call.overlay, account):
        raise NativeError(frozen_words(account))
    balance, amount = balance_of(call.overlay, account), _amount(amount_text)
    if balance < amount:
        raise NativeError(short_balance(account, balance, amount))
    _put_balance(call, account, balance - amount)
    return _DONE


def _set_admin(call: NativeCall) -> bytes:
    return change_config(call, set_account_manager_admin).SerializeToString()


def _get_admin(call: NativeCall) -> bytes:
    found = _administrator(call)
    if account_address(found, call.world.config.vm.addr_type) is None:
        raise NativeError(" not set gas admin account")
    return found.encode()


def _recharge(call: NativeCall) -> bytes:
    _require_administrator(call)
    if "batch_recharge" not in call.parameters:
        raise NativeError(" params key batch_recharge not exist ")
    data = call.parameters["batch_recharge"]
    if not data:
        raise NativeError(" params is error, param[batch_recharge]=")
    try:
        batch = RechargeGasReq.FromString(data).batch_recharge_gas
    except DecodeError as error:
        raise NativeError("unexpected EOF") from error
    if len(batch) > BATCH_MAX:
        raise NativeError(f"{len(batch)} accounts at once, at most {BATCH_MAX} are allowed")
    for entry in batch:
        account = _address(call, entry.address)
        _put_balance(call, account, balance_of(call.overlay, account) + _checked(entry.gas_amount))
    return _DONE


def _keyed_account(call: NativeCall, name: str) -> str:
    """Return the account of a public key in PEM."""
    try:
        key = read_public_key(call.parameters[name])
    except UnverifiedError as error:
        raise NativeError("failed to parse public key") from error
    kind = call.world.config.vm.addr_type
    return address_text(user_address(key, kind, call.world.digest), kind)


def _pair(call: NativeCall, key: str, amount: str) -> str:
    """Return the amount of a method that takes a public key and an amount."""
    shown = {name: _present(call, name) for name in (key, amount)}
    if not all(shown.values()):
        parts = ",".join(f"param[{name}]={value}" for name, value in shown.items())
        raise NativeError(f" params is error, {parts}")
    return shown[amount]


def _charge(call: NativeCall) -> bytes:
    amount = _pair(call, "charge_public_key", "charge_gas_amount")
    _require_administrator(call)
    return _take(call, _keyed_account(call, "charge_public_key"), amount)


def _refund_vm(call: NativeCall) -> bytes:
    amount = _amount(_pair(call, "recharge_key", "recharge_amount_key"))
    _require_administrator(call)
    account = _keyed_account(call, "recharge_key")
    _put_balance(call, account, balance_of(call.overlay, account) + amount)
    return _DONE


def _refund(call: NativeCall) -> bytes:
    account = _address(call, _present(call, "address_key"))
    amount = _present(call, "charge_gas_amount")
    if not amount:
        raise NativeError(f" params is error, param[address_key]={account},param[charge_gas_amount]=")
    _require_administrator(call)
    return _take(call, account, amount)


def _charge_many(call: NativeCall) -> bytes:
    """Charge several accounts at once: on ChainMaker the proposer does so after a block, here each transaction pays itself."""
    _require_administrator(call)
    failed = []
    for text in sorted(call.parameters):
        try:
            _take(call, _address(call, text), call.text(text))
        except NativeError:
            failed.append(text)
    if failed:
        raise NativeError(f"charge accounts error: [{' '.join(failed)}]")
    return _DONE


def _freeze(call: NativeCall) -> bytes:
    _require_administrator(call)
    call.overlay.put(ACCOUNTS, frozen_row(_named_account(call)), b"1")
    return _DONE


def _unfreeze(call: NativeCall) -> bytes:
    _require_administrator(call)
    account = _named_account(call)
    if not is_frozen(call.overlay, account):
        raise NativeError(f"account {account} not frozen")
    call.overlay.put(ACCOUNTS, frozen_row(account), b"0")
    return _DONE


def _balance(call: NativeCall) -> bytes:
    return str(balance_of(call.overlay, _named_account(call))).encode()


def _status(call: NativeCall) -> bytes:
    return b"1" if is_frozen(call.overlay, _named_account(call)) else b"0"


METHODS: dict[str, Method] = {
    "SET_ADMIN": _set_admin,
    "GET_ADMIN": _get_admin,
    "RECHARGE_GAS": _recharge,
    "CHARGE_GAS": _charge,
    "CHARGE_GAS_FOR_MULTI_ACCOUNT": _charge_many,
    "REFUND_GAS": _refund,
    "REFUND_GAS_VM": _refund_vm,
    "FROZEN_ACCOUNT": _freeze,
    "UNFROZEN_ACCOUNT": _unfreeze,
    "GET_BALANCE": _balance,
    "ACCOUNT_STATUS": _status,
}
