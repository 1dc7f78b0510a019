"""Whole fields and histories as pyarrow Tables, streamed from the node's HTTP door, with a bar while a long one comes."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import httpx2

from changan.arrow import need_arrow
from changan.client.calls import CallError, UnreachableError
from changan.ledger.wire.messages import TxStatusCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from typing_extensions import Buffer

BAR_AFTER_S = 1.0


class Place(NamedTuple):
    """A field of a contract on a chain."""

    chain_id: str
    contract: str
    field: str

    @property
    def path(self) -> str:
        """Where the HTTP door has it."""
        return f"/v1/contracts/{quote(self.contract, '')}/fields/{quote(self.field, '')}"


def fetch_field(web: httpx2.Client, place: Place, height: int | None, progress: bool | None) -> pa.Table:  # noqa: FBT001  # None: where it is seen
    """Return all of a contract's field. Raises ArrowMissingError, CallError, UnreachableError."""
    asked = {"chain": place.chain_id} | ({} if height is None else {"height": str(height)})
    return _fetch(web, f"{place.path}/table", asked, progress=progress)


def fetch_history(web: httpx2.Client, place: Place, key: str, limit: int) -> pa.Table:
    """Return what a row held, newest first. Raises as `fetch_field`."""
    asked = {"chain": place.chain_id, "key": key, "limit": str(limit)}
    return _fetch(web, f"{place.path}/history/table", asked, progress=False)


def _fetch(web: httpx2.Client, path: str, asked: Mapping[str, str], *, progress: bool | None) -> pa.Table:
    need_arrow()
    try:
        with web.stream("GET", path, params=asked) as response:
            if not response.is_success:
                response.read()
                raise CallError(TxStatusCode.CONTRACT_FAIL, _detail(response), "")
            return read_stream(response.iter_bytes(), progress=progress)
    except httpx2.HTTPError as error:
        raise UnreachableError(f"the node's HTTP door does not answer ({error}): is it running?") from error


def read_stream(pieces: Iterator[bytes], *, progress: bool | None) -> pa.Table:
    """Return the table that an Arrow IPC stream holds, whose schema says how many `rows`. Raises UnreachableError."""
    import pyarrow as pa  # noqa: PLC0415  # an extra, asked for before
    from tqdm.auto import tqdm  # noqa: PLC0415  # as above

    seen = sys.stderr.isatty() or "ipykernel" in sys.modules if progress is None else progress
    batches = []
    try:
        with pa.ipc.open_stream(io.BufferedReader(_Pieces(pieces), 1 << 20)) as reader:
            schema = reader.schema
            rows = int(schema.metadata[b"rows"])
            with tqdm(total=rows, unit=" rows", disable=not seen, delay=0 if progress else BAR_AFTER_S) as bar:
                for batch in reader:
                    batches.append(batch)
                    bar.update(batch.num_rows)
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise UnreachableError(f"the node's answer is no table, or one that was cut short: {error}") from error
    table = pa.Table.from_batches(batches, schema)
    if table.num_rows != rows:
        raise UnreachableError(f"the table ended after {table.num_rows} of {rows} rows: ask again")
    return table


class _Pieces(io.RawIOBase):
    """An iterator of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Buffer) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        room = memoryview(target).cast("B")
        size = min(len(room), len(self._left))
        room[:size], self._left = self._left[:size], self._left[size:]
        return size


def _detail(response: httpx2.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]
