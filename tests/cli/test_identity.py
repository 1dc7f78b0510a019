"""`changan identity` on a crypto-config, without a node: what it makes, what it shows, what it refuses, and that it shows no secret."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from identity_running import NEXT, ORG, OTHER, PASSWORD, certificate, files, ok, refused, value, written

from changan.cli.main import main
from changan.client.members import find_member
from changan.client.requests import Signer
from changan.crypto.envelope import is_sealed, unseal
from changan.node.pki.layout import make_crypto_config, read_crypto_config


@pytest.fixture
def home(tmp_path):
    make_crypto_config(tmp_path, [ORG, OTHER], datetime.now(UTC))
    return tmp_path


# Issue


@pytest.mark.parametrize("role", ["client", "admin", "light"])
def test_an_issued_user_is_sealed_and_signs_with_its_password(home, secret, role):
    output = ok(home, "issue", "alice", "--role", role, "--password-file", secret)
    assert value(output, "role") == role
    assert value(output, "key") == "P-256, sealed"
    directory = files(home, ORG, "user", "alice")
    assert sorted(path.name for path in directory.iterdir()) == [
        "alice.sign.crt",
        "alice.sign.key",
        "alice.tls.crt",
        "alice.tls.key",
    ]
    for kind in ("sign", "tls"):
        path = directory / f"alice.{kind}.key"
        assert path.stat().st_mode & 0o777 == 0o600
        assert is_sealed(path.read_bytes())
        key = load_pem_private_key(unseal(path.read_bytes(), PASSWORD.encode()), None)
        assert key.public_key() == certificate(directory / f"alice.{kind}.crt").public_key()
    signer = find_member(home / "crypto-config", ORG, "alice", lambda _: PASSWORD.encode())
    signer.key.public.verify(b"m", signer.key.sign(b"m", "SHA256"), "SHA256")


@pytest.mark.parametrize("role", ["consensus", "common"])
def test_a_nodes_keys_are_plain_and_its_id_lies_beside(home, role):
    ok(home, "issue", "consensus2", "--role", role, "--host", "node.example.org", "--host", "10.1.2.3")
    directory = files(home, ORG, "node", "consensus2")
    for kind in ("sign", "tls"):
        path = directory / f"consensus2.{kind}.key"
        assert path.stat().st_mode & 0o777 == 0o600
        load_pem_private_key(path.read_bytes(), None)
    names = certificate(directory / "consensus2.tls.crt").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "node.example.org" in names.value.get_values_for_type(x509.DNSName)
    assert (directory / "consensus2.nodeid").read_text().startswith("Qm")


def test_plain_keys_and_the_days_that_were_asked_for(home):
    output = ok(home, "issue", "app7", "--plain", "--days", 20)
    assert value(output, "key") == "P-256, plain"
    assert "19 days left" in value(output, "valid")
    directory = files(home, ORG, "user", "app7")
    assert Signer.from_files(ORG, directory / "app7.sign.crt", directory / "app7.sign.key")
    made = certificate(directory / "app7.sign.crt")
    assert abs(made.not_valid_after_utc - datetime.now(UTC) - timedelta(days=20)) < timedelta(minutes=5)


def test_openssl_agrees_with_what_is_issued_and_revoked(home, tmp_path):
    """A second opinion: chain, key usage, revocation."""
    ok(home, "issue", "alice", "--plain")
    ok(home, "issue", "bob", "--plain")
    ok(home, "renew", "alice")
    ok(home, "revoke", "bob")
    ca, crl = files(home, ORG, "ca", "ca.crt"), files(home, ORG, "ca", "revoked.crl")

    def verified(name):
        path = files(home, ORG, "user", name, f"{name}.sign.crt")
        command = ["openssl", "verify", "-CAfile", ca, "-CRLfile", crl, "-crl_check", path]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert verified("alice").returncode == 0, verified("alice").stderr
    assert "certificate revoked" in verified("bob").stderr


def test_a_password_for_the_key_other_than_that_of_the_authority(home, tmp_path, secret):
    ok(home, "seal", "--password-file", secret)
    other = written(tmp_path / "other", NEXT)
    ok(home, "issue", "alice", "--password-file", secret, "--new-password-file", other)
    path = files(home, ORG, "user", "alice", "alice.sign.key")
    assert unseal(path.read_bytes(), NEXT.encode()).startswith(b"-----BEGIN PRIVATE KEY")
    assert "does not open: the password is wrong" in refused(home, "issue", "bob", "--password-file", other)


def test_the_environment_gives_the_password_too(home):
    ok(home, "issue", "alice", env={"CHANGAN_PASSWORD": PASSWORD})
    assert is_sealed(files(home, ORG, "user", "alice", "alice.sign.key").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["issue", "client1", "--plain"], "client1 of wx-org1.chainmaker.org exists: take another name, or renew it"),
        (["issue", "consensus1", "--plain"], "exists"),
        (["issue", "a/b", "--plain"], "'a/b' cannot name an identity: letters, digits"),
        (["issue", "..", "--plain"], "cannot name an identity"),
        (["issue", "-", "--plain"], "cannot name an identity"),
        (["issue", "a" * 65, "--plain"], "at most 64"),
        (["issue", "爱丽丝", "--plain"], "cannot name an identity"),
        (["issue", "alice", "--role", "king", "--plain"], "'king' is not one of"),
        (["issue", "alice", "--days", "0", "--plain"], "0 is not in the range"),
        (
            ["issue", "alice", "--days", "3650", "--plain"],
            "ends in 3649 days, before the certificate would: take --days 3649",
        ),
        (["issue", "alice", "--host", "x.example", "--plain"], "hosts belong in the TLS certificate of a node"),
        (["issue", "n2", "--role", "common", "--host", "no host"], "'no host' is neither an address nor a DNS name"),
        (["issue", "alice"], "alice needs a password: give --password-file FILE, set CHANGAN_PASSWORD"),
        (["issue", "alice", "--org", "nobody"], f"holds no organisation nobody: {ORG}, {OTHER}"),
        (["issue", "alice", "--password-file", "nowhere"], "cannot read the password in nowhere"),
        (["renew", "nobody"], "the signing certificate of nobody"),
        (["renew", "../client1"], "no name of an identity"),
        (["renew", "consensus1", "--new-key"], "a node keeps its keys: its id and its votes hang on them"),
        (["revoke", "nobody"], "the signing certificate of nobody"),
        (["revoke", "client1", "--serial", "zz"], "'zz' is no hexadecimal number"),
        (["revoke", "client1", "--serial", "abc"], "client1 has no certificate abc"),
        (["show", "nobody"], "the signing certificate of nobody"),
        (["seal"], "ca.key needs a password"),
    ],
    ids=lambda given: " ".join(given)[:40] if isinstance(given, list) else None,
)
def test_refusals_say_what_to_do_and_change_nothing(home, arguments, words):
    assert words in refused(home, *arguments)


@pytest.mark.parametrize("text", ["short", "aaaaaaaaaaaaaaaaaaaaaaaa", "password1234", ""])
def test_weak_passwords_are_refused(home, tmp_path, text):
    output = refused(home, "issue", "alice", "--password-file", written(tmp_path / "weak", text))
    assert "the password is weak" in output or "an empty password protects nothing" in output


def test_without_the_key_of_the_authority_nothing_is_issued_but_all_is_shown(home):
    files(home, ORG, "ca", "ca.key").unlink()
    assert "only who keeps it can issue certificates" in refused(home, "issue", "alice", "--plain")
    assert f"{ORG}  key of the authority: not here" in ok(home, "show")


def test_the_key_of_another_authority_is_refused(home):
    shutil.copy(files(home, OTHER, "ca", "ca.key"), files(home, ORG, "ca", "ca.key"))
    for arguments in (["issue", "alice", "--plain"], ["renew", "client1"], ["revoke", "client1"]):
        assert "does not belong to the CA certificate" in refused(home, *arguments)


def test_a_carried_folder_works_as_a_home_does(home, tmp_path, secret):
    carried = tmp_path / "carried"
    shutil.copytree(files(home), carried)
    ok(carried, "issue", "alice", "--org", OTHER, "--password-file", secret)
    assert (carried / OTHER / "user" / "alice" / "alice.sign.crt").exists()
    assert "alice" in ok(carried, "show", "--org", OTHER)


# Renew


@pytest.mark.parametrize("name", ["client1", "admin1", "consensus1"])
def test_renewed_certificates_say_the_same_of_the_same_keys(home, name):
    kind = "node" if name == "consensus1" else "user"
    paths = [files(home, ORG, kind, name, f"{name}.{usage}.crt") for usage in ("sign", "tls")]
    keys = [path.with_suffix(".key").read_bytes() for path in paths]
    before = [certificate(path) for path in paths]
    output = ok(home, "renew", name, "--days", 300)
    after = [certificate(path) for path in paths]
    for old, new in zip(before, after, strict=True):
        assert (new.subject, new.issuer, new.public_key()) == (old.subject, old.issuer, old.public_key())
        assert [(e.oid, e.critical, e.value) for e in new.extensions] == [
            (e.oid, e.critical, e.value) for e in old.extensions
        ]
        assert new.serial_number != old.serial_number
        assert f"revoke {name} --serial {old.serial_number:x}" in output
    assert [path.with_suffix(".key").read_bytes() for path in paths] == keys
    assert read_crypto_config(home).organisations[0].node_id  # the id beside it still agrees


def test_a_certificate_of_another_authority_is_not_renewed(home):
    for usage in ("sign", "tls"):
        stranger = files(home, OTHER, "user", "client1", f"client1.{usage}.crt")
        shutil.copy(stranger, files(home, ORG, "user", "client1", f"client1.{usage}.crt"))
    words = f"this is no certificate of the authority of {ORG}: the certificate names another issuer"
    assert words in refused(home, "renew", "client1")


def test_new_keys_are_sealed_where_the_old_ones_were(home, secret):
    ok(home, "issue", "alice", "--password-file", secret)
    path = files(home, ORG, "user", "alice", "alice.sign.key")
    before = path.read_bytes()
    assert "needs a password" in refused(home, "renew", "alice", "--new-key")
    assert value(ok(home, "renew", "alice", "--new-key", "--password-file", secret), "key") == "P-256, sealed"
    assert path.read_bytes() != before
    assert unseal(path.read_bytes(), PASSWORD.encode()) != unseal(before, PASSWORD.encode())
    assert value(ok(home, "renew", "alice", "--new-key", "--plain"), "key") == "P-256, plain"
    assert value(ok(home, "renew", "client1", "--new-key"), "key") == "P-256, plain"  # the SDK's configuration names it
    assert not list(files(home).rglob(".*")), "nothing is left over"


def test_what_is_revoked_comes_back_only_with_a_new_key(home):
    ok(home, "revoke", "client1")
    assert value(ok(home, "show", "client1"), "valid") == "revoked"
    assert "client1 is revoked: whoever has its key must not come back; renew it with --new-key" in refused(
        home, "renew", "client1"
    )
    assert "days left" in value(ok(home, "renew", "client1", "--new-key"), "valid")


# Revoke


def serials(home, org=ORG) -> set[int]:
    return {entry.serial_number for entry in x509.load_pem_x509_crl(files(home, org, "ca", "revoked.crl").read_bytes())}


def known(home, name) -> set[int]:
    return {certificate(path).serial_number for path in files(home, ORG, "user", name).glob("*.crt")}


def test_a_list_grows_and_forgets_nothing(home):
    first, second = known(home, "client1"), known(home, "light1")
    output = ok(home, "revoke", "client1")
    assert serials(home) == first
    path = files(home, ORG, "ca", "revoked.crl")
    assert (
        f'changan contract call CERT_MANAGE CERTS_REVOKE "cert_crl=$(cat {path})" --user admin1 --home {home} --org {ORG}'
        in output
    )
    ok(home, "revoke", "light1")
    ok(home, "revoke", "light1")  # again: the same
    assert serials(home) == first | second
    assert not files(home, OTHER, "ca", "revoked.crl").exists()


def test_certificates_that_were_renewed_are_revoked_with_their_name(home):
    before = known(home, "client1")
    ok(home, "renew", "client1")
    ok(home, "renew", "client1", "--new-key")
    ok(home, "revoke", "client1")
    assert serials(home) > before | known(home, "client1")
    assert len(serials(home)) == 6


def test_one_certificate_by_its_serial(home):
    old = min(known(home, "client1"))
    ok(home, "renew", "client1")
    ok(home, "revoke", "client1", "--serial", f"{old:x}")
    assert serials(home) == {old}
    assert "days left" in value(ok(home, "show", "client1"), "valid")


def test_a_list_of_another_hand_is_refused_and_stays(home):
    ok(home, "revoke", "client1", "--org", OTHER)
    shutil.copy(files(home, OTHER, "ca", "revoked.crl"), files(home, ORG, "ca", "revoked.crl"))
    for arguments in (["revoke", "client1"], ["show", "client1"], ["renew", "client1"]):
        assert "revoked.crl is not the list of wx-org1" in refused(home, *arguments)
    files(home, ORG, "ca", "revoked.crl").write_bytes(b"junk")
    assert "revoked.crl is not the list of wx-org1" in refused(home, "revoke", "client1")


# Seal


def test_the_authoritys_key_is_sealed_and_gets_another_password(home, tmp_path, secret):
    path = files(home, ORG, "ca", "ca.key")
    plain = path.read_bytes()
    ok(home, "seal", "--password-file", secret)
    assert unseal(path.read_bytes(), PASSWORD.encode()) == plain
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"{ORG}  key of the authority: sealed" in ok(home, "show")
    other = written(tmp_path / "other", NEXT)
    assert "the password is wrong" in refused(home, "seal", "--password-file", other)
    ok(home, "seal", "--password-file", secret, "--new-password-file", other)
    assert unseal(path.read_bytes(), NEXT.encode()) == plain
    assert "needs a password" in refused(home, "issue", "alice", "--plain")
    ok(home, "issue", "alice", "--plain", "--password-file", other)
    ok(home, "renew", "client1", "--password-file", other)
    ok(home, "revoke", "client1", "--password-file", other)


# Show


def test_what_is_shown_is_what_openssl_and_the_chain_say(home):
    output = ok(home, "show", "client1")
    path = files(home, ORG, "user", "client1", "client1.sign.crt")
    asked = ["openssl", "x509", "-in", path, "-noout", "-serial", "-fingerprint", "-sha256"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.lower().replace(":", "")
    assert int(re.search(r"serial=(\w+)", said)[1], 16) == int(value(output, "serial"), 16)
    assert f"fingerprint={value(output, 'certificate hash')}" in said
    assert value(output, "organisation") == ORG
    assert re.fullmatch(r"[0-9a-f]{40}", value(output, "address"))
    assert re.fullmatch(r"ZX[0-9a-f]{40}", value(output, "ZXL address"))


def test_soon_and_past_ends_stand_out(home):
    ok(home, "issue", "brief", "--plain", "--days", 5)
    shown = CliRunner().invoke(main, ["identity", "show", "brief", "--home", str(home)], color=True).output
    assert "\x1b[33m" in shown
    assert "\x1b[" not in ok(home, "show", "client1")


def test_chinese(home, secret):
    chinese = {"LC_ALL": "zh_CN.UTF-8"}
    output = ok(home, "issue", "alice", "--password-file", secret, env=chinese)
    assert "组织" in output
    assert "已加密" in output
    assert "剩余" in output
    assert "链尚不知道此变更" in ok(home, "revoke", "alice", env=chinese)
    assert "已吊销" in ok(home, "show", env=chinese)
