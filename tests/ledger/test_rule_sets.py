"""By which rules a block goes: what a configuration may say of it, and that nothing is executed by rules that are not known."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.errors import MalformedError
from changan.ledger.config_parameters import ConfigError
from changan.ledger.rule_sets import KEY, UnknownRulesError, Upgrade, check_rules, rules_at, upgrade_of
from changan.ledger.snapshot import dump
from changan.ledger.wire.messages import ChainConfig, ConfigKeyValue, ConsensusConfig
from consortium import Ledger


def config(text: str | None) -> ChainConfig:
    entries = [] if text is None else [ConfigKeyValue(key=KEY, value=text)]
    return ChainConfig(consensus=ConsensusConfig(ext_config=entries))


def test_a_chain_that_says_nothing_goes_by_rules_one():
    assert upgrade_of(config(None)) is None
    assert {rules_at(config(None), height) for height in (0, 1, 10**18)} == {1}


def test_rules_change_at_the_height_that_is_named():
    assert upgrade_of(config("2@500")) == Upgrade(2, 500)
    assert [rules_at(config("2@500"), height) for height in (0, 499, 500, 501)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "@",
        "2@",
        "@5",
        "0@5",
        "2@0",
        "-2@5",
        "2@-5",
        "02@5",
        "2@05",
        "2 @5",
        "2@5 ",
        "2@5\n",
        "٢@5",
        "2@5@6",
        "2.0@5",
        "9999999999@5",
        "2@9999999999999999999",
        "x" * 10_000,
    ],
)
def test_what_is_no_rules_is_refused(text):
    with pytest.raises(MalformedError, match=r"changan\.rules is N@HEIGHT, such as 2@5000, not "):
        upgrade_of(config(text))
    with pytest.raises(ConfigError, match=r"N@HEIGHT"):
        check_rules(config(None), config(text), 7)


texts = st.one_of(st.none(), st.builds("{}@{}".format, st.integers(1, 4), st.integers(1, 12)))


@given(steps=st.lists(texts, max_size=12))
def test_the_past_never_changes(steps):
    """Whatever is asked for, block by block: by which rules a block went is what every later configuration says of it too."""
    now, went = config(None), [1]
    for height, text in enumerate(steps, 1):
        went.append(rules_at(now, height))
        try:
            check_rules(now, config(text), height)
        except ConfigError:
            continue
        now = config(text)
        assert rules_at(now, height) == went[-1]
    for before, after in pairwise(went):
        assert 0 <= after - before <= 1


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        (None, "2@8", True),
        (None, "2@7", False),  # the block that says it goes by the rules of before
        (None, "3@8", False),
        (None, "1@3", True),
        ("2@8", None, True),  # taken back in time
        ("2@8", "2@100", True),
        ("2@8", "3@9", False),
        ("2@7", None, False),
        ("2@7", "2@8", False),
        ("2@7", "2@3", True),
        ("2@7", "3@8", True),
        ("3@8", "2@7", True),  # the next ones taken back
        ("3@8", None, False),
    ],
)
def test_what_may_follow_in_block_seven(before, after, allowed):
    if allowed:
        check_rules(config(before), config(after), 7)
    else:
        with pytest.raises(ConfigError, match="block 7 goes by rules"):
            check_rules(config(before), config(after), 7)


@pytest.fixture
def ledger(consortium) -> Ledger:
    made = Ledger(consortium)
    made.world.rules_known = 1  # the release of before
    return made


def say(ledger: Ledger, method: str, value: str = "") -> str:
    """Change what the chain says of its rules, as administrators do; return the words of a refusal."""
    result = ledger.configure(method, {KEY: value})
    return result.contract_result.message if result.code else ""


def test_a_block_by_rules_that_are_not_known_is_not_executed(ledger):
    at = ledger.world.height + 3
    assert not say(ledger, "CONSENSUS_EXT_ADD", f"2@{at}")
    ledger.call("T", "P", {"k": "a"})
    before = [(name, list(items)) for name, items in dump(ledger.world)]
    with pytest.raises(
        UnknownRulesError, match=rf"block {at} is executed by rules 2, .* rules up to 1: install a release"
    ):
        ledger.call("T", "P", {"k": "b"})
    assert [(name, list(items)) for name, items in dump(ledger.world)] == before
    ledger.world.rules_known = 2  # a newer release goes on
    ledger.call("T", "P", {"k": "c"})
    assert ledger.world.height == at


def test_an_upgrade_is_taken_back_before_its_height_and_not_after(ledger):
    assert "goes by rules 1" in say(ledger, "CONSENSUS_EXT_ADD", "3@100")
    assert "N@HEIGHT" in say(ledger, "CONSENSUS_EXT_ADD", "soon")
    assert not say(ledger, "CONSENSUS_EXT_ADD", "2@100")
    assert not say(ledger, "CONSENSUS_EXT_UPDATE", f"2@{ledger.world.height + 3}")
    assert not say(ledger, "CONSENSUS_EXT_DELETE")
    for _ in range(4):
        ledger.call("T", "P", {"k": "a"})
    ledger.world.rules_known = 2
    assert not say(ledger, "CONSENSUS_EXT_ADD", f"2@{ledger.world.height + 2}")
    assert "goes by rules 2" in say(ledger, "CONSENSUS_EXT_DELETE")
    assert ledger.world.rules == 2
