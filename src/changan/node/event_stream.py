"""Contract events as server-sent events, for as long as their reader is let in. A reader that stops reading is cut off below."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from changan.ledger.wire.messages import TxType
from changan.node.access import AccessError
from changan.node.hidden import shown_block
from changan.node.store.archive import ArchivedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from changan.ledger.wire.messages import BlockWithRWSet
    from changan.node.access import Access
    from changan.node.limits import OpenStreams

IDLE_S = 15.0
"""How long a stream is silent before it says that it is there."""


async def event_stream(
    access: Access, first: int, contract: str, topic: str, streams: OpenStreams, peer: str
) -> AsyncIterator[bytes]:
    """Yield the events from block `first` on; "" leaves contract or topic open."""
    chain, height = access.chain, first
    with streams.held(peer):
        while not chain.stopping:
            try:
                access.check(TxType.SUBSCRIBE)  # again at each block: a member may have been frozen or revoked since
                stored = chain.reader.block(height)
            except (AccessError, ArchivedError) as error:
                yield _remark(str(error))
                return
            if stored is None:
                await chain.rest.grows(height - 1, IDLE_S)
                if chain.reader.height < height:
                    yield _remark("idle")
                continue
            for event in _events(shown_block(chain.world, stored), contract, topic):
                yield event
            height += 1
            await asyncio.sleep(0)


def _events(stored: BlockWithRWSet, contract: str, topic: str) -> Iterator[bytes]:
    height = stored.block.header.block_height
    for tx in stored.block.txs:
        for event in tx.result.contract_result.contract_event:
            if contract not in {"", event.contract_name} or topic not in {"", event.topic}:
                continue
            data = {
                "height": height,
                "tx_id": event.tx_id,
                "contract": event.contract_name,
                "topic": event.topic,
                "data": list(event.event_data),
            }
            yield f"id: {height}\nevent: {event.topic}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _remark(text: str) -> bytes:
    return f": {' '.join(text.split())}\n\n".encode()
