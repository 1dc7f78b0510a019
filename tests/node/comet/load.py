"""Calls to a cluster while faults go on, and what must hold once these are over."""

from __future__ import annotations

import threading
import time

from cluster_process import ClusterProcess, wait_for


class Load:
    """Threads that call and note which transactions were acknowledged. Lost answers are asked for again."""

    def __init__(self, cluster: ClusterProcess, nodes, to: str) -> None:
        self.acknowledged: list[str] = []
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._to = to
        # Daemons: where a test fails, they keep nobody from ending.
        self._threads = [threading.Thread(target=self._run, args=(cluster, n), daemon=True) for n in nodes]
        for thread in self._threads:
            thread.start()

    def _run(self, cluster: ClusterProcess, n: int) -> None:
        with cluster.connect(n) as connection:
            while not self._stop.is_set():
                try:
                    answer = connection.invoke("token", "transfer", {"to": self._to, "amount": 1})
                    self.acknowledged.append(answer.tx_id)
                except Exception as error:
                    self.failed.append(repr(error))
                    time.sleep(0.2)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()


def more(load: Load, count: int, timeout: float = 90) -> None:
    """Wait until so many further calls were acknowledged."""
    before = len(load.acknowledged)
    wait_for(lambda: len(load.acknowledged) >= before + count, timeout)


def balance(cluster, n, who) -> int:
    with cluster.connect(n) as connection:
        return int(connection.query("token", "balance_of", {"who": who}).text)


def settled(cluster, load, who, before) -> None:
    """After faults: nothing acknowledged is lost, nothing counts twice, and the four ledgers are one."""
    load.stop()
    blocks = cluster.check_equal()
    found = [tx.payload.tx_id for stored in blocks for tx in stored.block.txs]
    assert len(found) == len(set(found))
    assert set(load.acknowledged) <= set(found)
    count = sum(
        tx.payload.contract_name == "token" and any(p.value == who.encode() for p in tx.payload.parameters)
        for stored in blocks
        for tx in stored.block.txs
    )
    assert {balance(cluster, n, who) for n in range(4)} == {before + count}
