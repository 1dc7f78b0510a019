"""The compiled kernels, made once and kept between runs beside what else pytest keeps."""

from __future__ import annotations

import pytest

from changan.crypto.batch.kernels import warm


@pytest.fixture(scope="session")
def kernels(pytestconfig):
    directory = pytestconfig.cache.mkdir("kernels")
    directory.chmod(0o700)
    return warm(directory)
