"""Fields of contracts as Arrow: all rows at one height, or what one row held, few tables at a time, none for ever."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

from changan.arrow import need_arrow
from changan.errors import ChanganError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from changan.arrow.fields import FieldTable
    from changan.node.reads import Past, Reads

BATCH_ROWS = 65_536
TABLES_MAX = 4
"""How many tables are sent at a time; each holds a picture of its field."""
TABLES_A_PEER_MAX = 2
TABLE_S = 600.0
"""How long one may take to be sent."""


class TablesBusyError(ChanganError):
    """As many tables are under way as may be; the message says whose."""


class Tables:
    """The tables of a node that are being sent, counted by the address of who reads them."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()

    async def stream(
        self, reads: Reads, contract: str, field: str, height: int | None, peer: str
    ) -> AsyncIterator[bytes]:
        """Return an Arrow IPC stream of all of a field, now or at a height whose pages are being read.

        What is wrong is known before this returns. Raises ArrowMissingError, TablesBusyError, ReadError, RefusedError,
        StoppedError.
        """
        need_arrow()
        pieces = self._pieces(reads, contract, field, height, peer)
        await anext(pieces)  # a generator that has begun ends itself, also if nobody goes on with it
        return pieces

    async def history(self, reads: Reads, contract: str, field: str, key: str, limit: int, peer: str) -> bytes:
        """Return an Arrow IPC stream of what a row held, newest first. Raises ArrowMissingError, TablesBusyError, ReadError."""
        need_arrow()
        self._enter(peer)
        try:
            past = await reads.past(contract, field, key, limit)
            return await asyncio.to_thread(_encoded, past, {"contract": contract, "field": field, "key": key})
        finally:
            self._leave(peer)

    async def _pieces(
        self, reads: Reads, contract: str, field: str, height: int | None, peer: str
    ) -> AsyncGenerator[bytes, None]:
        until = time.monotonic() + TABLE_S
        self._enter(peer)
        try:
            table = await _table(reads, contract, field, height)
            yield b""
            sink = BytesIO()
            writer: Any = import_module("pyarrow").ipc.new_stream(sink, table.schema)
            batches = table.batches(BATCH_ROWS)
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                writer.write_batch(batch)
                yield _taken(sink)
                if time.monotonic() > until:
                    raise TimeoutError(f"a table is read within {TABLE_S:.0f} s")
            writer.close()
            yield _taken(sink)
        finally:
            self._leave(peer)

    def _enter(self, peer: str) -> None:
        if self._under_way[peer] >= TABLES_A_PEER_MAX:
            raise TablesBusyError(f"{peer} reads {TABLES_A_PEER_MAX} tables already: ask again when one has ended")
        if self._under_way.total() >= TABLES_MAX:
            raise TablesBusyError(f"the node sends {TABLES_MAX} tables already: ask again when one has ended")
        self._under_way[peer] += 1

    def _leave(self, peer: str) -> None:
        self._under_way[peer] -= 1
        if not self._under_way[peer]:
            del self._under_way[peer]


async def _table(reads: Reads, contract: str, field: str, height: int | None) -> FieldTable:
    whole = await reads.whole(contract, field, height)
    metadata = {"contract": contract, "field": field, "height": str(whole.height)}

    def make() -> FieldTable:
        table: FieldTable = import_module("changan.arrow.fields").FieldTable(whole.kind, whole.view, metadata)
        return table

    return await asyncio.to_thread(make)


def _encoded(past: Past, metadata: dict[str, str]) -> bytes:
    heights = {"height": str(past.told.height), "complete_to": str(past.told.complete_to)}
    table = import_module("changan.arrow.histories").history_table(past.kind, past.told.writes, metadata | heights)
    sink = BytesIO()
    with import_module("pyarrow").ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _taken(sink: BytesIO) -> bytes:
    """Return what was written since the last time."""
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data
