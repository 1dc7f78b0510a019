"""Snapshots that a node hands out: the state at a height and the blocks that lead to it, in chunks told of by digest."""

from __future__ import annotations

import asyncio
import os
import time
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Self

import structlog

from changan.errors import ChanganError, MalformedError
from changan.ledger.agreement import CERTIFICATE_KEY
from changan.ledger.snapshot import dump_state
from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs
from changan.node.beginning import BLOCKS, blocks_of, read_base
from changan.node.comet.abci.messages import Snapshot
from changan.node.comet.seals import WINDOW
from changan.node.solo import settle
from changan.node.store.archive import ArchivedError
from changan.node.store.checkpoint import write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from changan.ledger.snapshot import Section
    from changan.ledger.transition import AppliedBlock
    from changan.node.chain import Chain
    from changan.node.comet.rosters import Rosters
    from changan.node.solo import Proposer

_log = structlog.get_logger()
FORMAT = 1
CHUNK_BYTES = 8 * 1024 * 1024
"""The engine carries chunks of up to 16 MB."""
CHUNKS_MAX = 4096
WORK_MIN = 10_000
"""A snapshot is due when so many transactions were executed since the last one, and as many as there are rows."""
OVERDUE = 4
"""After so many times the work no block has held the root of its own height yet: this node asks for one that does."""
APART_S = 60.0
"""A snapshot stays for twice as long at least, however busy the chain is: time to find and fetch it."""
ASK_APART_S = 10.0
PROVEN_AFTER = 2
"""So many further heights must the engine have before it can prove a snapshot's."""
_DIGEST_BYTES = 32


