"""Threads and event loop drive the same calls: against a node of prepared answers, both say and hear the same."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from changan.client import aio, connect
from changan.client.calls import Answer, CallError, Calls, Entry, Page, UnreachableError, Written
from changan.client.tables import TableError
from changan.contract.instance import Code
from changan.ledger.bundle import PARAMETER
from changan.ledger.wire.messages import BundleRows, ContractResult, TransactionInfo, TxRequest, TxResponse

DESCRIPTION = {
    "methods": [
        {"name": "pay", "kind": "call", "parameters": [{"name": "amount", "type": "U64"}], "result": "U64"},
        {"name": "total", "kind": "view", "parameters": [], "result": "U64"},
    ],
    "enums": {},
    "records": {},
}


class Prepared:
    """A node that answers what was prepared, in order, and remembers what it was asked."""

    def __init__(self) -> None:
        self.replies: deque = deque()
        self.asked: list[tuple[str, TxRequest]] = []
        self._server = grpc.server(ThreadPoolExecutor(1))
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._answering(name), TxRequest.FromString, TxResponse.SerializeToString
            )
            for name in ("SendRequest", "SendRequestSync")
        }
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("api.RpcNode", handlers)])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _answering(self, name):
        def answer(request, context):
            self.asked.append((name, request))
            reply = self.replies.popleft()
            if isinstance(reply, grpc.StatusCode):
                context.abort(reply, "as prepared")
            return reply

        return answer

    def stop(self) -> None:
        self._server.stop(None).wait()


@pytest.fixture
def prepared():
    node = Prepared()
    yield node
    node.stop()
    assert not node.replies, "every prepared answer was asked for"


@pytest.fixture(params=["threads", "event loop"])
def run(request, prepared, consortium, monkeypatch):
    """Call one method of a connection to the prepared node: `run("invoke", ...)`; an iterator is run to its end."""
    monkeypatch.setattr("changan.client.calls.RETRY_PAUSE_S", 0.001)

    def calls() -> Calls:
        return Calls(consortium.signer(), consortium.admins, "chain1", gas_limit=7)

    def on_threads(name, *arguments, **options):
        channel = grpc.insecure_channel(prepared.address)
        with connect.Connection(calls(), channel, None) as client:
            assert (client.chain_id, client.signer) == ("chain1", consortium.signer())
            found = getattr(client, name)(*arguments, **options)
            return list(found) if name == "rows" else found

    def on_a_loop(name, *arguments, **options):
        async def session():
            channel = grpc.aio.insecure_channel(prepared.address)
            async with aio.AsyncConnection(calls(), channel, None) as client:
                found = getattr(client, name)(*arguments, **options)
                return [entry async for entry in found] if name == "rows" else await found

        return asyncio.run(session())

    return on_threads if request.param == "threads" else on_a_loop


def answering(result, **fields) -> TxResponse:
    data = result if isinstance(result, bytes) else json.dumps(result).encode()
    return TxResponse(contract_result=ContractResult(result=data, **fields))


def parameters(request: TxRequest) -> dict[str, bytes]:
    return {pair.key: pair.value for pair in request.payload.parameters}


def test_invoke(run, prepared):
    prepared.replies.append(
        TxResponse(tx_id="t", tx_block_height=9, contract_result=ContractResult(result=b"5", gas_used=3))
    )
    assert run("invoke", "token", "pay", {"amount": 5, "to": b"\1", "often": False}, tx_id="ab" * 32) == Answer(
        "t", b"5", 3, 9, ()
    )
    [(method, request)] = prepared.asked
    assert method == "SendRequestSync"
    assert (request.payload.tx_id, request.payload.contract_name, request.payload.method) == ("ab" * 32, "token", "pay")
    assert parameters(request) == {"amount": b"5", "to": b"\1", "often": b"false"}
    assert request.payload.limit.gas_limit == 7
    assert not request.endorsers


def test_query_asks_without_gas_and_with_no_wait(run, prepared):
    prepared.replies.append(answering(b"12"))
    assert run("query", "token", "balance_of", {"who": "x"}).text == "12"
    [(method, request)] = prepared.asked
    assert method == "SendRequest"
    assert not request.payload.HasField("limit")


@pytest.mark.parametrize(("upgrade", "method"), [(False, "INIT_CONTRACT"), (True, "UPGRADE_CONTRACT")])
def test_deploy_is_endorsed_by_the_administrators(run, prepared, consortium, upgrade, method):
    prepared.replies.append(TxResponse())
    run("deploy", "token", "2.0", b"code", {"supply": 9}, upgrade=upgrade)
    [(_, request)] = prepared.asked
    assert (request.payload.contract_name, request.payload.method) == ("CONTRACT_MANAGE", method)
    assert [entry.signer for entry in request.endorsers] == [admin.member for admin in consortium.admins()]
    assert parameters(request) == {
        "CONTRACT_NAME": b"token",
        "CONTRACT_VERSION": b"2.0",
        "CONTRACT_RUNTIME_TYPE": b"DOCKER_GO",
        "CONTRACT_BYTECODE": b"code",
        "supply": b"9",
    }


def test_a_page_and_what_it_was_asked_with(run, prepared):
    rows = [{"key": "61", "key_value": "a", "value": "1"}, {"value": {"n": "2"}}]
    prepared.replies.extend(
        [answering({"height": 4, "rows": rows, "next": "k"}), answering({"height": 4, "rows": [], "next": None})]
    )
    assert run("page", "token", "balances", limit=2) == Page(4, [Entry("a", "1"), Entry(None, {"n": "2"})], "k")
    assert run("page", "token", "balances", after="k", height=4) == Page(4, [], None)
    first, second = (parameters(request) for _, request in prepared.asked)
    assert first == {"contract": b"token", "field": b"balances", "after": b"", "limit": b"2"}
    assert second == {"contract": b"token", "field": b"balances", "after": b"k", "limit": b"1000", "height": b"4"}


def test_rows_are_all_of_one_height(run, prepared):
    for number, follows in ((0, "a"), (1, "b"), (2, None)):
        prepared.replies.append(
            answering({"height": 8, "rows": [{"key_value": number, "value": "v"}], "next": follows})
        )
    assert run("rows", "token", "balances") == [Entry(number, "v") for number in range(3)]
    asked = [parameters(request) for _, request in prepared.asked]
    assert [found.get("height") for found in asked] == [None, b"8", b"8"]
    assert [found["after"] for found in asked] == [b"", b"a", b"b"]


def test_rows_end_where_the_height_is_gone(run, prepared):
    prepared.replies.append(answering({"height": 8, "rows": [], "next": "a"}))
    prepared.replies.append(TxResponse(code=4, message="height 8 is no longer kept"))
    with pytest.raises(CallError, match="no longer kept") as caught:
        run("rows", "token", "balances")
    assert caught.value.code == 4


def test_history_and_proofs(run, prepared):
    writes = [{"height": 3, "tx_id": "t", "value": None}, {"height": 2, "tx_id": "s", "value": "5"}]
    prepared.replies.append(answering({"height": 9, "complete_to": 8, "writes": writes}))
    found = run("history", "token", "balances", "k", limit=2)
    assert found == [Written(3, "t", None), Written(2, "s", "5")]
    assert (found.height, found.complete_to, found.is_complete) == (9, 8, False)
    prepared.replies.extend([answering({"row": 1}), answering({"row": 2})])
    assert run("prove", "token", "balances", "k") == {"row": 1}
    assert run("prove", "token", "balances", "k", block=6) == {"row": 2}
    history, newest, at = (parameters(request) for _, request in prepared.asked)
    assert history == {"contract": b"token", "field": b"balances", "key": b"k", "limit": b"2"}
    assert newest == {"contract": b"token", "field": b"balances", "key": b"k"}
    assert at == newest | {"block": b"6"}


def rows_that_ended(*words: int) -> TxResponse:
    """Bundle rows as the node gives them: outcomes u32, gas u64, results of U64 in columns."""
    outcomes = b"".join(word.to_bytes(4, "little") for word in words)
    numbers = b"".join(number.to_bytes(8, "little") for number in range(len(words)))
    return answering(BundleRows(outcomes=outcomes, gas=numbers, results=numbers).SerializeToString())


def test_a_table_goes_in_bundles(run, prepared):
    prepared.replies.append(answering(DESCRIPTION))
    prepared.replies.extend([TxResponse(tx_id="one"), rows_that_ended(0, Code.DECLINED | 2 << 8 | 30 << 16)])
    prepared.replies.extend([TxResponse(tx_id="two"), rows_that_ended(0)])
    first, second = run("invoke_many", "token", "pay", {"amount": [1, 2, 3]}, rows=2, budget=99)
    assert (first.answer.tx_id, second.answer.tx_id) == ("one", "two")
    done, declined = first.rows
    assert (done.succeeded, done.result, done.gas) == (True, 0, 0)
    assert (declined.code, declined.detail, declined.line, declined.gas, declined.result) == (
        Code.DECLINED,
        2,
        30,
        1,
        None,
    )
    assert [(method, request.payload.method) for method, request in prepared.asked] == [
        ("SendRequest", "DESCRIBE"),
        ("SendRequestSync", "pay"),
        ("SendRequest", "BUNDLE"),
        ("SendRequestSync", "pay"),
        ("SendRequest", "BUNDLE"),
    ]
    assert [list(parameters(request)) for _, request in prepared.asked[1::2]] == [[PARAMETER]] * 2
    assert parameters(prepared.asked[2][1]) == {"tx_id": b"one"}


def test_nothing_is_sent_of_a_table_that_does_not_fit(run, prepared):
    prepared.replies.extend([answering(DESCRIPTION)] * 2)
    with pytest.raises(TableError, match="amount, row 1: U64 wanted, this is -1"):
        run("invoke_many", "token", "pay", {"amount": [1, -1]}, rows=1)
    with pytest.raises(TableError, match="the contract has no @call total; it has pay"):
        run("invoke_many", "token", "total", {})


def test_a_bundle_that_is_refused_ends_the_rest(run, prepared):
    prepared.replies.extend([answering(DESCRIPTION), TxResponse(tx_id="one"), rows_that_ended(0)])
    prepared.replies.append(TxResponse(code=1, message="the budget is too small", tx_id="two"))
    with pytest.raises(CallError, match="the budget is too small") as caught:
        run("invoke_many", "token", "pay", {"amount": [1, 2, 3]}, rows=1)
    assert caught.value.tx_id == "two"


@pytest.mark.parametrize("lost", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"])
def test_lost_answers_are_asked_for_again(run, prepared, lost):
    found = TransactionInfo(block_height=6)
    found.transaction.result.contract_result.result = b"done"
    prepared.replies.extend([grpc.StatusCode[lost]] * 2)
    prepared.replies.append(TxResponse(code=5, message="TxId exist in DB"))
    prepared.replies.append(answering(found.SerializeToString()))
    assert run("invoke", "token", "pay", {}, tx_id="cd" * 32) == Answer("cd" * 32, b"done", 0, 6, ())
    sent = [request for method, request in prepared.asked if method == "SendRequestSync"]
    assert len(sent) == 3
    assert len({request.SerializeToString() for request in sent}) == 1, "byte for byte the same request"
    assert parameters(prepared.asked[-1][1]) == {"txId": b"cd" * 32, "withRWSet": b"false"}


def test_a_node_that_lets_this_peer_in_no_more_says_why(run, prepared):
    prepared.replies.append(grpc.StatusCode.UNAUTHENTICATED)
    with pytest.raises(CallError) as caught:
        run("invoke", "token", "pay", {}, tx_id="ef" * 32)
    assert (caught.value.tx_id, len(prepared.asked)) == ("ef" * 32, 1)
    assert str(caught.value) == "as prepared"


@pytest.mark.parametrize("name", ["UNIMPLEMENTED", "INTERNAL", "PERMISSION_DENIED"])
def test_other_errors_are_final_at_once(run, prepared, name):
    prepared.replies.append(grpc.StatusCode[name])
    with pytest.raises(UnreachableError, match=rf"does not answer \({name}\): is it running\? transaction {'ef' * 32}"):
        run("invoke", "token", "pay", {}, tx_id="ef" * 32)


def test_a_node_that_never_answers(run, prepared):
    prepared.replies.extend([grpc.StatusCode.UNAVAILABLE] * 6)
    with pytest.raises(UnreachableError, match="UNAVAILABLE"):
        run("query", "token", "pay")
    assert len(prepared.asked) == 6


@pytest.mark.parametrize(
    ("response", "code", "words"),
    [
        (TxResponse(code=5, message="refused at the door"), 5, "refused at the door"),
        (TxResponse(code=4, message="outer", contract_result=ContractResult(code=1, message="inner")), 4, "inner"),
        (TxResponse(contract_result=ContractResult(code=1, message="declined: short")), 0, "declined: short"),
        (TxResponse(code=4), 4, ""),
    ],
)
def test_refusals_carry_code_words_and_id(run, prepared, response, code, words):
    response.tx_id = "t"
    prepared.replies.append(response)
    with pytest.raises(CallError) as caught:
        run("query", "token", "pay")
    assert (caught.value.code, str(caught.value), caught.value.tx_id) == (code, words, "t")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (1.5, "an argument is text, bytes, a number, true/false or a record's dict, not float"),
        (None, "an argument is text, bytes, a number, true/false or a record's dict, not NoneType"),
        ([1], "an argument is text, bytes, a number, true/false or a record's dict, not list"),
        ({"a": 1.5}, "a record's field is text, bytes, a number or true/false, not float"),
        ({"a": {"b": None}}, "a record's field is text, bytes, a number or true/false, not NoneType"),
        ({"a": float("nan")}, "a record's field is text, bytes, a number or true/false, not float"),
    ],
)
def test_an_argument_of_no_known_kind_is_never_sent(run, prepared, bad, words):
    with pytest.raises(TypeError, match=f"^{re.escape(words)}$"):
        run("query", "token", "pay", {"x": bad})
    assert prepared.asked == []


def test_a_record_in_a_record(run, prepared):
    prepared.replies.append(TxResponse())
    run("invoke", "token", "pay", {"x": {"n": 2**100, "who": b"\xff", "in": {"on": True, "名": "字"}}})
    assert parameters(prepared.asked[0][1])["x"].decode() == (
        '{"n":1267650600228229401496703205376,"who":"ff","in":{"on":true,"名":"字"}}'
    )
