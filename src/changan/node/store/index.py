"""The indexes: transactions by id, blocks by hash, the history of each key. All can be made again from the log."""

from __future__ import annotations

import contextlib
import struct
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import lmdb

from changan.errors import ChanganError
from changan.node.store.full import DiskFullError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FORMAT = b"1"
MAP_BYTES = 1 << 36
_KEY_BYTES = 16
_PLACE = struct.Struct(">QI")  # height, position
_CLEAN = "clean"
_WHOLE_FROM = b"whole-from"
MISBEHAVIOUR = ("", "misbehaviour")
"""In the place of a row: where blocks record who broke the rules of agreement. No contract has this name."""
_OWN_ROWS = "CHANGAN"  # rows of the ledger itself change every block and have no history that anyone reads


class IndexUnusableError(ChanganError):
    """Index files that this release cannot use; they are made again from the log."""


class Entry(NamedTuple):
    """What the indexes hold of one block: its transactions' ids, and the rows that each of them wrote."""

    height: int
    block_hash: bytes
    tx_ids: list[str]
    written: list[list[tuple[str, str]]]


class Index:
    """The indexes of one chain. One thread writes, any may read."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises IndexUnusableError."""
        path.mkdir(parents=True, exist_ok=True)
        self._marker = path / "STATE"
        self._check_marker()
        try:
            # Nothing waits for a sync here. A killed process loses nothing of it; after a loss of power the marker says
            # that the files cannot be trusted, and the log brings them back.
            self._environment = lmdb.open(
                str(path), map_size=MAP_BYTES, max_dbs=4, sync=False, metasync=False, mode=0o600
            )
            self._check_size(path)
            self._meta, self._transactions, self._blocks, self._history = (
                self._environment.open_db(name) for name in (b"meta", b"transactions", b"blocks", b"history")
            )
            self._marker.write_text(_boot(), encoding="ascii")
            with self._environment.begin(write=True) as work:
                version = work.get(b"format", db=self._meta)
                if version is None:
                    work.put(b"format", FORMAT, db=self._meta)
                height = work.get(b"height", db=self._meta)
                whole_from = work.get(_WHOLE_FROM, db=self._meta)
        except lmdb.Error as error:
            raise IndexUnusableError(f"the index at {path} does not open: {error}") from error
        if version not in {None, FORMAT}:
            self._environment.close()
            raise IndexUnusableError(f"the index at {path} has format {version!r}, this release uses {FORMAT!r}")
        self._height = -1 if height is None else int.from_bytes(height, "big")
        self._whole_from = 0 if whole_from is None else int.from_bytes(whole_from, "big")

    def _check_marker(self) -> None:
        state = self._marker.read_text(encoding="ascii", errors="replace") if self._marker.exists() else _CLEAN
        if state not in {_CLEAN, _boot()}:
            raise IndexUnusableError("the machine stopped while the index was open")

    def _check_size(self, path: Path) -> None:
        """Refuse a data file that ends before its last page; reading there would kill the process."""
        needed = (self._environment.info()["last_pgno"] + 1) * self._environment.stat()["psize"]
        if (path / "data.mdb").stat().st_size < needed:
            self._environment.close()
            raise IndexUnusableError("the index is cut short")

    @property
    def height(self) -> int:
        """The height of the last block that is indexed, -1 where there is none."""
        return self._height

    @property
    def whole_from(self) -> int:
        """The height from which on every block is indexed; 0 but where older blocks were away when the index was made."""
        return self._whole_from

    def clear(self) -> None:
        """Forget everything."""
        with self._environment.begin(write=True) as work:
            for database in (self._transactions, self._blocks, self._history):
                work.drop(database, delete=False)
            for name in (b"height", _WHOLE_FROM):
                work.delete(name, db=self._meta)
        self._height, self._whole_from = -1, 0

    def put_blocks(self, blocks: Sequence[Entry]) -> None:
        """Index blocks above the last one; what lies between is away. Raises DiskFullError; then none of them is indexed."""
        try:
            self._put_blocks(blocks)
        except (lmdb.DiskError, lmdb.MapFullError) as error:
            raise DiskFullError(
                f"no room in the index: {error}; free some space, the node goes on by itself"
            ) from error

    def _put_blocks(self, blocks: Sequence[Entry]) -> None:
        if not blocks:
            return
        height, whole_from = self._height, self._whole_from
        transactions: list[tuple[bytes, bytes]] = []
        rows: list[tuple[bytes, bytes]] = []
        with self._environment.begin(write=True) as work:
            for block in blocks:
                assert block.height > height, "blocks are indexed in order"
                if block.height > height + 1:
                    whole_from = block.height
                    work.put(_WHOLE_FROM, whole_from.to_bytes(8, "big"), db=self._meta)
                height = block.height
                work.put(block.block_hash, block.height.to_bytes(8, "big"), db=self._blocks)
                for position, (tx_id, written) in enumerate(zip(block.tx_ids, block.written, strict=True)):
                    place = _PLACE.pack(block.height, position)
                    transactions.append((_short(tx_id.encode()), place))
                    rows += [(_row(contract, key) + place, b"") for contract, key in written if contract != _OWN_ROWS]
            # In their order: neighbours lie on one page, which is looked for and copied once.
            for database, items in ((self._transactions, transactions), (self._history, rows)):
                with work.cursor(db=database) as cursor:
                    cursor.putmulti(sorted(items))
            work.put(b"height", height.to_bytes(8, "big"), db=self._meta)
        self._height, self._whole_from = height, whole_from

    def find_tx(self, tx_id: str) -> tuple[int, int] | None:
        """Return height and position of a transaction, or None."""
        with self._environment.begin() as work:
            found = work.get(_short(tx_id.encode("utf-8", "replace")), db=self._transactions)
        return None if found is None else _PLACE.unpack(found)

    def known(self, tx_ids: Sequence[str]) -> set[str]:
        """Return those of several transactions that are indexed."""
        with self._environment.begin() as work:
            get, transactions = work.get, self._transactions
            return {tx_id for tx_id in tx_ids if get(_short(tx_id.encode()), db=transactions) is not None}

    def height_of_block(self, block_hash: bytes) -> int | None:
        """Return the height of the block with this hash, or None."""
        if not block_hash or len(block_hash) > 64:  # noqa: PLR2004  # longer than any digest
            return None
        with self._environment.begin() as work:
            found = work.get(block_hash, db=self._blocks)
        return None if found is None else int.from_bytes(found, "big")

    def key_history(
        self, contract: str, key: str, *, before: tuple[int, int] | None = None, limit: int = 100
    ) -> list[tuple[int, int]]:
        """Return places (height, position) of transactions that wrote a row, newest first, those before `before`."""
        return list(self._history_of(_row(contract, key), before, limit))

    def _history_of(self, prefix: bytes, before: tuple[int, int] | None, limit: int) -> Iterator[tuple[int, int]]:
        end = prefix + (b"\xff" * _PLACE.size if before is None else _PLACE.pack(*before))
        with self._environment.begin() as work, work.cursor(db=self._history) as cursor:
            there = cursor.prev() if cursor.set_range(end) else cursor.last()
            while there and limit > 0 and cursor.key().startswith(prefix):
                yield _PLACE.unpack(cursor.key()[_KEY_BYTES:])
                limit -= 1
                there = cursor.prev()

    def first_written(self, contract: str, key: str, height: int) -> int | None:
        """Return the lowest height from `height` on at which a row was written, or None."""
        prefix = _row(contract, key)
        with self._environment.begin() as work, work.cursor(db=self._history) as cursor:
            there = cursor.set_range(prefix + _PLACE.pack(height, 0)) and cursor.key().startswith(prefix)
            return _PLACE.unpack(cursor.key()[_KEY_BYTES:])[0] if there else None

    def close(self) -> None:
        """Close the files."""
        self._environment.sync(True)  # noqa: FBT003  # lmdb takes the flag by position
        self._environment.close()
        with contextlib.suppress(OSError):  # without the mark, on a full disk, the next start makes the index again
            self._marker.write_text(_CLEAN, encoding="ascii")


def _boot() -> str:
    """Return what tells one run of the machine from the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _short(data: bytes) -> bytes:
    return sha256(data).digest()[:_KEY_BYTES]


def _row(contract: str, key: str) -> bytes:
    return _short(contract.encode("utf-8", "replace") + b"\x00" + key.encode("utf-8", "replace"))
