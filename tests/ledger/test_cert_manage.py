"""CERT_MANAGE method by method: answers, events, rows and words; and against a model of what a chain knows of certificates."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from changan.client.requests import Signer
from changan.crypto.suite import Suite
from changan.errors import UnverifiedError
from changan.ledger.native.cert_manage import read_records
from changan.ledger.wire.messages import AliasInfos, CertInfos, Member, MemberType
from changan.node.pki.authority import Authority
from consortium import NOW, START, Consortium, Ledger, org_name

ORG = org_name(1)


@pytest.fixture
def ledger(consortium) -> Ledger:
    return Ledger(consortium)


def der(signer: Signer) -> bytes:
    return x509.load_pem_x509_certificate(signer.member.member_info).public_bytes(Encoding.DER)


def hashed(signer: Signer) -> str:
    return hashlib.sha256(der(signer)).hexdigest()


def serial(signer: Signer) -> int:
    return x509.load_pem_x509_certificate(signer.member.member_info).serial_number


def manage(ledger: Ledger, method: str, parameters=None, sender: Signer | None = None):
    return ledger.call(
        "CERT_MANAGE", method, parameters or {}, sender=sender or ledger.consortium.admin()
    ).contract_result


def done(ledger: Ledger, method: str, parameters=None, sender: Signer | None = None) -> bytes:
    found = manage(ledger, method, parameters, sender)
    assert (found.code, found.message) == (0, "OK")
    return found.result


def aliases(ledger: Ledger, names: str):
    return AliasInfos.FromString(done(ledger, "CERTS_ALIAS_QUERY", {"aliases": names})).alias_infos


def test_certificates_by_their_hash(ledger, consortium):
    one, two = consortium.signer(1, "hashed1"), consortium.signer(2, "hashed2")
    for signer in (one, two):
        assert done(ledger, "CERT_ADD", sender=signer).decode() == hashed(signer)
    asked = f" {hashed(one)} ,{'00' * 32},{hashed(two)},frozen.x,,"
    infos = CertInfos.FromString(done(ledger, "CERTS_QUERY", {"cert_hashes": asked})).cert_infos
    assert [(info.hash, info.cert) for info in infos] == [
        (hashed(one), one.member.member_info),
        ("00" * 32, b""),
        (hashed(two), two.member.member_info),
        ("frozen.x", b""),
    ]
    assert done(ledger, "CERTS_DELETE", {"cert_hashes": f"{hashed(one)},{hashed(two)}"}) == b"Success"
    assert read_records(ledger.world.rows).by_hash == {}
    again = CertInfos.FromString(done(ledger, "CERTS_QUERY", {"cert_hashes": hashed(one)})).cert_infos
    assert [info.cert for info in again] == [b""]


def test_a_deletion_that_fails_in_the_middle_keeps_all(ledger, consortium):
    one = consortium.signer(1, "hashed1")
    done(ledger, "CERT_ADD", sender=one)
    found = manage(ledger, "CERTS_DELETE", {"cert_hashes": f"{hashed(one)},{'00' * 32}"})
    assert found.message == (
        f"certManage delete the certHash failed, certHash[{'00' * 32}], err: certHash is not exist"
    )
    assert read_records(ledger.world.rows).by_hash == {hashed(one): one.member.member_info}


def test_an_alias_keeps_the_certificates_that_it_had(ledger, consortium):
    first, second = consortium.signer(1, "alias1"), consortium.signer(1, "alias2")
    assert done(ledger, "CERT_ALIAS_ADD", {"alias": "till.7_a-b"}, first) == b"ok"
    added_at = ledger.world.height
    assert done(ledger, "CERT_ALIAS_UPDATE", {"alias": "till.7_a-b", "cert": second.member.member_info}) == b"ok"
    [info] = aliases(ledger, "till.7_a-b")
    assert (info.alias, info.now_cert.hash, info.now_cert.cert) == (
        "till.7_a-b",
        hashed(second),
        second.member.member_info,
    )
    assert info.now_cert.block_height == added_at + 1
    assert [(old.hash, old.cert, old.block_height) for old in info.his_certs] == [
        (hashed(first), first.member.member_info, added_at)
    ]
    assert read_records(ledger.world.rows).by_alias == {"till.7_a-b": second.member.member_info}
    by_alias = Signer(Member(org_id=ORG, member_type=MemberType.ALIAS, member_info=b"till.7_a-b"), second.key)
    assert done(ledger, "CERT_ADD", sender=by_alias).decode() == hashed(second)
    assert done(ledger, "CERTS_ALIAS_DELETE", {"aliases": "till.7_a-b"}) == b"ok"
    assert manage(ledger, "CERTS_ALIAS_QUERY", {"aliases": "till.7_a-b"}).message == (
        "query alias failed, not found alias[till.7_a-b], you should add alias first"
    )


def test_many_aliases_at_once(ledger, consortium):
    for name in ("a", "b", "c"):
        done(ledger, "CERT_ALIAS_ADD", {"alias": name}, consortium.signer(1, f"many{name}"))
    assert [info.alias for info in aliases(ledger, "c, a,b")] == ["c", "a", "b"]
    assert manage(ledger, "CERTS_ALIAS_DELETE", {"aliases": "a,b,x"}).message == "alias[x] not exist"
    assert [info.alias for info in aliases(ledger, "a,b,c")] == ["a", "b", "c"]
    done(ledger, "CERTS_ALIAS_DELETE", {"aliases": "a,c"})
    assert read_records(ledger.world.rows).by_alias.keys() == {"b"}


def test_freezing_by_certificate_hash_and_alias_at_once(ledger, consortium):
    signers = [consortium.signer(1, f"cold{number}") for number in range(3)]
    done(ledger, "CERT_ALIAS_ADD", {"alias": "third"}, signers[2])
    named = {"certs": signers[0].member.member_info.decode(), "cert_hashes": hashed(signers[1]), "aliases": "third"}
    wanted = ",".join(map(hashed, signers))
    found = manage(ledger, "CERTS_FREEZE", named)
    assert (found.code, found.result.decode()) == (0, wanted)
    [event] = found.contract_event
    assert (event.topic, event.contract_name, list(event.event_data)) == (
        "CERT_MANAGE_CERTS_FREEZE",
        "CERT_MANAGE",
        [wanted],
    )
    for signer in signers:
        with pytest.raises(UnverifiedError, match="the certificate is frozen"):
            ledger.world.members.identify(signer.member, START)
    found = manage(ledger, "CERTS_UNFREEZE", named)
    assert (found.result, found.contract_event[0].topic) == (b"Success", "CERT_MANAGE_CERTS_UNFREEZE")
    assert list(found.contract_event[0].event_data) == [wanted]
    for signer in signers:
        assert ledger.world.members.identify(signer.member, START).certificate_hash == hashed(signer)


def test_a_list_revokes_what_it_names_and_nothing_else(ledger, consortium):
    gone, stays = consortium.signer(1, "gone1"), consortium.signer(1, "stays1")
    listed = consortium.authorities[ORG].revocation_list([serial(gone), 1], NOW)
    found = manage(ledger, "CERTS_REVOKE", {"cert_crl": listed})
    issuer = x509.load_pem_x509_crl(listed).issuer.rfc4514_string()
    keys = {hashlib.sha256(f"{issuer}\n{number}".encode()).hexdigest() for number in (serial(gone), 1)}
    assert set(found.result.decode().split(",")) == keys
    assert found.contract_event[0].topic == "CERT_MANAGE_CERTS_REVOKE"
    assert read_records(ledger.world.rows).revoked == {(issuer, serial(gone)), (issuer, 1)}
    with pytest.raises(UnverifiedError, match="the certificate is revoked"):
        ledger.world.members.identify(gone.member, START)
    assert ledger.world.members.identify(stays.member, START).member_id.startswith("stays1")


def test_an_authority_revokes_only_what_is_its_own(ledger, consortium):
    """A serial number of another organisation on the list of this one counts for nobody there."""
    other = consortium.signer(2, "others1")
    done(ledger, "CERTS_REVOKE", {"cert_crl": consortium.authorities[ORG].revocation_list([serial(other)], NOW)})
    assert ledger.world.members.identify(other.member, START).org_id == org_name(2)


def test_a_list_by_somebody_of_the_same_name_revokes_nobody(ledger, consortium):
    """The name of the issuer is written by whoever makes the list; only a trust root's signature counts."""
    one = consortium.signer(1, "stays1")
    for forger in (Authority.create(ORG, NOW), Authority.create(ORG, NOW, Suite.NATIONAL)):
        found = manage(ledger, "CERTS_REVOKE", {"cert_crl": forger.revocation_list([serial(one)], NOW)})
        assert (found.code, found.message) == (1, "validate crl failed, no trust root issued this list")
    assert read_records(ledger.world.rows).revoked == frozenset()
    assert ledger.world.members.identify(one.member, START).certificate_hash == hashed(one)


