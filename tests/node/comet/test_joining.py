"""The home of a new node: what it holds and what not, and what is refused before anything is made."""

from __future__ import annotations

import json
import shutil
import stat

import pytest

from changan.crypto import certificates
from changan.crypto.suite import Suite
from changan.ledger.config_rules import check_config
from changan.ledger.roster import roster_of
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import ChainConfig, TrustRootConfig
from changan.node.comet.cluster import ClusterError, engine_home, genesis_of_cluster, read_cluster, read_node_file
from changan.node.comet.joining import ADMISSION_BYTES_MAX, Admission
from changan.node.genesis_file import genesis_path, read_genesis, write_genesis
from changan.node.home import Home
from changan.node.pki.layout import read_crypto_config
from changan.node.settings import ChainSettings
from node_process import changan

FIFTH = "newcomer.example"
ORG1 = "wx-org1.chainmaker.org"


def started_once(home) -> None:
    """What the first start of a member leaves."""
    voters = read_node_file(home).voters
    config = genesis_of_cluster(read_crypto_config(home), ChainSettings(), voters, Suite.INTERNATIONAL)
    write_genesis(genesis_path(home, "chain1"), config)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    home = tmp_path_factory.mktemp("joining") / "home"
    done = changan("cluster", "init", "--home", str(home))
    assert done.returncode == 0, done.stderr
    for place in read_cluster(home)[0]:
        started_once(home / place.org_id)
    return home


@pytest.fixture(scope="module")
def joined(cluster):
    done = changan(
        *("cluster", "join", "--of", str(cluster / ORG1), "--home", str(cluster / FIFTH), "--org", FIFTH),
        *("--p2p-port", "11999"),
    )
    assert done.returncode == 0, done.stderr
    assert f"--home {cluster / FIFTH}" in done.stdout
    return cluster / FIFTH


def refusal(*arguments: object) -> str:
    done = changan("cluster", "join", *(str(one) for one in arguments))
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def now(config: ChainConfig) -> int:
    return int(certificates.read_pem(config.trust_roots[0].root[0].encode()).not_valid_before_utc.timestamp()) + 3600


# What a new home holds


def test_it_holds_keys_of_its_own_alone(joined):
    keys = list(joined.rglob("*.key"))
    assert len(keys) >= 9
    assert all(FIFTH in path.parts for path in keys)
    secret = [*keys, *(joined / "engine/chain1/config").glob("*key.json")]
    assert len(secret) == len(keys) + 2
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secret)
    assert stat.S_IMODE(joined.stat().st_mode) == 0o700
    assert not any("PRIVATE" in path.read_text() for path in joined.rglob("*.json"))


def test_it_begins_where_the_others_began(joined, cluster):
    theirs = read_genesis(genesis_path(cluster / ORG1, "chain1"))
    ours = read_genesis(genesis_path(joined, "chain1"))
    assert apply_genesis(ours)[1].block.header.block_hash == apply_genesis(theirs)[1].block.header.block_hash
    engine = "engine/chain1/config/genesis.json"
    assert (joined / engine).read_text() == (cluster / ORG1 / engine).read_text()
    assert Home(joined).settings() == Home(cluster / ORG1).settings()
    state = json.loads((joined / "engine/chain1/data/priv_validator_state.json").read_text())
    assert state == {"height": "0", "round": 0, "step": 0}


def test_it_dials_a_member_and_those_whom_that_dials(joined, cluster):
    file, theirs = read_node_file(joined), read_node_file(cluster / ORG1)
    assert file.org_id == FIFTH
    assert file.listen == "127.0.0.1:11999"
    assert [peer for peer in file.peers if peer.startswith(theirs.peer)] == [f"{theirs.peer}@{theirs.listen}"]
    assert {one.org_id for one in read_crypto_config(joined).organisations} == {
        FIFTH,
        *(one.org_id for one in read_crypto_config(cluster / ORG1).organisations),
    }


