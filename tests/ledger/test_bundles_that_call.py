"""Bundles to contracts that call others: the same as the calls one by one, in both engines; what was made before stays so."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.contract.compiled import marshal, stored
from changan.contract.engines import compiled, plain
from changan.contract.instance import Code, Event, Outcome
from changan.crypto.digest import sha256
from changan.crypto.merkle import tree_root
from changan.ledger.bundle import PARAMETER, columns_of, decode_bundle, encode_bundle
from changan.ledger.bundle_rows import rows_of_bundle
from changan.ledger.outcomes import failure_text
from changan.ledger.roots import KernelRoots
from changan.ledger.row_receipt import make_row_receipt, verify_row_receipt
from changan.ledger.rule_sets import BUNDLES_THAT_CALL, KEY
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet, BundleResult, TxStatusCode
from changan.node.audit import AuditError, Auditor
from changan.node.audit_bundle import BundleAudit, Installed
from changan.node.storage import record_of, replay_block
from consortium import Ledger, SealedLog

ABOVE = """
from changan.contract import Address, Contract, Event, Interface, List, Map, U64, call, decline, emit, init, require, view


class Other(Event):
    text: U64


class Noted(Event):
    who: Address
    n: U64


class Store(Interface):
    @call
    def put(self, k: U64, v: U64) -> U64:
        raise NotImplementedError

    @view
    def get(self, k: U64) -> U64:
        raise NotImplementedError
"""
STORE = (
    ABOVE
    + """

class Shelf(Contract):
    rows: Map[U64, U64]
    log: List[U64]

    @call
    def put(self, k: U64, v: U64) -> U64:
        self.rows[k] = v
        self.log.append(k)
        emit(Noted(who=self.caller, n=v))
        require(v < 6, "too much")
        while v == 5:
            self.rows[k] = v
        return v + 1

    @view
    def get(self, k: U64) -> U64:
        return self.rows[k]
"""
)
MIDDLE = (
    ABOVE
    + """

class Middle(Contract):
    shelf: Address
    passed: U64

    @init
    def create(self, shelf: Address) -> None:
        self.shelf = shelf

    @call
    def put(self, k: U64, v: U64) -> U64:
        self.passed += 1
        found = Store(self.shelf).put(k, v)
        emit(Other(text=found))
        return found

    @view
    def get(self, k: U64) -> U64:
        return Store(self.shelf).get(k)
"""
)
MOVER = (
    ABOVE
    + """

class Mover(Contract):
    done: U64
    seen: Map[U64, U64]

    @call
    def move(self, to: Address, then: Address, k: U64, v: U64) -> U64:
        self.done += 1
        emit(Noted(who=to, n=v))
        first = Store(to).put(k, v)
        emit(Noted(who=then, n=first))
        self.seen[k] = first
        second = Store(then).put(k, first)
        require(self.seen[k] != 4, "unlucky")
        return second + Store(to).get(k)

    @view
    def look(self, at: Address, k: U64) -> U64:
        return Store(at).get(k)

    @call
    def peek(self, at: Address, k: U64) -> None:
        self.seen[k] = Store(at).get(k)
"""
)
CONTRACTS = {"shelf": STORE, "shelf2": STORE, "middle": MIDDLE, "mover": MOVER}
TARGETS = ["shelf", "shelf2", "middle", "mover", "nobody"]
ENGINES = {"plain": plain, "compiled": compiled(bytes(32))}


def grown(consortium, engine=plain, *, rules: bool = True) -> Ledger:
    ledger = Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"))
    ledger.world, ledger.genesis = apply_genesis(ledger.config, engine)
    for name, source in CONTRACTS.items():
        arguments = {"shelf": address(ledger, "shelf").hex()} if name == "middle" else {}
        assert not ledger.install(name, source.encode(), **arguments).code
    if rules:
        ledger.configure("CONSENSUS_EXT_ADD", {KEY: f"{BUNDLES_THAT_CALL}@{ledger.world.height + 2}"})
    return ledger


def address(ledger: Ledger, name: str) -> bytes:
    return ledger.world.instances[name].address if name != "nobody" else bytes(20)


def bundle(ledger: Ledger, rows, budget: int = 0, method: str = "move"):
    signature = ledger.world.instances["mover"].program.method(method)
    data = encode_bundle(signature, columns_of(signature, rows), len(rows), budget)
    return ledger.request("mover", method, {PARAMETER: data})


def side_of(applied, position: int = 0):
    stored_block = BlockWithRWSet.FromString(record_of(applied))
    return stored_block, next(side for side in stored_block.bundle_rows if side.position == position)


def told(ledger: Ledger, applied):
    """Return what came of a bundle's rows in the words of single calls: result or failure, gas, events."""
    payload, result = applied.block.txs[0].payload, applied.block.txs[0].result.contract_result
    found = BundleResult.FromString(result.result)
    _, side = side_of(applied)
    program = ledger.world.instances["mover"].program
    signature = program.method(payload.method)
    sent = decode_bundle(payload.parameters[0].value, signature)
    for row in rows_of_bundle(signature, sent, side):
        outcome = Outcome(Code(row.outcome & 255), row.outcome >> 8 & 255, row.outcome >> 16, row.gas, None, ())
        if outcome.code:
            yield failure_text(program, outcome), row.gas, []
        else:
            value = marshal.read_alone(signature.result, row.result)
            yield program.encode_result(payload.method, value), row.gas, list(shown(ledger, found, row.events))


