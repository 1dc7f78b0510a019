"""Access to system contracts: taken away, asked about and given back by the administrators of all organisations."""

from __future__ import annotations

import json

import pytest

from changan.ledger.admission import RefusedError, authenticate
from changan.ledger.contracts import find_record
from changan.ledger.transition import InvalidBlockError
from changan.ledger.wire.messages import Policy, TxStatusCode
from consortium import Ledger

FROZEN = "failed to run user contract, T has been frozen."
DISABLED = "the contract is in the disabled contract list"


@pytest.fixture
def ledger(consortium) -> Ledger:
    return Ledger(consortium)


def change(ledger: Ledger, doing: str, *names: str):
    return ledger.manage(f"{doing}_CONTRACT_ACCESS", {"NATIVE_CONTRACT_NAME": json.dumps(names)})


def disabled(ledger: Ledger):
    return json.loads(ledger.call("CONTRACT_MANAGE", "GET_DISABLED_CONTRACT_LIST").contract_result.result)


def verify(ledger: Ledger):
    return ledger.manage("VERIFY_CONTRACT_ACCESS", {"NATIVE_CONTRACT_NAME": "T"})


def test_access_is_taken_away_and_given_back(ledger):
    assert verify(ledger).contract_result.result == b"true"
    assert change(ledger, "REVOKE", "T").code == TxStatusCode.SUCCESS
    assert disabled(ledger) == ["T"]
    refused = ledger.call("T", "P", {"k": "a", "v": "b"})
    assert (refused.code, refused.contract_result.message) == (TxStatusCode.CONTRACT_FREEZE_FAILED, FROZEN)
    assert DISABLED in verify(ledger).contract_result.message
    assert change(ledger, "REVOKE", "T").code == TxStatusCode.CONTRACT_FAIL
    assert change(ledger, "GRANT", "T").code == TxStatusCode.SUCCESS
    assert disabled(ledger) is None
    assert ledger.call("T", "P", {"k": "a", "v": "b"}).code == TxStatusCode.SUCCESS


def test_the_chain_stays_manageable(ledger):
    for doing in ("REVOKE", "GRANT"):
        result = change(ledger, doing, "CONTRACT_MANAGE")
        assert f"can't {doing.lower()} contract_manage" in result.contract_result.message
    assert disabled(ledger) is None


def test_either_all_of_the_named_or_none(ledger):
    result = change(ledger, "REVOKE", "T", "NOSUCH")
    assert "contract not exist" in result.contract_result.message
    assert disabled(ledger) is None
    ledger.install("token", supply="1")
    assert "contract not exist" in change(ledger, "REVOKE", "token").contract_result.message


@pytest.mark.parametrize("names", ["", "T", "[1]", "[]", "{}", "[" * 100_000])
def test_what_is_no_list_of_names(ledger, names):
    result = ledger.manage("REVOKE_CONTRACT_ACCESS", {"NATIVE_CONTRACT_NAME": names})
    assert "a JSON list of names of system contracts" in result.contract_result.message


def test_one_administrator_is_not_enough(ledger):
    request = ledger.request(
        "CONTRACT_MANAGE",
        "REVOKE_CONTRACT_ACCESS",
        {"NATIVE_CONTRACT_NAME": '["T"]'},
        endorsers=ledger.consortium.admins()[:1],
    )
    world = ledger.world
    with pytest.raises(RefusedError, match="not enough participants"):
        authenticate(request, world.members, world.policies, ledger.time_us // 1_000_000, world.epoch)


@pytest.mark.parametrize("form", ["name", "address"])
def test_a_policy_holds_however_the_contract_is_called(ledger, form):
    """A contract answers to its name and to its address; who may not call it by one may not by the other."""
    ledger.install("token", supply="1000")
    admin = ledger.consortium.admin()
    policy = Policy(rule="ANY", role_list=["admin"]).SerializeToString()
    assert ledger.configure("PERMISSION_ADD", {"token-transfer": policy}).code == TxStatusCode.SUCCESS
    record = find_record(ledger.world.rows, "token")
    called = record.name if form == "name" else record.address
    arguments = {"to": "11" * 20, "amount": "1"}
    with pytest.raises(InvalidBlockError, match=r"do not meet the requirement \(token-transfer\)"):
        ledger.call(called, "transfer", arguments)
    assert ledger.call(called, "transfer", arguments, sender=admin).code == TxStatusCode.SUCCESS


def test_a_method_that_is_forbidden_is_so_by_address_too(ledger):
    ledger.install("token", supply="1000")
    forbidden = Policy(rule="FORBIDDEN").SerializeToString()
    assert ledger.configure("PERMISSION_ADD", {"token-transfer": forbidden}).code == TxStatusCode.SUCCESS
    address = find_record(ledger.world.rows, "token").address
    for called in ("token", address):
        with pytest.raises(InvalidBlockError, match=r"\[token-transfer\] is forbidden to access"):
            ledger.call(called, "transfer", {"to": "11" * 20, "amount": "1"}, sender=ledger.consortium.admin())
