"""What a lying peer may hand over as a snapshot: none of it is taken in."""

from __future__ import annotations

from hashlib import sha256

from syncing import ACCEPT, REJECT, REJECT_SNAPSHOT, RETRY, Newcomer, fetched, offer_of, sections_of

from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.beginning import BLOCKS, read_base
from changan.node.comet.abci.messages import Snapshot
from changan.node.store.checkpoint import write_checkpoint


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


async def test_a_snapshot_of_a_chain_that_began_otherwise_is_refused(grown):
    offered, chunks = await fetched(grown.peers[0])
    newcomer = Newcomer(grown)
    genesis = newcomer.sync._genesis
    newcomer.sync._genesis = type(genesis).FromString(genesis.SerializeToString())
    newcomer.sync._genesis.block.tx_timeout += 1
    assert await newcomer.take(offered, chunks) == REJECT_SNAPSHOT
    assert not newcomer.chain.exists()


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
