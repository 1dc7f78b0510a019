"""Blocks by somebody who holds the proposer's key: one thing is wrong, every hash and signature over it is made true again.

The audit names the block and what is wrong, on chains of both suites.
"""

from __future__ import annotations

import re

import pytest

from changan.crypto.merkle import chainmaker_root
from changan.crypto.suite import algorithms
from changan.ledger.hashing import block_hash, dag_hash, rw_set_hash, transaction_hash
from changan.ledger.wire.messages import BlockWithRWSet, ConsensusArgs, TxRWSet, TxWrite
from changan.node.audit import AuditError, Auditor
from consortium import Ledger, SealedLog

TO = {"to": "11" * 20, "amount": "5"}


@pytest.fixture(scope="module")
def ledger(either) -> Ledger:
    """Blocks 0 to 3; the last one, which tests change, has two transfers."""
    made = Ledger(either, sealer=either.signer(1, "consensus1", "consensus"))
    made.install("token", supply="1000")
    admin = either.admin()
    made.seal(made.request("token", "transfer", TO, sender=admin))
    made.seal(*(made.request("token", "transfer", TO, sender=admin) for _ in range(2)))
    return made


def audited(ledger: Ledger, stored: BlockWithRWSet) -> str:
    """Return what the audit says of the chain with this as its last block."""
    log = [*ledger.log()._records[:-1], stored.SerializeToString()]
    try:
        return str(len(list(Auditor(SealedLog(log)).blocks())))
    except AuditError as error:
        return str(error)


def signed_again(ledger: Ledger, stored: BlockWithRWSet) -> None:
    header, sealer = stored.block.header, ledger._sealer
    header.block_hash = block_hash(header, algorithms(ledger.consortium.suite).digest)
    header.signature = sealer.key.sign(header.block_hash, sealer.hash_name)


def made_true(ledger: Ledger, stored: BlockWithRWSet) -> None:
    """Derive the hashes of read-write sets, and every root that is over transactions, anew."""
    digest, block = algorithms(ledger.consortium.suite).digest, stored.block
    for tx, rw_set in zip(block.txs, stored.txRWSets, strict=False):
        tx.result.rw_set_hash = rw_set_hash(rw_set, digest)
    block.header.rw_set_root = chainmaker_root([tx.result.rw_set_hash for tx in block.txs], digest)
    block.header.tx_root = chainmaker_root([transaction_hash(tx, digest) for tx in block.txs], digest)
    block.header.dag_hash = dag_hash(block.dag, digest)
    signed_again(ledger, stored)


def last(ledger: Ledger) -> BlockWithRWSet:
    return BlockWithRWSet.FromString(ledger.log()._records[-1])


def test_what_is_only_sealed_again_passes(ledger):
    stored = last(ledger)
    made_true(ledger, stored)
    assert audited(ledger, stored) == "4"
    auditor = Auditor(ledger.log())
    assert list(auditor.blocks()) == [0, 1, 2, 3]
    assert auditor.result == (4, 5, 7, 4), (
        "blocks, transactions, signatures of proposers and senders, roots over the state"
    )


def argument(**fields):
    """Change what consensus_args binds."""

    def change(stored):
        arguments = ConsensusArgs.FromString(stored.block.header.consensus_args)
        for name, value in fields.items():
            setattr(arguments, name, value(arguments) if callable(value) else value)
        stored.block.header.consensus_args = arguments.SerializeToString()

    return change


def header(**fields):
    def change(stored):
        for name, value in fields.items():
            setattr(stored.block.header, name, value)

    return change


def swapped(stored):
    first, second = stored.block.txs[0], stored.block.txs[1]
    kept = type(first).FromString(first.SerializeToString())
    first.CopyFrom(second)
    second.CopyFrom(kept)


def doubled(stored):
    """The second transaction is the first once more, with everything that is said of it."""
    stored.block.txs[1].CopyFrom(stored.block.txs[0])
    stored.txRWSets[1].CopyFrom(stored.txRWSets[0])


def left_out(stored):
    del stored.block.txs[1], stored.txRWSets[1], stored.block.dag.vertexes[1]
    stored.block.header.tx_count = 1


def richer(stored):
    """The receiver gets what nobody gave."""
    write = next(w for w in stored.txRWSets[1].tx_writes if w.key.endswith(b"11" * 20))
    write.value = (10**9).to_bytes(8, "big")


def unwritten(stored):
    del stored.txRWSets[1].tx_writes[0]


def another_row(stored):
    stored.txRWSets[0].tx_writes.append(TxWrite(key=b"supply", value=bytes(8), contract_name="token"))


def of_nobody(stored):
    stored.txRWSets[1].CopyFrom(TxRWSet(tx_id="ff" * 32, tx_writes=stored.txRWSets[1].tx_writes))


def failed(stored):
    stored.block.txs[1].result.contract_result.code = 1


def said_otherwise(stored):
    stored.block.txs[1].result.contract_result.result = b"more"


def cheaper(stored):
    """No hash of ChainMaker's is over the gas; the root over outcomes is."""
    stored.block.txs[1].result.contract_result.gas_used -= 1


def more_to_pay(stored):
    pair = next(p for p in stored.block.txs[1].payload.parameters if p.key == "amount")
    pair.value = b"999"


def parallel(stored):
    del stored.block.dag.vertexes[1].neighbors[:]


