"""Batches that were judged are kept while they may come again, and never more of them than there is room for."""

from __future__ import annotations

import pytest

from changan.node.comet import batches
from changan.node.comet.batches import NAME_BYTES, READ_BYTES, BatchCache, encode_batch
from consortium import Ledger

REQUESTS = 5


class Kept:
    """A cache, batches of one sender, and how many signatures were looked at."""

    def __init__(self, consortium) -> None:
        self.ledger = Ledger(consortium)
        self.cache = BatchCache()
        self.signer = consortium.signer()

    def batch(self, number: int) -> bytes:
        requests = [self.ledger.request("T", "N", {"n": str(n)}, sender=self.signer) for n in range(REQUESTS)]
        return encode_batch(requests, number)

    def judge(self, data: bytes) -> int:
        """Judge a batch; return how many signatures that took."""
        before = self.cache.verified
        judged = self.cache.judge(data, self.ledger.world, self.ledger.time_us // 1_000_000)
        assert judged.refusal is None
        assert judged.memory == 2 * len(data) + REQUESTS * READ_BYTES
        return self.cache.verified - before


@pytest.fixture
def kept(consortium):
    return Kept(consortium)


def test_a_signature_is_looked_at_once(kept):
    data = kept.batch(1)
    assert [kept.judge(data) for _ in range(3)] == [REQUESTS, 0, 0]


def test_another_epoch_looks_again_and_reads_nothing_anew(kept, monkeypatch):
    data = kept.batch(1)
    kept.judge(data)
    kept.ledger.world.begin_epoch()
    monkeypatch.setattr(batches, "decode_batch", None)
    assert [kept.judge(data) for _ in range(2)] == [REQUESTS, 0]


def test_what_was_executed_is_let_go(kept):
    first, second = kept.batch(1), kept.batch(2)
    for data in (first, second):
        kept.judge(data)
    kept.cache.forget([first, kept.batch(3)])
    assert kept.judge(second) == 0
    assert kept.judge(first) == REQUESTS


def test_batches_that_begin_alike_are_told_apart(kept):
    first, second = kept.batch(1), kept.batch(1)
    assert first[:NAME_BYTES] == second[:NAME_BYTES]
    assert first != second
    ids = []
    for data in (first, second, first):
        assert kept.judge(data) == REQUESTS  # the later one takes the place
        judged = kept.cache.judge(data, kept.ledger.world, kept.ledger.time_us // 1_000_000)
        ids.append([request.payload.tx_id for request in judged.requests])
    assert ids[0] == ids[2] != ids[1]
    kept.cache.forget([first])
    assert kept.cache._bytes == 0


def test_memory_is_that_of_requests_as_they_are_once_read(kept, monkeypatch):
    all_of_them = [kept.batch(number) for number in range(12)]
    monkeypatch.setattr(batches, "CACHED_BYTES_MAX", 4 * REQUESTS * READ_BYTES)
    for _ in range(2):
        for data in all_of_them:
            assert kept.judge(data) == REQUESTS  # each pushed out before it comes again
    assert [kept.judge(data) for data in reversed(all_of_them[-3:])] == [0, 0, 0]
    kept.cache.forget(all_of_them)
    assert kept.cache._bytes == 0
    assert not kept.cache._judged


def test_one_batch_is_kept_however_large(kept, monkeypatch):
    monkeypatch.setattr(batches, "CACHED_BYTES_MAX", 1)
    data = kept.batch(1)
    assert [kept.judge(data) for _ in range(2)] == [REQUESTS, 0]
