"""The law: for every contract and every sequence of calls, plain and compiled give the same outcomes, state, events and gas.

CHANGAN_LAW_EXAMPLES=N tries N random programs (and as many sequences) instead of the few of an ordinary run.
"""

from __future__ import annotations

import os
from hashlib import sha256 as digest
from pathlib import Path
from random import Random

import pytest
from contract_generator import Generator, argument
from contract_running import ALICE, BOB, CAROL, HOME

from changan.contract.check import check
from changan.contract.compiled import emit_methods, marshal, plain_columns, stored
from changan.contract.compiled.columns import ColumnData
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.compiled.layout import fixed_size
from changan.contract.instance import BlockContext, Call, Code, Event, InnerFailure, Outcome
from changan.contract.plain import PlainInstance
from changan.contract.program import compile_source

EXAMPLES = sorted((Path(__file__).parents[2] / "src" / "changan" / "examples").glob("[a-z]*.py"))
LONG = int(os.environ.get("CHANGAN_LAW_EXAMPLES", "0"))
PROGRAMS = LONG or 60
USERS = [ALICE, BOB, CAROL, bytes(20)]


class Others:
    """A host whose contracts answer at random, but alike to everyone who asks the same in the same order."""

    def __init__(self, program, seed):
        self.program, self.seed, self.count = program, seed, 0
        self.settled = []

    def call(self, target, method, call, *, reads_only):
        self.count += 1
        told = repr((target, method, call, reads_only, self.count, self.seed)).encode()
        random = Random(digest(told).digest())
        wanted = next(m for m in self.program.remote_methods if m.name == method)
        way = random.random()
        gas = min(random.randint(0, 300), call.gas_limit)
        if way < 0.05:
            return Outcome(Code.INNER_CALL, random.choice(list(InnerFailure)), 0, 0, None, ())
        if way < 0.1:
            code = random.choice([Code.DECLINED, Code.OVERFLOW, Code.OUT_OF_GAS, Code.INNER_CALL])
            return Outcome(code, 1, 9, call.gas_limit if code == Code.OUT_OF_GAS else gas, None, ())
        result = None if wanted.result is None else argument(random, wanted.result)
        if way < 0.13:
            result = "wrong"
        events = tuple(Event("Told", (i,), b"o" * 20) for i in range(random.randint(0, 2)))
        return Outcome(Code.OK, 0, 0, gas, result, events)

    def settle(self, *, keep):
        self.settled.append(keep)


def random_call(random, program, signature):
    arguments = tuple(argument(random, kind) for _, kind in signature.parameters)
    gas = random.choice([10**6, 50_000, 50_000, 5000, random.randint(0, 3000)])
    return Call(random.choice(USERS), arguments, min(gas, 50_000 if "while" in program.source else gas))


def same_state(plain, compiled):
    assert dict(plain.rows()) == dict(compiled.rows())
    assert (plain.logical_bytes, plain.row_count) == (compiled.logical_bytes, compiled.row_count)


def opened(program, random):
    """Return a quota, an empty instance of each engine under it, and the methods that may be called."""
    quota = random.choice([1 << 30, 1 << 30, 3000])
    plain = PlainInstance(program, HOME, quota)
    compiled = CompiledInstance(program, HOME, quota, seed=random.randbytes(32))
    methods = [method.signature for method in program.tree.methods if method.signature.kind != "helper"]
    return quota, plain, compiled, methods


