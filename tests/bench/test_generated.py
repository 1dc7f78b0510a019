"""Generated contracts: the same for everybody who has the number, always good ones, and alike on both engines."""

from __future__ import annotations

import itertools
from collections import Counter
from hashlib import sha256

import numpy as np
import pytest

from changan.bench.generated import FILL, generated_source
from changan.bench.workloads import Shape, workload
from changan.contract.check import check
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.instance import BlockContext, Call, Code
from changan.contract.plain import PlainInstance
from changan.contract.program import compile_source
from changan.ledger.bundle import Bundle

SEEDS = [*range(1, 40), 20261127]
BLOCK = BlockContext(1, 1_700_000_000)
CALLER = b"c" * 20
GAS = 1_000_000
DIGEST = "7902105de54f9f08b66978ae9c94ae3c2bc33ffdd18e0cd38144c7fcbdda4445"
SHAPE = Shape(50, [CALLER], 64, 0.5)


def test_a_number_has_one_contract():
    assert sha256(generated_source(20261127).encode()).hexdigest() == DIGEST
    assert len({generated_source(seed) for seed in range(200)}) == 200


@pytest.mark.parametrize("seed", SEEDS)
def test_a_contract_passes_the_checker_and_runs_alike_on_both_engines(seed):
    load = workload(f"generated:{seed}")
    assert check(load.source) == []
    program = compile_source(load.source)
    plain, compiled = PlainInstance(program, b"h" * 20), CompiledInstance(program, b"h" * 20, seed=b"s" * 32)
    ended = Counter()
    doors = len(program.doors) - 1
    for part in [*load.prepare(np, SHAPE), *itertools.islice(load.parts(np, SHAPE, 0), 4 * doors)]:
        bundle, signature = Bundle(part.rows, 0, part.columns), load.signature(part.method)
        calls = [Call(CALLER, bundle.arguments(signature, row), GAS) for row in range(part.rows)]
        found = plain.run(part.method, calls, BLOCK)
        assert found == compiled.run(part.method, calls, BLOCK)
        assert plain.collect() == compiled.collect()
        if part.method == FILL:
            assert {outcome.code for outcome in found} == {Code.OK}
        else:
            ended.update(outcome.code for outcome in found)
    assert set(ended) <= {Code.OK, Code.DECLINED}
    assert 0 < ended[Code.DECLINED] < sum(ended.values()) / 8
    assert dict(plain.rows()) == dict(compiled.rows())
