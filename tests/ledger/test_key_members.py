"""Members that are keys: who is who, in registered and in public mode, as the record of a real node has it."""

from __future__ import annotations

import base64
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from changan.client.requests import Signer
from changan.crypto.addresses import keccak256
from changan.crypto.key_forms import public_key_pem, read_public_key
from changan.crypto.keys import SigningKey
from changan.errors import UnverifiedError
from changan.ledger.admission import RefusedError, authenticate, check_form
from changan.ledger.chain_config import Mode
from changan.ledger.wire.messages import ChainConfig, Contract, Member, MemberType, PKInfo, TxStatusCode, TxType
from changan.node.audit import AuditError, Auditor
from consortium import Ledger, org_name
from key_consortium import key_ledger, key_signer, new_key, pem_of

ALL_FAILED = (
    "[verifyTxTypePrincipal]authentication error: authentication failed, "
    "[refine endorsements failed, all endorsers have failed verification]"
)
NOT_HEX = "fail to decode public key: [encoding/hex: invalid byte: U+006A 'j']"


def said(ledger: Ledger, signer: Signer, *, query: bool = False) -> str:
    """What the door says to a request of this member: nothing, or why not."""
    request = ledger.request("T", "P", {"k": "a"}, sender=signer, tx_type=TxType.QUERY_CONTRACT if query else 0)
    request.sender.CopyFrom(signer.endorse(request.payload))
    world = ledger.world
    try:
        check_form(request)
        authenticate(request, world.members, world.policies, ledger.time_us // 1_000_000, world.epoch)
    except RefusedError as error:
        assert error.code == TxStatusCode.INTERNAL_ERROR
        return error.message
    return ""


def manage(ledger: Ledger, method: str, parameters, *, sender=None, endorsers=()):
    sender = sender or ledger.consortium.admin()
    return ledger.call("PUBKEY_MANAGE", method, parameters, sender=sender, endorsers=endorsers)


def register(ledger: Ledger, signer: Signer, role: str = "client", org: int = 1):
    parameters = {"pubkey": pem_of(signer), "org_id": org_name(org), "role": role}
    return manage(ledger, "PUBKEY_ADD", parameters, sender=ledger.consortium.admin(org))


@pytest.fixture
def keys() -> Ledger:
    return key_ledger(Mode.KEYS)


@pytest.fixture
def public() -> Ledger:
    return key_ledger(Mode.PUBLIC)


# Registered keys


def test_administrators_and_consensus_nodes_act_without_registration(keys):
    friends = keys.consortium
    assert said(keys, friends.admin(2)) == ""
    assert said(keys, friends.node()) == ""
    assert said(keys, friends.node(), query=True) == ""
    stranger = friends.signer(1, "client1")
    assert ALL_FAILED in said(keys, stranger)
    assert ALL_FAILED in said(keys, stranger, query=True)


def test_a_registered_key_acts_until_it_is_deleted(keys):
    client = keys.consortium.signer()
    result = register(keys, client)
    assert (result.code, result.contract_result.result) == (TxStatusCode.SUCCESS, b"Success")
    (event,) = result.contract_result.contract_event
    assert (event.topic, event.contract_version) == ("23", "2030700")
    assert list(event.event_data) == [org_name(1), "client", pem_of(client)]
    assert said(keys, client) == ""
    info = PKInfo.FromString(manage(keys, "PUBKEY_QUERY", {"pubkey": pem_of(client)}).contract_result.result)
    assert info == PKInfo(pk_bytes=client.key.public.der, role="CLIENT", org_id=org_name(1))
    assert register(keys, client, "light").code == TxStatusCode.SUCCESS  # again: another role
    assert "signers do not meet the requirement (INVOKE_CONTRACT)" in said(keys, client)
    deleted = manage(keys, "PUBKEY_DELETE", {"pubkey": pem_of(client), "org_id": org_name(1)})
    assert deleted.contract_result.result == b"Success"
    assert deleted.contract_result.contract_event[0].topic == "24"
    assert ALL_FAILED in said(keys, client)
    assert manage(keys, "PUBKEY_QUERY", {"pubkey": pem_of(client)}).contract_result.result == b""


@pytest.mark.parametrize("role", ["light", "common", "LIGHT"])
def test_those_who_only_read(keys, role):
    reader = keys.consortium.signer(1, "reader")
    assert register(keys, reader, role).code == TxStatusCode.SUCCESS
    assert said(keys, reader, query=True) == ""
    assert "authentication fail: signers do not meet the requirement (INVOKE_CONTRACT)" in said(keys, reader)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "admin"}, "params is error, illegal param[role] of AddPubkey: admin"),
        ({"role": "consensus"}, "params is error, illegal param[role] of AddPubkey: consensus"),
        ({"role": "nosuch"}, "params is error, illegal param[role] of AddPubkey: nosuch"),
        ({"role": ""}, "params is error, param[role] of AddPubkey not found"),
        ({"pubkey": ""}, "params is error, param[pubkey] of AddPubkey not found"),
        ({"pubkey": "junk"}, NOT_HEX),
    ],
)
def test_registrations_that_are_refused(keys, changes, message):
    parameters = {"pubkey": pem_of(keys.consortium.signer()), "org_id": org_name(1), "role": "client", **changes}
    result = manage(keys, "PUBKEY_ADD", parameters)
    assert (result.code, result.contract_result.message) == (TxStatusCode.CONTRACT_FAIL, message)


