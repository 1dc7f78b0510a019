"""A real cluster on a network of its own: the cases of `in_namespaces.py`, run in a hub of namespaces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from network import HUB, hub_environment, why_not

CASES = Path(__file__).with_name("in_namespaces.py")


def test_a_cluster_in_namespaces_outlives_faults_of_its_network(engine, tmp_path):
    reason = why_not(tmp_path)
    if reason:
        pytest.skip(f"this machine lets nobody lay a network of his own: {reason}")
    options = ["-x", "-vv", "-s", "--timeout", "0", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "cases")]
    done = subprocess.run(
        [*HUB, sys.executable, "-m", "pytest", *options, str(CASES)],
        env={**hub_environment(), "CHANGAN_ENGINE_BINARY": str(engine)},  # nobody builds one without a network
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0
