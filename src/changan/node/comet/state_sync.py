"""The application that an engine meets while its node has no chain yet: it takes a snapshot from peers, then gives way."""

from __future__ import annotations

import asyncio
import os
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

from changan import __version__
from changan.errors import ChanganError, MalformedError
from changan.ledger.wire.messages import ConsensusArgs
from changan.node.adoption import adopt
from changan.node.beginning import FILE
from changan.node.comet.abci.application import REFUSED, REJECT_OFFER, REJECT_SNAPSHOT, Application
from changan.node.comet.abci.messages import (
    ResponseApplySnapshotChunk,
    ResponseInfo,
    ResponseOfferSnapshot,
    ResponseQuery,
)
from changan.node.comet.snapshots import CHUNK_BYTES, Manifest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from changan.ledger.wire.messages import BlockHeader, ChainConfig
    from changan.node.comet.abci.messages import (
        RequestApplySnapshotChunk,
        RequestFinalizeBlock,
        RequestInfo,
        RequestOfferSnapshot,
        RequestQuery,
        ResponseFinalizeBlock,
    )
    from changan.node.comet.application import LedgerApplication
    from changan.node.comet.engine_home import EngineHome

_log = structlog.get_logger()
_ACCEPT, _RETRY = 1, 3  # a chunk
_PEER_FILTER = "/p2p/filter/id/"


class SyncError(ChanganError):
    """A state that could not be taken from the peers, with what to do about it."""


def begin_sync(home: EngineHome, chain: Path) -> None:
    """Clear away what a sync left that was cut short, and mark that one begins. The engine's signing state stays.

    Raises SyncError where the folder of the chain was not made by a sync.
    """
    if home.syncing.exists():
        shutil.rmtree(chain, ignore_errors=True)
    elif chain.exists():
        raise SyncError(f"{chain} exists: a state is taken only for a chain that is not here yet")
    home.empty()
    home.syncing.touch()


class StateSync(Application):
    """Puts a snapshot together, checks it, and makes a chain's folder of it."""

    def __init__(self, home: EngineHome, chain: Path, genesis: ChainConfig, dialled: Collection[str]) -> None:
        """`chain` is the folder to make; `dialled` are the ids of the peers that this node was told of when it was made."""
        self._home = home
        self._chain = chain
        self._staged = chain.with_name(f"{chain.name}.sync")
        self._genesis = genesis
        self._dialled = frozenset(dialled)
        self._manifest: Manifest | None = None
        self._block_hash = b""
        self._header: BlockHeader | None = None
        self._rules = 0
        self._started = False
        self._restored = asyncio.Event()
        self._successor: asyncio.Future[Application] = asyncio.get_running_loop().create_future()

    def engine_starts(self, *, is_new: bool) -> None:
        """Refuse to go on where the engine stopped behind the snapshot, for its own stores may lack it. Raises SyncError."""
        del is_new
        if self._header is not None:
            raise SyncError(
                "the engine stopped before it had taken the snapshot in: start the node again, it begins anew"
            )

    async def restored(self) -> None:
        """Return when the chain's folder is there."""
        await self._restored.wait()

    def give_way(self, successor: LedgerApplication) -> None:
        """Let the application of the chain that was restored answer; the sync is whole with the first block that it executes."""
        successor.at_next_commit = lambda: self._home.syncing.unlink(missing_ok=True)
        self._successor.set_result(successor)

    async def info(self, _: RequestInfo) -> ResponseInfo:
        """Say how far the state is: nowhere, or at the snapshot's height."""
        answer = ResponseInfo(data=self._genesis.chain_id, version=__version__)
        if self._header is not None:
            answer.app_version = self._rules
            answer.last_block_height = ConsensusArgs.FromString(self._header.consensus_args).engine_height
            answer.last_block_app_hash = self._header.block_hash
        return answer

    async def query(self, request: RequestQuery) -> ResponseQuery:
        """Let in the peers that this node was told of; it does not know others yet."""
        path = request.path
        known = path.removeprefix(_PEER_FILTER) in self._dialled if path.startswith(_PEER_FILTER) else True
        return ResponseQuery(code=0 if known and path.startswith("/p2p/filter/") else REFUSED)

    async def offer_snapshot(self, request: RequestOfferSnapshot) -> ResponseOfferSnapshot:
        """Take an offer that has our form; the engine has proved the hash of its block."""
        try:
            manifest = Manifest.decode(request.snapshot)
        except MalformedError as error:
            _log.warning("sync.refused", height=request.snapshot.height, reason=str(error))
            return ResponseOfferSnapshot(result=REJECT_OFFER)
        if self._header is not None:
            return ResponseOfferSnapshot(result=REJECT_OFFER)
        self._manifest, self._block_hash = manifest, request.app_hash
        await asyncio.to_thread(self._clear)
        _log.info("sync.begins", height=manifest.height, chunks=len(manifest.digests))
        return ResponseOfferSnapshot(result=_ACCEPT)

    def _clear(self) -> None:
        shutil.rmtree(self._staged, ignore_errors=True)
        self._staged.mkdir(parents=True, mode=0o700)

    async def apply_snapshot_chunk(self, request: RequestApplySnapshotChunk) -> ResponseApplySnapshotChunk:
        """Keep a chunk whose digest was told; behind the last one, check the whole."""
        manifest, index = self._manifest, request.index
        if manifest is None or index >= len(manifest.digests) or self._header is not None:
            return ResponseApplySnapshotChunk(result=REJECT_SNAPSHOT)
        if sha256(request.chunk).digest() != manifest.digests[index]:
            _log.warning("sync.wrong_chunk", index=index, sender=request.sender)
            return ResponseApplySnapshotChunk(result=_RETRY, refetch_chunks=[index], reject_senders=[request.sender])
        try:
            await asyncio.to_thread(self._keep, index, request.chunk)
            if index == len(manifest.digests) - 1:
                made = await asyncio.to_thread(adopt, self._staged, self._chain, self._genesis, self._block_hash)
                self._header, self._rules = made
        except (ChanganError, OSError) as error:
            _log.error("sync.failed", height=manifest.height, sender=request.sender, reason=str(error))
            self._manifest = None
            return ResponseApplySnapshotChunk(result=REJECT_SNAPSHOT)
        if self._header is not None:
            _log.info("sync.restored", height=manifest.height)
            self._restored.set()
        return ResponseApplySnapshotChunk(result=_ACCEPT)

    def _keep(self, index: int, chunk: bytes) -> None:
        descriptor = os.open(self._staged / FILE, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.seek(index * CHUNK_BYTES)
            file.write(chunk)
            file.flush()
            os.fsync(descriptor)

    async def finalize_block(self, request: RequestFinalizeBlock) -> ResponseFinalizeBlock:
        """Let the successor execute the first block behind the snapshot."""
        successor = await asyncio.shield(self._successor)
        return await successor.finalize_block(request)
