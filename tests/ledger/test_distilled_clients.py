"""Who may sign distilled bundles: only clients whose registration, certificate or key, and role stand at the block's time."""

from __future__ import annotations

import pytest

from changan.client.requests import Signer
from changan.ledger.admission import RefusedError, admit, ask, prove
from changan.ledger.chain_config import Mode
from changan.ledger.clients import Clients
from changan.ledger.wire.messages import Member, MemberType
from key_consortium import KeyConsortium, pem_of
from lane_parties import GOOD, TO, Lane, balance, fund, party, refused

pytest.importorskip("chia_rs")


@pytest.fixture
def lane(consortium):
    return fund(Lane(consortium, 5))


def stopped(lane, number: int, says: str) -> None:
    said = refused(lane, lane.bundle("token", "transfer", {0: (TO, 1), number: (TO, 1)}))
    assert f"bundle refused: client {number}: {says}" in said
    assert not lane.ledger.seal(lane.bundle("token", "transfer", {0: (TO, 1)})).block.txs[0].result.code


def test_a_revoked_client_signs_nothing(lane):
    early = lane.bundle("token", "transfer", GOOD)
    verdict = admit(early, lane.ledger.world, lane.ledger.time_us // 1_000_000)
    assert lane.revoke(3).code == 0
    stopped(lane, 3, "its BLS key was revoked")
    # what was found of it before counts no more
    assert verdict.epoch != lane.ledger.world.epoch
    assert "client 3: its BLS key was revoked" in refused(lane, early)


def test_a_frozen_or_revoked_certificate_signs_nothing_here_either(lane, consortium):
    pem = lane.parties[2].signer.member.member_info
    admin = consortium.admin()
    assert lane.ledger.call("CERT_MANAGE", "CERTS_FREEZE", {"certs": pem}, sender=admin).code == 0
    stopped(lane, 2, "the certificate is frozen")
    assert lane.ledger.call("CERT_MANAGE", "CERTS_UNFREEZE", {"certs": pem}, sender=admin).code == 0
    assert not lane.ledger.seal(lane.bundle("token", "transfer", {2: (TO, 1)})).block.txs[0].result.code


def test_a_certificate_that_ended_signs_nothing(consortium):
    lane = fund(Lane(consortium, 2))
    brief = party(consortium, 300, days=1)
    number = lane.join(brief)
    request = lane.bundle("token", "transfer", {0: (TO, 1), number: (TO, 0)})
    verdict = admit(request, lane.ledger.world, lane.ledger.time_us // 1_000_000)
    assert verdict.holds_at(lane.ledger.time_us // 1_000_000)
    end = verdict.callers.until
    assert not verdict.holds_at(end + 1)
    assert verdict.callers.addresses == lane.address(lane.parties[0]) + lane.address(brief)
    lane.ledger.seal(request)
    lane.ledger.time_us = (end + 10) * 1_000_000
    stopped(lane, number, "its certificate is expired")
    # and one who is met for the first time then
    lane.ledger.world.begin_epoch()
    stopped(lane, number, "the certificate of lane300.sign.wx-org1.chainmaker.org is expired")


def test_an_alias_that_moved_to_another_key_is_another(consortium):
    lane = fund(Lane(consortium, 1))
    who = party(consortium, 310)
    alias = Member(org_id=who.signer.member.org_id, member_type=MemberType.ALIAS, member_info=b"lane-alias")
    assert lane.ledger.call("CERT_MANAGE", "CERT_ALIAS_ADD", {"alias": "lane-alias"}, sender=who.signer).code == 0
    named = who._replace(signer=Signer(alias, who.signer.key, who.signer.hash_name))
    number = lane.join(named)
    assert not lane.ledger.seal(lane.bundle("token", "transfer", {number: (TO, 0)})).block.txs[0].result.code
    renewed = consortium.signer(1, "lane310-new", "client")
    given = {"alias": "lane-alias", "cert": renewed.member.member_info}
    answer = lane.ledger.call("CERT_MANAGE", "CERT_ALIAS_UPDATE", given, sender=consortium.admin())
    assert answer.code == 0, answer.contract_result.message
    stopped(lane, number, "its member has another key than when it registered")


def test_a_role_that_may_call_nothing_signs_nothing():
    """Where members are registered keys: one that was registered anew as a light user reads, and calls no more."""
    consortium = KeyConsortium(Mode.KEYS)
    lane = Lane(consortium, 0)
    people = [consortium.signer(), *(party(consortium, number).signer for number in range(2))]

    def registered(who: Signer, role: str, doing: str = "ADD") -> None:
        given = {"pubkey": pem_of(who), "org_id": who.member.org_id, "role": role}
        answer = lane.ledger.call("PUBKEY_MANAGE", f"PUBKEY_{doing}", given, sender=consortium.admin())
        assert answer.code == 0, answer.contract_result.message

    for who in people:
        registered(who, "CLIENT")
    for number in range(2):
        lane.join(party(consortium, number))
    fund(lane)
    lane.ledger.seal(lane.bundle("token", "transfer", {0: (TO, 1), 1: (TO, 1)}))
    assert balance(lane, TO) == 2
    registered(people[2], "LIGHT")
    stopped(lane, 1, "authentication fail: signers do not meet the requirement (INVOKE_CONTRACT)")
    registered(people[2], "", "DELETE")
    stopped(lane, 1, "the chain knows no such key")


def test_on_a_public_chain_every_key_may_take_part():
    lane = fund(Lane(KeyConsortium(Mode.PUBLIC), 3))
    lane.ledger.seal(lane.bundle("token", "transfer", {0: (TO, 1), 2: (TO, 2)}))
    assert balance(lane, TO) == 3
    assert lane.revoke(2, lane.ledger.consortium.admin(2)).code == 0
    stopped(lane, 2, "its BLS key was revoked")


def test_what_was_looked_at_before_a_change_of_members_is_looked_at_again(lane):
    """A bundle is looked at in a thread; meanwhile a block revokes one of its clients."""
    request = lane.bundle("token", "transfer", GOOD)
    time = lane.ledger.time_us // 1_000_000
    [proven] = prove(ask([request], lane.ledger.world, time), lane.ledger.world.signatures)
    assert proven.lane == admit(request, lane.ledger.world, time, proven).callers
    assert lane.revoke(3).code == 0
    with pytest.raises(RefusedError, match="client 3: its BLS key was revoked"):
        admit(request, lane.ledger.world, time, proven)


def test_where_there_is_room_for_few_all_are_found_all_the_same(consortium, monkeypatch):
    monkeypatch.setattr("changan.ledger.clients.KEPT_MAX", 2)
    lane = fund(Lane(consortium, 5))
    for rows in ({0: (TO, 1), 1: (TO, 1), 2: (TO, 1), 4: (TO, 1)}, GOOD, {4: (TO, 1)}):
        assert not lane.ledger.seal(lane.bundle("token", "transfer", rows)).block.txs[0].result.code
        assert len(lane.ledger.world.clients._found) <= 2
        assert len(lane.ledger.world.clients._keys) <= 2
    assert balance(lane, TO) == 4 + 18 + 1


def test_each_client_is_looked_at_once_an_epoch(lane, monkeypatch):
    seen = []
    find = Clients._find

    def counted(self, number, time):
        seen.append(number)
        return find(self, number, time)

    monkeypatch.setattr(Clients, "_find", counted)
    for _ in range(3):
        lane.ledger.seal(lane.bundle("token", "transfer", GOOD))
    assert seen == list(GOOD)
    lane.revoke(4)
    lane.ledger.seal(lane.bundle("token", "transfer", GOOD))
    assert seen == [*GOOD, *GOOD]
