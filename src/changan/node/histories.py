"""The history of rows: transactions of their own by the index, those of bundles by an index that follows in the background.

A bundle of thousands of rows takes no longer because of it: which rows it changed is read from the log once it rests, by a
thread that leaves the interpreter to others most of the time while blocks are made. What it did not come to yet is missing
in histories, and they say up to which height they are complete.
"""

from __future__ import annotations

import asyncio
import time
from hashlib import blake2b
from heapq import merge
from itertools import islice
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

import structlog

from changan.contract.records import find_value, rows_of
from changan.errors import ChanganError
from changan.ledger.bundle import PARAMETER
from changan.ledger.wire.messages import BundleResult
from changan.node.metrics import METRICS, stage
from changan.node.past_fields import PastFields
from changan.node.process import give_way
from changan.node.store.archive import ArchivedError
from changan.node.store.changed_rows import FINGERPRINT_BYTES, ChangedRows, DamagedRowsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from changan.ledger.wire.messages import BlockWithRWSet
    from changan.node.reader import Reader
    from changan.node.store.index import Index

_log = structlog.get_logger()
SLICE_ROWS = 1024
SLICE_S = 0.003
"""After so long others have their turn."""
BUSY_S = 0.5
"""While the last block came to rest less than this ago, the chain is busy."""
BUSY_REST = 100
"""Then the thread rests so many times as long as it works: a hundredth is too little to be seen in the calls a second."""
PAUSE_S = 0.05
"""How long it lets blocks gather while the chain is busy."""
RETRY_S = 5.0
CATCH_UP_S = 1.0
"""How long a question waits for the index to come to what rested before it."""


class HistoryError(ChanganError):
    """A history that cannot be told now, in words."""


class Wrote(NamedTuple):
    """One time that a row was written. The value is b"" where the row was deleted, None where the transaction is masked."""

    height: int
    position: int
    tx_id: str
    value: bytes | None


class Told(NamedTuple):
    """What was written into a row, newest first, when the chain was at `height`: everything up to `complete_to`."""

    writes: list[Wrote]
    height: int
    complete_to: int


