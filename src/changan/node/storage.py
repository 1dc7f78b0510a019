"""A chain's home on disk: the block log, which is the truth, and the indexes and checkpoints, which are caches of it."""

from __future__ import annotations

import gc
import shutil
from threading import Lock
from typing import TYPE_CHECKING

import structlog
from google.protobuf.message import DecodeError

from changan.contract.engines import plain
from changan.errors import ChanganError, UnverifiedError
from changan.ledger.admission import recognise, request_of
from changan.ledger.snapshot import load, load_state
from changan.ledger.system import OWN
from changan.ledger.transition import Decided, apply_block, apply_genesis
from changan.ledger.wire.fields import field
from changan.ledger.wire.messages import Block, BlockWithRWSet, ChainConfig, ConsensusArgs, TxWrite
from changan.node.beginning import open_base
from changan.node.histories import Histories
from changan.node.metrics import stage
from changan.node.store.archive import ArchivedError
from changan.node.store.blocklog import BlockLog
from changan.node.store.checkpoint import CheckpointFile, newest_checkpoint
from changan.node.store.index import MISBEHAVIOUR, Entry, Index, IndexUnusableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from changan.contract.engines import Engine
    from changan.ledger.transition import AppliedBlock
    from changan.ledger.wire.messages import BlockHeader, TxRWSet
    from changan.ledger.world import World
    from changan.node.reader import Reader

_log = structlog.get_logger()
REPLAY_BATCH_BLOCKS = 500
_BLOCK, _RW_SETS, _BUNDLE_ROWS = 1, 2, 1000  # fields of BlockWithRWSet
_TRANSACTIONS = 3  # and of Block


class ReplayError(ChanganError):
    """The log and the machine that executes it disagree; the node does not start on either."""


class OutOfTurnError(ChanganError):
    """A block cannot rest before the one below it, which waits for room."""