class Manifest(NamedTuple):
    """What is told of a snapshot before it is fetched: the ledger's height, and the digest of each chunk."""

    height: int
    digests: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Return the metadata of an offer."""
        return self.height.to_bytes(8, "big") + b"".join(self.digests)

    @classmethod
    def decode(cls, offer: Snapshot) -> Self:
        """Return that of an offer. Raises MalformedError."""
        data = offer.metadata
        if (
            offer.format != FORMAT
            or not 1 <= offer.chunks <= CHUNKS_MAX
            or len(data) != 8 + offer.chunks * _DIGEST_BYTES
        ):
            raise MalformedError("the offer is of no snapshot that this release reads")
        if sha256(data).digest() != offer.hash:
            raise MalformedError("the offer's hash is not that of its digests")
        digests = tuple(data[at : at + _DIGEST_BYTES] for at in range(8, len(data), _DIGEST_BYTES))
        return cls(int.from_bytes(data[:8], "big"), digests)


class Held(NamedTuple):
    """A snapshot that lies here."""

    engine_height: int
    manifest: Manifest
    path: Path

    def offer(self) -> Snapshot:
        """Return it as the engine tells others of it."""
        data = self.manifest.encode()
        count = len(self.manifest.digests)
        return Snapshot(
            height=self.engine_height, format=FORMAT, chunks=count, hash=sha256(data).digest(), metadata=data
        )


class Snapshots:
    """The snapshots of one chain, the newest two: when they are made, and what is read of them."""

    def __init__(self, chain: Chain, rosters: Rosters, directory: Path, kept_blocks: int = 0) -> None:
        """`kept_blocks` is how many of the engine's blocks stay, where older ones may go; 0 lets all stay."""
        self._chain = chain
        self._rosters = rosters
        self._directory = directory
        self._kept_blocks = kept_blocks
        self._held: list[Held] | None = None  # oldest first; None until they were looked for
        self._is_any = any(directory.glob("*.ckpt"))
        self._work = 0
        self._begun_at = -APART_S  # by this process's clock
        self._overdue = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    # Making them

    def take(self, applied: AppliedBlock, engine_height: int) -> None:
        """Begin a snapshot behind the block that has just come to rest, if one is due and the height is fit for it."""
        height, root = applied.header.block_height, applied.state_root
        self._work += applied.work
        due = max(WORK_MIN, self._chain.world.row_count)
        busy = self._writing is not None and not self._writing.done()
        if busy or time.monotonic() < self._begun_at + APART_S or (self._is_any and self._work < due):
            return
        if root is None or root.height != height:
            if self._work >= OVERDUE * due:
                self._overdue.set()
            return
        if self._rosters.newest.votes_from > engine_height:
            return
        try:
            blocks = self._blocks(height)
        except ArchivedError as error:
            _log.warning("snapshot.skipped", height=height, reason=str(error))
            return
        if blocks is not None:
            self._work, self._is_any, self._begun_at = 0, True, time.monotonic()
            sections = [*dump_state(self._chain.world), (BLOCKS, blocks)]
            self._writing = asyncio.create_task(self._write(height, engine_height, sections))

    async def ask_for_roots(self, proposer: Proposer) -> None:
        """Where a snapshot is overdue, for under load no block holds the root of its own height, ask for one that does."""
        while True:
            await self._overdue.wait()
            await settle(self._chain, proposer)
            await asyncio.sleep(ASK_APART_S)
            self._overdue.clear()

    def _blocks(self, height: int) -> list[bytes] | None:
        """Return the records that travel; None while one of them still waits for its certificate."""
        changed = self._rosters.changes_before(height + 1)
        window = range(max(0, height - WINDOW + 1), height + 1)
        heights = sorted({0, *changed, self._chain.world.config_height, *window})
        found = []
        for at in heights:
            stored = self._chain.reader.stored(at)
            assert stored is not None
            block = BlockWithRWSet.FromString(stored.SerializeToString())
            del block.bundle_rows[:]  # nothing that travels binds them
            if at in changed or (at and at not in window):
                self._chain.reader.complete(block)
                if CERTIFICATE_KEY not in block.block.additional_data.extra_data:
                    return None
            found.append(block.SerializeToString())
        return found

    async def _write(self, height: int, engine_height: int, sections: Sequence[Section]) -> None:
        try:
            await asyncio.to_thread(write_checkpoint, self._directory, height, sections)
            await asyncio.to_thread(self._find)
        except (OSError, ChanganError) as error:  # others have theirs
            _log.warning("snapshot.failed", height=height, reason=str(error))
        else:
            _log.info("snapshot.made", height=height, engine_height=engine_height)

    def _find(self) -> list[Held]:
        known = {held.path: held for held in self._held or ()}
        found = []
        for path in sorted(self._directory.glob("*.ckpt")):
            try:
                found.append(known.get(path) or _read(path))
            except MalformedError as error:
                _log.warning("snapshot.skipped", path=path.name, reason=str(error))
        self._held = found
        return found

    # Handing them out

    async def offered(self, engine_height: int) -> list[Held]:
        """Return those that an engine at a height can prove, oldest first."""
        held = await asyncio.to_thread(self._find) if self._held is None else self._held
        return [one for one in held if one.engine_height + PROVEN_AFTER <= engine_height]

    def retained_from(self, height: int) -> int:
        """Return the engine's height below which its blocks may go, at a height of it; 0 lets all stay.

        Those behind the oldest snapshot stay, for whoever begins with it needs them; without a snapshot none goes.
        """
        if not self._kept_blocks or not self._held:
            return 0
        return max(0, min(height - self._kept_blocks + 1, self._held[0].engine_height))

    async def chunk(self, engine_height: int, format_: int, index: int) -> bytes:
        """Return a chunk; b"" where there is no such chunk (any more)."""
        for held in self._held or ():
            if held.engine_height == engine_height and format_ == FORMAT and index < len(held.manifest.digests):
                try:
                    return await asyncio.to_thread(_pread, held.path, index * CHUNK_BYTES)
                except FileNotFoundError:
                    return b""
        return b""

    async def close(self) -> None:
        """Wait for a snapshot that is being written."""
        if self._writing is not None:
            await self._writing


def _read(path: Path) -> Held:
    base = read_base(path)
    header = BlockWithRWSet.FromString(blocks_of(base.checkpoint)[base.height]).block.header
    digests = []
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digests.append(sha256(chunk).digest())
    engine_height = ConsensusArgs.FromString(header.consensus_args).engine_height
    return Held(engine_height, Manifest(base.height, tuple(digests)), path)


def _pread(path: Path, offset: int) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.pread(file, CHUNK_BYTES, offset)
    finally:
        os.close(file)
