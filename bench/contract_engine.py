"""Measure the two back ends of contracts on the same calls: batches at 10 thousand and a million accounts, and single calls.

`python bench/contract_engine.py [--json FILE] [--accounts 10000 1000000] [--blocks N]`. All times are CPU of one thread, beside
whatever else the machine does: median, least and most of N blocks of calls between accounts drawn uniformly.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from changan.bench.figures import table_rows
from changan.cli.bench import write_json
from changan.contract.codec import pack
from changan.contract.compiled.columns import ColumnData
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.instance import BlockContext, Call, Row
from changan.contract.plain import PlainInstance
from changan.contract.program import Program, compile_source
from changan.contract.types import ADDRESS, U64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from changan.contract.instance import Value

BATCH_ROWS = 98_304
PLAIN_ROWS = 20_000
SINGLE_CALLS = 2_000
GAS = 100_000
BLOCK = BlockContext(1, 1_700_000_000)
HOME = b"h" * 20
GATEWAY = b"g" * 20
EXAMPLES = Path(__file__).parents[1] / "src" / "changan" / "examples"


class Work(NamedTuple):
    """What is called: arguments as columns of values, the callers, and the state before."""

    name: str
    program: Program
    method: str
    rows: Callable[[list[bytes]], Iterator[Row]]
    arguments: Callable[[Random, list[bytes], int], list[list[Value]]]
    own_callers: bool


def _program(name: str) -> Program:
    return compile_source((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))


def _token_rows(accounts: list[bytes]) -> Iterator[Row]:
    for account in accounts:
        yield Row(f"balances.{account.hex()}", pack(U64, 10**9))


def _payment_rows(accounts: list[bytes]) -> Iterator[Row]:
    for account in accounts:
        yield Row(f"accounts.{account.hex()}", pack(ADDRESS, GATEWAY) + pack(U64, 10**9))


def _pairs(random: Random, accounts: list[bytes], count: int) -> list[list[Value]]:
    return [list(random.choices(accounts, k=count)), [random.randrange(1, 10) for _ in range(count)]]


def _payments(random: Random, accounts: list[bytes], count: int) -> list[list[Value]]:
    to, amounts = _pairs(random, accounts, count)
    return [list(random.choices(accounts, k=count)), to, amounts, [random.getrandbits(64) for _ in range(count)]]


def _evidence(random: Random, _: list[bytes], count: int) -> list[list[Value]]:
    return [[random.randbytes(32) for _ in range(count)], ["n" * 100] * count]


def _nothing(_: list[bytes]) -> Iterator[Row]:
    return iter(())


WORKS = [
    Work("token/transfer", _program("token"), "transfer", _token_rows, _pairs, own_callers=True),
    Work("payments/pay", _program("payments"), "pay", _payment_rows, _payments, own_callers=False),
    Work("evidence/put", _program("evidence"), "put", _nothing, _evidence, own_callers=False),
]


def _callers(work: Work, random: Random, accounts: list[bytes], count: int) -> list[bytes]:
    return list(random.choices(accounts, k=count)) if work.own_callers else [GATEWAY]


def _column(values: list[Value]) -> ColumnData:
    first = values[0]
    if isinstance(first, int):
        return ColumnData(b"".join(value.to_bytes(8, "little") for value in values if isinstance(value, int)))
    data = [value.encode() if isinstance(value, str) else value for value in values]
    joined = b"".join(item for item in data if isinstance(item, bytes))
    if isinstance(first, bytes):
        return ColumnData(joined)
    ends, at = bytearray(), 0
    for item in data:
        at += len(item) if isinstance(item, bytes) else 0
        ends += at.to_bytes(4, "little")
    return ColumnData(joined, bytes(ends))


def plain_batches(work: Work, instance: PlainInstance, accounts: list[bytes], blocks: int) -> dict[str, list[float]]:
    """Return nanoseconds a call, and a call's share of collecting the changes."""
    random = Random(1)
    times: dict[str, list[float]] = {"run": [], "delta": []}
    for _ in range(blocks):
        columns = work.arguments(random, accounts, PLAIN_ROWS)
        callers = _callers(work, random, accounts, PLAIN_ROWS)
        calls = [
            Call(callers[row % len(callers)], values, GAS) for row, values in enumerate(zip(*columns, strict=True))
        ]
        started = time.thread_time()
        outcomes = instance.run(work.method, calls, BLOCK)
        times["run"].append((time.thread_time() - started) / PLAIN_ROWS * 1e9)
        assert not any(outcome.code for outcome in outcomes)
        started = time.thread_time()
        instance.collect()
        times["delta"].append((time.thread_time() - started) / PLAIN_ROWS * 1e9)
    return times


