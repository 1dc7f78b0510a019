"""What the node counts about itself, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        self.certificates = Gauge(
            "changan_certificate_not_after_seconds",
            "Unix time after which a certificate is refused",
            ["certificate"],
            registry=self.registry,
        )
        self.subscriptions = Gauge("changan_subscriptions", "Open subscriptions", registry=self.registry)


METRICS = Metrics()
