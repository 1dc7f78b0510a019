"""An adversary's list, each tried at every door that takes a signature: invocation, query, stream, bundle, token, signed read."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from recorded_desk import Desk

from changan.client.requests import Signer, install_parameters, make_payload, sign_request
from changan.crypto.keys import SigningKey
from changan.ledger.wire.messages import EndorsementEntry, Member, MemberType, TxRequest, TxStatusCode, TxType
from changan.node.pki.authority import Authority
from consortium import EXAMPLES
from node_process import NodeProcess

ORG = "wx-org1.chainmaker.org"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
LONG_AGO = datetime.now(UTC) - timedelta(days=400)
SOON = datetime.now(UTC) + timedelta(days=40)
ANSWER_MAX = 20_000  # characters of an answer, whatever was sent


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    node = NodeProcess(tmp_path_factory.mktemp("adversary") / "home", "--no-demo")
    with node.connect() as client:
        client.deploy("token", "1.0", (EXAMPLES / "token.py").read_bytes(), {"supply": "1000"})
    yield node
    assert node.stop() == 0, node.errors.read_text()[-2000:]
    assert "Traceback" not in node.errors.read_text()


@pytest.fixture(scope="module")
def desk(closed):
    made = Desk(closed)
    yield made
    made.close()


# The doors. Each takes a signer and what is done to the request after it was signed, and says what came of it


class Doors:
    def __init__(self, node: NodeProcess, desk: Desk) -> None:
        self.node, self.desk = node, desk

    def _made(self, signer: Signer, change, contract="T", method="P", parameters=None, **changes) -> TxRequest:
        payload = make_payload("chain1", contract, method, parameters or {"k": "a", "v": "b"})
        for name, value in changes.items():
            setattr(payload, name, value)
        request = sign_request(payload, signer)
        change(request)
        return request

    def invoke(self, signer: Signer, change) -> tuple[bool, str]:
        answer = self.desk.raw("SendRequestSync", self._made(signer, change).SerializeToString())
        return answer.code == TxStatusCode.SUCCESS, answer.message

    def query(self, signer: Signer, change) -> tuple[bool, str]:
        asked = {"method": "GET_CHAIN_INFO", "contract": "CHAIN_QUERY", "tx_type": TxType.QUERY_CONTRACT}
        answer = self.desk.raw("SendRequest", self._made(signer, change, **asked).SerializeToString())
        return answer.code == TxStatusCode.SUCCESS, answer.message

    def stream(self, signer: Signer, change) -> tuple[bool, str]:
        heights = {"START_BLOCK": bytes(8), "END_BLOCK": bytes(8)}
        asked = {"contract": "SUBSCRIBE_MANAGE", "method": "SUBSCRIBE_BLOCK", "parameters": heights}
        found, ended = self.desk.listen(self._made(signer, change, **asked, tx_type=TxType.SUBSCRIBE))
        return bool(found), ended

    def bundle(self, signer: Signer, change) -> tuple[bool, str]:
        request = self._made(signer, change, "token", "transfer", {"__bundle__": b"no rows"})
        answer = self._post("/v1/bundles", request)
        return "bundle refused" in answer.text, answer.text  # whoever is let in is told about the rows

    def token(self, signer: Signer, change) -> tuple[bool, str]:
        answer = self._post("/v1/tokens", self._made(signer, change, "CHANGAN", "TOKEN", tx_type=TxType.QUERY_CONTRACT))
        return answer.status_code == 200, answer.text

    def read(self, signer: Signer, change) -> tuple[bool, str]:
        parameters = {"target": "/v1/chains"}
        request = self._made(signer, change, "CHANGAN", "READ", parameters, tx_type=TxType.QUERY_CONTRACT)
        headers = {"Authorization": f"Signed {base64.b64encode(request.SerializeToString()).decode()}"}
        answer = httpx2.get(f"{self.node.http}/v1/chains", headers=headers, timeout=10)
        return answer.status_code == 200, answer.text

    def _post(self, path: str, request: TxRequest) -> httpx2.Response:
        return httpx2.post(f"{self.node.http}{path}", content=request.SerializeToString(), timeout=10)


DOORS = ["invoke", "query", "stream", "bundle", "token", "read"]


@pytest.fixture(scope="module")
def doors(closed, desk):
    return Doors(closed, desk)


# Members that are none


def issued(authority: Authority, *, role="client", usage="sign", moment=None, days=30, org=ORG, **options) -> Signer:
    made = authority.issue("mallory", role, usage, moment or datetime.now(UTC), days=days, **options)
    return Signer(
        Member(org_id=org, member_type=MemberType.CERT, member_info=made.certificate_pem), SigningKey(made.key_pem)
    )


def by_hand(
    desk: Desk, *, parent=None, signer=None, algorithm=None, extensions=(), key=None, unit="client", org=ORG
) -> Signer:
    """A certificate with any extensions, signed by the authority of an organisation, or by whoever is given."""
    authority = desk.crypto.organisations[0].authority()
    key = key or ec.generate_private_key(ec.SECP256R1())
    parts = [
        (NameOID.ORGANIZATION_NAME, org),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, "mallory"),
    ]
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, text) for oid, text in parts]))
        .issuer_name(parent or authority._certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    made = builder.sign(signer or authority._key, algorithm or hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    member = Member(org_id=ORG, member_type=MemberType.CERT, member_info=made.public_bytes(Encoding.PEM))
    return Signer(member, SigningKey(pem))


def of_a_user_as_an_authority(desk: Desk, *extensions: x509.ExtensionType) -> Signer:
    """A certificate that an intermediate issued, whom the organisation's authority certified as it says."""
    key = ec.generate_private_key(ec.SECP256R1())
    between = by_hand(desk, key=key, extensions=extensions)
    parent = x509.load_pem_x509_certificate(between.member.member_info).subject
    return by_hand(desk, parent=parent, signer=key)