def test_an_event_names_the_first_of_many_that_were_revoked(ledger, consortium):
    listed = consortium.authorities[ORG].revocation_list(range(1, 40), NOW + timedelta(days=1))
    found = manage(ledger, "CERTS_REVOKE", {"cert_crl": listed})
    keys = found.result.decode().split(",")
    assert len(keys) == 39
    assert list(found.contract_event[0].event_data) == [",".join(keys[:16])]


def test_a_list_of_too_many_is_not_taken_apart(ledger, consortium, monkeypatch):
    monkeypatch.setattr("changan.ledger.native.cert_manage.REVOKED_AT_ONCE_MAX", 5)
    for count, words in ((5, "OK"), (6, "params is error, the list holds 6 entries, 5 are allowed")):
        listed = consortium.authorities[ORG].revocation_list(range(1, count + 1), NOW)
        assert manage(ledger, "CERTS_REVOKE", {"cert_crl": listed}).message == words


LONG = ",".join(["a"] * 1001)
REFUSED = [
    ("CERTS_QUERY", {}, "params is error, query cert require param [cert_hashes] not found"),
    ("CERTS_DELETE", {"cert_hashes": ""}, "params is error, delete cert require param [cert_hashes] not found"),
    ("CERTS_DELETE", {"cert_hashes": "alias.x"}, "certManage delete the certHash failed, certHash[alias.x], err: certHash is not exist"),
    ("CERTS_QUERY", {"cert_hashes": LONG}, "params is error, 1001 names at once, at most 1000 are allowed"),
    ("CERTS_FREEZE", {}, "params is error, require param [certs] not found"),
    ("CERTS_UNFREEZE", {"certs": " , "}, "params is error, require param [certs] not found"),
    ("CERTS_FREEZE", {"certs": "junk"}, "params is error, [certs] holds something that is not a certificate in PEM"),
    ("CERTS_FREEZE", {"cert_hashes": "AB" * 32}, f"params is error, {'AB' * 32!r} is not the hash of a certificate"),
    ("CERTS_FREEZE", {"cert_hashes": "ab" * 31}, f"params is error, {'ab' * 31!r} is not the hash of a certificate"),
    ("CERTS_FREEZE", {"aliases": "nobody"}, "alias[nobody] not exist"),
    ("CERTS_FREEZE", {"aliases": LONG}, "params is error, 1001 names at once, at most 1000 are allowed"),
    ("CERTS_FREEZE", {"cert_hashes": b"\xff"}, "params is error, param[cert_hashes] is not UTF-8"),
    ("CERTS_REVOKE", {}, "params is error, revoke cert require param [cert_crl] not found"),
    ("CERTS_REVOKE", {"cert_crl": "junk"}, "params is error, [cert_crl] is not a certificate revocation list in PEM"),
    ("CERT_ALIAS_ADD", {}, "params is error, add alias require param [alias] not found"),
    ("CERT_ALIAS_ADD", {"alias": "a" * 65}, f"params is error, alias {'a' * 65!r} is not of the form [a-zA-Z0-9_.-]{{1,64}}"),
    ("CERT_ALIAS_ADD", {"alias": "a\n"}, "params is error, alias 'a\\n' is not of the form [a-zA-Z0-9_.-]{1,64}"),
    ("CERT_ALIAS_ADD", {"alias": "名"}, "params is error, alias '名' is not of the form [a-zA-Z0-9_.-]{1,64}"),
    ("CERT_ALIAS_ADD", {"alias": "taken"}, "alias[taken] is exist"),
    ("CERT_ALIAS_UPDATE", {"alias": "taken"}, "params is error, update alias require param [alias, cert] not found"),
    ("CERT_ALIAS_UPDATE", {"alias": "free", "cert": "x"}, "alias[free] not exist"),
    ("CERT_ALIAS_UPDATE", {"alias": "taken", "cert": "x"}, "params is error, [certs] holds something that is not a certificate in PEM"),
    ("CERTS_ALIAS_DELETE", {}, "params is error, delete alias require param [aliases] not found"),
    ("CERTS_ALIAS_DELETE", {"aliases": "taken,free"}, "alias[free] not exist"),
    ("CERTS_ALIAS_QUERY", {}, "params is error, query alias require param [aliases] not found"),
    ("CERTS_ALIAS_QUERY", {"aliases": "free"}, "query alias failed, not found alias[free], you should add alias first"),
]  # fmt: skip


