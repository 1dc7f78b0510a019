"""The short form of bench/determinism.py; the long one is run by hand, with 100,000 transactions (docs/reliability.md)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent.parent / "bench" / "determinism.py"


def test_the_same_transactions_come_to_the_same_roots():
    command = [sys.executable, str(PROGRAM), "--transactions", "2000", "--block", "80", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("EQUAL") == 2
    assert "DIFFERENT" not in done.stdout
