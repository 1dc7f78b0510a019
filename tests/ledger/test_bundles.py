"""Bundles: every row its own outcome and receipt; the same as calls one by one; anything odd refused whole."""

from __future__ import annotations

import copy
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.contract.compiled.columns import ColumnData
from changan.contract.instance import Code
from changan.contract.program import compile_source
from changan.contract.records import rows_of
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.bundle import (
    MESSAGE,
    PARAMETER,
    BundleError,
    columns_of,
    decode_bundle,
    encode_bundle,
    open_bundle,
    schema,
)
from changan.ledger.bundle_rows import rows_of_bundle
from changan.ledger.row_receipt import make_row_receipt, verify_row_receipt
from changan.ledger.transition import Decided, InvalidBlockError, apply_block
from changan.ledger.wire.messages import BlockWithRWSet, BundleResult, TxStatusCode
from changan.node.storage import record_of
from consortium import EXAMPLES, Ledger

SOURCE = """
from typing import Annotated

from annotated_types import MaxLen

from changan.contract import (
    I64, U64, U128, Address, Bool, Contract, Digest, Enum, Event, List, Map, Record, Text, call, emit, require,
)


class Colour(Enum):
    RED = 0
    BLUE = 1


class Note(Record):
    text: Annotated[Text, MaxLen(40)]
    weight: U64


class Put(Event):
    key: U64
    note: Note
    label: Annotated[Text, MaxLen(20)]


class Everything(Contract):
    notes: Map[U64, Note]
    log: List[U64]
    total: U64

    @call
    def put(
        self, key: U64, small: I64, wide: U128, flag: Bool, colour: Colour, who: Address, digest: Digest, note: Note,
        label: Annotated[Text, MaxLen(20)],
    ) -> Annotated[Text, MaxLen(20)]:
        require(key not in self.notes, "there is one")
        require(small > -5, "too small")
        self.notes[key] = note
        self.total += note.weight
        self.log.append(key)
        if flag:
            emit(Put(key=key, note=note, label=label))
        return label

    @call
    def drop(self, key: U64) -> U64:
        weight = self.notes[key].weight
        del self.notes[key]
        return weight
"""
PROGRAM = compile_source(SOURCE)
PUT = PROGRAM.method("put")
TO = bytes([7]) * 20


@pytest.fixture(scope="module")
def consortium(either):
    return either


@pytest.fixture
def ledger(consortium) -> Ledger:
    made = Ledger(consortium)
    made.install("token", supply="1000")
    made.install("everything", SOURCE.encode())
    return made


def parameter(program, method: str, rows, budget: int = 0) -> bytes:
    signature = program.method(method)
    return encode_bundle(signature, columns_of(signature, rows), len(rows), budget)


def token_bundle(ledger, rows, budget: int = 0, **options):
    program = ledger.world.instances["token"].program
    options.setdefault("sender", ledger.consortium.admin())
    return ledger.request("token", "transfer", {PARAMETER: parameter(program, "transfer", rows, budget)}, **options)


def result_of(applied) -> BundleResult:
    return BundleResult.FromString(applied.block.txs[0].result.contract_result.result)


def opened(applied, position: int = 0):
    """Return a stored block's bundle: signature, bundle, rows."""
    stored = BlockWithRWSet.FromString(record_of(applied))
    return stored, next(side for side in stored.bundle_rows if side.position == position)


def test_each_row_has_its_own_outcome(ledger):
    applied = ledger.seal(token_bundle(ledger, [(TO, 5), (TO, 0), (TO, 5000), (TO, 7)]))
    transaction = applied.block.txs[0]
    assert transaction.result.code == TxStatusCode.SUCCESS
    assert transaction.result.contract_result.message == MESSAGE
    result = result_of(applied)
    assert (result.rows, result.succeeded) == (4, 2)
    assert (
        result.caller
        == ledger.world.members.identify(
            ledger.consortium.admin().member, 0 or applied.block.header.block_timestamp
        ).address
    )
    _, side = opened(applied)
    words = struct.unpack("<4I", side.outcomes)
    assert [word & 255 for word in words] == [Code.OK, Code.DECLINED, Code.DECLINED, Code.OK]
    assert words[1] >> 16
    assert sum(struct.unpack("<4Q", side.gas)) == result.gas == transaction.result.contract_result.gas_used
    assert ledger.world.row("token", f"balances.{TO.hex()}") == (12).to_bytes(8, "big")
    (write,) = applied.rw_sets[0].tx_writes
    assert (write.contract_name, write.key) == ("token", PARAMETER.encode())
    names = list(ledger.world.instances["token"].program.field_places)
    assert {row.key: row.value for row in rows_of(names, side.delta)}[f"balances.{TO.hex()}"] == (12).to_bytes(8, "big")


values = st.tuples(
    st.integers(0, 12),
    st.integers(-8, 8),
    st.integers(0, 2**128 - 1),
    st.booleans(),
    st.integers(0, 1),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=32, max_size=32),
    st.tuples(st.text(max_size=10), st.integers(0, 9)),
    st.text(max_size=5),
)


