"""What the tests of ordering between organisations share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_binary import engine_binary


@pytest.fixture(scope="session")
def engine() -> Path:
    return engine_binary()
