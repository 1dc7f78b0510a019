"""What `changan cluster init` makes: for this machine, and to carry to others."""

from __future__ import annotations

import json
import stat

import pytest
import yaml

from changan.crypto.keys import Scheme
from changan.crypto.suite import Suite
from changan.errors import ChanganError
from changan.ledger.chain_config import default_config, is_distilled
from changan.ledger.roster import roster_of
from changan.ledger.transition import apply_genesis
from changan.node.comet.cluster import engine_home, genesis_of_cluster, late_homes, read_cluster, read_node_file
from changan.node.home import Home
from changan.node.pki.layout import read_crypto_config
from changan.node.settings import ChainSettings
from node_process import changan

HOSTS = ["a.example", "b.example", "c.example", "d.example"]


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    home = tmp_path_factory.mktemp("apart") / "consortium"
    done = changan("cluster", "init", "--home", str(home), "--hosts", ",".join(HOSTS))
    assert done.returncode == 0, done.stderr
    return home


def org(n: int) -> str:
    return f"wx-org{n}.chainmaker.org"


def test_a_carried_folder_holds_its_own_keys_only(apart):
    for n in range(1, 5):
        keys = list((apart / org(n)).rglob("*.key"))
        assert keys
        assert all(org(n) in str(path.relative_to(apart / org(n))) for path in keys)
        assert stat.S_IMODE((apart / org(n)).stat().st_mode) == 0o700
        for path in keys:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_folder_makes_the_same_genesis(apart):
    hashes = set()
    for n in range(1, 5):
        file = read_node_file(apart / org(n))
        assert file.org_id == org(n)
        crypto = read_crypto_config(apart / org(n))
        config = genesis_of_cluster(crypto, ChainSettings(), file.voters, Suite.INTERNATIONAL)
        assert len(roster_of(config).voters) == 4
        hashes.add(apply_genesis(config)[1].block.header.block_hash)
    assert len(hashes) == 1


def test_every_folder_knows_the_others(apart):
    for n in range(1, 5):
        file = read_node_file(apart / org(n))
        assert file.listen == "0.0.0.0:11301"
        assert [peer.partition("@")[2] for peer in file.peers] == [f"{h}:11301" for h in HOSTS if h != HOSTS[n - 1]]
        genesis = json.loads((apart / org(n) / "engine/chain1/config/genesis.json").read_text())
        assert [one["name"] for one in genesis["validators"]] == [org(n) for n in range(1, 5)]
        compose = yaml.safe_load((apart / org(n) / "compose.yml").read_text())
        assert compose["services"]["node"]["command"][:3] == ["changan", "cluster", "node"]
        assert f"Description=changan node of {org(n)}" in (apart / org(n) / "changan-node.service").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--orgs", "3"], "takes 4 or more"),
        (["--hosts", "a.example,b.example"], "takes 4 or more"),
        (["--hosts", ",".join(HOSTS), "--rpc-port", "0"], "ports that are known"),
        (["--hosts", "a.example:1,b,c,d"], "neither an address nor a DNS name"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_left(tmp_path, options, words):
    done = changan("cluster", "init", "--home", str(tmp_path / "home"), *options)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (tmp_path / "home" / "cluster.json").exists()


def test_a_national_cluster_is_one_of_sm2_and_sm3_throughout(tmp_path):
    home = tmp_path / "national"
    done = changan("cluster", "init", "--home", str(home), "--suite", "gm", "--hosts", ",".join(HOSTS))
    assert done.returncode == 0, done.stderr
    hashes = set()
    for n in range(1, 5):
        place = home / org(n)
        assert Home(place).settings().suite is Suite.NATIONAL
        file, crypto = read_node_file(place), read_crypto_config(place)
        config = genesis_of_cluster(crypto, ChainSettings(), file.voters, Suite.NATIONAL)
        assert config.crypto.hash == "SM3"
        roster = roster_of(config)
        assert {roster.seal_key(voter).scheme for voter in roster.voters} == {Scheme.SM2}
        hashes.add(apply_genesis(config)[1].block.header.block_hash)
        # Each organisation has two authorities, one for TLS alone; of a foreign one neither key is carried.
        assert len(list(place.rglob("ca.key"))) == 2
        assert all(org(n) in str(path.relative_to(place)) for path in place.rglob("*.key"))
    assert len(hashes) == 1


def test_a_cluster_opens_the_distilled_lane_or_says_why_not(tmp_path):
    pytest.importorskip("chia_rs")
    home = tmp_path / "home"
    done = changan("cluster", "init", "--home", str(home), "--distilled", "--suite", "gm")
    assert done.returncode == 1
    assert "the national suite has no BLS signatures: leave distilled out, or take suite intl" in done.stderr
    assert not home.exists()
    done = changan("cluster", "init", "--home", str(home), "--distilled")
    assert done.returncode == 0, done.stderr
    crypto = read_crypto_config(home)
    configs = []
    for number in range(1, 5):
        place = home / f"wx-org{number}.chainmaker.org"
        [chain] = Home(place).settings().chains
        assert chain.distilled
        file = read_node_file(place)
        configs.append(genesis_of_cluster(crypto, chain, file.voters, Suite.INTERNATIONAL))
    assert all(is_distilled(config) for config in configs)
    assert len({config.SerializeToString() for config in configs}) == 1


def test_a_suite_that_is_none_is_refused(tmp_path):
    done = changan("cluster", "init", "--home", str(tmp_path / "home"), "--suite", "sm")
    assert done.returncode == 2
    assert "'intl', 'gm'" in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_second_init_changes_nothing(apart, tmp_path):
    assert changan("cluster", "init", "--home", str(tmp_path / "home")).returncode == 0
    again = changan("cluster", "init", "--home", str(tmp_path / "home"))
    assert again.returncode == 1
    assert "holds a cluster already" in again.stderr


def test_what_is_no_cluster_is_said(tmp_path):
    for command in ("up", "status", "node"):
        done = changan("cluster", command, "--home", str(tmp_path / "none"))
        assert done.returncode == 1
        assert "changan cluster init" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "none").exists()


