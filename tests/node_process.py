"""A node in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from changan.client.connect import Connection, connect

CHANGAN = [sys.executable, "-m", "changan.cli.main"]
_READY = re.compile(r"ready rpc=(\S+) http=(\S+) home=(.+)")


class NodeProcess:
    def __init__(self, home: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.home = home
        self.errors = home.with_name(f"{home.name}.err")
        self._output = home.with_name(f"{home.name}.out")
        with self._output.open("wb") as out, self.errors.open("ab") as err:
            self.process = subprocess.Popen(
                [*CHANGAN, "up", "--home", str(home), "--rpc-port", "0", "--http-port", "0", *options],
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
            )
        self.rpc, self.http = self._wait_ready()

    def _wait_ready(self) -> tuple[str, str]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = _READY.search(self._output.read_text())
            if found:
                return found[1], found[2]
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the node did not start: {self.errors.read_text()[-2000:]}")

    @property
    def output(self) -> str:
        return self._output.read_text()

    def connect(self, user: str = "client1", **options) -> Connection:
        return connect(self.rpc, home=self.home, user=user, **options)

    def get(self, path: str, **options):
        with self.connect(**options) as client:
            return client.web.get(path).raise_for_status().json()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def changan(
    *arguments: str, env: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHANGAN, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **(env or {})},
    )
