"""The settings file: what it may say, what it is refused for, and what a later edit does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto.suite import Suite
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
    chains = (
        ChainSettings(block_tx_capacity=capacity),
        ChainSettings(chain_id="b", tx_timestamp_verify=demo, distilled=demo),
    )
    settings = Settings(numbered_organisations(organisations), chains, demo, rate, mode, engine_blocks=999 + capacity)
    path = tmp_path_factory.mktemp("settings") / "changan.toml"
    path.write_text(settings_text(settings))
    assert read_settings(path) == settings


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("engine_blocks = 999", "engine_blocks \\(0, or 1000 and more\\)"),
        ("engine_blocks = -1", "engine_blocks = -1"),
        ("engine_blocks = true", "engine_blocks = True"),
        ('engine_blocks = "all"', "engine_blocks = 'all'"),
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
        ('[[chains]]\ndistilled = "yes"', "chains.distilled = 'yes': known are id, tx_timestamp_verify, distilled"),
        ('suite = "gm"\n[[chains]]\ndistilled = true', "the national suite has no BLS signatures: leave distilled out"),
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


@pytest.mark.parametrize(
    ("text", "chain_id", "says"),
    [
        (MADE, "trade", "has chain trade already"),
        (MADE, "a-b", "'a-b': the id of a chain is 1 to 30 letters, digits and _"),
        (MADE, "a" * 31, "the id of a chain is 1 to 30 letters"),
        (MADE, "", "'': the id of a chain is"),
        (MADE, 'x"\n[[chains]]', "the id of a chain is"),
        ('chains = [{ id = "one" }]', "two", "holds its chains in one line: write each below a line [[chains]] first"),
        ("demo = 3", "two", "demo = 3: known are"),
    ],
)
def test_a_chain_that_cannot_be_added_leaves_the_file_as_it_was(tmp_path, text, chain_id, says):
    path = tmp_path / "changan.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(says)) as caught:
        add_chain(path, chain_id)
    assert str(path) in str(caught.value) or repr(chain_id) in str(caught.value)
    assert path.read_text() == text


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "  # a remark"])
def test_a_chain_is_added_however_the_file_ends(tmp_path, end):
    path = tmp_path / "changan.toml"
    path.write_text(MADE.rstrip() + end)
    add_chain(path, "third_1")
    add_chain(path, "z" * 30)
    assert [chain.chain_id for chain in read_settings(path).chains] == ["trade", "second", "third_1", "z" * 30]


@given(
    st.lists(st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", fullmatch=True), min_size=1, max_size=5, unique=True),
    st.sampled_from(list(Suite)),
    st.lists(st.sampled_from(list(Suite)), unique=True),
    st.sampled_from(["plain", "compiled"]),
)
def test_names_suites_and_engines_read_back(tmp_path_factory, names, suite, admits, engine):
    chains = (ChainSettings(admits=tuple(admits), tx_timeout_s=60, block_interval_ms=20, block_size_mib=3),)
    settings = Settings(tuple(names), chains, suite=suite, engine=engine)
    path = tmp_path_factory.mktemp("settings") / "changan.toml"
    path.write_text(settings_text(settings), encoding="utf-8")
    assert read_settings(path) == settings


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_words(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("settings") / "changan.toml"
    path.write_bytes(data)
    try:
        read_settings(path)
    except SettingsError as error:
        assert str(error).startswith(f"{path}: ")


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
