"""Measure key-value stores for the indexes: what a block's worth of entries costs to put in, and a look-up.

`python bench/index_stores.py [--json FILE] [--blocks N]`. Peers: LMDB, SQLite, and a plain dict rewritten as the floor.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import lmdb

from changan.bench.figures import table_rows
from changan.cli.bench import show, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS_A_BLOCK = 1000
LOOKUPS = 20_000


class Store(Protocol):
    """What the indexes need."""

    def put(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Put one block's rows in, all or nothing."""

    def get(self, key: bytes) -> bytes | None:
        """Return one row."""

    def close(self) -> None:
        """Close it."""


class Lmdb:
    """LMDB without a sync a transaction, as the node opens it."""

    def __init__(self, path: Path) -> None:
        self._environment = lmdb.open(str(path), map_size=1 << 34, sync=False, metasync=False)

    def put(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Put rows in."""
        with self._environment.begin(write=True) as work:
            for key, value in rows:
                work.put(key, value)

    def get(self, key: bytes) -> bytes | None:
        """Look a row up."""
        with self._environment.begin() as work:
            found: bytes | None = work.get(key)
            return found

    def close(self) -> None:
        """Close it."""
        self._environment.close()


class Sqlite:
    """SQLite in WAL mode, without a sync a transaction."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path / "index.db", isolation_level=None)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=off")
        self._connection.execute("create table rows(key blob primary key, value blob) without rowid")

    def put(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Put rows in."""
        self._connection.execute("begin")
        self._connection.executemany("insert or replace into rows values (?, ?)", rows)
        self._connection.execute("commit")

    def get(self, key: bytes) -> bytes | None:
        """Look a row up."""
        found = self._connection.execute("select value from rows where key = ?", (key,)).fetchone()
        return None if found is None else bytes(found[0])

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def measure(make: Callable[[Path], Store], blocks: int) -> dict[str, list[float]]:
    """Return CPU microseconds a row put in, a row looked up, and bytes a row on disk."""
    with tempfile.TemporaryDirectory() as name:
        store = make(Path(name))
        puts: list[float] = []
        for block in range(blocks):
            rows = [(hashlib.sha256(b"%d.%d" % (block, n)).digest()[:16], b"%12d" % block) for n in range(ROWS_A_BLOCK)]
            started = time.thread_time()
            store.put(rows)
            puts.append((time.thread_time() - started) / ROWS_A_BLOCK * 1e6)
        gets: list[float] = []
        for start in range(0, LOOKUPS, 1000):
            keys = [
                hashlib.sha256(b"%d.%d" % (n % blocks, n % ROWS_A_BLOCK)).digest()[:16]
                for n in range(start, start + 1000)
            ]
            started = time.thread_time()
            for key in keys:
                assert store.get(key) is not None
            gets.append((time.thread_time() - started) / 1000 * 1e6)
        store.close()
        size = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file())
        return {"put": puts, "get": gets, "bytes": [size / blocks / ROWS_A_BLOCK]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--blocks", type=int, default=1000)
    options = parser.parse_args()
    units = {"put": "CPU us/row", "get": "CPU us/row", "bytes": "bytes/row"}
    note = f"{options.blocks} blocks of {ROWS_A_BLOCK} rows"
    rows = []
    for peer, make in (("lmdb", Lmdb), ("sqlite", Sqlite)):
        for work, values in measure(make, options.blocks).items():
            rows += table_rows(work, peer, {work: units[work]}, [{work: value} for value in values], note)
    show(rows)
    if options.json is not None:
        write_json(options.json, f"python bench/index_stores.py --blocks {options.blocks}", rows)


if __name__ == "__main__":
    main()