def frozen(desk: Desk) -> Signer:
    signer = issued(desk.crypto.organisations[0].authority())
    outcome = desk.send("CERT_MANAGE", "CERTS_FREEZE", {"certs": signer.member.member_info}, sender=desk.admins[0])
    assert outcome[1].startswith("0 SUCCESS"), outcome
    return signer


def revoked(desk: Desk) -> Signer:
    authority = desk.crypto.organisations[0].authority()
    signer = issued(authority)
    serial = x509.load_pem_x509_certificate(signer.member.member_info).serial_number
    listed = authority.revocation_list([serial], datetime.now(UTC))
    outcome = desk.send("CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": listed}, sender=desk.admins[0])
    assert outcome[1].startswith("0 SUCCESS"), outcome
    return signer


NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
FOR_ENCRYPTION = x509.KeyUsage(False, False, True, False, False, False, False, False, False)  # nine flags
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
AN_AUTHORITY = x509.BasicConstraints(ca=True, path_length=0)
MEMBERS = {
    "a stranger's authority": lambda desk: desk.stranger(ORG),
    "another organisation's": lambda desk: issued(desk.crypto.organisations[1].authority()),
    "an organisation that is none": lambda desk: desk.as_member(desk.client, org_id="wx-org9.chainmaker.org"),
    "no organisation": lambda desk: desk.as_member(desk.client, org_id=""),
    "expired": lambda desk: issued(desk.crypto.organisations[0].authority(), moment=LONG_AGO),
    "not yet valid": lambda desk: issued(desk.crypto.organisations[0].authority(), moment=SOON),
    "frozen": frozen,
    "revoked": revoked,
    "a TLS certificate": lambda desk: issued(desk.crypto.organisations[0].authority(), usage="tls"),
    "issued by a user": of_a_user_as_an_authority,
    "issued by one whose CA flag says no": lambda desk: of_a_user_as_an_authority(desk, NO_AUTHORITY),
    "issued below the roots": lambda desk: of_a_user_as_an_authority(desk, AN_AUTHORITY),
    "a key that its issuer meant for no signatures": lambda desk: by_hand(desk, extensions=[FOR_ENCRYPTION]),
    "bound to what nobody knows": lambda desk: by_hand(desk, extensions=[UNKNOWN]),
    "a suite that the chain does not admit": lambda desk: issued(desk.crypto.organisations[0].authority(), curve="SM2"),
    "a role that is none": lambda desk: by_hand(desk, unit="king"),
    "an organisation of its own invention": lambda desk: by_hand(desk, org="wx-org7.chainmaker.org"),
    "another's certificate": lambda desk: Signer(desk.admins[0].member, desk.client.key),
    "ten megabytes": lambda desk: desk.as_member(desk.client, member_info=b"-" * 10 * 1024 * 1024),
    "no certificate at all": lambda desk: desk.as_member(desk.client, member_info=b"\xff\x00 nothing"),
    "a certificate cut short": lambda desk: desk.as_member(
        desk.client, member_info=desk.client.member.member_info[:-90]
    ),
    "a form of another mode": lambda desk: desk.as_member(desk.client, member_type=MemberType.PUBLIC_KEY),
    "a hash that nobody registered": lambda desk: desk.as_member(
        desk.client, member_type=MemberType.CERT_HASH, member_info=bytes(32)
    ),
    "an alias that nobody has": lambda desk: desk.as_member(
        desk.client, member_type=MemberType.ALIAS, member_info=b"root"
    ),
}


