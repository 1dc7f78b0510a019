"""Cases of a real cluster on four machines that a kernel makes of namespaces; `test_namespaces.py` runs them in the hub.

Partitions are wires taken down or put to another bridge, slow wires the kernel's token bucket (tbf), whose queue also delays and
loses. Delay and loss by themselves would take its netem, which many kernels lack: they are left to the relays of `test_lines.py`.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest
from cluster_process import NodesApart, wait_for
from load import Load, balance, more, settled
from network import Network

from changan.client.connect import Connection, connect
from changan.client.doors import KnownDoors, write_doors
from changan.node.comet.cluster import Ports
from changan.node.store.blocklog import BlockLog
from consortium import EXAMPLES
from node_process import CHANGAN

SEED = int(os.environ.get("CHANGAN_FAULT_SEED", "1"))
ROUNDS = int(os.environ.get("CHANGAN_NET_ROUNDS", "1"))
EVERYBODY = {0, 1, 2, 3}


class ClusterOnNetwork(NodesApart):
    """Four nodes, each in a namespace of its own, as the unit file in its folder would start it; clients stand in the hub."""

    def __init__(self, home, engine, network: Network) -> None:
        self.network = network
        self.init_options = ("--hosts", ",".join(network.addresses))
        self._clients = [home.with_name(f"client{n}") for n in range(4)]
        super().__init__(home, engine, demo=False)

    def start(self) -> None:
        for client, address in zip(self._clients, self.network.addresses, strict=True):
            client.mkdir()
            (client / "crypto-config").symlink_to(self.home / "crypto-config")
            write_doors(client, KnownDoors(f"{address}:{Ports().rpc}", f"https://{address}:{Ports().http}", "server"))
        super().start()

    def _command(self, n: int) -> list[str]:
        options = ["--host", "0.0.0.0", "--tls", "--engine-binary", str(self._engine)]
        return [*self.network.inside(n), *CHANGAN, "cluster", "node", "--home", str(self.org_home(n)), *options]

    def connect(self, n: int = 0, **options) -> Connection:
        return connect(home=self._clients[n], **options)

    def height_on_disk(self, n: int) -> int:
        """Return the height of one that may not be reachable."""
        log = BlockLog(self.org_home(n) / "chains" / "chain1" / "log", read_only=True)
        try:
            return log.durable_height
        finally:
            log.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, engine):
    directory = tmp_path_factory.mktemp("network")
    running = ClusterOnNetwork(directory / "home", engine, Network(directory, 4))
    with running.connect(0) as connection:
        connection.deploy("token", "1.0", (EXAMPLES / "token.py").read_bytes(), {"supply": "1000000"})
    wait_for(lambda: min(running.heights()) >= 1, 60)
    yield running
    assert running.stop() == 0, running.words()
    running.verify()


@pytest.fixture
def network(cluster):
    yield cluster.network
    cluster.network.heal()


def test_everybody_hears_everybody(network):
    assert network.heard() == [EVERYBODY] * 4


def test_half_against_half_halts_and_goes_on_without_a_fork(cluster, network):
    who = "e1" * 20
    before = balance(cluster, 0, who)
    load = Load(cluster, [0, 3], who)
    more(load, 3)
    network.part({0, 1})
    assert network.heard() == [{0, 1}, {0, 1}, {2, 3}, {2, 3}]
    halted = cluster.heights()
    assert min(halted) > 0  # clients reach both halves
    time.sleep(2)
    assert max(cluster.heights()) <= max(halted) + 1  # a block may have been decided when the wires were moved
    network.heal()
    more(load, 3)
    settled(cluster, load, who, before)


def test_one_whose_wire_is_down_is_not_waited_for_and_catches_up(cluster, network):
    who = "e2" * 20
    before = balance(cluster, 0, who)
    load = Load(cluster, [0], who)
    network.take_down(2)
    assert network.heard() == [{0, 1, 3}, {0, 1, 3}, {2}, {0, 1, 3}]
    alone = cluster.height_on_disk(2)
    more(load, 5)
    assert cluster.height_on_disk(2) <= alone + 1 < cluster.height(0)
    network.heal()
    wait_for(lambda: cluster.height(2) >= cluster.height(0) - 2, 60)
    settled(cluster, load, who, before)


def test_slow_wires_hinder_nobody(cluster, network):
    """Half a megabit a second: what a block sends to three others waits at the shaper."""
    who = "e3" * 20
    before = balance(cluster, 0, who)
    network.slow(512, queue_ms=400)
    load = Load(cluster, EVERYBODY, who)
    more(load, 8)
    wait_for(lambda: min(shaper["overlimits"] for shaper in network.counters()) > 10, 60)
    network.heal()
    settled(cluster, load, who, before)


def test_faults_at_random(cluster, network):
    """Seeded: wires down, halves, slow wires, wires that come and go, kill -9 of nodes and engines, under load at all four."""
    dice = random.Random(SEED)
    who = "e4" * 20
    before = balance(cluster, 0, who)
    counts: Counter[str] = Counter()
    network.shaped.clear()
    load = Load(cluster, EVERYBODY, who)
    for number in range(ROUNDS):
        kind = dice.choice(["down", "halves", "slow", "flapping", "node", "engine"])
        counts[kind] += 1
        one, other = dice.sample(range(4), 2)
        match kind:
            case "down":
                network.take_down(one)
            case "halves":
                network.part({one, other})
            case "slow":
                network.slow(dice.randrange(256, 8192), queue_ms=dice.randrange(20, 400))
            case "flapping":
                for _ in range(4):
                    network.take_down(one)
                    time.sleep(dice.uniform(0.05, 0.3))
                    network.heal()
                    time.sleep(dice.uniform(0.05, 0.3))
            case "node" | "engine":
                cluster.kill(one, **{kind: True})
        time.sleep(dice.uniform(0.5, 3))
        network.heal()
        if kind == "node":
            cluster.restart(one)
        more(load, 3)
        wait_for(lambda: max(cluster.heights()) - min(cluster.heights()) < 5, 90)
        if ROUNDS > 10 and number % 10 == 9:
            print(number + 1, dict(counts), len(load.acknowledged), cluster.heights(), flush=True)
    settled(cluster, load, who, before)
    print(f"{ROUNDS} rounds: {dict(counts)}, {len(load.acknowledged)} acknowledged, shaped: {dict(network.shaped)}")
