"""The same transactions come to the same roots, whatever the hash seed, a restart, an import, and (for some) the blocks.

`python bench/determinism.py [--transactions 100000] [--seed 1]`. Random transactions on every shipped contract (calls between
contracts, failures, events, upgrades, freezing) in the same blocks: in two processes of different PYTHONHASHSEED, in one that
stops hard in the middle and takes up from its checkpoint and log, and in one that imports the first half from a file.
Then as many calls that read neither height nor time, in two cuttings into blocks. Exit status 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from determinism_load import Block, Load, write_blocks

WORKER = Path(__file__).with_name("determinism_worker.py")
TIMEOUT_S = 3600


class Run(NamedTuple):
    """What one way of executing came to: a line of roots for each height, and the end."""

    name: str
    lines: dict[int, str]
    final: dict[str, Any]


def cut(nominal: list[tuple[int, bytes, bool]], dice: random.Random, largest: int) -> list[Block]:
    """Cut transactions (time, bytes, alone) into blocks of random size; a block's time is that of its last one."""
    blocks: list[Block] = []
    waiting: list[bytes] = []
    size, last = dice.randint(1, largest), 0
    for at, request, alone in nominal:
        if waiting and (alone or len(waiting) >= size):
            blocks.append(Block(last, waiting))
            waiting, size = [], dice.randint(1, largest)
        waiting.append(request)
        last = at
        if alone:
            blocks.append(Block(last, waiting))
            waiting = []
    if waiting:
        blocks.append(Block(last, waiting))
    return blocks


def generate(
    load: Load, dice: random.Random, count: int, first_us: int, *, timeless: bool
) -> list[tuple[int, bytes, bool]]:
    """Return random transactions in order, each with a time of its own."""
    made, at = [], first_us
    for _ in range(count):
        at += dice.randint(1, 2_000)
        made.append((at, *load.one(at, timeless=timeless)))
    return made


def work(directory: Path, blocks: str, name: str, hash_seed: int, *options: str) -> None:
    """Run one worker process."""
    command = [
        sys.executable,
        str(WORKER),
        str(directory / f"{name}.home"),
        str(directory / blocks),
        str(directory / f"{name}.out"),
    ]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    subprocess.run([*command, *options], env=environment, check=True, timeout=TIMEOUT_S)


def read(directory: Path, name: str) -> Run:
    """Return what a run noted."""
    *lines, final = (directory / f"{name}.out").read_text(encoding="ascii").splitlines()
    return Run(name, {int(line.split()[0]): line.partition(" ")[2] for line in lines}, json.loads(final))


def same_blocks(directory: Path, count: int) -> tuple[list[Run], bool]:
    """Run the same blocks in four ways; return what they came to, and whether it is the same."""
    middle, mark = count // 2, count // 3

    def stopped() -> None:
        stop = ("--stop", str(middle), "--checkpoint", str(mark), "--export", str(directory / "half"))
        work(directory, "same", "restarted", 3, *stop)
        work(directory, "same", "restarted", 4)
        work(directory, "same", "imported", 5, "--import", str(directory / "half"))

    with ThreadPoolExecutor(2) as pool:
        ways = [pool.submit(stopped)]
        ways += [pool.submit(work, directory, "same", f"hash-seed-{seed}", seed) for seed in (1, 2)]
        for way in ways:
            way.result()
    runs = [read(directory, name) for name in ("hash-seed-1", "hash-seed-2", "restarted", "imported")]
    equal = all(run.lines == runs[0].lines and len(run.lines) == count for run in runs)
    return runs, equal and len({run.final["root"] for run in runs}) == 1


def other_blocks(directory: Path) -> tuple[list[Run], bool]:
    """Run the same calls in two cuttings into blocks."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda way: work(directory, way[0], way[0], way[1]), (("small", 6), ("large", 7))))
    runs = [read(directory, name) for name in ("small", "large")]
    return runs, runs[0].final == runs[1].final and runs[0].lines != runs[1].lines


def show(runs: list[Run], *, equal: bool) -> None:
    """Print a table of roots: a column a run, a row for some of the heights."""
    print(f"{'height':>8}  " + "  ".join(f"{run.name:<24}" for run in runs))
    last = max(runs[0].lines)
    for height in sorted({1, last // 4, last // 2, last * 3 // 4, last}) if len(runs) > 2 else ():
        shown = [run.lines[height].split() for run in runs]
        print(f"{height:>8}  " + "  ".join(f"block {line[0][:16]:<18}" for line in shown))
        print(f"{'':8}  " + "  ".join(f"state {line[3][:16]:<18}" for line in shown))
    print(f"{'blocks':>8}  " + "  ".join(f"{len(run.lines):<24}" for run in runs))
    print(f"{'end':>8}  " + "  ".join(f"state {run.final['root'][:16]:<18}" for run in runs))
    print(f"{'':8}  {'EQUAL' if equal else 'DIFFERENT'}", flush=True)


def main() -> None:
    """Generate, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--block", type=int, default=200, help="the most transactions of a block")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        dice = random.Random(options.seed)
        load = Load(dice)
        (directory / "genesis").write_bytes(load.config.SerializeToString(deterministic=True))
        founding = load.founding()
        made = generate(load, dice, options.transactions, founding[-1].time_us, timeless=False)
        same = [*founding, *cut(made, dice, options.block)]
        write_blocks(directory / "same", same)
        runs, equal = same_blocks(directory, len(same))
        print(f"{options.transactions} transactions in the same blocks")
        show(runs, equal=equal)
        enough = _half(runs[0], founding, started)
        timeless = generate(load, dice, options.transactions, founding[-1].time_us, timeless=True)
        for way, largest in (("small", max(2, options.block // 8)), ("large", options.block * 2)):
            write_blocks(directory / way, [*founding, *cut(timeless, dice, largest)])
        runs, also = other_blocks(directory)
        print(
            f"{options.transactions} calls that read neither height nor time, in different blocks: outcomes and the end"
        )
        show(runs, equal=also)
        enough = _half(runs[0], founding, started) and enough
    sys.exit(0 if equal and also and enough else 1)


def _half(run: Run, founding: list[Block], started: float) -> bool:
    """Say how many of the random transactions succeeded, and whether it is half of them. Those of the founding all do."""
    first = sum(len(block.requests) for block in founding)
    good, count = run.final["succeeded"] - first, run.final["total"] - first
    print(f"{good} of {count} succeeded; {time.monotonic() - started:.0f} s so far", flush=True)
    return bool(good * 2 >= count)


if __name__ == "__main__":
    main()
