"""Access to system contracts: taken away, asked about and given back by the administrators of all organisations."""

from __future__ import annotations

import json

import pytest

from changan.ledger.admission import RefusedError, authenticate
from changan.ledger.wire.messages import TxStatusCode
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
