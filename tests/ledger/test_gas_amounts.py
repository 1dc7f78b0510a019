"""ACCOUNT_MANAGER word for word: amounts as Go reads them, who may, and accounts that stay whole whatever is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_gas_accounts import FAILED, NOT_ADMIN, SUCCESS, Chain

from changan.crypto.key_forms import public_key_pem
from changan.ledger.native.account_manager import _amount
from changan.ledger.native.call import NativeError
from changan.ledger.wire.messages import RechargeGas, RechargeGasReq
from consortium import Consortium, Ledger

INT64_MAX = 2**63 - 1


@pytest.fixture(scope="module")
def chain(consortium) -> Chain:
    made = Chain(Ledger(consortium)).on()
    assert made.recharge(user=1000, poor=50).code == SUCCESS
    return made


@given(st.integers(-(2**70), 2**70), st.sampled_from(["", "+"]))
def test_amounts_as_parse_int_reads_them(number, sign):
    text = str(number) if number < 0 else sign + str(number)
    if 0 <= number <= INT64_MAX:
        assert _amount(text) == number
        return
    with pytest.raises(NativeError) as caught:
        _amount(text)
    ranged = f'strconv.ParseInt: parsing "{text[:64]}": value out of range'
    assert str(caught.value) == (ranged if abs(number) > INT64_MAX else "amount must >= 0")


@pytest.mark.parametrize("text", ["", "+", "-", "+-1", "--1", " 1", "1_0", "1.0", "0x1", "１", "٣", "1" * 33, "x" * 99])
def test_what_is_no_amount(text):
    with pytest.raises(NativeError, match=r"^strconv\.ParseInt: parsing ") as caught:
        _amount(text)
    assert str(caught.value).endswith("value out of range" if text == "1" * 33 else "invalid syntax")


def key_of(signer) -> bytes:
    return public_key_pem(signer.key.public)


def recharging(*entries: tuple[str, int]) -> bytes:
    return RechargeGasReq(
        batch_recharge_gas=[RechargeGas(address=who, gas_amount=n) for who, n in entries]
    ).SerializeToString()


def refusals(chain: Chain) -> list[tuple[str, dict, str]]:
    user, key = chain.address(chain.user), key_of(chain.user)
    return [
        ("RECHARGE_GAS", {}, " params key batch_recharge not exist "),
        ("RECHARGE_GAS", {"batch_recharge": b""}, " params is error, param[batch_recharge]="),
        ("RECHARGE_GAS", {"batch_recharge": b"\xff"}, "unexpected EOF"),
        ("RECHARGE_GAS", {"batch_recharge": recharging(("x", 1))}, "account address is illegal"),
        ("RECHARGE_GAS", {"batch_recharge": recharging((user, 1), (user, -1))}, "amount must >= 0"),
        ("RECHARGE_GAS", {"batch_recharge": recharging((user, 5), (user, INT64_MAX))}, "int64 is overflow"),
        ("RECHARGE_GAS", {"batch_recharge": recharging(*[(user, 1)] * 1001)}, "1001 accounts at once, at most 1000 are allowed"),
        ("CHARGE_GAS", {"charge_public_key": key, "charge_gas_amount": ""}, f" params is error, param[charge_public_key]={key.decode()},param[charge_gas_amount]="),
        ("CHARGE_GAS", {"charge_public_key": "junk", "charge_gas_amount": "1"}, "failed to parse public key"),
        ("CHARGE_GAS", {"charge_public_key": key, "charge_gas_amount": "1001"}, None),
        ("CHARGE_GAS", {"charge_public_key": key, "charge_gas_amount": "-1"}, "amount must >= 0"),
        ("REFUND_GAS", {"address_key": user, "charge_gas_amount": ""}, f" params is error, param[address_key]={user},param[charge_gas_amount]="),
        ("REFUND_GAS", {"address_key": "x", "charge_gas_amount": "1"}, "account address is illegal"),
        ("REFUND_GAS_VM", {"recharge_key": key, "recharge_amount_key": str(INT64_MAX)}, "int64 is overflow"),
        ("REFUND_GAS_VM", {"recharge_key": key, "recharge_amount_key": "1x"}, 'strconv.ParseInt: parsing "1x": invalid syntax'),
        ("FROZEN_ACCOUNT", {"address_key": ""}, " params is error, param[address_key]="),
        ("UNFROZEN_ACCOUNT", {"address_key": user}, f"account {user} not frozen"),
        ("GET_BALANCE", {"address_key": "x"}, "account address is illegal"),
        ("ACCOUNT_STATUS", {"address_key": ""}, " params is error, param[address_key]="),
    ]  # fmt: skip


def test_what_is_refused_changes_no_account(chain):
    accounts = [chain.balance(chain.user), chain.balance(chain.poor)]
    for method, parameters, words in refusals(chain):
        result = chain.manage(method, parameters)
        assert result.code == FAILED, method
        if words is not None:
            assert result.contract_result.message == words
        assert [chain.balance(chain.user), chain.balance(chain.poor)] == accounts, method


def test_only_the_gas_administrator_moves_gas(chain):
    user, key = chain.address(chain.user), key_of(chain.user)
    asked = {
        "RECHARGE_GAS": {"batch_recharge": recharging((user, 1))},
        "CHARGE_GAS": {"charge_public_key": key, "charge_gas_amount": "1"},
        "REFUND_GAS": {"address_key": user, "charge_gas_amount": "1"},
        "REFUND_GAS_VM": {"recharge_key": key, "recharge_amount_key": "1"},
        "FROZEN_ACCOUNT": {"address_key": user},
        "UNFROZEN_ACCOUNT": {"address_key": user},
    }
    before = chain.balance(chain.user)
    for method, parameters in asked.items():
        for sender in (chain.user, chain.ledger.consortium.admin()):
            assert chain.manage(method, parameters, sender=sender).contract_result.message == NOT_ADMIN, method
    assert chain.balance(chain.user) == before


@pytest.fixture(scope="module")
def consortium(either) -> Consortium:
    return either


def test_what_is_taken_and_given_adds_up(chain):
    user, key = chain.address(chain.user), key_of(chain.user)
    before = chain.balance(chain.user)
    for method, parameters, change in (
        ("CHARGE_GAS", {"charge_public_key": key, "charge_gas_amount": "7"}, -7),
        ("REFUND_GAS_VM", {"recharge_key": key, "recharge_amount_key": "+3"}, 3),
        ("REFUND_GAS", {"address_key": user, "charge_gas_amount": "2"}, -2),
        ("RECHARGE_GAS", {"batch_recharge": recharging((user, 5), (user, 6))}, 11),
    ):
        assert chain.manage(method, parameters).code == SUCCESS, method
        before += change
        assert chain.balance(chain.user) == before, method