def compare(program, seed, calls=40):
    """Run a random sequence of calls on both; return how many there were, and how many ended well."""
    random = Random(seed)
    quota, plain, compiled, methods = opened(program, random)
    good = 0
    for number in range(calls):
        signature = random.choice(methods)
        made = [random_call(random, program, signature) for _ in range(random.choice([1, 1, 3]))]
        block = BlockContext(number // 5, 1000 + number // 5)
        hosts = [Others(program, number), Others(program, number)] if random.random() < 0.9 else [None, None]
        one = plain.run(signature.name, made, block, hosts[0])
        two = compiled.run(signature.name, made, block, hosts[1])
        assert one == two, (signature.name, made)
        assert hosts[0] is None or hosts[0].settled == hosts[1].settled
        good += sum(outcome.code == Code.OK for outcome in one)
        if random.random() < 0.15:
            assert plain.collect() == compiled.collect()
        if random.random() < 0.05:
            same_state(plain, compiled)
        if random.random() < 0.04:  # on with a copy of the state
            assert plain.collect() == compiled.collect()
            rows = list(compiled.rows())
            compiled = CompiledInstance(program, HOME, quota, seed=random.randbytes(32))
            compiled.restore(rows)
    assert plain.collect() == compiled.collect()
    same_state(plain, compiled)
    return calls, good


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path):
    program = compile_source(path.read_text())
    for seed in range(max(12, LONG // 20)):
        compare(program, seed, 60)


def test_random_programs():
    calls = good = 0
    for seed in range(PROGRAMS):
        source = Generator(seed).source()
        assert check(source) == [], source
        made, well = compare(compile_source(source), seed)
        calls, good = calls + made, good + well
    assert good > calls // 20  # the programs do something


# A state taken bit by bit


def compare_scans(program, seed, calls=60):
    """Take all rows a few at a time between calls: put back, with every delta since behind them, they are the state."""
    random = Random(seed)
    compiled = CompiledInstance(program, HOME, seed=random.randbytes(32))
    methods = [method.signature for method in program.tree.methods if method.signature.kind != "helper"]

    def go() -> bytes:
        signature = random.choice(methods)
        compiled.run(signature.name, [random_call(random, program, signature)], BlockContext(1, 1000))
        return compiled.collect_delta()

    for _ in range(calls):
        go()
    scan, taken, since = compiled.scan(), [], []
    for _ in range(calls):
        since.append(go())
        if random.random() < 0.5:
            taken.append(scan.take(random.choice([1, 40, 300])))
        if random.random() < 0.03:
            compiled._rebuild()
    while not scan.is_done:
        taken.append(scan.take(100))
    other = CompiledInstance(program, HOME, seed=random.randbytes(32))
    other.restore_dump([*taken, *since])
    same_state(compiled, other)
    assert other.collect() == []
    return len(taken)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_scans_of_examples(path):
    program = compile_source(path.read_text())
    for seed in range(max(8, LONG // 50)):
        compare_scans(program, seed)


def test_scans_of_random_programs():
    pieces = sum(
        compare_scans(compile_source(Generator(seed + 3 * 10**6).source()), seed) for seed in range(PROGRAMS // 3)
    )
    assert pieces > PROGRAMS * 3


# Single calls together


def compare_together(program, seed, times=10):
    """Run single calls together: each has the outcome and the changed rows that it has alone."""
    random = Random(seed)
    _, plain, compiled, methods = opened(program, random)
    changed = 0
    for number in range(times):
        signature = random.choice(methods)
        limit = random.choice([50_000, 50_000, 2000, 100])
        calls = [random_call(random, program, signature) for _ in range(random.choice([1, 2, 40, 130]))]
        block = BlockContext(number, 1000 + number)
        callers, arguments = b"".join(call.caller for call in calls), [call.arguments for call in calls]
        ran = compiled.run_together(signature.name, callers, arguments, block, limit)
        assert len(ran) == len(calls)
        for call, (outcome, records) in zip(calls, ran, strict=True):
            [alone] = plain.run(signature.name, [call._replace(gas_limit=limit)], block)
            assert outcome == alone, (signature.name, call)
            rows = plain.collect()
            assert list(compiled._parse(records)) == rows
            changed += len(rows)
        assert compiled.collect() == []
        if random.random() < 0.3:
            made = random_call(random, program, signature)
            assert compiled.run(signature.name, [made], block) == plain.run(signature.name, [made], block)
            assert compiled.collect() == plain.collect()
    same_state(plain, compiled)
    return changed


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_calls_of_examples_together(path):
    program = compile_source(path.read_text())
    for seed in range(max(8, LONG // 50)):
        compare_together(program, seed)


def test_calls_of_random_programs_together(monkeypatch):
    changed = 0
    for seed in range(PROGRAMS // 2):
        monkeypatch.setattr(stored, "DRAIN_BYTES", 1 << (20 if seed % 3 else 6))
        changed += compare_together(compile_source(Generator(seed + 4 * 10**6, remote=False).source()), seed)
    assert changed > PROGRAMS * 10


# Batches


def column(kind, values):
    data = b"".join(marshal.write_alone(kind, value) for value in values)
    if fixed_size(kind) is not None:
        return ColumnData(data)
    ends, at = b"", 0
    for value in values:
        at += len(marshal.write_alone(kind, value))
        ends += at.to_bytes(4, "little")
    return ColumnData(data, ends)


def events_of(program, data):
    """Return a batch's events as (row, event)."""
    found, at = [], 0
    while at < len(data):
        row, number, size = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4, 8))
        at += 12
        kind, values, cursor = program.tree.events[number], [], at
        for _, part in kind.fields:
            value, cursor = marshal.read(part, data, cursor)
            values.append(value)
        assert cursor == at + size
        found.append((row, Event(kind.name, tuple(values), HOME)))
        at += size
    return found


def results_of(signature, batch, rows):
    kind = signature.result
    if kind is None:
        return [None] * rows
    size = fixed_size(kind)
    ends = [(row + 1) * size for row in range(rows)] if batch.result_ends is None else list(batch.result_ends)
    starts = [0, *ends[:-1]]
    assert not any(
        any(batch.results[start:end]) for start, end, code in zip(starts, ends, batch.outcomes, strict=True) if code
    )
    return [
        marshal.read_alone(kind, batch.results[start:end]) if code == 0 else None
        for start, end, code in zip(starts, ends, batch.outcomes, strict=True)
    ]


def compare_batches(program, seed, batches=12):
    random = Random(seed)
    plain, twin = PlainInstance(program, HOME), PlainInstance(program, HOME)
    compiled = CompiledInstance(program, HOME, seed=random.randbytes(32))
    methods = [method.signature for method in program.tree.methods if method.signature.kind != "helper"]
    for number in range(batches):
        signature = random.choice(methods)
        rows = random.choice([1, 3, 64, 65, 130])
        calls = [random_call(random, program, signature) for _ in range(rows)]
        limit = random.choice([50_000, 2000, 100])
        budget = random.choice([None, None, 40 * rows])
        callers = [call.caller for call in calls] if random.random() < 0.7 else [ALICE]
        block = BlockContext(number, 1000 + number)
        columns = [
            column(kind, [call.arguments[place] for call in calls])
            for place, (_, kind) in enumerate(signature.parameters)
        ]
        if not columns and len(callers) == 1:
            rows, calls = 1, calls[:1]
        batch = compiled.run_columns(signature.name, b"".join(callers), columns, block, limit, budget)
        left = 2**63 if budget is None else budget
        results = results_of(signature, batch, rows)
        events = []
        for row, call in enumerate(calls):
            caller = callers[row] if len(callers) > 1 else callers[0]
            if left == 0:
                outcome = Outcome(Code.OUT_OF_GAS, 0, 0, 0, None, ())
            else:
                [outcome] = plain.run(signature.name, [Call(caller, call.arguments, min(limit, left))], block)
            left -= outcome.gas
            word = outcome.code | outcome.detail << 8 | outcome.line << 16
            assert (batch.outcomes[row], batch.gas[row], results[row]) == (word, outcome.gas, outcome.result)
            events += [(row, event) for event in outcome.events]
        assert events_of(program, batch.events) == events
        twin_batch = plain_columns.run_columns(
            twin, signature.name, b"".join(callers), columns, block, gas_limit=limit, budget=budget
        )
        assert twin_batch == batch
        if random.random() < 0.3:
            delta = compiled.collect_delta() if random.random() < 0.5 else None
            rows_ = list(compiled._parse(delta)) if delta is not None else compiled.collect()
            assert rows_ == plain.collect()
    same_state(plain, compiled)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_batches_of_examples(path):
    program = compile_source(path.read_text())
    for seed in range(max(4, LONG // 50)):
        compare_batches(program, seed)


def test_random_programs_whose_helpers_are_called(monkeypatch):
    """Without writing helpers in place: large records and results then pass between functions."""
    monkeypatch.setattr(emit_methods, "_INLINE_NODES_MAX", 0)
    for seed in range(PROGRAMS // 2):
        compare(compile_source(Generator(seed + 2 * 10**6).source()), seed, 30)


@pytest.mark.parametrize("name", ["aliasing", "smallbank", "token", "payments"])
def test_where_all_keys_collide(monkeypatch, name):
    """With a secret of zeros, keys of an odd number of words all have one hash: only the keys themselves tell rows apart."""
    monkeypatch.setattr(stored, "_spread", lambda _: bytes(32))
    program = compile_source(next(path for path in EXAMPLES if path.stem == name).read_text())
    for seed in range(2):
        compare_batches(program, seed)
        compare(program, seed)


def test_batches_of_random_programs():
    for seed in range(PROGRAMS // 3):
        compare_batches(compile_source(Generator(seed + 10**6, remote=False).source()), seed)
