"""Blocks: what they commit to, what they refuse, and that every node makes the same ones."""

from __future__ import annotations

import os
import subprocess
import sys
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.client.requests import install_parameters
from changan.contract.instance import Row
from changan.contract.records import record_of
from changan.crypto.digest import sha256
from changan.crypto.merkle import chainmaker_root, tree_root
from changan.crypto.state_tree import StateTree, verify_state_proof
from changan.ledger.commitment import (
    BLOCKS_BETWEEN_ROOTS_MAX,
    DELTA_GROUP_ROWS,
    ROOT_DELAY_BLOCKS,
    ROWS_AT_ONCE_MAX,
    WORK_A_ROW,
    Pending,
    StateCommitment,
    delta_groups,
    outcome_leaf,
    state_key,
    value_hash,
)
from changan.ledger.delta import Delta
from changan.ledger.hashing import block_hash, transaction_hash
from changan.ledger.roots import KernelRoots, Roots
from changan.ledger.snapshot import dump, load
from changan.ledger.state import Write
from changan.ledger.transition import Decided, InvalidBlockError, apply_block
from changan.ledger.wire.messages import BlockType, ConsensusArgs, TxStatusCode
from consortium import EXAMPLES, START, Ledger


@pytest.fixture
def ledger(consortium) -> Ledger:
    made = Ledger(consortium)
    assert made.install("token", supply="1000").code == TxStatusCode.SUCCESS
    return made


def arguments(applied) -> ConsensusArgs:
    return ConsensusArgs.FromString(applied.block.header.consensus_args)


def test_a_block_commits_to_everything_that_came_of_it(ledger):
    to = "11" * 20
    requests = [
        ledger.request("token", "transfer", {"to": to, "amount": str(n)}, sender=ledger.consortium.admin())
        for n in (5, 0, 7)
    ]
    applied = ledger.seal(*requests)
    block, header = applied.block, applied.block.header
    assert [tx.result.code for tx in block.txs] == [
        TxStatusCode.SUCCESS,
        TxStatusCode.CONTRACT_FAIL,
        TxStatusCode.SUCCESS,
    ]
    assert block.txs[1].result.contract_result.message == "declined: amount is zero (line 81)"
    assert header.tx_root == chainmaker_root([transaction_hash(tx, sha256) for tx in block.txs], sha256)
    assert header.pre_block_hash == ledger.blocks[-2].block.header.block_hash
    found = arguments(applied)
    assert found.outcome_root == tree_root([outcome_leaf(tx, sha256) for tx in block.txs], sha256)
    assert found.delta_root == tree_root(delta_groups(applied.writes), sha256)
    assert (found.state_height, found.state_root) == (header.block_height, ledger.world.commitment.tree.root)
    block.txs[0].result.contract_result.gas_used += 1  # ChainMaker's root does not see gas, ours does
    assert header.tx_root == chainmaker_root([transaction_hash(tx, sha256) for tx in block.txs], sha256)
    assert found.outcome_root != tree_root([outcome_leaf(tx, sha256) for tx in block.txs], sha256)
    header.consensus_args += b"\x00"
    assert block_hash(header, sha256) != header.block_hash


def test_a_value_and_an_absence_are_proved_against_the_state_root(ledger):
    applied = ledger.seal(
        ledger.request("token", "transfer", {"to": "11" * 20, "amount": "5"}, sender=ledger.consortium.admin())
    )
    root = arguments(applied).state_root
    tree = ledger.world.commitment.tree
    there = state_key("token", f"balances.{'11' * 20}", sha256)
    proof = tree.prove(there)
    assert proof.key_hash == there
    assert proof.value_hash == value_hash((5).to_bytes(8, "big"), sha256)
    assert verify_state_proof(proof, there, root, sha256)
    absent = state_key("token", f"balances.{'22' * 20}", sha256)
    proof = tree.prove(absent)
    assert proof.key_hash != absent
    assert verify_state_proof(proof, absent, root, sha256)


def test_a_transaction_that_failed_wrote_nothing(ledger):
    before = {row.key: row.value for row in ledger.world.instances["token"].rows()}
    for method, parameters in [
        ("transfer", {"to": "11" * 20, "amount": "5000"}),
        ("transfer", {"to": "11" * 20}),
        ("transfer", {"to": "xx", "amount": "1"}),
        ("transfer", {"to": "11" * 20, "amount": "-1"}),
        ("nothing", {}),
        ("create", {"supply": "1"}),
        ("_move", {"source": "11" * 20, "to": "11" * 20, "amount": "1"}),
    ]:
        applied = ledger.seal(ledger.request("token", method, parameters))
        assert applied.block.txs[0].result.code == TxStatusCode.CONTRACT_FAIL
        assert not applied.rw_sets[0].tx_writes
    assert before == {row.key: row.value for row in ledger.world.instances["token"].rows()}


