"""One process of load on our own client: single calls that wait, or signed calls packed many to a message."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc

from changan.client.connect import connect
from changan.client.doors import MESSAGE_BYTES_MAX
from changan.client.requests import Signer, make_payload, sign_request
from changan.contract.compiled.columns import ColumnData
from changan.contract.types import ADDRESS, U64, Signature
from changan.ledger.bundle import PARAMETER, encode_bundle
from changan.ledger.wire.messages import BundleResult, PackedRequests, PackedResponses, TxRequest, TxResponse

if TYPE_CHECKING:
    from collections.abc import Callable

PACK = 100
BUNDLES = 4
BUNDLE_ROWS = 2048
TRANSFER = Signature("transfer", "call", (("to", ADDRESS), ("amount", U64)), None)


def main() -> None:
    """Call as fast as it goes for so many seconds; `packed:250` packs so many calls to a message."""
    address, home, way, length, to, token = sys.argv[1:7]
    mode, _, pack = way.partition(":")
    seconds = float(length)
    connection = connect(address, home=home)
    connection.enable_cert_hash()
    arguments = {"to": to, "amount": 1}
    connection.invoke(token, "transfer", arguments)
    channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)])
    send = channel.unary_unary(
        "/changan.Node/SendPacked",
        request_serializer=PackedRequests.SerializeToString,
        response_deserializer=PackedResponses.FromString,
    )
    alone = channel.unary_unary(
        "/api.RpcNode/SendRequestSync",
        request_serializer=TxRequest.SerializeToString,
        response_deserializer=TxResponse.FromString,
    )
    print("go", flush=True)
    sys.stdin.readline()
    cpu, started = time.process_time(), time.perf_counter()
    latencies: list[float] = []
    calls = 0
    while time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        if mode == "sync":
            connection.invoke(token, "transfer", arguments)
            calls += 1
        elif mode == "bundle":
            calls += _bundled(alone, connection.signer, connection.chain_id, token, to)
        elif mode == "single":
            calls += _singly(alone, connection.signer, connection.chain_id, token, to)
        else:
            calls += _packed(send, connection.signer, connection.chain_id, token, to, int(pack or PACK))
        latencies.append(time.perf_counter() - begun)
    elapsed = time.perf_counter() - started
    print(json.dumps({"calls": calls, "seconds": elapsed, "cpu": time.process_time() - cpu, "latencies": latencies}))


def _singly(
    send: grpc.UnaryUnaryMultiCallable[Any, TxResponse], signer: Signer, chain_id: str, token: str, to: str
) -> int:
    """Send as many calls as a pack holds, each in a message of its own, and wait for all of them."""
    payloads = [make_payload(chain_id, token, "transfer", {"to": to, "amount": "1"}) for _ in range(PACK)]
    futures = [send.future(sign_request(payload, signer), timeout=60) for payload in payloads]
    for future in futures:
        response = future.result()
        assert response.code == 0, response.message
    return len(futures)


def _bundled(
    send: grpc.UnaryUnaryMultiCallable[Any, TxResponse], signer: Signer, chain_id: str, token: str, to: str
) -> int:
    """Send a few bundles together, and wait for all of them."""
    columns = [ColumnData(bytes.fromhex(to) * BUNDLE_ROWS), ColumnData((1).to_bytes(8, "little") * BUNDLE_ROWS)]
    data = encode_bundle(TRANSFER, columns, BUNDLE_ROWS, 0)
    payloads = [make_payload(chain_id, token, "transfer", {PARAMETER: data}) for _ in range(BUNDLES)]
    futures = [send.future(sign_request(payload, signer), timeout=60) for payload in payloads]
    calls = 0
    for future in futures:
        response = future.result()
        assert response.code == 0, response.message
        calls += BundleResult.FromString(response.contract_result.result).rows
    return calls


def _packed(send: Callable[..., PackedResponses], signer: Signer, chain_id: str, token: str, to: str, pack: int) -> int:
    requests = [
        sign_request(make_payload(chain_id, token, "transfer", {"to": to, "amount": "1"}), signer).SerializeToString()
        for _ in range(pack)
    ]
    answer = send(PackedRequests(requests=requests, wait=True), timeout=60)
    for response in answer.responses:
        assert response.code == 0, response.message
    return len(answer.responses)


if __name__ == "__main__":
    main()
