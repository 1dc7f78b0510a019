"""What the node counts about itself, for Prometheus."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import cache
from threading import local
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.transactions = Counter(
            "changan_transactions_total", "Transactions at rest", ["chain"], registry=self.registry
        )
        self.refused = Counter(
            "changan_requests_refused_total", "Requests refused at the door", ["code"], registry=self.registry
        )
        self.requests = Counter("changan_requests_total", "Requests by type", ["type"], registry=self.registry)
        self.height = Gauge(
            "changan_block_height", "Height of the last block at rest", ["chain"], registry=self.registry
        )
        self.histories = Gauge(
            "changan_histories_height",
            "Height up to which histories hold the rows that bundles changed",
            ["chain"],
            registry=self.registry,
        )
        self.pool = Gauge("changan_pool_transactions", "Transactions that wait", ["chain"], registry=self.registry)
        self.execution = Histogram(
            "changan_block_execution_seconds",
            "Execution of a block",
            ["chain"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commit = Histogram(
            "changan_block_commit_seconds", "A block comes to rest", ["chain"], buckets=_SECONDS, registry=self.registry
        )
        self.logged = Counter(
            "changan_log_bytes_total", "Bytes of blocks that came to rest", ["chain"], registry=self.registry
        )
        self.stages = Counter(
            "changan_stage_cpu_seconds_total", "CPU time of all threads by stage", ["stage"], registry=self.registry
        )
        self.elapsed = Counter(
            "changan_stage_seconds_total",
            "Time in a stage, what it waits for included",
            ["stage"],
            registry=self.registry,
        )
        self.certificates = Gauge(
            "changan_certificate_not_after_seconds",
            "Unix time after which a certificate is refused",
            ["certificate"],
            registry=self.registry,
        )
        self.subscriptions = Gauge("changan_subscriptions", "Open subscriptions", registry=self.registry)


METRICS = Metrics()


class _Within(local):
    cpu = elapsed = 0.0


_within = _Within()
"""What the stages took that ended inside the one that runs, seconds."""


@cache
def _counters(stage: str) -> tuple[Counter, Counter]:
    return METRICS.stages.labels(stage), METRICS.elapsed.labels(stage)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count what is done meanwhile, by this thread, as a stage of the node's work; decorates functions too.

    A stage inside another counts for itself alone. It costs some microseconds: it is for a bundle or a block, never for a row.
    """
    outside = _within.cpu, _within.elapsed
    _within.cpu = _within.elapsed = 0.0
    cpu, started = time.thread_time(), time.perf_counter()
    try:
        yield
    finally:
        cpu, elapsed = time.thread_time() - cpu, time.perf_counter() - started
        for counter, taken in zip(_counters(name), (cpu - _within.cpu, elapsed - _within.elapsed), strict=True):
            counter.inc(max(0.0, taken))
        _within.cpu, _within.elapsed = outside[0] + cpu, outside[1] + elapsed
