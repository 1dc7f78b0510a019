"""`changan bench ledger`: signed, durable contract calls through the public door, many under one signature or many a message."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from changan.bench.figures import table_rows
from changan.bench.live import Live
from changan.bench.single import BenchError, Node, start_node, stop_node
from changan.bench.stages import Carried, Counted, merged, stage_rows
from changan.bench.workloads import BALANCE
from changan.crypto.keys import Scheme
from changan.crypto.suite import algorithms, suite_named

SETTINGS = """engine = "{engine}"
suite = "{suite}"
demo = false
rate_limit = 10000000
[[chains]]
id = "chain1"
block_size_mib = 16
distilled = {distilled}
"""
MESSAGES_BYTES_MAX = 2 << 30
ROW_BYTES = {"payments": 56, "evidence": 136, "smallbank": 24, "token": 28}
ROW_BYTES_MAX = 64  # of a generated contract: two numbers, two ids, an amount
RATES_GUESSED = {"bundle": 2_500_000, "distilled": 1_200_000}
"""Calls a second for which messages are made, as far as the memory goes."""
MESSAGES_GUESSED = 3_000  # and messages
KERNELS_WAIT_S = 120.0
SAMPLED_BLOCKS = 20
SQLITE_COMMIT = 5_000


LANES = ("bundle", "distilled", "packed", "single")
"""Many calls under one signature; many calls of as many clients under one signature; signed calls, many or one a message."""


class Load(NamedTuple):
    """What is to be sent; see `changan.bench.ledger_worker`."""

    suite: str
    contract: str
    lane: str
    seconds: float
    accounts: int
    signers: int
    rows: int
    zipf: float
    inflight: int
    rate: float
    engine: str = "compiled"
    curve: str | None = None  # of the clients' keys; None: the suite's own

    @property
    def messages(self) -> int:
        """How many messages are made and signed beforehand: each is sent once."""
        size = (
            ROW_BYTES.get(self.contract, ROW_BYTES_MAX) + 12 if self.lane in RATES_GUESSED else 1200
        ) * self.rows + 1500
        guessed = min(RATES_GUESSED.get(self.lane, 20_000), MESSAGES_GUESSED * self.rows)
        wanted = self.seconds * (self.rate or guessed) / self.rows
        return max(1, min(int(wanted), MESSAGES_BYTES_MAX // size))


class Found(NamedTuple):
    """What was measured: the rows of the table, and where the node's time went, a row a stage."""

    rows: list[dict[str, Any]]
    stages: list[dict[str, Any]]


def settings_of(load: Load) -> str:
    """Return the settings of the node that is loaded."""
    return SETTINGS.format(engine=load.engine, suite=load.suite, distilled=str(load.lane == "distilled").lower())


def run(load: Load, *, peers: bool, verify: bool, rounds: int = 1) -> Found:
    """Measure, verify what the node kept, and return what was found. Raises BenchError."""
    if importlib.util.find_spec("numba") is None or importlib.util.find_spec("numpy") is None:
        raise BenchError("the load needs numpy and the kernels numba: pip install 'changan[speed]'")
    if load.lane == "distilled" and load.signers < load.rows:
        raise BenchError(f"each row has a client of its own: give --signers {load.rows} or more, or fewer --rows")
    if load.lane == "single" and load.rows != 1:
        raise BenchError("a message of the lane single is one call: take --rows 1, or --lane packed")
    if load.curve is not None and load.suite == "gm":
        raise BenchError("keys of the national suite are SM2: leave --curve out, or take --suite intl")
    if load.lane == "distilled" and load.suite == "gm":
        raise BenchError("the national suite has no BLS signatures: take --suite intl")
    found, stages = [], []
    engine = "" if load.engine == "compiled" else f"{load.engine} engine, "
    suite = load.suite if load.curve is None else f"{load.suite} ({load.curve})"
    work = f"{suite}: {engine}{load.contract}, {load.lane} of {load.rows}, {load.accounts} accounts, {load.signers} signers"
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "home").mkdir()
            (directory / "home" / "changan.toml").write_text(settings_of(load), encoding="utf-8")
            node = start_node(directory)
            try:
                _await_kernels(directory / "node.out")
                found.append(_measure(node, load))
            finally:
                stop_node(node)
            stages.append(stage_rows(found[-1]["spent"], _carried(load, found[-1]), node.home))
            if verify:
                found[-1] |= _verified(node.home)
    rows = _rows(work, "changan", found)
    if peers and load.contract == "payments":
        rows += _rows(f"payments, {load.accounts} accounts, a commit each {SQLITE_COMMIT}", "sqlite", [_sqlite(load)])
    return Found(rows, merged(stages))


def _carried(load: Load, found: dict[str, Any]) -> Carried:
    signed = {"bundle": load.rows, "distilled": 0}.get(load.lane, 1)
    scheme = algorithms(suite_named(load.suite)).scheme if load.curve is None else Scheme(load.curve)
    return Carried(load.suite, scheme, found["calls"], found["sent"], signed, load.rows if load.lane == "packed" else 1)


