"""Policies against a second reading of ChainMaker's rules, by counting on fingers; and the laws that any policy obeys."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from changan.ledger.chain_config import Mode
from changan.ledger.members import Identity
from changan.ledger.policy import DeniedError, Policies
from changan.ledger.rules import RULE_FORM, Rule, rule_from_wire
from changan.ledger.wire.messages import ChainConfig, Policy, ResourcePolicy

ORGS = ("org1", "org2", "org3", "org4")
ROLES = ("ADMIN", "CLIENT", "CONSENSUS", "COMMON", "LIGHT")
RESOURCE = "CHAIN_CONFIG-BLOCK_UPDATE"


def member(org: str, role: str, number: int = 0) -> Identity:
    name = f"{org}/{role}/{number}"
    return Identity(
        org_id=org,
        role=role,
        certificate=name.encode(),
        certificate_hash=name,
        member_id=name,
        uid=name,
        address=bytes(20),
        key=None,
        signature_hash="SHA256",
        not_before=0,
        not_after=2**40,
    )


def policies(rule: Rule, mode: Mode = Mode.CERTIFICATES, voters=ORGS) -> Policies:
    config = ChainConfig(
        auth_type=mode.value, resource_policies=[ResourcePolicy(resource_name=RESOURCE, policy=rule.to_wire())]
    )
    return Policies(config, voters)


def verdict(found: Policies, signers, target: str | None = None) -> str:
    try:
        found.check_signers(RESOURCE, signers, target)
    except DeniedError as error:
        return str(error)
    return ""


def by_fingers(rule: Rule, signers, target: str | None, *, public: bool, voters=ORGS) -> bool:
    """Whether the signers may: from the words of ChainMaker's documentation, not from our code."""
    counted = [
        one
        for one in signers
        if (one.org_id in rule.organisations or not rule.organisations) and (one.role in rule.roles or not rule.roles)
    ]
    people, organisations = {one.member_id for one in counted}, {one.org_id for one in counted}
    of = len(rule.organisations) if rule.organisations else len(voters)
    voices = len(people) if public else len(organisations)
    match rule.rule:
        case "ANY":
            return bool(people)
        case "SELF":
            return bool(target) and target in organisations
        case "MAJORITY":
            return 2 * voices > of
        case "ALL":
            return voices >= of
    if "/" in rule.rule:
        return voices >= Fraction(rule.rule) * of
    return len(people) >= int(rule.rule)


members = st.builds(member, st.sampled_from(ORGS), st.sampled_from(ROLES), st.integers(0, 2))
signer_lists = st.lists(members, max_size=9)
written = st.sampled_from(
    ["ANY", "SELF", "MAJORITY", "ALL", "0", "1", "2", "4", "5", "1/1", "1/2", "1/3", "2/3", "3/4", "3/2", "0/1"]
)
rules = st.builds(
    Rule,
    written,
    st.lists(st.sampled_from(ORGS), unique=True, max_size=4).map(tuple),
    st.lists(st.sampled_from(ROLES), unique=True, max_size=3).map(tuple),
)


@given(rules, signer_lists, st.none() | st.sampled_from(ORGS), st.sampled_from(Mode))
def test_every_verdict_is_the_one_of_the_fingers(rule, signers, target, mode):
    found = verdict(policies(rule, mode), signers, target)
    assert (found == "") == by_fingers(rule, signers, target, public=mode is Mode.PUBLIC)


@given(rules, signer_lists, signer_lists, st.sampled_from(Mode))
def test_more_signers_never_hurt(rule, signers, more, mode):
    found = policies(rule, mode)
    assume(not verdict(found, signers, "org1"))
    assert not verdict(found, [*signers, *more], "org1")


@given(rules, signer_lists, st.randoms(use_true_random=False), st.sampled_from(Mode))
def test_order_and_repetition_say_nothing(rule, signers, random, mode):
    found = policies(rule, mode)
    shuffled = [*signers, *signers]
    random.shuffle(shuffled)
    assert verdict(found, shuffled, "org2") == verdict(found, signers, "org2")


@given(rules, signer_lists)
def test_who_does_not_count_changes_nothing(rule, signers):
    found = policies(rule)
    counted = [one for one in signers if rule.admits(one)]
    assert verdict(found, counted, "org3") == verdict(found, signers, "org3")


@pytest.mark.parametrize("orgs", range(1, 8))
def test_a_majority_is_the_least_number_that_no_two_groups_can_have(orgs):
    voters = [f"org{number}" for number in range(orgs)]
    found = policies(Rule("MAJORITY", roles=("ADMIN",)), voters=voters)
    least = next(n for n in range(orgs + 1) if not verdict(found, [member(org, "ADMIN") for org in voters[:n]]))
    assert 2 * least > orgs
    assert 2 * (least - 1) <= orgs
    assert found.required(found.rules[RESOURCE]) == least
    assert found.electorate(found.rules[RESOURCE]) == orgs


