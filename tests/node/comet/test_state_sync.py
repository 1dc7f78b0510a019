"""A node that begins with the state of its peers: what it takes in, what it refuses, and what it can tell afterwards."""

from __future__ import annotations

import shutil
from hashlib import sha256

import pytest
from membership_running import audited, calls, genesis, join
from model import Model, Node, Peer, node_of
from test_application import TO, balance, transfer

from changan.client.requests import install_parameters
from changan.ledger.admission import RefusedError
from changan.ledger.receipt import verify_receipt
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.audit import AuditError, Auditor
from changan.node.base import BLOCKS, FILE, blocks_of, open_base, read_base
from changan.node.chain_query import QueryError
from changan.node.comet import snapshots, state_sync
from changan.node.comet.abci.messages import (
    RequestApplySnapshotChunk,
    RequestInfo,
    RequestListSnapshots,
    RequestLoadSnapshotChunk,
    RequestOfferSnapshot,
    Snapshot,
)
from changan.node.comet.engine_home import EngineHome
from changan.node.comet.snapshots import Manifest
from changan.node.comet.state_sync import StateSync, SyncError, begin_sync
from changan.node.reads import ReadError
from changan.node.store.archive import ArchivedError
from changan.node.store.blocklog import BlockLog
from changan.node.store.checkpoint import write_checkpoint
from consortium import EXAMPLES

ACCEPT, REJECT, RETRY, REJECT_SNAPSHOT = 1, 3, 3, 5


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Snapshots of little work, in small chunks."""
    monkeypatch.setattr(snapshots, "WORK_MIN", 12)
    for module in (snapshots, state_sync):
        monkeypatch.setattr(module, "CHUNK_BYTES", 4000)


@pytest.fixture
async def grown(model, five) -> Model:
    """A chain on which an organisation joined, with contracts, events and some thirty calls behind that."""
    await join(model, node_of(five, 5))
    code = (EXAMPLES / "evidence.py").read_bytes()
    model.submit(0, model.request("CONTRACT_MANAGE", "INIT_CONTRACT", install_parameters("evidence", "1.0", code, {})))
    await model.send()
    await model.step(0)
    await calls(model, 30)
    await model.step(1)
    await model.step(2)
    return model


class Newcomer:
    """A node without a chain, and the engine that offers it snapshots."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.home = EngineHome(model.directory / "engine")
        self.chain = model.directory / str(len(model.peers))
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
    chunks = [data[at : at + 4000] for at in range(0, len(data), 4000)]
    metadata = Manifest(height, tuple(sha256(chunk).digest() for chunk in chunks)).encode()
    hash_ = sha256(metadata).digest()
    return Snapshot(height=engine_height, format=1, chunks=len(chunks), hash=hash_, metadata=metadata), chunks


async def test_a_newcomer_takes_the_state_and_goes_on_like_the_others(grown, five):
    model = grown
    offered, chunks = await fetched(model.peers[0])
    newcomer = Newcomer(model)
    assert await newcomer.take(offered, chunks) == ACCEPT
    info = await newcomer.sync.info(RequestInfo())
    assert (info.last_block_height, info.last_block_app_hash) == (offered.height, model.app_hashes[offered.height])
    peer = await newcomer.goes_on(node_of(five, 5, "common1", "common"))
    assert peer.chain.world.block_hash == model.peers[0].chain.world.block_hash
    assert peer.chain.reader.whole_from > 3
    await calls(model, 25)
    assert len({one.chain.world.block_hash for one in model.peers}) == 1
    assert len({balance(model, one.number) for one in model.peers}) == 1
    await peer.crash()  # from its own checkpoint, or from its base again
    assert peer.chain.world.block_hash == model.peers[0].chain.world.block_hash
    await calls(model, 2)
    assert peer.chain.world.block_hash == model.peers[0].chain.world.block_hash


async def synced(model: Model, five) -> Peer:
    newcomer = Newcomer(model)
    assert await newcomer.take(*await fetched(model.peers[1])) == ACCEPT
    return await newcomer.goes_on(node_of(five, 5, "common1", "common"))