def _await_kernels(log: Path) -> None:
    deadline = time.monotonic() + KERNELS_WAIT_S
    while "kernels.ready" not in log.read_text(encoding="utf-8"):
        if time.monotonic() > deadline:
            raise BenchError(f"the kernels did not come: {log.read_text(encoding='utf-8')[-500:]}")
        time.sleep(0.2)


def _measure(node: Node, load: Load) -> dict[str, Any]:
    options = {"home": str(node.home), **load._asdict(), "messages": load.messages}
    del options["suite"], options["engine"]
    command = [sys.executable, "-m", "changan.bench.ledger_worker", json.dumps(options)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as worker:  # noqa: S603  # our own program
        assert worker.stdout is not None
        assert worker.stderr is not None
        if worker.stdout.readline().strip() != "go":
            raise BenchError(f"the load did not start: {worker.stderr.read()[-500:]}")
        before = Counted.read(node.home, node.cpu())
        told = _told(worker)
        spent = Counted.read(node.home, node.cpu()).since(before)
        if worker.wait(60):
            raise BenchError(f"the load failed: {worker.stderr.read()[-500:]}")
    latencies = sorted(1000 * each for each in told["latencies"])
    return {
        "rate": told["calls"] / told["seconds"],
        "seconds": told["seconds"],
        "calls": told["calls"],
        "declined": told["declined"],
        "sent": told["sent"],
        "spent": spent,
        "node_ns": spent.cpu * 1e9 / told["calls"],
        "load_ns": told["cpu"] * 1e9 / told["calls"],
        "mib": node.anonymous_mib(),
        **{key: told[key] for key in ("registered", "first_s") if key in told},
        **{f"p{p}": latencies[min(len(latencies) - 1, len(latencies) * p // 100)] for p in (50, 95, 99)},
    }


def _told(worker: subprocess.Popen[str]) -> dict[str, Any]:
    """Let the load begin, show how it goes, and return what it says in the end."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    told: dict[str, Any] = {}
    live = Live(sys.stderr)
    for line in worker.stdout:
        found = json.loads(line)
        if isinstance(found, list):
            live.take(*found)
        else:
            told = found
    live.end()
    return told


def _verified(home: Path) -> dict[str, float]:
    """Check what the node kept, and return the bytes of its log a second of checking."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "changan.cli.main", "verify", "--home", str(home), "--replay"]
    command += ["--sample", str(SAMPLED_BLOCKS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
    if done.returncode:
        raise BenchError(f"what the node kept does not verify: {done.stderr[-500:]}")
    return {"verify_s": time.perf_counter() - started}


def _sqlite(load: Load) -> dict[str, Any]:
    """Return what SQLite does as a ledger: two updates and an insert a payment, synchronous FULL; nobody signs anything."""
    numpy: Any = importlib.import_module("numpy")
    random = numpy.random.default_rng(3)
    with tempfile.TemporaryDirectory() as name:
        base = sqlite3.connect(Path(name) / "ledger", isolation_level=None)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        base.execute("CREATE TABLE accounts (id BLOB PRIMARY KEY, balance INTEGER) WITHOUT ROWID")
        base.execute("CREATE TABLE payments (number INTEGER PRIMARY KEY, source BLOB, target BLOB, amount INTEGER)")
        ids = [row.tobytes() for row in random.integers(0, 256, (load.accounts, 20), numpy.uint8)]
        base.execute("BEGIN")
        base.executemany("INSERT INTO accounts VALUES (?, ?)", ((each, BALANCE) for each in ids))
        base.execute("COMMIT")
        cpu, started, calls = time.process_time(), time.perf_counter(), 0
        while time.perf_counter() - started < load.seconds:
            pairs = random.integers(0, load.accounts, (SQLITE_COMMIT, 2))
            base.execute("BEGIN")
            base.executemany("UPDATE accounts SET balance = balance - 1 WHERE id = ?", ((ids[a],) for a, _ in pairs))
            base.executemany("UPDATE accounts SET balance = balance + 1 WHERE id = ?", ((ids[b],) for _, b in pairs))
            base.executemany(
                "INSERT INTO payments (source, target, amount) VALUES (?, ?, 1)", ((ids[a], ids[b]) for a, b in pairs)
            )
            base.execute("COMMIT")
            calls += SQLITE_COMMIT
        seconds = time.perf_counter() - started
        base.close()
    return {"rate": calls / seconds, "node_ns": (time.process_time() - cpu) * 1e9 / calls, "calls": calls}


_UNITS = {
    "rate": "calls/s",
    "node_ns": "node CPU-ns/call",
    "load_ns": "load CPU-ns/call",
    "p50": "p50 ms",
    "p95": "p95 ms",
    "p99": "p99 ms",
    "mib": "node MiB",
    "verify_s": "s to verify",
    "registered": "clients registered/s",
    "first_s": "s for the first",
}


def _rows(work: str, peer: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    calls, declined = (sum(item.get(key, 0) for item in found) for key in ("calls", "declined"))
    return table_rows(work, peer, _UNITS, found, f"{calls} calls, {declined} declined")
