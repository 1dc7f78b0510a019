"""Plant faults in the compiled back end, one at a time, and see that the tests catch each.

`python tools/mutate_emitter.py [WORD ...]`
Words choose mutants by their name. Each runs the tests of the compiled back end on a copy of the sources; a mutant that
passes them all is a hole in the tests. The unchanged sources are the control. Exit code 1 where one lives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TESTS = [
    "test_compiled_law.py",
    "test_compiled.py",
    "test_meaning.py",
    "test_gas.py",
    "test_state.py",
    "test_inner_calls.py",
]
TIMEOUT_SECONDS = 600


class Mutant(NamedTuple):
    """One fault: where, what stands there, and what takes its place."""

    name: str
    file: str
    old: str
    new: str


def read_mutants() -> list[Mutant]:
    """Return the mutants of `emitter_mutants.txt`.

    Each is: after ===, the file and a name; what stands there; after --->, what takes its place.
    """
    found = []
    for entry in (Path(__file__).parent / "emitter_mutants.txt").read_text(encoding="utf-8").split("=== ")[1:]:
        head, _, body = entry.partition("\n")
        file, _, name = head.partition(": ")
        old, _, new = body.removesuffix("\n").partition("\n--->\n")
        found.append(Mutant(name, file, old, new))
    return found


def caught(mutant: Mutant | None) -> bool:
    """Whether the tests fail with a mutant (or, without one, whether they fail at all)."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            path = copy / "changan" / "contract" / "compiled" / mutant.file
            text = path.read_text(encoding="utf-8")
            if text.count(mutant.old) != 1:
                raise SystemExit(f"{mutant.name}: its text stands {text.count(mutant.old)} times in {mutant.file}")
            path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        tests = [f"tests/contract/{test}" for test in TESTS]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
        chosen = ["-k", "not plain"]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [*command, *chosen],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return True  # an endless loop is a fault that is seen
        if done.returncode not in {0, 1, 2}:
            raise SystemExit(done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:])
        return done.returncode != 0


def main() -> None:
    """Try the control and every chosen mutant."""
    words = sys.argv[1:]
    chosen = [mutant for mutant in read_mutants() if not words or any(word in mutant.name for word in words)]
    if not words and caught(None):
        raise SystemExit("the tests fail without any mutant")
    lived = []
    for mutant in chosen:
        seen = caught(mutant)
        print(f"{'caught' if seen else 'LIVES '}  {mutant.file:20} {mutant.name}", flush=True)
        if not seen:
            lived.append(mutant.name)
    print(f"{len(chosen) - len(lived)} of {len(chosen)} caught")
    if lived:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
