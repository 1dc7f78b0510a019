"""Subscriptions: blocks, transactions and contract events, those that rest already and those to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from changan.errors import ChanganError
from changan.ledger.admission import RefusedError
from changan.ledger.wire.messages import (
    BlockInfo,
    ContractEventInfo,
    ContractEventInfoList,
    TxType,
)
from changan.node.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from changan.ledger.members import Identity
    from changan.ledger.wire.messages import Block, BlockWithRWSet, TxRequest
    from changan.node.chain import Chain

Context = grpc.aio.ServicerContext[Any, Any]
FOR_EVER = -1
_INT64_BYTES = 8
_IDLE_S = 30.0


class Range(NamedTuple):
    """Heights that a subscription covers; the end may be open."""

    start: int
    end: int  # FOR_EVER: no end


class BadRangeError(ChanganError):
    """Heights that cannot be a range."""


class Subscriptions:
    """Streams from the chains of this node."""

    def __init__(self, chains: Mapping[str, Chain]) -> None:
        self._chains = chains

    async def stream(self, request: TxRequest, context: Context) -> AsyncIterator[bytes]:
        """Yield the messages of one subscription, each the bytes that ChainMaker puts into SubscribeResult."""
        chain = self._chains.get(request.payload.chain_id)
        if chain is None:
            text = f"get chain conf failed, chain id {request.payload.chain_id[:256]} not found"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
            raise AssertionError("abort raises")
        if request.payload.tx_type != TxType.SUBSCRIBE:
            return
        try:
            sender = chain.authenticate(request).sender
        except RefusedError as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.message)
            raise
        parameters = {parameter.key: parameter.value for parameter in request.payload.parameters}
        kind = _KINDS.get(request.payload.method)
        if kind is None:
            return
        try:
            wanted = _range(parameters, kind.noun)
        except BadRangeError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise
        if wanted is None:
            return
        with METRICS.subscriptions.track_inprogress():
            async for stored in _blocks(chain, wanted, from_now=kind.from_now(parameters)):
                for message in kind.render(stored, parameters, sender):
                    yield message


async def _blocks(chain: Chain, wanted: Range, *, from_now: bool) -> AsyncIterator[BlockWithRWSet]:
    """Yield the blocks of a range in order, waiting for those that are still to come."""
    height = chain.reader.height + 1 if from_now else min(wanted.start, chain.reader.height)
    while from_now or wanted.end == FOR_EVER or height <= wanted.end:
        stored = chain.reader.block(height)
        if stored is not None:
            yield stored
            height += 1
        elif chain.stopping:
            return
        else:
            await chain.rest.grows(height - 1, _IDLE_S)


def _range(parameters: Mapping[str, bytes], noun: str) -> Range | None:
    """Return the heights asked for; None where the range is empty from the start, as on the real node."""
    start, end = (_int64(parameters.get(name, b"\0" * _INT64_BYTES), noun) for name in ("START_BLOCK", "END_BLOCK"))
    if start < -1 or end < -1 or (start > end and end != FOR_EVER):
        raise BadRangeError(f"check subscribe {noun} payload failed, invalid start block height or end block height")
    if start == -1 and end != FOR_EVER:
        return None
    return Range(start, end)


def _int64(value: bytes, noun: str) -> int:
    if len(value) < _INT64_BYTES:
        raise BadRangeError(f"check subscribe {noun} payload failed, unexpected EOF")
    return int.from_bytes(value[:_INT64_BYTES], "little", signed=True)


def _flag(parameters: Mapping[str, bytes], name: str) -> bool:
    return parameters.get(name, b"").lower() == b"true"


def _render_block(stored: BlockWithRWSet, parameters: Mapping[str, bytes], reader: Identity) -> Iterator[bytes]:
    if _flag(parameters, "ONLY_HEADER"):
        yield stored.block.header.SerializeToString()
        return
    info = BlockInfo(block=stored.block)
    if _flag(parameters, "WITH_RWSET"):
        info.rwset_list.extend(stored.txRWSets)
    if reader.role == "LIGHT":
        _keep_own(info.block, reader.org_id)
        del info.rwset_list[:]
    yield info.SerializeToString()


def _keep_own(block: Block, org_id: str) -> None:
    """A light member sees whole headers, and of the transactions only those of its own organisation."""
    own = [tx for tx in block.txs if tx.HasField("sender") and tx.sender.signer.org_id == org_id]
    kept = [type(tx).FromString(tx.SerializeToString()) for tx in own]
    del block.txs[:]
    block.txs.extend(kept)


def _render_transactions(stored: BlockWithRWSet, parameters: Mapping[str, bytes], reader: Identity) -> Iterator[bytes]:
    contract = parameters.get("CONTRACT_NAME", b"").decode("utf-8", "replace")
    ids = {part for part in parameters.get("TX_IDS", b"").decode("utf-8", "replace").split(",") if part}
    for tx in stored.block.txs:
        if contract and tx.payload.contract_name != contract:
            continue
        if ids and tx.payload.tx_id not in ids:
            continue
        if reader.role == "LIGHT" and tx.sender.signer.org_id != reader.org_id:
            continue
        yield tx.SerializeToString()


def _render_events(stored: BlockWithRWSet, parameters: Mapping[str, bytes], reader: Identity) -> Iterator[bytes]:
    del reader
    header = stored.block.header
    if header.block_height == 0:
        return
    contract = parameters.get("CONTRACT_NAME", b"").decode("utf-8", "replace")
    topic = parameters.get("TOPIC", b"").decode("utf-8", "replace")
    found = [
        ContractEventInfo(
            block_height=header.block_height,
            chain_id=header.chain_id,
            topic=event.topic,
            tx_id=event.tx_id,
            event_index=at,
            contract_name=event.contract_name,
            contract_version=event.contract_version,
            event_data=event.event_data,
        )
        for tx in stored.block.txs
        for at, event in enumerate(tx.result.contract_result.contract_event)
        if (not contract or event.contract_name == contract) and (not topic or event.topic == topic)
    ]
    if found:
        yield ContractEventInfoList(contract_events=found).SerializeToString()


class _Kind(NamedTuple):
    noun: str
    render: Callable[[BlockWithRWSet, Mapping[str, bytes], Identity], Iterable[bytes]]
    zero_means_now: bool = False

    def from_now(self, parameters: Mapping[str, bytes]) -> bool:
        """Whether the subscription starts with the next block: -1 and -1, and for events 0 and 0 too."""
        start = int.from_bytes(parameters.get("START_BLOCK", b"")[:_INT64_BYTES], "little", signed=True)
        end = int.from_bytes(parameters.get("END_BLOCK", b"")[:_INT64_BYTES], "little", signed=True)
        return (start, end) == (-1, -1) or (self.zero_means_now and (start, end) == (0, 0))


_KINDS = {
    "SUBSCRIBE_BLOCK": _Kind("block", _render_block),
    "SUBSCRIBE_TX": _Kind("tx", _render_transactions),
    "SUBSCRIBE_CONTRACT_EVENT": _Kind("contract event", _render_events, zero_means_now=True),
}
