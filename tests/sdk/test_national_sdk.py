"""The official SDK, unmodified, on a chain of SM2 and SM3 in every identity mode: every public method, and nothing fails but what is its own."""

from __future__ import annotations

import page
import pytest
import record
from test_conformance import HERE, ROOT, TOKEN, demand_as_told, drive, package, stop_and_replay

from node_process import NodeProcess

__all__ = ["package"]
WITH_CERTIFICATES = {name for name, note in record.ON_SM2.items() if note == record.CERTIFICATE_DIGEST}
MODES = {
    "cert": (("--tls", "--mutual"), record.ON_SM2.keys()),
    "key": ((), record.ON_SM2.keys() - WITH_CERTIFICATES),
    "public": ((), record.ON_SM2.keys() - WITH_CERTIFICATES),
}


@pytest.fixture(scope="module", params=MODES)
def driven(request, package, tmp_path_factory):
    """The mode of a chain of SM2 and SM3, what the driver says of every method there, and which of them only SM2 breaks."""
    options, broken = MODES[request.param]
    home = tmp_path_factory.mktemp("node") / "home"
    node = NodeProcess(home, "--suite", "gm", "--no-demo", "--auth", request.param, *options)
    report = drive(HERE / "driver.py", node.home / "sdk_config.yml", TOKEN, package)
    stop_and_replay(node)
    return request.param, report, broken


def test_every_method_ends_as_the_table_says(driven):
    mode, report, _ = driven
    demand_as_told(report, f"`--suite gm --auth {mode}`")


def test_only_known_defects_of_the_sdk_are_excused(driven):
    _, report, broken = driven
    ended = {one["method"]: one["verdict"] for one in report["methods"]}
    defects = {method for method, verdict in ended.items() if verdict == "defect of the SDK"}
    assert defects == ended.keys() & (record.DEFECTS.keys() | record.FOUND_HERE.keys()) | broken


def test_the_page_shows_what_the_run_gave(driven):
    mode, report, _ = driven
    shown = (ROOT / "docs" / "sdk-methods.md").read_text(encoding="utf-8")
    if mode == "cert":
        assert shown.partition(page.NATIONAL)[2] == page.as_national_markdown(report).removeprefix(page.NATIONAL)
