"""A node without a chain to which snapshots are offered, as the tests of state sync drive it."""

from __future__ import annotations

from hashlib import sha256

from model import Model, Node, Peer

from changan.node.beginning import read_base
from changan.node.comet.abci.messages import (
    RequestApplySnapshotChunk,
    RequestListSnapshots,
    RequestLoadSnapshotChunk,
    RequestOfferSnapshot,
    Snapshot,
)
from changan.node.comet.engine_home import EngineHome
from changan.node.comet.snapshots import Manifest
from changan.node.comet.state_sync import StateSync

ACCEPT, REJECT, RETRY, REJECT_SNAPSHOT = 1, 3, 3, 5
CHUNK_BYTES = 4000


class Newcomer:
    """A node without a chain, and the engine that offers it snapshots."""

    def __init__(self, model: Model, number: int | None = None) -> None:
        self.model = model
        self.home = EngineHome(model.directory / "engine")
        self.chain = model.directory / str(len(model.peers) if number is None else number)
        self.sync = StateSync(self.home, self.chain, model.config, [voter.peer for voter in model.voters])

    async def offer(self, offered: Snapshot, app_hash: bytes | None = None) -> int:
        app_hash = self.model.app_hashes[offered.height] if app_hash is None else app_hash
        return (await self.sync.offer_snapshot(RequestOfferSnapshot(snapshot=offered, app_hash=app_hash))).result

    async def chunk(self, index: int, data: bytes) -> tuple[int, list[int], list[str]]:
        request = RequestApplySnapshotChunk(index=index, chunk=data, sender="peer")
        answer = await self.sync.apply_snapshot_chunk(request)
        return answer.result, list(answer.refetch_chunks), list(answer.reject_senders)

    async def take(self, offered: Snapshot, chunks: list[bytes], app_hash: bytes | None = None) -> int:
        """Offer a snapshot and hand its chunks over; return what came of the last one."""
        assert await self.offer(offered, app_hash) == ACCEPT
        for index, data in enumerate(chunks):
            result, _, _ = await self.chunk(index, data)
        return result

    async def goes_on(self, node: Node) -> Peer:
        """Open the chain that was restored, and let the engine tell it what came since."""
        assert self.chain == self.model.directory / str(len(self.model.peers))
        peer = self.model.add(node)
        await peer.handshake()
        return peer


async def fetched(peer: Peer) -> tuple[Snapshot, list[bytes]]:
    """The newest snapshot that a node offers, with its chunks."""
    await peer.snapshots.close()
    offered = (await peer.app.list_snapshots(RequestListSnapshots())).snapshots[-1]
    chunks = [
        (await peer.app.load_snapshot_chunk(RequestLoadSnapshotChunk(height=offered.height, format=1, chunk=at))).chunk
        for at in range(offered.chunks)
    ]
    assert len(chunks) > 3
    return offered, chunks


def offer_of(data: bytes, height: int, engine_height: int) -> tuple[Snapshot, list[bytes]]:
    """An offer of whatever a liar makes of a snapshot."""
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    metadata = Manifest(height, tuple(sha256(chunk).digest() for chunk in chunks)).encode()
    hash_ = sha256(metadata).digest()
    return Snapshot(height=engine_height, format=1, chunks=len(chunks), hash=hash_, metadata=metadata), chunks


def sections_of(path):
    base = read_base(path)
    return {name: list(base.section(name)) for name in base.checkpoint.places}
