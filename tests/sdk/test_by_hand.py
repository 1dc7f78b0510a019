"""What both releases of the official SDK can do: requests made and sent by hand, which is all that 3.0.7 leaves of calls."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from test_conformance import HERE, TOKEN, drive, stop_and_replay

from node_process import NodeProcess

NEWER = Path(sys.prefix) / "sdk-3.0.7"
"""Where `make` puts the newer release, beside the environment's own."""


@pytest.mark.parametrize(
    ("release", "named", "invoked"),
    [
        (None, "3.0.6", ""),
        pytest.param(
            NEWER,
            "3.0.7",
            "AttributeError: 'NoneType' object has no attribute 'tx_type'",
            marks=pytest.mark.skipif(not NEWER.exists(), reason="`make` installs the SDK 3.0.7 beside the environment"),
        ),
    ],
    ids=["3.0.6", "3.0.7"],
)
def test_what_is_left_works(tmp_path, release, named, invoked):
    node = NodeProcess(tmp_path / "home", "--no-demo", "--tls", "--mutual")
    ended = drive(HERE / "by_hand.py", node.home / "sdk_config.yml", TOKEN, release=release)
    stop_and_replay(node)
    assert ended["version"] == named
    assert ended["steps"] == dict.fromkeys(ended["steps"], "")
    assert len(ended["steps"]) == 8
    assert ended["invoke_contract"] == invoked, "what no node can mend"