def test_only_a_change_of_the_configuration_makes_a_block_one_of_configuration(ledger):
    """A failed attempt, or a question in a block, leaves the configuration where it was: in the block before."""
    endorsers = ledger.consortium.admins()
    assert ledger.blocks[0].block.header.block_type == BlockType.CONFIG_BLOCK
    for method in ("CORE_UPDATE", "NODE_ADDR_ADD", "NO_SUCH_METHOD", "PERMISSION_LIST", "GET_CHAIN_CONFIG"):
        ledger.seal(ledger.request("CHAIN_CONFIG", method, endorsers=endorsers))
    for applied in ledger.blocks[1:]:
        assert applied.block.header.block_type == BlockType.NORMAL_BLOCK
        assert applied.block.header.pre_conf_height == 0


def test_a_parameter_may_be_named_as_a_resource_is(ledger):
    refused = ledger.call(
        "CHAIN_CONFIG", "PERMISSION_DELETE", {"token-transfer": ""}, endorsers=ledger.consortium.admins()
    )
    assert "resource_name[token-transfer]" in refused.contract_result.message
    for name in ("token/transfer", "token transfer", "代币"):
        assert ledger.call("T", "P", {name: ""}).code == TxStatusCode.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("height", "does not follow"),
        ("time", "not later"),
        ("empty", "is empty"),
        ("repeat", "repeats transaction"),
        ("again", "repeats transaction"),
        ("stale", "out of its time"),
        ("alone", "must be alone"),
        ("forged", "tx verify failed"),
    ],
)
def test_a_block_that_no_honest_proposer_made_changes_nothing(ledger, change, message):
    request = ledger.request("token", "transfer", {"to": "11" * 20, "amount": "1"})
    done = ledger.blocks[-1].block.txs[0]
    height, time_us, requests = ledger.world.height + 1, ledger.time_us + 10**6, [request]
    if change == "height":
        height += 1
    elif change == "time":
        time_us = ledger.world.block_time_us
    elif change == "empty":
        requests = []
    elif change == "repeat":
        requests = [request, request]
    elif change == "again":
        requests = [ledger.request("token", "transfer", {"to": "11" * 20, "amount": "1"}, tx_id=done.payload.tx_id)]
    elif change == "stale":
        requests = [ledger.request("token", "transfer", {}, timestamp=START - 10_000)]
    elif change == "alone":
        code = (EXAMPLES / "evidence.py").read_bytes()
        requests.append(
            ledger.request(
                "CONTRACT_MANAGE",
                "INIT_CONTRACT",
                install_parameters("e", "1", code, {}),
                sender=ledger.consortium.admin(),
            )
        )
    else:
        request.payload.method = "mint"
    state = snapshot(ledger.world)
    with pytest.raises(InvalidBlockError, match=message):
        apply_block(ledger.world, Decided(height, time_us, None, requests, [None] * len(requests)))
    assert snapshot(ledger.world) == state


def snapshot(world):
    return {name: list(items) for name, items in dump(world)}


def test_a_checkpoint_gives_the_same_world_and_the_same_next_blocks(ledger):
    for n in range(1, 4):
        ledger.call("token", "transfer", {"to": f"{n:02x}" * 20, "amount": "5"}, sender=ledger.consortium.admin())
    sections = {name: list(items) for name, items in dump(ledger.world)}
    other = load(lambda name: sections[name])
    request = ledger.request("token", "transfer", {"to": "09" * 20, "amount": "5"}, sender=ledger.consortium.admin())
    mine = ledger.seal(request).block.header.block_hash
    decided = Decided(other.height + 1, ledger.time_us, None, [request], [None])
    assert apply_block(other, decided).block.header.block_hash == mine
    assert other.row("token", f"balances.{'09' * 20}") == (5).to_bytes(8, "big")


def test_ids_are_forgotten_by_time_and_never_come_again(consortium):
    ledger = Ledger(consortium, tx_timeout_s=60)
    ledger.install("evidence")
    first = ledger.request("evidence", "total")
    ledger.seal(first)
    remembered = len(ledger.world.remembered)
    ledger.time_us += 200 * 10**6
    ledger.call("evidence", "total")
    assert len(ledger.world.remembered) < remembered + 1
    assert not ledger.world.remembered.holds(first.payload.tx_id)
    with pytest.raises(InvalidBlockError, match="out of its time"):
        ledger.seal(first)
    assert ledger.world.row("CHANGAN", "ids-forgotten") is not None