def test_a_roster_that_does_not_decode_is_refused():
    from changan.ledger.wire.messages import ConfigKeyValue

    for value in ("", "[]", "{}", '{"validator": "xy"}', '{"validator": "00", "peer": "p", "certificate": "none"}'):
        config = default_config("c", [], [])
        config.consensus.ext_config.append(ConfigKeyValue(key="comet.org", value=value))
        with pytest.raises(ChanganError):
            roster_of(config)


def test_which_homes_take_the_state_of_the_others(tmp_path):
    root = tmp_path / "cluster"
    assert changan("cluster", "init", "--home", str(root)).returncode == 0
    places, _ = read_cluster(root)
    homes = {place.org_id: Home(root / place.org_id) for place in places}
    assert late_homes(root, places) == frozenset()  # nobody has a chain yet: they found it together
    for n in range(1, 5):
        homes[org(n)].chain_directory("chain1").mkdir(parents=True)
    assert late_homes(root, places) == frozenset()
    homes[org(3)].chain_directory("chain1").rmdir()
    assert late_homes(root, places) == {org(3)}
    engine_home(homes[org(4)].root, "chain1").syncing.touch()  # it was cut short
    assert late_homes(root, places) == {org(3), org(4)}
    for n in range(1, 3):
        homes[org(n)].chain_directory("chain1").rmdir()
    assert late_homes(root, places) == frozenset()  # nobody has a whole one


@pytest.mark.parametrize(
    "url", ["", "10.0.0.7:8080", "ftp://10.0.0.7", "http://", "https://a b:1", "http://a:1/v1", "http://a:1?x"]
)
def test_a_door_that_is_none_is_refused_before_anything_is_made(apart, url):
    done = changan("cluster", "node", "--home", str(apart / org(1)), f"--sync-from={url}")
    assert done.returncode == 2
    assert "is no door: give http://HOST:PORT, https://HOST:PORT" in done.stderr
    assert not (apart / org(1) / "chains").exists()
