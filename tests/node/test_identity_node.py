"""Identities against a running node: sealed keys sign with their password, renewals hold, what is revoked is refused."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

import changan
from changan.client.calls import CallError
from changan.client.passwords import PasswordError
from changan.crypto.envelope import is_sealed
from node_process import NodeProcess
from node_process import changan as command

PASSWORD, OTHER = "correct horse battery", "staple in the evening"
NOBODY = {"CHANGAN_PASSWORD": "not what it was sealed with"}
UNKNOWN = r"all endorsers have failed verification|TLS: the certificate is revoked on every chain of this node"


def written(path, text):
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


class Organisation:
    """A running node's home, and the commands of whoever runs its first organisation."""

    def __init__(self, root, *options: str) -> None:
        root.mkdir(exist_ok=True)
        self.password, self.other = written(root / "password", PASSWORD), written(root / "other", OTHER)
        self.node = NodeProcess(root / "home", "--password-file", str(self.password), *options)
        self.home = self.node.home

    def identity(self, *arguments: str) -> str:
        done = command("identity", *arguments, "--home", str(self.home), "--password-file", str(self.password))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def connect(self, user: str, password: str = PASSWORD, **options):
        return changan.connect(home=self.home, user=user, password=lambda _: password.encode(), **options)

    def calls(self, user: str, password: str = PASSWORD) -> str:
        """Call as a user; return what is said."""
        try:
            with self.connect(user, password) as client:
                client.invoke("T", "P", {"k": "a", "v": "b"})
        except CallError as error:
            return str(error)
        return ""


@pytest.fixture(scope="module")
def organisation(tmp_path_factory):
    made = Organisation(tmp_path_factory.mktemp("certificates") / "o", "--tls", "--mutual")
    yield made
    assert made.node.stop() == 0, made.node.errors.read_text()[-2000:]


def test_up_with_a_password_seals_the_authorities_and_nothing_that_programs_read(organisation):
    keys = {
        path.relative_to(organisation.home) for path in organisation.home.rglob("*.key") if "crypto-config" in str(path)
    }
    sealed = {path for path in keys if is_sealed((organisation.home / path).read_bytes())}
    assert {path.name for path in sealed} == {"ca.key"}
    assert len(sealed) == 4
    assert {(organisation.home / path).stat().st_mode & 0o777 for path in keys} == {0o600}


def test_a_sealed_user_over_mutual_tls_by_client_and_command(organisation):
    organisation.identity("issue", "alice", "--new-password-file", str(organisation.other))
    assert organisation.calls("alice", OTHER) == ""
    told = []
    with changan.connect(
        home=organisation.home, user="alice", password=lambda what: told.append(what) or OTHER.encode()
    ):
        pass
    assert [path.rpartition("/")[2] for path in told] == ["alice.sign.key", "alice.tls.key"]
    with pytest.raises(PasswordError, match=r"alice\.sign\.key does not open: the password is wrong"):
        organisation.connect("alice")

    async def asynchronous() -> str:
        where = {"home": organisation.home, "user": "alice", "password": lambda _: OTHER.encode()}
        async with changan.connect_async(**where) as client:
            return (await client.query("token", "balance_of", {"who": "44" * 20})).text

    assert asyncio.run(asynchronous()) == "0"
    asked = [
        "contract",
        "query",
        "token",
        "balance_of",
        f"who={'44' * 20}",
        "--user",
        "alice",
        "--home",
        str(organisation.home),
    ]
    assert command(*asked, "--password-file", str(organisation.other)).stdout.strip() == "0"
    assert command(*asked, env={"CHANGAN_PASSWORD": OTHER}).stdout.strip() == "0"
    wrong = command(*asked, env=NOBODY)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")
    assert "alice.sign.key does not open: the password is wrong" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_sealed_administrator_is_asked_only_when_it_endorses(organisation):
    organisation.identity("issue", "carol", "--role", "admin")
    with organisation.connect("carol") as carol:
        assert carol.query("token", "balance_of", {"who": "44" * 20}).text == "0"
        assert carol.invoke("CERT_MANAGE", "CERTS_UNFREEZE", {"certs": carol.signer.member.member_info}).height


def test_a_renewed_certificate_holds_and_the_one_before_until_it_is_revoked(organisation):
    organisation.identity("issue", "bob")
    with organisation.connect("bob") as before:
        said = organisation.identity("renew", "bob")
        assert organisation.calls("bob") == ""
        assert before.invoke("T", "P", {"k": "a", "v": "b"}).height  # the certificate from before holds too
        serials = [line.split()[-1] for line in said.splitlines() if "identity revoke bob --serial" in line]
        organisation.identity("revoke", "bob", *(part for serial in serials for part in ("--serial", serial)), "--send")
        with pytest.raises(CallError, match=UNKNOWN):
            before.invoke("T", "P", {"k": "a", "v": "b"})
    assert organisation.calls("bob") == ""


