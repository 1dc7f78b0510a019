"""A running node through its doors: CLI, client, HTTP, gRPC."""

from __future__ import annotations

import json
import re
import threading

import grpc
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.client.connect import CallError
from changan.ledger.wire.messages import ChainInfo, TxRequest, TxResponse, TxStatusCode
from node_process import NodeProcess, changan

DIGEST = "2c" * 32


def where(node: NodeProcess) -> list[str]:
    return ["--home", str(node.home), "--rpc", node.rpc]


def test_the_first_start_says_what_to_do_next(node):
    lines = node.output.splitlines()
    assert lines[0] == f"ready rpc={node.rpc} http={node.http} home={node.home}"
    assert len(lines) == 7
    assert f"changan identity show --home {node.home}" in lines[6]


def test_the_chain_says_where_its_node_answers(node):
    with node.connect() as client:
        info = ChainInfo.FromString(client.query("CHAIN_QUERY", "GET_CHAIN_INFO").result)
    assert [entry.node_address for entry in info.node_list] == [node.rpc]


def test_a_call_its_receipt_and_what_a_flipped_bit_does(node, tmp_path):
    done = changan("contract", "call", "evidence", "put", f"digest={DIGEST}", "note=你好", *where(node))
    assert done.returncode == 0, done.stderr
    assert "Stored" in done.stdout
    receipt = tmp_path / "receipt.json"
    assert changan("receipt", "last", "-o", str(receipt), *where(node)).returncode == 0
    trust = ["--trust", str(node.home / "crypto-config")]
    checked = changan("verify-receipt", str(receipt), *trust)
    assert checked.returncode == 0, checked.stderr
    assert "evidence.put" in checked.stdout
    assert "consensus1" in checked.stdout
    document = json.loads(receipt.read_text())
    for name in ("header", "transaction", "rw_set"):
        for at in range(0, len(document[name]), 97):
            letter = "A" if document[name][at] != "A" else "B"
            changed = {**document, name: document[name][:at] + letter + document[name][at + 1 :]}
            receipt.write_text(json.dumps(changed))
            if at in {0, 97}:  # through the door twice, the rest in this process
                refused = changan("verify-receipt", str(receipt), *trust)
                assert refused.returncode == 1
                assert "Traceback" not in refused.stderr
    for broken in ("", "[]", "{}", '{"format": 1}', "nonsense", '{"format": 1, "suite": 9}'):
        receipt.write_text(broken)
        refused = changan("verify-receipt", str(receipt))
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr


def test_a_dry_run_leaves_no_trace(node):
    before = node.get("/v1/chains")[0]["height"]
    done = changan("contract", "call", "token", "transfer", f"to={'11' * 20}", "amount=5", "--dry-run", *where(node))
    assert "gas 590" in done.stdout
    assert node.get("/v1/chains")[0]["height"] == before


def test_a_contract_is_checked_built_deployed_upgraded(node, tmp_path):
    source = tmp_path / "counter.py"
    text = (
        "from changan.contract import U64, Contract, call, view\n\n\n"
        "class Counter(Contract):\n    count: U64\n\n"
        "    @call\n    def add(self, amount: U64) -> None:\n        self.count += amount\n\n"
        "    @view\n    def get(self) -> U64:\n        return self.count\n"
    )
    source.write_text(text)
    assert changan("contract", "check", str(source)).returncode == 0
    assert changan("contract", "build", str(source)).returncode == 0
    package = str(source.with_suffix(".changan"))
    assert changan("contract", "deploy", "counter", package, *where(node)).returncode == 0
    assert changan("contract", "call", "counter", "add", "amount=3", *where(node)).returncode == 0
    source.write_text(
        text.replace("    count: U64\n", "    count: U64\n    step: U64\n").replace("+= amount", "+= amount * 2")
    )
    options = ["--upgrade", "--version", "2.0", *where(node)]
    upgraded = changan("contract", "deploy", "counter", str(source), *options)
    assert upgraded.returncode == 0, upgraded.stderr
    changan("contract", "call", "counter", "add", "amount=3", *where(node))
    assert changan("contract", "query", "counter", "get", *where(node)).stdout.strip() == "9"
    source.write_text(text.replace("count", "counts"))
    refused = changan("contract", "deploy", "counter", str(source), "--upgrade", "--version", "3.0", *where(node))
    assert refused.returncode == 1
    assert "name it in @migrate" in refused.stderr
    source.write_text(text.replace("+= amount", "+= 1.5"))
    bad = changan("contract", "check", str(source))
    assert bad.returncode == 1
    assert f"{source}:9: floats are refused" in bad.stdout