def compiled_batches(
    work: Work, instance: CompiledInstance, accounts: list[bytes], blocks: int
) -> dict[str, list[float]]:
    """Return the same of the compiled back end; `run` takes columns in and gives outcomes, gas and events."""
    random = Random(2)
    times: dict[str, list[float]] = {"run": [], "delta": []}
    for _ in range(blocks):
        columns = [_column(values) for values in work.arguments(random, accounts, BATCH_ROWS)]
        callers = b"".join(_callers(work, random, accounts, BATCH_ROWS))
        started = time.thread_time()
        batch = instance.run_columns(work.method, callers, columns, BLOCK, GAS)
        times["run"].append((time.thread_time() - started) / BATCH_ROWS * 1e9)
        assert not any(batch.outcomes)
        started = time.thread_time()
        instance.collect_delta()
        times["delta"].append((time.thread_time() - started) / BATCH_ROWS * 1e9)
    return times


def single_calls(
    work: Work, instance: PlainInstance | CompiledInstance, accounts: list[bytes], blocks: int
) -> list[float]:
    """Return nanoseconds a call from Python values to an outcome, each call entered by itself."""
    random = Random(3)
    times = []
    for _ in range(blocks):
        columns = work.arguments(random, accounts, SINGLE_CALLS)
        callers = _callers(work, random, accounts, SINGLE_CALLS)
        calls = [
            [Call(callers[row % len(callers)], values, GAS)] for row, values in enumerate(zip(*columns, strict=True))
        ]
        started = time.thread_time()
        for call in calls:
            instance.run(work.method, call, BLOCK)
        times.append((time.thread_time() - started) / SINGLE_CALLS * 1e9)
    instance.collect()
    return times


def _row(work: str, peer: str, unit: str, values: list[float], note: str) -> dict[str, Any]:
    (row,) = table_rows(work, peer, {"time": unit}, [{"time": value} for value in values], note)
    print(f"{work:16} {note:24} {peer:18} {row['median']:>10.1f} {unit}  (min {row['min']:.1f}, max {row['max']:.1f})")
    return row


def measure(work: Work, count: int, blocks: int) -> list[dict[str, Any]]:
    """Measure one work at one number of accounts, on both back ends."""
    random = Random(count)
    accounts = [random.randbytes(20) for _ in range(count)]
    note = f"{count:,} accounts" if work.rows is not _nothing else "new rows"
    found = []
    for peer, instance in (
        ("plain", PlainInstance(work.program, HOME)),
        ("compiled", CompiledInstance(work.program, HOME, seed=random.randbytes(32))),
    ):
        rows = list(work.rows(accounts))
        started = time.thread_time()
        instance.restore(rows)
        restored = (time.thread_time() - started) / max(1, len(rows)) * 1e9
        del rows
        if restored and work.rows is not _nothing:
            found.append(_row(work.name, f"{peer} restore", "CPU ns/row", [restored], note))
        if isinstance(instance, PlainInstance):
            times = plain_batches(work, instance, accounts, blocks)
        else:
            times = compiled_batches(work, instance, accounts, blocks)
        for name, values in times.items():
            found.append(_row(work.name, f"{peer} {name}", "CPU ns/call", values, note))
        single = single_calls(work, instance, accounts, blocks)
        found.append(_row(work.name, f"{peer} one call", "CPU ns/call", single, note))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--blocks", type=int, default=9)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for work in WORKS:
        for count in options.accounts if work.rows is not _nothing else [1]:
            rows += measure(work, count, options.blocks)
    if options.json is not None:
        write_json(options.json, "python bench/contract_engine.py", rows)


if __name__ == "__main__":
    main()
