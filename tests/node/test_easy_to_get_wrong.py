"""What was noted beside the record as easy to get wrong, where no row of it shows the case."""

from __future__ import annotations

import time

import pytest
from recorded_desk import Desk

from changan.client.requests import new_tx_id
from changan.ledger.wire.messages import BlockInfo, ChainConfig, TxResponse, TxType

PUT = {"k": "a", "v": "b"}
GOOD = "0 SUCCESS `OK`"


@pytest.fixture(scope="module")
def desk(node):
    made = Desk(node)
    yield made
    made.close()


def answer(desk: Desk, contract: str, method: str, parameters=None, **options) -> TxResponse:
    request = desk.request(contract, method, parameters, **options)
    return desk.raw("SendRequest", request.SerializeToString())


@pytest.mark.parametrize("tx_id", ["$" + "a" * 60, "eleven_char", "长安"])
def test_an_id_is_what_holds_no_space(desk, tx_id):
    assert desk.send("T", "P", PUT, tx_id=tx_id)[0] == GOOD
    refused = desk.send("T", "P", PUT, tx_id=f"{tx_id} x")[0]
    assert f"check tx id failed, only [a-zA-Z0-9_] are allowed, your TxId is:{tx_id} x, txId:{tx_id} x, " in refused
    assert desk.query("T", "G", PUT, tx_id="")[0].startswith("0 SUCCESS `SUCCESS`")  # the rule is for invocations alone


def test_expiry_is_measured_from_the_transactions_own_time(desk):
    now = int(time.time())
    assert desk.send("T", "P", PUT, timestamp=now - 100, expiration_time=now - 50)[0] == GOOD
    for expiry in (now - 100, now - 101):
        refused = desk.send("T", "P", PUT, timestamp=now - 100, expiration_time=expiry)[0]
        text = f"tx timestamp {now - 100} should be before expiration time {expiry}, txId:<txid>, sender:<PEM>, "
        assert refused.startswith(f"5 INTERNAL_ERROR `tx verify failed, verify tx header failed, {text}")


def test_refusals_echo_the_id_and_hold_no_result(desk):
    tx_id = new_tx_id()
    response = answer(desk, "T", "P", PUT, tx_id=tx_id, timestamp=0)
    assert (response.code, response.tx_id, response.HasField("contract_result")) == (5, tx_id, False)
    accepted = answer(desk, "T", "P", PUT, tx_id=tx_id)
    assert (accepted.code, accepted.tx_id, accepted.HasField("contract_result")) == (0, tx_id, False)
    assert desk.outcome(tx_id).startswith("0 SUCCESS")  # in its block before the next test reads the tip


@pytest.mark.parametrize("height", ["-1", str(2**64 - 1)])
def test_two_names_of_the_tip(desk, height):
    response = answer(desk, "CHAIN_QUERY", "GET_BLOCK_BY_HEIGHT", {"blockHeight": height}, kind="query")
    assert BlockInfo.FromString(response.contract_result.result).block.header.block_height == desk.tip()


def test_limits_of_parameters_are_judged_in_the_block(desk):
    place = "parse tx[<txid>] contract[T] parameters error"
    for parameters, problem in [
        ({"v": bytes(11 * 1024 * 1024)}, "expect value length less than 10485760, but got 11534336"),
        ({f"k{n}": "" for n in range(51)}, "expect parameters length less than 50, but got 51"),
        ({"k" * 1025: ""}, "expect key length less than 1024, but got 1025"),
    ]:
        told = f"2 INVALID_PARAMETER ``; cr 1 `{place}:{problem}` result `` events 0"
        assert desk.send("T", "P", parameters) == (GOOD, told)
    assert desk.send("T", "P", {f"k{n}": "" for n in range(50)})[1].startswith("0 SUCCESS")


def test_superfluous_and_repeated_endorsers(desk):
    for endorsers in (desk.admins, desk.clients, [desk.client] * 5):
        assert desk.send("T", "P", PUT, endorsers=endorsers)[0] == GOOD
        assert desk.query("T", "G", PUT, endorsers=endorsers)[0].startswith("0 SUCCESS `SUCCESS`")


def test_types_of_requests_that_come_through_another_door(desk):
    assert desk.send("T", "P", PUT, tx_type=TxType.SUBSCRIBE)[0] == "5 INTERNAL_ERROR `unsupport tx_type`"
    told = "5 INTERNAL_ERROR `check archive block payload params failed, invalid key, must be BLOCK_HEIGHT`"
    assert desk.send("ARCHIVE_MANAGE", "ARCHIVE_BLOCK", tx_type=TxType.ARCHIVE, sender=desk.admins[0])[0] == told


def test_the_configuration_of_a_height_is_answered_at_once_even_to_an_invocation(desk):
    response = answer(desk, "CHAIN_CONFIG", "GET_CHAIN_CONFIG_AT", {"block_height": "0"})
    assert (response.code, response.message) == (0, "OK")
    assert ChainConfig.FromString(response.contract_result.result).chain_id == "chain1"
