"""Inputs that are large, deep or packed: refused at once, in words, and the node goes on."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import grpc
import httpx2
import pytest
from recorded_desk import Desk

from node_process import NodeProcess

ANSWER_MAX = 20_000  # characters, whatever was sent


@pytest.fixture(scope="module")
def desk(node):
    made = Desk(node)
    yield made
    made.close()


def test_a_huge_revocation_list_is_refused_at_once(desk):
    organisation = desk.crypto.organisations[0]
    listed = organisation.authority().revocation_list(range(1, 25_000), datetime.now(UTC))
    started = time.monotonic()
    reply, in_block = desk.send("CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": listed}, sender=desk.admins[0])
    assert "20000" in reply + in_block
    assert time.monotonic() - started < 10
    assert desk.query("CHAIN_QUERY", "GET_CHAIN_INFO")[0].startswith("0 SUCCESS")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[" * 4000, "9" * 100_000, '"' + "\\u0041" * 20_000 + '"']
)
def test_json_that_is_deep_or_long_is_refused_in_words(node, desk, text):
    for field in ("allowances", "balances", "supply"):
        question = {"contract": "token", "field": field, "key": text}
        for method in ("HISTORY", "PROVE"):
            reply, _ = desk.query("CHANGAN", method, question)
            assert not reply.startswith("0 SUCCESS")
            assert len(reply) < ANSWER_MAX
        path = f"/v1/contracts/token/fields/{field}/history?key={text[:3000]}"
        with node.connect() as client:
            assert client.web.get(path).status_code == 404
    reply, in_block = desk.send("token", "transfer", {"to": text, "amount": text})
    assert "bad argument" in reply + in_block


def test_what_unpacks_to_a_thousand_times_its_size(node, desk):
    zipped = httpx2.post(
        f"{node.http}/v1/bundles",
        content=b"\x1f\x8b" + bytes(100_000),
        headers={"content-encoding": "gzip"},
        timeout=10,
    )
    assert zipped.status_code == 415
    before = resident_mib(node)
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(node.rpc, options=options, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary("/api.RpcNode/SendRequest")
        with pytest.raises(grpc.RpcError) as refused:
            call(bytes(300 << 20), timeout=60)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert resident_mib(node) - before < 200
    assert desk.query("CHAIN_QUERY", "GET_CHAIN_INFO")[0].startswith("0 SUCCESS")


def resident_mib(node: NodeProcess) -> float:
    lines = Path(f"/proc/{node.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
