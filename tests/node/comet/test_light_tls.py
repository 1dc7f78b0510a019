"""A newcomer asks at a member's real HTTP door over TLS and mutual TLS, with its node's own pair; who is not trusted is told why."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import socket
import ssl
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_light import ask, call, commit_of

from changan.client.web import why_silent
from changan.crypto.suite import SUITE_NAMES
from changan.ledger.roster import Roster
from changan.node.chain import Chain
from changan.node.comet.cluster import Ports, init_cluster
from changan.node.comet.run import CometNode
from changan.node.home import Home
from changan.node.pki.authority import Authority
from changan.node.pki.layout import NODE, TLS_AUTHORITY, write_authority, write_issued
from changan.node.run import Doors
from changan.node.storage import ChainStorage

ENGINE_HEIGHT = 9
ORG1, ORG4 = "wx-org1.chainmaker.org", "wx-org4.chainmaker.org"


class Member:
    """The node of the first organisation: its chain, its HTTP door, and an engine that knows one block."""

    def __init__(self, root, level: str) -> None:
        self.home = Home(root / ORG1)
        self.node = CometNode(self.home, self.home.settings(), Doors("127.0.0.1", 0, 0, level), root)
        self.crypto = self.node._find_organisations()
        voters = self.node._file.voters
        self.storage = ChainStorage(root / "chain")
        world = self.storage.open_world(genesis_of(self.node))
        self.node.chains["chain1"] = Chain(world, self.storage, [], list)
        self.commit = commit_of(Roster(voters), ENGINE_HEIGHT, key=lambda n: validator_key(root, voters[n - 1].org_id))
        self.node._orderings["chain1"] = SimpleNamespace(
            application=SimpleNamespace(height=ENGINE_HEIGHT + 2),
            snapshots=SimpleNamespace(offered=self.offered),
            links=lambda _: [],
            engine=SimpleNamespace(door=SimpleNamespace(ask=self.asked)),
        )

    async def offered(self, _: int):
        return [SimpleNamespace(engine_height=ENGINE_HEIGHT, manifest=SimpleNamespace(height=0))]

    async def asked(self, method: str, _: dict[str, str]) -> dict:
        return self.commit if method == "commit" else {"of": method}

    @contextlib.asynccontextmanager
    async def open(self):
        async with self.node._open_http(self.crypto) as address:
            yield address


def genesis_of(node: CometNode):
    return node._genesis(node._settings.chains[0])


def validator_key(root, org_id: str) -> Ed25519PrivateKey:
    path = root / org_id / "engine/chain1/config/priv_validator_key.json"
    private = base64.b64decode(json.loads(path.read_text())["priv_key"]["value"])
    return Ed25519PrivateKey.from_private_bytes(private[:32])


@pytest.fixture(scope="module", params=list(SUITE_NAMES))
def made(request, tmp_path_factory):
    """A cluster's folder, of either suite: on SM2 an organisation has an authority for TLS alone."""
    root = tmp_path_factory.mktemp("light-tls") / "cluster"
    init_cluster(root, ["127.0.0.1"] * 4, Ports(0, 0, 0), SUITE_NAMES[request.param], apart=False, demo=False)
    for org_id in (ORG1, ORG4):
        home = Home(root / org_id)
        genesis_of(CometNode(home, home.settings(), Doors(), root))
    return root


@pytest.fixture
def root(made, tmp_path):
    return shutil.copytree(made, tmp_path / "cluster")


@contextlib.asynccontextmanager
async def member(root, level: str):
    one = Member(root, level)
    try:
        async with one.open() as address:
            yield one, address
    finally:
        one.storage.close()


def asking(root, address: str):
    """The fourth organisation's node, that is to begin with the state of its peers: its door for the engine."""
    home = Home(root / ORG4)
    node = CometNode(home, home.settings(), Doors(), root, (address,))
    return node._light_door(genesis_of(node), node._find_organisations())


async def answer(root, address: str, folder) -> dict:
    async with asking(root, address).listen(folder / "light"):
        [found] = await ask(folder / "light", call("commit", height=str(ENGINE_HEIGHT)))
    return found


async def refusal(root, address: str, folder) -> str:
    return (await answer(root, address, folder))["error"]["data"]


