"""Where a node's time goes: CPU-nanoseconds a call by stage, each next to the least that this machine needs for such a stage."""

from __future__ import annotations

import os
import secrets
import statistics
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from changan.bench.crypto import signed_once
from changan.client.doors import read_doors
from changan.crypto.batch.kernels import warm
from changan.crypto.batch.verifier import BatchVerifier
from changan.crypto.suite import algorithms, suite_named
from changan.node.kernels import kernels_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from changan.crypto.keys import Scheme

STAGES = ("authenticate", "execute", "roots", "state root", "log", "index", "checkpoint", "histories")
REST = "the rest"
"""Of the node's CPU time what belongs to no stage: sockets, gRPC, decoding, answers, the interpreter between stages."""
NOTES = {
    "authenticate": "signature: one check of such a message by the batch kernels, shared by the calls under it",
    "execute": "memory: the bytes that a call brings to the log, copied once",
    "roots": "hash: the bytes that a call brings to the log, through the chain's digest once",
    "log": "disk: as many bytes as a block has, written in order and synced; compare the time with waiting",
}
MEASURED_S = 0.3
BUFFER_BYTES = 32 << 20
HASHED_BYTES = 1 << 20
_CPU, _ELAPSED, _LOGGED, _BLOCKS = (
    "changan_stage_cpu_seconds_total",
    "changan_stage_seconds_total",
    "changan_log_bytes_total",
    "changan_block_commit_seconds_count",
)


class Counted(NamedTuple):
    """What a node has counted of itself so far."""

    cpu: float  # seconds of the process
    metrics: Mapping[tuple[str, str], float]
    """By name and stage; of what has no stages the sum over all chains."""

    @classmethod
    def read(cls, home: Path, cpu: float) -> Counted:
        """Ask the node of a home that has used `cpu` seconds. Raises httpx2.HTTPError."""
        answer = httpx2.get(f"{read_doors(home).http}/metrics", timeout=30)
        found: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(answer.raise_for_status().text):
            for sample in family.samples:
                key = sample.name, sample.labels.get("stage", "")
                found[key] = found.get(key, 0.0) + sample.value
        return cls(cpu, found)

    def since(self, before: Counted) -> Counted:
        """Return what was counted after another one."""
        fresh = {key: value - before.metrics.get(key, 0.0) for key, value in self.metrics.items()}
        return Counted(self.cpu - before.cpu, fresh)

    def of(self, name: str, stage: str = "") -> float:
        """Return a metric, 0 where the node has none of that name."""
        return self.metrics.get((name, stage), 0.0)


class Carried(NamedTuple):
    """What was sent."""

    suite: str
    scheme: Scheme  # of the signatures
    calls: int
    sent: int  # bytes
    signed: int  # calls under one signature; 0: under signatures of another kind
    together: int  # signatures a message


def stage_rows(spent: Counted, what: Carried, directory: Path) -> list[dict[str, Any]]:
    """Return a row a stage: what a call took of it, and the limit, which is measured now. The disk is that of `directory`."""
    logged = spent.of(_LOGGED) / what.calls
    limits = {
        "authenticate": _signature_ns(what),
        "execute": logged * _copied_byte_ns(),
        "roots": logged * _hashed_byte_ns(what.suite),
        "log": _synced_ns(directory, int(spent.of(_LOGGED) / max(1.0, spent.of(_BLOCKS))))
        * spent.of(_BLOCKS)
        / what.calls,
    }
    rows = [
        _row(stage, spent.of(_CPU, stage) / what.calls, spent.of(_ELAPSED, stage) / what.calls, limits.get(stage))
        for stage in STAGES
    ]
    rest = spent.cpu - sum(spent.of(_CPU, stage) for stage in STAGES)
    return [*rows, _row(REST, rest / what.calls, None, None)]


def merged(rounds: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the medians of several rounds."""
    return [
        {
            key: value if value is None or isinstance(value, str) else _median(rows, key)
            for key, value in rows[0].items()
        }
        for rows in zip(*rounds, strict=True)
    ]


def _median(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(statistics.median(row[key] for row in rows))


def _row(stage: str, cpu_s: float, elapsed_s: float | None, limit_ns: float | None) -> dict[str, Any]:
    return {
        "stage": stage,
        "cpu_ns": round(cpu_s * 1e9, 1),
        "elapsed_ns": None if elapsed_s is None else round(elapsed_s * 1e9, 1),
        "limit_ns": None if limit_ns is None else round(limit_ns, 1),
        "limit": NOTES[stage] if limit_ns is not None else "",
    }


def _signature_ns(what: Carried) -> float | None:
    """Return what the signature takes of a call: the kernels that the node has, a key whose table is there."""
    directory = kernels_directory()
    if not what.signed or directory is None:
        return None
    verifier = BatchVerifier()
    verifier.use(warm(directory))
    size = what.sent * what.signed // what.calls
    item = signed_once(what.scheme, secrets.token_bytes(size))
    items = [item] * what.together
    for _ in range(2):  # the key earns its table
        assert all(verifier.verify(items))
    return _typical_ns(lambda: verifier.verify(items)) / what.together / what.signed


def _copied_byte_ns() -> float:
    source, target = bytes(BUFFER_BYTES), memoryview(bytearray(BUFFER_BYTES))  # more than the caches hold

    def copy() -> None:
        target[:] = source

    return _typical_ns(copy) / BUFFER_BYTES


def _hashed_byte_ns(suite: str) -> float:
    digest, data = algorithms(suite_named(suite)).digest, bytes(HASHED_BYTES)
    return _typical_ns(lambda: digest(data)) / HASHED_BYTES


def _synced_ns(directory: Path, size: int) -> float:
    """Return what so many bytes take to be appended to a file and to rest."""
    path, data = directory / "limit", secrets.token_bytes(size)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def append() -> None:
        os.write(file, data)
        os.fdatasync(file)

    try:
        return _typical_ns(append)
    finally:
        os.close(file)
        path.unlink()


def _typical_ns(work: Callable[[], object]) -> float:
    """Return how long something takes, the median over a moment. Waiting counts."""
    until, taken = time.perf_counter() + MEASURED_S, list[int]()
    while not taken or time.perf_counter() < until:
        started = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - started)
    return statistics.median(taken)