async def test_it_votes_seals_and_hands_out_snapshots_itself(grown, five):
    model = grown
    peer = await synced(model, five)
    offered, chunks = await fetched(peer) if peer.snapshots._held else await fetched_after(model, peer)
    newcomer = Newcomer(model)
    assert await newcomer.take(offered, chunks) == ACCEPT
    second = await newcomer.goes_on(node_of(five, 4, "common1", "common"))
    assert second.chain.world.block_hash == model.peers[0].chain.world.block_hash
    assert second.chain.reader.whole_from > peer.chain.reader.whole_from
    audited_from_base(model, second)


async def fetched_after(model: Model, peer: Peer):
    await calls(model, 20)
    await model.step(1)
    await model.step(2)
    return await fetched(peer)


def audited_from_base(model: Model, peer: Peer) -> Auditor:
    auditor = Auditor(peer.storage.log, base=open_base(peer.storage.directory))
    heights = list(auditor.blocks())
    assert heights[0] == 0
    assert heights[-1] == peer.chain.reader.height
    assert len(heights) < peer.chain.reader.height
    return auditor


async def test_the_audit_begins_at_the_base_and_trusts_the_genesis_alone(grown, five):
    peer = await synced(grown, five)
    await calls(grown, 5)
    auditor = audited_from_base(grown, peer)
    assert auditor.state_roots > 5
    assert auditor._agreement.certificates
    audited(grown, 0)
    with pytest.raises(ArchivedError, match="ask another node"):
        list(Auditor(peer.storage.log).blocks())


async def test_receipts_of_a_node_that_began_late_lead_back_to_the_genesis(grown, five):
    peer = await synced(grown, five)
    await calls(grown, 3)
    await grown.step(0)
    chain = peer.chain
    found = []
    for height in range(chain.reader.whole_from, chain.reader.height + 1):
        for tx in chain.reader.block(height).block.txs:
            receipt = chain.reads.receipt(tx.payload.tx_id)
            found += [receipt] if "certificate" in receipt else []
    assert len(found) > 5
    for receipt in found:
        assert receipt["membership"]
        assert len(verify_receipt(receipt, genesis(grown)).agreed) >= 4


async def test_what_lies_before_is_never_said_not_to_be(grown, five):
    peer = await synced(grown, five)
    reader = peer.chain.reader
    old = grown.peers[0].chain.reader.block(2).block
    for ask in (lambda: reader.transaction(old.txs[0].payload.tx_id), lambda: reader.transaction("ff" * 32)):
        with pytest.raises(ArchivedError, match=f"in block {reader.whole_from} or later, .* ask another node"):
            ask()
    with pytest.raises(ArchivedError, match="block 2 is archived"):
        reader.block(2)
    query = peer.chain._query
    for method, parameters in (
        ("GET_BLOCK_BY_TX_ID", {"txId": old.txs[0].payload.tx_id.encode()}),
        ("GET_BLOCK_HEIGHT_BY_TX_ID", {"txId": old.txs[0].payload.tx_id.encode()}),
        ("GET_BLOCK_HEIGHT_BY_HASH", {"blockHash": old.header.block_hash.hex().encode()}),
        ("GET_TX_BY_TX_ID", {"txId": old.txs[0].payload.tx_id.encode()}),
        ("GET_BLOCK_BY_HEIGHT", {"blockHeight": b"2"}),
    ):
        with pytest.raises(QueryError, match=r"ask another node|archived"):
            query.answer(method, parameters)
    with pytest.raises(QueryError, match="ask another node"):
        peer.chain._config_at({"block_height": b"2"})
    assert peer.chain._config_at({"block_height": str(reader.height).encode()})
    with pytest.raises(ReadError, match=r"knows of \d+ writes .* ask for the \d+ newest, or another node"):
        peer.chain.reads.history("token", "balances", TO, 1000)
    assert peer.chain.reads.history("token", "balances", TO, 3)
    assert query.answer("GET_LAST_CONFIG_BLOCK", {})
    with pytest.raises(RefusedError):  # and nothing is executed twice
        grown.submit(peer.number, transfer(grown, timestamp=1))


