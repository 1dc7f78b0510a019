"""Endurance: what a node's anonymous memory does over a million calls, what a new row costs, and how long a start then takes.

`python bench/soak.py [--transactions 1000000] [--rows 200000] [--json FILE]`. The chain remembers transaction ids for 60 s
(`tx_timeout_s`). A process of its own sends individually signed transfers between a thousand accounts, so the state stays as
it is; RssAnon is read as it goes. Then it stores new rows; then the node is stopped and started, and killed and started.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from changan.bench.single import Node, start_node, stop_node
from changan.cli.bench import show, write_json
from changan.client.connect import connect
from changan.node.settings import ChainSettings, Settings, settings_text

TX_TIMEOUT_S = 60
FULL_AFTER_S = TX_TIMEOUT_S * 1.5
"""When the window of remembered ids is surely full and everything that is made once has been made."""
CONTRACTS = {"transfer": "token", "put": "evidence"}
START_S_MAX = 10.0
REPLAYED_SHARE = 10.2
"""Calls after the clean start and before the kill are this part of the rows, or of 100,000 where there are fewer: just short of
what makes the next checkpoint due, so that all of them are replayed."""
GROWTH_SHARE_MAX = 0.05
"""What memory may differ between the first and the last quarter: beyond it there is a leak."""


class Sample(NamedTuple):
    """How far the load was, and what the node held then."""

    seconds: float
    done: int
    anonymous_mib: float


def load(node: Node, work: str, count: int, first: int = 0, rate: int = 0) -> list[Sample]:
    """Send calls from a process of its own, and sample as it goes."""
    worker = subprocess.Popen(
        [
            sys.executable,
            str(Path(__file__).with_name("soak_worker.py")),
            node.rpc,
            str(node.home),
            CONTRACTS[work],
            work,
            str(count),
            str(first),
            str(rate),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    started = time.monotonic()
    samples = [Sample(0.0, 0, node.anonymous_mib())]
    for line in worker.stdout:
        samples.append(Sample(time.monotonic() - started, int(line), node.anonymous_mib()))
        if len(samples) % 50 == 0:
            last = samples[-1]
            print(f"{work}: {last.done} in {last.seconds:.0f} s, RssAnon {last.anonymous_mib:.1f} MiB", flush=True)
    if worker.wait(60) or samples[-1].done != count:
        raise SystemExit(f"the load ended at {samples[-1].done} of {count}")
    return samples


def ids_at(samples: list[Sample], at: Sample) -> int:
    """Return how many ids the node remembers then: those of the last TX_TIMEOUT_S."""
    before = [sample.done for sample in samples if sample.seconds <= at.seconds - TX_TIMEOUT_S]
    return at.done - (before[-1] if before else 0)


def bytes_an_id(count: int = 300_000) -> float:
    """Return what one remembered id costs, measured in a fresh process that remembers nothing else."""
    program = (
        "import re, sys\n"
        "from changan.crypto.digest import sha256\n"
        "from changan.ledger.remembered import RememberedIds\n"
        "def held():\n"
        "    return int(re.findall(r'RssAnon:\\s+(\\d+) kB', open('/proc/self/status').read())[0]) * 1024\n"
        "ids, before = RememberedIds(sha256), held()\n"
        f"for n in range({count}): ids.add(f'{{n:064x}}', 1_000_000 + n // 2500)\n"
        f"print((held() - before) / {count})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return float(done.stdout)


def start_again(directory: Path, rows: int) -> tuple[Node, float, float]:
    """Start the node of a home again; return it and the seconds, of the clock and of CPU, until its doors answered.

    Its rows must be there.
    """
    started = time.monotonic()
    node = start_node(directory)
    seconds, cpu = time.monotonic() - started, node.cpu()
    with connect(node.rpc, home=node.home) as client:
        found = int(client.query("evidence", "total").text)
    if found != rows:
        raise SystemExit(f"the node came back with {found} rows, not {rows}")
    return node, seconds, cpu


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument(
        "--rate", type=int, default=2500, help="transfers a second: the window then holds as many ids always"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    assert options.transactions <= 1_000_000, "the demo token has a supply of a million"
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        home = directory / "home"
        home.mkdir()
        settings = Settings(chains=(ChainSettings(tx_timeout_s=TX_TIMEOUT_S),))
        (home / "changan.toml").write_text(settings_text(settings), encoding="utf-8")
        node = start_node(directory)
        try:
            rows, well = run(node, directory, options)
        finally:
            for child in _STARTED:
                if child.process.poll() is None:
                    child.process.kill()
            if node.process.poll() is None:
                node.process.kill()
    show(rows)
    if options.json is not None:
        arguments = f"--transactions {options.transactions} --rows {options.rows} --rate {options.rate}"
        write_json(options.json, f"python bench/soak.py {arguments}", rows)
    sys.exit(0 if well else 1)


_STARTED: list[Node] = []


def run(node: Node, directory: Path, options: argparse.Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Return the rows of the table, and whether all that must hold held."""
    transactions, new_rows = options.transactions, options.rows
    constant = load(node, "transfer", transactions, rate=options.rate)
    rows, flat = _constant_state(constant)
    before = statistics.median(sample.anonymous_mib for sample in constant[-10:])
    stored = load(node, "put", new_rows)
    time.sleep(5)  # a checkpoint that was being written ends
    after = node.anonymous_mib()
    spent = (after - before) * 1024 * 1024
    rows.append(_row("evidence, new rows", "bytes a row", [spent / new_rows], f"{new_rows} rows, {after:.0f} MiB then"))
    rate = new_rows / stored[-1].seconds
    rows.append(_row("evidence, new rows", "calls/s", [rate], "one process of packed calls"))
    stop_node(node)
    node, clean, clean_cpu = start_again(directory, new_rows)
    _STARTED.append(node)
    replayed = int(max(new_rows, 100_000) / REPLAYED_SHARE)
    load(node, "put", replayed, new_rows)
    node.process.send_signal(signal.SIGKILL)
    node.process.wait(30)
    node, killed, killed_cpu = start_again(directory, new_rows + replayed)
    _STARTED.append(node)
    stop_node(node)
    total = transactions + new_rows
    note = f"{total} transactions, {new_rows} rows"
    rows.append(_row("start after a clean stop", "s", [clean], note))
    rows.append(_row("start after a clean stop", "CPU-s", [clean_cpu], note))
    note = f"and {replayed} transactions replayed at most"
    rows.append(_row("start after kill -9", "s", [killed], note))
    rows.append(_row("start after kill -9", "CPU-s", [killed_cpu], note))
    return rows, flat and max(clean, killed) < START_S_MAX


