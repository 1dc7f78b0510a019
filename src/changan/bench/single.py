"""`changan bench single`: single signed calls through the official SDK and through our client, and what they cost the node."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from changan.bench.figures import table_rows
from changan.errors import ChanganError

PROCESSES = (1, 2, 4)
UNITS = {
    "rate": "calls/s",
    "node_cpu_ms": "node CPU-ms/call",
    "client_cpu_ms": "client CPU-ms/call",
    **{f"p{p}": f"p{p} ms" for p in (50, 95, 99)},
}
STOP_S = 300.0
"""A last checkpoint of ten million rows takes a minute."""
_READY = re.compile(r"^ready rpc=(\S+) http=(\S+) home=(.+)$", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(ChanganError):
    """A measurement that could not be made."""


class Node(NamedTuple):
    """A node in a process of its own."""

    process: subprocess.Popen[bytes]
    home: Path
    rpc: str

    def cpu(self) -> float:
        """Return the CPU seconds that the node has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def anonymous_mib(self) -> float:
        """Return the node's anonymous memory (RssAnon), MiB."""
        return anonymous_mib(self.process.pid)


def anonymous_mib(pid: int) -> float:
    """Return a process's anonymous memory (RssAnon), MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]) / 1024


def start_node(directory: Path, *options: str) -> Node:
    """Start a node in a new home below `directory`. Raises BenchError."""
    home = directory / "home"
    log = directory / "node.out"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [
                sys.executable,
                "-m",
                "changan.cli.main",
                "up",
                "--home",
                str(home),
                "--rpc-port",
                "0",
                "--http-port",
                "0",
                *options,
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    for _ in range(600):
        found = _READY.search(log.read_text(encoding="utf-8"))
        if found:
            return Node(process, home, found[1])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise BenchError(f"the node did not start: {log.read_text(encoding='utf-8')[-500:]}")


def stop_node(node: Node) -> None:
    """Stop a node cleanly."""
    node.process.send_signal(signal.SIGTERM)
    node.process.wait(STOP_S)


def measure(node: Node, commands: list[list[str]]) -> dict[str, Any]:
    """Run workers together; return calls a second, the node's CPU-ms a call, and latencies in ms."""
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603  # our own programs
        for command in commands
    ]
    for worker in workers:
        assert worker.stdout is not None
        line = worker.stdout.readline()
        if line.strip() != "go":
            raise BenchError(f"a worker did not start: {' '.join(worker.args)}")  # type: ignore[arg-type]  # a list of texts
    cpu = node.cpu()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    results = [json.loads(worker.communicate(timeout=600)[0].splitlines()[-1]) for worker in workers]
    spent = node.cpu() - cpu
    calls = sum(result["calls"] for result in results)
    latencies = sorted(latency * 1000 for result in results for latency in result["latencies"])
    return {
        "rate": calls / max(result["seconds"] for result in results),
        "node_cpu_ms": spent * 1000 / calls,
        "client_cpu_ms": sum(result["cpu"] for result in results) * 1000 / calls,
        "calls": calls,
        **{f"p{p}": latencies[min(len(latencies) - 1, len(latencies) * p // 100)] for p in (50, 95, 99)},
    }


def commands(node: Node, kind: str, mode: str, count: int, seconds: float) -> list[list[str]]:
    """Return the workers' command lines."""
    here = Path(__file__).parent
    found = []
    for number in range(count):
        to = f"{number + 1:02x}" * 20
        if kind == "sdk":
            config = str(node.home / "sdk_config.yml")
            found.append([sys.executable, str(here / "sdk_worker.py"), config, mode, str(seconds), to])
        else:
            worker = [sys.executable, "-m", "changan.bench.own_worker", node.rpc, str(node.home)]
            found.append([*worker, mode, str(seconds), to, "token"])
    return found


def run(seconds: float, rounds: int = 3) -> list[dict[str, Any]]:
    """Measure everything and return the rows of the table."""
    loads = [("changan client", "own", mode) for mode in ("sync", "packed")]
    if importlib.util.find_spec("chainmaker") is not None:
        loads = [("official SDK", "sdk", mode) for mode in ("sync", "async")] + loads
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        node = start_node(Path(name))
        try:
            for label, kind, mode in loads:
                for count in PROCESSES:
                    found = [measure(node, commands(node, kind, mode, count, seconds)) for _ in range(rounds)]
                    rows += _rows(f"{label}, {mode}, {count} proc.", found)
        finally:
            stop_node(node)
    return rows


def _rows(work: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return table_rows(work, "changan", UNITS, found, f"{sum(item['calls'] for item in found)} calls")