def ids_forgotten(stored):
    stored.own_writes.add(contract_name="CHANGAN", key=b"ids-forgotten", value=b"1")


def strange_side(stored):
    stored.bundle_rows.add(position=1)


CASES = [
    ("another height", header(block_height=4), "says another height"),
    ("more transactions", header(tx_count=3), "counts its transactions wrongly"),
    ("another past", header(pre_block_hash=bytes(32)), "does not follow the block before it"),
    ("another chain", header(chain_id="chain2"), "is of another chain"),
    ("another configuration", header(pre_conf_height=1), "names another configuration block"),
    ("another second", header(block_timestamp=1), None),
    ("times that differ", argument(block_time_us=lambda found: found.block_time_us + 1_000_000), "its two times differ"),
    ("a swap", swapped, "holds a read-write set of another transaction"),
    ("a transaction twice", doubled, None),
    ("a transaction less", left_out, "outcome_root is wrong"),
    ("a richer receiver", richer, "delta_root is wrong"),
    ("a row unwritten", unwritten, "delta_root is wrong"),
    ("a row more", another_row, "delta_root is wrong"),
    ("a read-write set of nobody", of_nobody, "holds a read-write set of another transaction"),
    ("a success that failed", failed, "outcome_root is wrong"),
    ("another result", said_otherwise, "outcome_root is wrong"),
    ("cheaper", cheaper, "outcome_root is wrong"),
    ("another payload", more_to_pay, None),
    ("another order", parallel, "orders its transactions oddly"),
    ("ids of our own", ids_forgotten, "own_writes are not the rows of its ids"),
    ("rows of no bundle", strange_side, "carries rows of a bundle that it does not hold"),
    ("another outcome root", argument(outcome_root=bytes(32)), "outcome_root is wrong"),
    ("another delta root", argument(delta_root=bytes(32)), "delta_root is wrong"),
    ("another state root", argument(state_root=bytes(32)), "state_root is wrong, or not where it is due"),
    ("no state root", argument(state_root=b""), "state_root is wrong, or not where it is due"),
    ("the state of another height", argument(state_height=2), "state_root is wrong, or not where it is due"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_thing_is_wrong_and_is_named(ledger, change, words):
    stored = last(ledger)
    change(stored)
    made_true(ledger, stored)
    said = audited(ledger, stored)
    assert said.startswith("block 3: ")
    if words is not None:
        assert said == f"block 3: {words}"


def test_a_changed_payload_is_not_what_its_sender_signed(ledger):
    stored = last(ledger)
    more_to_pay(stored)
    made_true(ledger, stored)
    tx_id = stored.block.txs[1].payload.tx_id
    assert audited(ledger, stored) == f"block 3: {tx_id}: the sender's signature does not hold"


def test_a_transaction_of_an_earlier_block_once_more(ledger):
    """Everything that it says of itself is true, and it was paid once."""
    earlier = BlockWithRWSet.FromString(ledger.log()._records[2])
    stored = last(ledger)
    stored.block.txs[1].CopyFrom(earlier.block.txs[0])
    stored.txRWSets[1].CopyFrom(earlier.txRWSets[0])
    made_true(ledger, stored)
    assert re.fullmatch(r"block 3: (outcome_root is wrong|repeats transaction \w+)", audited(ledger, stored))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rw_set_root", "rw_set_root is wrong"),
        ("tx_root", "tx_root is wrong"),
        ("dag_hash", "dag_hash is wrong"),
    ],
)
def test_roots_that_are_signed_but_wrong(ledger, name, words):
    stored = last(ledger)
    setattr(stored.block.header, name, bytes(32))
    signed_again(ledger, stored)
    assert audited(ledger, stored) == f"block 3: {words}"


def test_a_hash_that_is_wrong(ledger):
    stored = last(ledger)
    stored.block.header.block_hash = bytes(32)
    assert audited(ledger, stored) == "block 3: block_hash is wrong"
    stored = last(ledger)
    stored.block.txs[0].result.rw_set_hash = bytes(32)
    assert audited(ledger, stored) == f"block 3: {stored.block.txs[0].payload.tx_id}: rw_set_hash is wrong"


def test_time_goes_forward(ledger):
    """A block of the same microsecond as the one before it, all else true."""
    before = ConsensusArgs.FromString(ledger.blocks[-2].block.header.consensus_args).block_time_us
    stored = last(ledger)
    argument(block_time_us=before)(stored)
    stored.block.header.block_timestamp = before // 1_000_000
    made_true(ledger, stored)
    assert audited(ledger, stored) == "block 3: is not later than the block before it"


def test_a_proposer_that_the_chain_does_not_know(ledger):
    stored = last(ledger)
    stored.block.header.proposer.org_id = "wx-org2.chainmaker.org"
    made_true(ledger, stored)
    assert audited(ledger, stored).startswith("block 3: ")
    stored = last(ledger)
    stored.block.header.ClearField("proposer")
    made_true(ledger, stored)
    assert audited(ledger, stored).startswith("block 3: ")


def test_bytes_that_are_no_block(ledger):
    for data in (b"\xff", b"\x0a\x05abc"):
        log = [*ledger.log()._records[:-1], data]
        with pytest.raises(AuditError, match=r"^block 3 does not decode$"):
            list(Auditor(SealedLog(log)).blocks())
