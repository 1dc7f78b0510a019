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
        answers: list[bytes | None] = []
        for start in range(0, len(requests), REQUESTS_A_TURN):
            await self._node.turn(context)
            part = slice(start, start + REQUESTS_A_TURN)
            answers += await self._take_in(requests[part], proofs[part])
        if packed.wait:
            try:
                await self._await_all(requests, answers)
            except StoppedError as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, f"{error}: ask again by transaction id")
                raise
        parts = [
            bytes_field(_RESPONSES, _accepted(request.payload.tx_id) if answer is None else answer)
            for (request, _), answer in zip(requests, answers, strict=True)
        ]
        return b"".join(parts)

    async def _take_in(
        self, requests: Sequence[tuple[TxRequest, int]], proofs: Sequence[Proven | None]
    ) -> list[bytes | None]:
        """Take requests in, together where they are calls for the next block of one chain; None stands for one that was taken."""
        node = self._node
        proven = [proof for proof in proofs if proof is not None]
        if len(proven) == len(requests) and not any(node.is_special(request, size) for request, size in requests):
            ends = node.submit_all(requests, proven)
            return [None if end is None else end.SerializeToString() for end in ends]
        answers: list[bytes | None] = []
        for (request, size), proof in zip(requests, proofs, strict=True):
            answer = (await node.dispatch(request, size, wait=False, proven=proof)).SerializeToString()
            answers.append(None if answer == _accepted(request.payload.tx_id) else answer)
        return answers

    async def _await_all(self, requests: Sequence[tuple[TxRequest, int]], answers: list[bytes | None]) -> None:
        """Put what became of those requests that were taken in the place of their answers. Raises StoppedError."""
        waiting: dict[str, dict[int, str]] = {}
        for at, ((request, _), answer) in enumerate(zip(requests, answers, strict=True)):
            if answer is None:
                waiting.setdefault(request.payload.chain_id, {})[at] = request.payload.tx_id
        asked = []  # of every chain before the first is waited for: what rests meanwhile would be pending no more
        for chain_id, places in waiting.items():
            chain = self._node.chains[chain_id]
            pending = {at: tx_id for at, tx_id in places.items() if chain.is_pending(tx_id)}
            asked.append((pending, chain.results(list(pending.values()))))
        for pending, ends in asked:
            for at, end in zip(pending, await ends, strict=True):
                if isinstance(end, Committed):
                    answers[at] = end.encoded
                elif isinstance(end, RefusedError):
                    answers[at] = self._node.refused(end, pending[at]).SerializeToString()
                else:
                    raise end


def _accepted(tx_id: str) -> bytes:
    return TxResponse(code=TxStatusCode.SUCCESS, message="OK", tx_id=tx_id).SerializeToString()
