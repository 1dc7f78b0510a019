"""Kill a node again and again while calls are in flight, and see that nothing acknowledged is lost or doubled.

`python bench/faults.py [--rounds 300] [--seed 1] [--lane packed|bundle|distilled] [--json FILE]`. A third of the times the node
kills itself at a fault point inside the commit path; else it is killed from outside at a random moment. Another process
sends calls, notes what was acknowledged in a journal, and sends again, under the same ids, what was not. At the end the log
is read: every acknowledged transaction stands in it once, none stands in it twice, and `changan verify --replay` derives
every hash and root again.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from changan.bench.figures import table_rows
from changan.cli.bench import write_json
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.store.blocklog import BlockLog
from faults_lanes import LANES

POINTS = (
    "log.append.before",
    "log.append.partial",
    "log.append.after",
    "log.sync.before",
    "log.sync.after",
    "log.note.after",
    "index.before",
    "index.after",
)
CHECKPOINT_POINTS = ("checkpoint.partial", "checkpoint.before_rename")
CHECKPOINT_SHARE = 0.05
"""These are reached once in 10,000 transactions, the others with every block."""
POINT_S_MAX = 15.0
"""How long a fault point may take to be reached."""
CHANGAN = [sys.executable, "-m", "changan.cli.main"]
_READY = re.compile(r"^ready ", re.MULTILINE)


def start(home: Path, port: int, point: str) -> subprocess.Popen[bytes]:
    """Start the node and wait until it is ready, or dead."""
    log = home.with_name("node.out")
    environment = {**os.environ, "CHANGAN_CRASH_POINT": point}
    with log.open("wb") as out, home.with_name("node.err").open("ab") as err:
        node = subprocess.Popen(
            [
                *CHANGAN,
                "up",
                "--home",
                str(home),
                "--rpc-port",
                str(port),
                "--http-port",
                "0",
                "--log-level",
                "warning",
            ],
            stdout=out,
            stderr=err,
            env=environment,
        )
    while node.poll() is None and not _READY.search(log.read_text(encoding="utf-8")):
        time.sleep(0.01)
    return node


def main() -> None:
    """Run the rounds and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lane", choices=sorted(LANES), default="packed")
    parser.add_argument("--port", type=int, default=12431)
    parser.add_argument("--seconds", type=float, default=7200, help="end after so long, with fewer rounds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        home, journal = Path(name) / "home", Path(name) / "journal"
        home.mkdir()
        (home / "changan.toml").write_text(LANES[options.lane].settings, encoding="utf-8")
        worker_file = str(Path(__file__).with_name("faults_worker.py"))
        node = start(home, options.port, "")
        worker = subprocess.Popen(
            [sys.executable, worker_file, f"127.0.0.1:{options.port}", str(home), str(journal), options.lane],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        try:
            if worker.stdout.readline() != "go\n":
                raise SystemExit("the load did not start")
            kills = kill_again_and_again(node, home, journal, options, dice)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)
        judge(home, journal, kills, options)


class Kills(NamedTuple):
    """How often the node died, by its own hand at a fault point and by ours, and how long it was up in all."""

    at_points: Counter[str]
    outside: int
    up_s: float
    start_s: list[float]


def kill_again_and_again(
    node: subprocess.Popen[bytes], home: Path, journal: Path, options: argparse.Namespace, dice: random.Random
) -> Kills:
    """Let the node die so many times, a third of them at fault points, and stop it cleanly after the last."""
    kills = Kills(Counter(), 0, 0.0, [])
    inside_wanted = options.rounds // 3
    point = ""
    end = time.monotonic() + options.seconds
    while sum(kills.at_points.values()) + kills.outside < options.rounds and time.monotonic() < end:
        ready = time.monotonic()
        deadline = ready + (POINT_S_MAX if point else dice.uniform(0.2, 1.5))
        while node.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if node.poll() is None:  # a point that was not reached in time counts as a kill from outside
            node.send_signal(signal.SIGKILL)
            kills = kills._replace(outside=kills.outside + 1)
        else:
            assert node.returncode == -signal.SIGKILL, f"the node ended with {node.returncode}"
            kills.at_points[point.partition(":")[0]] += 1
        node.wait()
        kills = kills._replace(up_s=kills.up_s + time.monotonic() - ready)
        count, inside = sum(kills.at_points.values()) + kills.outside, sum(kills.at_points.values())
        left = options.rounds - count
        wanted = inside < inside_wanted and (dice.randrange(3) == 0 or left <= inside_wanted - inside)
        point = choose(dice) if wanted else ""
        started = time.monotonic()
        node = start(home, options.port, point)
        kills.start_s.append(time.monotonic() - started)
        if count % 20 == 0:
            print(f"{count} kills, {inside} at fault points, {_lines(journal)} acknowledged", flush=True)
    if node.poll() is not None:
        node = start(home, options.port, "")
    time.sleep(1.5)
    node.send_signal(signal.SIGTERM)
    node.wait(60)
    return kills


def choose(dice: random.Random) -> str:
    """Return a fault point and at which time it is passed the node dies there."""
    if dice.random() < CHECKPOINT_SHARE:
        return f"{dice.choice(CHECKPOINT_POINTS)}:1"
    return f"{dice.choice(POINTS)}:{dice.randint(1, 25)}"


def _lines(journal: Path) -> int:
    return journal.read_text(encoding="ascii").count("\n")


def judge(home: Path, journal: Path, kills: Kills, options: argparse.Namespace) -> None:
    """Hold the journal against the log."""
    acknowledged = dict(line.split() for line in journal.read_text(encoding="ascii").splitlines())
    log = BlockLog(home / "chains" / "chain1" / "log", read_only=True)
    height_of: dict[str, int] = {}
    doubled = 0
    for height in range(log.durable_height + 1):
        for tx in BlockWithRWSet.FromString(log.read(height)).block.txs:
            doubled += tx.payload.tx_id in height_of
            height_of[tx.payload.tx_id] = height
    lost = [tx_id for tx_id, height in acknowledged.items() if height_of.get(tx_id) != int(height)]
    verified = subprocess.run(
        [*CHANGAN, "verify", "--replay", *LANES[options.lane].sample, "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    print(verified.stdout.strip() or verified.stderr.strip())
    calls = LANES[options.lane].calls
    rows = [
        ("kills", "count", kills.outside, "from outside, at random moments"),
        ("kills", "count", sum(kills.at_points.values()), f"at fault points: {dict(sorted(kills.at_points.items()))}"),
        (
            "acknowledged",
            "transactions",
            len(acknowledged),
            f"of {calls} calls: {calls * len(acknowledged) / kills.up_s:.0f} calls a second while the node was up",
        ),
        (
            "start after a kill",
            "s",
            round(max(kills.start_s), 2),
            "the longest; with the interpreter and its libraries",
        ),
        ("lost", "transactions", len(lost), "acknowledged, and not in the log at the height that was said"),
        ("doubled", "transactions", doubled, "twice in the log"),
        ("verify --replay", "exit status", verified.returncode, verified.stdout.strip()),
    ]
    for work, unit, value, note in rows:
        print(f"{work:18} {value:>8} {unit:14} {note}")
    if options.json is not None:
        shown = [
            row
            for work, unit, value, note in rows
            for row in table_rows(work, "changan", {"value": unit}, [{"value": value}], note)
        ]
        command = f"python bench/faults.py --rounds {options.rounds} --seed {options.seed} --lane {options.lane}"
        write_json(options.json, command, shown)
    sys.exit(1 if lost or doubled or verified.returncode or not acknowledged else 0)


if __name__ == "__main__":
    main()
