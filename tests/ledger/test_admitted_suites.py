"""Which suites' keys a chain takes: its own, and those that its configuration admits beside; all others are refused in words."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from changan.client.requests import Signer
from changan.crypto.keys import SigningKey
from changan.crypto.suite import SUITE_NAMES, Suite, algorithms, suite_name, suite_of_digest
from changan.errors import MalformedError
from changan.ledger.admission import RefusedError, authenticate
from changan.ledger.chain_config import ADMITS, Mode, admitted_suites, chain_suite, default_config
from changan.ledger.config_parameters import ConfigError
from changan.ledger.config_rules import check_suites
from changan.ledger.wire.messages import AddrType, ChainConfig, ConfigKeyValue, Member, MemberType, TxStatusCode
from changan.node.audit import AuditError, Auditor
from changan.node.pki.authority import Authority
from consortium import NOW, Consortium, Ledger, org_name
from key_consortium import key_ledger, key_signer, new_key, new_sm2_key, pem_of

OTHER = {Suite.INTERNATIONAL: Suite.NATIONAL, Suite.NATIONAL: Suite.INTERNATIONAL}
ONLY = {
    Suite.INTERNATIONAL: "a key of SM2 is of the suite gm, and this chain admits intl: take a key of intl",
    Suite.NATIONAL: "a key of P-256 is of the suite intl, and this chain admits gm: take a key of gm",
}
SUCCESS, FAILED = TxStatusCode.SUCCESS, TxStatusCode.CONTRACT_FAIL
ORG = org_name(1)


@pytest.fixture(scope="module")
def friends():
    return {suite: Consortium(suite=suite) for suite in Suite}


def stranger(consortium: Consortium, org: str = ORG) -> Signer:
    """A client whom the organisation's own authority certified, with a key of the other suite."""
    curve = "P-256" if consortium.suite is Suite.NATIONAL else "SM2"
    issued = consortium.authorities[org].issue("guest", "client", "sign", NOW, curve=curve)
    member = Member(org_id=org, member_type=MemberType.CERT, member_info=issued.certificate_pem)
    # It signs with the digest of its certificate's signature (D3), whatever its key is.
    return Signer(member, SigningKey(issued.key_pem), algorithms(consortium.suite).digest_name)


def key_of(suite: Suite) -> SigningKey:
    return new_sm2_key() if suite is Suite.NATIONAL else new_key()


