"""The load of soak.py: signed calls packed many to a message, a few messages in flight, and how far it came on standard output.

`python bench/soak_worker.py ADDRESS HOME CONTRACT WORK COUNT FIRST RATE`: WORK is transfer (constant state, of a token) or put (a
new row a call, of the evidence contract); RATE is the most calls a second, 0 for as many as are answered.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc

from changan.client.connect import connect
from changan.client.doors import MESSAGE_BYTES_MAX
from changan.client.requests import Signer, make_payload, sign_request
from changan.ledger.wire.messages import PackedRequests, PackedResponses

if TYPE_CHECKING:
    from collections.abc import Mapping

PACK = 200
IN_FLIGHT = 3
SHOWN_EVERY = 2_000


def main() -> None:
    """Send so many calls, each with its own id and signature; every one of them must succeed."""
    address, home, contract, work = sys.argv[1:5]
    count, first, rate = map(int, sys.argv[5:8])
    connection = connect(address, home=home)
    connection.enable_cert_hash()  # or the disk would hold certificates above all
    channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)])
    send = channel.unary_unary(
        "/changan.Node/SendPacked",
        request_serializer=PackedRequests.SerializeToString,
        response_deserializer=PackedResponses.FromString,
    )
    flying: deque[Any] = deque()  # futures of gRPC
    done = shown = 0
    begun = time.monotonic()
    for start in range(first, first + count, PACK):
        if rate:
            time.sleep(max(0.0, begun + (start - first) / rate - time.monotonic()))
        calls = [
            (contract, work, _arguments(work, number)) for number in range(start, min(start + PACK, first + count))
        ]
        flying.append(send.future(_packed(connection.chain_id, connection.signer, calls), timeout=120))
        if len(flying) >= IN_FLIGHT:
            done += _counted(flying.popleft().result())
        if done >= shown + SHOWN_EVERY:
            shown = done
            print(done, flush=True)
    while flying:
        done += _counted(flying.popleft().result())
    print(done, flush=True)


def _arguments(work: str, number: int) -> dict[str, str]:
    if work == "put":
        return {"digest": f"{number:064x}", "note": "n"}
    return {"to": f"{number % 1000:040x}", "amount": "1"}


def _packed(chain_id: str, signer: Signer, calls: list[tuple[str, str, dict[str, str]]]) -> PackedRequests:
    return PackedRequests(requests=[_signed(chain_id, signer, *call) for call in calls], wait=True)


def _signed(chain_id: str, signer: Signer, contract: str, method: str, arguments: Mapping[str, str]) -> bytes:
    return sign_request(make_payload(chain_id, contract, method, arguments), signer).SerializeToString()


def _counted(answer: PackedResponses) -> int:
    for response in answer.responses:
        assert response.code == 0, response.message
    return len(answer.responses)


if __name__ == "__main__":
    main()
