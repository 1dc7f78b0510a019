"""How the bundle lane scales: with the size of a bundle, the number of accounts, their skew, and the size of the contract.

`python bench/scaling.py [--seconds 3] [--json FILE] [--svg FILE]`. Each point is a node of its own that takes signed, durable
payments through its door (`changan bench ledger`); the last curve is the engine alone, whose contract gets methods that nobody
calls. The picture needs matplotlib: `pip install matplotlib`.
"""

from __future__ import annotations

import argparse
import time
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from changan.bench.figures import table_rows
from changan.bench.ledger import Load, run
from changan.bench.workloads import workload
from changan.cli.bench import show, write_json
from changan.contract.codec import pack
from changan.contract.compiled.columns import ColumnData
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.compiled.stored import module_of
from changan.contract.instance import BlockContext, Row
from changan.contract.program import Program, compile_source
from changan.contract.types import ADDRESS, U64

BUNDLES = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)
ACCOUNTS = (10_000, 100_000, 1_000_000, 10_000_000)
SKEWS = (0.0, 0.4, 0.8, 1.0, 1.2)
METHODS = (0, 10, 100, 230)  # the last fills a source file
FEW_ACCOUNTS = 10_000
BATCH = 65_536
HOLDER = b"h" * 20
METHOD = '''
    @call
    def spare{number}(self, account: Address, amount: U64) -> U64:
        """Return what nobody asks for."""
        found = self.accounts[account]
        require(found.balance >= amount, "the balance is short")
        return (found.balance - amount) // 3 + {number}
'''


class Curve(NamedTuple):
    """One question: the values asked for, and what came of each, by unit."""

    name: str
    values: list[float]
    rates: list[float]
    mib: list[float]


def of_bundles(name: str, option: str, values: tuple[float, ...], seconds: float) -> tuple[Curve, list[dict[str, Any]]]:
    """Measure the node once for each value of one option of the load."""
    usual = Load(
        suite="intl",
        contract="payments",
        lane="bundle",
        seconds=seconds,
        accounts=FEW_ACCOUNTS,
        signers=64,
        rows=4096,
        zipf=0.0,
        inflight=16,
        rate=0.0,
    )
    curve, table = Curve(name, list(values), [], []), []
    for value in values:
        changed: dict[str, Any] = {option: value}
        load = usual._replace(**changed)
        if load.rows < usual.rows:
            load = load._replace(inflight=64)
        rows = run(load, peers=False, verify=False).rows
        for row in rows:
            row["work"] = f"{name} {value:g}"
        by_unit = {row["unit"]: row["median"] for row in rows}
        curve.rates.append(by_unit["calls/s"])
        curve.mib.append(by_unit["node MiB"])
        show([row for row in rows if row["unit"] in {"calls/s", "node CPU-ns/call", "p99 ms", "node MiB"}])
        table += rows
    return curve, table


def of_contracts(seconds: float) -> tuple[Curve, list[dict[str, Any]]]:
    """Measure the engine alone with a contract that has ever more methods beside the one that is called."""
    source = workload("payments").source
    curve, table = Curve("methods nobody calls", list(METHODS), [], []), []
    for count in METHODS:
        program = compile_source(source + "".join(METHOD.format(number=number) for number in range(count)))
        started = time.thread_time()
        module_of(program)
        compiled = time.thread_time() - started
        found = [{"ns": each} for each in _engine(program, seconds)]
        rows = table_rows(f"methods nobody calls {count}", "engine", {"ns": "CPU-ns/call"}, found, "payments/pay")
        rows += table_rows(
            f"methods nobody calls {count}", "engine", {"s": "CPU-s to compile"}, [{"s": compiled}], "once a process"
        )
        curve.rates.append(1e9 / rows[0]["median"])
        show(rows)
        table += rows
    return curve, table


def _engine(program: Program, seconds: float) -> list[float]:
    """Return nanoseconds of a call in batches, as many as fit in the time."""
    random = Random(1)
    accounts = [random.randbytes(20) for _ in range(FEW_ACCOUNTS)]
    instance = CompiledInstance(program, b"p" * 20)
    held = pack(ADDRESS, HOLDER) + pack(U64, 10**12)
    instance.restore(Row(f"accounts.{account.hex()}", held) for account in accounts)
    columns = [ColumnData(b"".join(random.choices(accounts, k=BATCH))) for _ in range(2)]
    columns += [ColumnData((1).to_bytes(8, "little") * BATCH) for _ in range(2)]
    times: list[float] = []
    while sum(times) * BATCH / 1e9 < seconds:
        started = time.thread_time()
        batch = instance.run_columns("pay", HOLDER, columns, BlockContext(1, 1_700_000_000), 100_000)
        times.append((time.thread_time() - started) / BATCH * 1e9)
        assert not any(batch.outcomes)
        instance.collect_delta()
    return times


def draw(curves: list[Curve], file: Path) -> None:
    """Draw calls a second over each value, one picture a curve, all in one file."""
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("svg")
    pyplot: Any = import_module("matplotlib.pyplot")
    figure, places = pyplot.subplots(1, len(curves), figsize=(3.2 * len(curves), 2.8), layout="constrained")
    for curve, place in zip(curves, places, strict=True):
        if max(curve.values) > 100:  # several orders of magnitude
            place.set_xscale("symlog" if 0 in curve.values else "log")
        place.plot(curve.values, curve.rates, marker="o")
        place.set_xlabel(curve.name)
        place.set_ylim(bottom=0)
        place.yaxis.set_major_formatter(matplotlib.ticker.EngFormatter())
        place.grid(alpha=0.3)
    places[0].set_ylabel("calls a second")
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Measure every curve, print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="each point")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    measured = [
        of_bundles("calls a bundle", "rows", BUNDLES, options.seconds),
        of_bundles("accounts", "accounts", ACCOUNTS, options.seconds),
        of_bundles("skew (Zipf)", "zipf", SKEWS, options.seconds),
        of_contracts(options.seconds),
    ]
    table = [row for _, rows in measured for row in rows]
    if options.json is not None:
        write_json(options.json, f"python bench/scaling.py --seconds {options.seconds:g}", table)
    if options.svg is not None:
        draw([curve for curve, _ in measured], options.svg)


if __name__ == "__main__":
    main()