def test_the_cluster_starts_it_from_now_on(joined, cluster):
    places, _ = read_cluster(cluster)
    assert [place.org_id for place in places][-1] == FIFTH
    assert places[-1].p2p_port == 11999


def test_the_chain_takes_what_it_is_told(joined, cluster):
    admission = Admission.read(joined / "admission.json")
    config = read_genesis(genesis_path(cluster / ORG1, "chain1"))
    after = ChainConfig.FromString(config.SerializeToString())
    after.trust_roots.append(TrustRootConfig(org_id=FIFTH, root=[admission.root]))
    after.consensus.ext_config.append(admission.node.entry())
    check_config(config, after, now(config))
    assert roster_of(after).followers == (admission.node,)
    later = ChainConfig.FromString(after.SerializeToString())
    later.consensus.nodes.add(org_id=FIFTH, node_id=[admission.node.node_id])
    check_config(after, later, now(config))
    assert len(roster_of(later).voters) == 5


def test_a_further_node_has_a_certificate_of_its_own_and_no_authority(cluster, tmp_path):
    home = tmp_path / "second"
    done = changan(
        "cluster", "join", "--of", str(cluster / ORG1), "--home", str(home), "--org", ORG1, "--name", "common7"
    )
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("ca.key"))
    own = next(one for one in read_crypto_config(home).organisations if one.org_id == ORG1)
    first = next(one for one in read_crypto_config(cluster / ORG1).organisations if one.org_id == ORG1)
    assert own.node_id != first.node_id
    certificate = certificates.read_pem(own.node().sign_certificate.read_bytes())
    assert "CN=common7" in certificate.subject.rfc4514_string()
    assert "OU=common" in certificate.subject.rfc4514_string()
    admission = Admission.read(home / "admission.json")
    config = read_genesis(genesis_path(home, "chain1"))
    after = ChainConfig.FromString(config.SerializeToString())
    after.consensus.ext_config.append(admission.node.entry())
    after.consensus.nodes[0].node_id[:] = [admission.node.node_id]
    check_config(config, after, now(config))
    assert roster_of(after).by_organisation[ORG1] == admission.node
    assert len(read_cluster(cluster)[0]) <= 5  # it is started by itself


def test_two_newcomers_know_of_one_another(cluster, joined, tmp_path):
    home = tmp_path / "sixth.example"
    done = changan("cluster", "join", "--of", str(joined), "--home", str(home), "--org", "sixth.example")
    assert done.returncode == 0, done.stderr
    assert any(peer.startswith(read_node_file(joined).peer) for peer in read_node_file(home).peers)


def test_nobody_dials_everywhere(tmp_path):
    """A member that listens on all addresses does not know the one it is reached by; its peers' are known."""
    home = tmp_path / "apart"
    hosts = "a.example,b.example,c.example,d.example"
    assert changan("cluster", "init", "--home", str(home), "--hosts", hosts).returncode == 0
    started_once(home / ORG1)
    done = changan(
        "cluster",
        "join",
        "--of",
        str(home / ORG1),
        "--home",
        str(tmp_path / "new"),
        "--org",
        FIFTH,
        "--p2p-port",
        "11301",
    )
    assert done.returncode == 0, done.stderr
    peers = [peer.partition("@")[2] for peer in read_node_file(tmp_path / "new").peers]
    assert peers == [f"{host}:11301" for host in hosts.split(",")[1:]]
    # Nobody makes a node of an organisation whose authority is another's.
    said = refusal("--of", home / ORG1, "--home", tmp_path / "not", "--org", "wx-org2.chainmaker.org")
    assert "the CA's private key" in said
    assert not (tmp_path / "not").exists()


