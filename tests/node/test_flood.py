"""One client's flood beside a quiet one, through the door: the flood waits for itself."""

from __future__ import annotations

import re
import subprocess
import sys

from consortium import EXAMPLES

FAIRNESS = EXAMPLES.parents[2] / "bench" / "fairness.py"
WORSE = 10
"""How much longer the quiet client's usual call may take. It was up to 3 times with turns, and 12 to 370 times without."""


def test_a_quiet_client_does_not_wait_for_a_flood():
    command = [sys.executable, str(FAIRNESS), "--seconds", "2"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    alone, beside = (float(p50) for p50 in re.findall(r"p50 ([\d.]+) ms", ran.stdout))
    assert "calls a second" in ran.stdout
    assert beside < WORSE * max(alone, 2), ran.stdout  # where a disk is faster than that, the flood's own work is more
