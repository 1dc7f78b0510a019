"""Whose keys lie in a home: every layout that ChainMaker has, on both suites, and words for what is not there."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime

import pytest

from changan.client.doors import KnownDoors, credentials, read_doors, trusted, user_pair, write_doors
from changan.client.members import crypto_config_of, find_administrators, find_member, organisations
from changan.client.passwords import PasswordError
from changan.client.requests import Signer
from changan.crypto.envelope import seal
from changan.crypto.keys import Scheme
from changan.crypto.suite import Suite
from changan.errors import MalformedError
from changan.ledger.chain_config import Mode
from changan.ledger.wire.messages import MemberType
from changan.node.pki.key_layout import make_key_config
from changan.node.pki.layout import make_crypto_config

NAMES = ["bank.example", "port.example"]
PASSWORD = b"correct horse battery"


@pytest.fixture(params=list(Suite), ids=lambda suite: suite.name.lower())
def suite(request) -> Suite:
    return request.param


@pytest.fixture(params=list(Mode), ids=lambda mode: mode.name.lower())
def home(request, suite, tmp_path):
    """A home of each mode; `mode` and `suite` are remembered beside it."""
    now = datetime.now(UTC)
    if request.param is Mode.CERTIFICATES:
        make_crypto_config(tmp_path, NAMES, now, suite=suite)
    else:
        make_key_config(tmp_path, request.param, NAMES, now, suite=suite)
    return tmp_path, request.param


def nobody(what: str) -> bytes:
    raise AssertionError(f"nobody is asked for {what}")


def speaks(signer: Signer) -> bool:
    signer.key.public.verify(b"m", signer.key.sign(b"m", signer.hash_name), signer.hash_name)
    return True


def test_every_member_speaks(home, suite):
    root, mode = home[0] / "crypto-config", home[1]
    orgs = organisations(root)
    assert orgs == (["node1"] if mode is Mode.PUBLIC else NAMES)
    for org in orgs:
        for user in ("client1", "admin1"):
            signer = find_member(root, org, user, nobody)
            assert speaks(signer)
            assert signer.member.org_id == ("" if mode is Mode.PUBLIC else org)
            kind = MemberType.CERT if mode is Mode.CERTIFICATES else MemberType.PUBLIC_KEY
            assert signer.member.member_type == kind
            assert signer.key.public.scheme is (Scheme.SM2 if suite is Suite.NATIONAL else Scheme.P256)


def test_administrators_in_order(home):
    root, mode = home[0] / "crypto-config", home[1]
    found = find_administrators(root, nobody)
    assert all(map(speaks, found))
    assert len({signer.member.member_info for signer in found}) == len(found)
    if mode is Mode.PUBLIC:
        wanted = [find_member(root, "node1", f"admin{number}", nobody) for number in range(1, len(found) + 1)]
    else:
        wanted = [find_member(root, org, "admin1", nobody) for org in NAMES]
    assert [signer.member for signer in found] == [signer.member for signer in wanted]


def test_administrators_count_by_number_and_not_by_letter(tmp_path):
    make_key_config(tmp_path, Mode.PUBLIC, NAMES, datetime.now(UTC))
    many = tmp_path / "crypto-config" / "node1" / "admin"
    for number in (10, 2, 9):
        shutil.copytree(many / "admin1", many / f"admin{number}", dirs_exist_ok=True)
        for path in list((many / f"admin{number}").glob("admin1.*")):
            path.rename(path.with_name(path.name.replace("admin1", f"admin{number}")))
    names = []

    class Noted:
        def __call__(self, what: str) -> bytes:
            names.append(what)
            return PASSWORD

    for path in many.glob("*/admin*.key"):
        path.write_bytes(seal(path.read_bytes(), PASSWORD, Suite.INTERNATIONAL, os.urandom))
    find_administrators(tmp_path / "crypto-config", Noted())
    order = [name.rsplit("/", 1)[1] for name in names if name.endswith(".key")]
    assert order == sorted(order, key=lambda name: int("".join(filter(str.isdigit, name))))
    assert order[-1] == "admin10.key"


def test_a_member_that_is_not_there(home):
    root = home[0] / "crypto-config"
    with pytest.raises(FileNotFoundError, match="nobody"):
        find_member(root, organisations(root)[0], "nobody", nobody)
    with pytest.raises(FileNotFoundError):
        find_member(root, "stranger.example", "client1", nobody)
    with pytest.raises(FileNotFoundError):
        organisations(root / "nowhere")


def test_a_home_or_the_folder_that_was_carried_away(home, tmp_path_factory):
    root, mode = home
    assert crypto_config_of(root) == root / "crypto-config"
    assert crypto_config_of(root / "nowhere") == root / "nowhere" / "crypto-config"
    carried = tmp_path_factory.mktemp("carried") / "folder"
    shutil.copytree(root / "crypto-config", carried)
    if mode is Mode.CERTIFICATES:
        assert crypto_config_of(carried) == carried


def test_files_that_are_none_are_named(home):
    root, mode = home[0] / "crypto-config", home[1]
    org = organisations(root)[0]
    if mode is Mode.CERTIFICATES:
        path = root / org / "user" / "client1" / "client1.sign.crt"
        path.write_text("no certificate")
        with pytest.raises(MalformedError, match=r"client1\.sign\.crt: not a PEM certificate"):
            find_member(root, org, "client1", nobody)
        return
    path = root / org / "user" / "client1" / "client1.key"
    path.write_text("no key")
    with pytest.raises(MalformedError):
        find_member(root, org, "client1", nobody)


def test_a_sealed_member_asks_for_its_own_file_and_no_other(home, suite):
    root, mode = home[0] / "crypto-config", home[1]
    org = organisations(root)[0]
    name = "client1.sign.key" if mode is Mode.CERTIFICATES else "client1.key"
    path = root / org / "user" / "client1" / name
    path.write_bytes(seal(path.read_bytes(), PASSWORD, suite, os.urandom))
    asked = []
    assert speaks(find_member(root, org, "client1", lambda what: asked.append(what) or PASSWORD))
    assert asked == [str(path)]
    with pytest.raises(PasswordError, match=f"{name} does not open: the password is wrong"):
        find_member(root, org, "client1", lambda _: b"another")
    assert speaks(find_member(root, org, "admin1", nobody))


# Doors


def test_what_is_shown_and_trusted_at_a_tls_door(home):
    root = home[0] / "crypto-config"
    org = organisations(root)[0]
    files = trusted(root, user_pair(root, org, "client1"), nobody)
    assert files.roots.count(b"-----BEGIN CERTIFICATE-----") == len(organisations(root))
    assert files.key is not None
    assert files.certificate == root / org / "user" / "client1" / "client1.tls.crt"
    stranger = trusted(root, user_pair(root, org, "nobody"), nobody)
    assert (stranger.roots, stranger.key, stranger.certificate) == (files.roots, None, None)
    for user in ("client1", "nobody"):
        assert credentials(root, user_pair(root, org, user), nobody) is not None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '{"rpc": "a"}', '{"rpc": "a", "http": "b"}', '"doors"', "\x00", "[" * 10_000],
    ids=range(10),
)
def test_doors_that_are_not_noted_are_the_usual_ones(tmp_path, text):
    (tmp_path / "doors.json").write_text(text)
    assert read_doors(tmp_path) == KnownDoors() == KnownDoors("127.0.0.1:12301", "http://127.0.0.1:8080", "none")


def test_doors_that_are_noted_are_read_back(tmp_path):
    for doors in (KnownDoors("[::1]:1", "https://[::1]:2", "mutual"), KnownDoors("a:1", "http://a:2", "server")):
        write_doors(tmp_path, doors)
        assert read_doors(tmp_path) == doors
