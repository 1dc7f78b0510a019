"""The list of faults fits the sources, and a few of them are caught; `make mutants` plants them all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mutate_emitter
from emitter_operators import OPERATORS, mutants

ROOT = Path(__file__).parents[2]
COMPILED = ROOT / "src" / mutate_emitter.COMPILED
FEW = ["add-for-sub", "skip-check", "no-touch", "nothing goes on the undo log"]


@pytest.mark.parametrize("operator", mutate_emitter.chosen_operators([]), ids=lambda operator: operator.name)
def test_every_operator_has_places(operator):
    places = list(mutants(operator, COMPILED))
    assert places
    assert operator in OPERATORS or len(places) == 1


def test_every_place_without_a_difference_is_one():
    known = {(operator.name, mutant.line) for operator in OPERATORS for mutant in mutants(operator, COMPILED)}
    assert set(mutate_emitter.read_equivalents()) <= known


def test_names_are_told_apart():
    names = [operator.name for operator in mutate_emitter.chosen_operators([])]
    assert len(set(names)) == len(names) >= 100


def test_a_few_faults_are_caught():
    command = [sys.executable, ROOT / "tools" / "mutate_emitter.py", "--places", "1", "--operators", ",".join(FEW)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(FEW)} of {len(FEW)} caught" in done.stdout
