"""Where the HTTP door stands open, and what it is behind TLS, one-way and mutual."""

from __future__ import annotations

import ssl
import warnings
from datetime import UTC, datetime

import httpx2
import pytest

from changan.client.doors import user_pair
from changan.client.web import MemberAuth, Web
from changan.node.home import Home
from changan.node.pki.layout import make_crypto_config, read_crypto_config
from changan.node.run import Doors, RunningNode
from changan.node.settings import Settings
from node_process import NodeProcess


@pytest.mark.parametrize(
    ("host", "demo", "open_at"),
    [
        ("127.0.0.1", True, "127.0.0.1"),
        ("127.0.0.2", True, "127.0.0.2"),
        ("::1", True, "::1"),
        ("localhost", True, "localhost"),
        ("127.0.0.1", False, None),
        ("0.0.0.0", True, None),
        ("::", True, None),
        ("10.1.2.3", True, None),
        ("example.org", True, None),
        ("", True, None),
    ],
)
def test_open_is_loopback_with_the_demonstration(tmp_path, host, demo, open_at):
    assert RunningNode(Home(tmp_path), Settings(), Doors(host), demo=demo)._open_at() == open_at


def test_a_demonstration_that_listens_everywhere_asks_too(tmp_path):
    node = NodeProcess(tmp_path / "home", "--host", "0.0.0.0")
    try:
        address = node.http.replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(f"{address}/v1/chains", timeout=10).status_code == 401
        assert httpx2.get(f"{address}/v1/health", timeout=10).status_code == 200
        assert node.get("/v1/chains")[0]["chain_id"] == "chain1"
    finally:
        assert node.stop() == 0


def test_an_open_door_is_not_for_pages_that_call_this_machine_by_another_name(node):
    port = node.http.rpartition(":")[2]
    for host, status in [(f"localhost:{port}", 200), (f"127.0.0.1:{port}", 200), (f"evil.example:{port}", 400)]:
        answer = httpx2.get(f"{node.http}/v1/chains", headers={"Host": host}, timeout=10)
        assert (host, answer.status_code) == (host, status)


@pytest.fixture(scope="module", params=["one-way", "mutual"])
def secured(request, tmp_path_factory):
    options = ["--tls", *(["--mutual"] if request.param == "mutual" else [])]
    node = NodeProcess(tmp_path_factory.mktemp(request.param) / "home", "--no-demo", *options)
    yield node, request.param
    assert node.stop() == 0


def test_over_tls_as_on_grpc(secured):
    node, kind = secured
    assert node.http.startswith("https://")
    assert node.get("/v1/chains")[0]["chain_id"] == "chain1"
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(node.http.replace("https", "http") + "/v1/health", timeout=5)
    roots = b"".join(org.root_certificate_pem for org in read_crypto_config(node.home).organisations)
    bare = ssl.create_default_context(cadata=roots.decode())
    if kind == "mutual":
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"{node.http}/v1/health", verify=bare, timeout=5)
    else:
        assert httpx2.get(f"{node.http}/v1/health", verify=bare, timeout=5).status_code == 200
        assert httpx2.get(f"{node.http}/v1/chains", verify=bare, timeout=5).status_code == 401
    with warnings.catch_warnings(action="ignore"):
        bare.minimum_version = bare.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx2.HTTPError):  # a TLS of before 2008
        httpx2.get(f"{node.http}/v1/health", verify=bare, timeout=5)


def test_certificates_of_strangers_on_either_side(secured, tmp_path):
    node, kind = secured
    make_crypto_config(tmp_path, ["wx-org1.chainmaker.org"], datetime.now(UTC))
    strange = tmp_path / "crypto-config"
    with node.connect() as client:
        auth = MemberAuth(client.signer, "chain1")
    stranger = Web(node.http, auth, strange, user_pair(strange, "wx-org1.chainmaker.org", "client1"))
    with stranger.client() as client, pytest.raises(httpx2.ConnectError, match="certificate verify failed"):
        client.get("/v1/health")  # the client does not trust the node
    if kind == "mutual":  # nor the node a client whose pair is of another authority
        for root in node.home.glob("crypto-config/*/ca/ca.crt"):
            target = strange / root.parent.parent.name / "ca"
            target.mkdir(parents=True, exist_ok=True)
            (target / "ca.crt").write_bytes(root.read_bytes())
        with stranger.client() as client, pytest.raises(httpx2.HTTPError):
            client.get("/v1/health")
