"""Commands speak English in tests, nobody sits at a terminal, and a file holds a password."""

from __future__ import annotations

import pytest
from identity_running import PASSWORD, written


@pytest.fixture(autouse=True)
def english_and_nobody_there(monkeypatch):
    monkeypatch.delenv("CHANGAN_PASSWORD", raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def secret(tmp_path):
    return written(tmp_path / "password", PASSWORD)