async def test_an_id_of_the_past_is_refused_though_its_block_is_away(grown, five):
    again = transfer(grown)
    grown.submit(0, again)
    await grown.send()
    assert await grown.step(0)
    await calls(grown, 20)
    await grown.step(0)
    await grown.step(0)
    peer = await synced(grown, five)
    held = peer.chain.world.remembered.holds(again.payload.tx_id)
    assert held == grown.peers[0].chain.world.remembered.holds(again.payload.tx_id)
    with pytest.raises(RefusedError):
        grown.submit(peer.number, again)


async def test_a_wrong_chunk_is_fetched_again_from_another(grown):
    offered, chunks = await fetched(grown.peers[0])
    newcomer = Newcomer(grown)
    assert await newcomer.offer(offered) == ACCEPT
    for index, data in enumerate(chunks):
        for wrong in (b"", data[:-1], data + b"\x00", chunks[index - 1], data[:7] + bytes([data[7] ^ 1]) + data[8:]):
            assert await newcomer.chunk(index, wrong) == (RETRY, [index], ["peer"])
        assert (await newcomer.chunk(index, data))[0] == ACCEPT
    assert newcomer.chain.exists()
    assert await newcomer.offer(offered) == REJECT  # it has a state now
    assert (await newcomer.chunk(0, chunks[0]))[0] == REJECT_SNAPSHOT


async def test_an_offer_of_another_form_is_refused(grown):
    offered, _ = await fetched(grown.peers[0])
    newcomer = Newcomer(grown)
    for change in (
        {"format": 2},
        {"chunks": 0},
        {"chunks": offered.chunks + 1},
        {"chunks": 2**32 - 1},
        {"hash": bytes(32)},
        {"metadata": b""},
        {"metadata": offered.metadata[:-1]},
        {"metadata": offered.metadata + bytes(32)},
        {"metadata": bytes(8 + 32 * offered.chunks)},
    ):
        wrong = Snapshot.FromString(offered.SerializeToString())
        for name, value in change.items():
            setattr(wrong, name, value)
        assert await newcomer.offer(wrong) == REJECT, change
    assert (await newcomer.chunk(0, b""))[0] == REJECT_SNAPSHOT
    assert not newcomer.chain.exists()


async def test_a_snapshot_of_another_block_than_was_agreed_on_is_refused(grown):
    offered, chunks = await fetched(grown.peers[0])
    newcomer = Newcomer(grown)
    for app_hash in (bytes(32), grown.app_hashes[offered.height - 1]):
        assert await newcomer.take(offered, chunks, app_hash) == REJECT_SNAPSHOT
        assert not newcomer.chain.exists()
    assert await newcomer.take(offered, chunks) == ACCEPT  # the same newcomer takes an honest one


def sections_of(path):
    base = read_base(path)
    return {name: list(base.section(name)) for name in base.checkpoint.places}


def changed_block(records: list[bytes], height: int, change) -> list[bytes]:
    found = []
    for record in records:
        stored = BlockWithRWSet.FromString(record)
        if stored.block.header.block_height == height:
            change(stored)
        found.append(stored.SerializeToString())
    return found


