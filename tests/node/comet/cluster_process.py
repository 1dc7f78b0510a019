"""A cluster in processes, as a user starts it, and what faults do to it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx2

from changan.client.connect import Connection, connect
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.audit import Auditor
from changan.node.beginning import FILE, open_base
from changan.node.store.blocklog import BlockLog
from node_process import CHANGAN, changan

_READY = re.compile(r"^ready rpc=(\S+) http=(\S+) home=(.+)$", re.MULTILINE)


class ClusterProcess:
    init_options: tuple[str, ...] = ("--rpc-port", "0", "--http-port", "0", "--p2p-port", "0")

    def __init__(self, home: Path, engine: Path, *options: str, demo: bool = True, orgs: int = 4) -> None:
        self.home = home
        self._engine = engine
        demonstration = [] if demo else ["--no-demo"]
        made = changan(
            "cluster", "init", "--home", str(home), "--orgs", str(orgs), *self.init_options, *demonstration, *options
        )
        assert made.returncode == 0, made.stderr
        self.orgs = [f"wx-org{n}.chainmaker.org" for n in range(1, orgs + 1)]
        self.start()

    def start(self, env: dict[str, str] | None = None, *options: str) -> None:
        self._out, self._err = self.home / "up.out", self.home / "up.err"
        with self._out.open("wb") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(
                [*CHANGAN, "cluster", "up", "--home", str(self.home), "--engine-binary", str(self._engine), *options],
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
            )
        found = wait_for(lambda: _READY.search(self._out.read_text()) or self.process.poll() is not None, 120)
        assert isinstance(found, re.Match), self.words()
        self.rpc, self.http = found[1].split(","), found[2].split(",")

    def words(self) -> str:
        logs = [self.home / org / "node.log" for org in self.orgs]
        return self._err.read_text()[-1500:] + "".join(log.read_text()[-1500:] for log in logs if log.exists())

    def org_home(self, n: int) -> Path:
        return self.home / self.orgs[n]

    def connect(self, n: int = 0, **options) -> Connection:
        return connect(self.rpc[n], home=self.org_home(n), **options)

    def get(self, n: int, path: str):
        with self.connect(n) as client:
            return client.web.get(path, timeout=10).raise_for_status().json()

    def height(self, n: int) -> int:
        with contextlib.suppress(httpx2.HTTPError), self.connect(n) as client:
            return client.web.get("/v1/health", timeout=10).json()["heights"]["chain1"]
        return -1

    def fault(self, n: int) -> str | None:
        """Why a node takes no transactions now."""
        with self.connect(n) as client:
            return client.web.get("/v1/health", timeout=10).json()["faults"].get("chain1")

    def heights(self) -> list[int]:
        return [self.height(n) for n in range(len(self.orgs))]

    def level(self, nodes=None, timeout: float = 60) -> int:
        """Wait until the nodes are level and return their height."""
        nodes = list(range(len(self.orgs))) if nodes is None else nodes
        wait_for(lambda: len({self.height(n) for n in nodes}) == 1 and self.height(nodes[0]) >= 0, timeout)
        return self.height(nodes[0])

    # Faults

    def node_pid(self, n: int) -> int:
        return int((self.org_home(n) / "LOCK").read_text())

    def engine_pid(self, n: int) -> int:
        return int((self.org_home(n) / "engine" / "chain1" / "engine.pid").read_text())

    def kill(self, n: int, *, node: bool = False, engine: bool = False) -> None:
        pids = [self.engine_pid(n)] * engine + [self.node_pid(n)] * node
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def paused(self, *nodes: int):
        """Stop nodes and their engines for a while; for the others they are gone."""
        pids = [pid for n in nodes for pid in (self.engine_pid(n), self.node_pid(n))]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    # What must hold afterwards

    def blocks(self, n: int) -> list[BlockWithRWSet]:
        """Return what a node holds; one that took a state lacks older blocks."""
        log = BlockLog(self.org_home(n) / "chains" / "chain1" / "log", read_only=True)
        try:
            heights = filter(log.holds, range(log.durable_height + 1))
            return [BlockWithRWSet.FromString(log.read(height)) for height in heights]
        finally:
            log.close()

    def check_equal(self, nodes=None) -> list[BlockWithRWSet]:
        """Every node holds the same blocks as the first, or, where it took a state, the same of those that it holds; return them."""
        nodes = list(range(len(self.orgs))) if nodes is None else nodes
        self.level(nodes)
        logs = [self.blocks(n) for n in nodes]
        hashes = [{stored.block.header.block_height: stored.block.header.block_hash for stored in log} for log in logs]
        assert list(hashes[0]) == list(range(len(logs[0])))
        for n, one in zip(nodes, hashes, strict=True):
            late = (self.org_home(n) / "chains" / "chain1" / FILE).exists()
            assert one.items() <= hashes[0].items() if late else one == hashes[0]
        return logs[0]

    def verify(self) -> None:
        """Audit every node's log; one of them by the command."""
        done = changan("verify", "--home", str(self.org_home(0)), timeout=240)
        assert done.returncode == 0, done.stderr
        for n in range(1, len(self.orgs)):
            chain = self.org_home(n) / "chains" / "chain1"
            log = BlockLog(chain / "log", read_only=True)
            for _ in Auditor(log, base=open_base(chain)).blocks():
                pass
            log.close()

    def status(self):
        return changan("cluster", "status", "--home", str(self.home))

    def state(self, n: int) -> dict:
        return self.get(n, "/v1/ordering")["chain1"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class NodesApart(ClusterProcess):
    """Nodes that are started one by one, as on machines of their own."""

    def start(self) -> None:
        self.nodes = [self._launch(n) for n in range(len(self.orgs))]
        found = [self._ready(n) for n in range(len(self.orgs))]
        self.rpc, self.http = [one[1] for one in found], [one[2] for one in found]

    def _command(self, n: int) -> list[str]:
        options = ["--rpc-port", "0", "--http-port", "0", "--engine-binary", str(self._engine)]
        return [*CHANGAN, "cluster", "node", "--home", str(self.org_home(n)), *options]

    def _launch(self, n: int) -> subprocess.Popen:
        home = self.org_home(n)
        with (home / "node.out").open("wb") as out, (home / "node.log").open("ab") as log:
            return subprocess.Popen(self._command(n), stdout=out, stderr=log)

    def _ready(self, n: int) -> re.Match:
        out = self.org_home(n) / "node.out"
        found = wait_for(lambda: _READY.search(out.read_text()) or self.nodes[n].poll() is not None, 90)
        assert isinstance(found, re.Match), self.words()
        return found

    def restart(self, n: int) -> None:
        """Start a node again that was killed."""
        self.nodes[n].wait(10)
        self.nodes[n] = self._launch(n)
        self.rpc[n], self.http[n] = self._ready(n).groups()[:2]

    @property
    def _err(self) -> Path:
        return self.org_home(0) / "node.log"

    def stop(self) -> int:
        for node in self.nodes:
            node.send_signal(signal.SIGTERM)
        return max((node.wait(60) for node in self.nodes), key=abs)


class LoneNode:
    """A node that was started by itself, beside the cluster's."""

    def __init__(self, home: Path, engine: Path, *more: str) -> None:
        self.home = home
        self._out = home.with_name(f"{home.name}.out")
        options = ["--rpc-port", "0", "--http-port", "0", "--engine-binary", str(engine), *more]
        with self._out.open("wb") as out, home.with_name(f"{home.name}.err").open("wb") as err:
            self.process = subprocess.Popen(
                [*CHANGAN, "cluster", "node", "--home", str(home), *options], stdout=out, stderr=err
            )
        found = wait_for(lambda: _READY.search(self._out.read_text()) or self.process.poll() is not None, 60)
        assert isinstance(found, re.Match), home.with_name(f"{home.name}.err").read_text()[-2000:]
        self.rpc = found[1]

    def words(self) -> str:
        return self.home.with_name(f"{self.home.name}.err").read_text()

    def connect(self, org_id: str, **options):
        return connect(self.rpc, home=self.home, org_id=org_id, **options)

    def state(self, org_id: str) -> dict:
        with self.connect(org_id) as client:
            return client.web.get("/v1/ordering", timeout=10).raise_for_status().json()["chain1"]

    def height(self, org_id: str) -> int:
        with self.connect(org_id) as client:
            return client.web.get("/v1/health", timeout=10).json()["heights"]["chain1"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def wait_for(condition, timeout: float):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout} s")
