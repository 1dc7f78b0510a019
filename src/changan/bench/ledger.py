"""`changan bench ledger`: signed, durable contract calls through the public door, many under one signature or one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from changan.bench.single import BenchError, Node

SETTINGS = """engine = "compiled"
demo = false
rate_limit = 10000000
[[chains]]
id = "chain1"
block_size_mib = 16
"""


def measure(node: Node, load: dict[str, Any]) -> dict[str, Any]:
    """Run one load against a node; return calls a second, CPU of both, and latencies in ms."""
    worker = subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-m", "changan.bench.ledger_worker", json.dumps({"home": str(node.home), **load})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stderr is not None
    if worker.stdout.readline().strip() != "go":
        raise BenchError(f"the load did not start: {worker.stderr.read()[-500:]}")
    before = node.cpu()
    out, err = worker.communicate("\n", timeout=load["seconds"] + 300)
    spent = node.cpu() - before
    if worker.returncode:
        raise BenchError(f"the load failed: {err[-500:]}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    latencies = sorted(1000 * each for each in found.pop("latencies"))
    return {
        **found,
        "rate": found["calls"] / found["seconds"],
        "node_ns": spent * 1e9 / found["calls"],
        "load_ns": found["cpu"] * 1e9 / found["calls"],
        "mib": node.anonymous_mib(),
        **{f"p{p}": latencies[min(len(latencies) - 1, len(latencies) * p // 100)] for p in (50, 95, 99)},
    }