@pytest.fixture(scope="module", params=MEMBERS)
def bad_member(request, desk):
    return MEMBERS[request.param](desk)


def nothing(_: TxRequest) -> None:
    """The request stays as it was signed."""


@pytest.mark.parametrize("door", DOORS)
def test_a_member_that_is_none_is_let_in_nowhere(doors, bad_member, door):
    let_in, said = getattr(doors, door)(bad_member, nothing)
    assert not let_in, said
    assert len(said) < ANSWER_MAX
    assert said


@pytest.mark.parametrize("door", DOORS)
def test_the_doors_let_a_member_in(doors, desk, door):
    """Else the refusals above would say nothing."""
    let_in, said = getattr(doors, door)(desk.client, nothing)
    assert let_in, said


# Requests that were touched


def malleated(request: TxRequest) -> None:
    r, s = decode_dss_signature(request.sender.signature)
    request.sender.signature = encode_dss_signature(r, P256_ORDER - s)


def set_payload(**changes):
    def change(request: TxRequest) -> None:
        for name, value in changes.items():
            setattr(request.payload, name, value)

    return change


def set_signature(make):
    def change(request: TxRequest) -> None:
        request.sender.signature = make(request.sender.signature)

    return change


def long_form(signature: bytes) -> bytes:
    return b"\x30\x82\x00" + bytes([len(signature) - 2]) + signature[2:]