@pytest.fixture(scope="module", params=["plain", "kernels"])
def roots(request):
    if request.param == "plain":
        return Roots(sha256)
    return KernelRoots(sha256, request.getfixturevalue("kernels").forest(sha256, 7))


def literal_root(rows):
    """The root over rows by contract and key, by the plain tree."""
    tree = StateTree(sha256)
    tree.update((state_key(*at, sha256), value_hash(value, sha256)) for at, value in rows.items())
    return tree.root


def test_the_state_root_is_late_only_while_much_changed(roots):
    commitment = StateCommitment(roots)
    writes = [Write("c", f"k{n}", b"v") for n in range(ROWS_AT_ONCE_MAX + 1)]
    assert commitment.close_block(1, writes[:1]).height == 1
    for height in range(2, 1 + WORK_A_ROW):
        assert commitment.close_block(height, writes) is None
        assert commitment.behind
    cut = 1 + WORK_A_ROW
    for height in range(cut, cut + ROOT_DELAY_BLOCKS):
        assert commitment.close_block(height, writes if height == cut else writes[:1]) is None
    due = commitment.close_block(cut + ROOT_DELAY_BLOCKS, [Write("c", "k0", b"w")])
    assert due == (literal_root({("c", w.key): b"v" for w in writes}), cut)
    after = commitment.close_block(cut + ROOT_DELAY_BLOCKS + 1, [])
    assert after.root == literal_root({("c", w.key): b"v" for w in writes} | {("c", "k0"): b"w"})


def test_by_rules_3_a_root_over_much_is_due_later(roots, monkeypatch):
    monkeypatch.setattr("changan.ledger.commitment.WORK_A_BLOCK", 1000)
    commitment = StateCommitment(roots)
    writes = [Write("c", f"k{n}", b"v") for n in range(ROWS_AT_ONCE_MAX + 1)]
    height, due = 0, None
    while due is None:
        height += 1
        due = commitment.close_block(height, writes, rules=3)
    longer = (ROWS_AT_ONCE_MAX + 1) * due.height // 1000
    assert longer > 1
    assert height == due.height + ROOT_DELAY_BLOCKS + longer
    # A block of few rows has its root at once, and one that settles too, whatever is set aside.
    while commitment.pending().aside_height is None:
        height += 1
        commitment.close_block(height, writes, rules=3)
    assert commitment.close_block(height + 1, writes, settle=True, rules=3).height == height + 1
    assert commitment.close_block(height + 2, writes[:1], rules=3).height == height + 2


def test_a_root_comes_however_rarely_rows_are_written_again(roots):
    commitment = StateCommitment(roots)
    found = []
    for height in range(1, 72 + BLOCKS_BETWEEN_ROOTS_MAX + ROOT_DELAY_BLOCKS + 1):
        fresh = [Write("c", f"{height}.{n}", b"v") for n in range(ROWS_AT_ONCE_MAX + 1)]
        found.append(commitment.close_block(height, fresh))
    # When eight times as many were written as the tree has rows (256 at least), and at the latest after 256 blocks.
    assert [due.height for due in found if due is not None] == [8, 72, 72 + BLOCKS_BETWEEN_ROOTS_MAX]


NAMES = [("first", "second"), ("second", "first", "third")]


def as_delta(names, rows):
    places = {name: place for place, name in enumerate(names)}
    return Delta("d", names, b"".join(record_of(places, Row(key, value)) for key, value in rows), len(rows))


