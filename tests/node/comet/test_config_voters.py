"""What may become of the voters of a chain: each refusal names what to do and changes nothing, and no edit ends in a chain without voters."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model import Node, node_of
from voting import Voting, changed, entry, known, refused

from changan.crypto import certificates
from changan.crypto.node_ids import node_id
from changan.crypto.suite import Suite
from changan.ledger.config_edits import EDITS
from changan.ledger.config_parameters import ConfigError, EditError
from changan.ledger.config_rules import check_config
from changan.ledger.config_voters import NODES_MAX, check_voters
from changan.ledger.roster import address_of, roster_of
from changan.ledger.wire.messages import ChainConfig, ConfigKeyValue
from changan.node.pki.authority import Authority
from consortium import NOW, START, Consortium, Ledger, org_name


@pytest.fixture(scope="module")
def five() -> Voting:
    return Voting(5)


@pytest.fixture
def ledger(five) -> Ledger:
    return Ledger(five)


# What is admitted


def test_a_known_node_follows_and_a_named_one_votes(ledger, five):
    node = node_of(five, 5).voter
    roster = changed(ledger, "CONSENSUS_EXT_ADD", entry(node))
    assert roster.followers == (node,)
    assert len(roster.voters) == 4
    roster = changed(ledger, "NODE_ORG_ADD", {"org_id": org_name(5), "node_ids": node.node_id})
    assert roster.voters[-1] == node
    assert not roster.followers
    assert roster.by_address[address_of(node.validator)] == node
    assert set(roster.peers) == {voter.peer for voter in roster.voters}


def test_an_administrator_alone_promotes_a_node_of_its_own(ledger, five):
    further = node_of(five, 3, "common1", "common").voter
    changed(ledger, "CONSENSUS_EXT_ADD", entry(further))
    old = roster_of(ledger.world.config).by_organisation[org_name(3)]
    update = {"org_id": org_name(3), "node_id": old.node_id, "new_node_id": further.node_id}
    for stranger in (1, 2, 4):
        with pytest.raises(Exception, match="does not belong to the signer"):
            ledger.configure("NODE_ID_UPDATE", update, sender=five.admin(stranger), endorsers=[])
    roster = changed(ledger, "NODE_ID_UPDATE", update, sender=five.admin(3), endorsers=[])
    assert roster.by_organisation[org_name(3)] == further
    assert roster.followers == (old,)


def test_voters_may_become_few_but_never_none(ledger):
    for number in (4, 3, 2):
        changed(ledger, "NODE_ORG_DELETE", {"org_id": org_name(number)})
    assert refused(ledger, "NODE_ORG_DELETE", {"org_id": org_name(1)}) == "there is at least one org"
    assert len(roster_of(ledger.world.config).voters) == 1


# What is refused


def test_a_node_that_is_not_known_gets_no_vote(ledger, five):
    node = node_of(five, 5).voter
    said = refused(ledger, "NODE_ORG_ADD", {"org_id": org_name(5), "node_ids": node.node_id})
    assert f"CONSENSUS_EXT_ADD comet.{node.node_id}" in said
    old = roster_of(ledger.world.config).voters[0].node_id
    update = {"org_id": org_name(1), "node_id": old, "new_node_id": node.node_id}
    assert "knows no node" in refused(ledger, "NODE_ID_UPDATE", update, sender=five.admin(1))


def test_nobody_votes_with_the_node_of_another(ledger, five):
    further = node_of(five, 2, "common1", "common").voter
    changed(ledger, "CONSENSUS_EXT_ADD", entry(further))
    said = refused(ledger, "NODE_ORG_ADD", {"org_id": org_name(5), "node_ids": further.node_id})
    assert f"knows no node {further.node_id} of {org_name(5)}" in said
    old = roster_of(ledger.world.config).voters[0].node_id
    update = {"org_id": org_name(1), "node_id": old, "new_node_id": further.node_id}
    assert f"of {org_name(1)}" in refused(ledger, "NODE_ID_UPDATE", update, sender=five.admin(1), endorsers=[])


def test_an_organisation_has_one_vote(ledger, five):
    further = node_of(five, 2, "common1", "common").voter
    changed(ledger, "CONSENSUS_EXT_ADD", entry(further))
    said = refused(ledger, "NODE_ID_ADD", {"org_id": org_name(2), "node_ids": further.node_id})
    assert "would have 2 nodes that vote, and it has one vote: NODE_ID_UPDATE" in said
    both = f"{further.node_id},{roster_of(ledger.world.config).by_organisation[org_name(2)].node_id}"
    assert "2 nodes that vote" in refused(ledger, "NODE_ORG_UPDATE", {"org_id": org_name(2), "node_ids": both})
    old = roster_of(ledger.world.config).by_organisation[org_name(2)].node_id
    assert "NODE_ORG_DELETE takes" in refused(ledger, "NODE_ID_DELETE", {"org_id": org_name(2), "node_id": old})


@pytest.mark.parametrize(
    ("what", "words"),
    [("validator", "a key of votes is used"), ("peer", "a peer is used"), ("certificate", "a key of seals is used")],
)
def test_no_key_is_used_twice(ledger, five, what, words):
    taken = getattr(roster_of(ledger.world.config).voters[1], what)
    own = node_of(five, 2, "common2", "common").voter
    assert words in refused(ledger, "CONSENSUS_EXT_ADD", entry(own._replace(**{what: taken})))
    follower = known(five, 2, "common1", "common")
    changed(ledger, "CONSENSUS_EXT_ADD", follower)
    taken = getattr(roster_of(ledger.world.config).followers[0], what)
    assert words in refused(ledger, "CONSENSUS_EXT_ADD", entry(own._replace(**{what: taken})))


def test_a_voting_node_stays_known(ledger):
    voter = roster_of(ledger.world.config).voters[2]
    assert "knows no node" in refused(ledger, "CONSENSUS_EXT_DELETE", {f"comet.{voter.node_id}": ""})


def test_an_organisation_with_nodes_stays(ledger, five):
    roster = roster_of(ledger.world.config)
    said = refused(ledger, "TRUST_ROOT_DELETE", {"org_id": org_name(2)})
    assert said.endswith("you must delete all consensus nodes under the organization first")
    changed(ledger, "NODE_ORG_DELETE", {"org_id": org_name(2)})
    node = roster.voters[1].node_id
    assert f"CONSENSUS_EXT_DELETE comet.{node}" in refused(ledger, "TRUST_ROOT_DELETE", {"org_id": org_name(2)})
    changed(ledger, "CONSENSUS_EXT_DELETE", {f"comet.{node}": ""})
    changed(ledger, "TRUST_ROOT_DELETE", {"org_id": org_name(2)})


def test_a_node_of_no_organisation_is_not_known(ledger):
    stranger = Consortium(6)
    assert "which would be no organisation of this chain" in refused(ledger, "CONSENSUS_EXT_ADD", known(stranger, 6))


def test_other_roots_for_an_organisation_count_for_its_followers_too(ledger, five):
    changed(ledger, "CONSENSUS_EXT_ADD", known(five, 5))
    other = Authority.create(org_name(5), NOW).certificate_pem.decode()
    parameters = {"org_id": org_name(5), "root": other}
    assert "no trust root" in refused(ledger, "TRUST_ROOT_UPDATE", parameters, sender=five.admin(5))


@pytest.mark.parametrize("role", ["client", "admin", "light"])
def test_only_nodes_seal(ledger, five, role):
    said = refused(ledger, "CONSENSUS_EXT_ADD", known(five, 5, f"{role}7", role))
    assert f"role {role.upper()}, not of CONSENSUS or COMMON" in said


def test_a_certificate_must_count_for_the_organisation_now(ledger, five):
    stranger = Consortium(5)
    foreign = node_of(five, 5, certificate=stranger.signer(5, "n", "consensus").member.member_info).voter
    assert "no trust root of" in refused(ledger, "CONSENSUS_EXT_ADD", entry(foreign))
    tls = five.authorities[org_name(5)].issue("n", "consensus", "tls", NOW).certificate_pem
    assert "tls certificate" in refused(ledger, "CONSENSUS_EXT_ADD", entry(node_of(five, 5, certificate=tls).voter))
    past = five.authorities[org_name(5)].issue("old", "consensus", "sign", NOW, days=1).certificate_pem
    ledger.time_us += 2 * 86_400_000_000
    said = refused(ledger, "CONSENSUS_EXT_ADD", entry(node_of(five, 5, certificate=past).voter))
    assert "would count for nobody" in said
    assert "expired" in said


def test_a_certificate_that_ended_keeps_nobody_from_other_changes(ledger, five):
    short = five.authorities[org_name(5)].issue("short", "consensus", "sign", NOW, days=1).certificate_pem
    node = node_of(five, 5, certificate=short).voter
    changed(ledger, "CONSENSUS_EXT_ADD", entry(node))
    ledger.time_us += 2 * 86_400_000_000
    changed(ledger, "CONSENSUS_EXT_ADD", known(five, 2, "common1", "common"))
    said = refused(ledger, "NODE_ORG_ADD", {"org_id": org_name(5), "node_ids": node.node_id})
    assert "expired" in said  # but it gets no vote as it is
    renewed = node._replace(certificate=five.signer(5).member.member_info)
    assert "role CLIENT" in refused(ledger, "CONSENSUS_EXT_UPDATE", entry(renewed))
    renewed = node_of(five, 5, "consensus3").voter._replace(node_id=node.node_id)
    changed(ledger, "CONSENSUS_EXT_UPDATE", entry(renewed))
    changed(ledger, "NODE_ORG_ADD", {"org_id": org_name(5), "node_ids": node.node_id})


def test_a_key_of_a_suite_that_is_not_admitted_seals_nothing(ledger):
    national = Voting(5, Suite.NATIONAL)
    foreign = national.signer(5, "consensus1", "consensus").member.member_info
    node = node_of(ledger.consortium, 5, certificate=foreign).voter
    assert "would count for nobody" in refused(ledger, "CONSENSUS_EXT_ADD", entry(node))


def test_so_many_nodes_and_no_more(five):
    config = five.config()
    voter = node_of(five, 5).voter
    for number in range(NODES_MAX):
        config.consensus.ext_config.append(voter._replace(node_id=node_id(b"%d" % number)).entry())
    with pytest.raises(ConfigError, match=f"at most {NODES_MAX} are known to a chain"):
        check_voters(five.config(), config, START)


def test_a_chain_that_one_node_orders_is_left_alone(consortium):
    """There the entries mean nothing, whatever stands in them."""
    ledger = Ledger(consortium)
    assert ledger.configure("CONSENSUS_EXT_ADD", {"comet.x": "what you like"}).code == 0


def test_it_is_a_chain_of_certificates(five):
    config = five.config()
    config.auth_type = "public"
    with pytest.raises(ConfigError, match="by certificates"):
        check_voters(five.config(), config, START)


# The law: whatever administrators send, what is in force can be voted on


METHODS = [
    "NODE_ID_ADD",
    "NODE_ID_UPDATE",
    "NODE_ID_DELETE",
    "NODE_ORG_ADD",
    "NODE_ORG_UPDATE",
    "NODE_ORG_DELETE",
    "TRUST_ROOT_ADD",
    "TRUST_ROOT_DELETE",
    "TRUST_ROOT_UPDATE",
    "CONSENSUS_EXT_ADD",
    "CONSENSUS_EXT_UPDATE",
    "CONSENSUS_EXT_DELETE",
]


def parameters_of(draw, five: Voting, nodes: list[Node], method: str) -> dict[str, bytes]:
    org = org_name(draw(st.integers(1, 5)))
    node, other = draw(st.sampled_from(nodes)).voter, draw(st.sampled_from(nodes)).voter
    if method.startswith("CONSENSUS_EXT"):
        mixed = draw(st.sampled_from([node, node, node._replace(validator=other.validator), node._replace(org_id=org)]))
        return {key: value.encode() for key, value in entry(mixed).items()}
    ids = draw(st.sampled_from([node.node_id, f"{node.node_id},{other.node_id}", other.node_id]))
    root = five.authorities[org].certificate_pem
    named = {"org_id": org.encode(), "node_ids": ids.encode(), "root": root}
    return {**named, "node_id": node.node_id.encode(), "new_node_id": other.node_id.encode()}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_in_force_can_be_voted_on(five, data):
    nodes = [node_of(five, n) for n in range(1, 6)]
    nodes += [node_of(five, n, f"common{m}", "common") for n in (1, 2, 5) for m in (1, 2)]
    config = five.config()
    accepted = 0
    for _ in range(data.draw(st.integers(5, 40))):
        method = data.draw(st.sampled_from(METHODS))
        after = ChainConfig.FromString(config.SerializeToString())
        try:
            EDITS[method](after, parameters_of(data.draw, five, nodes, method))
            check_config(config, after, START)
        except (EditError, ConfigError) as error:
            assert str(error)
            continue
        accepted += 1
        before, config = config, after
        roster, old = roster_of(config), roster_of(before)
        organisations = [voter.org_id for voter in roster.voters]
        assert organisations
        assert len(set(organisations)) == len(organisations)
        assert set(organisations) <= {root.org_id for root in config.trust_roots}
        for keys in ([n.validator for n in roster.nodes], [n.peer for n in roster.nodes]):
            assert len(set(keys)) == len(keys)
        # One change moves one vote: those who stay can still certify the block that made it.
        stay = {voter.validator for voter in roster.voters} & {voter.validator for voter in old.voters}
        assert len(stay) >= len(old.voters) - 1
        for voter in roster.voters:
            certificate = certificates.read_pem(voter.certificate)
            assert certificate.not_valid_after_utc - NOW > timedelta(0)


def test_the_law_is_no_empty_one(five):
    """The same edits in an order that leads somewhere: each is accepted."""
    config = five.config()
    fifth, further = node_of(five, 5).voter, node_of(five, 2, "common1", "common").voter
    second = roster_of(config).by_organisation[org_name(2)]
    steps = [
        ("CONSENSUS_EXT_ADD", entry(fifth)),
        ("CONSENSUS_EXT_ADD", entry(further)),
        ("NODE_ORG_ADD", {"org_id": org_name(5), "node_ids": fifth.node_id}),
        ("NODE_ID_UPDATE", {"org_id": org_name(2), "node_id": second.node_id, "new_node_id": further.node_id}),
        ("NODE_ORG_DELETE", {"org_id": org_name(3)}),
        ("NODE_ORG_UPDATE", {"org_id": org_name(2), "node_ids": second.node_id}),
    ]
    for method, parameters in steps:
        after = ChainConfig.FromString(config.SerializeToString())
        EDITS[method](after, {name: value.encode() for name, value in parameters.items()})
        check_config(config, after, START)
        config = after
    assert [voter.org_id for voter in roster_of(config).voters] == [org_name(n) for n in (1, 2, 4, 5)]
    assert {node.org_id for node in roster_of(config).followers} == {org_name(2), org_name(3)}


def test_a_roster_knows_nothing_of_other_entries(five):
    config = five.config()
    config.consensus.ext_config.append(ConfigKeyValue(key="changan.admits", value="gm"))
    config.consensus.ext_config.append(ConfigKeyValue(key="comet", value="x"))
    assert len(roster_of(config).nodes) == 4
