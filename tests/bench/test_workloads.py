"""The loads of the ledger bench run as they claim: no call fails for want of an account or of money, and draws are what they say."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from changan.bench.figures import table_rows
from changan.bench.workloads import ACCOUNT_BYTES, BALANCE, LOADS, Shape, _chosen, workload
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.instance import BlockContext, Call, Code
from changan.contract.program import compile_source
from changan.ledger.bundle import Bundle, decode_bundle, encode_bundle

BLOCK = BlockContext(1, 1_700_000_000)
SIGNERS = [bytes([number]) * ACCOUNT_BYTES for number in range(3)]
GAS = 1_000_000


def shape(accounts: int = 200, rows: int = 64, zipf: float = 0.0) -> Shape:
    return Shape(accounts, SIGNERS, rows, zipf)


class Bank:
    """The contract of a load, run by the compiled engine with a signer as the caller."""

    def __init__(self, name: str) -> None:
        self.load = workload(name)
        self.instance = CompiledInstance(compile_source(self.load.source), b"h" * 20, seed=b"s" * 32)
        if name == "token":
            self.run_one(self.instance.program.init_method, SIGNERS[0], 10**12)

    def run_one(self, method: str, caller: bytes, *arguments) -> None:
        [outcome] = self.instance.run(method, [Call(caller, arguments, GAS)], BLOCK)
        assert outcome.code == Code.OK

    def run(self, part, caller: bytes) -> Counter:
        batch = self.instance.run_columns(part.method, caller, part.columns, BLOCK, GAS)
        return Counter(word & 255 for word in batch.outcomes)

    def prepare(self, how: Shape) -> int:
        made = 0
        for part in self.load.prepare(np, how):
            assert self.run(part, SIGNERS[0]) == {Code.OK: part.rows}
            made += part.rows
        return made


@pytest.mark.parametrize("name", LOADS)
@pytest.mark.parametrize("zipf", [0.0, 1.0, 1.3])
def test_every_call_of_a_load_succeeds(name, zipf):
    bank = Bank(name)
    how = shape(zipf=zipf)
    made = bank.prepare(how)
    assert made == {"evidence": 0, "token": how.accounts + len(SIGNERS)}.get(name, how.accounts)
    for signer, caller in enumerate(SIGNERS):
        parts = bank.load.parts(np, how, signer)
        ended = Counter()
        for part in itertools.islice(parts, 10):
            assert part.rows == how.rows
            ended += bank.run(part, caller)
        if name == "smallbank":  # money moves, and may run out where the load is skewed
            assert ended[Code.OK] > 0.9 * sum(ended.values())
        else:
            assert ended == {Code.OK: 10 * how.rows}


@pytest.mark.parametrize("name", LOADS)
def test_columns_are_bundles_of_the_methods_that_they_name(name):
    load, how = workload(name), shape()
    for part in [*load.prepare(np, how), *itertools.islice(load.parts(np, how, 0), 5)]:
        signature = load.signature(part.method)
        data = encode_bundle(signature, part.columns, part.rows, 0)
        bundle = decode_bundle(data, signature)
        assert isinstance(bundle, Bundle)
        assert bundle.rows == part.rows
        assert len(bundle.arguments(signature, part.rows - 1)) == len(signature.parameters)


@pytest.mark.parametrize("name", LOADS)
def test_a_load_is_the_same_for_whoever_asks_and_differs_by_signer(name):
    load, how = workload(name), shape()

    def first(signer: int) -> list[bytes]:
        return [
            bytes(column.data) for part in itertools.islice(load.parts(np, how, signer), 3) for column in part.columns
        ]

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_each_signer_pays_from_accounts_that_it_holds():
    load, how = workload("payments"), shape(accounts=100)
    owner = {}
    for part in load.prepare(np, how):
        signature = load.signature("open")
        bundle = decode_bundle(encode_bundle(signature, part.columns, part.rows, 0), signature)
        for row in range(part.rows):
            account, holder, balance = bundle.arguments(signature, row)
            owner[account] = holder
            assert balance == BALANCE
    assert Counter(owner.values()) == {SIGNERS[0]: 34, SIGNERS[1]: 33, SIGNERS[2]: 33}
    signature = load.signature("pay")
    for signer, holder in enumerate(SIGNERS):
        part = next(load.parts(np, how, signer))
        bundle = decode_bundle(encode_bundle(signature, part.columns, part.rows, 0), signature)
        assert {owner[bundle.arguments(signature, row)[0]] for row in range(part.rows)} == {holder}


@pytest.mark.parametrize("name", LOADS)
def test_where_each_row_has_another_signer_they_grow_and_none_comes_twice(name):
    load = workload(name)
    how = Shape(500, [bytes([number]) * ACCOUNT_BYTES for number in range(90)], 64, 0.7)
    drawn = [list(part.signers) for part in itertools.islice(load.parts(np, how, None), 6)]
    assert all(numbers == sorted(set(numbers)) for numbers in drawn)
    assert {len(numbers) for numbers in drawn} == {64}
    assert all(0 <= number < 90 for numbers in drawn for number in numbers)
    assert len({tuple(numbers) for numbers in drawn}) == 6


def test_and_each_then_pays_from_an_account_that_it_holds():
    load = workload("payments")
    how = Shape(500, [bytes([number]) * ACCOUNT_BYTES for number in range(90)], 64, 0.7)
    opened, paid = load.signature("open"), load.signature("pay")
    owner = {}
    for part in load.prepare(np, how):
        bundle = Bundle(part.rows, 0, part.columns)
        owner |= dict(bundle.arguments(opened, row)[:2] for row in range(part.rows))
    for part in itertools.islice(load.parts(np, how, None), 4):
        bundle = Bundle(part.rows, 0, part.columns)
        for row, number in enumerate(part.signers):
            assert owner[bundle.arguments(paid, row)[0]] == how.signers[number]


@pytest.mark.parametrize("zipf", [0.0, 0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("count", [1, 2, 1000])
def test_draws_stay_below_the_count(zipf, count):
    drawn = _chosen(np.random.default_rng(1), count, 5000, zipf)
    assert drawn.min() >= 0
    assert drawn.max() < count
    assert len(drawn) == 5000


def test_skew_is_what_the_law_says():
    """Under the continuous law the share of the first tenth is ln(100)/ln(1000) at 1; uniform draws give it a tenth."""
    random = np.random.default_rng(2)
    shares = [float((_chosen(random, 1000, 50_000, zipf) < 100).mean()) for zipf in (0.0, 0.5, 1.0, 1.5)]
    assert shares[0] == pytest.approx(0.1, abs=0.01)
    assert shares[2] == pytest.approx(2 / 3, abs=0.02)
    assert shares == sorted(shares)


def test_figures_are_median_least_and_greatest_of_the_rounds():
    rounds = [{"rate": 3.00049, "p50": 1}, {"rate": 1.0, "p50": 2}, {"rate": 2.0, "p50": 9}]
    units = {"rate": "calls/s", "p99": "ms", "p50": "ms of p50"}
    assert table_rows("w", "ours", units, rounds, "n") == [
        {"work": "w", "peer": "ours", "unit": "calls/s", "median": 2.0, "min": 1.0, "max": 3.0, "n": 3, "note": "n"},
        {"work": "w", "peer": "ours", "unit": "ms of p50", "median": 2, "min": 1, "max": 9, "n": 3, "note": "n"},
    ]
    [alone] = table_rows("w", "p", {"x": "u"}, [{"x": 1 / 3}], "")
    assert (alone["median"], alone["min"], alone["max"], alone["n"]) == (0.333, 0.333, 0.333, 1)
    [even] = table_rows("w", "p", {"x": "u"}, [{"x": 1}, {"x": 4}], "")
    assert even["median"] == 2.5
