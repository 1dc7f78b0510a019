"""The official SDK, unmodified, on a chain of SM2 and SM3 in every identity mode: what it can do works, and the rest is its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_conformance import HERE, ROOT, TOKEN, drive, stop_and_replay

from node_process import NodeProcess

# What the SDK itself cannot do with SM2: how the step ends, and what its words begin with.
DEFECTS = {
    "address": ("is wrong", ""),
    "sender_address": ("PyAsn1Error", "<TagSet object"),
    "ChainMaker's form of the address": ("PyAsn1Error", "<TagSet object"),
}
WITHOUT_CERTIFICATE = {"uid": ("PyAsn1Error", "<TagSet object")}
WITH_CERTIFICATE = dict.fromkeys(
    ("cert_hash", "add_cert", "enable_cert_hash"),
    ("UnsupportedAlgorithm", "Signature algorithm OID: 1.2.156.10197.1.501"),
)


@pytest.mark.parametrize(
    ("options", "defects"),
    [
        (("--auth", "cert", "--tls", "--mutual"), DEFECTS | WITH_CERTIFICATE),
        (("--auth", "key"), DEFECTS | WITHOUT_CERTIFICATE),
        (("--auth", "public"), DEFECTS | WITHOUT_CERTIFICATE),
    ],
    ids=["cert over mutual TLS", "key", "public"],
)
def test_what_the_sdk_can_do(tmp_path, options, defects):
    node = NodeProcess(tmp_path / "home", "--suite", "gm", "--no-demo", *options)
    report = drive(HERE / "national.py", node.home / "sdk_config.yml", TOKEN)
    stop_and_replay(node)
    assert report["ours"] == []
    failed = {name: ended for name, ended in report["steps"].items() if ended[0] != "works"}
    assert failed.keys() == defects.keys(), {name: failed[name] for name in failed if name not in defects}
    for name, (kind, words) in defects.items():
        assert failed[name][0] == kind
        assert failed[name][1].startswith(words)
    assert len(report["steps"]) - len(failed) >= 15


def test_the_page_names_every_defect():
    """The list in docs/compatibility.md is the one that the runs give."""
    page = (Path(ROOT) / "docs" / "compatibility.md").read_text(encoding="utf-8")
    section = page.partition("## The national suite\n")[2].partition("\n## ")[0]
    for name in ("address", "sender_address", "user.uid", *WITH_CERTIFICATE):
        assert f"`{name}`" in section
    assert {kind for kind, _ in (DEFECTS | WITH_CERTIFICATE).values()} <= {
        "is wrong",
        "PyAsn1Error",
        "UnsupportedAlgorithm",
    }
    for kind in ("PyAsn1Error", "UnsupportedAlgorithm"):
        assert f"`{kind}`" in section
