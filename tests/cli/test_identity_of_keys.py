"""`changan identity` where members are keys: registered ones, and those of a public chain."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from identity_running import ORG, OTHER, PASSWORD, certificate, files, ok, refused

from changan.client.members import find_member
from changan.crypto.envelope import is_sealed
from changan.ledger.chain_config import Mode
from changan.node.pki.key_layout import make_key_config


@pytest.fixture(params=[Mode.KEYS, Mode.PUBLIC], ids=["keys", "public"])
def keyed(request, tmp_path):
    make_key_config(tmp_path, request.param, [ORG, OTHER], datetime.now(UTC))
    return tmp_path, request.param, "node1" if request.param is Mode.PUBLIC else ORG


def test_a_key_is_issued_sealed_and_signs(keyed, secret):
    home, mode, folder = keyed
    output = ok(home, "issue", "alice", "--password-file", secret)
    directory = files(home, folder, "user", "alice")
    assert sorted(path.name for path in directory.iterdir()) == [
        "alice.key",
        "alice.pem",
        "alice.tls.crt",
        "alice.tls.key",
    ]
    assert is_sealed((directory / "alice.key").read_bytes())
    assert ("PUBKEY_MANAGE PUBKEY_ADD" in output) == (mode is Mode.KEYS)
    signer = find_member(home / "crypto-config", folder, "alice", lambda _: PASSWORD.encode())
    assert signer.member.member_info == (directory / "alice.pem").read_bytes()
    signer.key.public.verify(b"m", signer.key.sign(b"m", "SHA256"), "SHA256")


def test_renewal_where_members_are_keys(keyed, secret):
    home, mode, folder = keyed
    directory = files(home, folder, "user", "client1")
    key, tls = (directory / "client1.key").read_bytes(), certificate(directory / "client1.tls.crt")
    ok(home, "renew", "client1")
    assert (directory / "client1.key").read_bytes() == key
    assert certificate(directory / "client1.tls.crt").serial_number != tls.serial_number
    output = ok(home, "renew", "client1", "--new-key")
    assert (directory / "client1.key").read_bytes() != key
    order = [output.find("PUBKEY_ADD"), output.find("PUBKEY_DELETE")]
    assert order == sorted(order)
    assert (order[0] > 0) == (mode is Mode.KEYS)


def test_refusals_where_members_are_keys(keyed):
    home, mode, _ = keyed
    for role in ("admin", "consensus"):
        assert f"no {role} is issued where {mode.value}" in refused(home, "issue", "x", "--role", role, "--plain")
    assert "is a trust root of the chain, and has no certificate" in refused(home, "renew", "admin1", "--new-key")
    node = "node1" if mode is Mode.PUBLIC else "consensus1"
    assert "a node keeps its keys" in refused(home, "renew", node, "--new-key")
    ok(home, "renew", node)
    if mode is Mode.PUBLIC:
        assert "a public chain admits every key" in refused(home, "revoke", "client1")
        assert "no light is issued" in refused(home, "issue", "x", "--role", "light", "--plain")
    else:
        assert "PUBKEY_MANAGE PUBKEY_DELETE" in ok(home, "revoke", "client1")


def test_all_are_listed(keyed):
    home, mode, _ = keyed
    wanted = {
        Mode.KEYS: ["admin1", "client1", "light1", "consensus1"],
        Mode.PUBLIC: ["admin1", "admin2", "client1", "node1"],
    }
    lines = [line.split()[0] for line in ok(home, "show").splitlines() if line.startswith("  ")]
    assert lines == wanted[mode] * (2 if mode is Mode.KEYS else 1)