@settings(max_examples=40)
@given(st.lists(values, min_size=1, max_size=20))
def test_a_bundle_is_its_calls_one_by_one(consortium, rows):
    together, apart = Ledger(consortium), Ledger(consortium)
    for one in (together, apart):
        one.install("everything", SOURCE.encode())
    applied = together.seal(together.request("everything", "put", {PARAMETER: parameter(PROGRAM, "put", rows)}))
    _, side = opened(applied)
    signature, bundle = open_bundle(PROGRAM, "put", applied.block.txs[0].payload.parameters[0].value)
    assert [bundle.arguments(signature, row) for row in range(len(rows))] == rows
    instance = apart.world.instances["everything"]
    caller = apart.world.members.identify(consortium.signer().member, applied.block.header.block_timestamp).address
    from changan.contract.instance import BlockContext, Call

    context = BlockContext(applied.block.header.block_height, applied.block.header.block_timestamp)
    outcomes = instance.run("put", [Call(caller, row, 1_000_000) for row in rows], context)
    found = list(rows_of_bundle(signature, bundle, side))
    for mine, theirs in zip(found, outcomes, strict=True):
        assert mine.outcome == theirs.code | theirs.detail << 8 | theirs.line << 16
        assert mine.gas == theirs.gas
        assert mine.result == (theirs.result or "").encode()
        assert bool(mine.events) == bool(theirs.events)
    assert list(rows_of(list(PROGRAM.field_places), side.delta)) == instance.collect()
    assert dict(together.world.instances["everything"].rows()) == dict(instance.rows())


def test_the_budget_is_shared_and_rows_after_it_do_not_run(ledger):
    applied = ledger.seal(token_bundle(ledger, [(TO, 1)] * 5, budget=1200))
    _, side = opened(applied)
    codes = [word & 255 for word in struct.unpack("<5I", side.outcomes)]
    gas = struct.unpack("<5Q", side.gas)
    assert codes == [0, 0, Code.OUT_OF_GAS, Code.OUT_OF_GAS, Code.OUT_OF_GAS]
    assert sum(gas) == 1200
    assert gas[3:] == (0, 0)


def test_a_replayed_bundle_is_no_block(ledger):
    request = token_bundle(ledger, [(TO, 1)])
    ledger.seal(request)
    with pytest.raises(InvalidBlockError, match="repeats"):
        ledger.seal(request)


def test_altered_rows_do_not_verify(ledger):
    request = token_bundle(ledger, [(TO, 1), (TO, 2)])
    changed = copy.deepcopy(request)
    data = bytearray(changed.payload.parameters[0].value)
    data[-1] ^= 1
    changed.payload.parameters[0].value = bytes(data)
    with pytest.raises(InvalidBlockError, match="authentication failed"):
        ledger.seal(changed)


def bad_bundles():
    program = compile_source((EXAMPLES / "token.py").read_text())
    good = parameter(program, "transfer", [(TO, 1), (TO, 2)])
    other = parameter(program, "mint", [(TO, 1)]) if program.method("mint") else b"CGB\x01"
    yield b"", "no bundle"
    yield b"CGB\x02" + good[4:], "no bundle"
    yield good[:-1], "shorter than 2 rows"
    yield good + b"\0", "1 bytes follow"
    yield good[:4] + struct.pack("<I", 0) + good[8:], "1 to 65536 rows"
    yield good[:4] + struct.pack("<I", 70_000) + good[8:], "1 to 65536 rows"
    yield good[:4] + struct.pack("<I", 3) + good[8:], "shorter than 3 rows"
    yield good[:16] + bytes(8) + good[24:], "build the bundle again"
    yield other, "no bundle|build the bundle again"


@pytest.mark.parametrize(("data", "says"), list(bad_bundles()))
def test_what_is_refused_whole(ledger, data, says):
    before = ledger.world.instances["token"].get(f"balances.{TO.hex()}")
    result = ledger.call("token", "transfer", {PARAMETER: data}, sender=ledger.consortium.admin())
    assert result.code == TxStatusCode.INVALID_PARAMETER
    import re

    assert re.search(says, result.contract_result.message)
    assert ledger.world.instances["token"].get(f"balances.{TO.hex()}") == before


def test_bad_values_are_refused_with_their_column(ledger):
    rows = [(1, 1, 1, True, 1, TO, bytes(32), ("a", 1), "x")] * 2
    columns = columns_of(PUT, rows)
    for place, data, name in [
        (3, b"\x02\x01", "flag"),
        (4, b"\x00\x02", "colour"),
        (8, b"\xff\xff", "label"),
        (7, struct.pack("<I", 50) + b"a" * 50, "note"),
    ]:
        broken = list(columns)
        ends = columns[place].ends
        if place == 7:
            ends = struct.pack("<2I", len(data), len(data))
        broken[place] = ColumnData(data, ends)
        with pytest.raises(BundleError, match=name):
            decode_bundle(encode_bundle(PUT, broken, 2, 0), PUT)


