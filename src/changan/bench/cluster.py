"""`changan bench cluster`: four organisations on this machine, loopback; calls a second, latencies, and what they cost a node."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from changan.bench.figures import table_rows
from changan.bench.single import BenchError
from changan.client.connect import connect
from changan.crypto.addresses import user_address
from changan.crypto.digest import digest_named
from changan.ledger.wire.messages import ChainConfig

ORGANISATIONS = 4
CONTRACT = "bench"
"""The contract that is called."""
PROBES = 60
PROBE_PAUSE_S = 0.15
_READY = re.compile(r"^ready rpc=(\S+) http=(\S+) home=(.+)$", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")


class Cluster(NamedTuple):
    """A cluster in processes of its own."""

    process: subprocess.Popen[bytes]
    home: Path
    rpc: list[str]

    @property
    def homes(self) -> list[Path]:
        """The homes of the nodes."""
        return [self.home / f"wx-org{n}.chainmaker.org" for n in range(1, ORGANISATIONS + 1)]

    def pids(self) -> tuple[list[int], list[int]]:
        """Return the process ids of the nodes and of their engines."""
        nodes = [int((home / "LOCK").read_text(encoding="ascii")) for home in self.homes]
        engines = [int((home / "engine/chain1/engine.pid").read_text(encoding="ascii")) for home in self.homes]
        return nodes, engines

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds that nodes and engines have used."""
        nodes, engines = self.pids()
        return {"node": sum(map(_cpu, nodes)), "engine": sum(map(_cpu, engines))}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def start_cluster(directory: Path, engine_blocks: int = 0) -> Cluster:
    """Start a new cluster below `directory`, whose engines keep so many blocks (0: all). Raises BenchError."""
    home, log = directory / "cluster", directory / "cluster.out"
    program = [sys.executable, "-m", "changan.cli.main", "cluster"]
    ports = [text for kind in ("rpc", "http", "p2p") for text in (f"--{kind}-port", "0")]
    made = subprocess.run([*program, "init", "--home", str(home), *ports], capture_output=True, text=True, check=False)  # noqa: S603  # our own program
    if made.returncode:
        raise BenchError(f"the cluster was not made: {made.stderr[-500:]}")
    for settings in home.glob("*/changan.toml"):
        text = settings.read_text(encoding="utf-8")
        text = text.replace('engine = "plain"', 'engine = "compiled"')
        text = text.replace("engine_blocks = 0", f"engine_blocks = {engine_blocks}")
        settings.write_text(text, encoding="utf-8")
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [*program, "up", "--home", str(home), "--log-level", "warning"], stdout=out, stderr=subprocess.STDOUT
        )
    for _ in range(1200):
        found = _READY.search(log.read_text(encoding="utf-8"))
        if found:
            return Cluster(process, home, found[1].split(","))
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise BenchError(f"the cluster did not start: {log.read_text(encoding='utf-8')[-500:]}")


def stop_cluster(cluster: Cluster) -> None:
    """Stop a cluster cleanly."""
    cluster.process.send_signal(signal.SIGTERM)
    cluster.process.wait(60)


