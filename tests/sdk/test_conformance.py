"""The official SDK, unmodified, in a process that never imports ours: every public method, over both transports, in every mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import page
import pytest
import record

from node_process import NodeProcess, changan

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TOKEN = ROOT / "src" / "changan" / "examples" / "token.py"
TRANSPORTS = {"plaintext": ((), "sdk_config.yml"), "mutual TLS": (("--tls", "--mutual"), "sdk_config_tls.yml")}


def drive(program: Path, *arguments: object, release: Path | None = None) -> dict:
    """Run a program that uses the SDK, that of the environment or another release; return the JSON that it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if release is not None:
        environment["PYTHONPATH"] = str(release)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=290,  # on a chain of SM2 the SDK reckons for most of a minute, and machines are shared
        check=False,
    )
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout)


def demand_as_told(report: dict, chain: str) -> None:
    """Demand that a run on a chain failed nowhere, and that the page of compatibility gives its numbers."""
    failed = [one for one in (*report["methods"], *report["behaviours"]) if one["verdict"] == page.VERDICTS[-1]]
    assert not failed, json.dumps(failed, indent=1, ensure_ascii=False)
    assert report["ours"] == []
    verdicts = [one["verdict"] for one in report["methods"]]
    counted = page.sentence(chain, len(verdicts), page.ended(verdicts))
    compatibility = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    assert f"- {counted}\n" in compatibility, counted


def stop_and_replay(node: NodeProcess) -> None:
    """Stop a node, and demand that what was done to its chain gives the same states again."""
    assert node.stop() == 0, node.errors.read_text()[-2000:]
    verified = changan("verify", "--replay", "--home", str(node.home))
    assert verified.returncode == 0, verified.stderr


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request, tmp_path_factory):
    """A running node, and the configuration with which the SDK reaches it."""
    options, config = TRANSPORTS[request.param]
    node = NodeProcess(tmp_path_factory.mktemp("node") / "home", *options)
    yield node, node.home / config
    stop_and_replay(node)


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("package") / "token.changan"
    built = changan("contract", "build", str(TOKEN), "-o", str(made))
    assert built.returncode == 0, built.stderr
    return made


@pytest.fixture(scope="module")
def report(transport, package) -> dict:
    """What the driver says of every method, over one transport."""
    return drive(HERE / "driver.py", transport[1], TOKEN, package)


def test_every_method_ends_as_the_table_says(report):
    failed = [one for one in (*report["methods"], *report["behaviours"]) if one["verdict"] == page.VERDICTS[-1]]
    assert not failed, json.dumps(failed, indent=1, ensure_ascii=False)
    assert {one["verdict"] for one in report["behaviours"]} == {"works"}


def test_every_public_method_is_driven_once(report):
    driven = [one["method"] for one in report["methods"]]
    assert len(driven) == len(set(driven)) == record.PUBLIC_NAMES
    for kind, names in record.CLASSES.items():
        assert {one["method"] for one in report["methods"] if one["class"] == kind} == names


def test_what_must_work_works(report):
    ended = {one["method"]: one["verdict"] for one in report["methods"] if one["class"] in {"C1", "local"}}
    broken = {method for method, verdict in ended.items() if verdict != "works"}
    assert broken & record.CLASSES["C1"] == {"chain_config_consensus_ext_check", "sender_address"}
    assert broken - record.CLASSES["C1"] == {"sign_contract_manage_payload", "sync_canonical_tx_result"}
    assert set(ended.values()) == {"works", "defect of the SDK"}


def test_only_known_defects_of_the_sdk_are_excused(report):
    defects = {one["method"] for one in report["methods"] if one["verdict"] == "defect of the SDK"}
    assert defects == record.DEFECTS.keys() | record.FOUND_HERE.keys()


def test_the_process_imported_nothing_of_ours(report):
    assert report["ours"] == []


def test_the_page_shows_what_the_run_gave(report):
    shown = (ROOT / "docs" / "sdk-methods.md").read_text(encoding="utf-8")
    assert shown.partition(page.NATIONAL)[0] == page.as_markdown(report), (
        "run tests/sdk/driver.py with --markdown and write the page anew"
    )
    compatibility = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    for one in page.counts(report["methods"]):
        assert f"- {page.sentence(*one)}\n" in compatibility


@pytest.mark.parametrize("mode", ["key", "public"])
def test_the_other_identity_modes(mode, package, tmp_path):
    node = NodeProcess(tmp_path / "home", "--auth", mode)
    report = drive(HERE / "driver.py", node.home / "sdk_config.yml", TOKEN, package)
    stop_and_replay(node)
    demand_as_told(report, f"`--auth {mode}`")


def test_tls_is_as_strict_as_the_record_says(transport):
    node, config = transport
    ended = drive(HERE / "tls_cases.py", config)
    expected = {
        "as configured": True,
        "by the name localhost": True,
        "by its address": True,
        "by a wrong name": False,
        "without a client certificate": False,
        "trusting another organisation": False,
        "trusting nobody": False,
        "trusting a directory of directories": False,
        "the other transport": False,
    }
    if config.name == "sdk_config.yml":  # without TLS nothing of this is looked at, but the transport
        expected = dict.fromkeys(expected, True) | {"the other transport": False}
    assert {case: not words for case, words in ended.items()} == expected, ended
    assert node.get("/v1/health")
