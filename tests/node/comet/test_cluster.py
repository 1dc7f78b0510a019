"""Four organisations on this machine: the doors, the SDK, equal ledgers, and faults of every node in turn."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

import pytest
from cluster_process import ClusterProcess, LoneNode, wait_for
from load import Load, balance, settled

from changan.cli.audit import _members
from changan.client.connect import CallError
from changan.client.requests import Signer, make_payload, sign_request
from changan.crypto.suite import Suite
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.receipt import verify_receipt
from changan.ledger.roster import roster_of
from changan.ledger.row_receipt import verify_row_receipt
from changan.ledger.wire.messages import Certificate, ChainConfig, ConsensusArgs
from changan.node.comet.cluster import renew_engine
from changan.node.comet.joining import Admission
from changan.node.home import Home
from consortium import EXAMPLES
from node_process import changan


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, engine):
    running = ClusterProcess(tmp_path_factory.mktemp("cluster") / "home", engine)
    yield running
    assert running.stop() == 0, running.words()


SCENARIO = """
import secrets, sys
from chainmaker import ChainClientWithEndorsers
from chainmaker.sdk_config import DefaultConfig
DefaultConfig.enable_log = False
source, *paths = sys.argv[1:]
clients = [ChainClientWithEndorsers.from_conf(path) for path in paths]

def good(response):
    assert response.code == 0, response
    assert response.contract_result.code == 0, response
    return response

def at_last(first, last, response):  # a call at one node is seen at another as soon as that one has executed the block
    import time
    height = first.get_tx_by_tx_id(response.tx_id).block_height
    while last.get_current_block_height() < height:
        time.sleep(0.02)
    return height

def scenario(first, last):
    assert first.get_chainmaker_server_version()
    config = first.get_chain_config()
    assert config.consensus.type == 1 and len(config.consensus.nodes) == 4
    assert len(first.get_chain_info().node_list) == 4
    name, to = "t" + secrets.token_hex(6), secrets.token_hex(20)
    good(first.create_contract(name, source, "DOCKER_GO", {"supply": "1000"}, "1.0", with_sync_result=True))
    height = at_last(first, last, good(first.invoke_contract(name, "transfer", {"to": to, "amount": "5"}, with_sync_result=True)))
    response = good(last.invoke_contract("evidence", "put", {"digest": to + "00" * 12, "note": "n"}, with_sync_result=True))
    assert last.query_contract(name, "balance_of", {"who": to}).contract_result.result == b"5"
    assert response.contract_result.gas_used > 0
    assert last.get_tx_by_tx_id(response.tx_id).block_height >= height
    block = last.get_block_by_height(height)
    assert block.block.header.proposer.org_id.startswith("wx-org")
    assert last.get_block_by_hash(block.block.header.block_hash.hex()).block.header.block_height == height
    assert last.get_full_block_by_height(height).block.header == block.block.header
    assert last.get_merkle_path_by_tx_id(response.tx_id)
    assert last.get_last_config_block().block.header.block_height == 0
    assert last.get_contract_info(name).name == name
    at_last(first, last, good(first.freeze_contract(name, with_sync_result=True)))
    try:
        last.query_contract(name, "balance_of", {"who": to})
    except Exception as error:
        assert "frozen" in str(error)
    else:
        raise AssertionError("a frozen contract answered")
    at_last(last, first, good(last.unfreeze_contract(name, with_sync_result=True)))
    at_last(first, last, good(first.upgrade_contract(name, source, "DOCKER_GO", {}, "2.0", with_sync_result=True)))
    assert last.get_contract_info(name).version == "2.0"
    first.add_cert()
    seen = []
    last.subscribe_block(height, height, callback=seen.append)
    assert len(seen) == 1

for client in clients:
    scenario(client, client)
