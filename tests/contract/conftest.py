"""The suites of meaning, gas, state and inner calls run against both back ends."""

from __future__ import annotations

import pytest
from contract_running import engine

BOTH = {"test_meaning", "test_gas", "test_state", "test_inner_calls"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a suite once a back end."""
    if metafunc.module.__name__ in BOTH:
        metafunc.parametrize("back_end", ["plain", "compiled"], indirect=True, scope="module")


@pytest.fixture(autouse=True, scope="module")
def back_end(request):
    """Choose the back end that runners open."""
    engine.name = getattr(request, "param", "plain")
    yield engine.name
    engine.name = "plain"