def answer(ledger: Ledger, sender: Signer, *, endorsers=(), call=("T", "P")) -> str:
    """What the door answers: nothing where it takes the request."""
    request = ledger.request(*call, {}, sender=sender, endorsers=endorsers)
    world = ledger.world
    try:
        authenticate(request, world.members, world.policies, ledger.time_us // 1_000_000, world.epoch)
    except RefusedError as error:
        assert error.code == TxStatusCode.INTERNAL_ERROR
        return error.message
    return ""


# What a suite is


@pytest.mark.parametrize(
    ("suite", "digest", "addresses"), [("intl", "SHA256", AddrType.ETHEREUM), ("gm", "SM3", AddrType.ZXL)]
)
@pytest.mark.parametrize("mode", Mode)
def test_a_suite_fixes_digest_and_addresses_of_a_new_chain(suite, digest, addresses, mode):
    config = default_config("c", [], [], mode=mode, suite=SUITE_NAMES[suite])
    assert (config.crypto.hash, config.vm.addr_type) == (digest, addresses)
    assert chain_suite(config) is suite_of_digest(digest) is SUITE_NAMES[suite]
    assert admitted_suites(config) == {SUITE_NAMES[suite]}
    assert not config.consensus.ext_config
    assert suite_name(SUITE_NAMES[suite]) == suite


@pytest.mark.parametrize("suite", Suite)
def test_what_is_admitted_beside_stands_in_the_configuration(suite):
    config = default_config("c", [], [], suite=suite, admits=Suite)
    assert [(entry.key, entry.value) for entry in config.consensus.ext_config] == [(ADMITS, suite_name(OTHER[suite]))]
    assert admitted_suites(config) == set(Suite)
    assert not default_config("c", [], [], suite=suite, admits=[suite]).consensus.ext_config


@pytest.mark.parametrize("value", ["fips", "gm;intl", "GM", "gm,,x", "\0", "gm" * 10_000])
def test_nonsense_names_no_suite(value):
    config = default_config("c", [], [])
    config.consensus.ext_config.append(ConfigKeyValue(key=ADMITS, value=value))
    with pytest.raises(MalformedError, match="is none of intl, gm") as caught:
        admitted_suites(config)
    assert len(str(caught.value)) < 500
    with pytest.raises(ConfigError, match=r"changan\.admits names suites, comma-joined, of intl, gm"):
        check_suites(config)


@pytest.mark.parametrize("value", ["gm", " gm ", "gm,", "intl,gm", ",gm,gm,"])
def test_a_list_of_suites_is_read_leniently_in_its_commas(value):
    config = default_config("c", [], [])
    config.consensus.ext_config.append(ConfigKeyValue(key=ADMITS, value=value))
    assert admitted_suites(config) == set(Suite)


# Members with certificates


@pytest.mark.parametrize("suite", Suite)
def test_a_certified_key_of_the_other_suite_is_refused_in_words(friends, suite):
    ledger = Ledger(friends[suite])
    assert answer(ledger, friends[suite].signer()) == ""
    said = answer(ledger, stranger(friends[suite]))
    assert f"[verifySenderPrincipal]authentication error: authentication failed, [{ONLY[suite]}" in said
    assert "or let the administrators admit the other suite]" in said


@pytest.mark.parametrize("suite", Suite)
def test_a_certified_key_of_the_other_suite_is_admitted_where_the_chain_says_so(friends, suite):
    ledger = Ledger(friends[suite], admits=[OTHER[suite]])
    guest = stranger(friends[suite])
    assert answer(ledger, guest) == answer(ledger, friends[suite].signer()) == ""
    assert ledger.call("T", "P", {"k": "a"}, sender=guest).code == SUCCESS


@pytest.mark.parametrize("suite", Suite)
def test_an_unknown_certificate_of_the_other_suite_is_just_unknown(friends, suite):
    """Whose certificate nobody here issued is told no more than that."""
    said = answer(Ledger(friends[suite]), friends[OTHER[suite]].signer())
    assert "[verifyTxTypePrincipal]authentication error: authentication failed, [refine endorsements failed" in said
    assert "suite" not in said


@pytest.mark.parametrize("suite", Suite)
def test_an_endorser_of_the_other_suite_counts_as_absent(friends, suite):
    consortium = friends[suite]
    curve = "P-256" if suite is Suite.NATIONAL else "SM2"
    admins = [consortium.signer(number, "admin9", "admin", curve=curve) for number in (1, 2, 3)]
    admins = [Signer(one.member, one.key, algorithms(suite).digest_name) for one in admins]
    call = ("CHAIN_CONFIG", "CORE_UPDATE")
    refused = answer(Ledger(consortium), consortium.admin(4), endorsers=admins, call=call)
    assert "3 valid endorsements required, 1 valid endorsements received" in refused
    assert answer(Ledger(consortium, admits=Suite), consortium.admin(4), endorsers=admins, call=call) == ""


# Members that are keys


@pytest.mark.parametrize("suite", Suite)
def test_on_a_public_chain_anybody_with_a_key_of_an_admitted_suite(suite):
    guest = key_signer(key_of(OTHER[suite]), hash_name=algorithms(suite).digest_name)
    assert ONLY[suite] in answer(key_ledger(Mode.PUBLIC, suite), guest)
    open_to_both = key_ledger(Mode.PUBLIC, suite, admits=Suite)
    assert answer(open_to_both, guest) == ""
    wrong = Signer(guest.member, guest.key, algorithms(OTHER[suite]).digest_name)
    # SM2 has a digest of its own; ECDSA signs over the chain's.
    assert (answer(open_to_both, wrong) == "") == (suite is Suite.INTERNATIONAL)


@pytest.mark.parametrize("suite", Suite)
def test_only_keys_of_an_admitted_suite_are_registered(suite):
    guest = key_signer(key_of(OTHER[suite]), ORG, algorithms(suite).digest_name)
    for admits, code in ((), FAILED), (Suite, SUCCESS):
        ledger = key_ledger(Mode.KEYS, suite, admits=admits)
        parameters = {"pubkey": pem_of(guest), "org_id": ORG, "role": "client"}
        result = ledger.call("PUBKEY_MANAGE", "PUBKEY_ADD", parameters, sender=ledger.consortium.admin())
        assert result.code == code
        assert (ONLY[suite] in result.contract_result.message) == (code == FAILED)
        assert (answer(ledger, guest) == "") == (code == SUCCESS)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()])
def test_every_international_curve_is_of_that_suite(curve):
    guest = key_signer(new_key(curve), hash_name="SM3")
    assert f"a key of {guest.key.public.scheme.value} is of the suite intl" in answer(
        key_ledger(Mode.PUBLIC, Suite.NATIONAL), guest
    )
    assert answer(key_ledger(Mode.PUBLIC, Suite.NATIONAL, admits=Suite), guest) == ""


# On a live chain


@pytest.mark.parametrize("suite", Suite)
def test_administrators_admit_a_suite_and_shut_it_out_again(friends, suite):
    consortium = friends[suite]
    ledger, guest = Ledger(consortium), stranger(consortium)
    assert ledger.configure("CONSENSUS_EXT_ADD", {ADMITS: "gm,intl"}).code == SUCCESS
    assert answer(ledger, guest) == ""
    for bad in ("fips", "intl;gm"):
        refused = ledger.configure("CONSENSUS_EXT_UPDATE", {ADMITS: bad})
        assert (refused.code, ADMITS in refused.contract_result.message) == (FAILED, True)
    assert answer(ledger, guest) == ""
    assert ledger.configure("CONSENSUS_EXT_DELETE", {ADMITS: ""}).code == SUCCESS
    assert ONLY[suite] in answer(ledger, guest)
    assert answer(ledger, consortium.signer()) == ""