def lies(changed: int, height: int):
    """What a lying peer may make of the sections of a snapshot of a height; an organisation joined in the block `changed`."""

    def item(name: str, at: int, data) -> object:
        return lambda made: made[name].__setitem__(at, data(made[name][at]))

    def flip(at: int):
        return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[len(data) + at + 1 :]

    def block(height: int, change):
        return lambda made: made.__setitem__(BLOCKS, changed_block(made[BLOCKS], height, change))

    def without(height: int):
        return lambda made: made.__setitem__(
            BLOCKS, [one for one in made[BLOCKS] if BlockWithRWSet.FromString(one).block.header.block_height != height]
        )

    def forge(stored: BlockWithRWSet) -> None:
        seals = stored.block.additional_data.extra_data
        data = seals["changan.certificate"]
        seals["changan.certificate"] = data[:-1] + bytes([data[-1] ^ 1])

    return {
        "a balance": item("contract.token", 0, flip(-1)),
        "a row of the contract left out": lambda made: made["contract.token"].clear(),
        "a system row": item("rows", 5, flip(-1)),
        "a system row left out": lambda made: made["rows"].pop(5),
        "a system row more": lambda made: made["rows"].append(b"\x00\x01a\x00\x01b\x01\x00\x00\x00\x01c"),
        "a system row that is gone": lambda made: made["rows"].append(b"\x00\x01a\x00\x01b\x00"),
        "an id": item("remembered", -1, flip(-1)),
        "an id with its digest": item("remembered", -1, lambda data: data[:8] + sha256(data).digest() + data[40:]),
        "a second left out": lambda made: made["remembered"].pop(),
        "the time that was forgotten": item("remembered", 0, lambda _: (7).to_bytes(8, "big")),
        "ids cut short": item("remembered", -1, lambda data: data[:-3]),
        "no ids at all": lambda made: made["remembered"].clear(),
        "no contract": lambda made: made.pop("contract.token"),
        "no rows": lambda made: made.pop("rows"),
        "no blocks": lambda made: made.pop(BLOCKS),
        "an empty list of blocks": lambda made: made[BLOCKS].clear(),
        "no genesis": without(0),
        "another genesis": block(0, lambda stored: setattr(stored.block.header, "block_timestamp", 1)),
        "a genesis with other content": block(0, lambda stored: stored.block.txs[0].payload.ClearField("tx_id")),
        "the change of voters left out": without(changed),
        "the change of voters without its certificate": block(
            changed, lambda stored: stored.block.additional_data.extra_data.clear()
        ),
        "the change of voters with a forged seal": block(changed, forge),
        "another change of voters": block(changed, lambda stored: stored.txRWSets[0].tx_writes[0].ClearField("value")),
        "a block that is none": item(BLOCKS, 1, lambda _: b"\xff\xff"),
        "blocks out of order": lambda made: made[BLOCKS].reverse(),
        "a block of the window with another result": block(
            height - 3, lambda stored: setattr(stored.block.txs[0].result.contract_result, "gas_used", 1)
        ),
        "rows of a bundle that is none": lambda made: made.__setitem__(
            BLOCKS, [*made[BLOCKS][:-1], made[BLOCKS][-1] + BlockWithRWSet(bundle_rows=[{}]).SerializeToString()]
        ),
    }


