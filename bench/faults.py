"""Kill a node again and again while calls are in flight, and see that nothing acknowledged is lost or doubled.

`python bench/faults.py [--rounds 300] [--seed 1] [--json FILE]`. In every third round the node kills itself at a fault point
inside the commit path; in the others it is killed from outside at a random moment. Another process sends calls, notes what was
acknowledged in a journal, and sends again, under the same ids, what was not. At the end the log is read: every acknowledged
transaction stands in it once, none stands in it twice, and `changan verify --replay` derives every hash and root again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.store.blocklog import BlockLog

POINTS = (
    "log.append.before",
    "log.append.partial",
    "log.append.after",
    "log.sync.before",
    "log.sync.after",
    "log.note.after",
)
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
    parser.add_argument("--port", type=int, default=12431)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        home, journal = Path(name) / "home", Path(name) / "journal"
        node = start(home, options.port, "")
        worker = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("faults_worker.py")),
                f"127.0.0.1:{options.port}",
                str(home),
                str(journal),
            ]
        )
        died_inside = 0
        up = 0.0
        for number in range(options.rounds):
            ready = time.monotonic()
            deadline = ready + dice.uniform(0.2, 1.5)
            inside = number % 3 == 2
            while node.poll() is None and (inside or time.monotonic() < deadline) and time.monotonic() < ready + 20:
                time.sleep(0.005)
            if node.poll() is None:
                node.send_signal(signal.SIGKILL)
            died_inside += inside
            up += time.monotonic() - ready
            node.wait()
            point = f"{dice.choice(POINTS)}:{dice.randint(1, 40)}" if number % 3 == 1 else ""
            node = start(home, options.port, point)
            if number % 20 == 19:
                print(f"{number + 1} rounds, {journal.read_text().count(chr(10))} acknowledged", flush=True)
        while node.poll() is not None:
            node = start(home, options.port, "")
        time.sleep(1.5)
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
        node.send_signal(signal.SIGTERM)
        node.wait(30)
        judge(home, journal, options.rounds, died_inside, up, options.json)


def judge(home: Path, journal: Path, rounds: int, inside: int, up: float, target: Path | None) -> None:
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
        [*CHANGAN, "verify", "--replay", "--home", str(home)], capture_output=True, text=True, check=False
    )
    print(verified.stdout.strip() or verified.stderr.strip())
    rows = [
        ("kills", "count", rounds, f"{inside} at fault points inside the commit path"),
        (
            "acknowledged",
            "transactions",
            len(acknowledged),
            f"{len(acknowledged) / up:.0f} a second while the node was up",
        ),
        ("lost", "transactions", len(lost), "acknowledged, and not in the log at the height that was said"),
        ("doubled", "transactions", doubled, "twice in the log"),
        ("verify --replay", "exit status", verified.returncode, verified.stdout.strip()),
    ]
    for work, unit, value, note in rows:
        print(f"{work:18} {value:>8} {unit:14} {note}")
    if target is not None:
        shown = [
            {
                "work": work,
                "peer": "changan",
                "unit": unit,
                "median": value,
                "min": value,
                "max": value,
                "n": 1,
                "note": note,
            }
            for work, unit, value, note in rows
        ]
        machine = f"{os.uname().machine}, {os.cpu_count()} cores"
        document = {
            "command": "python bench/faults.py",
            "machine": machine,
            "date": time.strftime("%Y-%m-%d"),
            "rows": shown,
        }
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if lost or doubled or verified.returncode else 0)


if __name__ == "__main__":
    main()
