"""Many requests in one message: proven together, taken in together, and answered together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError

from changan.ledger.admission import RefusedError
from changan.ledger.wire.fields import bytes_field
from changan.ledger.wire.messages import PackedRequests, TxRequest, TxResponse, TxStatusCode
from changan.node.answers import Committed
from changan.node.rest import StoppedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.ledger.admission import Proven
    from changan.node.rpc import Context, RpcNode

PACKED_MAX = 10_000
REQUESTS_A_TURN = 64
"""Of one message are looked at together, before others have their turn."""
_RESPONSES = 1  # field of PackedResponses


class PackedDoor:
    """The method of our own service that takes many requests."""

    def __init__(self, node: RpcNode) -> None:
        self._node = node

    async def send(self, data: bytes, context: Context) -> bytes:
        """Answer `PackedRequests` with `PackedResponses`."""
        try:
            packed = PackedRequests.FromString(data)
            if len(packed.requests) > PACKED_MAX:
                text = f"{len(packed.requests)} requests in one message, at most {PACKED_MAX} are allowed"
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
            await self._node.admit(context, len(packed.requests))
            requests = [(TxRequest.FromString(item), len(item)) for item in packed.requests]
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is not PackedRequests of TxRequest")
            raise
        proofs = await self._node.prove([request for request, _ in requests])
        responses: list[TxResponse] = []
        for start in range(0, len(requests), REQUESTS_A_TURN):
            await self._node.turn(context)
            part = slice(start, start + REQUESTS_A_TURN)
            responses += await self._take_in(requests[part], proofs[part])
        answers = [response.SerializeToString() for response in responses]
        if packed.wait:
            try:
                await self._await_all(requests, responses, answers)
            except StoppedError as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, f"{error}: ask again by transaction id")
                raise
        return b"".join([bytes_field(_RESPONSES, answer) for answer in answers])

    async def _take_in(
        self, requests: Sequence[tuple[TxRequest, int]], proofs: Sequence[Proven | None]
    ) -> list[TxResponse]:
        """Take requests in: together where they are nothing but calls for the next block of one chain."""
        node = self._node
        proven = [proof for proof in proofs if proof is not None]
        if len(proven) == len(requests) and not any(node.is_special(request, size) for request, size in requests):
            return node.submit_all(requests, proven)
        return [
            await node.dispatch(request, size, wait=False, proven=proof)
            for (request, size), proof in zip(requests, proofs, strict=True)
        ]

    async def _await_all(
        self, requests: Sequence[tuple[TxRequest, int]], responses: Sequence[TxResponse], answers: list[bytes]
    ) -> None:
        """Put what became of those requests that wait in the place of their answers. Raises StoppedError."""
        waiting: dict[str, dict[int, str]] = {}
        for at, ((request, _), response) in enumerate(zip(requests, responses, strict=True)):
            payload = request.payload
            if response.code == TxStatusCode.SUCCESS:
                waiting.setdefault(payload.chain_id, {})[at] = payload.tx_id
        for chain_id, places in waiting.items():
            chain = self._node.chains.get(chain_id)
            if chain is None:
                continue
            pending = {at: tx_id for at, tx_id in places.items() if chain.is_pending(tx_id)}
            for at, end in zip(pending, await chain.results(list(pending.values())), strict=True):
                if isinstance(end, Committed):
                    answers[at] = end.encoded
                elif isinstance(end, RefusedError):
                    answers[at] = self._node.refused(end, pending[at]).SerializeToString()
                else:
                    raise end