def shown(ledger: Ledger, found: BundleResult, events: bytes):
    names, at = ["mover", *found.emitters], 0
    while at < len(events):
        kind, length = struct.unpack_from("<II", events, at)
        name, at = names[kind >> 16], at + 8
        program = ledger.world.instances[name].program
        event = program.tree.events[kind & 0xFFFF]
        values, end = [], at
        for _, part in event.fields:
            value, end = marshal.read(part, memoryview(events), end)
            values.append(value)
        assert end == at + length
        at = end
        yield event.name, name, list(program.event_data(Event(event.name, tuple(values), b"")))


def single(tx):
    result = tx.result.contract_result
    events = [(event.topic, event.contract_name, list(event.event_data)) for event in result.contract_event]
    return (result.message if tx.result.code else result.result), result.gas_used, events


def rows_of(ledger: Ledger):
    return {name: sorted(instance.rows()) for name, instance in ledger.world.instances.items()}


ROWS = st.lists(
    st.tuples(st.sampled_from(TARGETS), st.sampled_from(TARGETS), st.integers(0, 3), st.integers(0, 7)),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=25)
@given(ROWS)
def test_a_bundle_is_its_calls_one_by_one(consortium, engine, rows):
    together, apart = (grown(consortium, ENGINES[engine]) for _ in range(2))
    rows = [(address(together, to), address(together, then), k, v) for to, then, k, v in rows]
    applied = together.seal(bundle(together, rows))
    assert applied.block.txs[0].result.code == TxStatusCode.SUCCESS
    requests = [
        apart.request("mover", "move", {"to": to.hex(), "then": then.hex(), "k": str(k), "v": str(v)})
        for to, then, k, v in rows
    ]
    singles = apart.seal(*requests)
    assert list(told(together, applied)) == [single(tx) for tx in singles.block.txs]
    assert rows_of(together) == rows_of(apart)
    changed = {write.contract_name for rw_set in singles.rw_sets for write in rw_set.tx_writes}
    listed = [write.contract_name for write in applied.rw_sets[0].tx_writes]
    assert set(listed) == changed | {"mover"}
    assert len(list(Auditor(together.log()).blocks())) == together.world.height + 1


SOME = [("shelf", "shelf2", 1, 1), ("middle", "shelf2", 1, 3), ("shelf", "nobody", 2, 2), ("shelf2", "middle", 1, 2)]


def some(ledger: Ledger, times: int = 1):
    return [(address(ledger, to), address(ledger, then), k, v) for to, then, k, v in SOME] * times


def test_engines_make_the_same_blocks_and_replay_one_anothers(consortium, monkeypatch):
    monkeypatch.setattr(stored, "DRAIN_BYTES", 1)  # memory is written down after every row
    ledger = grown(consortium)
    made = ledger.seal(bundle(ledger, some(ledger, 50)), ledger.request("T", "P", {"k": "a"}))
    world, _ = apply_genesis(ledger.config, ENGINES["compiled"])
    for applied in ledger.blocks[1:]:  # it raises where the hash of a block is another one
        again = replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
    assert again.bundles == made.bundles
    assert {name: sorted(instance.rows()) for name, instance in world.instances.items()} == rows_of(ledger)


@pytest.mark.timeout(1200)  # whoever comes first waits for the kernels to compile
def test_kernels_make_the_same_roots(consortium, kernels):
    ledger = grown(consortium)
    ledger.seal(bundle(ledger, some(ledger, 50)))
    world, _ = apply_genesis(ledger.config, ENGINES["compiled"])
    world.use(KernelRoots(world.digest, kernels.forest(world.digest, 7)))
    for applied in ledger.blocks[1:]:
        replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
    assert world.block_hash == ledger.world.block_hash


def test_the_budget_is_shared_with_those_that_are_called(consortium):
    ledger = grown(consortium)
    free = ledger.seal(bundle(ledger, some(ledger)))
    gas = struct.unpack("<4Q", side_of(free)[1].gas)
    held = ledger.seal(bundle(ledger, some(ledger), budget=gas[0] + 700))
    _, side = side_of(held)
    spent = struct.unpack("<4Q", side.gas)
    codes = [word & 255 for word in struct.unpack("<4I", side.outcomes)]
    assert sum(spent) <= gas[0] + 700
    assert codes[-1] == Code.OUT_OF_GAS
    assert spent[-1] == 0