@pytest.mark.parametrize(("required", "received"), list(product([2, 3], [0, 1])))
def test_the_words_name_both_numbers(required, received):
    signers = [member(org, "ADMIN") for org in ORGS[:received]]
    for mode in Mode:
        assert verdict(policies(Rule(str(required)), mode), signers) == (
            "authentication fail: not enough participants support this action: "
            f"{required} valid endorsements required, {received} valid endorsements received"
        )


def test_several_of_one_organisation_have_one_voice_but_are_several_people():
    crowd = [member("org1", "ADMIN", number) for number in range(9)]
    words = "3 valid endorsements required, 1 valid endorsements received"
    assert words in verdict(policies(Rule("MAJORITY")), crowd)
    assert words in verdict(policies(Rule("2/3")), crowd)
    assert verdict(policies(Rule("9")), crowd) == ""
    assert "10 valid endorsements required, 9 valid endorsements received" in verdict(policies(Rule("10")), crowd)
    # On a public chain there are no organisations, and everybody counts.
    assert verdict(policies(Rule("MAJORITY"), Mode.PUBLIC), crowd) == ""


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (Mode.CERTIFICATES, f"authentication fail: signers do not meet the requirement ({RESOURCE})"),
        (Mode.KEYS, f"authentication fail: signers do not meet the requirement ({RESOURCE})"),
        (Mode.PUBLIC, "authentication fail for any rule, policy: rule: [ANY],roleList: [[ADMIN CLIENT]]"),
    ],
)
def test_the_words_where_nobody_counts(mode, words):
    assert verdict(policies(Rule("ANY", roles=("ADMIN", "CLIENT")), mode), [member("org1", "LIGHT")]) == words


def test_the_words_of_self():
    found = policies(Rule("SELF", roles=("ADMIN",)))
    unset = "verification rule is [SELF], but org_id is not set in the parameter"
    assert [verdict(found, [member("org1", "ADMIN")], target) for target in (None, "")] == [unset, unset]
    strange = "authentication fail: target [org2] does not belong to the signer"
    assert verdict(found, [member("org1", "ADMIN"), member("org2", "CLIENT")], "org2") == strange
    assert verdict(found, [member("org1", "ADMIN"), member("org2", "ADMIN")], "org2") == ""


@pytest.mark.parametrize(
    "text", ["", "SOME", "1/0", "0/0", "-1", "1.5", "1/2/3", "1000000000", "1/1000000000", "１/２", "٣", "MAJORITY+"]
)
def test_a_rule_that_nothing_can_satisfy_denies_everybody(text):
    """A configuration of before may hold any text; it is never read as a permission."""
    everybody = [member(org, role) for org in ORGS for role in ROLES]
    words = f"authentication fail: bad configuration: unsupported rule [{text}]"
    assert verdict(policies(Rule(text)), everybody) == words


@pytest.mark.parametrize("mode", Mode)
def test_forbidden_is_said_before_anybody_is_looked_at(mode):
    found = policies(Rule("FORBIDDEN"), mode)
    start = "public authentication fail" if mode is Mode.PUBLIC else "authentication fail"
    with pytest.raises(DeniedError, match=rf"^{start}: \[{RESOURCE}\] is forbidden to access$"):
        found.check_forbidden(RESOURCE)
    found.check_forbidden("NO-SUCH_THING")
    policies(Rule("ANY"), mode).check_forbidden(RESOURCE)


def test_what_no_policy_names_needs_nobody():
    found = policies(Rule("ALL"))
    assert found.needs_signers(RESOURCE)
    assert not found.needs_signers("token-transfer")
    found.check_signers("token-transfer", [], None)


@given(st.text(st.sampled_from("anyANYallmjoritselfbdn 0123456789/"), max_size=12))
def test_case_and_blanks_around_a_rule_say_nothing(text):
    rule = rule_from_wire(Policy(rule=f" {text.lower()}\n", role_list=[" admin ", "Client"], org_list=["org1"]))
    assert rule == Rule(text.strip().upper(), ("org1",), ("ADMIN", "CLIENT"))
    assert rule_from_wire(rule.to_wire()) == rule


@given(written | st.text("AY0123456789/", max_size=8))
def test_every_rule_that_people_may_write_can_be_judged(text):
    """The form that settings are held to and the rules that are judged are one."""
    everybody = [member(org, role) for org in ORGS for role in ROLES]
    said = verdict(policies(Rule(text)), everybody, "org1")
    if RULE_FORM.fullmatch(text):
        assert "unsupported rule" not in said
    elif not re.fullmatch(r"\d{1,9}/0*[1-9]\d*", text):
        assert "unsupported rule" in said
