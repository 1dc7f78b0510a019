"""Plant faults in the compiled back end, one at a time, and see that the tests catch each.

`python tools/mutate_emitter.py [--operators WORD,WORD] [--places N] [--seed S] [--json FILE]`

Operators are those of `emitter_operators.py` and the faults of one place each of `emitter_mutants.txt`; words choose them by
their names. Of an operator's places N are taken, evenly over the sources (0: all), beginning at S. Each mutant runs the tests
of the compiled back end on a copy of the sources until one fails; a mutant that passes them all is a hole in the tests. Where
no module comes of it, the next place is taken. Places where no contract can tell the difference are
listed with the reason in `emitter_equivalents.txt`. The unchanged sources are the control. Exit code 1 where one lives.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import emitter_operators
from emitter_operators import OPERATORS, Mutant, Operator

TOOLS = Path(__file__).parent
ROOT = TOOLS.parent
COMPILED = Path("changan") / "contract" / "compiled"
# What catches most in the shortest time comes first.
TESTS = [
    ("numbers or examples", ["test_compiled_arithmetic.py", "test_compiled_law.py"]),
    ("not plain", ["test_gas.py", "test_state.py", "test_meaning.py", "test_inner_calls.py", "test_compiled.py"]),
    ("random or collide", ["test_compiled_law.py"]),
]
_TEST_SECONDS = 25  # an endless loop is a fault that is seen
NO_MODULE = "no module"
_NO_MODULE = re.compile(r"WasmtimeError|wat2wasm|SyntaxError|NameError|IndentationError")


class Trial(NamedTuple):
    """What came of one mutant: the test that caught it, "" where none did, or that no module came of it."""

    operator: str
    place: str
    test: str
    seconds: float


class Workshop:
    """A copy of the sources, in which one file at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self._sources = folder / "src"
        shutil.copytree(ROOT / "src", self._sources, ignore=shutil.ignore_patterns("__pycache__"))
        # Found by what they hold, not by their time: a file is changed more often than once a second.
        compileall.compile_dir(self._sources, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        self.compiled = self._sources / COMPILED

    def try_mutant(self, mutant: Mutant) -> Trial:
        """Return what came of a mutant."""
        path = self.compiled / mutant.file
        kept = path.read_text(encoding="utf-8")
        path.write_text(mutant.text, encoding="utf-8")
        start = time.monotonic()
        try:
            test = self.failing_test()
        finally:
            path.write_text(kept, encoding="utf-8")
        return Trial(mutant.operator.name, f"{mutant.file}:{mutant.number}", test, round(time.monotonic() - start, 1))

    def failing_test(self) -> str:
        """Return the first test that fails, "" where none does."""
        for words, tests in TESTS:
            found = self._run(words, tests)
            if found != "":
                return found
        return ""

    def _run(self, words: str, tests: list[str]) -> str:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--assert", "plain", "--tb", "short", "-k", words]
        command += ["-p", "no:cacheprovider", "-p", "no:xdist"]
        command += ["--timeout", str(_TEST_SECONDS), "--timeout-method", "thread"]
        command += [f"tests/contract/{test}" for test in tests]
        environment = {**os.environ, "PYTHONPATH": str(self._sources), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        told = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
        if done.returncode == 0:
            return ""
        if _NO_MODULE.search(told):
            return NO_MODULE
        found = re.search(r"^(?:FAILED|ERROR) tests/contract/(\S+)", told, re.MULTILINE)
        # A process that was ended in the middle (by its time, or by a wild address) names no test.
        return found[1] if found else f"exit {done.returncode}"


def chosen_operators(words: list[str]) -> list[Operator]:
    """Return the operators that have one of these names, or hold one in theirs where none has it; or all."""
    known = [*OPERATORS, *emitter_operators.faults((TOOLS / "emitter_mutants.txt").read_text(encoding="utf-8"))]
    names = {operator.name for operator in known}
    return [o for o in known if not words or any(w == o.name or (w in o.name and w not in names) for w in words)]


def read_equivalents() -> dict[tuple[str, str], str]:
    """Return why no contract can tell a mutant apart, by the operator's name and the line it changes.

    Each entry is: after ===, the reason; then lines of an operator's name, a colon and the source line.
    """
    found = {}
    for entry in (TOOLS / "emitter_equivalents.txt").read_text(encoding="utf-8").split("=== ")[1:]:
        reason, *places = entry.strip().splitlines()
        for place in places:
            name, _, line = place.partition(": ")
            found[name, line] = reason
    return found


def mutants_of(operator: Operator, folder: Path) -> list[Mutant]:
    """Return an operator's mutants, but for those that no contract can tell apart."""
    same = read_equivalents()
    return [m for m in emitter_operators.mutants(operator, folder) if (operator.name, m.line) not in same]


def spread(places: list[Mutant], seed: int, count: int) -> list[Mutant]:
    """Return places in the order they are tried: evenly over all of them first, then what lies between."""
    if not count or count >= len(places):
        return places
    step = len(places) / count
    first = [int(number * step + seed) % len(places) for number in range(count)]
    return [places[number] for number in [*first, *(n for n in range(len(places)) if n not in set(first))]]


def try_operator(workshop: Workshop, operator: Operator, count: int, seed: int) -> tuple[list[Trial], int]:
    """Try an operator at so many places; return what came of it, and how many places it has."""
    places = mutants_of(operator, workshop.compiled)
    trials: list[Trial] = []
    for mutant in spread(places, seed, count):
        trial = workshop.try_mutant(mutant)
        if trial.test != NO_MODULE or len(places) == 1:
            trials.append(trial)
            told = f"caught by {trial.test}" if trial.test else "LIVES"
            print(f"{operator.name:28.60} {trial.place:24} {told} {trial.seconds:.0f} s\n    {mutant.line}", flush=True)
        if len(trials) == (count or len(places)):
            break
    return trials, len(places)


def main() -> None:
    """Try the control and the chosen mutants."""
    parser = argparse.ArgumentParser(
        description="Plant faults in the compiled back end and see that the tests catch each."
    )
    parser.add_argument(
        "--operators", default="", help="words of the names of operators, with commas between; default all"
    )
    parser.add_argument("--places", type=int, default=4, help="places of each operator, 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="at which place to begin")
    parser.add_argument("--json", type=Path, help="where to write what came of each")
    options = parser.parse_args()
    operators = chosen_operators([word for word in options.operators.split(",") if word])
    rows, trials = [], []
    with tempfile.TemporaryDirectory() as name:
        workshop = Workshop(Path(name))
        if not options.operators and workshop.failing_test() != "":
            raise SystemExit("the tests fail without any mutant")
        for operator in operators:
            tried, places = try_operator(workshop, operator, options.places, options.seed)
            trials += tried
            rows.append(
                (operator.name, len(tried), places, sum(t.test != "" for t in tried), sum(t.seconds for t in tried))
            )
    print(f"\n{'operator':60} {'places':>6} {'tried':>6} {'caught':>6} {'s':>6}")
    for operator_name, count, places, caught, seconds in rows:
        print(f"{operator_name:60.60} {places:6} {count:6} {caught:6} {seconds:6.0f}")
    lived = [trial for trial in trials if trial.test == ""]
    print(f"{len(trials) - len(lived)} of {len(trials)} caught, {len(operators)} operators")
    if options.json:
        options.json.write_text(json.dumps([trial._asdict() for trial in trials], indent=1), encoding="utf-8")
    if lived:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
