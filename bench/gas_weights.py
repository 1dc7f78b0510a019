"""What each step of a contract costs in time, beside what it costs in gas: `python bench/gas_weights.py [--json FILE]`.

A method repeats a step a hundred times; the same method without the step is taken off. Gas is what the engine charged. Times
are CPU of one thread in the compiled engine, in batches, and in the plain one. A weight is fair where nanoseconds a gas are
about the same for all; nobody can then make a node work much longer than another for the same gas.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from changan.bench.figures import table_rows
from changan.cli.bench import write_json
from changan.contract.codec import pack
from changan.contract.compiled.columns import ColumnData
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.instance import BlockContext, Call, Row
from changan.contract.plain import PlainInstance
from changan.contract.program import Program, compile_source
from changan.contract.types import U64

STEPS = 100
ROWS = 512
PLAIN_CALLS = 40
ROUNDS = 5
STORED = 100_000
"""Rows of the map that is read and written: more than the caches hold."""
GAS = 1_000_000
CALLER = b"c" * 20
BLOCK = BlockContext(1, 1_700_000_000)

SOURCE = '''"""One step, many times."""

from changan.contract import U64, U128, Contract, Digest, Event, List, Map, call, emit, init, require, sha256, sm3


class Seen(Event):
    """A step was taken."""

    number: U64


class Steps(Contract):
    """It has one of everything."""

    single: U64
    wide: U128
    stored: Map[U64, U64]
    fresh: Map[U64, U64]
    numbers: List[U64]

    @init
    def create(self) -> None:
        """Begin."""
        self.single = 1
        self.wide = 1
        self.numbers.append(1)

    def _helper(self, a: U64) -> U64:
        """Return what came."""
        return a

    @call
    def go(self, start: U64, data: Digest) -> U64:
        """Take a step again and again."""
        a: U64 = start
        b: U64 = 7
        w: U128 = 12345678901234567890123
        for number in range({steps}):
            {step}
        return a
'''
NOTHING = "a = b"
STEPS_OF = {
    "add": "a = b + number",
    "multiply": "a = b * number",
    "divide": "a = start // b",
    "multiply, 128 bits": "w = U128(b) * U128(number)",
    "divide, 128 bits": "a = U64(w // U128(b + 1)) if b > 9 else U64(w // 123456789012)",
    "compare": "require(b < 9, 'never')",
    "read a field": "a = self.single",
    "write a field": "self.single = number",
    "read a row": "a = self.stored[(start + number * 7919) % {stored}]",
    "write a row": "self.stored[(start + number * 7919) % {stored}] = number",
    "a new row, and it goes again": "self.fresh[number] = b\n            del self.fresh[number]",
    "read an element": "a = self.numbers[0]",
    "call a helper": "a = self._helper(b)",
    "emit": "emit(Seen(number=number))",
    "sha256 of 32 bytes": "require(sha256(data) != data, 'never')",
    "sm3 of 32 bytes": "require(sm3(data) != data, 'never')",
}


class Cost(NamedTuple):
    """What one turn of the loop costs."""

    gas: float
    compiled_ns: float
    plain_ns: float


def main() -> None:
    """Measure every step, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    base = [_cost(NOTHING) for _ in range(ROUNDS)]
    table: list[dict[str, Any]] = []
    print(f"{'step':<30} {'gas':>6} {'compiled ns':>12} {'ns a gas':>9} {'plain ns':>9}")
    for name, step in STEPS_OF.items():
        found = [
            Cost(*(with_it - without for with_it, without in zip(_cost(step), nothing, strict=True)))
            for nothing in base
        ]
        gas, compiled, plain = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:<30} {gas:>6.1f} {compiled:>12.1f} {compiled / gas if gas else 0:>9.2f} {plain:>9.0f}")
        units = {"gas": "gas", "compiled_ns": "compiled CPU-ns", "plain_ns": "plain CPU-ns"}
        table += table_rows(name, "changan", units, [each._asdict() for each in found], f"{STEPS} a call")
    if options.json is not None:
        write_json(options.json, "python bench/gas_weights.py", table)


def _cost(step: str) -> Cost:
    program = compile_source(SOURCE.format(steps=STEPS, step=step.format(stored=STORED)))
    random = Random(1)
    starts = [random.randrange(STORED) for _ in range(ROWS)]
    data = bytes(range(32))
    compiled = CompiledInstance(program, b"p" * 20)
    _fill(compiled, program)
    columns = [ColumnData(b"".join(start.to_bytes(8, "little") for start in starts)), ColumnData(data * ROWS)]
    times, gas = [], []
    for _ in range(ROUNDS):
        began = time.thread_time()
        batch = compiled.run_columns("go", CALLER, columns, BLOCK, GAS)
        times.append(time.thread_time() - began)
        assert not any(batch.outcomes), (step, set(batch.outcomes))
        compiled.collect_delta()
        gas = list(batch.gas)
    plain = PlainInstance(program, b"p" * 20)
    _fill(plain, program)
    calls = [Call(CALLER, (start, data), GAS) for start in starts[:PLAIN_CALLS]]
    began = time.thread_time()
    outcomes = plain.run("go", calls, BLOCK)
    spent = time.thread_time() - began
    assert [outcome.gas for outcome in outcomes] == gas[:PLAIN_CALLS]
    turns = STEPS * ROWS
    return Cost(sum(gas) / turns, min(times) / turns * 1e9, spent / (STEPS * PLAIN_CALLS) * 1e9)


def _fill(instance: CompiledInstance | PlainInstance, program: Program) -> None:
    assert program.init_method is not None
    instance.run(program.init_method, [Call(CALLER, (), GAS)], BLOCK)
    instance.restore(Row(f"stored.{pack(U64, number).hex()}", pack(U64, 5)) for number in range(STORED))
    instance.collect()


if __name__ == "__main__":
    main()