class Histories:
    """The histories of one chain's rows."""

    def __init__(
        self, directory: Path, index: Index, reader: Reader, contracts: Callable[[], Iterable[str]], chain_id: str
    ) -> None:
        """`directory` is the chain's; `contracts` gives the names of all Python contracts, to any thread."""
        self._index = index
        self._reader = reader
        self._contracts = contracts
        self._lag = METRICS.histories.labels(chain_id)
        self._fields = PastFields(directory, reader)
        self._rows = ChangedRows(directory / "histories")
        if self._rows.covered > index.height:
            self._rows.forget_from(index.height + 1)
        if self._rows.covered + 1 < index.whole_from:
            self._rows.begin(index.whole_from)
        self._rested_at = self._turn = 0.0
        self._news, self._stopping = Event(), Event()
        self._news.set()
        self._thread = Thread(target=self._run, name="histories", daemon=True)
        self._thread.start()

    @property
    def complete_to(self) -> int:
        """The height up to which the rows that bundles changed are in the histories."""
        return self._rows.covered

    def rested(self) -> None:
        """Say that a block came to rest."""
        self._rested_at = time.monotonic()
        self._news.set()

    def close(self) -> None:
        """Stop following. What is not in a file yet is read from the log again at the next start."""
        self._stopping.set()
        self._news.set()
        self._thread.join()

    # Following

    def _run(self) -> None:
        give_way()
        while not self._stopping.is_set():
            self._news.wait()
            self._news.clear()
            try:
                self._follow()
            except OSError as error:  # e.g. a full disk
                _log.warning("histories.behind", complete_to=self.complete_to, reason=str(error))
                self._rows.forget_from(self.complete_to + 1)
                self._stopping.wait(RETRY_S)
                self._news.set()

    def _follow(self) -> None:
        self._rows.mend()
        self._turn = time.monotonic()
        while not self._stopping.is_set():
            top = self._index.height
            found = [self._index.first_written(name, PARAMETER, self.complete_to + 1) for name in self._contracts()]
            height = min((height for height in found if height is not None), default=top + 1)
            if height > top:
                self._cover(top)
                self._stopping.wait(PAUSE_S if self._is_busy() else 0)
                return
            self._take(height)
            self._let_others()

    @stage("histories")
    def _take(self, height: int) -> None:
        try:
            for one in _changed(self._reader.stored(height)):
                names = self._fields.names(one.contract, height)
                if names is None:
                    raise ArchivedError(f"the code that {one.contract} had in block {height} is away")
                rows = (fingerprint(one.contract, row.key) for row in rows_of(names, one.records))
                while piece := list(islice(rows, SLICE_ROWS)):
                    self._rows.add(height, piece)
                    self._let_others()
                    if self._stopping.is_set():
                        return
        except ArchivedError as error:
            _log.warning("histories.gap", height=height, reason=str(error))
            self._rows.begin(height + 1)
        else:
            self._cover(height)

    def _cover(self, height: int) -> None:
        self._rows.cover(height)
        self._lag.set(self.complete_to)

    def _let_others(self) -> None:
        """Leave the interpreter to others once a turn is over."""
        worked = time.monotonic() - self._turn
        if worked >= SLICE_S:
            self._stopping.wait(worked * BUSY_REST if self._is_busy() else worked)
            self._turn = time.monotonic()

    def _is_busy(self) -> bool:
        return time.monotonic() - self._rested_at < BUSY_S

    # Answers

    async def caught_up(self) -> int:
        """Return the height that the indexes have, once the histories are complete to it or it took too long."""
        height, until = self._index.height, time.monotonic() + CATCH_UP_S
        while self.complete_to < height and time.monotonic() < until:  # noqa: ASYNC110  # a thread makes it true
            await asyncio.sleep(PAUSE_S / 5)
        return height

    def written(self, contract: str, row_key: str, limit: int, height: int) -> Told:
        """Return up to `limit` times that a row was written, masked or not; `height` is that of the question.

        It is read from the disk alone, by a thread. Raises HistoryError.
        """
        complete_to, heights = self._rows.find(fingerprint(contract, row_key))
        writes: list[Wrote] = []
        told = merge(
            self._single(contract, row_key, limit),
            self._bundled(contract, row_key, heights),
            key=lambda wrote: (wrote.height, wrote.position),
            reverse=True,
        )
        try:
            writes.extend(islice(told, limit))
        except ArchivedError as error:
            raise HistoryError(f"{error}: ask for the {len(writes)} newest, or have it restored") from error
        except DamagedRowsError as error:
            self._news.set()
            raise HistoryError(f"{error}, and is made again from the log: ask again later") from error
        first = max(self._reader.whole_from, self._rows.known_from)
        if len(writes) < limit and first:
            text = f"this node holds blocks from {first} on, and knows of {len(writes)} writes of the row since: "
            raise HistoryError(
                text + (f"ask for the {len(writes)} newest, or another node" if writes else "ask another node")
            )
        return Told(writes, height, complete_to)

    def _single(self, contract: str, row_key: str, limit: int) -> Iterator[Wrote]:
        for height, position in self._reader.key_history(contract, row_key, limit):
            stored = self._reader.block(height)
            assert stored is not None
            made = stored.txRWSets[position].tx_writes
            value = next(w.value for w in made if w.contract_name == contract and w.key == row_key.encode())
            yield Wrote(height, position, stored.block.txs[position].payload.tx_id, value)

    def _bundled(self, contract: str, row_key: str, heights: Iterator[int]) -> Iterator[Wrote]:
        field, _, key = row_key.partition(".")
        for height in heights:
            names = self._fields.names(contract, height) or ()
            if field not in names:
                continue
            changed = [one for one in _changed(self._reader.block(height)) if one.contract == contract]
            for one in sorted(changed, key=lambda one: one.position, reverse=True):
                found = find_value(one.records, names.index(field), bytes.fromhex(key))
                if found is not None:
                    yield Wrote(height, one.position, one.tx_id, found[0] or b"")


class _Changed(NamedTuple):
    """The rows of one contract that a bundle changed, as records."""

    contract: str
    records: bytes
    position: int
    tx_id: str


def _changed(stored: BlockWithRWSet | None) -> list[_Changed]:
    assert stored is not None
    found = []
    for side in stored.bundle_rows:
        tx = stored.block.txs[side.position]
        contract = BundleResult.FromString(tx.result.contract_result.result).contract
        for name, delta in ((contract, side.delta), *((other.contract, other.delta) for other in side.others)):
            found.append(_Changed(name, delta, side.position, tx.payload.tx_id))
    return found


def fingerprint(contract: str, row_key: str) -> bytes:
    """Return what stands for a row in the index. Rows may share one: what is found is looked up in the log."""
    return blake2b(f"{contract}\0{row_key}".encode(), digest_size=FINGERPRINT_BYTES).digest()