TOUCHED = {
    "a bit of the signature": set_signature(lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "no signature": set_signature(lambda _: b""),
    "zeroes": set_signature(lambda _: encode_dss_signature(0, 0)),
    "r = n": set_signature(lambda _: encode_dss_signature(P256_ORDER, 1)),
    "a longer DER": set_signature(long_form),
    "bytes behind it": set_signature(lambda data: data + b"\x00"),
    "ten megabytes of signature": set_signature(lambda data: data * 150_000),
    "the id": set_payload(tx_id="f" * 64),
    "the chain": set_payload(chain_id="chain9"),
    "the time": set_payload(timestamp=int(time.time()) + 1),
    "an expiry": set_payload(expiration_time=2**40),
    "a parameter": lambda request: request.payload.parameters.add(key="more", value=b"1"),
    "the method": set_payload(method="N"),
    "no payload": lambda request: request.ClearField("payload"),
    "no sender": lambda request: request.ClearField("sender"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("how", TOUCHED)
def test_a_request_that_was_touched_is_let_in_nowhere(doors, desk, door, how):
    let_in, said = getattr(doors, door)(desk.client, TOUCHED[how])
    assert not let_in, said
    assert len(said) < ANSWER_MAX


def test_a_request_counts_once_whatever_is_done_to_its_signature(desk):
    """An ECDSA signature has a twin that holds as well; the id, not the signature, is what may not come again."""
    request = desk.request("T", "P", {"k": "once", "v": "1"})
    for method in ("SendRequestSync", "SendRequest"):
        answer = desk.raw(method, request.SerializeToString())
        assert (answer.code == 0) == (method == "SendRequestSync")
    assert "TxId exist in DB" in answer.message
    malleated(request)
    assert "TxId exist in DB" in desk.raw("SendRequestSync", request.SerializeToString()).message
    other = desk.request("T", "P", {"k": "once", "v": "2"}, tx_id=request.payload.tx_id)  # the id with other content
    assert "TxId exist in DB" in desk.raw("SendRequestSync", other.SerializeToString()).message
    assert desk.query("T", "G", {"k": "once"})[0].startswith("0 SUCCESS")


@pytest.mark.parametrize("away", [-100_000, 100_000])
def test_a_transaction_of_another_time(desk, away):
    answer = desk.raw("SendRequest", desk.request("T", "P", {}, timestamp=int(time.time()) + away).SerializeToString())
    assert "TxTimestamp error" in answer.message


# Endorsers


def upgrade(desk: Desk, endorsers, change=nothing) -> str:
    parameters = install_parameters("token", "9.0", (EXAMPLES / "token.py").read_bytes(), {})
    request = desk.request("CONTRACT_MANAGE", "UPGRADE_CONTRACT", parameters, endorsers=endorsers)
    change(request)
    return desk.raw("SendRequestSync", request.SerializeToString()).message


def need(received: int) -> str:
    return f"3 valid endorsements required, {received} valid endorsements received"


def test_endorsers_who_do_not_count(desk):
    admins = desk.admins
    another = desk.request("CONTRACT_MANAGE", "UPGRADE_CONTRACT", {"CONTRACT_NAME": "other"}, endorsers=admins)

    def of_another_payload(request: TxRequest) -> None:
        request.endorsers[0].CopyFrom(another.endorsers[0])

    def the_senders(request: TxRequest) -> None:
        request.endorsers[0].signature = request.sender.signature

    assert need(2) in upgrade(desk, admins[:2])
    assert need(1) in upgrade(desk, [admins[0]] * 900)
    assert need(2) in upgrade(desk, [admins[0], admins[1], admins[0], admins[1]])
    assert need(2) in upgrade(desk, admins[:3], of_another_payload)
    assert need(2) in upgrade(desk, admins[:3], the_senders)
    assert need(2) in upgrade(desk, [*admins[:2], *desk.clients[2:]])
    assert need(2) in upgrade(desk, [*admins[:2], desk.stranger("wx-org3.chainmaker.org")])
    same = [issued(desk.crypto.organisations[0].authority(), role="admin") for _ in range(3)]
    assert need(1) in upgrade(desk, [admins[0], *same])


def test_ten_thousand_endorsers_cost_nothing(desk):
    entry = EndorsementEntry(signer=desk.admins[0].member, signature=b"x" * 70)

    def crowd(request: TxRequest) -> None:
        request.endorsers.extend([entry] * 10_000)

    started = time.monotonic()
    assert "10000 endorsers, at most 1000 are allowed" in upgrade(desk, [], crowd)
    assert time.monotonic() - started < 5


# Algorithms that the chain does not have


@pytest.mark.parametrize("door", DOORS)
def test_a_digest_that_is_none_of_the_chains(doors, desk, door):
    for algorithm in (hashes.SHA3_256(), hashes.SHA224()):
        strange = by_hand(desk, algorithm=algorithm)
        let_in, said = getattr(doors, door)(strange, set_signature(lambda data: data[:-2]))
        assert not let_in, said


@pytest.mark.parametrize("door", DOORS)
def test_a_key_on_a_curve_that_no_chain_admits(doors, desk, door):
    for key in (ec.generate_private_key(ec.BrainpoolP256R1()), ec.generate_private_key(ec.SECP224R1())):
        pem = by_hand(desk, key=ec.generate_private_key(ec.SECP256R1())).member.member_info
        try:
            pem = certificate_for(desk, key)
        except ValueError:
            continue
        stranger = Signer(Member(org_id=ORG, member_type=MemberType.CERT, member_info=pem), desk.client.key)
        let_in, said = getattr(doors, door)(stranger, nothing)
        assert not let_in, said


def certificate_for(desk: Desk, key) -> bytes:
    authority = desk.crypto.organisations[0].authority()
    parts = [(NameOID.ORGANIZATION_NAME, ORG), (NameOID.ORGANIZATIONAL_UNIT_NAME, "client"), (NameOID.COMMON_NAME, "m")]
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        authority._certificate.subject,
        x509.Name([x509.NameAttribute(oid, text) for oid, text in parts]),
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(hours=1),
        now + timedelta(days=3),
    )
    return builder.sign(authority._key, hashes.SHA256()).public_bytes(Encoding.PEM)
