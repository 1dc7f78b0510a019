"""What rests on disk, as people ask for it: blocks by height, hash or transaction, and a transaction by its id."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs
from changan.node.store.archive import ArchivedError
from changan.node.store.index import MISBEHAVIOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from changan.ledger.agreement import Links
    from changan.ledger.wire.messages import Misbehaviour, Transaction, TxRWSet
    from changan.node.store.blocklog import BlockLog
    from changan.node.store.index import Index

_CACHED_BLOCKS_MAX = 32
_CACHED_BYTES_MAX = 64 * 1024 * 1024


class Located(NamedTuple):
    """A transaction with its place."""

    transaction: Transaction
    rw_set: TxRWSet
    block: BlockWithRWSet
    position: int


class Reader:
    """Reads the block log through the indexes. Threads may share it."""

    def __init__(self, log: BlockLog, index: Index) -> None:
        self._log = log
        self._index = index
        self._cache: OrderedDict[int, tuple[BlockWithRWSet | Sequence[bytes], int]] = OrderedDict()
        self._cached_bytes = 0
        self._lock = Lock()
        self.complete: Callable[[BlockWithRWSet], None] = lambda _: None
        """Adds to a block that is handed out what was learnt of it after it rested."""
        self.membership: Callable[[int], Links] = lambda _: ()
        """Returns the proofs of the changes of the chain's voters below a height."""

    @property
    def height(self) -> int:
        """The height of the last block that rests."""
        return self._log.durable_height

    def block(self, height: int) -> BlockWithRWSet | None:
        """Return the block at `height`, or None where there is none. Raises ArchivedError; configurations stay readable."""
        found = self.stored(height)
        if found is not None and 0 < height <= self.archived_height and not found.block.header.block_type & 1:
            raise ArchivedError(f"block {height} is archived")
        if found is not None:
            self.complete(found)
        return found

    @property
    def archived_height(self) -> int:
        """The height up to which blocks are archived, -1 where none is."""
        return self._log.archived_height

    def stored(self, height: int) -> BlockWithRWSet | None:
        """Return the block at `height` even if it is archived, or None. Raises ArchivedError where its file is away."""
        if not 0 <= height <= self.height:
            return None
        with self._lock:
            found = self._cache.get(height)
            if found is not None:
                self._cache.move_to_end(height)
        kept = [self._log.read(height)] if found is None else found[0]
        if isinstance(kept, BlockWithRWSet):
            return kept
        record = b"".join(kept)
        block = BlockWithRWSet.FromString(record)
        self._keep(height, block, len(record))
        return block

    def keep(self, height: int, record: Sequence[bytes]) -> None:
        """Keep a block's record, in parts, at hand, because it will be asked for soon."""
        self._keep(height, record, sum(map(len, record)))

    def _keep(self, height: int, block: BlockWithRWSet | Sequence[bytes], size: int) -> None:
        with self._lock:
            _, before = self._cache.pop(height, ((), 0))
            self._cache[height] = (block, size)
            self._cached_bytes += size - before
            while len(self._cache) > _CACHED_BLOCKS_MAX or (
                len(self._cache) > 1 and self._cached_bytes > _CACHED_BYTES_MAX
            ):
                _, (_, dropped) = self._cache.popitem(last=False)
                self._cached_bytes -= dropped

    @property
    def held_from(self) -> int:
        """The height from which on no block is away; lower ones may be."""
        return self._log.held_from

    @property
    def whole_from(self) -> int:
        """The height from which on this node knows every block; more than 0 where it began from a snapshot."""
        return self._index.whole_from

    def check_known(self, what: str) -> None:
        """Let it be said that there is no such thing. Raises ArchivedError where it may lie in what this node never had."""
        if self.whole_from:
            raise ArchivedError(
                f"no {what} in block {self.whole_from} or later, which is what this node holds: ask another node"
            )

    def height_of_hash(self, block_hash: bytes) -> int | None:
        """Return the height of the block with this hash, or None."""
        return self._index.height_of_block(block_hash)

    def height_of_transaction(self, tx_id: str) -> int | None:
        """Return the height of the block that holds this transaction, or None."""
        found = self._index.find_tx(tx_id)
        return None if found is None else found[0]

    def committed(self, tx_ids: Sequence[str]) -> set[str]:
        """Return those of several transactions that rest."""
        return self._index.known(tx_ids)

    def key_history(self, contract: str, key: str, limit: int) -> list[tuple[int, int]]:
        """Return places (height, position) of transactions that wrote a row, newest first."""
        return self._index.key_history(contract, key, limit=limit)

    def row_at(self, contract: str, key: str, height: int) -> bytes | None:
        """Return what a row of a system contract held at the end of the block at `height`, or None. Raises ArchivedError."""
        if height < self.whole_from:
            self.check_known(f"state of block {height}")
        for at, position in self._index.key_history(contract, key, before=(height + 1, 0), limit=1):
            block = self.stored(at)
            if block is not None:
                for write in block.txRWSets[position].tx_writes:
                    if (write.contract_name, write.key) == (contract, key.encode()):
                        return write.value
        return None

    def misbehaviour(self, most: int) -> list[tuple[int, Misbehaviour]]:
        """Return what blocks record of nodes that broke the rules of agreement, with the block's height, newest first."""
        found = []
        for height, _ in self._index.key_history(*MISBEHAVIOUR, limit=most):
            stored = self.stored(height)
            if stored is not None:
                arguments = ConsensusArgs.FromString(stored.block.header.consensus_args)
                found += [(height, one) for one in reversed(arguments.misbehaviour)]
        return found[:most]

    def older_values(self, contract: str, key: str, most: int) -> Iterator[bytes]:
        """Yield what transactions of their own wrote into a row, newest first; b"" where they took it out."""
        for height, position in self._index.key_history(contract, key, limit=most):
            block = self.stored(height)
            if block is not None:
                for write in block.txRWSets[position].tx_writes:
                    if (write.contract_name, write.key) == (contract, key.encode()):
                        yield write.value

    def transaction(self, tx_id: str) -> Located | None:
        """Return the transaction with this id, or None. Raises ArchivedError, also where it may lie before what is here."""
        found = self._index.find_tx(tx_id)
        if found is None:
            self.check_known("such transaction")
            return None
        height, position = found
        block = self.block(height)
        if block is None:
            return None
        transaction = block.block.txs[position]
        if transaction.payload.tx_id != tx_id:  # the index keeps digests of ids
            return None
        return Located(transaction, block.txRWSets[position], block, position)
