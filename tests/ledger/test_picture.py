"""A picture taken while blocks go on is that of the block at which it is finished, whatever happened meanwhile."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from changan.contract.engines import compiled
from changan.crypto.digest import sha256
from changan.ledger import picture as pictures
from changan.ledger.bundle import PARAMETER, columns_of, encode_bundle
from changan.ledger.picture import Picture
from changan.ledger.remembered import RememberedIds
from changan.ledger.snapshot import dump, load
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.storage import record_of, replay_block
from consortium import EXAMPLES, Ledger

ENGINE = compiled(b"a secret of 32 bytes for a test.")
BLOCKS = 24


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(pictures, "BITWISE_BYTES", 2000)
    monkeypatch.setattr(pictures, "TAKEN_BYTES_MIN", 200)


@pytest.fixture(scope="module")
def busy(consortium):
    """Blocks that change many rows of two contracts by bundles and by calls, and one contract that comes late."""
    ledger, dice = Ledger(consortium), random.Random(4)
    ledger.install("token", supply="1000000000")
    ledger.install("evidence")
    admin = consortium.admin()

    def bundle(contract: str, method: str, rows):
        signature = ledger.world.instances[contract].program.method(method)
        data = encode_bundle(signature, columns_of(signature, rows), len(rows), 0)
        return ledger.request(contract, method, {PARAMETER: data}, sender=admin)

    for number in range(BLOCKS):
        transfers = [(dice.randrange(150).to_bytes(20, "big"), 1 + dice.randrange(9)) for _ in range(40)]
        puts = [(dice.randbytes(32), "note " * dice.randrange(20)) for _ in range(10)]
        call = ledger.request("token", "transfer", {"to": f"{number:040x}", "amount": "7"}, sender=admin)
        ledger.seal(bundle("token", "transfer", transfers), call, bundle("evidence", "put", puts))
        if number == BLOCKS // 2:
            ledger.install("votes", (EXAMPLES / "voting.py").read_bytes())
    return ledger


def replayed(busy, stop: int):
    world, _ = apply_genesis(busy.config, ENGINE)
    for applied in busy.blocks[1:stop]:
        replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
    return world


def rows_of(world):
    return {name: (dict(i.rows()), i.logical_bytes) for name, i in world.instances.items()}


def same(one, other):
    assert rows_of(one) == rows_of(other)
    sections = [{name: list(items) for name, items in dump(world)} for world in (one, other)]
    assert {n for n in sections[0] if sections[0][n] != sections[1][n] and not n.startswith("contract.")} == set()


def test_a_picture_is_that_of_the_block_at_which_it_is_finished(busy):
    finished = set()
    for share in (0.08, 0.2, 1.0):
        world = replayed(busy, 8)
        picture, height = Picture(world), 8
        sections = defaultdict(list)
        assert not picture.is_ready
        while not picture.is_ready:
            applied = replay_block(world, BlockWithRWSet.FromString(record_of(busy.blocks[height])))
            for name, items in picture.follow(applied.changes, share):
                sections[name] += items
            height += 1
        assert not picture.is_spoilt
        finished.add(height)
        for name, items in picture.finish():
            sections[name] += items
        resumed = load(sections.__getitem__, ENGINE)
        same(resumed, world)
        for later in busy.blocks[height:]:
            replay_block(resumed, BlockWithRWSet.FromString(record_of(later)))
        assert resumed.block_hash == busy.world.block_hash
    assert min(finished) == 9  # everything at once
    assert max(finished) > 12


def test_what_is_small_is_taken_at_once(busy, monkeypatch):
    monkeypatch.setattr(pictures, "BITWISE_BYTES", 1 << 30)
    assert Picture(replayed(busy, 8)).is_ready


def test_sections_stay_as_they_are_while_blocks_go_on(busy):
    world = replayed(busy, 8)
    now = [(name, list(items)) for name, items in dump(world)]
    later = dump(world)
    for applied in busy.blocks[8:]:
        replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
    assert [(name, list(items)) for name, items in later] == now


def test_a_contract_that_is_exchanged_spoils_the_picture(busy, consortium):
    ledger = Ledger(consortium)
    ledger.install("token", supply="1000000000")
    world = replayed(busy, 8)
    picture = Picture(world)
    assert not picture.is_spoilt
    world.instances["token"] = ENGINE(world.instances["token"].program, bytes(20))
    assert picture.is_spoilt


def test_ids_that_come_and_go_later_change_nothing_of_it():
    ids = RememberedIds(sha256)
    ids.add("first", 5)
    now = list(ids.dump())
    later = ids.dump()
    ids.add("second", 5)
    ids.forget(1000, 10)
    assert list(later) == now
