"""What many tests share: a consortium with its keys, made once."""

from __future__ import annotations

import pytest

from consortium import Consortium


@pytest.fixture(scope="session")
def consortium() -> Consortium:
    return Consortium()
