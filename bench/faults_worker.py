"""The load of faults.py: packs of signed calls, or of bundles of them, journalled when they are acknowledged, sent again
under their ids when not."""

from __future__ import annotations

import signal
import sys
import time
from itertools import islice
from pathlib import Path

import grpc

from changan.client.connect import connect
from changan.client.requests import make_payload, sign_request
from changan.ledger.wire.messages import PackedRequests, PackedResponses, TransactionInfo, TxRequest, TxResponse
from faults_lanes import LANES


def main() -> None:
    """Say `go` when the load is made, then send until told to stop."""
    address, home, journal_path, lane = sys.argv[1], sys.argv[2], Path(sys.argv[3]), LANES[sys.argv[4]]
    connection = connect(address, home=home)
    requests = lane.requests(connection, address, home)
    print("go", flush=True)
    channel = grpc.insecure_channel(
        address, options=[("grpc.max_reconnect_backoff_ms", 50), ("grpc.initial_reconnect_backoff_ms", 20)]
    )
    send = channel.unary_unary(
        "/changan.Node/SendPacked",
        request_serializer=PackedRequests.SerializeToString,
        response_deserializer=PackedResponses.FromString,
    )
    query = channel.unary_unary(
        "/api.RpcNode/SendRequest",
        request_serializer=TxRequest.SerializeToString,
        response_deserializer=TxResponse.FromString,
    )
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    pending: list[TxRequest] = []
    with journal_path.open("a", encoding="ascii") as journal:
        while not stopped:
            pending += islice(requests, lane.at_once - len(pending))
            try:
                answer = send(
                    PackedRequests(requests=[item.SerializeToString() for item in pending], wait=True), timeout=10
                )
            except grpc.RpcError:
                time.sleep(0.01)
                continue
            left = []
            for request, response in zip(pending, answer.responses, strict=True):
                height = response.tx_block_height
                if response.code != 0 and "TxId exist in DB" in response.message:
                    height = _height(query, connection, request.payload.tx_id)
                if height:
                    journal.write(f"{request.payload.tx_id} {height}\n")
                else:
                    left.append(request)
            journal.flush()
            pending = left


def _height(query, connection, tx_id: str) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001  # a gRPC method
    payload = make_payload(
        "chain1", "CHAIN_QUERY", "GET_TX_BY_TX_ID", {"txId": tx_id, "withRWSet": "false"}, query=True
    )
    try:
        response = query(sign_request(payload, connection.signer), timeout=10)
    except grpc.RpcError:
        return 0
    return TransactionInfo.FromString(response.contract_result.result).block_height if response.code == 0 else 0


if __name__ == "__main__":
    main()
