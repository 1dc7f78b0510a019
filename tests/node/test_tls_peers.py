"""TLS certificates that a chain froze or revoked: they open neither door any more, on a connection that stands no less than on a new one."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import grpc
import httpx2
import pytest

from changan.client.doors import TLS_OPTIONS
from changan.ledger.wire.messages import ChainMakerVersionRequest, ChainMakerVersionResponse
from changan.node.pki.layout import read_crypto_config
from node_process import NodeProcess, changan

CLOSED = grpc.StatusCode.UNAUTHENTICATED
HTTP = [
    ("GET", "/v1/chains"),
    ("GET", "/metrics"),
    ("GET", "/v1/events"),
    ("POST", "/v1/tokens"),
    ("POST", "/v1/bundles"),
]


class Peer:
    """Somebody with a TLS pair, who asks at both doors what nobody has to sign: the version, and how the node is."""

    def __init__(self, node: NodeProcess, name: str) -> None:
        organisations = read_crypto_config(node.home).organisations
        self.files = organisations[0].user(name)
        roots = b"".join(organisation.tls_root.read_bytes() for organisation in organisations)
        pair = self.files.tls_key.read_bytes(), self.files.tls_certificate.read_bytes()
        self.channel = grpc.secure_channel(node.rpc, grpc.ssl_channel_credentials(roots, *pair), TLS_OPTIONS)
        context = ssl.create_default_context(cadata=roots.decode())
        context.load_cert_chain(self.files.tls_certificate, self.files.tls_key)
        self.web = httpx2.Client(base_url=node.http, verify=context, timeout=10)

    def asks(self) -> tuple[str, str]:
        """Return what each door says: "" where it is open."""
        version = self.channel.unary_unary(
            "/api.RpcNode/GetChainMakerVersion",
            ChainMakerVersionRequest.SerializeToString,
            ChainMakerVersionResponse.FromString,
        )
        try:
            assert version(ChainMakerVersionRequest(), timeout=10).version
            refusal = ""
        except grpc.RpcError as error:
            assert error.code() is CLOSED
            refusal = error.details()
        answer = self.web.get("/v1/health")
        return refusal, answer.json()["detail"] if answer.status_code == 403 else answer.raise_for_status() and ""

    def calls(self, method: str, service: str = "api.RpcNode") -> grpc.StatusCode:
        """Return how a call ends that says nothing."""
        return _ended(self.channel.unary_unary(f"/{service}/{method}"))

    def subscribes(self, method: str) -> grpc.StatusCode:
        """Return how a stream ends that asks for nothing."""
        return _ended(lambda data, timeout: list(self.channel.unary_stream(f"/api.RpcNode/{method}")(data, timeout)))

    def leave(self) -> None:
        self.channel.close()
        self.web.close()


def _ended(call) -> grpc.StatusCode:
    try:
        call(b"", timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.fixture(scope="module", params=["intl", "gm"])
def node(request, tmp_path_factory):
    """A node of two chains that asks its peers for certificates."""
    home = tmp_path_factory.mktemp(request.param) / "home"
    home.mkdir()
    chains = '[[chains]]\nid = "chain1"\n[[chains]]\nid = "chain2"\n'
    (home / "changan.toml").write_text(f'demo = false\nsuite = "{request.param}"\n{chains}')
    running = NodeProcess(home, "--tls", "--mutual")
    yield running
    assert running.stop() == 0, running.errors.read_text()[-2000:]


@pytest.fixture
def meet(node):
    met = []

    def meet(name: str) -> Peer:
        met.append(Peer(node, name))
        return met[-1]

    yield meet
    for peer in met:
        peer.leave()


def done(*arguments: object) -> str:
    ended = changan(*map(str, arguments))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def manage(node: NodeProcess, chain: str, method: str, parameters: dict[str, str]) -> None:
    with node.connect(chain_id=chain) as client:
        client.invoke("CERT_MANAGE", method, parameters, endorsed=True)


def words(how: str) -> tuple[str, str]:
    return (f"TLS: the certificate is {how} on every chain of this node: connect with another one",) * 2


def test_who_is_frozen_is_let_in_again_when_thawed(node, meet):
    bystander, frozen = meet("client1"), meet("light1")
    pem = {"certs": frozen.files.tls_certificate.read_text()}
    for chain in ("chain1", "chain2"):
        assert frozen.asks() == ("", ""), "one chain that has nothing against it keeps the doors open"
        manage(node, chain, "CERTS_FREEZE", pem)
    assert frozen.asks() == meet("light1").asks() == words("frozen")
    assert bystander.asks() == ("", "")
    manage(node, "chain2", "CERTS_UNFREEZE", pem)
    assert frozen.asks() == ("", "")


def test_who_is_revoked_stays_out(node, meet):
    home = ("--home", node.home)
    done("identity", "issue", "bob", "--plain", *home)
    revoked = meet("bob")
    assert revoked.asks() == ("", "")
    listed = done("identity", "revoke", "bob", *home)  # the list names the certificates for signing and for TLS
    crl = Path(re.search(r"\S+revoked\.crl", listed)[0])
    for chain in ("chain1", "chain2"):
        assert revoked.asks() == ("", "")
        manage(node, chain, "CERTS_REVOKE", {"cert_crl": crl.read_text()})
    assert revoked.asks() == meet("bob").asks() == words("revoked")
    assert meet("client1").asks() == ("", "")
    assert {revoked.calls(method) for method in ("SendRequest", "SendRequestSync", "GetPoolStatus")} == {CLOSED}
    assert {revoked.calls("SendPacked", "changan.Node"), revoked.calls("GetTxStatus")} == {CLOSED}
    assert {revoked.subscribes(method) for method in ("Subscribe", "SubscribeWS")} == {CLOSED}
    assert {revoked.web.request(*one).status_code for one in HTTP} == {403}
