"""Who gets in: an adversary's list, each tried against the door that every request passes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from changan.client.requests import Signer, install_parameters
from changan.crypto.keys import SigningKey
from changan.ledger.admission import ENDORSERS_MAX, RefusedError, authenticate, check_form
from changan.ledger.wire.messages import EndorsementEntry, Member, MemberType, TxRequest, TxStatusCode, TxType
from changan.node.pki.authority import Authority
from consortium import NOW, START, Consortium, Ledger, org_name

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def ledger(consortium) -> Ledger:
    return Ledger(consortium)


def judge(ledger: Ledger, request: TxRequest, time: int | None = None):
    check_form(request)
    world = ledger.world
    return authenticate(request, world.members, world.policies, time or START, world.epoch)


def refused(ledger: Ledger, request: TxRequest, time: int | None = None) -> str:
    with pytest.raises(RefusedError) as error:
        judge(ledger, request, time)
    assert error.value.code == TxStatusCode.INTERNAL_ERROR
    assert error.value.message.startswith("tx verify failed, ")
    return error.value.message


def resigned(ledger: Ledger, request: TxRequest, signer: Signer) -> TxRequest:
    request.sender.CopyFrom(signer.endorse(request.payload))
    return request


ALL_FAILED = (
    "[verifyTxTypePrincipal]authentication error: authentication failed, "
    "[refine endorsements failed, all endorsers have failed verification]"
)


def test_the_five_roles(ledger, consortium):
    for role in ("client", "admin", "light", "consensus", "common"):
        signer = consortium.signer(1, f"{role}9", role)
        assert judge(ledger, ledger.request("token", "f", sender=signer)).sender.role == role.upper()


@pytest.mark.parametrize("curve", ["P-256", "secp256k1", "Ed25519"])
def test_keys_on_other_curves(ledger, consortium, curve):
    signer = consortium.signer(1, curve.lower(), "client", curve=curve)
    request = ledger.request("token", "f", sender=signer)
    assert judge(ledger, request).sender.org_id == org_name(1)
    request.payload.method = "g"
    assert ALL_FAILED in refused(ledger, request)


@pytest.mark.parametrize("part", ["signature", "payload", "tx_id", "parameter", "timestamp"])
def test_a_forged_request(ledger, part):
    request = ledger.request("token", "f", {"a": "1"})
    if part == "signature":
        request.sender.signature = request.sender.signature[:-1] + bytes([request.sender.signature[-1] ^ 1])
    elif part == "payload":
        request.payload.method = "g"
    elif part == "tx_id":
        request.payload.tx_id = "f" * 64
    elif part == "parameter":
        request.payload.parameters[0].value = b"2"
    else:
        request.payload.timestamp += 1
    assert ALL_FAILED in refused(ledger, request)


def test_a_malleated_signature_is_no_second_transaction(ledger):
    request = ledger.request("token", "f")
    r, s = decode_dss_signature(request.sender.signature)
    other = TxRequest.FromString(request.SerializeToString())
    other.sender.signature = encode_dss_signature(r, P256_ORDER - s)
    assert judge(ledger, other)  # it verifies, as on the real node ...
    assert other.payload.tx_id == request.payload.tx_id  # ... and is a duplicate by its id
    other.sender.signature = b"\x30\x82\x00" + bytes([len(request.sender.signature) - 2]) + request.sender.signature[2:]
    refused(ledger, other)


def test_times_of_a_certificate(ledger):
    request = ledger.request("token", "f")
    before = int((NOW - timedelta(hours=2)).timestamp())
    after = int((NOW + timedelta(days=4000)).timestamp())
    for time in (before, after):
        assert ALL_FAILED in refused(ledger, request, time)


def test_wrong_authority_and_wrong_organisation(ledger, consortium):
    stranger = Consortium(1)
    assert ALL_FAILED in refused(ledger, ledger.request("token", "f", sender=stranger.signer(1)))
    signer = consortium.signer(2)
    lying = Signer(Member(org_id=org_name(1), member_info=signer.member.member_info), signer.key)
    assert ALL_FAILED in refused(ledger, ledger.request("token", "f", sender=lying))
    unknown = Signer(Member(org_id="wx-org9.chainmaker.org", member_info=signer.member.member_info), signer.key)
    assert ALL_FAILED in refused(ledger, ledger.request("token", "f", sender=unknown))


def test_a_user_cannot_issue_certificates(ledger, consortium):
    """A certificate that a plain user signed, in the name of his organisation."""
    issued = consortium.authorities[org_name(1)].issue("client1", "client", "sign", NOW)
    parent = x509.load_pem_x509_certificate(issued.certificate_pem)
    key = ec.generate_private_key(ec.SECP256R1())
    parent_key = SigningKey(issued.key_pem)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, org_name(1)),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "admin"),
            x509.NameAttribute(NameOID.COMMON_NAME, "evil"),
        ]
    )
    forged = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=100))
        .sign(parent_key._key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    member = Member(org_id=org_name(1), member_info=forged.public_bytes(Encoding.PEM))
    assert ALL_FAILED in refused(ledger, ledger.request("token", "f", sender=Signer(member, SigningKey(pem))))


def test_a_tls_certificate_signs_nothing(ledger, consortium):
    issued = consortium.authorities[org_name(1)].issue("client1", "client", "tls", NOW)
    member = Member(org_id=org_name(1), member_info=issued.certificate_pem)
    text = refused(ledger, ledger.request("token", "f", sender=Signer(member, SigningKey(issued.key_pem))))
    assert "tls certificate is misused for tx sign" in text


def usage(**allowed) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    names += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in allowed for name in names})


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")


@pytest.mark.parametrize(
    ("extensions", "holds"),
    [
        ([], True),  # as ChainMaker's own tools once made them
        ([(usage(digital_signature=True), True)], True),
        ([(usage(digital_signature=True, key_encipherment=True), False), (UNKNOWN, False)], True),
        ([(usage(key_encipherment=True), True)], False),
        ([(usage(key_cert_sign=True, crl_sign=True), False)], False),
        ([(usage(digital_signature=True), True), (UNKNOWN, True)], False),
    ],
)
def test_a_certificate_counts_for_what_its_issuer_meant_it(ledger, consortium, extensions, holds):
    authority = consortium.authorities[org_name(1)]
    root = x509.load_pem_x509_certificate(authority.certificate_pem)
    key = ec.generate_private_key(ec.SECP256R1())
    names = (NameOID.ORGANIZATION_NAME, org_name(1)), (NameOID.ORGANIZATIONAL_UNIT_NAME, "client")
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(*name) for name in names]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=100))
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    certificate = builder.sign(SigningKey(authority.key_pem)._key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    member = Member(org_id=org_name(1), member_info=certificate.public_bytes(Encoding.PEM))
    request = ledger.request("token", "f", sender=Signer(member, SigningKey(pem)))
    if holds:
        assert judge(ledger, request, START + 60).sender.role == "CLIENT"
    else:
        assert ALL_FAILED in refused(ledger, request, START + 60)


@pytest.mark.parametrize(
    "info", [b"", b"no certificate", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_members_that_are_no_certificates(ledger, consortium, info):
    request = ledger.request("token", "f")
    request.sender.signer.member_info = info
    refused(ledger, request).encode()


def test_member_info_of_ten_megabytes_is_not_parsed(ledger):
    request = ledger.request("token", "f")
    request.sender.signer.member_info = b"-" * 10 * 1024 * 1024
    assert len(refused(ledger, request)) < 10_000


@pytest.mark.parametrize("kind", [MemberType.PUBLIC_KEY, MemberType.DID, MemberType.ADDR])
def test_member_types_of_other_modes(ledger, kind):
    request = ledger.request("token", "f")
    request.sender.signer.member_type = kind
    refused(ledger, request)


def test_unknown_certificate_hashes_and_aliases(ledger):
    for kind, info in [(MemberType.CERT_HASH, bytes(32)), (MemberType.ALIAS, b"nobody")]:
        request = ledger.request("token", "f")
        request.sender.signer.member_type, request.sender.signer.member_info = kind, info
        refused(ledger, request)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tx_id": "a" * 65}, "tx id length is incorrect, wanted 64"),
        ({"tx_id": "white space"}, "check tx id failed"),
        ({"tx_id": ""}, "check tx id failed"),
        ({"tx_type": 99}, "did not configure access policy"),
        ({"expiration_time": 1}, "should be before expiration time"),
    ],
)
def test_malformed_headers(ledger, changes, says):
    assert says in refused(ledger, ledger.request("token", "f", **changes))


def test_requests_without_parts(ledger):
    for empty in (TxRequest(), TxRequest(payload=ledger.request("t", "f").payload)):
        refused(ledger, empty)


# Endorsers and policies


def upgrade(ledger, endorsers, sender=None):
    parameters = install_parameters("x", "2", b"y", {})
    return ledger.request("CONTRACT_MANAGE", "UPGRADE_CONTRACT", parameters, endorsers=endorsers, sender=sender)


def need(received: int) -> str:
    return (
        "[verifyEndorsementsPrincipal]authentication error for CONTRACT_MANAGE-UPGRADE_CONTRACT: authentication fail: "
        f"not enough participants support this action: 3 valid endorsements required, {received} valid endorsements received"
    )


def test_a_majority_is_of_organisations_and_of_administrators(ledger, consortium):
    assert judge(ledger, upgrade(ledger, consortium.admins()[:3]))
    assert judge(ledger, upgrade(ledger, consortium.admins()[1:3], sender=consortium.admin(1)))  # the sender counts
    assert need(2) in refused(ledger, upgrade(ledger, consortium.admins()[:2]))
    assert need(0) in refused(ledger, upgrade(ledger, [consortium.signer(n) for n in (1, 2, 3, 4)]))
    assert need(1) in refused(ledger, upgrade(ledger, [consortium.admin(1)] * 3))  # the same one three times
    same = [consortium.admin(1), consortium.signer(1, "admin2", "admin"), consortium.signer(1, "admin3", "admin")]
    assert need(1) in refused(ledger, upgrade(ledger, same))  # three of one organisation


def test_an_endorser_that_does_not_hold_counts_as_absent(ledger, consortium):
    request = upgrade(ledger, consortium.admins()[:3])
    other = upgrade(ledger, consortium.admins()[:3])
    request.endorsers[0].signature = other.endorsers[0].signature  # signed another payload
    assert need(2) in refused(ledger, request)
    request = upgrade(ledger, consortium.admins()[:3])
    request.endorsers[1].signature = b""
    assert need(2) in refused(ledger, request)
    request = upgrade(ledger, consortium.admins()[:2])
    request.endorsers.append(Consortium(3).admin(3).endorse(request.payload))  # of another consortium
    assert need(2) in refused(ledger, request)


def test_ten_thousand_endorsers_are_refused_before_a_signature_is_looked_at(ledger, consortium):
    request = upgrade(ledger, consortium.admins()[:3])
    request.endorsers.extend([EndorsementEntry(signer=request.endorsers[0].signer)] * 10_000)
    assert f"at most {ENDORSERS_MAX}" in refused(ledger, request)


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ("CHAIN_CONFIG-ALTER_ADDR_TYPE", "[CHAIN_CONFIG-ALTER_ADDR_TYPE] is forbidden to access"),
        ("PUBKEY_MANAGE-PUBKEY_ADD", "is forbidden to access"),
        ("CHAIN_CONFIG-TRUST_ROOT_UPDATE", "verification rule is [SELF], but org_id is not set in the parameter"),
        ("CERT_MANAGE-CERTS_FREEZE", "signers do not meet the requirement (CERT_MANAGE-CERTS_FREEZE)"),
    ],
)
def test_policies_that_a_client_does_not_meet(ledger, consortium, resource, says):
    contract, _, method = resource.partition("-")
    assert says in refused(ledger, ledger.request(contract, method, sender=consortium.signer()))


def test_self_is_the_named_organisation(ledger, consortium):
    request = ledger.request("CHAIN_CONFIG", "TRUST_ROOT_UPDATE", {"org_id": org_name(2)}, sender=consortium.admin(1))
    assert f"target [{org_name(2)}] does not belong to the signer" in refused(ledger, request)
    request = ledger.request("CHAIN_CONFIG", "TRUST_ROOT_UPDATE", {"org_id": org_name(2)}, sender=consortium.admin(2))
    assert judge(ledger, request)


def test_a_subscription_is_for_clients_administrators_and_light_members(ledger, consortium):
    for role, good in [("client", True), ("admin", True), ("light", True), ("consensus", False), ("common", False)]:
        request = ledger.request("", "", sender=consortium.signer(1, f"{role}9", role), tx_type=TxType.SUBSCRIBE)
        if good:
            assert judge(ledger, request)
        else:
            assert "(SUBSCRIBE)" in refused(ledger, request)


# What the chain itself says of certificates


def test_certificate_hashes_aliases_freezing_and_revocation(consortium):
    ledger = Ledger(consortium)
    client, admin = consortium.signer(1, "client7", "client"), consortium.admin(1)
    added = ledger.call("CERT_MANAGE", "CERT_ADD", sender=client)
    assert added.code == TxStatusCode.SUCCESS
    digest = bytes.fromhex(added.contract_result.result.decode())
    short = Signer(Member(org_id=org_name(1), member_type=MemberType.CERT_HASH, member_info=digest), client.key)
    assert judge(ledger, ledger.request("token", "f", sender=short)).sender.member_id.startswith("client7")
    assert ledger.call("CERT_MANAGE", "CERT_ALIAS_ADD", {"alias": "seven"}, sender=client).code == TxStatusCode.SUCCESS
    alias = Signer(Member(org_id=org_name(1), member_type=MemberType.ALIAS, member_info=b"seven"), client.key)
    assert judge(ledger, ledger.request("token", "f", sender=alias))
    assert ledger.call("CERT_MANAGE", "CERTS_FREEZE", {"cert_hashes": digest.hex()}, sender=admin).code == 0
    for frozen in (client, short, alias):
        assert ALL_FAILED in refused(ledger, ledger.request("token", "f", sender=frozen))
    assert ledger.call("CERT_MANAGE", "CERTS_UNFREEZE", {"aliases": "seven"}, sender=admin).code == TxStatusCode.SUCCESS
    assert judge(ledger, ledger.request("token", "f", sender=short))
    serial = x509.load_pem_x509_certificate(client.member.member_info).serial_number
    listed = consortium.authorities[org_name(1)].revocation_list([serial], NOW)
    stranger = Authority.create(org_name(1), NOW).revocation_list([serial], NOW)
    refusal = ledger.call("CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": stranger}, sender=admin)
    assert "no trust root issued this list" in refusal.contract_result.message
    assert judge(ledger, ledger.request("token", "f", sender=short))
    assert ledger.call("CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": listed}, sender=admin).code == TxStatusCode.SUCCESS
    for revoked in (client, short, alias):
        assert ALL_FAILED in refused(ledger, ledger.request("token", "f", sender=revoked))


def test_what_holds_for_a_block_is_of_the_block_before(consortium):
    ledger = Ledger(consortium)
    client = consortium.signer(1, "client8", "client")
    epoch = judge(ledger, ledger.request("token", "f", sender=client)).epoch
    ledger.call("CERT_MANAGE", "CERT_ADD", sender=client)
    assert ledger.world.epoch == epoch + 1  # a verdict of before is judged again


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("CERTS_FREEZE", {"cert_hashes": "zz"}),
        ("CERTS_FREEZE", {}),
        ("CERTS_FREEZE", {"certs": "nonsense"}),
        ("CERTS_FREEZE", {"aliases": "nobody"}),
        ("CERTS_REVOKE", {"cert_crl": "nonsense"}),
        ("CERTS_REVOKE", {}),
        ("CERTS_DELETE", {"cert_hashes": "00" * 32}),
        ("CERTS_ALIAS_DELETE", {"aliases": "nobody"}),
        ("CERT_ALIAS_UPDATE", {"alias": "nobody", "cert": "x"}),
        ("CERT_ALIAS_ADD", {"alias": "with space"}),
        ("CERTS_FREEZE", {"cert_hashes": ",".join(["00" * 32] * 1001)}),
        ("CERTS_FREEZE", {"cert_hashes": b"\xff\xff"}),
        ("NOTHING", {}),
    ],
)
def test_bad_certificate_calls_change_nothing(consortium, method, parameters):
    ledger = Ledger(consortium)
    before = {(w.contract, w.key): w.value for w in ledger.world.rows.items()}
    result = ledger.call("CERT_MANAGE", method, parameters, sender=consortium.admin(1))
    assert result.code == TxStatusCode.CONTRACT_FAIL
    assert result.contract_result.message
    assert before == {(w.contract, w.key): w.value for w in ledger.world.rows.items()}


def test_one_certificate_written_in_many_ways_fills_no_memory(ledger, monkeypatch):
    """What is found of a member is kept before its signature is looked at, so its bytes are counted."""
    monkeypatch.setattr("changan.ledger.members.CACHED_BYTES_MAX", 2 * 1024 * 1024)
    members = ledger.world.members
    known = ledger.consortium.signer().member
    for padding in range(200):
        member = Member.FromString(known.SerializeToString())
        member.member_info += b"\n" * (50_000 + padding)
        members.identify(member, START)
        assert members._cache.size <= 2 * 1024 * 1024
    assert members._cache.size > 1024 * 1024
    assert members.identify(known, START) == members.identify(known, START)