@pytest.mark.parametrize("level", ["none", "server", "mutual"])
async def test_what_a_member_proves_is_believed_over_tls_too(root, tmp_path, level):
    async with member(root, level) as (one, address):
        assert address.startswith("http:" if level == "none" else "https:")
        async with asyncio.timeout(30), asking(root, address).listen(tmp_path / "light") as door:
            trusted = await door.trusted()
        assert (await answer(root, address, tmp_path))["result"] == one.commit
    block_hash = one.commit["signed_header"]["commit"]["block_id"]["hash"]
    assert (trusted.height, trusted.block_hash.hex().upper()) == (ENGINE_HEIGHT, block_hash)


def another_authority(crypto_config) -> None:
    """Give the node of an organisation a pair for TLS whose authority nobody else knows."""
    authority = Authority.create(crypto_config.name, datetime.now(UTC))
    shutil.rmtree(crypto_config / TLS_AUTHORITY, ignore_errors=True)
    write_authority(crypto_config / TLS_AUTHORITY, authority)
    pair = crypto_config / "node" / NODE / f"{NODE}.tls"
    for path in pair.parent.glob(f"{pair.name}.*"):
        path.unlink()
    write_issued(pair, authority.issue(NODE, "consensus", "tls", datetime.now(UTC)))


async def test_a_pair_of_another_authority_is_refused_until_the_member_knows_that(root, tmp_path):
    ours, theirs = (root / org / "crypto-config" / ORG4 for org in (ORG4, ORG1))
    another_authority(ours)
    async with member(root, "mutual") as (_, address):
        said = await refusal(root, address, tmp_path)
    assert f"{address} ends the connection: at mutual TLS" in said
    assert "Bring this organisation's folder of crypto-config, without keys, into the one there" in said
    async with member(root, "server") as (_, address):  # nobody is asked for a pair there
        assert "result" in await answer(root, address, tmp_path)
    (theirs / TLS_AUTHORITY).mkdir(exist_ok=True)
    shutil.copyfile(ours / TLS_AUTHORITY / "ca.crt", theirs / TLS_AUTHORITY / "ca.crt")
    async with member(root, "mutual") as (_, address):
        assert "result" in await answer(root, address, tmp_path)


async def test_a_member_of_another_authority_is_not_believed(root, tmp_path):
    another_authority(root / ORG1 / "crypto-config" / ORG1)
    for level in ("server", "mutual"):
        async with member(root, level) as (_, address):
            said = await refusal(root, address, tmp_path)
        assert f"{address} shows a TLS certificate that is not trusted here" in said
        assert "bring its organisation's folder of crypto-config, without keys, into the one here" in said
        assert said.endswith("start again")


@pytest.mark.parametrize(
    ("level", "given", "words"),
    [
        ("none", "https:", "if it is a node's HTTP door without TLS, name it with http://"),
        ("server", "http:", "if that door speaks TLS, name it with https://"),
        ("mutual", "http:", "if that door speaks TLS, name it with https://"),
    ],
)
async def test_the_wrong_scheme_is_said(root, tmp_path, level, given, words):
    async with member(root, level) as (_, address):
        said = await refusal(root, f"{given}{address.partition(':')[2]}", tmp_path)
    assert words in said


def test_a_door_that_says_why_it_ends_a_handshake_is_understood(root):
    """A gateway before a node sends an alert; the node itself just closes."""
    crypto = CometNode(Home(root / ORG1), Home(root / ORG1).settings(), Doors(), root)._find_organisations()
    files = crypto.organisations[0].node()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.tls_certificate, files.tls_key)
    context.verify_mode = ssl.CERT_REQUIRED
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(crypto.organisations[0].tls_root)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake() -> None:
            taken, _ = listening.accept()
            with taken, contextlib.suppress(ssl.SSLError):
                context.wrap_socket(taken, server_side=True)

        thread = threading.Thread(target=shake)
        thread.start()
        address = f"https://localhost:{listening.getsockname()[1]}"
        with httpx2.Client(verify=trusting) as client, pytest.raises(httpx2.TransportError) as error:
            client.get(f"{address}/v1/health", timeout=10)
        thread.join(10)
    assert "at mutual TLS it does so where it does not trust the certificate of this side" in why_silent(
        address, error.value
    )
    assert "does not answer as a member: ConnectTimeout" in why_silent(address, httpx2.ConnectTimeout("late"))
