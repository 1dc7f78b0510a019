"""What an entry of a node may be: its form, its bounds, and that it comes back as it went."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import node_of
from voting import Voting, changed, entry, known, refused

from changan.crypto.node_ids import node_id
from changan.errors import MalformedError
from changan.ledger.roster import RECORD_CHARACTERS_MAX, Voter, is_quorum
from consortium import Ledger


@pytest.fixture(scope="module")
def five() -> Voting:
    return Voting(5)


@pytest.fixture
def ledger(five) -> Ledger:
    return Ledger(five)


BROKEN = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "7",
    "too deep": "[" * 9000,
    "a field less": '{"org_id": "o", "validator": "v", "peer": "p"}',
    "a field more": '{"org_id": "o", "validator": "v", "peer": "p", "certificate": "c", "power": "9"}',
    "a number as key": '{"org_id": "o", "validator": 7, "peer": "p", "certificate": "c"}',
    "no text": '{"org_id": "o", "validator": "v", "peer": "p", "certificate": null}',
    "what is no ASCII": '{"org_id": "组织", "validator": "v", "peer": "p", "certificate": "c"}',
}


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN)
def test_an_entry_that_is_no_node_is_refused(ledger, value):
    key = f"comet.{node_id(b'somebody')}"
    assert f"the entry {key} is no node" in refused(ledger, "CONSENSUS_EXT_ADD", {key: value})


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("validator", "00"),
        ("validator", "AB" * 32),
        ("validator", "0g" * 32),
        ("validator", "00" * 33),
        ("peer", "00" * 19),
        ("peer", "x" * 40),
        ("peer", ("ab" * 20) + "\n"),
    ],
)
def test_a_key_of_another_form_is_refused(ledger, five, what, value):
    [(key, text)] = known(five).items()
    said = refused(ledger, "CONSENSUS_EXT_ADD", {key: json.dumps({**json.loads(text), what: value})})
    assert "names no key of votes (64 hex digits) or no peer (40)" in said


def test_an_entry_is_bounded(ledger, five):
    [(key, text)] = known(five).items()
    padded = text[:-1] + " " * (RECORD_CHARACTERS_MAX - len(text)) + "}"
    assert "is no node" in refused(ledger, "CONSENSUS_EXT_ADD", {key: padded + " "})
    changed(ledger, "CONSENSUS_EXT_ADD", {key: padded})


@pytest.mark.parametrize("name", ["", "x", "QmNobody", "nobody_here", "Q" * 200])
def test_an_entry_names_a_node(ledger, five, name):
    [text] = known(five).values()
    assert "a node's id follows the dot" in refused(ledger, "CONSENSUS_EXT_ADD", {f"comet.{name}": text})


def test_a_certificate_that_is_none_is_refused(ledger, five):
    for junk in (b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        said = refused(ledger, "CONSENSUS_EXT_ADD", entry(node_of(five, 5, certificate=junk).voter))
        assert "cannot be used" in said


# Entries come back as they went


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=20, max_size=20), st.text("abc.-_9", min_size=1))
def test_a_node_comes_back_from_its_entry(validator, peer, org_id):
    voter = Voter(node_id(validator), org_id, validator, peer.hex(), b"-----BEGIN CERTIFICATE-----\n")
    made = voter.entry()
    assert Voter.of_entry(made.key, made.value) == voter


@given(st.text(max_size=300))
def test_any_text_is_a_node_or_refused(text):
    try:
        Voter.of_entry("comet.x", text)
    except MalformedError:
        return
    raise AssertionError("a text that nobody wrote is no node")


@given(st.integers(0, 400), st.integers(1, 400))
def test_two_quorums_meet_in_one_who_is_honest(count, voters):
    """Of n voters (n-1)//3 may lie: two quorums share more than those, and the rest alone are a quorum."""
    lying = (voters - 1) // 3
    if is_quorum(count, voters) and count <= voters:
        assert 2 * count - voters > lying
    assert is_quorum(voters - lying, voters)
