"""Subscriptions: blocks, transactions and contract events, those that rest already and those to come.

A stream goes at its reader's pace and holds one block and one message at a time. Whoever stops reading is cut off, and the
end of the stream says where to go on.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import grpc

from changan.errors import ChanganError
from changan.ledger.admission import RefusedError
from changan.ledger.wire.messages import SubscribeResult, TxType
from changan.node.hidden import shown_block
from changan.node.limits import OpenStreams, address_of
from changan.node.store.archive import ArchivedError
from changan.node.subscribe_render import Item, Wanted, render_block, render_events, render_transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from changan.ledger.admission import Admitted
    from changan.ledger.wire.messages import BlockWithRWSet, TxRequest
    from changan.node.chain import Chain

Context = grpc.aio.ServicerContext[Any, Any]
FOR_EVER = -1
PATIENCE_S = 30.0
"""How long a message may wait for its reader. A reader that takes nothing for so long is cut off."""
CURSOR_KEY = "changan-cursor"
_INT64_BYTES = 8
_IDLE_S = 30.0
_CURSOR = re.compile(r"(\d{1,18})\.(\d{1,9})\.(\d{1,9})")


class Cursor(NamedTuple):
    """A place in the chain: a block, a transaction in it, an event of that. Streams promise this order."""

    height: int
    transaction: int = 0
    event: int = 0

    def __str__(self) -> str:
        return f"{self.height}.{self.transaction}.{self.event}"


class Range(NamedTuple):
    """What a subscription covers; the end may be open."""

    start: Cursor
    end: int  # FOR_EVER: no end


class BadRangeError(ChanganError):
    """Heights that cannot be a range."""


class Subscriptions:
    """Streams from the chains of this node."""

    def __init__(self, chains: Mapping[str, Chain], streams: OpenStreams) -> None:
        self._chains = chains
        self._streams = streams

    async def serve(self, request: TxRequest, context: Context) -> None:
        """Write the messages of one subscription, each with the bytes that ChainMaker puts into SubscribeResult."""
        chain = self._chains.get(request.payload.chain_id)
        if chain is None:
            text = f"get chain conf failed, chain id {request.payload.chain_id[:256]} not found"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
            raise AssertionError("abort raises")
        admitted = await _admit(chain, request, context)
        kind = _KINDS.get(request.payload.method)
        if request.payload.tx_type != TxType.SUBSCRIBE or kind is None:
            return  # the real node ends such a stream without a word
        parameters = {parameter.key: parameter.value for parameter in request.payload.parameters}
        wanted = Wanted.from_parameters(parameters, admitted.sender)
        try:
            covered = _range(parameters, kind, chain.reader.height)
        except BadRangeError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{kind.complaint}, {error}")
            raise
        if covered is None:
            return
        peer = address_of(context.peer())
        refusal = self._streams.refusal(peer)
        if refusal is not None:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, refusal)
        with self._streams.held(peer):
            await _stream(_Reader(chain, request, context, admitted.epoch), covered, kind.render, wanted)


async def _admit(chain: Chain, request: TxRequest, context: Context) -> Admitted:
    try:
        return chain.authenticate(request)
    except RefusedError as error:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.message)
        raise


class _Reader:
    """Who reads one stream, and the way to it."""

    def __init__(self, chain: Chain, request: TxRequest, context: Context, epoch: int) -> None:
        self.chain = chain
        self._request = request
        self._context = context
        self._epoch = epoch

    async def still_may(self) -> None:
        """End the stream of a member that was frozen or revoked, or that the policies no longer let subscribe."""
        if self._epoch != self.chain.world.epoch:
            self._epoch = (await _admit(self.chain, self._request, self._context)).epoch

    async def take(self, data: bytes, here: Cursor) -> None:
        """Hand over one message; a reader that does not take it is cut off."""
        try:
            # Not wait_for: it loses a cancellation that comes with the end of the write, and the stream would stay.
            async with asyncio.timeout(PATIENCE_S):
                await self._context.write(SubscribeResult(data=data))
        except TimeoutError:
            text = f"the reader took nothing for {PATIENCE_S:g} s"
            await self.cut_off(grpc.StatusCode.RESOURCE_EXHAUSTED, text, here)

    async def refuse(self, code: grpc.StatusCode, why: str) -> None:
        """End a stream that cannot go on."""
        await self._context.abort(code, why)

    async def cut_off(self, code: grpc.StatusCode, why: str, cursor: Cursor) -> NoReturn:
        """End a stream before its end, and say where to go on: with this height, or exactly there with this cursor."""
        text = f"{why}: go on with START_BLOCK {cursor.height}, or exactly where this ended with CURSOR {cursor}"
        # The status travels behind what the reader has not taken yet. It may come for that as long again, then the call is
        # dropped.
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._context.abort(code, text, trailing_metadata=((CURSOR_KEY, str(cursor)),))
        except TimeoutError:
            raise grpc.aio.AbortError(text) from None


async def _stream(reader: _Reader, covered: Range, render: Render, wanted: Wanted) -> None:
    """Write a range of blocks in order, waiting for those that are still to come."""
    chain, next_up = reader.chain, covered.start
    while (covered.end == FOR_EVER or next_up.height <= covered.end) and not wanted.complete:
        try:
            stored = chain.reader.block(next_up.height)
        except ArchivedError as error:
            await reader.refuse(grpc.StatusCode.NOT_FOUND, f"{error}: have it restored, or start above")
            raise
        if stored is None:
            if chain.stopping:
                await reader.cut_off(grpc.StatusCode.UNAVAILABLE, "the node is stopping", next_up)
            await chain.rest.grows(next_up.height - 1, _IDLE_S)
            continue
        await reader.still_may()
        for item in render(shown_block(chain.world, stored), wanted):
            here = Cursor(next_up.height, item.transaction, item.event)
            if here >= covered.start:
                await reader.take(item.data, here)
        next_up = Cursor(next_up.height + 1)


def _range(parameters: Mapping[str, bytes], kind: _Kind, tip: int) -> Range | None:
    """Return what is asked for; None where the range is empty from the start, as on the real node."""
    start, end = (_int64(parameters.get(name, bytes(_INT64_BYTES))) for name in ("START_BLOCK", "END_BLOCK"))
    if start < -1 or end < -1 or (start > end and end != FOR_EVER):
        raise BadRangeError("invalid start block height or end block height")
    cursor = parameters.get("CURSOR")
    if cursor is not None:
        found = _CURSOR.fullmatch(cursor.decode("utf-8", "replace"))
        if found is None:
            raise BadRangeError("CURSOR is not of the form height.transaction.event")
        return Range(Cursor(*map(int, found.groups())), end)
    if (start, end) == (-1, -1) or (kind.zero_means_now and (start, end) == (0, 0)):
        return Range(Cursor(tip + 1), FOR_EVER)
    if start == -1:
        return None
    return Range(Cursor(min(start, tip)), end)


def _int64(value: bytes) -> int:
    if len(value) < _INT64_BYTES:
        raise BadRangeError("unexpected EOF" if value else "EOF")
    return int.from_bytes(value[:_INT64_BYTES], "little", signed=True)


if TYPE_CHECKING:
    Render = Callable[[BlockWithRWSet, Wanted], Iterable[Item]]


class _Kind(NamedTuple):
    complaint: str
    render: Render
    zero_means_now: bool = False


_KINDS = {
    "SUBSCRIBE_BLOCK": _Kind("check subscribe block payload failed", render_block),
    "SUBSCRIBE_TX": _Kind("check subscribe tx payload params failed", render_transactions),
    "SUBSCRIBE_CONTRACT_EVENT": _Kind(
        "check subscribe contract event payload params failed", render_events, zero_means_now=True
    ),
}
