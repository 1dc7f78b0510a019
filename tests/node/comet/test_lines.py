"""A real cluster over lines that are slow, lossy or cut, and with a disk of one node that is full."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_process import NodesApart, wait_for
from load import Load, balance, more, settled
from relay import Lines, Weather

from changan.client.connect import CallError
from changan.node.comet.cluster import free_port, read_node_file

SEED = int(os.environ.get("CHANGAN_FAULT_SEED", "1"))
ROUNDS = int(os.environ.get("CHANGAN_LINE_ROUNDS", "1"))
FULL = 3
"""The node whose chains and engine lie on a disk of their own, where the machine lets an ordinary user mount one."""
DISK_BYTES = 128 << 20
_MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2/disk" && cp -a "$2/kept/." "$2/disk" && shift 2 && exec "$@"'


def may_mount(directory: Path) -> bool:
    for name in ("disk", "kept"):
        (directory / name).mkdir()
    command = ["unshare", "-Urm", "sh", "-c", _MOUNT, "sh", "1m", str(directory), "true"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )


class LinedCluster(NodesApart):
    """Four nodes whose engines reach one another over lines of the test."""

    lines: Lines | None = None

    def start(self) -> None:
        ports = [free_port("127.0.0.1") for _ in self.orgs]
        self.lines = Lines(ports, SEED)
        for n, port in enumerate(ports):
            home = self.org_home(n)
            known = read_node_file(home)
            ids = [read_node_file(self.org_home(other)).peer for other in range(len(self.orgs))]
            peers = [f"{ids[b]}@127.0.0.1:{line.port}" for (a, b), line in self.lines.lines.items() if a == n]
            replace(known, listen=f"127.0.0.1:{port}", peers=tuple(peers)).write(home)
        self.mounts = may_mount(self.home)
        if self.mounts:
            self._make_room_for_disk(self.org_home(FULL))
        super().start()

    def _make_room_for_disk(self, home: Path) -> None:
        for name in ("disk", "kept", "kept/chains"):
            (home / name).mkdir()
        (home / "engine").rename(home / "kept" / "engine")
        for name in ("chains", "engine"):
            (home / name).symlink_to(Path("disk") / name)

    def _command(self, n: int) -> list[str]:
        command = super()._command(n)
        if n != FULL or not self.mounts:
            return command
        return ["unshare", "-Urm", "sh", "-c", _MOUNT, "sh", str(DISK_BYTES), str(self.org_home(n)), *command]

    def disk(self) -> Path:
        """The disk of its own that a node has, as this process sees it."""
        return Path("/proc", str(self.node_pid(FULL)), "root") / (self.org_home(FULL) / "disk").relative_to("/")

    def blocks(self, n: int):
        with self.connect(n) as connection:
            query = connection.query
            height = self.height(n)
            stored = [
                query("CHAIN_QUERY", "GET_FULL_BLOCK_BY_HEIGHT", {"blockHeight": str(at)}).result
                for at in range(height + 1)
            ]
        from changan.ledger.wire.messages import BlockWithRWSet

        return [BlockWithRWSet.FromString(one) for one in stored]

    def stop(self) -> int:
        try:
            return super().stop()
        finally:
            self.lines.stop()


@pytest.fixture(scope="module")
def lined(tmp_path_factory, engine):
    running = LinedCluster(tmp_path_factory.mktemp("lined") / "home", engine, demo=False)
    try:
        from consortium import EXAMPLES

        with running.connect(0) as connection:
            connection.deploy("token", "1.0", (EXAMPLES / "token.py").read_bytes(), {"supply": "1000000"})
        wait_for(lambda: min(running.heights()) >= 1, 60)
        yield running
    finally:
        code = running.stop()
    assert code == 0, running.words()


def test_slow_lines_with_delay_hinder_nobody(lined):
    """40 ms one way, 256 KB a second: a link between cities."""
    who = "d1" * 20
    before = balance(lined, 0, who)
    lined.lines.set(Weather(delay_s=0.04, jitter_s=0.01, bytes_per_s=256 * 1024))
    load = Load(lined, [0, 2], who)
    more(load, 4)
    lined.lines.heal()
    settled(lined, load, who, before)
    assert lined.lines.total("carried") > 10_000


def test_lossy_lines_whose_connections_end_hinder_nobody(lined):
    who = "d2" * 20
    before = balance(lined, 0, who)
    lined.lines.set(Weather(delay_s=0.002, loss=0.02, reset=0.002))
    load = Load(lined, [1, 3], who)
    more(load, 4)
    wait_for(lambda: lined.lines.total("lost") > 3, 60)
    lined.lines.heal()
    settled(lined, load, who, before)


def test_one_whose_lines_are_cut_catches_up(lined):
    who = "d3" * 20
    before = balance(lined, 0, who)
    load = Load(lined, [0], who)
    lined.lines.part({2})
    more(load, 5)
    assert lined.height(2) < lined.height(0)
    lined.lines.heal()
    wait_for(lambda: lined.height(2) >= lined.height(0) - 2, 60)
    settled(lined, load, who, before)


def test_half_against_half_halts_while_the_lines_are_cut(lined):
    who = "d4" * 20
    before = balance(lined, 0, who)
    load = Load(lined, [0, 1], who)
    more(load, 2)
    lined.lines.part({0, 1})
    wait_for(lambda: all(len(lined.state(n)["peers"]) == 1 for n in range(4)), 60)
    halted = lined.heights()
    time.sleep(2)
    assert max(lined.heights()) <= max(halted) + 1  # a block may have been decided when the lines went
    lined.lines.heal()
    more(load, 3)
    settled(lined, load, who, before)


def test_a_full_disk_of_one_node_stops_that_node_alone(lined):
    if not lined.mounts:
        pytest.skip(
            "this machine lets nobody mount a disk of his own: no full disk can be made without filling the real one"
        )
    who = "d5" * 20
    before = balance(lined, 0, who)
    filler = lined.disk() / "filler"
    load = Load(lined, [0], who)
    more(load, 2)
    with filler.open("wb", buffering=0) as file:
        for piece in (1 << 16, 1 << 10, 1):
            try:
                while file.write(b"\x00" * piece) == piece:
                    pass
            except OSError:
                continue
    wait_for(lambda: "the disk is full" in str(lined.fault(FULL)), 60)
    with (
        lined.connect(FULL) as connection,
        pytest.raises(CallError, match="the disk is full"),
    ):
        connection.invoke("token", "transfer", {"to": who, "amount": 1})
    full = lined.height(FULL)
    more(load, 5)  # the others need it not
    assert lined.height(FULL) == full
    assert lined.height(0) > full
    filler.unlink()
    wait_for(lambda: lined.height(FULL) >= lined.height(0) - 2, 90)
    assert lined.fault(FULL) is None
    settled(lined, load, who, before)


def test_weather_at_random(lined):
    """Seeded: delay, loss, slow lines, partitions and ends of connections, one after another, under load at every node."""
    dice = random.Random(SEED)
    who = "d6" * 20
    before = balance(lined, 0, who)
    counts: dict[str, int] = {}
    load = Load(lined, range(4), who)
    for number in range(ROUNDS):
        kind = dice.choice(["delay", "loss", "slow", "three", "halves", "flapping"])
        counts[kind] = counts.get(kind, 0) + 1
        some = dice.sample(range(4), dice.randrange(1, 5))
        match kind:
            case "delay":
                lined.lines.set(Weather(delay_s=dice.uniform(0.01, 0.2), jitter_s=0.05), *some)
            case "loss":
                lined.lines.set(Weather(loss=dice.uniform(0.005, 0.05), reset=0.001), *some)
            case "slow":
                lined.lines.set(Weather(bytes_per_s=dice.uniform(50_000, 500_000)), *some)
            case "three":
                lined.lines.part({some[0]})
            case "halves":
                lined.lines.part(set(dice.sample(range(4), 2)))
            case "flapping":
                for _ in range(4):
                    lined.lines.part({some[0]})
                    time.sleep(dice.uniform(0.05, 0.3))
                    lined.lines.heal()
                    time.sleep(dice.uniform(0.05, 0.3))
        time.sleep(dice.uniform(0.5, 3))
        lined.lines.heal()
        more(load, 3)
        wait_for(lambda: max(lined.heights()) - min(lined.heights()) < 5, 90)
        if ROUNDS > 10 and number % 10 == 9:
            what = {name: lined.lines.total(name) for name in ("carried", "lost", "resets")}
            print(number + 1, counts, what, len(load.acknowledged), lined.heights(), flush=True)
    settled(lined, load, who, before)
