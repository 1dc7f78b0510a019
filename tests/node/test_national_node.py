"""A node whose chain is on SM2 and SM3 throughout, through every door that a user has."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from changan import connect_async
from changan.client.connect import CallError
from changan.client.requests import Signer, make_payload, sign_request
from changan.client.tables import Method
from changan.crypto import certificates, der
from changan.crypto.keys import Scheme, SigningKey
from changan.crypto.suite import Suite
from changan.ledger.bundle import PARAMETER
from changan.ledger.wire.messages import BlockWithRWSet, ChainConfig, Contract, Member, MemberType
from changan.node.pki.layout import make_crypto_config, read_crypto_config
from changan.node.store.blocklog import BlockLog
from consortium import NOW
from node_process import NodeProcess, changan

ORG = "wx-org1.chainmaker.org"
TO = "11" * 20


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    running = NodeProcess(tmp_path_factory.mktemp("national") / "home", "--suite", "gm", "--tls", "--mutual")
    yield running
    assert running.stop() == 0, running.errors.read_text()[-2000:]


@pytest.fixture(scope="module")
def client(node):
    with node.connect() as connection:
        yield connection


def openssl(*arguments, **options):
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **options)


def blocks(home):
    log = BlockLog(home / "chains" / "chain1" / "log", read_only=True)
    return [BlockWithRWSet.FromString(log.read(height)) for height in range(log.durable_height + 1)]


def sm3(data: bytes) -> bytes:
    """By OpenSSL through hashlib; the node's is the one in `cryptography`."""
    return hashlib.new("sm3", data).digest()


# What a first start makes


def test_every_key_file_is_its_owners_alone(node):
    keys = sorted((node.home / "crypto-config").rglob("*.key"))
    assert len(keys) == 4 * (2 + 2 + 3 * 2)  # two authorities; a node and three users, each to sign and for TLS
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert not [path for path in keys if b"BEGIN PRIVATE KEY" not in path.read_bytes()]


def test_members_keys_have_the_form_that_the_official_sdk_signs_with(node):
    """PKCS#8 whose ECPrivateKey names its curve and carries its public half."""
    pem = (node.home / "crypto-config" / ORG / "user" / "client1" / "client1.sign.key").read_bytes()
    whole = openssl("pkey", "-outform", "DER", input=pem)
    assert whole.returncode == 0
    shown = openssl("asn1parse", input=pem).stdout.decode()
    assert shown.count("sm2") == 1
    body = b"".join(pem.splitlines()[1:-1])
    outer = der.elements(der.read(base64.b64decode(body), der.SEQUENCE).content)
    inner = der.elements(der.read(outer[2].content, der.SEQUENCE).content)
    assert [part.tag for part in inner] == [der.INTEGER, der.OCTET_STRING, der.CONTEXT_0, der.CONTEXT_0 + 1]
    assert len(inner[1].content) == 32
    with pytest.raises(Exception, match=r"1\.2\.156\.10197\.1\.301"):
        load_pem_private_key(pem, None)


def test_members_are_certified_on_sm2_and_tls_on_p256(node):
    crypto = read_crypto_config(node.home)
    for organisation in crypto.organisations:
        root = x509.load_pem_x509_certificate(organisation.root_certificate_pem)
        assert certificates.public_key(root).scheme is Scheme.SM2
        for files in (organisation.node(), organisation.user("admin1"), organisation.user("client1")):
            signs = x509.load_pem_x509_certificate(files.sign_certificate.read_bytes())
            assert certificates.public_key(signs).scheme is Scheme.SM2
            certificates.require_issued(signs, root)
            tls = x509.load_pem_x509_certificate(files.tls_certificate.read_bytes())
            assert isinstance(tls.public_key().curve, ec.SECP256R1)
            tls.verify_directly_issued_by(x509.load_pem_x509_certificate(organisation.tls_root.read_bytes()))
        assert organisation.authority().suite is Suite.NATIONAL
        assert organisation.authorities().tls.suite is Suite.INTERNATIONAL
        assert organisation.tls_root.parent.name == "tls-ca"


def test_genesis_says_sm3_and_zxl(node, client):
    config = ChainConfig.FromString(client.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result)
    assert (config.crypto.hash, config.vm.addr_type) == ("SM3", 1)
    assert 'suite = "gm"' in (node.home / "changan.toml").read_text()
    assert '"SM3"' in (node.home / "sdk_config.yml").read_text()


# Calls