def test_views_helpers_and_callers_of_others_take_no_bundles(ledger):
    instance = ledger.world.instances["token"]
    data = parameter(instance.program, "transfer", [(TO, 1)])
    for method in ("balance_of", "_move", "nothing"):
        result = ledger.call("token", method, {PARAMETER: data})
        assert "no @call" in result.contract_result.message
    result = ledger.call("token", "transfer", {PARAMETER: data, "to": "11" * 20}, sender=ledger.consortium.admin())
    assert result.code != 0


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data):
    for junk in (data, b"CGB\x01" + data, b"CGB\x01" + struct.pack("<IQ", 1, 0) + schema(PUT) + data):
        try:
            decode_bundle(junk, PUT)
        except BundleError:
            continue


def receipts(ledger):
    rows = [(n, n - 3, n, n % 2 == 0, n % 2, TO, bytes(32), (f"t{n}", n), f"l{n}") for n in range(7)]
    requests = [
        ledger.request("everything", "put", {PARAMETER: parameter(PROGRAM, "put", rows)}),
        token_bundle(ledger, [(TO, 1)]),
    ]
    applied = ledger.seal(*requests)
    header = applied.block.header
    sealer = ledger.consortium.signer(1, "consensus1", "consensus")
    del header
    stored, _ = opened(applied)
    signature, bundle = open_bundle(PROGRAM, "put", applied.block.txs[0].payload.parameters[0].value)
    return [make_row_receipt(stored, 0, signature, bundle, number) for number in range(7)], sealer


def test_every_row_has_a_receipt_that_holds_alone(ledger):
    for number, receipt in enumerate(receipts(ledger)[0]):
        proven = verify_row_receipt(json.loads(json.dumps(receipt)))
        assert proven.row.number == number
        assert (proven.bundle.contract, proven.bundle.method) == ("everything", "put")
        assert proven.row.arguments.startswith(struct.pack("<Qq", number, number - 3))
        assert proven.row.result == f"l{number}".encode()


@settings(max_examples=60)
@given(st.data())
def test_a_changed_receipt_does_not_hold(consortium, data):
    made = Ledger(consortium)
    made.install("token", supply="1000")
    made.install("everything", SOURCE.encode())
    receipt = data.draw(st.sampled_from(receipts(made)[0]))
    name = data.draw(st.sampled_from(sorted(set(receipt) - {"suite"})))
    value = receipt[name]
    if isinstance(value, int):
        receipt[name] = value + data.draw(st.integers(1, 9))
    elif isinstance(value, list):
        at = data.draw(st.integers(0, len(value) - 1))
        receipt[name] = value[:at] + value[at + 1 :]
    else:
        at = data.draw(st.integers(0, max(0, len(value) - 1)))
        letter = "B" if value[at : at + 1] == "A" else "A"
        receipt[name] = value[:at] + letter + value[at + 1 :]
    with pytest.raises((UnverifiedError, MalformedError)):
        verify_row_receipt(receipt)


def test_no_contract_can_pretend_to_be_a_bundle(ledger):
    """A result that reads like a bundle's proves nothing: only a bundle's result says that it is one."""
    receipt = receipts(ledger)[0][0]
    import base64

    from changan.ledger.wire.messages import ContractResult

    forged = ContractResult.FromString(base64.b64decode(receipt["contract_result"]))
    forged.message = ""
    receipt["contract_result"] = base64.b64encode(forged.SerializeToString()).decode()
    with pytest.raises(UnverifiedError, match="not that of a bundle"):
        verify_row_receipt(receipt)


def test_a_bundle_in_the_state_tree(ledger):
    """The rows of a bundle are under the state root as those of single calls are."""
    single = Ledger(ledger.consortium)
    single.install("token", supply="1000")
    single.install("everything", SOURCE.encode())
    bundled = ledger.seal(token_bundle(ledger, [(TO, 5)]))
    decided_time = ledger.time_us
    apart = single.request("token", "transfer", {"to": TO.hex(), "amount": "5"}, sender=ledger.consortium.admin())
    single.time_us = decided_time - 1_000_000
    single.seal(apart)
    token = dict(single.world.instances["token"].rows())
    assert dict(ledger.world.instances["token"].rows()) == token
    assert bundled.state_root is not None


def test_the_same_block_whatever_was_known_of_it(ledger):
    """A verdict found before and one found in the block give the same block."""
    other = Ledger(ledger.consortium)
    other.install("token", supply="1000")
    request = token_bundle(ledger, [(TO, 1), (TO, 0)])
    applied = ledger.seal(request)
    again = Decided(ledger.world.height + 1, ledger.time_us + 1, None, [token_bundle(ledger, [(TO, 1)])], [None])
    assert apply_block(ledger.world, again).block.header.pre_block_hash == applied.block.header.block_hash