def test_what_is_revoked_is_refused_and_a_new_key_comes_back(organisation):
    organisation.identity("issue", "dave")
    assert organisation.calls("dave") == ""
    said = organisation.identity("revoke", "dave")
    assert "the chain does not know yet" in said
    assert organisation.calls("dave") == ""  # as it says
    shown = next(line for line in said.splitlines() if line.startswith("changan contract call"))
    crl = (organisation.home / "crypto-config" / "wx-org1.chainmaker.org" / "ca" / "revoked.crl").read_text()
    assert str(organisation.home / "crypto-config" / "wx-org1.chainmaker.org" / "ca" / "revoked.crl") in shown
    told = command(
        "contract", "call", *shown.split()[3:5], f"cert_crl={crl}", "--user", "admin1", "--home", str(organisation.home)
    )
    assert told.returncode == 0, told.stderr
    assert re.search(UNKNOWN, organisation.calls("dave"))
    organisation.identity("renew", "dave", "--new-key")
    assert organisation.calls("dave") == ""
    assert "CERT_MANAGE CERTS_REVOKE  tx" in organisation.identity("revoke", "dave", "--send")
    assert re.search(UNKNOWN, organisation.calls("dave"))


def test_a_step_that_does_not_reach_the_chain_is_said(organisation):
    organisation.identity("issue", "erin")
    options = ["--home", str(organisation.home), "--password-file", str(organisation.password)]
    failed = command("identity", "revoke", "erin", "--send", "--chain", "chain9", *options)
    assert failed.returncode == 1
    assert "changan contract call CERT_MANAGE CERTS_REVOKE" in failed.stdout
    assert "chain9" in failed.stderr


def test_the_sdk_configuration_still_names_plain_keys(organisation):
    text = (organisation.home / "sdk_config_tls.yml").read_text()
    paths = [line.partition('"')[2].rstrip('"') for line in text.splitlines() if "key_file_path" in line]
    assert len(paths) == 10
    assert all("BEGIN PRIVATE KEY" in Path(path).read_text() for path in paths)


def test_a_carried_folder_reaches_the_node_that_it_is_told_of(organisation, tmp_path):
    shutil.copytree(organisation.home / "crypto-config", tmp_path / "carried")
    options = ["--home", str(tmp_path / "carried"), "--password-file", str(organisation.password)]
    assert command("identity", "issue", "frank", *options).returncode == 0
    door = ["--rpc", organisation.node.rpc, "--tls"]
    told = command("identity", "revoke", "frank", "--send", *door, *options)
    assert (told.returncode, "CERT_MANAGE CERTS_REVOKE  tx" in told.stdout) == (0, True), told.stderr


def test_keys_are_registered_exchanged_and_dismissed(tmp_path):
    organisation = Organisation(tmp_path / "keys", "--auth", "key")
    try:
        said = organisation.identity("issue", "alice", "--role", "client")
        assert "PUBKEY_MANAGE PUBKEY_ADD" in said
        assert re.search(UNKNOWN, organisation.calls("alice"))
        organisation.identity("issue", "bob", "--send")
        assert organisation.calls("bob") == ""
        with organisation.connect("bob") as before:
            said = organisation.identity("renew", "bob", "--new-key", "--send")
            assert said.index("PUBKEY_ADD  tx") < said.index("PUBKEY_DELETE  tx")
            assert organisation.calls("bob") == ""
            with pytest.raises(CallError, match=UNKNOWN):
                before.invoke("T", "P", {"k": "a", "v": "b"})
        assert "PUBKEY_DELETE  tx" in organisation.identity("revoke", "bob", "--send")
        assert re.search(UNKNOWN, organisation.calls("bob"))
        organisation.identity("issue", "light2", "--role", "light", "--send")
        assert "signers do not meet the requirement" in organisation.calls("light2")  # it may read, not write
    finally:
        assert organisation.node.stop() == 0


def test_a_cluster_seals_every_copy_of_its_authorities(tmp_path):
    file = written(tmp_path / "password", PASSWORD)
    done = command("cluster", "init", "--home", str(tmp_path / "c"), "--password-file", str(file))
    assert done.returncode == 0, done.stderr
    keys = list((tmp_path / "c").rglob("ca.key"))
    assert len(keys) == 4 + 16
    assert all(is_sealed(path.read_bytes()) for path in keys)
    apart = ["--hosts", "127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4", "--password-file", str(file)]
    done = command("cluster", "init", "--home", str(tmp_path / "apart"), *apart)
    assert done.returncode == 0, done.stderr
    assert all(is_sealed(path.read_bytes()) for path in (tmp_path / "apart").rglob("ca.key"))
    weak = written(tmp_path / "weak", "short")
    refused = command("cluster", "init", "--home", str(tmp_path / "w"), "--password-file", str(weak))
    assert (refused.returncode, "the password is weak" in refused.stderr) == (1, True)
    assert not (tmp_path / "w").exists()
    refused = command(
        "up", "--home", str(tmp_path / "u"), "--password-file", str(weak), "--rpc-port", "0", "--http-port", "0"
    )
    assert (refused.returncode, "the password is weak" in refused.stderr) == (1, True)
    assert not (tmp_path / "u" / "crypto-config").exists()


def test_a_crypto_config_that_was_brought_along_stays_as_it_is(tmp_path):
    file = written(tmp_path / "password", PASSWORD)
    done = command("cluster", "init", "--home", str(tmp_path / "c"))
    assert done.returncode == 0, done.stderr
    (tmp_path / "home").mkdir()
    (tmp_path / "c" / "crypto-config").rename(tmp_path / "home" / "crypto-config")
    before = {path: path.read_bytes() for path in (tmp_path / "home" / "crypto-config").rglob("*") if path.is_file()}
    node = NodeProcess(tmp_path / "home", "--password-file", str(file), "--no-demo")
    assert node.stop() == 0
    assert before == {path: path.read_bytes() for path in before}
