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

pytest.register_assert_rewrite("cluster_process", "load")
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


@pytest.fixture
def often(monkeypatch):
    """Snapshots of little work, in small chunks."""
    from syncing import CHUNK_BYTES

    from changan.node.comet import snapshots, state_sync

    monkeypatch.setattr(snapshots, "WORK_MIN", 12)
    monkeypatch.setattr(snapshots, "APART_S", 0)
    for module in (snapshots, state_sync):
        monkeypatch.setattr(module, "CHUNK_BYTES", CHUNK_BYTES)


@pytest.fixture
async def grown(often, model, five):
    """A chain on which an organisation joined, with contracts, events and some thirty calls behind that."""
    from membership_running import calls, join
    from model import node_of

    from changan.client.requests import install_parameters
    from consortium import EXAMPLES

    await join(model, node_of(five, 5))
    code = (EXAMPLES / "evidence.py").read_bytes()
    model.submit(0, model.request("CONTRACT_MANAGE", "INIT_CONTRACT", install_parameters("evidence", "1.0", code, {})))
    await model.send()
    await model.step(0)
    await calls(model, 30)
    await model.step(1)
    await model.step(2)
    return model


@pytest.fixture(autouse=True, scope="module")
def quiet():
    """Tests provoke thousands of warnings."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()
