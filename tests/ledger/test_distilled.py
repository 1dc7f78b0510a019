"""Distilled bundles: each row called by its client; only what exactly these clients signed runs; the rest is refused whole."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.contract.engines import compiled, plain
from changan.contract.instance import BlockContext, Call, Code
from changan.contract.program import compile_source
from changan.crypto.bls import BlsKey, join_shares
from changan.crypto.digest import sha256
from changan.errors import UnverifiedError
from changan.ledger.admission import RefusedError, admit, ask, prove
from changan.ledger.bundle import HEAD_BYTES, PARAMETER, Bundle, BundleError, columns_of, encode_bundle, schema
from changan.ledger.bundle_rows import rows_of_bundle
from changan.ledger.distilled import (
    MAGIC,
    decode_distilled,
    distilled_parameter,
    encode_distilled,
    read_clients,
    rows_root,
    signed_message,
)
from changan.ledger.execution import Execution
from changan.ledger.roots import KernelRoots, Roots
from changan.ledger.row_receipt import make_row_receipt, verify_row_receipt
from changan.ledger.transition import InvalidBlockError, apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet, BundleResult, Payload, Policy, TxType
from changan.node.storage import ReplayError, record_of, replay_block
from consortium import EXAMPLES
from lane_parties import GOOD, SIGNED, TO, Lane, balance, fund, refused

pytest.importorskip("chia_rs")
COUNT = 5


@pytest.fixture
def lane(consortium):
    return fund(Lane(consortium, COUNT))


def result_of(applied, position: int = 0) -> BundleResult:
    return BundleResult.FromString(applied.block.txs[position].result.contract_result.result)


def test_each_row_is_called_by_its_client(lane):
    applied = lane.ledger.seal(lane.bundle("token", "transfer", {0: (TO, 5), 2: (TO, 500), 3: (TO, 7)}))
    result = result_of(applied)
    assert (result.rows, result.succeeded, result.caller) == (3, 2, b"")
    assert [balance(lane, lane.address(who)) for who in lane.parties] == [95, 100, 100, 93, 100]
    assert balance(lane, TO) == 12
    assert balance(lane, lane.address(lane.ledger.consortium.signer())) == 0  # the broker has nothing to do with it


rows = st.dictionaries(
    st.integers(0, COUNT - 1),
    st.tuples(st.sampled_from([TO, bytes(20), b"\xff" * 20]), st.integers(0, 130)),
    min_size=1,
).map(lambda found: dict(sorted(found.items())))


@settings(max_examples=20)
@given(bundles=st.lists(rows, min_size=1, max_size=3), budget=st.sampled_from([0, 700, 5000]))
def test_it_is_the_calls_of_its_clients_one_by_one_on_every_engine(consortium, kernels, bundles, budget):
    lane = fund(Lane(consortium, COUNT))
    apart = fund(Lane(consortium, COUNT)).ledger.world.instances["token"]
    for each in bundles:
        request = lane.bundle("token", "transfer", each, budget=budget)
        applied = lane.ledger.seal(request)
        header = applied.block.header
        context = BlockContext(header.block_height, header.block_timestamp)
        program = lane.ledger.world.instances["token"].program
        signature = program.method("transfer")
        callers = [lane.client(number).address for number in each]
        bundle = decode_distilled(request.payload.parameters[0].value, signature).called_by(b"".join(callers))
        left = budget or None
        for row, number in zip(rows_of_bundle(signature, bundle, applied.bundles[0]), each, strict=True):
            caller, limit = lane.client(number).address, 1_000_000 if left is None else left
            assert row.arguments[:20] == caller
            if left == 0:
                assert (row.outcome & 255, row.gas) == (Code.OUT_OF_GAS, 0)
                continue
            [alone] = apart.run("transfer", [Call(caller, each[number], limit)], context)
            left = None if left is None else left - alone.gas
            assert (row.outcome & 255, row.outcome >> 16, row.gas) == (alone.code, alone.line, alone.gas)
    assert dict(lane.ledger.world.instances["token"].rows()) == dict(apart.rows())
    for engine in (plain, compiled(bytes(32))):
        world, _ = apply_genesis(lane.ledger.config, engine)
        if engine is not plain:
            world.use(KernelRoots(sha256, kernels.forest(sha256, 3)))
        for applied in lane.ledger.blocks[1:]:
            replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
        assert world.block_hash == lane.ledger.world.block_hash


def mutants(lane):
    draft = lane.draft("token", "transfer", GOOD)
    joined = draft.joined()
    good = draft.data(joined)
    yield "a row altered", draft.request(good[:-1] + bytes([good[-1] ^ 1]))
    yield "two amounts swapped", draft.request(good[:-16] + good[-8:] + good[-16:-8])
    other = lane.draft("token", "transfer", {0: (TO, 6), 1: (TO, 5), 3: (TO, 7)})
    yield "rows reordered", draft.request(other.data(joined))
    yield "a client swapped", draft.request(draft.data(joined, [0, 2, 3]))
    yield "a client more", draft.request(lane.draft("token", "transfer", {**GOOD, 4: (TO, 1)}).data(joined))
    yield "a client less", draft.request(lane.draft("token", "transfer", {0: (TO, 5), 1: (TO, 6)}).data(joined))
    yield "a subset signed", draft.request(draft.data(draft.joined([0, 1])))
    yield "one signed twice", draft.request(draft.data(draft.joined([0, 1, 1])))
    yield "another signed", draft.request(draft.data(draft.joined([0, 1, 2])))
    yield "nobody signed", draft.request(draft.data(b"\xc0" + bytes(95)))
    yield "no point", draft.request(draft.data(b"\xff" * 96))
    yield "the budget raised", draft.request(good[:8] + struct.pack("<Q", 1) + good[16:])
    yield "of another transaction", draft.request(good, tx_id="b" * 64)
    yield "of another time", draft.request(good, timestamp=draft.payload.timestamp - 1)
    lane.ledger.install("token2", (EXAMPLES / "token.py").read_bytes(), supply="1")
    yield "of another contract", draft.request(good, contract_name="token2")
    alone = lane.draft("token", "transfer", {0: (TO, 5)})
    key = lane.parties[0].key
    bare = key.sign_together([BlsKey(key.public.data)], b"changan" + alone.message())
    yield "something else signed", alone.request(alone.data(bare))
    proof = key.prove_possession(alone.message())
    yield "a proof of possession in its place", alone.request(alone.data(proof))


def test_only_what_exactly_these_clients_signed_is_taken(lane):
    tried = 0
    for what, request in mutants(lane):
        said = refused(lane, request)
        assert said.startswith("bundle refused: the multi-signature is not that of exactly these"), what
        assert f"txId:{request.payload.tx_id}" in said
        tried += 1
    assert tried == 17
    assert balance(lane, TO) == 0
    assert not lane.ledger.seal(lane.bundle("token", "transfer", GOOD)).block.txs[0].result.code


def misshapen(draft):
    good = draft.data()
    numbers = lambda *found: good[:SIGNED] + struct.pack("<3I", *found) + good[SIGNED + 12 :]  # noqa: E731
    yield numbers(1, 0, 3), "grow from row to row, and none comes twice"
    yield numbers(0, 1, 1), "grow from row to row, and none comes twice"
    yield numbers(0, 1, 77), "client 77 is not registered: send CHANGAN.BLS-REGISTER first"
    yield numbers(0, 1, 2**32 - 1), "is not registered"
    yield good[:-1], "shorter than 3 rows"
    yield good + b"\0", "1 bytes follow"
    yield good[: SIGNED + 11], "ends before the numbers of its 3 clients do"
    yield good[:HEAD_BYTES], "ends before"
    yield good[:4], "no bundle of version 1"
    yield good[:4] + struct.pack("<I", 0) + good[8:], "1 to 65536 rows"
    yield good[:4] + struct.pack("<I", 65_537) + good[8:], "1 to 65536 rows"
    yield good[:4] + struct.pack("<I", 2**32 - 1) + good[8:], "1 to 65536 rows"
    yield good[:16] + bytes(8) + good[24:], "build the bundle again"


def test_what_is_misshapen_is_refused_by_name(lane):
    draft = lane.draft("token", "transfer", GOOD)
    for data, says in misshapen(draft):
        said = refused(lane, draft.request(data))
        assert said.startswith("bundle refused: ")
        assert says in said


def test_the_broker_signs_the_whole_and_a_replay_is_none(lane):
    request = lane.bundle("token", "transfer", GOOD)
    forged = lane.bundle("token", "transfer", GOOD)
    forged.sender.signature = request.sender.signature
    assert "authentication" in refused(lane, forged)
    lane.ledger.seal(request)
    with pytest.raises(InvalidBlockError, match="repeats"):
        lane.ledger.seal(request)
    assert balance(lane, TO) == 18


def test_where_it_may_not_go(lane, consortium):
    draft = lane.draft("token", "transfer", GOOD)
    assert "no Python contract 'nowhere'" in refused(lane, draft.request(contract_name="nowhere"))
    assert "no Python contract 'T'" in refused(lane, draft.request(contract_name="T"))
    assert "no @call 'balance_of'" in refused(lane, draft.request(method="balance_of"))
    assert "build the bundle again" in refused(lane, draft.request(method="approve"))
    policy = {"token-transfer": json_policy("ANY", ["CLIENT"])}
    assert lane.ledger.configure("PERMISSION_ADD", policy).code == 0
    said = refused(lane, lane.bundle("token", "transfer", GOOD))
    assert "a policy says who may call token-transfer: its calls go one by one" in said
    said = refused(Lane(consortium, 0, distilled=False), draft.request())
    assert "bundle refused: this chain was made without the distilled lane" in said


def json_policy(rule: str, roles: list[str]) -> bytes:
    return Policy(rule=rule, role_list=roles).SerializeToString()


def test_a_question_is_not_asked_this_way(lane):
    request = lane.bundle("token", "transfer", GOOD)
    request.payload.tx_type = TxType.QUERY_CONTRACT
    request.sender.CopyFrom(lane.ledger.consortium.signer().endorse(request.payload))
    world, time = lane.ledger.world, lane.ledger.time_us // 1_000_000
    verdict = admit(request, world, time)
    assert verdict.callers is None
    answer = Execution(world, BlockContext(world.height + 1, time)).query(request, verdict)
    assert "a bundle is invoked, not asked" in answer.result.message


def test_a_plain_bundle_does_not_pass_for_one_and_has_one_caller(lane):
    signature = lane.ledger.world.instances["token"].program.method("transfer")
    data = encode_bundle(signature, columns_of(signature, [(TO, 1)]), 1, 0)
    request = lane.ledger.request("token", "transfer", {PARAMETER: data}, sender=lane.parties[0].signer)
    assert distilled_parameter(request.payload) is None
    assert result_of(lane.ledger.seal(request)).caller == lane.address(lane.parties[0])
    with pytest.raises(BundleError, match="no bundle of version 1"):
        decode_distilled(data, signature)


def test_nothing_is_looked_at_before_the_brokers_signature_holds(lane, monkeypatch):
    request = lane.bundle("token", "transfer", GOOD)
    request.sender.signature = request.sender.signature[:-1] + bytes([request.sender.signature[-1] ^ 1])
    monkeypatch.setattr("changan.ledger.lane.require_together", lambda *_: pytest.fail("pairings are not for nobody"))
    time = lane.ledger.time_us // 1_000_000
    [proven] = prove(ask([request], lane.ledger.world, time), lane.ledger.world.signatures)
    assert proven.lane is None
    for found in (proven, None):
        with pytest.raises(RefusedError, match="authentication failed"):
            admit(request, lane.ledger.world, time, found)


def test_the_format_stays_as_it_is(consortium):
    """Bytes and digest written down once: another program may build on them."""
    signature = compile_source((EXAMPLES / "token.py").read_text()).method("transfer")
    bundle = Bundle(2, 9, columns_of(signature, [(TO, 5), (b"\x01" * 20, 2**40)]), b"\x0a" * 20 + b"\x0b" * 20)
    root = rows_root(signature, bundle, Roots(sha256))
    # the same leaves by hand: row, outcome, gas, length, caller and arguments, nothing
    leaves = [
        struct.pack("<IIQI", row, 0, 0, 48) + who * 20 + to * 20 + struct.pack("<Q", amount) + bytes(8)
        for row, (who, to, amount) in enumerate([(b"\x0a", b"\x07", 5), (b"\x0b", b"\x01", 2**40)])
    ]
    node = [sha256(b"\x00" + leaf) for leaf in leaves]
    assert root == sha256(b"\x01" + node[0] + node[1])
    payload = Payload(chain_id="c", contract_name="token", method="transfer", tx_id="ab", timestamp=1700000000)
    parts = [b"changan.distilled.1", b"c", b"token", b"transfer", b"ab"]
    parts += [struct.pack(">q", 1700000000), struct.pack(">Q", 9), struct.pack(">I", 2), root]
    message = sha256(b"".join(struct.pack(">Q", len(part)) + part for part in parts))
    assert signed_message(payload, 9, 2, root, sha256) == message
    assert message.hex() == "4e860dde223ad32ba7f94e832e6d0e49b2e54e9d7f862615fc2015464e4c4456"
    data = encode_distilled(signature, bundle.columns, [3, 8], 9, b"\x55" * 96)
    assert data == (
        b"CGD\x01" + struct.pack("<IQ", 2, 9) + schema(signature) + b"\x55" * 96 + struct.pack("<II", 3, 8)
        + TO + b"\x01" * 20 + struct.pack("<QQ", 5, 2**40)
    )  # fmt: skip
    assert decode_distilled(data, signature).clients == (3, 8)


def test_a_rows_receipt_shows_its_caller(lane):
    applied = lane.ledger.seal(lane.bundle("token", "transfer", GOOD))
    stored = BlockWithRWSet.FromString(record_of(applied))
    signature = lane.ledger.world.instances["token"].program.method("transfer")
    sent = decode_distilled(applied.block.txs[0].payload.parameters[0].value, signature)
    bundle = sent.called_by(b"".join(lane.client(number).address for number in sent.clients))
    receipts = [make_row_receipt(stored, 0, signature, bundle, row) for row in range(3)]
    for row, (number, receipt) in enumerate(zip(GOOD, receipts, strict=True)):
        proven = verify_row_receipt(json.loads(json.dumps(receipt)))
        assert proven.caller == lane.address(lane.parties[number])
        assert proven.arguments == TO + GOOD[number][1].to_bytes(8, "little")
        for name, changed in (("row", (row + 1) % 3), ("arguments", receipts[row - 1]["arguments"])):
            with pytest.raises(UnverifiedError, match="not the one under the bundle's outcome root"):
                verify_row_receipt(receipt | {name: changed})


def test_a_log_whose_callers_are_not_there_is_not_replayed(lane):
    applied = lane.ledger.seal(lane.bundle("token", "transfer", {4: (TO, 1)}))
    world, _ = apply_genesis(lane.ledger.config)
    missed = [each for each in lane.ledger.blocks[1:] if each is not applied]
    for each in missed:
        replay_block(world, BlockWithRWSet.FromString(record_of(each)))
    stored = BlockWithRWSet.FromString(record_of(applied))
    data = stored.block.txs[0].payload.parameters[0].value
    stored.block.txs[0].payload.parameters[0].value = data[:SIGNED] + struct.pack("<I", 9) + data[SIGNED + 4 :]
    with pytest.raises(ReplayError, match="client 9 is not registered"):
        replay_block(world, stored)
    stored.block.txs[0].payload.parameters[0].value = MAGIC + struct.pack("<I", 2**31)
    with pytest.raises(ReplayError, match="ends before the numbers"):
        replay_block(world, stored)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data):
    for given_ in (data, MAGIC + data):
        try:
            found = read_clients(given_)
        except BundleError:
            continue
        assert len(found) == int.from_bytes(given_[4:8], "little")


def test_shares_are_for_all_or_for_nothing(lane):
    """A share that was made for three does not serve in a bundle of two, though both rows stand in it."""
    three = lane.draft("token", "transfer", GOOD)
    public = [lane.parties[number].key.public for number in GOOD]
    shares = [lane.parties[number].key.sign_together(public, three.message()) for number in (0, 1)]
    two = lane.draft("token", "transfer", {0: (TO, 5), 1: (TO, 6)})
    assert "multi-signature" in refused(lane, two.request(two.data(join_shares(shares))))
