"""A real cluster on SM2 and SM3 that organisations and nodes join, change in and leave, by the commands that people use.

The tests are in the order of one story; each leaves the cluster to the next.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
from pathlib import Path

import pytest
from cluster_process import ClusterProcess, LoneNode, wait_for
from double_vote import accuse

from changan.client.connect import CallError, connect
from changan.crypto import certificates
from changan.crypto.digest import sm3
from changan.crypto.keys import Scheme
from changan.ledger.hashing import block_hash
from changan.ledger.roster import Voter, roster_of
from changan.ledger.wire.messages import BlockHeader, Certificate, ChainConfig, ConsensusArgs, MultiSignInfo
from changan.node.comet.carry import copy_certificates
from node_process import changan


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, engine):
    running = ClusterProcess(tmp_path_factory.mktemp("national") / "home", engine, "--suite", "gm")
    yield running
    assert running.stop() == 0, running.words()


def certified(cluster: ClusterProcess, n: int, tx_id: str):
    found = cluster.get(n, f"/v1/receipts/{tx_id}")
    return found if "certificate" in found else None


def test_a_call_is_agreed_on_under_sm2_and_its_receipt_holds_offline(cluster, tmp_path):
    with cluster.connect(1) as connection:
        tx_id = connection.invoke("evidence", "put", {"digest": "3d" * 32, "note": "国密"}).tx_id
        connection.invoke("token", "transfer", {"to": "22" * 20, "amount": 1})
    cluster.level()
    for n in range(4):
        found = wait_for(lambda n=n: certified(cluster, n, tx_id), 30)
        assert found["suite"] == 2
        header = BlockHeader.FromString(base64.b64decode(found["header"]))
        assert header.block_hash == block_hash(header, sm3)
        seals = Certificate.FromString(base64.b64decode(found["certificate"])).seals
        keys = [certificates.public_key(certificates.read_pem(seal.signer.member_info)) for seal in seals]
        assert {key.scheme for key in keys} == {Scheme.SM2}
        for key, seal in zip(keys, seals, strict=True):
            key.verify(header.block_hash, seal.signature, "SM3")
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(found))
    done = changan("verify-receipt", str(receipt), "--trust", str(cluster.home / "crypto-config"))
    assert done.returncode == 0, done.stderr
    [agreed] = [line for line in done.stdout.splitlines() if "agreed by" in line]
    assert agreed.count("wx-org") >= 3


def test_a_receipt_whose_quorum_lacks_one_is_refused(cluster, tmp_path):
    with cluster.connect(0) as connection:
        tx_id = connection.invoke("token", "transfer", {"to": "23" * 20, "amount": 1}).tx_id
        connection.invoke("token", "transfer", {"to": "23" * 20, "amount": 1})
    found = wait_for(lambda: certified(cluster, 0, tx_id), 30)
    seals = Certificate.FromString(base64.b64decode(found["certificate"])).seals
    few = base64.b64encode(Certificate(seals=seals[:2]).SerializeToString()).decode()
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps({**found, "certificate": few}))
    done = changan("verify-receipt", str(receipt), "--trust", str(cluster.home / "crypto-config"))
    assert done.returncode == 1
    assert "2 of 4 organisations sealed the block: that is no quorum" in done.stderr


def test_the_audit_passes_at_every_node(cluster):
    blocks = cluster.check_equal()
    assert len(blocks) > 3
    cluster.verify()


FIFTH = "newcomer.example"


@pytest.fixture(scope="module")
def others():
    """Nodes beside the cluster's, by name; they end with the file."""
    found: dict[str, LoneNode] = {}
    yield found
    for node in found.values():
        assert node.stop() == 0