@pytest.fixture(scope="module")
def known() -> Ledger:
    friends = Consortium()
    made = Ledger(friends)
    done(made, "CERT_ALIAS_ADD", {"alias": "taken"}, friends.signer(1, "client9"))
    return made


@pytest.mark.parametrize(
    ("method", "parameters", "words"), REFUSED, ids=[re.sub(r"\W+", " ", f"{row[0]} {row[2]}")[:60] for row in REFUSED]
)
def test_refusals_word_for_word_and_nothing_changes(known, method, parameters, words):
    before = dict(known.world.rows.under("CERT_MANAGE", ""))
    found = manage(known, method, parameters)
    assert (found.code, found.message) == (1, words)
    assert not found.contract_event
    assert dict(known.world.rows.under("CERT_MANAGE", "")) == before


FRIENDS = Consortium(organisations=1)
PEOPLE = tuple(FRIENDS.signer(1, f"person{number}") for number in range(4))
PERSON = st.sampled_from(range(4))


class Certificates(RuleBasedStateMachine):
    """Random calls against a model; whoever may act must be who the model says."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(FRIENDS)
        self.stored: set[int] = set()
        self.named: dict[str, int] = {}
        self.frozen: set[int] = set()
        self.revoked: set[int] = set()

    def able(self, who: int) -> bool:
        return who not in self.frozen | self.revoked

    @precondition(lambda self: any(map(self.able, range(4))))
    @rule(who=PERSON)
    def store(self, who):
        if self.able(who):
            done(self.ledger, "CERT_ADD", sender=PEOPLE[who])
            self.stored.add(who)

    @rule(who=PERSON)
    def forget(self, who):
        found = manage(self.ledger, "CERTS_DELETE", {"cert_hashes": hashed(PEOPLE[who])})
        assert (found.code == 0) == (who in self.stored)
        self.stored.discard(who)

    @rule(who=PERSON, name=st.sampled_from("xy"))
    def name(self, who, name):
        if not self.able(who):
            return
        found = manage(self.ledger, "CERT_ALIAS_ADD", {"alias": name}, PEOPLE[who])
        assert (found.code == 0) == (name not in self.named)
        self.named.setdefault(name, who)

    @rule(who=PERSON, name=st.sampled_from("xy"))
    def rename(self, who, name):
        parameters = {"alias": name, "cert": PEOPLE[who].member.member_info}
        assert (manage(self.ledger, "CERT_ALIAS_UPDATE", parameters).code == 0) == (name in self.named)
        if name in self.named:
            self.named[name] = who

    @rule(who=PERSON)
    def freeze(self, who):
        done(self.ledger, "CERTS_FREEZE", {"cert_hashes": hashed(PEOPLE[who])})
        self.frozen.add(who)

    @rule(name=st.sampled_from("xy"))
    def thaw(self, name):
        found = manage(self.ledger, "CERTS_UNFREEZE", {"aliases": name})
        assert (found.code == 0) == (name in self.named)
        self.frozen.discard(self.named.get(name))

    @rule(who=PERSON)
    def revoke(self, who):
        listed = FRIENDS.authorities[ORG].revocation_list([serial(PEOPLE[who])], NOW)
        done(self.ledger, "CERTS_REVOKE", {"cert_crl": listed})
        self.revoked.add(who)

    @invariant()
    def everybody_is_who_the_model_says(self):
        def holds(kind, info) -> bool:
            try:
                self.ledger.world.members.identify(Member(org_id=ORG, member_type=kind, member_info=info), START)
            except UnverifiedError:
                return False
            return True

        for who, signer in enumerate(PEOPLE):
            assert holds(MemberType.CERT, signer.member.member_info) == self.able(who)
            by_hash = bytes.fromhex(hashed(signer))
            assert holds(MemberType.CERT_HASH, by_hash) == (who in self.stored and self.able(who))
        for name in "xy":
            assert holds(MemberType.ALIAS, name.encode()) == (name in self.named and self.able(self.named[name]))


TestCertificates = Certificates.TestCase
TestCertificates.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
