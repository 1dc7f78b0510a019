"""A network of namespaces: a hub with a bridge, and for each organisation a namespace with one wire to that bridge.

The kernel carries it: its TCP, its queues, its losses. A process that was started by `HUB` stands in the hub and may lay one, as
root or as an ordinary user; with that process everything ends that it started and laid.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

HUB_ADDRESS = "10.77.0.254"
_PORT = "eth0"  # an organisation's end of its wire
_WHOLE, _HALF = "whole", "half"  # bridges; who is parted from the others stands at the second
_HUB_MAC = "02:00:00:00:00:fe"
_TOOLS = ("setpriv", "unshare", "nsenter", "ip", "tc")

# The shell is the first process of its own, which the others cannot outlive; it takes in those whose parents were killed.
HUB = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"),
    *("sh", "-c", 'ip link set lo up && "$@"; exit $?', "sh"),
)
_PROBE = """
touch "$1" && unshare --net="$1" true && ip link add probe type bridge && ip link add wire type veth peer name end netns "$1" &&
nsenter --net="$1" tc qdisc add dev end root tbf rate 1mbit burst 16kb latency 50ms
"""
# A port at which nobody listens: who refuses has heard.
_DIAL = """
import errno, socket, sys
from concurrent.futures import ThreadPoolExecutor

def dial(address):
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex((address, 9)) == errno.ECONNREFUSED

with ThreadPoolExecutor() as pool:
    print(*(n for n, heard in enumerate(pool.map(dial, sys.argv[1:])) if heard))
"""


def hub_environment() -> dict[str, str]:
    """Return this environment with the system's tools on the path, and without proxies: nobody stands between here and a node."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])}


def why_not(directory: Path) -> str:
    """Say why nobody may lay a network here; nothing where one may."""
    env = hub_environment()
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=env["PATH"]) is None]
    if missing:
        return f"there is no {', '.join(missing)}"
    command = [*HUB, "sh", "-c", _PROBE, "sh", str(directory / "probe")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.stderr.strip() or f"exit status {done.returncode}" if done.returncode else ""


class Network:
    """Wires of `count` organisations to the hub, and what a test does to them. `heal` makes it whole again."""

    def __init__(self, directory: Path, count: int) -> None:
        self.addresses = [f"10.77.0.{n + 1}" for n in range(count)]
        self._wires = [f"org{n + 1}" for n in range(count)]  # the hub's ends
        self._places = [directory / wire for wire in self._wires]
        self._down: set[int] = set()
        self._parted: set[int] = set()
        self._slow = False
        self.shaped: Counter[str] = Counter()  # what slow wires did until they were healed
        for bridge, bits in ((_WHOLE, 24), (_HALF, 32)):
            # The hub stands at both with one address and one MAC and forwards nothing: clients reach all, whatever is parted.
            _run("ip", "link", "add", bridge, "address", _HUB_MAC, "type", "bridge")
            _run("ip", "address", "add", f"{HUB_ADDRESS}/{bits}", "dev", bridge)
            _run("ip", "link", "set", bridge, "up")
        for n, (wire, place) in enumerate(zip(self._wires, self._places, strict=True)):
            place.touch()
            _run("unshare", f"--net={place}", "ip", "link", "set", "lo", "up")
            _run("ip", "link", "add", wire, "type", "veth", "peer", "name", _PORT, "netns", str(place))
            _run("ip", "link", "set", wire, "master", _WHOLE, "up")
            _run(*self.inside(n), "ip", "address", "add", f"{self.addresses[n]}/24", "dev", _PORT)
            _run(*self.inside(n), "ip", "link", "set", _PORT, "up")

    def inside(self, n: int) -> list[str]:
        """Return what starts a command in an organisation's namespace."""
        return ["nsenter", f"--net={self._places[n]}"]

    def heard(self) -> list[set[int]]:
        """Dial from every organisation to every one; return for each who heard it. One always hears itself."""
        dial = [sys.executable, "-I", "-S", "-c", _DIAL, *self.addresses]
        dialling = [
            subprocess.Popen([*self.inside(n), *dial], stdout=subprocess.PIPE, text=True)
            for n in range(len(self.addresses))
        ]
        return [{int(n) for n in one.communicate(timeout=30)[0].split()} for one in dialling]

    def take_down(self, n: int) -> None:
        """Take an organisation's wire down; the hub does not reach it either."""
        self._down.add(n)
        _run("ip", "link", "set", self._wires[n], "down")

    def part(self, some: set[int]) -> None:
        """Part these organisations from the others; each side still hears its own, and the hub hears both."""
        for n in some:
            self._parted.add(n)
            _run("ip", "link", "set", self._wires[n], "master", _HALF)
            _run("ip", "route", "add", f"{self.addresses[n]}/32", "dev", _HALF)

    def slow(self, kbit_per_s: int, queue_ms: int) -> None:
        """Make every wire slow, both ways. What would wait longer than `queue_ms` is lost, and TCP sends it again."""
        self._slow = True
        for inside, device in self._ends():
            shape = ["tbf", "rate", f"{kbit_per_s}kbit", "burst", "16kb", "latency", f"{queue_ms}ms"]
            _run(*inside, "tc", "qdisc", "add", "dev", device, "root", *shape)

    def counters(self) -> list[Counter[str]]:
        """Return what the shaper of every end of a wire counted so far: bytes, drops, overlimits (how often one waited)."""
        found = []
        for inside, device in self._ends():
            command = [*inside, "tc", "-s", "-j", "qdisc", "show", "dev", device, "root"]
            [shaper] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            found.append(Counter({name: shaper[name] for name in ("bytes", "drops", "overlimits")}))
        return found

    def heal(self) -> None:
        """Make the network whole and fast again."""
        if self._slow:
            self.shaped.update(sum(self.counters(), Counter()))
            for inside, device in self._ends():
                _run(*inside, "tc", "qdisc", "del", "dev", device, "root")
        for n in self._parted:
            _run("ip", "route", "del", f"{self.addresses[n]}/32", "dev", _HALF)
            _run("ip", "link", "set", self._wires[n], "master", _WHOLE)
        for n in self._down:
            _run("ip", "link", "set", self._wires[n], "up")
        self._slow, self._parted, self._down = False, set(), set()

    def _ends(self) -> list[tuple[list[str], str]]:
        """Return both ends of every wire: what enters its namespace, and its device."""
        hub = [(list[str](), wire) for wire in self._wires]
        return [*hub, *((self.inside(n), _PORT) for n in range(len(self._wires)))]


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