def test_a_receipt_is_asked_for_alone(node):
    def queries() -> int:
        return int(re.search(r'requests_total\{type="query"\} (\d+)', httpx2.get(f"{node.http}/metrics").text)[1])

    with node.connect() as client:
        tx_id = client.invoke("T", "P", {"k": "a", "v": "b"}).tx_id
        before = queries()
    assert '"transaction"' in changan("receipt", tx_id, *where(node)).stdout
    assert queries() == before + 1, "and not for the block beside it"
    assert changan("receipt", "last", *where(node)).returncode == 0
    assert queries() == before + 4, "for the height, and for the block that tells the id"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["contract", "call", "token", "transfer", "to=" + "11" * 20], "amount is missing"),
        (["contract", "call", "token", "transfer", "to"], "name=value"),
        (["contract", "call", "nothing", "f"], "contractName not found"),
        (["contract", "query", "token", "balance_of", "who=zz"], "40 hex digits"),
        (["receipt", "ab" * 32], "rests on this chain (yet)"),
        (["block", "999999"], "no such block"),
    ],
)
def test_errors_are_one_line_that_says_what_is_wrong(node, arguments, says):
    done = changan(*arguments, *where(node))
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_errors_without_a_node(tmp_path):
    done = changan("status", "--home", str(tmp_path))
    assert done.returncode == 1
    assert "name the node's --home" in done.stderr
    done = changan("verify", "--home", str(tmp_path), env={"LC_ALL": "zh_CN.UTF-8"})
    assert done.returncode == 1
    assert "没有链" in done.stderr
    assert changan("reset", "--home", str(tmp_path), "--yes").returncode == 1
    assert changan("--help").stdout.count("\n") > 20


def test_http_reads(node):
    assert node.get("/v1/health")["ok"] is True
    assert {entry["name"] for entry in node.get("/v1/contracts")} >= {"evidence", "token"}
    methods = {method["name"] for method in node.get("/v1/contracts/token")["methods"]}
    assert methods >= {"transfer", "balance_of"}
    with node.connect() as client:
        for n in range(5):
            client.invoke("token", "transfer", {"to": f"{n:02x}" * 20, "amount": 1})
        answer = client.invoke("token", "transfer", {"to": "00" * 20, "amount": 1})
    page = node.get("/v1/contracts/token/fields/balances?limit=2")
    keys = [row["key"] for row in page["rows"]]
    while page["next"]:
        page = node.get(f"/v1/contracts/token/fields/balances?limit=2&after={page['next']}&height={page['height']}")
        keys += [row["key"] for row in page["rows"]]
    assert keys == sorted(set(keys))
    assert len(keys) >= 6
    assert node.get("/v1/contracts/token/fields/supply")["rows"][0]["value"] == "1000000"
    history = node.get(f"/v1/contracts/token/fields/balances/history?key={'00' * 20}")
    assert [entry["value"] for entry in history["writes"]] == ["2", "1"]
    assert history["writes"][0]["tx_id"] == answer.tx_id
    assert node.get(f"/v1/transactions/{answer.tx_id}")["height"] == answer.height
    assert node.get(f"/v1/blocks/{answer.height}")["header"]["block_height"] == str(answer.height)
    assert node.get(f"/v1/receipts/{answer.tx_id}")["tx_id"] == answer.tx_id
    assert "/v1/receipts/{tx_id}" in node.get("/openapi.json")["paths"]
    assert "changan_transactions_total" in httpx2.get(f"{node.http}/metrics", timeout=10).text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/blocks/-1", 422),
        ("/v1/blocks/99999999", 404),
        ("/v1/blocks/x", 422),
        ("/v1/transactions/none", 404),
        ("/v1/receipts/none", 404),
        ("/v1/contracts/none", 404),
        ("/v1/contracts/token/fields/none", 404),
        ("/v1/contracts/token/fields/balances?limit=100000", 422),
        ("/v1/contracts/token/fields/balances?after=zz", 422),
        ("/v1/blocks/0?chain=" + "x" * 200, 422),
        ("/v1/blocks/0?chain=none", 404),
    ],
)
def test_http_refuses_in_words(node, path, status):
    response = httpx2.get(f"{node.http}{path}", timeout=10)
    assert response.status_code == status
    assert response.text