def test_a_view_that_is_asked_lists_nothing(consortium):
    ledger = grown(consortium)
    ledger.seal(bundle(ledger, some(ledger)))
    applied = ledger.seal(bundle(ledger, [(address(ledger, "shelf"), 1), (address(ledger, "shelf"), 9)], method="peek"))
    _, side = side_of(applied)
    assert [word & 255 for word in struct.unpack("<2I", side.outcomes)] == [0, Code.INNER_CALL]
    assert [write.contract_name for write in applied.rw_sets[0].tx_writes] == ["mover"]
    assert not side.others
    assert applied.work == 1 + 2  # a row takes as long as a call


def test_every_row_has_a_receipt(consortium):
    ledger = grown(consortium)
    applied = ledger.seal(bundle(ledger, some(ledger)))
    block, _ = side_of(applied)
    signature = ledger.world.instances["mover"].program.method("move")
    sent = decode_bundle(block.block.txs[0].payload.parameters[0].value, signature)
    for number in range(len(SOME)):
        receipt = json.loads(json.dumps(make_row_receipt(block, 0, signature, sent, number)))
        proven = verify_row_receipt(receipt)
        assert proven.row.number == number
        assert list(proven.bundle.emitters) == ["shelf", "shelf2", "middle"]


def flip(message, name: str) -> None:
    data = bytearray(getattr(message, name))
    data[-1] ^= 1
    setattr(message, name, bytes(data))


def swap(side) -> None:
    side.others[0].contract, side.others[1].contract = side.others[1].contract, side.others[0].contract


def emitter(side) -> None:
    data = bytearray(side.events)
    kind = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", data, 4, kind | 1 << 16)
    side.events = bytes(data)


FORGERIES = {
    "a row of another contract": lambda side: flip(side.others[0], "delta"),
    "a contract left out": lambda side: side.others.pop(),
    "a contract twice": lambda side: side.others.append(side.others[0]),
    "another contract": lambda side: setattr(side.others[0], "contract", "token"),
    "names that changed places": swap,
    "an event of another": emitter,
    "nothing changed": lambda side: side.others.add(contract="token"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_was_changed_beside_the_block_is_found(consortium, name):
    ledger = grown(consortium)
    applied = ledger.seal(bundle(ledger, some(ledger)))
    forged, side = side_of(applied)
    FORGERIES[name](side)
    records = [record_of(one) for one in ledger.blocks[:-1]] + [forged.SerializeToString()]
    with pytest.raises(AuditError, match=f"block {ledger.world.height}: .* bundle"):
        list(Auditor(SealedLog(records)).blocks())


def test_by_the_rules_of_before_it_is_refused_as_before(consortium):
    ledger = grown(consortium, rules=False)
    words = "bundle refused: the contract calls other contracts: its calls go one by one"
    before = ledger.seal(bundle(ledger, some(ledger)))
    assert before.block.txs[0].result.code == TxStatusCode.INVALID_PARAMETER
    assert before.block.txs[0].result.contract_result.message == words
    at = ledger.world.height + 3
    ledger.configure("CONSENSUS_EXT_ADD", {KEY: f"{BUNDLES_THAT_CALL}@{at}"})
    assert ledger.seal(bundle(ledger, some(ledger))).block.txs[0].result.contract_result.message == words
    after = ledger.seal(bundle(ledger, some(ledger)))
    assert (after.block.header.block_height, after.block.txs[0].result.code) == (at, TxStatusCode.SUCCESS)
    world, _ = apply_genesis(ledger.config)
    for applied in ledger.blocks[1:]:
        replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
    assert len(list(Auditor(ledger.log()).blocks())) == at + 1


def test_views_are_asked_one_by_one_still(consortium):
    ledger = grown(consortium)
    look = ledger.world.instances["mover"].program.method("look")
    data = encode_bundle(look, columns_of(look, [(bytes(20), 1)]), 1, 0)
    result = ledger.seal(ledger.request("mover", "look", {PARAMETER: data})).block.txs[0].result
    assert "no @call" in result.contract_result.message


@pytest.mark.parametrize("emitters", [[], ["shelf", "shelf2"], ["shelf", "shelf2", "middle", "token"]])
def test_a_result_that_names_others_than_emitted_is_found(consortium, emitters):
    """Even where whoever made the block bound it so."""
    ledger = grown(consortium)
    block, side = side_of(ledger.seal(bundle(ledger, some(ledger))))
    codes = {name: source.encode() for name, source in CONTRACTS.items()}
    installed = Installed("mover", codes.pop("mover"))
    audit = BundleAudit(lambda leaves: tree_root(leaves, sha256), sha256, None)
    tx, listed = block.block.txs[0], {write.contract_name: write.value for write in block.txRWSets[0].tx_writes}
    assert audit.check(tx, side, installed, codes, listed, 0)[0] is None
    result = BundleResult.FromString(tx.result.contract_result.result)
    result.emitters[:] = emitters
    tx.result.contract_result.result = result.SerializeToString()
    assert "names other contracts" in audit.check(tx, side, installed, codes, listed, 0)[0]