def test_a_contract_is_called_asked_and_paged(client):
    before = int(client.query("token", "balance_of", {"who": TO}).text)
    answer = client.invoke("token", "transfer", {"to": TO, "amount": 5})
    assert int(client.query("token", "balance_of", {"who": TO}).text) == before + 5
    client.invoke("token", "transfer", {"to": f"ZX{TO}", "amount": 2})  # as the chain writes addresses
    assert int(client.query("token", "balance_of", {"who": f"ZX{TO}"}).text) == before + 7
    assert any(entry.key == TO for entry in client.rows("token", "balances"))
    assert answer.tx_id in {written.tx_id for written in client.history("token", "balances", TO)}
    with pytest.raises(CallError, match="this is no Address"):
        client.query("token", "balance_of", {"who": f"XZ{TO}"})


def test_a_contract_is_installed_and_called_by_its_zxl_address(client):
    source = b"from changan.contract import U64, Contract, call\n\n\nclass Box(Contract):\n    n: U64\n\n    @call\n"
    source += b"    def add(self, by: U64) -> U64:\n        self.n += by\n        return self.n\n"
    record = Contract.FromString(client.deploy("box", "1.0", source).result)
    assert record.address == "ZX" + sm3(sm3(b"box"))[:20].hex()
    assert client.invoke(record.address, "add", {"by": 3}).text == "3"
    assert client.invoke("box", "add", {"by": 4}).text == "7"
    with pytest.raises(CallError, match="invalid contract name"):
        client.deploy("ZX" + "ab" * 20, "1.0", source)


def test_from_an_event_loop(node):
    async def session() -> None:
        async with connect_async(home=node.home) as client:
            table = {"to": ["44" * 20] * 3, "amount": [1, 2, 3]}
            (sent,) = await client.invoke_many("token", "transfer", table)
            assert [row.code for row in sent.rows] == [0, 0, 0]

    asyncio.run(session())


def test_a_key_of_another_suite_is_refused_in_words(node, client, tmp_path):
    authority = read_crypto_config(node.home).organisations[0].authority()
    issued = authority.issue("guest", "client", "sign", NOW, curve="P-256")
    member = Member(org_id=ORG, member_type=MemberType.CERT, member_info=issued.certificate_pem)
    known = client._calls.signer
    client._calls.signer = Signer(member, SigningKey(issued.key_pem), "SM3")
    try:
        with pytest.raises(
            CallError, match="a key of P-256 is of the suite intl, and this chain admits gm: take a key of gm"
        ):
            client.invoke("token", "transfer", {"to": TO, "amount": 1})
    finally:
        client._calls.signer = known


# Receipts


def test_a_receipt_is_checked_offline(node, client, tmp_path):
    tx_id = client.invoke("evidence", "put", {"digest": os.urandom(32), "note": "国密"}).tx_id
    path, trust = tmp_path / "receipt.json", node.home / "crypto-config"
    assert changan("receipt", tx_id, "-o", str(path), "--home", str(node.home)).returncode == 0
    document = json.loads(path.read_text())
    assert document == node.get(f"/v1/receipts/{tx_id}")
    assert document["suite"] == 2
    done = changan("verify-receipt", str(path), "--trust", str(trust))
    assert done.returncode == 0, done.stderr
    assert f"sealed by: consensus1.sign.{ORG}" in done.stdout

    def refused(**changes) -> str:
        other = tmp_path / "other.json"
        other.write_text(json.dumps({**document, **changes}))
        done = changan("verify-receipt", str(other), "--trust", str(trust))
        assert done.returncode == 1
        return done.stderr

    assert "the block's hash is not that of its header" in refused(suite=1)
    assert "suite 3 is unknown" in refused(suite=3)
    assert "suite 0 is unknown" in refused(suite="gm")
    header = bytearray(base64.b64decode(document["header"]))
    header[-1] ^= 1  # in the proposer's signature, which the block's hash does not cover
    assert "does not hold" in refused(header=base64.b64encode(header).decode())


def test_a_receipt_is_not_believed_under_the_roots_of_others(node, client, tmp_path):
    tx_id = client.invoke("token", "transfer", {"to": TO, "amount": 1}).tx_id
    path = tmp_path / "receipt.json"
    changan("receipt", tx_id, "-o", str(path), "--home", str(node.home))
    for suite in Suite:
        strangers = tmp_path / suite.name
        make_crypto_config(strangers, [ORG], NOW, suite=suite)
        done = changan("verify-receipt", str(path), "--trust", str(strangers))
        assert done.returncode == 1
        assert f"no trust root of {ORG!r} issued this certificate" in done.stderr