def test_events_as_they_happen_and_from_a_cursor(node):
    heights = []
    with node.connect() as client:
        with httpx2.stream("GET", f"{node.http}/v1/events?contract=token&topic=Transfer", timeout=20) as stream:
            lines = stream.iter_lines()
            threading.Timer(
                0.3, lambda: [client.invoke("token", "transfer", {"to": "22" * 20, "amount": n}) for n in (7, 8)]
            ).start()
            for line in lines:
                if line.startswith("data: "):
                    event = json.loads(line[6:])
                    heights.append((event["height"], event["data"][2]))
                if len(heights) == 2:
                    break
        assert [amount for _, amount in heights] == ["7", "8"]
        headers = {"Last-Event-ID": str(heights[0][0])}
        url = f"{node.http}/v1/events?contract=token"
        with httpx2.stream("GET", url, headers=headers, timeout=20) as stream:
            first = next(line for line in stream.iter_lines() if line.startswith("data: "))
        assert json.loads(first[6:])["height"] == heights[1][0]


def test_a_retry_under_the_same_id_counts_once(node):
    with node.connect() as client:
        before = int(client.query("token", "balance_of", {"who": "33" * 20}).text)
        first = client.invoke("token", "transfer", {"to": "33" * 20, "amount": 1})
        with pytest.raises(CallError, match="TxId exist in DB"):
            client.invoke("token", "transfer", {"to": "33" * 20, "amount": 1}, tx_id=first.tx_id)
        assert int(client.query("token", "balance_of", {"who": "33" * 20}).text) == before + 1


def raw(node: NodeProcess, method: str, data: bytes) -> TxResponse:
    with grpc.insecure_channel(node.rpc) as channel:
        call = channel.unary_unary(f"/api.RpcNode/{method}", request_serializer=None, response_deserializer=None)
        return TxResponse.FromString(call(data, timeout=10))


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_get_an_answer_in_words(shared_node, data):
    for method in ("SendRequest", "SendRequestSync"):
        try:
            response = raw(shared_node, method, data)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        else:
            assert response.code != TxStatusCode.SUCCESS
            assert response.message


@pytest.fixture(scope="module")
def shared_node(node):
    return node


def test_a_huge_member_and_a_huge_parameter_are_refused_at_once(node):
    request = TxRequest()
    request.payload.chain_id = "chain1"
    request.payload.tx_id = "a" * 64
    request.sender.signer.member_info = bytes(10 * 1024 * 1024)
    response = raw(node, "SendRequest", request.SerializeToString())
    assert response.code == TxStatusCode.INTERNAL_ERROR
    assert len(response.message) < 20_000
    request.payload.parameters.add(key="k", value=bytes(13 * 1024 * 1024))
    assert "at most" in raw(node, "SendRequest", request.SerializeToString()).message
    assert node.get("/v1/health")["ok"]


def test_a_second_process_on_the_same_home_is_refused(node):
    done = changan("up", "--home", str(node.home), "--rpc-port", "0", "--http-port", "0")
    assert done.returncode == 1
    assert f"in use by process {node.process.pid}" in done.stderr
