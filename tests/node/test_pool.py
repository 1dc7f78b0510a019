"""The pool against a model of a list: nothing is lost or doubled, each sender in order, senders in turn, bounds kept."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from changan.ledger.wire.messages import Payload, TxRequest, TxType
from changan.node import pool as pools
from changan.node.pool import Pool, Waiting


def waiting(number: int, sender: str = "a", size: int = 10, *, alone: bool = False) -> Waiting:
    payload = Payload(
        tx_id=f"tx{number}", tx_type=TxType.INVOKE_CONTRACT, contract_name="CHAIN_CONFIG" if alone else "token"
    )
    verdict = SimpleNamespace(sender=SimpleNamespace(certificate_hash=sender))
    return Waiting(TxRequest(payload=payload), size, verdict, alone)


def ids(taken: list[Waiting]) -> list[str]:
    return [one.request.payload.tx_id for one in taken]


def filled(*many: Waiting) -> Pool:
    pool = Pool()
    for one in many:
        pool.add(one)
    return pool


def test_a_flood_leaves_room_for_everybody_else():
    flood = [waiting(number, "flood") for number in range(100)]
    pool = filled(*flood, waiting(100, "quiet"), waiting(101, "calm"), waiting(102, "quiet"))
    assert ids(pool.take(6, 1000)) == ["tx0", "tx100", "tx101", "tx1", "tx102", "tx2"]
    assert ids(pool.take(3, 1000)) == ["tx3", "tx4", "tx5"]
    assert len(pool) == 94


def test_a_block_is_bounded_by_count_and_bytes():
    pool = filled(*(waiting(number, size=40) for number in range(5)))
    assert ids(pool.take(10, 100)) == ["tx0", "tx1"]
    assert ids(pool.take(1, 100)) == ["tx2"]
    assert ids(pool.take(10, 80)) == ["tx3", "tx4"]
    assert pool.take(10, 80) == []


def test_one_that_is_larger_than_a_block_goes_first_in_one():
    """It was admitted, so it must not stand in everybody's way for ever."""
    pool = filled(waiting(0, size=40), waiting(1, size=500), waiting(2, size=40))
    assert ids(pool.take(10, 100)) == ["tx0"]
    assert ids(pool.take(10, 100)) == ["tx1"]
    assert ids(pool.take(10, 100)) == ["tx2"]


def test_who_must_be_alone_is():
    pool = filled(waiting(0, "a"), waiting(1, "b", alone=True), waiting(2, "a"))
    assert [ids(pool.take(10, 1000)) for _ in range(4)] == [["tx0"], ["tx1"], ["tx2"], []]


def test_room_by_count_and_by_bytes(monkeypatch):
    monkeypatch.setattr(pools, "REQUESTS_MAX", 3)
    monkeypatch.setattr(pools, "BYTES_MAX", 100)
    pool = filled(waiting(0, size=60))
    assert [pool.has_room(size) for size in (0, 40, 41)] == [True, True, False]
    pool.add(waiting(1, size=1))
    pool.add(waiting(2, size=1))
    assert not pool.has_room(0), "three wait, whatever their size"
    pool.take(1, 1000)
    assert [pool.has_room(size) for size in (98, 99)] == [True, False]
    assert Pool().has_room(100)
    assert not Pool().has_room(101)


def test_the_same_id_twice_is_our_own_fault():
    pool = filled(waiting(0))
    with pytest.raises(AssertionError):
        pool.add(waiting(0, "b"))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 50), st.booleans()), max_size=30), st.data())
def test_blocks_until_it_is_empty_hold_everything_once(many, data):
    pool = filled(*(waiting(number, sender, size, alone=alone) for number, (sender, size, alone) in enumerate(many)))
    blocks = []
    while len(pool):
        blocks.append(pool.take(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 120))))
        assert blocks[-1], "a block that could hold something holds something"
    order = [int(one[2:]) for block in blocks for one in ids(block)]
    assert sorted(order) == list(range(len(many)))
    for sender in "abcd":
        own = [number for number in order if many[number][0] == sender]
        assert own == sorted(own)
    for block in blocks:
        assert len(block) == 1 or not any(one.alone for one in block)
    assert pool.has_room(pools.BYTES_MAX), "what is taken gives its room back"


class Turns(RuleBasedStateMachine):
    """A slower pool: a list, and the order in which senders have their turn."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()
        self.all: list[Waiting] = []
        self.turn: list[str] = []
        self.number = 0

    @rule(sender=st.sampled_from("abc"), size=st.integers(1, 30), alone=st.booleans())
    def arrives(self, sender, size, alone):
        one = waiting(self.number, sender, size, alone=alone)
        self.number += 1
        self.pool.add(one)
        self.all.append(one)
        if sender not in self.turn:
            self.turn.append(sender)

    @rule(count=st.integers(0, 5), room=st.integers(1, 60))
    def block(self, count, room):
        wanted: list[Waiting] = []
        while self.turn and len(wanted) < count:
            sender = self.turn[0]
            one = next(one for one in self.all if one.verdict.sender.certificate_hash == sender)
            if wanted and (one.alone or sum(each.size for each in wanted) + one.size > room):
                break
            wanted.append(one)
            self.all.remove(one)
            self.turn.remove(sender)
            if any(other.verdict.sender.certificate_hash == sender for other in self.all):
                self.turn.append(sender)
            if one.alone:
                break
        assert ids(self.pool.take(count, room)) == ids(wanted)

    @invariant()
    def it_knows_who_waits(self):
        known = ids(self.all)
        assert sorted(self.pool.ids()) == sorted(known)
        assert len(self.pool) == len(known)
        for tx_id in ("tx0", *known):
            assert (tx_id in self.pool) == (tx_id in known)
            assert (self.pool.get(tx_id) is not None) == (tx_id in known)


TestTurns = Turns.TestCase
