"""Who may read over HTTP: tokens and signed requests, what ends them, and the door that stands open."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import threading
import time
from datetime import UTC, datetime

import httpx2
import pytest
from cryptography import x509

from changan import connect_async
from changan.client.doors import user_pair
from changan.client.requests import Signer, make_payload, sign_request
from changan.client.web import MemberAuth, Web, signed_header
from changan.ledger.wire.messages import TxRequest
from changan.node import access
from changan.node.pki.layout import read_crypto_config
from consortium import EXAMPLES
from node_process import CHANGAN, NodeProcess, changan

OPEN = {"/v1/health", "/metrics"}
BY_SIGNATURE = {"/v1/tokens", "/v1/bundles"}
TO = "22" * 20


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A node without the demonstration: it asks every reader who it is."""
    home = tmp_path_factory.mktemp("closed") / "home"
    home.mkdir()
    (home / "changan.toml").write_text('demo = false\n[[chains]]\nid = "chain1"\n[[chains]]\nid = "chain2"\n')
    node = NodeProcess(home)
    with node.connect() as client:
        client.deploy("token", "1.0", (EXAMPLES / "token.py").read_bytes(), {"supply": "1000"})
    yield node
    assert node.stop() == 0, node.errors.read_text()[-2000:]


def member(node: NodeProcess, name: str = "client1", org: int = 0) -> Signer:
    organisation = read_crypto_config(node.home).organisations[org]
    files = organisation.node() if name == "consensus1" else organisation.user(name)
    return Signer.from_files(organisation.org_id, files.sign_certificate, files.sign_key)


def asking(node: NodeProcess, signer: Signer | None = None, *, chain: str = "chain1", method="TOKEN", **changes):
    payload = make_payload(chain, "CHANGAN", method, changes.pop("parameters", {}), query=True)
    for name, value in changes.items():
        setattr(payload, name, value)
    return sign_request(payload, signer or member(node))


def post(node: NodeProcess, request: TxRequest | bytes, **options) -> httpx2.Response:
    data = request if isinstance(request, bytes) else request.SerializeToString()
    return httpx2.post(f"{node.http}/v1/tokens", content=data, timeout=10, **options)


def read(node: NodeProcess, path: str, token: str = "", **headers: str) -> httpx2.Response:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return httpx2.get(f"{node.http}{path}", headers=headers, timeout=10)


def token_of(node: NodeProcess, signer: Signer | None = None, **options) -> str:
    return post(node, asking(node, signer, **options)).raise_for_status().json()["token"]


# The door as its own description has it


def test_every_read_asks_who_reads_and_says_so_in_openapi(closed):
    paths = read(closed, "/openapi.json").json()
    assert set(paths["components"]["securitySchemes"]) == {"token", "signature"}
    secured = set()
    for path, methods in paths["paths"].items():
        for method, said in methods.items():
            if said.get("security"):
                secured.add(path)
                assert method == "get"
                where = path.replace("{height}", "0").replace("{", "").replace("}", "")
                answer = read(closed, where)
                assert (path, answer.status_code) == (path, 401)
                assert answer.headers["www-authenticate"] == "Bearer, Signed"
                assert "POST /v1/tokens" in answer.json()["detail"]
    assert secured == set(paths["paths"]) - OPEN - BY_SIGNATURE
    for path in OPEN:
        assert read(closed, path).status_code == 200


def test_a_token_reads_its_chain_and_no_other(closed):
    answer = post(closed, asking(closed))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert (given["chain"], given["expires_in"]) == ("chain1", access.TOKEN_S)
    assert read(closed, "/v1/blocks/0", given["token"]).json()["header"]["chain_id"] == "chain1"
    assert read(closed, "/v1/blocks/0?chain=chain1", given["token"]).status_code == 200
    assert [entry["chain_id"] for entry in read(closed, "/v1/chains", given["token"]).json()] == ["chain1"]
    for chain in ("chain2", "chain9"):
        refused = read(closed, f"/v1/blocks/0?chain={chain}", given["token"])
        assert refused.status_code == 403
        assert "leave to read chain chain1" in refused.text
    second = token_of(closed, chain="chain2")
    assert read(closed, "/v1/blocks/0", second).json()["header"]["chain_id"] == "chain2"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer nonsense", "Bearer " + "A" * 43, "Basic YTpi", "Signed", "Signed !", "Signed AAAA"],
)
def test_what_is_no_leave(closed, authorization):
    answer = read(closed, "/v1/chains", Authorization=authorization)
    assert answer.status_code == 401
    assert answer.json()["detail"]


def changed(request: TxRequest, change) -> TxRequest:
    change(request)
    return request