scenario(clients[1], clients[3])
assert not [name for name in sys.modules if name.split(".")[0] == "changan"]
"""


def run_sdk(*configs: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCENARIO, str(EXAMPLES / "token.py"), *configs],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_sdk_sees_one_ledger_at_every_node(cluster):
    configs = [str(cluster.org_home(n) / "sdk_config.yml") for n in range(4)]
    run_sdk(*configs)
    cluster.check_equal()


VOTERS = """
import sys
from chainmaker import ChainClientWithEndorsers
from chainmaker.sdk_config import DefaultConfig
DefaultConfig.enable_log = False
config, org, key, value = sys.argv[1:]
client = ChainClientWithEndorsers.from_conf(config)
new = key.removeprefix("comet.")

def node():
    return next(list(one.node_id) for one in client.get_chain_config().consensus.nodes if one.org_id == org)

def done(response):
    assert response.code == 0 and response.contract_result.code == 0, response

[old] = node()
refused = client.chain_config_consensus_node_id_update(org, old, new, with_sync_result=True)
assert "make it known first, with CONSENSUS_EXT_ADD" in refused.contract_result.message, refused
done(client.chain_config_consensus_ext_add({key: value}, with_sync_result=True))
refused = client.chain_config_consensus_node_id_add(org, [new], with_sync_result=True)
assert "would have 2 nodes that vote" in refused.contract_result.message, refused
done(client.chain_config_consensus_node_id_update(org, old, new, with_sync_result=True))
assert node() == [new]
done(client.chain_config_consensus_node_id_update(org, new, old, with_sync_result=True))
done(client.chain_config_consensus_node_org_delete(org, with_sync_result=True))
done(client.chain_config_consensus_node_org_add(org, [old], with_sync_result=True))
assert node() == [old]
done(client.chain_config_consensus_ext_delete([key], with_sync_result=True))
"""


def test_the_sdk_changes_who_votes(cluster, tmp_path):
    """A further node of an organisation is made known, put in its place and taken back; nobody runs it meanwhile."""
    org, home = cluster.orgs[3], tmp_path / "further"
    made = changan("cluster", "join", "--of", str(cluster.org_home(3)), "--home", str(home), "--org", org)
    assert made.returncode == 0, made.stderr
    entry = Admission.read(home / "admission.json").node.entry()
    config = str(cluster.org_home(0) / "sdk_config.yml")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", VOTERS, config, org, entry.key, entry.value],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with cluster.connect(0) as connection:

        def votes() -> bool:  # four of five suffice, so a block need not hold the newcomer's vote
            connection.invoke("token", "transfer", {"to": "22" * 20, "amount": 1})
            return org in cluster.state(0)["voted"]

        wait_for(votes, 60)
    cluster.check_equal()


def test_the_chain_says_who_orders_it(cluster):
    config = ChainConfig()
    with cluster.connect(2) as connection:
        config.ParseFromString(connection.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result)
    assert config.consensus.type == 1
    assert [node.org_id for node in config.consensus.nodes] == cluster.orgs
    roster = roster_of(config)
    assert [voter.org_id for voter in roster.voters] == cluster.orgs
    assert [[voter.node_id] for voter in roster.voters] == [list(node.node_id) for node in config.consensus.nodes]
    assert not roster.followers


def test_blocks_name_their_proposers_and_no_block_is_empty(cluster):
    with cluster.connect(0) as connection:
        for _ in range(8):
            connection.invoke("token", "transfer", {"to": "22" * 20, "amount": 1})
    blocks = cluster.check_equal()
    heights = [ConsensusArgs.FromString(stored.block.header.consensus_args).engine_height for stored in blocks]
    assert heights[0] == 0
    assert all(before < after for before, after in itertools.pairwise(heights))
    proposers = {stored.block.header.proposer.org_id for stored in blocks[1:]}
    assert len(proposers) > 1
    assert proposers <= set(cluster.orgs)
    assert all(stored.block.txs for stored in blocks)


def test_an_idle_cluster_makes_no_blocks(cluster):
    cluster.level()
    wait_for(lambda: len({cluster.state(n)["engine_height"] for n in range(4)}) == 1, 20)
    before = cluster.state(0)["engine_height"]
    time.sleep(2)
    assert cluster.state(0)["engine_height"] == before


def test_a_receipt_from_any_node_shows_who_agreed(cluster, tmp_path):
    with cluster.connect(1) as connection:
        tx_id = connection.invoke("evidence", "put", {"digest": "3d" * 32, "note": "agreed"}).tx_id
        connection.invoke("token", "transfer", {"to": "22" * 20, "amount": 1})
    receipt = tmp_path / "receipt.json"
    trust = ["--trust", str(cluster.home / "crypto-config")]
    cluster.level()
    members = _members(cluster.home, Suite.INTERNATIONAL)
    for n in range(4):
        found = wait_for(lambda n=n: _certified(cluster, n, tx_id), 20)
        assert len(verify_receipt(found, members).agreed) >= 3
    receipt.write_text(json.dumps(found))
    done = changan("verify-receipt", str(receipt), *trust)
    assert done.returncode == 0, done.stderr
    agreed = [line for line in done.stdout.splitlines() if "agreed by" in line]
    assert agreed[0].count("wx-org") >= 3
    for at in range(0, len(found["certificate"]), 101):
        letter = "A" if found["certificate"][at] != "A" else "B"
        changed = found["certificate"][:at] + letter + found["certificate"][at + 1 :]
        with pytest.raises((UnverifiedError, MalformedError)):
            verify_receipt({**found, "certificate": changed}, members)
    certificate = Certificate.FromString(base64.b64decode(found["certificate"]))
    for seals in ([certificate.seals[0]] * 3, certificate.seals[:2], [*certificate.seals, *certificate.seals], []):
        few = base64.b64encode(Certificate(seals=seals).SerializeToString()).decode()
        with pytest.raises((UnverifiedError, MalformedError)):
            verify_receipt({**found, "certificate": few}, members)


def _certified(cluster, n, tx_id):
    found = cluster.get(n, f"/v1/receipts/{tx_id}")
    return found if "certificate" in found else None


def _row_certified(cluster, n, name):
    done = changan("receipt", name, "--home", str(cluster.org_home(n)))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found if "certificate" in found else None


def test_a_bundle_comes_to_rest_at_every_node_row_by_row(cluster):
    with cluster.connect(3) as connection:
        before = int(connection.query("token", "balance_of", {"who": "66" * 20}).text)
        columns = {"to": [bytes([0x66]) * 20] * 50, "amount": [1] * 49 + [2**60]}
        [sent] = connection.invoke_many("token", "transfer", columns)
        assert [row.code == 0 for row in sent.rows] == [True] * 49 + [False]
        connection.invoke("token", "transfer", {"to": "22" * 20, "amount": 1})
    cluster.check_equal()
    members = _members(cluster.home, Suite.INTERNATIONAL)
    for n in range(4):
        with cluster.connect(n) as connection:
            assert int(connection.query("token", "balance_of", {"who": "66" * 20}).text) == before + 49
            found = wait_for(lambda n=n: _row_certified(cluster, n, f"{sent.answer.tx_id}.7"), 20)
            assert len(verify_row_receipt(found, members).agreed) >= 3
            certificate = Certificate.FromString(base64.b64decode(found["certificate"]))
            few = base64.b64encode(Certificate(seals=certificate.seals[:2]).SerializeToString()).decode()
            with pytest.raises(UnverifiedError):
                verify_row_receipt({**found, "certificate": few}, members)


def test_one_request_given_to_all_nodes_counts_once(cluster):
    home = cluster.org_home(0)
    with cluster.connect(0) as connection:
        before = int(connection.query("token", "balance_of", {"who": "33" * 20}).text)
        signer = connection.signer
    assert isinstance(signer, Signer)
    assert home.exists()
    import threading

    import grpc

    from changan.ledger.wire.messages import TxRequest, TxResponse

    requests = [
        sign_request(make_payload("chain1", "token", "transfer", {"to": "33" * 20, "amount": "1"}), signer)
        for _ in range(40)
    ]
    answers: list[TxResponse] = []

    def send(rpc: str) -> None:
        channel = grpc.insecure_channel(rpc)
        call = channel.unary_unary(
            "/api.RpcNode/SendRequestSync",
            request_serializer=TxRequest.SerializeToString,
            response_deserializer=TxResponse.FromString,
        )
        futures = [call.future(request, timeout=60) for request in requests]
        answers.extend(future.result() for future in futures)
        channel.close()

    threads = [threading.Thread(target=send, args=(rpc,)) for rpc in cluster.rpc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 160
    assert all(answer.code == 0 or "TxId exist" in answer.message for answer in answers)
    cluster.level()
    for n in range(4):
        with cluster.connect(n) as connection:
            assert int(connection.query("token", "balance_of", {"who": "33" * 20}).text) == before + 40


def test_status_shows_every_node(cluster):
    done = cluster.status()
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "4 vote, 3 must agree; 0 follow without a vote"
    assert len(lines) == 6
    assert all(line.startswith(f"wx-org{n}") for n, line in enumerate(lines[2:], 1))
    assert cluster.state(0)["peers"] == [org for org in cluster.orgs if org != cluster.orgs[0]]


def test_a_refusal_reaches_the_caller(cluster):
    with cluster.connect(3) as connection, pytest.raises(CallError, match="contractName not found"):
        connection.invoke("nosuch", "method")


def test_a_request_that_the_ordering_cannot_carry_is_refused_with_the_limit(cluster):
    with cluster.connect(0) as connection, pytest.raises(CallError, match="carries at most 2031616"):
        connection.invoke("evidence", "put", {"digest": "ab" * 32, "note": "n" * 2_100_000})


@pytest.mark.parametrize(("victim", "what"), [(0, "engine"), (1, "node"), (2, "both")])
def test_a_killed_part_of_a_node_loses_nothing(cluster, victim, what):
    who = f"{victim + 0xA0:02x}" * 20
    before = balance(cluster, 3, who)
    load = Load(cluster, [victim, 3], who)
    wait_for(lambda: len(load.acknowledged) > 4, 60)
    cluster.kill(victim, node=what != "engine", engine=what != "node")
    count = len(load.acknowledged)
    wait_for(lambda: len(load.acknowledged) > count + 4, 60)
    wait_for(lambda: cluster.height(victim) >= cluster.height(3) - 2 > 0, 60)
    settled(cluster, load, who, before)


def test_one_that_is_cut_off_is_not_waited_for_and_catches_up(cluster):
    who = "b1" * 20
    before = balance(cluster, 0, who)
    load = Load(cluster, [0], who)
    with cluster.paused(2):
        count = len(load.acknowledged)
        wait_for(lambda: len(load.acknowledged) > count + 5, 60)
        assert cluster.height(0) > 0
    settled(cluster, load, who, before)


def test_half_against_half_halts_and_goes_on_without_a_fork(cluster):
    who = "b2" * 20
    before = balance(cluster, 0, who)
    load = Load(cluster, [0, 1], who)
    wait_for(lambda: len(load.acknowledged) > 3, 60)
    with cluster.paused(2, 3):
        time.sleep(1.5)
        halted = cluster.height(0)
        time.sleep(2)
        assert cluster.height(0) == cluster.height(1) == halted
    count = len(load.acknowledged)
    wait_for(lambda: len(load.acknowledged) > count + 3, 60)
    settled(cluster, load, who, before)


ROUNDS = int(os.environ.get("CHANGAN_FAULT_ROUNDS", "3"))
SEED = int(os.environ.get("CHANGAN_FAULT_SEED", "1"))


def test_faults_at_random(cluster):
    """Seeded: kills of nodes, engines and both, pauses and halves, one after another, under load at every node."""
    dice = random.Random(SEED)
    who = "c0" * 20
    before = balance(cluster, 0, who)
    counts: dict[str, int] = {}
    load = Load(cluster, range(4), who)
    for number in range(ROUNDS):
        kind = dice.choice(["node", "engine", "both", "pause", "halves", "two nodes"])
        victim, other = dice.sample(range(4), 2)
        counts[kind] = counts.get(kind, 0) + 1
        if kind in {"pause", "halves"}:
            with cluster.paused(victim, *([other] if kind == "halves" else [])):
                time.sleep(dice.uniform(0.5, 3))
        else:
            time.sleep(dice.uniform(0, 0.3))
            cluster.kill(victim, node=kind != "engine", engine=kind in {"engine", "both"})
            if kind == "two nodes":
                cluster.kill(other, node=True)
        count = len(load.acknowledged)
        wait_for(lambda count=count: len(load.acknowledged) > count + 3, 90)
        wait_for(lambda: min(cluster.heights()) > 0, 90)
        if ROUNDS > 10 and number % 10 == 9:
            print(number + 1, counts, len(load.acknowledged), cluster.heights(), flush=True)
    settled(cluster, load, who, before)


def corrupt(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)


def restart_with_clock(cluster, offset_s: int) -> None:
    cluster.start({"CHANGAN_CLOCK_OFFSET_S": f"{cluster.orgs[3]}={offset_s}"})
    before = balance(cluster, 0, "b4" * 20)
    with cluster.connect(0) as connection:
        for _ in range(6):
            connection.invoke("token", "transfer", {"to": "b4" * 20, "amount": 1})
    blocks = cluster.check_equal()
    assert [balance(cluster, n, "b4" * 20) for n in range(4)] == [before + 6] * 4
    assert all(abs(stored.block.header.block_timestamp - time.time()) < 1800 for stored in blocks[1:])


def test_a_clock_that_is_an_hour_ahead_hinders_nobody(cluster):
    assert cluster.stop() == 0, cluster.words()
    restart_with_clock(cluster, 3600)


def test_a_wiped_disk_comes_back_from_the_others_and_a_clock_an_hour_behind_hinders_nobody(cluster, engine):
    with cluster.connect(0) as connection:
        for _ in range(20):  # more than a snapshot brings along
            connection.invoke("token", "transfer", {"to": "22" * 20, "amount": 1})
    cluster.level()
    assert cluster.stop() == 0, cluster.words()
    home = cluster.org_home(1)
    corrupt(next((home / "chains" / "chain1" / "log").glob("*.log")))
    ports = ["--rpc-port", "0", "--http-port", "0", "--engine-binary", str(engine)]
    refused = changan("cluster", "node", "--home", str(home), *ports)
    assert refused.returncode == 1
    assert re.search(r"block \d+ at byte \d+ (fails its checksum|has a damaged head)", refused.stderr)
    shutil.rmtree(home / "chains")
    for n in (0, 2, 3):  # the next block has a snapshot
        shutil.rmtree(cluster.org_home(n) / "chains" / "chain1" / "snapshots")
    for n in (1, 2):  # the one lost everything but its keys and what it has signed, the other only the engine's stores
        done = changan("engine", "refetch", "--home", str(cluster.org_home(n)))
        assert done.returncode == 0, done.stderr
    restart_with_clock(cluster, -3600)
    assert changan("verify", "--replay", "--home", str(home), timeout=120).returncode == 0


def test_a_newcomer_takes_the_state_of_its_peers(cluster, engine, tmp_path):
    org, home = cluster.orgs[3], tmp_path / "newcomer"
    first, member = cluster.org_home(0), cluster.org_home(3)
    for command in (
        ("join", "--of", str(member), "--home", str(home), "--org", org),
        ("admit", str(home / "admission.json"), "--home", str(first), "--send"),
    ):
        done = changan("cluster", *command)
        assert done.returncode == 0, done.stderr
    with contextlib.ExitStack() as stack:
        load = Load(cluster, [0], "b6" * 20)  # the chain does not rest while the newcomer begins
        stack.callback(load.stop)
        wait_for(lambda: len(load.acknowledged) > 3, 60)
        height = cluster.height(0)
        node = LoneNode(home, engine, "--sync-from", "http://127.0.0.1:1", "--sync-from", cluster.http[2])
        stack.callback(node.stop)
        assert "sync.restored" in node.words()
        tip = cluster.height(0)
        assert tip > height + 3
        for _ in range(3):  # it comes to the tip, and stays there
            wait_for(lambda tip=tip: node.height(org) >= tip, 60)
            tip = cluster.height(0)
        load.stop()
        assert not load.failed
        with cluster.connect(1) as connection:
            answer = connection.invoke("token", "transfer", {"to": "b6" * 20, "amount": 1})
        with node.connect(org) as connection:

            def paid() -> bool:
                found = int(connection.query("token", "balance_of", {"who": "b6" * 20}).text)
                return found == len(load.acknowledged) + 1

            wait_for(paid, 60)
            receipt = connection.web.get(f"/v1/receipts/{answer.tx_id}").raise_for_status().json()
            assert receipt["format"]
            with pytest.raises(CallError, match="ask another node"):
                connection.query("CHAIN_QUERY", "GET_TX_BY_TX_ID", {"txId": "ab" * 32})
            gone = connection.web.get("/v1/blocks/3")
            assert gone.status_code == 410
        assert node.stop() == 0
    blocks = (home / "chains" / "chain1" / "log").glob("*.log")
    assert [path.stem.lstrip("0") != "" for path in blocks] == [True]
    done = changan("verify", "--replay", "--home", str(home), timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"from block \d+ on, whose state came from other nodes", done.stdout)
    node = LoneNode(home, engine)  # it has a chain now, and starts like any other
    try:
        wait_for(lambda: node.height(org) == cluster.height(0), 60)
    finally:
        assert node.stop() == 0


def test_one_command_starts_three_homes_and_a_wiped_one_that_takes_their_state(cluster):
    who = "b7" * 20
    with cluster.connect(0) as connection:
        for _ in range(3):
            connection.invoke("token", "transfer", {"to": who, "amount": 1})
    cluster.level()
    assert cluster.stop() == 0, cluster.words()
    home = cluster.org_home(2)
    shutil.rmtree(home / "chains")
    seen = len((home / "node.log").read_text())
    cluster.start(None, "--sync")  # it says that it is ready when all four are
    assert "sync.restored" in (home / "node.log").read_text()[seen:]
    assert (home / "engine/chain1/data/priv_validator_state.json").exists()
    with cluster.connect(2) as connection:
        connection.invoke("token", "transfer", {"to": who, "amount": 1})
    blocks = cluster.check_equal()
    assert len(cluster.blocks(2)) < len(blocks)
    assert [balance(cluster, n, who) for n in range(4)] == [4] * 4


def test_the_engines_stores_can_be_begun_anew_on_all_nodes(cluster):
    height = cluster.level()
    assert cluster.stop() == 0, cluster.words()
    done = changan("engine", "renew", "--home", str(cluster.org_home(0)))
    assert done.returncode == 0, done.stderr
    for n in range(1, 4):
        renew_engine(Home(cluster.org_home(n)), "chain1")
    cluster.start()
    with cluster.connect(2) as connection:
        for _ in range(3):
            connection.invoke("token", "transfer", {"to": "b5" * 20, "amount": 1})
    cluster.level()
    cluster.kill(1, node=True, engine=True)
    with cluster.connect(0) as connection:
        connection.invoke("token", "transfer", {"to": "b5" * 20, "amount": 1})
    blocks = cluster.check_equal()
    assert len(blocks) == height + 5
    assert ConsensusArgs.FromString(blocks[-1].block.header.consensus_args).engine_height > 10_000
    assert [balance(cluster, n, "b5" * 20) for n in range(4)] == [4, 4, 4, 4]
    cluster.verify()