def test_an_engine_that_was_begun_anew_is_joined_behind_the_chain(cluster, tmp_path):
    member = tmp_path / "member"
    shutil.copytree(cluster / ORG1, member)
    place = member / "engine/chain1/config/genesis.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "initial_height": "10042", "app_hash": "AB" * 32}))
    home = tmp_path / "new"
    done = changan("cluster", "join", "--of", str(member), "--home", str(home), "--org", FIFTH)
    assert done.returncode == 0, done.stderr
    assert f"bring chain1 along (changan export, then changan import --home {home})" in done.stdout
    assert json.loads((home / "engine/chain1/config/genesis.json").read_text()) == json.loads(place.read_text())
    assert engine_home(home, "chain1").first_height == 10042


def test_a_machine_of_its_own_gets_what_starts_a_node_there(cluster, joined, tmp_path):
    ports = ["--rpc-port", "12301", "--http-port", "8080", "--p2p-port", "11301"]
    home = tmp_path / "far.example"
    done = changan(
        "cluster",
        "join",
        "--of",
        str(cluster / ORG1),
        "--home",
        str(home),
        "--org",
        "far.example",
        "--host",
        "10.0.0.9",
        *ports,
    )
    assert done.returncode == 0, done.stderr
    assert "Description=changan node of far.example" in (home / "changan-node.service").read_text()
    assert "--rpc-port" in (home / "compose.yml").read_text()
    assert read_node_file(home).listen == "10.0.0.9:11301"
    assert not (joined / "compose.yml").exists()


# What is refused


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", "-x", "x" * 65, "组织"])
def test_a_name_that_is_none_makes_nothing(cluster, tmp_path, name):
    said = refusal("--of", cluster / ORG1, "--home", tmp_path / "new", f"--org={name}")
    assert "is no name of an organisation" in said
    assert not (tmp_path / "new").exists()


def test_a_home_that_exists_is_left_alone(cluster, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    assert "exists: give the new node a home of its own" in refusal(
        "--of", cluster / ORG1, "--home", tmp_path / "mine", "--org", FIFTH
    )
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def test_a_member_that_never_started_can_introduce_nobody(cluster, tmp_path):
    member = tmp_path / "member"
    shutil.copytree(cluster / ORG1, member)
    shutil.rmtree(member / "genesis")
    said = refusal("--of", member, "--home", tmp_path / "new", "--org", FIFTH)
    assert "knows no genesis of chain1 yet: start its cluster once" in said
    shutil.copytree(cluster / ORG1 / "genesis", member / "genesis")
    (member / "engine/chain1/config/genesis.json").unlink()
    assert "knows no genesis" in refusal("--of", member, "--home", tmp_path / "new", "--org", FIFTH)
    assert "is no node of a cluster" in refusal("--of", tmp_path, "--home", tmp_path / "new", "--org", FIFTH)
    assert not (tmp_path / "new").exists()


def test_a_copy_without_keys_introduces_as_well(cluster, tmp_path):
    member = tmp_path / "public"
    shutil.copytree(cluster / ORG1, member, ignore=shutil.ignore_patterns("*.key", "*_key.json", "user", "chains"))
    done = changan("cluster", "join", "--of", str(member), "--home", str(tmp_path / "new"), "--org", FIFTH)
    assert done.returncode == 0, done.stderr


def test_half_a_home_does_not_stay(cluster, tmp_path):
    (tmp_path / "cluster.json").write_text("{")  # the last thing that is looked at
    said = refusal("--of", cluster / ORG1, "--home", tmp_path / FIFTH, "--org", FIFTH)
    assert "cluster.json does not decode" in said
    assert not (tmp_path / FIFTH).exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "{}", '{"root": "x"}', '{"root": "x", "node_id": "n", "entry": {}}', "[" * 9000],
)
def test_an_admission_that_is_none_is_refused_in_words(tmp_path, text):
    path = tmp_path / "admission.json"
    path.write_text(text)
    with pytest.raises(ClusterError, match=r"is no admission\.json of a new node"):
        Admission.read(path)


def test_an_admission_is_bounded(tmp_path):
    path = tmp_path / "admission.json"
    path.write_bytes(b" " * (ADMISSION_BYTES_MAX + 1))
    with pytest.raises(ClusterError, match="larger than any"):
        Admission.read(path)
