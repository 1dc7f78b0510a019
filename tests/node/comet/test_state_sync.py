"""A node that begins with the state of its peers: what it takes in, what it refuses, and what it can tell afterwards."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
from membership_running import audited, calls, change, entry, genesis
from model import Model, Peer, node_of
from syncing import ACCEPT, Newcomer, fetched
from test_application import TO, balance, transfer

from changan.ledger.admission import RefusedError
from changan.ledger.bundle import PARAMETER, columns_of, encode_bundle
from changan.ledger.receipt import verify_receipt
from changan.node.audit import AuditError, Auditor
from changan.node.beginning import FILE, blocks_of, open_base, read_base
from changan.node.chain_query import QueryError
from changan.node.comet.abci.messages import (
    RequestInfo,
    RequestListSnapshots,
    RequestLoadSnapshotChunk,
)
from changan.node.comet.cluster import ClusterError, check_refetchable, engine_home, renew_engine
from changan.node.comet.engine_home import EngineHome, EngineKeys
from changan.node.comet.snapshots import Snapshots
from changan.node.comet.state_sync import SyncError, begin_sync
from changan.node.home import Home
from changan.node.reads import ReadError
from changan.node.store.archive import ArchivedError
from changan.node.store.blocklog import BlockLog
from changan.node.store.checkpoint import write_checkpoint


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
        await peer.chain.reads.history("token", "balances", TO, 1000)
    assert len((await peer.chain.reads.history("token", "balances", TO, 3))["writes"]) == 3
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


async def test_none_is_of_a_height_where_the_voters_are_changing(often, model, five):
    node, peer = node_of(five, 5), model.peers[0]
    pem = five.authorities[node.voter.org_id].certificate_pem.decode()
    assert not await change(model, "TRUST_ROOT_ADD", {"org_id": node.voter.org_id, "root": pem})
    assert not await change(model, "CONSENSUS_EXT_ADD", entry(node))
    await model.add(node).handshake()
    await calls(model, 3)
    await peer.snapshots.close()
    peer.snapshots._work = 10**9  # from here on one is due at once

    def heights() -> set[int]:
        return {int(path.stem) for path in peer.storage.directory.glob("snapshots/*.ckpt")}

    before = heights()
    assert not await change(model, "NODE_ORG_ADD", {"org_id": node.voter.org_id, "node_ids": node.voter.node_id})
    changed = peer.chain.world.height
    await calls(model, 1)
    await peer.snapshots.close()
    assert heights() == before  # those who seal the change, and the block behind it, are not those whom it names
    await calls(model, 3)
    await peer.snapshots.close()
    [made] = heights() - before
    assert made >= changed + 2
    path = peer.storage.directory / "snapshots" / f"{made:020d}.ckpt"
    assert set(blocks_of(read_base(path).checkpoint)) >= {0, changed, made}


async def test_the_engine_may_forget_what_no_newcomer_needs(grown):
    peer = grown.peers[0]
    await peer.snapshots.close()
    assert peer.snapshots.retained_from(10**6) == 0  # all stay unless it is said
    few = Snapshots(peer.chain, peer.rosters, peer.storage.directory / "snapshots", kept_blocks=5)
    assert few.retained_from(10**6) == 0  # and while it is not known what newcomers may begin with
    [oldest, *_] = await few.offered(10**6)
    assert few.retained_from(10**6) == oldest.engine_height
    assert few.retained_from(oldest.engine_height) == oldest.engine_height - 4
    assert few.retained_from(3) == 0
    none = Snapshots(peer.chain, peer.rosters, peer.storage.directory / "none", kept_blocks=5)
    assert await none.offered(10**6) == []
    assert none.retained_from(10**6) == 0


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


async def test_the_engine_of_a_node_that_began_late_is_renewed_and_never_refetched(grown, five, tmp_path):
    peer = await synced(grown, five)
    await calls(grown, 2)
    home = Home(tmp_path / "home")
    engine_home(home.root, "chain1").make(EngineKeys.make(), "chain1", grown.voters)
    await peer.snapshots.close()
    chain = shutil.copytree(peer.storage.directory, home.chain_directory("chain1"))
    assert list(chain.glob("snapshots/*.ckpt"))
    _, block_hash = renew_engine(home, "chain1")
    assert not list(chain.glob("snapshots/*"))  # an engine that begins anew proves none of them; the next block has one
    assert block_hash == peer.chain.world.block_hash
    made = json.loads((home.root / "engine/chain1/config/genesis.json").read_text())
    voters = peer.rosters.newest.roster.voters
    assert len(voters) == 5
    assert [one["address"] for one in made["validators"]] == [voter.address.hex().upper() for voter in voters]
    with pytest.raises(ClusterError, match=r"older blocks are not here: move .* away too, .* --sync-from"):
        check_refetchable(home, "chain1")


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


async def test_histories_of_bundles_begin_where_the_node_did(grown, five):
    """The contract is older than everything the node has; its code stands in the base."""
    peer = await synced(grown, five)
    signature = peer.chain.world.instances["token"].program.method("transfer")
    rows = [(bytes.fromhex(TO), 2)] * 3
    bundle = {PARAMETER: encode_bundle(signature, columns_of(signature, rows), len(rows), 0)}
    grown.submit(0, grown.request("token", "transfer", bundle, sender=grown.consortium.admin()))
    await grown.send()
    assert await grown.step(0)
    told = []
    for one in (grown.peers[0], peer):
        async with asyncio.timeout(30):
            while True:
                found = await one.chain.reads.history("token", "balances", TO, 2)
                if found["complete_to"] == found["height"]:
                    break
        told.append([(entry["tx_id"], entry["value"]) for entry in found["writes"]])
    assert told[0] == told[1]
    assert int(told[0][0][1]) == int(told[0][1][1]) + 6
    assert peer.chain.rest.histories._rows.known_from == peer.chain.reader.whole_from > 0
