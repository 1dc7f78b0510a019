"""`python -m changan.crypto.batch.compile DIR`: compile the kernels into a directory, as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from changan.crypto.batch.kernels import compile_into

if __name__ == "__main__":
    compile_into(Path(sys.argv[1]))