@patch("changan.ledger.commitment.BYTES_AT_ONCE_MAX", 2000)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_root_is_that_of_its_height(roots, data):
    """Against a model that keeps all rows of every height: rows and deltas, settling blocks, deletions, a restart anywhere."""
    commitment, rules = StateCommitment(roots), data.draw(st.sampled_from([1, 3]))
    history = {}
    rows = {}
    taken: list[Pending] = []
    begun = []
    for height in range(1, 60):
        many = data.draw(st.booleans())
        count = data.draw(st.integers(250, 400) if many else st.integers(0, 5))
        start = data.draw(st.integers(0, 200))
        value = data.draw(st.sampled_from([b"v", b"w" * 70, None]))
        names = data.draw(st.sampled_from([None, *NAMES]))
        if names is None:
            keys = [("c", str(n)) for n in range(start, start + count)]
            changes = [Write(*key, value) for key in keys]
        else:
            keys = [("d", f"{names[n % 2]}.{n:08x}" if n % 9 else names[n % 2]) for n in range(start, start + count)]
            changes = [as_delta(names, [(key, value) for _, key in keys])]
        for key in keys:
            rows.pop(key, None)
            if value is not None:
                rows[key] = value
        history[height] = dict(rows)
        settle = data.draw(st.integers(0, 9)) == 0
        due = commitment.close_block(height, changes, settle=settle, rules=rules)
        if settle:
            assert due.height == height
            assert not commitment.behind
        if due is not None:
            assert due.root == literal_root(history[due.height])
        if data.draw(st.integers(0, 2)) == 0:
            begun.append(commitment.catch_up())
        if begun and data.draw(st.booleans()):  # as a thread does, now or many blocks later
            work = begun.pop(data.draw(st.integers(0, len(begun) - 1)))
            if work is not None:
                work()
        if data.draw(st.integers(0, 4)) == 0:
            taken.append(commitment.pending())
        if taken and data.draw(st.integers(0, 4)) == 0:
            late = taken.pop(data.draw(st.integers(0, len(taken) - 1)))  # as a checkpoint does while blocks go on
            roots.compact(late.waiting)
            roots.compact(late.aside)
        if data.draw(st.integers(0, 9)) == 0:
            resumed = StateCommitment(roots)
            resumed.tree.load(commitment.tree.leaves())
            pending = commitment.pending()
            roots.compact(pending.waiting)  # as a checkpoint keeps it
            roots.compact(pending.aside)
            resumed.resume(pending)
            commitment = resumed


def test_only_a_node_settles(ledger):
    node = ledger.consortium.signer(1, "consensus1", "consensus")
    refused = ledger.seal(ledger.request("CHANGAN", "SETTLE"))
    assert refused.block.txs[0].result.code == TxStatusCode.NO_PERMISSION
    settled = ledger.seal(ledger.request("CHANGAN", "SETTLE", sender=node))
    assert settled.block.txs[0].result.code == 0
    assert settled.state_root.height == settled.block.header.block_height
    assert ledger.call("CHANGAN", "OTHER", sender=node).contract_result.message == "contractName not found"


def test_the_delta_is_grouped():
    writes = [Write("c", f"k{n}", None if n % 2 else b"v") for n in range(DELTA_GROUP_ROWS * 2 + 1)]
    groups = delta_groups(writes)
    assert len(groups) == 3
    assert b"".join(groups) == b"".join(delta_groups(writes[:16]) + delta_groups(writes[16:]))


def test_hash_seeds_do_not_show(consortium, tmp_path):
    """The same blocks under different hash seeds: the same bytes."""
    ledger = Ledger(consortium)
    ledger.install("token", supply="1000")
    for n in range(20):
        to = f"{n % 7:02x}" * 20
        ledger.call("token", "transfer", {"to": to, "amount": str(n)}, sender=consortium.admin())
    records = tmp_path / "records"
    with records.open("wb") as file:
        for applied in ledger.blocks:
            data = applied.block.SerializeToString()
            file.write(len(data).to_bytes(4, "big") + data)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from changan.ledger.admission import request_of\n"
        "from changan.ledger.transition import Decided, apply_block, apply_genesis\n"
        "from changan.ledger.wire.messages import Block, ChainConfig, ConsensusArgs\n"
        "data, at, world = Path(sys.argv[1]).read_bytes(), 0, None\n"
        "while at < len(data):\n"
        "    size = int.from_bytes(data[at:at + 4], 'big')\n"
        "    block = Block.FromString(data[at + 4:at + 4 + size]); at += 4 + size\n"
        "    if world is None:\n"
        "        config = ChainConfig.FromString(block.txs[0].result.contract_result.result)\n"
        "        world, applied = apply_genesis(config)\n"
        "    else:\n"
        "        time_us = ConsensusArgs.FromString(block.header.consensus_args).block_time_us\n"
        "        requests = [request_of(tx) for tx in block.txs]\n"
        "        decided = Decided(block.header.block_height, time_us, None, requests, [None] * len(requests))\n"
        "        applied = apply_block(world, decided)\n"
        "    assert applied.block.SerializeToString() == block.SerializeToString(), block.header.block_height\n"
        "print(world.height)\n"
    )
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(records)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout.strip() == str(ledger.world.height), done.stderr
