"""What an author's editor says of the shipped examples: nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "src" / "changan" / "examples").glob("[a-z]*.py"))
MYPY = Path(sys.executable).with_name("mypy")
PYRIGHT = Path(sys.executable).with_name("pyright")


def test_there_are_examples():
    assert {"token", "evidence"} <= {path.stem for path in EXAMPLES}


@pytest.mark.skipif(not MYPY.exists(), reason="mypy is not installed")
def test_examples_are_clean_under_mypy(tmp_path):
    copies = [tmp_path / path.name for path in EXAMPLES]
    for path, copy in zip(EXAMPLES, copies, strict=True):
        copy.write_text(path.read_text())  # away from the project's own settings, as an author has it
    command = [MYPY, "--strict", "--cache-dir", ROOT / ".mypy_cache", *copies]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(not PYRIGHT.exists(), reason="pyright is not installed")
def test_examples_are_clean_under_pyright(tmp_path):
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"extraPaths": [str(ROOT / "src")], "typeCheckingMode": "standard"})
    )
    for path in EXAMPLES:
        (tmp_path / path.name).write_text(path.read_text())
    command = [PYRIGHT, "--pythonpath", sys.executable, "--outputjson"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    if not run.stdout.startswith("{"):
        pytest.skip(f"pyright cannot run here: {run.stderr[:200]}")
    found = json.loads(run.stdout)
    assert found["summary"]["filesAnalyzed"] == len(EXAMPLES)
    assert found["generalDiagnostics"] == []