def test_a_key_belongs_to_one_organisation(keys):
    """The real node overwrites the registration, and lets any organisation delete it."""
    client = keys.consortium.signer()
    register(keys, client)
    stolen = register(keys, client, org=2)
    assert stolen.code == TxStatusCode.CONTRACT_FAIL
    assert stolen.contract_result.message.startswith(f"the key belongs to {org_name(1)}")
    foreign = manage(
        keys,
        "PUBKEY_DELETE",
        {"pubkey": pem_of(client), "org_id": org_name(2)},
        sender=keys.consortium.admin(2),
    )
    assert foreign.contract_result.message.endswith("err: not exist")
    assert said(keys, client) == ""


def test_an_administrators_key_registered_as_a_client_stays_an_administrators(keys):
    assert register(keys, keys.consortium.admin()).code == TxStatusCode.SUCCESS
    assert keys.world.members.identify(keys.consortium.admin().member, 0).role == "ADMIN"


def test_members_under_another_form(keys):
    admin = keys.consortium.admin()
    assert said(keys, key_signer(admin.key, org_name(1), member_type=MemberType.CERT)) == ""
    by_hash = said(keys, key_signer(admin.key, org_name(1), member_type=MemberType.CERT_HASH))
    assert "[verifySenderPrincipal]authentication error: authentication failed, [this method should not be called]" in (
        by_hash
    )
    for member_type in (MemberType.DID, MemberType.ALIAS, MemberType.ADDR):
        assert ALL_FAILED in said(keys, key_signer(admin.key, org_name(1), member_type=member_type))
    assert ALL_FAILED in said(keys, key_signer(admin.key, org_name(2)))
    nobody = said(keys, key_signer(admin.key, ""))
    assert "authentication fail: signers do not meet the requirement (INVOKE_CONTRACT)" in nobody
    for info in (b"junk", b"", b"\xff\x00"):
        assert ALL_FAILED in said(keys, key_signer(admin.key, org_name(1), member_info=info))


def test_a_certificate_is_no_member_of_a_chain_of_keys(keys, public, consortium):
    for ledger in (keys, public):
        assert ALL_FAILED in said(ledger, consortium.signer())


@pytest.mark.parametrize(
    "curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()], ids=lambda c: c.name
)
def test_every_curve_registers_and_signs_with_the_digest_of_the_chain(keys, public, curve):
    """On the real node secp256k1 ends in a panic in every proposer."""
    signer = key_signer(new_key(curve), org_name(1))
    assert register(keys, signer).code == TxStatusCode.SUCCESS
    assert keys.call("T", "P", {"k": "a"}, sender=signer).code == TxStatusCode.SUCCESS
    assert said(public, key_signer(signer.key)) == ""


# Public chains


def test_anybody_acts_on_a_public_chain(public):
    stranger = key_signer(new_key())
    assert said(public, stranger) == said(public, stranger, query=True) == ""
    assert said(public, key_signer(stranger.key, "made-up")) == ""
    assert said(public, key_signer(stranger.key, "public")) == ""
    assert public.world.members.identify(stranger.member, 0).role == "CLIENT"
    assert public.world.members.identify(public.consortium.admin(3).member, 0).role == "ADMIN"
    assert public.world.members.identify(public.consortium.node().member, 0).role == "CONSENSUS"
    for member_type in (MemberType.CERT, MemberType.CERT_HASH, MemberType.ALIAS, MemberType.ADDR):
        assert ALL_FAILED in said(public, key_signer(stranger.key, member_type=member_type))
    other_digest = Signer(stranger.member, stranger.key, "SHA3_256")
    assert ALL_FAILED in said(public, other_digest)


def test_nobody_replaces_the_administrators_of_a_public_chain_alone(public):
    """The real node has no policy here: any client took the chain over (row B53 of the record)."""
    thief = key_signer(new_key())
    parameters = {"org_id": "public", "root": pem_of(thief)}
    request = public.request("CHAIN_CONFIG", "TRUST_ROOT_UPDATE", parameters, sender=thief)
    with pytest.raises(RefusedError) as error:
        authenticate(request, public.world.members, public.world.policies, 0, public.world.epoch)
    assert "3 valid endorsements required, 0 valid endorsements received" in error.value.message
    admins = public.consortium.admins()
    new = [pem_of(key_signer(new_key())) for _ in range(2)]
    done = public.configure("TRUST_ROOT_UPDATE", {"org_id": "public", "root": ",".join(new)}, endorsers=admins[:3])
    assert done.code == TxStatusCode.SUCCESS
    assert list(ChainConfig.FromString(done.contract_result.result).trust_roots[0].root) == new
    assert public.world.members.identify(admins[0].member, 0).role == "CLIENT"
    junk = {"org_id": "public", "root": "junk"}
    request = public.request("CHAIN_CONFIG", "TRUST_ROOT_UPDATE", junk, endorsers=admins)
    with pytest.raises(RefusedError, match="2 valid endorsements required, 0 valid"):
        authenticate(request, public.world.members, public.world.policies, 0, public.world.epoch)


