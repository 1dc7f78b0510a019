"""Fuzz with coverage: `python fuzz/run.py [--seconds 60] [TARGET ...]`, all targets in turn where none is named.

What a target raises, an input that takes more than a second of CPU, and one that hangs end the run with exit status 1; the
input is kept in `fuzz/findings/`. What was found to reach new code is kept in `fuzz/work/`, so that a later run goes on
from there. Prints a table of inputs and seconds.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
INPUT_S_MAX = 1.0
HANG_S = 10
"""Wall seconds, on a machine that others share, after which an input counts as hanging."""
INPUT_BYTES_MAX = 8192
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERED = re.compile(r"cov: (\d+) ft: (\d+)")


def fuzz(target: str, arguments: list[str]) -> None:
    """Run one target in this process; it ends the process."""
    import atheris  # noqa: PLC0415  # only this process needs it

    with atheris.instrument_imports(include=["changan"]):
        from targets import TARGETS  # noqa: PLC0415  # instrumented as it is imported

    run = TARGETS[target]

    def timed(data: bytes) -> None:
        started = time.process_time()
        run(data)
        spent = time.process_time() - started
        if spent > INPUT_S_MAX:
            raise RuntimeError(f"{len(data)} bytes took {spent:.2f} s")

    run(b"")  # what is made once is made before the clock runs
    atheris.Setup([sys.argv[0], *arguments], timed)
    atheris.Fuzz()


def one(target: str, seconds: int) -> tuple[int, float, str, bool]:
    """Fuzz a target for so long in a process of its own; return inputs, seconds, coverage, and whether it went well."""
    work, findings = HERE / "work" / target, HERE / "findings"
    for directory in (work, findings):
        directory.mkdir(parents=True, exist_ok=True)
    dictionary = HERE / f"{target}.dict"
    arguments = [
        str(work),
        str(HERE / "corpus" / target),
        f"-max_total_time={seconds}",
        f"-timeout={HANG_S}",
        f"-max_len={INPUT_BYTES_MAX}",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        f"-artifact_prefix={findings}/{target}-",
        *([f"-dict={dictionary}"] if dictionary.exists() else []),
    ]
    started = time.monotonic()
    command = [sys.executable, str(Path(__file__)), "--one", target, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=seconds + 600)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    executed = _EXECUTED.findall(text)
    covered = _COVERED.findall(text)
    if done.returncode:
        print(text[-6000:])
    coverage = "{} edges, {} features".format(*covered[-1]) if covered else ""
    return int(executed[-1]) if executed else 0, time.monotonic() - started, coverage, done.returncode == 0


def main() -> None:
    """Run the targets in turn and print a table."""
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
        return
    from targets import TARGETS  # noqa: PLC0415  # not before it is instrumented, in the processes above

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(TARGETS)}")
    inputs, spent, well = 0, 0.0, True
    for target in options.targets or TARGETS:
        found = one(target, options.seconds)
        print(
            f"{target:14} {found[0]:>10} inputs {found[1]:>7.0f} s  {found[2]}{'' if found[3] else '  FAILED'}",
            flush=True,
        )
        inputs, spent, well = inputs + found[0], spent + found[1], well and found[3]
    print(f"{'all':14} {inputs:>10} inputs {spent:>7.0f} s  {time.strftime('%Y-%m-%d')}")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
