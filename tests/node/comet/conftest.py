"""What the tests of ordering between organisations share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))

from engine_binary import engine_binary

from changan.node.comet.binary import BinaryError
from consortium import Consortium

_UNREACHABLE = ("dial tcp", "no such host", "i/o timeout", "connection refused", "connection reset", "proxyconnect")


@pytest.fixture(scope="session")
def engine() -> Path:
    """The real engine. Its sources come once from the Go module proxy; where nobody answers there, there is none to test."""
    try:
        return engine_binary()
    except BinaryError as error:
        if any(word in str(error) for word in _UNREACHABLE):
            pytest.skip(f"the engine's sources cannot be fetched here: {error}")
        raise


@pytest.fixture(scope="module")
def five() -> Consortium:
    """Organisations of which the model's first four vote at the beginning."""
    return Consortium(5)


@pytest.fixture
async def model(tmp_path, five):
    """Four nodes in one process that order together, with a token to pay with."""
    from model import Model
    from test_application import token

    made = Model(five, tmp_path, seed=1)
    await made.begin()
    await token(made)
    yield made
    made.close()


@pytest.fixture(autouse=True, scope="module")
def quiet():
    """Tests provoke thousands of warnings."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()