def measure(cluster: Cluster, mode: str, workers: int, seconds: float) -> dict[str, float]:
    """Run workers together, spread over the nodes; return calls a second, CPU-µs a call per node, latencies in ms."""
    running = [
        subprocess.Popen(  # noqa: S603  # our own program
            [
                *(sys.executable, "-m", "changan.bench.own_worker", cluster.rpc[n % ORGANISATIONS]),
                *(str(cluster.homes[n % ORGANISATIONS]), mode, str(seconds), f"{n + 1:02x}" * 20, CONTRACT),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(workers)
    ]
    for worker in running:
        assert worker.stdout is not None
        assert worker.stderr is not None
        if worker.stdout.readline().strip() != "go":
            raise BenchError(f"a worker did not start: {worker.stderr.read()[-500:]}")
    before = cluster.cpu()
    for worker in running:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    outputs = [worker.communicate(timeout=seconds + 120) for worker in running]
    after = cluster.cpu()
    try:
        results = [json.loads(out.splitlines()[-1]) for out, _ in outputs]
    except (IndexError, ValueError) as error:
        raise BenchError(f"a worker failed: {outputs[0][1][-500:]}") from error
    calls = sum(result["calls"] for result in results)
    latencies = [latency * 1000 for result in results for latency in result["latencies"]]
    spent = {name: (after[name] - before[name]) * 1e6 / calls / ORGANISATIONS for name in before}
    return {
        "rate": calls / max(result["seconds"] for result in results),
        "node_cpu_us": spent["node"],
        "engine_cpu_us": spent["engine"],
        "client_cpu_us": sum(result["cpu"] for result in results) * 1e6 / calls,
        **_percentiles(latencies),
    }


def fund(cluster: Cluster) -> None:
    """Install a token and hand every organisation's client more of it than it can spend."""
    source = files("changan.examples").joinpath("token.py").read_bytes()
    with connect(cluster.rpc[0], home=cluster.homes[0]) as first:
        first.deploy(CONTRACT, "1.0", source, {"supply": 1 << 60})
        config = ChainConfig.FromString(first.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result)
        for rpc, home in zip(cluster.rpc, cluster.homes, strict=True):
            with connect(rpc, home=home) as other:
                key = other.signer.key.public
            address = user_address(key, config.vm.addr_type, digest_named(config.crypto.hash))
            first.invoke(CONTRACT, "transfer", {"to": address.hex(), "amount": 1 << 56})


def probe(cluster: Cluster) -> dict[str, float]:
    """Call one by one with pauses: the latency to a durable receipt at light load, ms."""
    found = []
    with connect(cluster.rpc[0], home=cluster.homes[0]) as connection:
        for _ in range(PROBES):
            begun = time.perf_counter()
            connection.invoke(CONTRACT, "transfer", {"to": "77" * 20, "amount": 1})
            found.append((time.perf_counter() - begun) * 1000)
            time.sleep(PROBE_PAUSE_S)
    return _percentiles(found)


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{p}": ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in (50, 95, 99)}


UNITS = {
    "rate": "calls/s",
    "node_cpu_us": "CPU-µs/call a node",
    "engine_cpu_us": "CPU-µs/call an engine",
    "client_cpu_us": "CPU-µs/call, client",
    "p50": "p50 ms",
    "p95": "p95 ms",
    "p99": "p99 ms",
}


def run(seconds: float, rounds: int = 3) -> list[dict[str, Any]]:
    """Measure everything and return the rows of the table."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        cluster = start_cluster(Path(name))
        try:
            fund(cluster)
            rows += _rows("one call at a time, light load", [probe(cluster) for _ in range(rounds)])
            for label, mode, workers in (
                ("signed calls, packed 100", "packed", 4),
                ("signed calls, packed 100", "packed", 8),
                ("signed calls, packed 250", "packed:250", 8),
                ("bundled calls, 4 bundles of 2048 at a time", "bundle", 4),
                ("signed calls, one message each, 100 at a time", "single", 4),
                ("signed calls, one message each, one at a time", "sync", 8),
            ):
                found = [measure(cluster, mode, workers, seconds) for _ in range(rounds)]
                rows += _rows(f"{label}, {workers} clients", found)
        finally:
            stop_cluster(cluster)
        _verify(cluster)
    return rows


def _verify(cluster: Cluster) -> None:
    for home in cluster.homes:
        command = [sys.executable, "-m", "changan.cli.main", "verify", "--home", str(home)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
        if done.returncode:
            raise BenchError(f"{home.name} does not verify: {done.stderr[-300:]}")


def _rows(work: str, found: list[dict[str, float]]) -> list[dict[str, Any]]:
    return table_rows(work, "changan", UNITS, found, "four organisations on one machine")
