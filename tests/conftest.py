"""What many tests share: a consortium with its keys, and the compiled kernels, made once."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from changan.crypto.batch.kernels import warm
from changan.crypto.suite import SUITE_NAMES
from consortium import Consortium
from node_process import NodeProcess

os.environ.setdefault("CHANGAN_KERNELS", "")  # nodes compile none, unless a test wants them
settings.register_profile("shared", deadline=None, derandomize=True)  # machines are shared and slow at times
settings.load_profile("shared")


@pytest.fixture(scope="session")
def consortium() -> Consortium:
    return Consortium()


@pytest.fixture(scope="session")
def kernels(pytestconfig):
    """The kernels, kept between runs beside what else pytest keeps."""
    directory = pytestconfig.cache.mkdir("kernels")
    directory.chmod(0o700)
    return warm(directory)


@pytest.fixture(scope="session", params=list(SUITE_NAMES))
def either(request) -> Consortium:
    """A consortium of each suite in turn, for rules that hold on chains of both."""
    return Consortium(suite=SUITE_NAMES[request.param])


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> NodeProcess:
    running = NodeProcess(tmp_path_factory.mktemp("node") / "home")
    yield running
    assert running.stop() == 0, running.errors.read_text()[-2000:]
