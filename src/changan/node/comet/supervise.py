"""All nodes of a cluster on this machine: started, started again where one ends, and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import structlog

from changan.client.connect import CallError, connect
from changan.node.comet.cluster import ClusterError, Place, late_homes, settle_places
from changan.node.founding import EXAMPLES, example_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_log = structlog.get_logger()
READY_S = 90.0
STOP_S = 20.0
PAUSE_S = 1.0
_READY = re.compile(rb"^ready rpc=(\S+) http=(\S+) ")


class Door(NamedTuple):
    """Where one organisation's node answers."""

    org_id: str
    rpc: str
    http: str


class _Member:
    """One node's process."""

    def __init__(self, root: Path, place: Place, options: Sequence[str]) -> None:
        self.place = place
        self._home = root / place.org_id
        self._options = [*options]
        self.door: Door | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        self.stopping = False

    async def run(self) -> None:
        """Keep the node running until it is told to stop. Raises ClusterError where it never got ready."""
        while not self.stopping:
            place = self.place
            with (self._home / "node.log").open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "changan.cli.main", "cluster", "node", "--with-parent"),
                    *("--home", str(self._home), "--host", place.host),
                    *("--rpc-port", str(place.rpc_port), "--http-port", str(place.http_port), *self._options),
                    # Its end tells the node that this process is gone; a session of its own keeps Ctrl-C to this one.
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
            await self._follow(self._process)
            code = await self._process.wait()
            if self.stopping:
                return
            if not self.ready.is_set():
                raise ClusterError(f"the node of {place.org_id} did not start: {self._last_words()}")
            _log.error("node.ended", organisation=place.org_id, code=code, again_in_s=PAUSE_S)
            await asyncio.sleep(PAUSE_S)

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            found = _READY.match(line)
            if found is None:
                continue
            self.door = Door(self.place.org_id, found[1].decode(), found[2].decode())
            rpc, http = (int(text.rpartition(":")[2]) for text in (self.door.rpc, self.door.http))
            self.place = replace(self.place, rpc_port=rpc, http_port=http)  # a node that starts again keeps its doors
            self.ready.set()

    def _last_words(self) -> str:
        text = (self._home / "node.log").read_text(encoding="utf-8", errors="replace")
        return text.strip()[-600:]

    def sync_from(self, doors: Sequence[Door]) -> None:
        """Let the node, which is not started yet, take the state from others."""
        self._options += [word for door in doors for word in ("--sync-from", door.http)]
        _log.info("node.syncs", organisation=self.place.org_id, log=str(self._home / "node.log"))

    async def stop(self) -> int:
        """Stop the node cleanly; return its exit status."""
        self.stopping = True
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            return 1


class Supervisor:
    """The nodes of a cluster, in processes of this one."""

    def __init__(self, root: Path, places: Sequence[Place], options: Sequence[str] = (), *, sync: bool = False) -> None:
        """With `sync`, homes that lack a chain which another one has take the state from those that lack none."""
        self._root = root
        self._members = [_Member(root, place, options) for place in settle_places(root, list(places))]
        late = late_homes(root, places) if sync else frozenset()
        self._late = [member for member in self._members if member.place.org_id in late]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> list[Door]:
        """Start all nodes; return their doors when all of them answer. Raises ClusterError.

        How long it takes to take a state nobody can tell: for those who do, there is no limit.
        """
        whole = [member for member in self._members if member not in self._late]
        doors = await self._start(whole, READY_S)
        for member in self._late:
            member.sync_from(doors)
        await self._start(self._late, None)
        return [member.door for member in self._members if member.door is not None]

    async def _start(self, members: Sequence[_Member], limit_s: float | None) -> list[Door]:
        self._tasks += [asyncio.create_task(member.run(), name=member.place.org_id) for member in members]
        ready = asyncio.create_task(_all_ready(members))
        await asyncio.wait({ready, *self._tasks}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            for task in self._tasks:
                if task.done():
                    task.result()
            raise ClusterError(f"the nodes were not ready within {READY_S:g} s: see node.log below {self._root}")
        return [member.door for member in members if member.door is not None]

    async def wait(self) -> None:
        """Return when a node cannot be kept running. Raises what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> int:
        """Stop all nodes together; return 0 where all ended cleanly."""
        codes = await asyncio.gather(*(member.stop() for member in self._members))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return max(codes, default=0, key=abs)


async def _all_ready(members: Sequence[_Member]) -> None:
    for member in members:
        await member.ready.wait()


def install_examples(root: Path, door: Door) -> list[str]:
    """Install the example contracts through one node; return their names. Raises CallError, UnreachableError."""
    installed = []
    with connect(door.rpc, home=root / door.org_id, user="client1") as connection:
        for name, arguments in EXAMPLES.items():
            try:
                connection.deploy(name, "1.0", example_source(name).encode(), arguments)
            except CallError as error:
                if "exist" not in str(error):
                    raise
            installed.append(name)
    return installed
