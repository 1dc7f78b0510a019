"""The black list of transactions: who may put what on it, and what is told of it."""

from __future__ import annotations

import json

import pytest

from changan.ledger.native.transaction_manager import any_listed, is_listed
from changan.ledger.snapshot import dump, load
from changan.ledger.wire.messages import TxStatusCode
from consortium import Ledger


@pytest.fixture
def ledger(consortium) -> Ledger:
    made = Ledger(consortium)
    address = made.world.members.identify(consortium.admin(1).member, made.time_us // 1_000_000).address.hex()
    made.configure("SET_ACCOUNT_MANAGER_ADMIN", {"address_key": address})
    return made


def call(ledger: Ledger, doing: str, ids: str | None, *, sender=None):
    parameters = {} if ids is None else {"txIds": ids}
    sender = sender or ledger.consortium.admin(1)
    return ledger.call("TRANSACTION_MANAGER", f"{doing}_BLACKLIST_TX_IDS", parameters, sender=sender)


def told(ledger: Ledger, ids: str) -> list[str]:
    return json.loads(call(ledger, "GET", ids).contract_result.result)


def test_put_on_and_taken_off(ledger):
    added = call(ledger, "ADD", "a1,b2")
    assert (added.code, added.contract_result.result) == (TxStatusCode.SUCCESS, b"ok")
    (event,) = added.contract_result.contract_event
    assert (event.topic, list(event.event_data)) == ("100", ["chain1", "a1", "b2"])
    assert told(ledger, "a1,c3,b2") == ["1", "", "1"]
    assert is_listed(ledger.world.rows, "a1")
    assert not is_listed(ledger.world.rows, "c3")
    taken = call(ledger, "DELETE", "a1,b2")
    assert taken.contract_result.contract_event[0].topic == "101"
    assert told(ledger, "a1,b2") == ["", ""]
    assert not any_listed(ledger.world.rows)


def test_the_count_of_rows_survives_a_snapshot(ledger):
    call(ledger, "ADD", "a1,a1,b2")
    call(ledger, "ADD", "a1")
    sections = {name: list(items) for name, items in dump(ledger.world)}
    assert load(sections.__getitem__).rows.count("TRANSACTION_MANAGER") == 2
    call(ledger, "DELETE", "zz")
    assert ledger.world.rows.count("TRANSACTION_MANAGER") == 2


@pytest.mark.parametrize("doing", ["ADD", "DELETE"])
def test_only_the_gas_administrator(ledger, doing):
    result = call(ledger, doing, "a1", sender=ledger.consortium.admin(2))
    assert (result.code, result.contract_result.message) == (TxStatusCode.CONTRACT_FAIL, "sender not gas admin")
    assert not any_listed(ledger.world.rows)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (None, "the key `txIds` is not found in params"),
        ("", "the key `txIds` is not found in params"),
        (",".join(["a"] * 101), "exceeds 100"),
        ("a" * 65, "the txId length is invalid"),
        ("a,,b", "the txId length is invalid"),
    ],
)
def test_what_is_no_list_of_ids(ledger, ids, says):
    for doing in ("ADD", "DELETE", "GET"):
        assert says in call(ledger, doing, ids).contract_result.message


def test_a_hundred_fit(ledger):
    assert call(ledger, "ADD", ",".join(f"t{n}" for n in range(100))).code == TxStatusCode.SUCCESS