def test_a_junk_root_is_refused_in_the_words_of_the_record(public):
    refused = public.configure("TRUST_ROOT_UPDATE", {"org_id": "public", "root": "junk"})
    assert refused.contract_result.message == NOT_HEX


def test_a_majority_of_a_public_chain_counts_administrators(public):
    admins = public.consortium.admins()
    enough = public.configure("BLOCK_UPDATE", {"block_size": "3"}, sender=admins[0], endorsers=admins[1:3])
    assert enough.code == TxStatusCode.SUCCESS
    for sender, endorsers, received in (
        (admins[0], [], 1),
        (admins[0], [admins[0]] * 3, 1),
        (public.consortium.signer(), admins[:2], 2),
    ):
        request = public.request("CHAIN_CONFIG", "BLOCK_UPDATE", {}, sender=sender, endorsers=endorsers)
        with pytest.raises(RefusedError, match=f"3 valid endorsements required, {received} valid"):
            authenticate(request, public.world.members, public.world.policies, 0, public.world.epoch)


# What is kept of a member


@pytest.mark.parametrize("mode", [Mode.KEYS, Mode.PUBLIC])
def test_the_creator_of_a_contract(mode):
    ledger = key_ledger(mode)
    admin = ledger.consortium.admin()
    result = ledger.install("token", supply="5")
    assert result.code == TxStatusCode.SUCCESS, result.contract_result.message
    creator = Contract.FromString(result.contract_result.result).creator
    point = admin.key.public.point
    assert creator.org_id == (org_name(1) if mode is Mode.KEYS else "")
    assert (creator.role, creator.member_type) == ("ADMIN", MemberType.PUBLIC_KEY)
    assert creator.member_info == creator.member_id.encode() == public_key_pem(admin.key.public)
    assert creator.uid == ledger.world.digest(point).hex()
    address = ledger.world.members.identify(admin.member, 0).address
    assert address == keccak256(point[1:])[-20:]
    balance = ledger.call("token", "balance_of", {"who": address.hex()}, sender=admin)
    assert balance.contract_result.result == b"5"


# Forms of a key


class Form(NamedTuple):
    name: str
    data: bytes


def rsa_forms() -> tuple[SigningKey, list[Form]]:
    made = rsa.generate_private_key(65537, 2048)
    public = made.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    body = base64.encodebytes(der)
    forms = [
        Form("SubjectPublicKeyInfo", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        Form("PKCS#1", public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)),
        Form("PKCS#1 as Go writes it", b"-----BEGIN PUBLIC KEY-----\n" + body + b"-----END PUBLIC KEY-----\n"),
        Form("hex", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex().encode()),
    ]
    return SigningKey(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())), forms


def test_rsa_keys_in_every_form_are_one_member(public):
    key, forms = rsa_forms()
    seen = set()
    for form in forms:
        signer = key_signer(key, member_info=form.data)
        assert said(public, signer) == "", form.name
        seen.add(public.world.members.identify(signer.member, 0).address)
    assert len(seen) == 1


def test_a_pem_without_its_last_newline(public):
    signer = key_signer(new_key())
    assert said(public, key_signer(signer.key, member_info=pem_of(signer).encode().strip())) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"00",
        b"junk",
        b"abc",
        b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"\x00" * 100,
        b"a" * 10_000,
    ],
)
def test_what_is_no_public_key(data):
    with pytest.raises(UnverifiedError):
        read_public_key(data)


# The audit


@pytest.mark.parametrize("mode", [Mode.KEYS, Mode.PUBLIC])
def test_the_audit_follows_members_that_are_keys(mode):
    ledger = key_ledger(mode)
    client = ledger.consortium.signer()
    if mode is Mode.KEYS:
        register(ledger, client)
    ledger.call("T", "P", {"k": "a"}, sender=client)
    if mode is Mode.KEYS:
        manage(ledger, "PUBKEY_DELETE", {"pubkey": pem_of(client), "org_id": org_name(1)})
    auditor = Auditor(ledger.log())
    assert list(auditor.blocks()) == list(range(len(ledger.blocks)))
    assert auditor.signatures == 2 * (len(ledger.blocks) - 1)
    if mode is Mode.KEYS:
        register(ledger, client)
        kept = ledger.world.members
        manage(ledger, "PUBKEY_DELETE", {"pubkey": pem_of(client), "org_id": org_name(1)})
        ledger.world.members = kept  # a node that does not hear of the deletion
        ledger.call("T", "P", {"k": "a"}, sender=client)
        with pytest.raises(AuditError, match="a key that signed is none of"):
            list(Auditor(ledger.log()).blocks())


def test_a_member_without_a_type_is_refused(public):
    assert ALL_FAILED in said(public, Signer(Member(), new_key()))
