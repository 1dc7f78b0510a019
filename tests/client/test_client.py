"""The client over every transport, on threads and on an event loop, and what it does when answers are lost."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import httpx2
import pytest
from driving import DEAD, LOST, drive

from changan import connect, connect_async
from changan.client.calls import Answer, CallError, Calls, Send, UnreachableError, as_text
from changan.client.doors import KnownDoors, read_doors, write_doors
from changan.crypto.digest import sha256
from changan.errors import MalformedError
from changan.ledger.wire.messages import ContractResult, Member, MemberType, Transaction, TransactionInfo, TxResponse
from node_process import NodeProcess, changan

TO = "22" * 20


@pytest.mark.parametrize("options", [["--tls"], ["--tls", "--mutual"]])
def test_client_and_command_line_over_tls(tmp_path, options):
    node = NodeProcess(tmp_path / "home", *options)
    try:
        assert read_doors(node.home) == KnownDoors(node.rpc, node.http, "mutual" if "--mutual" in options else "server")
        with connect(home=node.home) as client:
            client.invoke("token", "transfer", {"to": TO, "amount": 5})
        done = changan("contract", "query", "token", "balance_of", f"who={TO}", "--home", str(node.home))
        assert done.stdout.strip() == "5"
        with connect(home=node.home, tls=False) as plain:
            plain._calls = Calls(plain.signer, tuple, "chain1")
            with pytest.raises(UnreachableError, match="does not answer"):
                plain.query("token", "balance_of", {"who": TO})
        refused = changan("status", "--home", str(node.home), "--no-tls")
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
    finally:
        assert node.stop() == 0


def test_what_must_be_endorsed_is_signed_by_the_administrators_of_the_home(node):
    change = ("CHAIN_CONFIG", "CONSENSUS_EXT_ADD")
    with connect(home=node.home, user="admin1") as client:
        with pytest.raises(CallError, match="3 valid endorsements required, 1 valid endorsements received"):
            client.invoke(*change, {"key1": "value"})
        assert client.invoke(*change, {"key1": "value"}, endorsed=True).height > 0

    async def session() -> None:
        async with connect_async(home=node.home, user="admin1") as client:
            await client.invoke("CHAIN_CONFIG", "CONSENSUS_EXT_DELETE", {"key1": ""}, endorsed=True)

    asyncio.run(session())


def test_a_certificate_named_by_its_hash_is_told_once_and_makes_requests_shorter(node):
    def sent_by(client) -> tuple[Transaction, int]:
        answer = client.invoke("token", "transfer", {"to": "33" * 20, "amount": 1})
        found = client.query("CHAIN_QUERY", "GET_TX_BY_TX_ID", {"txId": answer.tx_id}).result
        return TransactionInfo.FromString(found).transaction, answer.height

    with connect(home=node.home) as client:
        long, height = sent_by(client)
        client.enable_cert_hash()
        short, later = sent_by(client)
        assert later == height + 2  # the chain was told the certificate in between
        assert short.sender.signer.member_type == MemberType.CERT_HASH
        assert short.ByteSize() < long.ByteSize() - 500
        client.enable_cert_hash()
        assert sent_by(client)[1] == later + 1  # it knew

    async def session() -> None:
        async with connect_async(home=node.home) as client:
            await client.enable_cert_hash()
            assert (await client.invoke("token", "transfer", {"to": "33" * 20, "amount": 1})).height == later + 2

    asyncio.run(session())
    with connect(home=node.home) as client, connect(home=node.home, user="admin1") as admin:
        client.enable_cert_hash()
        admin.invoke("CERT_MANAGE", "CERTS_DELETE", {"cert_hashes": short.sender.signer.member_info.hex()})
        with pytest.raises(CallError, match="all endorsers have failed verification"):
            sent_by(client)


def test_a_key_has_no_certificate_to_name_by_a_hash(consortium):
    signer = consortium.signer()
    key = dataclasses.replace(signer, member=Member(member_type=MemberType.PUBLIC_KEY, member_info=b"pem"))
    with pytest.raises(MalformedError, match="this one is a key"):
        key.by_hash(sha256)


def test_many_calls_at_once_on_an_event_loop(node):
    async def session() -> None:
        async with connect_async(home=node.home) as client:
            answers = await asyncio.gather(
                *(client.invoke("token", "transfer", {"to": TO, "amount": 1}) for _ in range(50))
            )
            assert len({answer.tx_id for answer in answers}) == 50
            assert (await client.query("token", "balance_of", {"who": TO})).text == "50"
            rows = {entry.key: entry.value async for entry in client.rows("token", "balances")}
            assert rows[TO] == "50"
            page = await client.page("token", "balances", limit=1)
            assert page.next is not None
            assert (await client.history("token", "balances", TO, limit=2))[0].value == "50"
            with pytest.raises(CallError, match="balance is short"):
                await client.invoke("token", "transfer", {"to": TO, "amount": 10**15})

    asyncio.run(session())


def test_a_flood_is_refused_and_the_client_comes_through(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "changan.toml").write_text("rate_limit = 10\n")
    node = NodeProcess(home)
    try:
        with node.connect() as client:
            for _ in range(25):  # each refusal is tried again after a pause
                client.query("token", "balance_of", {"who": TO})
        time.sleep(1)  # the doors share a peer's bucket: let it fill
        with httpx2.Client(timeout=10) as http:
            answers = [http.get(f"{node.http}/v1/health") for _ in range(60)]
        assert 200 in {answer.status_code for answer in answers}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert "rate_limit in changan.toml" in refused.text
    finally:
        assert node.stop() == 0


# Without a wire: what the generators say to whoever drives them


@pytest.fixture
def calls(consortium):
    return Calls(consortium.signer(), consortium.admins, "chain1")


def test_a_lost_answer_is_asked_for_under_the_same_id(calls):
    duplicate = TxResponse(code=5, message="Add tx failed, TxId exist in DB, chainId:chain1, txId:x")
    info = TransactionInfo(block_height=7)
    info.transaction.result.contract_result.result = b"done"
    found = TxResponse(contract_result=ContractResult(result=info.SerializeToString()))
    answer, asked = drive(calls.invoke("token", "transfer", {}, "ab" * 32), [LOST, duplicate, found])
    assert answer == Answer("ab" * 32, b"done", 0, 7, ())
    sent = [step for step in asked if isinstance(step, Send)]
    assert [step.method for step in sent] == ["SendRequestSync", "SendRequestSync", "SendRequest"]
    assert sent[0] == sent[1]


def test_administrators_are_asked_for_once_and_only_when_something_is_installed(consortium):
    asked = []
    calls = Calls(consortium.signer(), lambda: asked.append(1) or consortium.admins(), "chain1")
    drive(calls.invoke("token", "transfer", {}), [TxResponse()])
    drive(calls.query("token", "balance_of", {}), [TxResponse()])
    assert asked == []
    for upgrade in (False, True):
        _, sent = drive(calls.deploy("token", "1", b"", {}, upgrade=upgrade), [TxResponse()])
        assert len(sent[0].request.endorsers) == 4
    assert asked == [1]


def test_a_duplicate_at_the_first_try_is_an_error(calls):
    duplicate = TxResponse(code=5, message="Add tx failed, TxId exist in DB")
    with pytest.raises(CallError, match="TxId exist"):
        drive(calls.invoke("token", "transfer", {}, "ab" * 32), [duplicate])


def test_giving_up(calls):
    with pytest.raises(UnreachableError, match="UNIMPLEMENTED"):
        drive(calls.query("token", "x", {}), [DEAD])
    with pytest.raises(UnreachableError, match="is it running"):
        drive(calls.query("token", "x", {}), [LOST] * 6)


def test_arguments_as_text(tmp_path):
    given = {"a": True, "b": 5, "c": "x", "d": b"\1", "e": {"n": 1, "h": b"\xff"}}
    assert as_text(given) == {"a": "true", "b": "5", "c": "x", "d": b"\1", "e": '{"n":1,"h":"ff"}'}
    for bad in (1.5, None, [1], {"x": 1.5j}):
        with pytest.raises(TypeError):
            as_text({"a": bad})
    assert read_doors(tmp_path) == KnownDoors()
    (tmp_path / "doors.json").write_text("[1")
    assert read_doors(tmp_path) == KnownDoors()
    write_doors(tmp_path, KnownDoors("a:1", "http://a:2", "mutual"))
    assert read_doors(tmp_path) == KnownDoors("a:1", "http://a:2", "mutual")