def _constant_state(samples: list[Sample]) -> tuple[list[dict[str, Any]], bool]:
    full = [sample for sample in samples if sample.seconds >= FULL_AFTER_S]
    an_id = bytes_an_id()
    rows = [
        _row(
            "transfers, constant state",
            "calls/s",
            [samples[-1].done / samples[-1].seconds],
            f"{samples[-1].done} calls",
        ),
        _row("a remembered id", "bytes", [an_id], "in a process that does nothing else"),
    ]
    if len(full) < 8:
        print("too short to say whether memory is flat: the window of remembered ids was hardly full")
        return rows, True
    quarter = len(full) // 4
    middle = []
    for label, part in (("first quarter", full[:quarter]), ("last quarter", full[-quarter:])):
        ids = statistics.median(ids_at(samples, sample) for sample in part)
        held = [sample.anonymous_mib for sample in part]
        middle.append(statistics.median(held))
        note = f"{part[0].done} to {part[-1].done} calls, {ids:.0f} ids remembered"
        rows.append(_row(f"RssAnon, {label}", "MiB", held, note))
    calls = (full[-1].done - full[0].done) * 3 / 4  # from the middle of the one quarter to that of the other
    growth = (middle[1] - middle[0]) * 1024 * 1024 / calls
    rows.append(_row("RssAnon, growth", "bytes/call", [growth], f"over {calls:.0f} calls"))
    return rows, middle[1] <= middle[0] * (1 + GROWTH_SHARE_MAX)


def _row(work: str, unit: str, values: list[float], note: str) -> dict[str, Any]:
    return {
        "work": work,
        "peer": "changan",
        "unit": unit,
        "median": round(statistics.median(values), 2),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
        "n": len(values),
        "note": note,
    }


if __name__ == "__main__":
    main()
