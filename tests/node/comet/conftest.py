"""What the tests of ordering between organisations share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))

from engine_binary import engine_binary


@pytest.fixture(scope="session")
def engine() -> Path:
    return engine_binary()


@pytest.fixture(autouse=True, scope="module")
def quiet():
    """Tests provoke thousands of warnings."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()
