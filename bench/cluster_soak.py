"""Endurance of four organisations: what memory and disk do while signed calls keep coming at an even rate.

`python bench/cluster_soak.py [--minutes 120] [--rate 1000] [--json FILE]`. A process beside each node sends individually signed
transfers, packed, a quarter of the rate each. Every half minute the anonymous memory and the disk of each node and of each
engine are read. At the end all nodes must be at one block, and the first home is audited.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from changan.bench.cluster import CONTRACT, ORGANISATIONS, Cluster, fund, start_cluster, stop_cluster
from changan.bench.figures import table_rows
from changan.bench.single import anonymous_mib
from changan.cli.bench import show, write_json
from changan.client.connect import connect
from changan.ledger.wire.messages import BlockInfo

SAMPLED_EVERY_S = 30.0
WINDOW_S = 900.0
"""When the window of remembered ids (`tx_timeout`, 600 s) is surely full."""
SAMPLES_MIN = 8
ENGINE_BLOCKS = 1000
GROWTH_SHARE_MAX = 0.10
"""What memory may differ between the first and the last quarter: beyond it there is a leak."""


class Sample(NamedTuple):
    """How far the load was, and what the four held then: medians over them."""

    seconds: float
    done: int
    node_mib: float
    engine_mib: float
    chain_bytes: float
    engine_bytes: float


class Senders:
    """A process of load beside each node, and how far they are together."""

    def __init__(self, cluster: Cluster, rate: int, seconds: float) -> None:
        share = rate // ORGANISATIONS
        program = [sys.executable, str(Path(__file__).with_name("soak_worker.py"))]
        self._running = [
            subprocess.Popen(
                [*program, rpc, str(home), CONTRACT, "transfer", str(int(share * seconds)), "0", str(share)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for rpc, home in zip(cluster.rpc, cluster.homes, strict=True)
        ]
        self._done = [0] * ORGANISATIONS
        self._threads = [threading.Thread(target=self._count, args=(n,)) for n in range(ORGANISATIONS)]
        for thread in self._threads:
            thread.start()

    def _count(self, number: int) -> None:
        stdout = self._running[number].stdout
        assert stdout is not None
        for line in stdout:
            self._done[number] = int(line)

    @property
    def done(self) -> int:
        """Calls that were acknowledged."""
        return sum(self._done)

    @property
    def running(self) -> bool:
        """Whether all still send. Raises SystemExit where one failed."""
        codes = [process.poll() for process in self._running]
        if any(codes):
            raise SystemExit(f"a sender failed after {self.done} calls")
        return None in codes

    def end(self) -> None:
        """End whichever still runs."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
        for thread in self._threads:
            thread.join(10)


def sample(cluster: Cluster, started: float, done: int) -> Sample:
    """Read memory and disk of the four."""
    nodes, engines = cluster.pids()
    homes = [_bytes_below(home) for home in cluster.homes]
    stores = [_bytes_below(home / "engine") for home in cluster.homes]
    return Sample(
        time.monotonic() - started,
        done,
        statistics.median(map(anonymous_mib, nodes)),
        statistics.median(map(anonymous_mib, engines)),
        statistics.median(whole - engine for whole, engine in zip(homes, stores, strict=True)),
        statistics.median(stores),
    )


def _bytes_below(directory: Path) -> int:
    found = 0
    for path in directory.rglob("*"):
        try:
            found += path.lstat().st_blocks * 512  # what it takes, not how long it could be: the index is sparse
        except FileNotFoundError:  # the engine drops files as it goes
            continue
    return found


def one_block(cluster: Cluster) -> int:
    """Wait until all nodes are at one block; return its height. Raises SystemExit where they part."""
    tips: set[tuple[int, bytes]] = set()
    for _ in range(300):
        tips.clear()
        for rpc, home in zip(cluster.rpc, cluster.homes, strict=True):
            with connect(rpc, home=home) as client:
                header = BlockInfo.FromString(client.query("CHAIN_QUERY", "GET_LAST_BLOCK").result).block.header
                tips.add((header.block_height, header.block_hash))
        if len(tips) == 1:
            return int(tips.pop()[0])
        time.sleep(0.2)
    raise SystemExit(f"the nodes are at different blocks: {sorted(tips)}")


def endure(directory: Path, rate: int, seconds: float) -> tuple[list[Sample], int]:
    """Run the load; return the samples and the last height."""
    cluster = start_cluster(directory, engine_blocks=ENGINE_BLOCKS)
    try:
        fund(cluster)
        started, samples = time.monotonic(), []
        senders = Senders(cluster, rate, seconds)
        try:
            with tqdm(total=int(rate * seconds), unit="call", mininterval=SAMPLED_EVERY_S) as bar:
                while senders.running:
                    samples.append(sample(cluster, started, senders.done))
                    bar.update(senders.done - bar.n)
                    time.sleep(SAMPLED_EVERY_S)
        finally:
            senders.end()
        samples.append(sample(cluster, started, senders.done))
        return samples, one_block(cluster)
    finally:
        stop_cluster(cluster)


def judge(samples: list[Sample], height: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the rows of the table, and whether memory stayed."""
    full = [item for item in samples if item.seconds >= WINDOW_S]
    is_long = len(full) >= SAMPLES_MIN
    if not is_long:
        print("too short to say whether memory stays: the window of remembered ids was hardly full")
        full = samples
    quarter = max(1, len(full) // 4)
    first, last = full[:quarter], full[-quarter:]
    calls = full[-1].done - full[0].done
    note = f"{samples[-1].done} calls in {samples[-1].seconds:.0f} s, {height} blocks"
    rows = _rows("all four", {"rate": "calls/s"}, [{"rate": samples[-1].done / samples[-1].seconds}], note)
    flat = True
    for name, key in (("a node", "node_mib"), ("an engine", "engine_mib")):
        held = [[getattr(item, key) for item in part] for part in (first, last)]
        for label, values in zip(("first quarter", "last quarter"), held, strict=True):
            rows += _rows(f"{name}, {label}", {"held": "RssAnon MiB"}, [{"held": value} for value in values], note)
        flat &= statistics.median(held[1]) <= statistics.median(held[0]) * (1 + GROWTH_SHARE_MAX)
    for name, key in (("a node, log and index", "chain_bytes"), ("an engine", "engine_bytes")):
        grown = (getattr(full[-1], key) - getattr(full[0], key)) / max(1, calls)
        rows += _rows(name, {"grown": "disk bytes/call"}, [{"grown": grown}], note)
    return rows, flat or not is_long


def _rows(work: str, units: dict[str, str], found: list[dict[str, float]], note: str) -> list[dict[str, Any]]:
    return table_rows(work, "changan", units, found, note)


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--rate", type=int, default=1000, help="calls a second, at all four together")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        samples, height = endure(directory, options.rate, options.minutes * 60)
        rows, flat = judge(samples, height)
        show(rows)
        if options.json is not None:
            arguments = f"--minutes {options.minutes:g} --rate {options.rate}"
            write_json(options.json, f"python bench/cluster_soak.py {arguments}", rows)
        first = next(directory.glob("cluster/*/LOCK")).parent
        audit = subprocess.run([sys.executable, "-m", "changan.cli.main", "verify", "--home", str(first)], check=False)
    sys.exit(0 if flat and not audit.returncode else 1)


if __name__ == "__main__":
    main()
