"""Forgery at the HTTP door: one member in many writings, what was sent sent again, and addresses that are only claimed."""

from __future__ import annotations

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from changan.client.requests import Signer, make_payload, sign_request
from changan.client.web import signed_header
from changan.ledger.wire.messages import Member, TxRequest
from changan.node import access
from changan.node.pki.layout import read_crypto_config
from node_process import NodeProcess

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    node = NodeProcess(tmp_path_factory.mktemp("closed") / "home", "--no-demo")
    yield node
    assert node.stop() == 0, node.errors.read_text()[-2000:]


def client(node: NodeProcess, org: int = 0) -> Signer:
    organisation = read_crypto_config(node.home).organisations[org]
    files = organisation.user("client1")
    return Signer.from_files(organisation.org_id, files.sign_certificate, files.sign_key)


def written(signer: Signer, before: bytes = b"", after: bytes = b"") -> Signer:
    """The same member: around its certificate stands something that nobody reads."""
    member = Member.FromString(signer.member.SerializeToString())
    member.member_info = before + member.member_info + after
    return Signer(member, signer.key, signer.hash_name)


def asking(signer: Signer) -> TxRequest:
    return sign_request(make_payload("chain1", "CHANGAN", "TOKEN", {}, query=True), signer)


def post(node: NodeProcess, request: TxRequest) -> httpx2.Response:
    return httpx2.post(f"{node.http}/v1/tokens", content=request.SerializeToString(), timeout=10)


def reads(node: NodeProcess, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.get(f"{node.http}/v1/blocks/0", headers=headers, timeout=10).status_code == 200


def test_a_member_has_no_more_tokens_for_writing_its_certificate_in_many_ways(closed):
    other = post(closed, asking(client(closed, 1))).json()["token"]
    signer = client(closed)
    given = []
    for number in range(access.TOKENS_A_MEMBER_MAX + 4):
        writing = written(signer, b"x\n" * (number % 2), b"\n" * number)
        given.append(post(closed, asking(writing)).raise_for_status().json()["token"])
    assert [reads(closed, token) for token in given] == [False] * 4 + [True] * access.TOKENS_A_MEMBER_MAX
    assert reads(closed, other)


def test_a_member_takes_no_more_room_for_writing_much(closed):
    answer = post(closed, asking(written(client(closed), after=b"\n" * 40_000)))
    assert answer.status_code == 413
    assert len(answer.text) < 200


def test_what_obtained_a_token_obtains_no_other_in_any_form(closed):
    request = asking(client(closed))
    assert post(closed, request).status_code == 200
    r, s = decode_dss_signature(request.sender.signature)
    other = TxRequest.FromString(request.SerializeToString())
    other.sender.signature = encode_dss_signature(r, P256_ORDER - s)  # ECDSA has two signatures for one
    again = TxRequest.FromString(request.SerializeToString())
    again.sender.signer.member_info += b"\n"
    for form in (request, other, again):
        answer = post(closed, form)
        assert (answer.status_code, "counted before" in answer.text) == (401, True)


def test_a_signed_read_that_was_overheard_reads_nothing_more(closed):
    for target in ("/v1/blocks/0", "/v1/events?start=0"):
        header = signed_header(client(closed), "chain1", target)
        with httpx2.stream("GET", closed.http + target, headers=header, timeout=10) as answer:
            assert answer.status_code == 200
        with httpx2.stream("GET", closed.http + target, headers=header, timeout=10) as answer:
            assert answer.status_code == 401
            assert "counted before" in answer.read().decode()


def test_what_is_signed_for_another_target_stays_good_for_its_own(closed):
    """Whoever is told of a request spends it by no request of another kind."""
    header = signed_header(client(closed), "chain1", "/v1/blocks/0")
    assert httpx2.get(f"{closed.http}/v1/chains", headers=header, timeout=10).status_code == 401
    assert httpx2.get(f"{closed.http}/v1/blocks/0", headers=header, timeout=10).status_code == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_claimed_address_escapes_no_limit(tmp_path, name):
    home = tmp_path / "home"
    home.mkdir()
    (home / "changan.toml").write_text("rate_limit = 5\ndemo = false\n")
    node = NodeProcess(home)
    try:
        with httpx2.Client(timeout=10) as http:
            answers = [
                http.get(
                    f"{node.http}/v1/health",
                    headers={name: f"10.0.{n}.1" if name != "Forwarded" else f"for=10.0.{n}.1"},
                )
                for n in range(40)
            ]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert all("127.0.0.1" in answer.text for answer in refused)
    finally:
        assert node.stop() == 0