class ChainStorage:
    """The files of one chain below `directory`."""

    def __init__(
        self, directory: Path, *, engine: Engine = plain, crash_point: Callable[[str], None] = lambda _: None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._engine = engine
        self._crash_point = crash_point
        self._writing = Lock()
        self._moving = Lock()
        self.log = BlockLog(directory / "log", crash_point=crash_point)
        self.index = self._open_index()
        self._histories: Histories | None = None
        self.replayed = 0  # transactions that the last `open_world` executed again

    def _open_index(self) -> Index:
        path = self.directory / "index"
        try:
            index = Index(path)
        except IndexUnusableError as error:
            _log.warning("index.rebuild", reason=str(error))
            shutil.rmtree(path)
            index = Index(path)
        if index.height > self.log.durable_height:
            _log.warning("index.rebuild", reason="the index is ahead of the log")
            index.clear()
        return index

    def open_world(self, genesis: ChainConfig, serve: Callable[[World], None] = lambda _: None) -> World:
        """Return the state at the end of the log: from a checkpoint and the blocks after it, or from genesis.

        `serve` gets it before blocks are executed on it again. Raises ReplayError when a block of the log does not come out
        as it is written.
        """
        if self.log.durable_height < 0:
            world, applied = apply_genesis(genesis, self._engine)
            serve(world)
            self.bring(record_parts(applied), applied)
            return world
        world = self._from_checkpoint() or self._from_base() or self._from_genesis()
        serve(world)
        for height in range(world.height + 1, self.log.durable_height + 1):
            applied = replay_block(world, BlockWithRWSet.FromString(self.log.read(height)))
            self.replayed += len(applied.done)
        self._catch_up_index()
        return world

    def _from_checkpoint(self) -> World | None:
        checkpoint = newest_checkpoint(self.directory / "checkpoints")
        if checkpoint is None or checkpoint.height > self.log.durable_height:
            return None
        gc.disable()  # a state is millions of objects and no garbage; looking through them again and again takes half the time
        try:
            world = load(checkpoint.section, self._engine)
        finally:
            gc.enable()
        stored = BlockWithRWSet.FromString(self.log.read(world.height)).block.header.block_hash
        return world if stored == world.block_hash else None

    def _from_base(self) -> World | None:
        base = open_base(self.directory)
        return None if base is None else load_state(base.section, base.header(self.log), self._engine)

    def _from_genesis(self) -> World:
        stored = BlockWithRWSet.FromString(self.log.read(0))
        world, applied = apply_genesis(genesis_config(stored), self._engine)
        if applied.header.block_hash != stored.block.header.block_hash:
            raise ReplayError("block 0 of the log is not the genesis of its own configuration: run `changan verify`")
        return world

    def append(self, record: Sequence[bytes], height: int) -> None:
        """Write a block's record and make it rest. Raises DiskFullError; then nothing of it stays."""
        with self._writing:
            self.log.append(height, *record)
            self.log.sync()

    def bring(self, record: Sequence[bytes], applied: AppliedBlock) -> None:
        """Write a block's record, make it rest and index it. Raises DiskFullError; what was done till then stays.

        Raises OutOfTurnError where the block below does not rest yet.
        """
        self.log_block(record, applied.header.block_height)
        self.index_block(applied)

    @stage("log")
    def log_block(self, record: Sequence[bytes], height: int) -> None:
        """Write a block's record and make it rest, if it does not yet. Raises DiskFullError, OutOfTurnError."""
        if height > self.log.durable_height + 1:
            raise OutOfTurnError(f"block {height} waits for block {height - 1}")
        if height > self.log.durable_height:
            self.append(record, height)

    def archive(self, height: int) -> None:
        """Move the blocks up to a height into the archive. Raises ArchivedError, OSError."""
        with self._moving:
            with self._writing:
                self.log.begin_segment(height)
            self.log.archive(height)

    def restore(self, height: int) -> None:
        """Move the newest part of the archive back, which must hold a block. Raises ArchivedError, OSError."""
        with self._moving:
            self.log.restore(height)

    def index_blocks(self, blocks: Iterator[tuple[int, bytes]]) -> None:
        """Bring the indexes up to date with records of the log. What is away is left out, and known to be."""
        entries = []
        for height, record in blocks:
            stored = BlockWithRWSet.FromString(record)
            entries.append(_entry(height, stored.block, stored.txRWSets))
        self.index.put_blocks(entries)

    @stage("index")
    def index_block(self, applied: AppliedBlock) -> None:
        """Bring the indexes up to date with a block that has just come to rest. Raises DiskFullError, OutOfTurnError."""
        height = applied.header.block_height
        if height > self.index.height + 1:
            raise OutOfTurnError(f"block {height} waits for block {height - 1}")
        self._crash_point("index.before")
        self.index.put_blocks([_entry_of(applied)])
        self._crash_point("index.after")

    def _catch_up_index(self) -> None:
        start = self.index.height + 1
        while start <= self.log.durable_height:
            stop = min(start + REPLAY_BATCH_BLOCKS, self.log.durable_height + 1)
            self.index_blocks(
                (height, self.log.read(height)) for height in range(start, stop) if self.log.holds(height)
            )
            start = stop

    def genesis(self) -> ChainConfig | None:
        """Return the configuration that block 0 carries, or None where the log is empty or its first file is away."""
        try:
            return genesis_config(BlockWithRWSet.FromString(self.log.read(0))) if self.log.durable_height >= 0 else None
        except ArchivedError:
            return None

    def new_checkpoint(self) -> CheckpointFile:
        """Begin a checkpoint. Raises OSError."""
        return CheckpointFile(self.directory / "checkpoints", self._crash_point)

    def follow(self, reader: Reader, world: World) -> Histories:
        """Return the histories of rows, which follow the log until it is closed."""
        self._histories = Histories(
            self.directory, self.index, reader, lambda: list(world.instances), world.config.chain_id
        )
        return self._histories

    def close(self) -> None:
        """Close all files."""
        if self._histories is not None:
            self._histories.close()
        with self._moving:
            self.index.close()
            self.log.close()


def record_of(applied: AppliedBlock) -> bytes:
    """Return an executed block as the log holds it: a `BlockWithRWSet`, put together from what are bytes already."""
    return b"".join(record_parts(applied))


@stage("log")
def record_parts(applied: AppliedBlock) -> list[bytes]:
    """Return `record_of` in parts."""
    head = applied.head
    parts = [Block(header=head.header, dag=head.dag).SerializeToString()]
    for done in applied.done:
        parts += field(_TRANSACTIONS, [done.data])
    if head.HasField("additional_data"):
        parts.append(Block(additional_data=head.additional_data).SerializeToString())
    record = field(_BLOCK, parts)
    for done in applied.done:
        record += field(_RW_SETS, [done.rw_set])
    for position, columns in applied.bundles.items():
        record += field(_BUNDLE_ROWS, columns.encode(position))
    own = [write for write in applied.writes if write.contract == OWN]
    listed = [TxWrite(key=write.key.encode(), value=write.value or b"", contract_name=OWN) for write in own]
    record.append(BlockWithRWSet(own_writes=listed).SerializeToString())
    return record


def replay_block(world: World, stored: BlockWithRWSet) -> AppliedBlock:
    """Execute a block of the log again. Raises ReplayError when it does not come out as it is written."""
    header = stored.block.header
    try:
        arguments = ConsensusArgs.FromString(header.consensus_args)
    except DecodeError as error:
        raise ReplayError(f"block {header.block_height} binds something that does not decode") from error
    requests = [request_of(transaction) for transaction in stored.block.txs]
    time = header.block_timestamp
    # The log is ours and checksummed: identities are read again, signatures are left to `changan verify`.
    try:
        verdicts = [recognise(request, world, time) for request in requests]
    except UnverifiedError as error:
        raise ReplayError(f"block {header.block_height} holds a sender who is no member: {error}") from error
    decided = Decided(
        header.block_height,
        arguments.block_time_us,
        header.proposer if header.HasField("proposer") else None,
        requests,
        verdicts,
        arguments.engine_height,
        arguments.misbehaviour,
    )
    applied = apply_block(world, decided)
    if applied.header.block_hash != header.block_hash:
        raise ReplayError(
            f"block {header.block_height} executes to another hash than the log holds: the log or the program changed. "
            "Run `changan verify --replay`, and start with the release that wrote this home"
        )
    return applied


def genesis_config(stored: BlockWithRWSet) -> ChainConfig:
    """Return the configuration that a genesis block carries."""
    return ChainConfig.FromString(stored.block.txs[0].result.contract_result.result)


def _entry(height: int, block: Block, rw_sets: Iterable[TxRWSet]) -> Entry:
    written = [[(write.contract_name, write.key.decode()) for write in rw.tx_writes] for rw in rw_sets]
    return _indexed(height, block.header, [tx.payload.tx_id for tx in block.txs], written)


def _entry_of(applied: AppliedBlock) -> Entry:
    written = [[(write.contract, write.key) for write in done.writes] for done in applied.done]
    return _indexed(applied.header.block_height, applied.header, [done.tx_id for done in applied.done], written)


def _indexed(height: int, header: BlockHeader, tx_ids: list[str], written: list[list[tuple[str, str]]]) -> Entry:
    if ConsensusArgs.FromString(header.consensus_args).misbehaviour:
        written[0].append(MISBEHAVIOUR)
    return Entry(height, header.block_hash, tx_ids, written)