BAD = {
    "nothing": (lambda node: b"", "what is signed here is a query of CHANGAN"),
    "no protobuf": (lambda node: b"\xff" * 40, "what is signed is a TxRequest"),
    "another chain": (lambda node: asking(node, chain="chain9"), "no chain 'chain9'"),
    "no chain": (lambda node: changed(asking(node), lambda r: r.payload.ClearField("chain_id")), "authentication"),
    "another method": (lambda node: asking(node, method="ROWS"), "method TOKEN"),
    "a read's": (lambda node: asking(node, method="READ"), "method TOKEN"),
    "an invocation": (lambda node: asking(node, tx_type=0), "a query of CHANGAN"),
    "too old": (lambda node: asking(node, timestamp=int(time.time()) - 70), "of another time"),
    "too new": (lambda node: asking(node, timestamp=int(time.time()) + 70), "of another time"),
    "no time": (lambda node: asking(node, timestamp=0), "of another time"),
    "time after its signature": (
        lambda node: changed(asking(node), lambda r: setattr(r.payload, "timestamp", r.payload.timestamp + 1)),
        "authentication failed",
    ),
    "an id after its signature": (
        lambda node: changed(asking(node), lambda r: setattr(r.payload, "tx_id", "f" * 64)),
        "authentication failed",
    ),
    "no signature": (lambda node: changed(asking(node), lambda r: r.sender.ClearField("signature")), "authentication"),
    "no sender": (lambda node: changed(asking(node), lambda r: r.ClearField("sender")), "no sender"),
    "another's certificate": (
        lambda node: changed(asking(node), lambda r: r.sender.signer.CopyFrom(member(node, "admin1").member)),
        "authentication failed",
    ),
    "an expiry before its time": (lambda node: asking(node, expiration_time=5), "should be before expiration"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_obtains_no_token(closed, case):
    make, says = BAD[case]
    answer = post(closed, make(closed))
    assert answer.status_code in {401, 404}
    assert says in answer.json()["detail"]


def test_a_request_obtains_one_token(closed):
    request = asking(closed)
    assert post(closed, request).status_code == 200
    again = post(closed, request)
    assert again.status_code == 401
    assert "has counted before" in again.text


def test_a_body_that_is_too_large_or_packed(closed):
    assert post(closed, b"x" * (129 * 1024)).status_code == 413
    packed = post(closed, asking(closed), headers={"content-encoding": "gzip"})
    assert packed.status_code == 415
    assert "not compressed" in packed.text


# Signed requests


def test_a_signed_request_reads_what_it_names_and_nothing_else(closed):
    signer = member(closed)
    header = signed_header(signer, "chain1", "/v1/blocks/0?chain=chain1")
    assert read(closed, "/v1/blocks/0?chain=chain1", **header).status_code == 200
    for other in ("/v1/blocks/1?chain=chain1", "/v1/blocks/0", "/v1/blocks/0?chain=chain2", "/v1/chains"):
        refused = read(closed, other, **header)
        assert refused.status_code == 401
        assert "what was signed is not this request" in refused.text
    quoted = "/v1/contracts/token/fields/balances?after=&limit=2"
    assert read(closed, quoted, **signed_header(signer, "chain1", quoted)).status_code == 200
    wrong_chain = signed_header(signer, "chain2", "/v1/blocks/0?chain=chain1")
    assert read(closed, "/v1/blocks/0?chain=chain1", **wrong_chain).status_code == 403


def test_a_signed_request_of_another_time(closed, monkeypatch):
    before = time.time() - 61
    monkeypatch.setattr(time, "time", lambda: before)
    header = signed_header(member(closed), "chain1", "/v1/chains")
    monkeypatch.undo()
    refused = read(closed, "/v1/chains", **header)
    assert (refused.status_code, "of another time" in refused.text) == (401, True)


def test_a_header_that_is_too_long(closed):
    for size in (60_000, 80_000):
        answer = read(closed, "/v1/chains", Authorization="Signed " + "A" * size)
        assert answer.status_code in {400, 401}


# Policies, and members who are none any more


def test_the_policies_decide_who_reads_and_who_follows_events(closed):
    node = token_of(closed, member(closed, "consensus1"))
    assert read(closed, "/v1/chains", node).status_code == 200
    refused = read(closed, "/v1/events", node)
    assert refused.status_code == 403
    assert "do not meet the requirement (SUBSCRIBE)" in refused.text
    for name in ("client1", "admin1", "light1"):
        token = token_of(closed, member(closed, name))
        url = f"{closed.http}/v1/events"
        with httpx2.stream("GET", url, headers={"Authorization": f"Bearer {token}"}, timeout=10) as stream:
            assert stream.status_code == 200


@contextlib.contextmanager
def frozen(node: NodeProcess, signer: Signer):
    with node.connect(user="admin1") as admin:
        admin.invoke("CERT_MANAGE", "CERTS_FREEZE", {"certs": signer.member.member_info})
        try:
            yield
        finally:
            admin.invoke("CERT_MANAGE", "CERTS_UNFREEZE", {"certs": signer.member.member_info})


def test_a_frozen_member_reads_no_more_from_the_next_block_on(closed):
    with closed.connect() as client:
        client.invoke("token", "transfer", {"to": TO, "amount": 1})
    light = member(closed, "light1")
    token = token_of(closed, light)
    header = signed_header(light, "chain1", "/v1/chains")
    assert read(closed, "/v1/chains", token).status_code == 200
    ended: list[str] = []
    following = threading.Event()

    def follow() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.stream("GET", f"{closed.http}/v1/events?start=1", headers=headers, timeout=20) as stream:
            for line in stream.iter_lines():
                ended.append(line)
                following.set()

    reader = threading.Thread(target=follow)
    reader.start()
    assert following.wait(10)
    with frozen(closed, light):
        answers = [
            read(closed, "/v1/chains", token),
            read(closed, "/v1/chains", **header),
            post(closed, asking(closed, light)),
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 401]
        assert "the certificate is frozen" in answers[0].text
        reader.join(10)
        assert not reader.is_alive()
        assert ": the certificate is frozen" in ended
    assert read(closed, "/v1/chains", token).status_code == 200  # the token was never the right itself


def test_a_revoked_member_reads_no_more(closed):
    organisation = read_crypto_config(closed.home).organisations[1]
    authority, now = organisation.authority(), datetime.now(UTC)
    issued = authority.issue("client7", "client", "sign", now)
    files = closed.home / "client7"
    files.with_suffix(".crt").write_bytes(issued.certificate_pem)
    files.with_suffix(".key").write_bytes(issued.key_pem)
    signer = Signer.from_files(organisation.org_id, files.with_suffix(".crt"), files.with_suffix(".key"))
    token = token_of(closed, signer)
    assert read(closed, "/v1/chains", token).status_code == 200
    serial = x509.load_pem_x509_certificate(issued.certificate_pem).serial_number
    with closed.connect(user="admin1") as admin:
        admin.invoke("CERT_MANAGE", "CERTS_REVOKE", {"cert_crl": authority.revocation_list([serial], now)})
    refused = read(closed, "/v1/chains", token)
    assert refused.status_code == 401
    assert "the certificate is revoked" in refused.text
    assert post(closed, asking(closed, signer)).status_code == 401


# Our own readers


def test_the_client_obtains_tokens_and_renews_them_by_itself(tmp_path):
    home = tmp_path / "home"
    node = NodeProcess(home, "--no-demo")
    ports = [text.rpartition(":")[2] for text in (node.rpc, node.http)]
    with node.connect() as client:
        assert client.web.get("/v1/blocks/0").status_code == 200
        first = client.web.auth._token
        assert first
        assert client.web.get("/v1/chains").status_code == 200
        assert client.web.auth._token == first
        assert node.stop() == 0
        node = NodeProcess(home, "--no-demo", "--rpc-port", ports[0], "--http-port", ports[1])
        assert client.web.get("/v1/chains").status_code == 200  # a node that starts again knows no token of before
        assert client.web.auth._token != first

        async def session() -> list[int]:
            async with connect_async(home=home) as there:
                answers = await asyncio.gather(*(there.web.get(f"/v1/blocks/{n}") for n in (0, 0, 99)))
                return [answer.status_code for answer in answers]

        assert asyncio.run(session()) == [200, 200, 404]
    assert node.stop() == 0


def test_whoever_gets_no_token_is_told_why(closed):
    organisation = read_crypto_config(closed.home).organisations[1]
    files = organisation.user("client1")
    liar = Signer.from_files("wx-org1.chainmaker.org", files.sign_certificate, files.sign_key)
    root = closed.home / "crypto-config"
    web = Web(closed.http, MemberAuth(liar, "chain1"), root, user_pair(root, organisation.org_id, "client1"))
    with web.client() as client:
        answer = client.get("/v1/chains")
    assert answer.status_code == 401
    assert "authentication failed" in answer.json()["detail"]


def test_the_command_follows_events_as_a_user_of_the_home(closed):
    with closed.connect() as client:
        client.invoke("token", "transfer", {"to": TO, "amount": 3})
    where = ["--home", str(closed.home), "--start", "0", "--contract", "token"]
    with subprocess.Popen([*CHANGAN, "events", *where], stdout=subprocess.PIPE) as following:
        amounts = (json.loads(line)["data"][-1] for line in following.stdout)
        assert "3" in amounts  # as soon as it comes: the stream has no end
        following.terminate()
    refused = changan("events", *where, "--chain", "chain9", timeout=20)
    assert refused.returncode == 1
    assert "no chain 'chain9'" in refused.stderr
    silent = changan("events", *where, "--http", "http://127.0.0.1:1", timeout=20)
    assert "is the node running?" in silent.stderr
    assert "Traceback" not in refused.stderr + silent.stderr


@pytest.mark.parametrize("mode", ["key", "public"])
def test_members_that_are_keys(tmp_path, mode):
    node = NodeProcess(tmp_path / "home", "--no-demo", "--auth", mode)
    try:
        assert httpx2.get(f"{node.http}/v1/chains", timeout=10).status_code == 401
        assert node.get("/v1/chains")[0]["chain_id"] == "chain1"
    finally:
        assert node.stop() == 0