async def test_every_lie_in_a_snapshot_is_found(grown, tmp_path):
    model = grown
    offered, chunks = await fetched(model.peers[0])
    honest = tmp_path / "honest.ckpt"
    honest.write_bytes(b"".join(chunks))
    height = read_base(honest).height
    [changed] = model.peers[0].rosters.changes_before(10**9)
    newcomer = Newcomer(model)
    for number, (name, lie) in enumerate(lies(changed, height).items()):
        made = sections_of(honest)
        lie(made)
        write_checkpoint(tmp_path / f"lie{number}", height, list(made.items()))
        data = next((tmp_path / f"lie{number}").glob("*.ckpt")).read_bytes()
        result = await newcomer.take(*offer_of(data, height, offered.height), model.app_hashes[offered.height])
        assert result == REJECT_SNAPSHOT, name
        assert not newcomer.chain.exists(), name
    for cut in (0, 1, 9, len(honest.read_bytes()) // 2, len(honest.read_bytes()) - 1):
        data = honest.read_bytes()[:cut] or b"\x00"
        result = await newcomer.take(*offer_of(data, height, offered.height), model.app_hashes[offered.height])
        assert result == REJECT_SNAPSHOT, cut
    untouched = tmp_path / "untouched"
    write_checkpoint(untouched, height, list(sections_of(honest).items()))
    data = next(untouched.glob("*.ckpt")).read_bytes()
    assert await newcomer.take(*offer_of(data, height, offered.height), model.app_hashes[offered.height]) == ACCEPT


async def test_a_base_that_was_changed_later_is_named_by_the_audit(grown, five):
    peer = await synced(grown, five)
    path = peer.storage.directory / FILE
    base = open_base(peer.storage.directory)
    made = {name: list(base.section(name)) for name in base.checkpoint.places}
    made["contract.token"][0] = made["contract.token"][0][:-1] + bytes([made["contract.token"][0][-1] ^ 1])
    write_checkpoint(path.parent / "changed", base.height, list(made.items()))
    shutil.copy(next((path.parent / "changed").glob("*.ckpt")), path)
    with pytest.raises(AuditError, match=f"block {base.height}: does not hold the root over the rows of the base"):
        list(Auditor(peer.storage.log, base=open_base(peer.storage.directory)).blocks())


# Which heights snapshots are of


async def test_two_snapshots_are_kept_and_an_older_one_is_gone(grown):
    model = grown
    peer = model.peers[0]
    first, _ = await fetched(peer)
    for _ in range(3):
        await fetched_after(model, peer)
    offers = (await peer.app.list_snapshots(RequestListSnapshots())).snapshots
    assert len(offers) == 2
    assert first.height not in {one.height for one in offers}
    gone = RequestLoadSnapshotChunk(height=first.height, format=1, chunk=0)
    assert (await peer.app.load_snapshot_chunk(gone)).chunk == b""
    beyond = RequestLoadSnapshotChunk(height=offers[0].height, format=1, chunk=offers[0].chunks)
    assert (await peer.app.load_snapshot_chunk(beyond)).chunk == b""
    await peer.crash()
    again = (await peer.app.list_snapshots(RequestListSnapshots())).snapshots
    assert list(again) == list(offers)


async def test_none_is_offered_before_the_engine_can_prove_it(model):
    await model.peers[0].snapshots.close()
    assert not (await model.peers[0].app.list_snapshots(RequestListSnapshots())).snapshots
    await model.step(0)
    assert not (await model.peers[0].app.list_snapshots(RequestListSnapshots())).snapshots
    await model.step(0)
    assert len((await model.peers[0].app.list_snapshots(RequestListSnapshots())).snapshots) == 1


async def test_none_is_of_a_height_where_the_voters_are_changing(grown):
    for peer in grown.peers:
        await peer.snapshots.close()
        for path in peer.storage.directory.glob("snapshots/*.ckpt"):
            height = read_base(path).height
            [changed] = peer.rosters.changes_before(10**9)
            assert not changed <= height <= changed + 1
            assert height == 1 or set(blocks_of(read_base(path).checkpoint)) >= {0, height}


# The node's own files


def test_a_sync_clears_away_only_what_a_sync_left(tmp_path):
    home, chain = EngineHome(tmp_path / "engine"), tmp_path / "chains" / "chain1"
    (home.root / "data" / "blockstore.db").mkdir(parents=True)
    signed = home.root / "data" / "priv_validator_state.json"
    signed.write_text("{}")
    begin_sync(home, chain)
    assert home.syncing.exists()
    assert signed.exists()
    assert home.is_new
    chain.mkdir(parents=True)
    begin_sync(home, chain)  # it was cut short: it begins anew
    assert not chain.exists()
    chain.mkdir()
    home.syncing.unlink()
    with pytest.raises(SyncError, match="only for a chain that is not here yet"):
        begin_sync(home, chain)
    assert chain.exists()


async def test_an_engine_that_stops_behind_the_snapshot_ends_the_sync(grown):
    newcomer = Newcomer(grown)
    newcomer.sync.engine_starts(is_new=True)
    newcomer.sync.engine_starts(is_new=False)  # before it, it may stop and start
    assert await newcomer.take(*await fetched(grown.peers[0])) == ACCEPT
    with pytest.raises(SyncError, match="start the node again"):
        newcomer.sync.engine_starts(is_new=False)


def test_a_log_knows_which_blocks_are_away(tmp_path):
    from changan.errors import MalformedError
    from changan.node.store.partial import write_partial_log

    blocks = {height: b"%d" % height * 9 for height in (0, 4, 5, 9, 10, 11)}
    write_partial_log(tmp_path / "log", blocks)
    for _ in range(2):
        log = BlockLog(tmp_path / "log")
        assert [height for height in range(13) if log.holds(height)] == list(blocks)
        assert all(log.read(height) == data for height, data in blocks.items())
        assert (log.archived_height, log.durable_height) == (8, 11)
        with pytest.raises(ArchivedError, match=r"block 7 is archived, and its file is not in .*: bring it back"):
            log.read(7)
        log.close()
    log = BlockLog(tmp_path / "log")
    log.append(12, b"more")
    log.sync()
    assert log.read(12) == b"more"
    log.close()
    for wrong in ({}, {3: b"x"}, dict.fromkeys(range(0, 2002, 2), b"x")):
        with pytest.raises(MalformedError):
            write_partial_log(tmp_path / f"wrong{len(wrong)}", wrong)
