"""Bundles sent as Arrow streams: the rows count as if sent by bytes, and whatever is not what was signed changes nothing."""

from __future__ import annotations

import base64
import io

import httpx2
import polars as pl
import pyarrow as pa
import pytest

from changan.arrow import MEDIA_TYPE
from changan.client.arrow_bundle import arrow_bundle
from changan.client.doors import REQUEST_HEADER
from changan.client.requests import make_payload, sign_request
from changan.client.tables import Method
from changan.ledger.bundle import PARAMETER
from changan.ledger.wire.messages import TxRequest
from node_process import changan

TO = [bytes([9]) * 19 + bytes([n]) for n in range(50)]


class Sender:
    def __init__(self, node, client) -> None:
        self.node, self.client = node, client
        self.method = Method(client._drive(client._calls.describe("token")), "transfer")

    def request(self, amounts=range(1, 51)) -> TxRequest:
        [(_, data)] = self.method.bundles({"to": TO, "amount": list(amounts)}, 100, 0)
        return sign_request(make_payload("chain1", "token", "transfer", {PARAMETER: data}), self.client.signer)

    def arrow(self, request: TxRequest | None = None) -> tuple[dict[str, str], bytes]:
        return arrow_bundle(request or self.request(), self.method.signature)

    def post(self, headers, body) -> httpx2.Response:
        return httpx2.post(f"{self.node.http}/v1/bundles", headers=headers, content=body, timeout=20)

    def held(self) -> list[int]:
        return self.client.query_many("token", "balance_of", {"who": TO})["result"].to_pylist()


@pytest.fixture(scope="module")
def sender(node):
    with node.connect() as client:
        yield Sender(node, client)


def test_rows_count_as_if_sent_by_bytes(sender, tmp_path):
    before = sender.held()
    request = sender.request()
    headers, body = sender.arrow(request)
    answer = sender.post(headers, body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["tx_id"], found["rows"], found["succeeded"]) == (request.payload.tx_id, 50, 50)
    assert sender.held() == [had + n for had, n in zip(before, range(1, 51), strict=True)]
    again = sender.post(headers, body)
    assert (again.status_code, "TxId exist" in again.text) == (422, True)
    file = tmp_path / "row.json"
    made = changan("receipt", f"{found['tx_id']}.7", "-o", str(file), "--home", str(sender.node.home))
    assert made.returncode == 0, made.stderr
    checked = changan("verify-receipt", str(file), "--trust", str(sender.node.home / "crypto-config"))
    assert checked.returncode == 0, checked.stderr


def test_columns_that_went_through_polars_and_other_batches_are_those_that_were_signed(sender):
    kind = dict(sender.method.signature.parameters)["amount"]
    headers, body = sender.arrow()
    table = pa.ipc.open_stream(body).read_all()
    again = io.BytesIO()
    amounts = pl.from_arrow(table.select(["amount"])).to_arrow()["amount"].cast(pa.uint64())
    rebuilt = table.set_column(1, "amount", amounts)
    with pa.ipc.new_stream(again, rebuilt.schema) as writer:
        writer.write_table(rebuilt, max_chunksize=7)
    assert kind.name == "U64"
    assert sender.post(headers, again.getvalue()).json()["succeeded"] == 50


def restreamed(body: bytes, change, **options) -> bytes:
    table = change(pa.ipc.open_stream(body).read_all())
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def doubled(table: pa.Table) -> pa.Table:
    return table.set_column(1, table.schema.field(1), pa.array([2 * n for n in range(1, 51)], pa.uint64()))


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (doubled, {}, "authentication failed"),
        (lambda t: t.take(pa.array(range(49, -1, -1))), {}, "authentication failed"),
        (lambda t: t.slice(1), {}, "bundle refused: the stream has 49 rows, 50 were signed"),
        (lambda t: pa.concat_tables([t, t]), {}, "more rows than the 50"),
        (lambda t: t, {"compression": "zstd"}, "compressed buffers"),
        (lambda t: t.select(["amount", "to"]), {}, "the columns are amount, to"),
        (lambda t: t.set_column(1, "amount", t["amount"].cast(pa.int64())), {}, "column amount is int64"),
        (lambda t: t.set_column(1, "amount", t["amount"].dictionary_encode()), {}, "encoded by a dictionary"),
        (lambda t: t.set_column(1, "amount", pa.array([None] * 50, pa.uint64())), {}, "amount holds nulls"),
        (lambda t: t.slice(0, 0), {}, "has 0 rows"),
    ],
)
def test_what_is_not_what_was_signed_changes_nothing(sender, change, options, says):
    before = sender.held()
    headers, body = sender.arrow()
    answer = sender.post(headers, restreamed(body, change, **options))
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True), answer.text
    assert sender.held() == before
    assert sender.post(headers, body).status_code == 200  # the bundle itself was not spent


def headed(request: TxRequest, change) -> dict[str, str]:
    change(request)
    return {REQUEST_HEADER: base64.b64encode(request.SerializeToString()).decode(), "Content-Type": MEDIA_TYPE}


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (lambda r: setattr(r.payload, "chain_id", "other"), 404, "no chain 'other'"),
        (lambda r: setattr(r.payload, "contract_name", "none"), 422, "no Python contract 'none'"),
        (lambda r: setattr(r.payload, "method", "balance_of"), 422, "no @call 'balance_of'"),
        (lambda r: setattr(r.payload, "method", "mint"), 422, "columns are not those of mint"),
        (lambda r: setattr(r.payload, "timestamp", 1), 422, "authentication failed"),
        (lambda r: setattr(r.payload.parameters[0], "key", "x"), 422, "one parameter"),
        (lambda r: r.payload.parameters.add(key="x"), 422, "one parameter"),
        (lambda r: setattr(r.payload.parameters[0], "value", b""), 422, "holds the 24 bytes of a bundle's head"),
        (lambda r: setattr(r.payload.parameters[0], "value", bytes(24)), 422, "no bundle of version 1"),
        (lambda r: setattr(r.payload.parameters[0], "value", b"CGB\x01" + bytes(4) + r.payload.parameters[0].value[8:]), 422, "1 to 65536 rows"),
        (lambda r: setattr(r.payload.parameters[0], "value", r.payload.parameters[0].value + b"x"), 422, "holds the 24 bytes"),
        (lambda r: r.ClearField("sender"), 422, ""),
    ],
)  # fmt: skip
def test_heads_that_are_none(sender, change, status, says):
    headers, body = sender.arrow()
    head = TxRequest.FromString(base64.b64decode(headers[REQUEST_HEADER]))
    answer = sender.post(headed(head, change), body)
    assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text


@pytest.mark.parametrize("header", [None, "", "!", "AAAA", "/" * 60_000, "////"])
def test_headers_that_hold_no_request(sender, header):
    _, body = sender.arrow()
    headers = {"Content-Type": MEDIA_TYPE} | ({} if header is None else {REQUEST_HEADER: header})
    answer = sender.post(headers, body)
    assert answer.status_code in {422, 431, 400}
    assert sender.node.get("/v1/health")["ok"]


@pytest.mark.parametrize("body", [b"", b"x", b"\xff" * 1000, b"ARROW1"])
def test_bodies_that_are_no_stream(sender, body):
    headers, _ = sender.arrow()
    answer = sender.post(headers, body)
    assert (answer.status_code, "end is missing" in answer.text) == (422, True)


def test_a_body_is_bounded(sender):
    headers, _ = sender.arrow()
    assert sender.post(headers, bytes(13 * 1024 * 1024)).status_code == 413