@pytest.mark.parametrize("suite", Suite)
def test_who_is_no_administrator_admits_nothing(friends, suite):
    ledger = Ledger(friends[suite])
    said = answer(ledger, friends[suite].signer(), call=("CHAIN_CONFIG", "CONSENSUS_EXT_ADD"))
    assert "3 valid endorsements required, 0 valid endorsements received" in said


@pytest.mark.parametrize("suite", Suite)
def test_an_organisation_of_the_other_suite_joins_only_where_it_is_admitted(friends, suite):
    ledger, name = Ledger(friends[suite]), org_name(7)
    joining = Authority.create(name, NOW, OTHER[suite])
    root = {"org_id": name, "root": joining.certificate_pem}
    refused = ledger.configure("TRUST_ROOT_ADD", root)
    assert refused.code == FAILED
    assert f"check trust root failed, {name}: {ONLY[suite]}" in refused.contract_result.message
    assert ledger.configure("CONSENSUS_EXT_ADD", {ADMITS: suite_name(OTHER[suite])}).code == SUCCESS
    assert ledger.configure("TRUST_ROOT_ADD", root).code == SUCCESS
    issued = joining.issue("client1", "client", "sign", NOW)
    member = Member(org_id=name, member_type=MemberType.CERT, member_info=issued.certificate_pem)
    newcomer = Signer(member, SigningKey(issued.key_pem), algorithms(OTHER[suite]).digest_name)
    assert ledger.call("T", "P", {"k": "a"}, sender=newcomer).code == SUCCESS
    # While it is trusted, its suite stays.
    kept = ledger.configure("CONSENSUS_EXT_DELETE", {ADMITS: ""})
    assert (kept.code, ONLY[suite] in kept.contract_result.message) == (FAILED, True)
    assert ledger.configure("TRUST_ROOT_DELETE", {"org_id": name}).code == SUCCESS
    assert ledger.configure("CONSENSUS_EXT_DELETE", {ADMITS: ""}).code == SUCCESS


@pytest.mark.parametrize("suite", Suite)
def test_a_foreign_certificate_is_trusted_only_with_a_key_of_an_admitted_suite(friends, suite):
    ledger = Ledger(friends[suite])
    foreign = friends[OTHER[suite]].signer(2, "partner", "client")
    entry = {"member_info": foreign.member.member_info, "org_id": ORG, "role": "client", "node_id": "n"}
    assert ledger.configure("TRUST_MEMBER_ADD", entry).code == FAILED
    assert ledger.configure("CONSENSUS_EXT_ADD", {ADMITS: "intl,gm"}).code == SUCCESS
    assert ledger.configure("TRUST_MEMBER_ADD", entry).code == SUCCESS
    member = Member(org_id=ORG, member_type=MemberType.CERT, member_info=foreign.member.member_info)
    assert answer(ledger, Signer(member, foreign.key, algorithms(OTHER[suite]).digest_name)) == ""


@pytest.mark.parametrize("mode", [Mode.KEYS, Mode.PUBLIC])
@pytest.mark.parametrize("suite", Suite)
def test_administrators_that_are_keys_are_of_an_admitted_suite(mode, suite):
    config: ChainConfig = key_ledger(mode, suite).config
    check_suites(config)
    config.trust_roots[0].root.append(pem_of(key_signer(key_of(OTHER[suite]))))
    with pytest.raises(ConfigError, match=r"check trust root failed, .*: a key of"):
        check_suites(config)


# The audit has the rule too


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("mode", Mode)
def test_the_audit_takes_who_is_admitted_and_nobody_else(friends, mode, suite):
    digest = algorithms(suite).digest_name
    if mode is Mode.CERTIFICATES:
        consortium = friends[suite]
        ledger = Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"), admits=Suite)
        guest = stranger(consortium)
    else:
        ledger = key_ledger(mode, suite, admits=Suite)
        guest = key_signer(key_of(OTHER[suite]), ORG if mode is Mode.KEYS else "", digest)
    if mode is Mode.KEYS:
        parameters = {"pubkey": pem_of(guest), "org_id": ORG, "role": "client"}
        assert ledger.call("PUBKEY_MANAGE", "PUBKEY_ADD", parameters, sender=ledger.consortium.admin()).code == SUCCESS
    assert ledger.call("T", "P", {"k": "a"}, sender=guest).code == SUCCESS
    assert list(Auditor(ledger.log()).blocks()) == list(range(len(ledger.blocks)))
    admitting = ledger.world.members
    assert ledger.configure("CONSENSUS_EXT_DELETE", {ADMITS: ""}, sender=ledger.consortium.admin()).code == SUCCESS
    assert list(Auditor(ledger.log()).blocks()) == list(range(len(ledger.blocks)))
    ledger.world.members = admitting  # a node that did not hear of it
    ledger.call("T", "P", {"k": "a"}, sender=guest)
    with pytest.raises(AuditError, match="of a suite that the chain does not admit"):
        list(Auditor(ledger.log()).blocks())