def said(*arguments: str) -> str:
    done = changan("cluster", *arguments, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def pay(cluster: ClusterProcess, count: int = 3, n: int = 0) -> str:
    with cluster.connect(n) as connection:
        for _ in range(count):
            tx_id = connection.invoke("token", "transfer", {"to": "2a" * 20, "amount": 1}).tx_id
    return tx_id


def checked_by_genesis(cluster: ClusterProcess, tx_id: str, folder: Path) -> str:
    """Fetch a receipt and check it offline; what is trusted is the genesis alone."""
    genesis, receipt = folder / "genesis.json", folder / f"{tx_id}.json"
    done = changan("chain", "genesis", "--home", str(cluster.org_home(0)), "-o", str(genesis))
    assert done.returncode == 0, done.stderr
    found = wait_for(lambda: certified(cluster, 0, tx_id), 30)
    receipt.write_text(json.dumps(found))
    done = changan("verify-receipt", str(receipt), "--trust", str(genesis))
    assert done.returncode == 0, done.stderr
    [agreed] = [line for line in done.stdout.splitlines() if "agreed by" in line]
    return agreed


def test_a_fifth_organisation_joins_follows_and_votes(cluster, others, engine, tmp_path):
    home, member = cluster.home / FIFTH, str(cluster.org_home(0))
    made = said("join", "--of", member, "--home", str(home), "--org", FIFTH)
    assert "changan cluster admit" in made
    admission = json.loads((home / "admission.json").read_text())
    assert not [path for path in home.rglob("*.key") if FIFTH not in str(path.relative_to(home))]
    # Without --send nothing is sent: what there is to send is printed.
    shown = said("admit", str(home / "admission.json"), "--home", member)
    assert shown.count("changan contract call MULTI_SIGN REQ") == 2
    sent = said("admit", str(home / "admission.json"), "--home", member, "--send")
    assert "TRUST_ROOT_ADD is in force" in sent
    assert "CONSENSUS_EXT_ADD is in force" in sent
    node = others["fifth"] = LoneNode(home, engine)
    wait_for(lambda: node.height(FIFTH) == cluster.height(0), 60)
    state = node.state(FIFTH)
    assert state["followers"] == [{"organisation": FIFTH, "node_id": admission["node_id"]}]
    assert len(state["voters"]) == 4
    assert "NODE_ORG_ADD is in force" in said("promote", admission["node_id"], "--home", member, "--send")
    # Four of five suffice, so a block need not hold the newcomer's vote; an idle chain makes no further ones.
    wait_for(lambda: pay(cluster, 1) and FIFTH in cluster.state(0)["voted"], 60)
    assert node.state(FIFTH)["voters"][-1] == FIFTH
    tx_id = pay(cluster)
    agreed = checked_by_genesis(cluster, tx_id, tmp_path)
    assert len(agreed.split(",")) >= 4
    with node.connect(FIFTH) as theirs, cluster.connect(0) as ours:
        paid = ours.query("token", "balance_of", {"who": "2a" * 20}).text
        wait_for(lambda: theirs.query("token", "balance_of", {"who": "2a" * 20}).text == paid, 60)
    status = cluster.status().stdout
    assert "5 vote, 4 must agree; 0 follow without a vote" in status
    assert "newcomer " in status


def alone(cluster: ClusterProcess, n: int, folder: Path) -> str:
    """What an organisation's administrator has who shares a machine with nobody."""
    home, target = cluster.org_home(n), folder / f"alone{n}"
    target.mkdir()
    copy_certificates(home / "crypto-config", target, own=cluster.orgs[n])
    for name in ("node.json", "doors.json", "changan.toml"):
        shutil.copyfile(home / name, target / name)
    return str(target)


def test_a_proposal_that_too_many_reject_comes_to_nothing(cluster, tmp_path):
    first, third, fourth = (alone(cluster, n, tmp_path) for n in (0, 2, 3))
    fifth = str(cluster.home / FIFTH)
    sent = said("remove", cluster.orgs[3], "--home", first, "--send")
    assert "4 will vote; up to 1 of them may be down or lie" in sent
    tx_id = re.search("NODE_ORG_DELETE  tx ([0-9a-f]{64})", sent)[1]
    for home in (third, fourth):
        assert "voted, more must" in said("vote", tx_id, "--against", "--home", home)
    assert "NODE_ORG_DELETE was rejected" in said("vote", tx_id, "--against", "--home", fifth)
    assert len(cluster.state(0)["voters"]) == 5


def test_what_is_not_possible_is_said_and_changes_nothing(cluster):
    member, height = str(cluster.org_home(0)), cluster.height(0)
    voter = json.loads((cluster.home / FIFTH / "admission.json").read_text())["node_id"]
    for arguments, words in (
        (("promote", voter), "votes already"),
        (("promote", "QmNobody"), "the chain knows no node QmNobody"),
        (("remove", "nobody.example"), "nobody.example has no vote"),
        (("vote", "00" * 32), "nothing was proposed by transaction"),
    ):
        done = changan("cluster", *arguments, "--home", member, "--send")
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert cluster.height(0) == height


def test_a_further_node_follows_and_takes_its_organisations_place(cluster, others, engine, tmp_path):
    home, member = tmp_path / "further", str(cluster.org_home(1))
    made = said("join", "--of", member, "--home", str(home), "--org", cluster.orgs[1], "--name", "common1")
    assert cluster.orgs[1] in made
    admission = str(home / "admission.json")
    node_id = json.loads((home / "admission.json").read_text())["node_id"]
    assert not list(home.rglob("ca.key"))
    # Each administrator has its own keys alone: one proposes, others vote, who proposed it carries it out.
    second, third, fourth = (alone(cluster, n, tmp_path) for n in (1, 2, 3))
    sent = said("admit", admission, "--home", second, "--send")
    assert "TRUST_ROOT_ADD" not in sent  # the organisation is known
    assert "1 voted, more must" in sent
    tx_id = re.search("CONSENSUS_EXT_ADD  tx ([0-9a-f]{64})", sent)[1]
    assert "2 voted, more must" in said("vote", tx_id, "--home", third)
    again = changan("cluster", "vote", tx_id, "--home", third)
    assert again.returncode == 1
    assert "is voted" in again.stderr
    assert "enough agree: who proposed it carries it out" in said("vote", tx_id, "--home", fourth)
    assert "CONSENSUS_EXT_ADD is in force" in said("vote", tx_id, "--home", second)
    assert "CONSENSUS_EXT_ADD is in force" in said("vote", tx_id, "--home", third)  # nothing more happens
    node = others["further"] = LoneNode(home, engine)
    wait_for(lambda: node.height(cluster.orgs[1]) == cluster.height(0), 60)
    assert "5 vote, 4 must agree; 1 follow without a vote" in cluster.status().stdout
    said("promote", node_id, "--home", member, "--send")
    pay(cluster)
    state = wait_for(lambda: pay(cluster, 1) and cluster.orgs[1] in cluster.state(0)["voted"] and cluster.state(0), 60)
    assert [one["node_id"] for one in state["followers"]] != [node_id]
    assert len(checked_by_genesis(cluster, pay(cluster), tmp_path).split(",")) >= 4


def test_who_votes_twice_stands_in_a_block_and_is_proposed_for_removal_by_one_command(cluster, tmp_path):
    """The votes are signed with the organisation's own key; the engine checks them, and every node records the same."""
    height = cluster.state(0)["engine_height"]
    culprit = cluster.org_home(3) / "engine/chain1/config/priv_validator_key.json"
    asyncio.run(accuse(cluster.org_home(0) / "engine/chain1", json.loads(culprit.read_text()), height))
    faults = wait_for(lambda: pay(cluster, 1) and cluster.state(1)["faults"], 60)
    wait_for(lambda: all(cluster.state(n)["faults"] == faults for n in (0, 2, 3)), 60)
    [fault] = faults
    assert (fault["organisation"], fault["kind"]) == (cluster.orgs[3], "two votes for one height")
    assert fault["engine_height"] == height
    stored = cluster.blocks(2)[fault["block"]]
    [one] = ConsensusArgs.FromString(stored.block.header.consensus_args).misbehaviour
    assert (one.org_id, one.node_id) == (cluster.orgs[3], fault["node_id"])
    shown = cluster.status()
    assert shown.stdout.count("evidence: ") == 5
    assert f"block {fault['block']}" in shown.stdout
    home = alone(cluster, 0, tmp_path)
    proposed = said("remove", "--home", home, "--send")
    tx_id = re.search("NODE_ORG_DELETE  tx ([0-9a-f]{64})", proposed)[1]
    with cluster.connect(1) as connection:
        asked = connection.query("MULTI_SIGN", "QUERY", {"TX_ID": tx_id}).result
    names = {pair.key: pair.value.decode() for pair in MultiSignInfo.FromString(asked).payload.parameters}
    assert names == {"SYS_CONTRACT_NAME": "CHAIN_CONFIG", "SYS_METHOD": "NODE_ORG_DELETE", "org_id": cluster.orgs[3]}
    assert cluster.orgs[3] in cluster.state(0)["voters"]  # the others decide


def test_a_certificate_that_is_renewed_is_announced_and_the_node_seals_on(cluster, tmp_path):
    home, org = str(cluster.org_home(2)), cluster.orgs[2]
    before = voter_of(cluster, org)
    done = changan("identity", "renew", "consensus1", "--home", home, "--org", org, "--days", "800")
    assert done.returncode == 0, done.stderr
    assert "CONSENSUS_EXT_UPDATE is in force" in said("announce", "--home", home, "--send")
    after = voter_of(cluster, org)
    assert after.certificate != before.certificate
    assert after._replace(certificate=before.certificate) == before
    pay(cluster)
    wait_for(lambda: org in checked_by_genesis(cluster, pay(cluster), tmp_path), 60)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    shutil.copytree(cluster.org_home(2) / "crypto-config", stranger / "crypto-config")
    file = json.loads((cluster.org_home(2) / "node.json").read_text())
    (stranger / "node.json").write_text(json.dumps({**file, "peer": "ab" * 20}))
    shutil.copyfile(cluster.org_home(2) / "doors.json", stranger / "doors.json")
    refused = changan("cluster", "announce", "--home", str(stranger), "--send")
    assert refused.returncode == 1
    assert "the chain knows no node with the connections of" in refused.stderr


def voter_of(cluster: ClusterProcess, org: str) -> Voter:
    with cluster.connect(0) as connection:
        config = ChainConfig.FromString(connection.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result)
    return roster_of(config).by_organisation[org]


def test_an_organisation_leaves_and_its_node_may_not_connect_any_more(cluster, others, tmp_path):
    member = str(cluster.org_home(0))
    gone = said("remove", FIFTH, "--forget", "--home", member, "--send")
    assert "4 will vote; up to 1 of them may be down or lie" in gone
    assert all(
        f"{name} is in force" in gone for name in ("NODE_ORG_DELETE", "CONSENSUS_EXT_DELETE", "TRUST_ROOT_DELETE")
    )
    assert others.pop("fifth").stop() == 0
    tx_id = pay(cluster)
    assert FIFTH not in checked_by_genesis(cluster, tx_id, tmp_path)
    assert FIFTH not in cluster.state(0)["voters"]
    with connect(cluster.rpc[0], home=cluster.home / FIFTH, org_id=FIFTH) as stranger, pytest.raises(CallError):
        stranger.invoke("token", "transfer", {"to": "2a" * 20, "amount": 1})


def test_a_wiped_disk_comes_back_by_replay_through_every_change(cluster, others):
    cluster.level()
    assert cluster.stop() == 0, cluster.words()
    content = json.loads((cluster.home / "cluster.json").read_text())
    content["nodes"] = [one for one in content["nodes"] if one["org_id"] != FIFTH]
    (cluster.home / "cluster.json").write_text(json.dumps(content))
    home = cluster.org_home(2)
    shutil.rmtree(home / "chains")
    assert changan("engine", "refetch", "--home", str(home)).returncode == 0
    others.pop("further").stop()
    cluster.start()
    pay(cluster, n=3)
    cluster.check_equal()
    cluster.verify()
