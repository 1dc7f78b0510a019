"""The settings file: what it may say, what it is refused for, and what a later edit does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.ledger.chain_config import Mode
from changan.ledger.rules import Rule
from changan.node.settings import (
    ChainSettings,
    Settings,
    SettingsError,
    add_chain,
    numbered_organisations,
    read_settings,
    settings_text,
)
from node_process import NodeProcess, changan

ORGANISATIONS = ["bank.example", "port.example", "customs.example"]
MADE = f"""
organisations = {ORGANISATIONS}
demo = false
rate_limit = 500

[[chains]]
id = "trade"
block_tx_capacity = 7
block_size_mib = 2
tx_timestamp_verify = false
[chains.policies]
CONTRACT_MANAGE-INIT_CONTRACT = {{ rule = "MAJORITY", roles = ["ADMIN"] }}
CONTRACT_MANAGE-FREEZE_CONTRACT = {{ rule = "1/3", organisations = ["bank.example"], roles = ["ADMIN"] }}

[[chains]]
id = "second"
"""


def test_a_file_of_every_kind(tmp_path):
    path = tmp_path / "changan.toml"
    path.write_text(MADE)
    settings = read_settings(path)
    assert settings.organisations == tuple(ORGANISATIONS)
    assert (settings.demo, settings.rate_limit) == (False, 500)
    trade, second = settings.chains
    assert (trade.block_tx_capacity, trade.block_size_mib, trade.tx_timestamp_verify) == (7, 2, False)
    assert trade.policies["CONTRACT_MANAGE-INIT_CONTRACT"] == Rule("MAJORITY", (), ("ADMIN",))
    assert trade.policies["CONTRACT_MANAGE-FREEZE_CONTRACT"] == Rule("1/3", ("bank.example",), ("ADMIN",))
    assert second == ChainSettings(chain_id="second")
    add_chain(path, "third")
    assert [chain.chain_id for chain in read_settings(path).chains] == ["trade", "second", "third"]


@given(st.integers(1, 100), st.booleans(), st.integers(1, 10**6), st.integers(1, 100_000), st.sampled_from(Mode))
def test_what_is_written_reads_back(tmp_path_factory, organisations, demo, rate, capacity, mode):
    chains = (ChainSettings(block_tx_capacity=capacity), ChainSettings(chain_id="b", tx_timestamp_verify=demo))
    settings = Settings(numbered_organisations(organisations), chains, demo, rate, mode)
    path = tmp_path_factory.mktemp("settings") / "changan.toml"
    path.write_text(settings_text(settings))
    assert read_settings(path) == settings


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("organisations = 0", "known are organisations"),
        ("organisations = true", "known are organisations"),
        ("organisations = []", "known are organisations"),
        ('organisations = ["a", "a"]', "known are organisations"),
        ('organisations = ["a/b"]', "not of the form"),
        ('organisations = ["../x"]', "not of the form"),
        ("organisations = 101", "known are organisations"),
        ("demo = 1", "known are organisations"),
        ('engine = "fast"', "plain or compiled"),
        ("rate_limit = 0", "known are organisations"),
        ("colour = 3", "colour = 3"),
        ("chains = 3", "chains = 3"),
        ("chains = [1]", r"written as \[\[chains\]\]"),
        ('[[chains]]\nid = "a b"', "not of the form"),
        ('[[chains]]\nid = "a"\n[[chains]]\nid = "a"', "two chains have one id"),
        ("[[chains]]\nblock_tx_capacity = 0", "a number from 1"),
        ("[[chains]]\nblock_interval_ms = 5", "a number from 10"),
        ("[[chains]]\nblock_size_mib = 1.5", "a number from 1"),
        ("[[chains]]\nunknown = 1", "chains.unknown"),
        ('[[chains]]\n[chains.policies]\nX = { rule = "ANY" }', "CONTRACT-METHOD"),
        ('[[chains]]\n[chains.policies]\nA-B = { rule = "SOME" }', "not of the form"),
        ("[[chains]]\n[chains.policies]\nA-B = { roles = [] }", "written as"),
        ('[[chains]]\n[chains.policies]\nA-B = { rule = "ANY", roles = [1] }', "lists of names"),
        ("= 3", "at line 1"),
    ],
)
def test_what_is_refused(tmp_path, text, says):
    path = tmp_path / "changan.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=says) as caught:
        read_settings(path)
    assert str(path) in str(caught.value)


def test_a_home_is_made_as_its_settings_say_and_an_edit_is_shown(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "changan.toml").write_text(MADE)
    node = NodeProcess(home)
    for chain_id in ("trade", "second"):
        assert [entry["chain_id"] for entry in node.get("/v1/chains", chain_id=chain_id)] == [chain_id]
    assert sorted(path.name for path in (home / "crypto-config").iterdir()) == sorted(ORGANISATIONS)
    with node.connect(chain_id="trade", org_id="port.example") as client:
        config = client.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result
    assert node.stop() == 0
    (home / "changan.toml").write_text(MADE.replace("block_tx_capacity = 7", "block_tx_capacity = 9"))
    node = NodeProcess(home)
    assert "trade: block.blockTxCapacity was 7 when the chain was made, and is now 9" in node.output
    assert "second:" not in node.output
    with node.connect(chain_id="trade", org_id="port.example") as client:
        assert client.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result == config
    assert node.stop() == 0


def test_a_home_of_another_format_and_bad_settings_are_refused_in_words(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "changan.toml").write_text("organisations = 0")
    refused = changan("up", "--home", str(home))
    assert refused.returncode == 1
    assert "organisations = 0" in refused.stderr
    (home / "VERSION").write_text("7\n")
    refused = changan("up", "--home", str(home))
    assert refused.returncode == 1
    assert "newer release" in refused.stderr
    assert "Traceback" not in refused.stderr