def test_bundles_and_receipts_of_their_rows(node, client, tmp_path):
    table = {"digest": [os.urandom(32) for _ in range(20)], "note": [f"第{n}行" for n in range(20)]}
    (sent,) = client.invoke_many("evidence", "put", table)
    assert all(row.succeeded for row in sent.rows)
    path = tmp_path / "row.json"
    assert changan("receipt", f"{sent.answer.tx_id}.7", "-o", str(path), "--home", str(node.home)).returncode == 0
    assert json.loads(path.read_text())["suite"] == 2
    done = changan("verify-receipt", str(path), "--trust", str(node.home / "crypto-config"))
    assert done.returncode == 0, done.stderr
    assert table["digest"][7].hex() in done.stdout
    path.write_text(json.dumps({**json.loads(path.read_text()), "gas": 1}))
    assert changan("verify-receipt", str(path)).returncode == 1


def test_a_bundle_over_http(node, client):
    described = Method(client._drive(client._calls.describe("token")), "transfer")
    ((_, data),) = described.bundles({"to": [TO] * 4, "amount": [1, 1, 1, 1]}, 100, 0)
    request = sign_request(make_payload("chain1", "token", "transfer", {PARAMETER: data}), client.signer)
    answer = client.web.post("/v1/bundles", content=request.SerializeToString())
    assert answer.json()["succeeded"] == 4, answer.text


# The log, audited and moved


def test_every_hash_of_the_log_is_sm3(node, client):
    client.invoke("token", "transfer", {"to": TO, "amount": 1})
    previous = b""
    for stored in blocks(node.home):
        header, (tx,) = stored.block.header, stored.block.txs
        assert header.pre_block_hash == previous
        previous = header.block_hash
        tx.result.contract_result.gas_used = 0
        assert sm3(tx.SerializeToString()) == header.tx_root  # of one leaf
        assert sm3(stored.txRWSets[0].SerializeToString()) == header.rw_set_root == tx.result.rw_set_hash
        assert sm3(stored.block.dag.SerializeToString()) == header.dag_hash
        header.block_hash = header.signature = b""
        assert sm3(header.SerializeToString()) == previous


def test_the_chain_is_verified_replayed_exported_and_imported(node, client, tmp_path):
    client.invoke("token", "transfer", {"to": TO, "amount": 1})
    done = changan("verify", "--replay", "--home", str(node.home))
    assert done.returncode == 0, done.stderr
    moved = tmp_path / "chain.export"
    assert changan("export", "--home", str(node.home), "-o", str(moved)).returncode == 0
    other = tmp_path / "other"
    assert changan("import", "--home", str(other), str(moved)).returncode == 0
    again = changan("verify", "--replay", "--home", str(other))
    assert again.returncode == 0, again.stderr


def test_a_trace_shows_what_a_transaction_read_and_wrote(node, client):
    tx_id = client.invoke("token", "transfer", {"to": TO, "amount": 9}).tx_id
    done = changan("tx", "trace", tx_id, "--home", str(node.home))
    assert done.returncode == 0, done.stderr
    assert f"token balances.{TO}" in done.stdout


# OpenSSL's command line as the second opinion


def documented(beginning: str) -> str:
    """The block of docs/security.md that begins so."""
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    return next(part for part in text.split("```text\n")[1:] if part.startswith(beginning)).partition("```")[0]


@pytest.mark.parametrize("part", ["tx", "block"])
def test_openssl_judges_by_the_documented_commands(node, client, tmp_path, part):
    tx_id = client.invoke("token", "transfer", {"to": TO, "amount": 1}).tx_id
    assert changan("receipt", tx_id, "-o", str(tmp_path / "receipt.json"), "--home", str(node.home)).returncode == 0
    taken = subprocess.run(
        [sys.executable, "-c", documented("from base64")], cwd=tmp_path, capture_output=True, check=False, timeout=60
    )
    assert taken.returncode == 0, taken.stderr
    shutil.copy(node.home / "crypto-config" / ORG / "ca" / "ca.crt", tmp_path / "ca.crt")
    commands = [line.replace("tx.", f"{part}.") for line in documented("openssl verify").splitlines()]
    assert len(commands) == 3

    def run(command: str) -> bool:
        return (
            subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False, timeout=60).returncode == 0
        )

    assert all(run(command) for command in commands)
    assert not run(commands[0].replace("1234567812345678", "another"))
    assert not run(commands[2].replace("1234567812345678", "another"))
    assert not run(commands[2].replace(f"{part}.message", "receipt.json"))
    other = read_crypto_config(node.home).organisations[1]
    shutil.copy(other.root_certificate, tmp_path / "ca.crt")
    assert not run(commands[0])
