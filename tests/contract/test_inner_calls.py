"""Contracts that call each other: one fate, one budget of gas, and who may enter whom."""

from __future__ import annotations

import pytest
from contract_running import ALICE, BLOCK, GAS, contract, engine

from changan.contract.instance import Call, Code, InnerFailure, Outcome
from changan.contract.program import compile_source
from changan.ledger.contracts import OWNER, Calls, record_key
from changan.ledger.state import Rows, Write
from changan.ledger.wire.messages import Contract

ABOVE = """\
Note = Annotated[Text, MaxLen(4096)]
class Color(Enum):
    RED = 0
    GREEN = 1
class Pair(Record):
    x: U64
    note: Note
class Noted(Event):
    who: Address
    n: U64
class Peer(Interface):
    @call
    def put(self, k: U64, v: U64) -> U64:
        raise NotImplementedError
    @view
    def get(self, k: U64) -> U64:
        raise NotImplementedError
    @call
    def fail(self, how: U64) -> None:
        raise NotImplementedError
    @call
    def relay(self, to: Address, then: Address, k: U64) -> U64:
        raise NotImplementedError
    @view
    def pair(self, color: Color) -> Pair:
        raise NotImplementedError
    @call
    def missing(self) -> None:
        raise NotImplementedError
    @view
    def who(self) -> Address:
        raise NotImplementedError
    @call
    def descend(self, a: Address, b: Address, c: Address, d: Address, e: Address) -> U64:
        raise NotImplementedError
class Mistaken(Interface):
    @view
    def put(self, k: U64, v: U64) -> U64:
        raise NotImplementedError
    @call
    def get(self, k: U64) -> Bool:
        raise NotImplementedError
    @call
    def fail(self, how: I64) -> None:
        raise NotImplementedError
    @call
    def create(self) -> None:
        raise NotImplementedError
    @call
    def _hidden(self) -> None:
        raise NotImplementedError
"""
ABOVE = ABOVE.replace("    @call\n    def _hidden(self) -> None:\n        raise NotImplementedError\n", "")
SOURCE = contract(
    """\
m: Map[U64, U64] = Map(default=U64(0))
n: U64
log: List[U64]
@init
def create(self) -> None:
    self.n = 1
@call
def put(self, k: U64, v: U64) -> U64:
    self.m[k] = v
    self.n += 1
    self.log.append(v)
    emit(Noted(who=self.caller, n=v))
    return self.m[k] + 1
@view
def get(self, k: U64) -> U64:
    return self.m[k]
@view
def who(self) -> Address:
    return self.caller
@view
def pair(self, color: Color) -> Pair:
    return Pair(x=1 if color == Color.GREEN else 0, note="存证")
@call
def fail(self, how: U64) -> None:
    self.n += 1
    self.m[99] = 99
    if how == 1:
        decline("failed inside")
    if how == 2:
        self.n = 1 - self.n
    while how == 3:
        pass
@call
def relay(self, to: Address, then: Address, k: U64) -> U64:
    self.n += 10
    emit(Noted(who=to, n=1))
    first = Peer(to).put(k, self.n)
    emit(Noted(who=to, n=2))
    return first + Peer(then).put(k, first)
@call
def relay_fail(self, to: Address, then: Address, how: U64) -> None:
    self.n += 10
    Peer(to).put(1, 1)
    Peer(to).put(2, 2)
    del_it = Peer(then).put(3, 3)
    Peer(then).fail(how)
@call
def deep(self, to: Address, then: Address, k: U64) -> U64:
    return Peer(to).relay(then, then, k) + 1
@view
def ask(self, to: Address, k: U64) -> U64:
    return Peer(to).get(k) + self.m[k]
@view
def ask_who(self, to: Address) -> Address:
    return Peer(to).who()
@view
def ask_pair(self, to: Address) -> U64:
    got = Peer(to).pair(Color.GREEN)
    return got.x * 100 + size(got.note)
@call
def ask_missing(self, to: Address) -> None:
    Peer(to).missing()
@view
def mistaken_view(self, to: Address) -> U64:
    return Mistaken(to).put(1, 2)
@call
def mistaken_result(self, to: Address) -> Bool:
    return Mistaken(to).get(1)
@call
def mistaken_parameter(self, to: Address) -> None:
    Mistaken(to).fail(-1)
@call
def mistaken_init(self, to: Address) -> None:
    Mistaken(to).create()
@call
def own(self) -> None:
    self.n += 1
@call
def descend(self, a: Address, b: Address, c: Address, d: Address, e: Address) -> U64:
    self.n += 1
    if a == Address():
        return 0
    return Peer(a).descend(b, c, d, e, Address()) + 1
@call
def chain(self, x: U64) -> U64:
    return self._h0(x)
"""
    + "".join(f"def _h{i}(self, x: U64) -> U64:\n    return self._h{i + 1}(x)\n" for i in range(31))
    + "def _h31(self, x: U64) -> U64:\n    return x\n",
    ABOVE,
)
PROGRAM = compile_source(SOURCE)
NONE = bytes(20)


class Host:
    """Calls between instances, as simply as they can be."""

    def __init__(self, instances, stack, depth=5):
        self.instances, self.stack, self.depth = instances, stack, depth
        self.open, self.calls = [], []

    def call(self, target, method, call, *, reads_only):
        self.calls.append((target, method, call, reads_only))
        instance = self.instances.get(target)
        if instance is None:
            return Outcome(Code.INNER_CALL, InnerFailure.UNKNOWN_CONTRACT, 0, 0, None, ())
        if target in self.stack:
            return Outcome(Code.INNER_CALL, InnerFailure.REENTERED, 0, 0, None, ())
        if len(self.stack) >= self.depth:
            return Outcome(Code.INNER_CALL, InnerFailure.TOO_DEEP, 0, 0, None, ())
        signature = instance.program.method(method)
        kinds = {"view"} if reads_only else {"call", "view"}
        if signature is None or signature.kind not in kinds or not instance.program.fits(method, call.arguments):
            return Outcome(Code.INNER_CALL, InnerFailure.UNKNOWN_METHOD, 0, 0, None, ())
        self.stack.append(target)
        self.open.append(instance)
        outcome = instance.enter(method, call, BLOCK, self)
        self.stack.pop()
        return outcome

    def settle(self, *, keep):
        for instance in reversed(self.open):
            instance.settle(keep=keep)
        self.open.clear()


class World:
    """Several contracts with the same source, called through a host."""

    real = False

    def __init__(self, count=3):
        self.addresses = [bytes([i + 1]) * 20 for i in range(count)]
        self.instances = {address: engine.open(PROGRAM, address) for address in self.addresses}
        self.host = None

    def hosted(self, place):
        return Host(self.instances, [self.addresses[place]])

    def run(self, place, method, *arguments, gas=GAS):
        assert PROGRAM.fits(method, arguments)
        self.host = self.hosted(place)
        instance = self.instances[self.addresses[place]]
        [outcome] = instance.run(method, [Call(ALICE, arguments, gas)], BLOCK, self.host)
        return outcome

    def states(self):
        return [dict(instance.rows()) for instance in self.instances.values()]

    def sizes(self):
        return [instance.logical_bytes for instance in self.instances.values()]

    def collect(self):
        return [[row.key for row in instance.collect()] for instance in self.instances.values()]


class LedgerWorld(World):
    """The same under the ledger's own host."""

    real = True

    def hosted(self, place):
        rows = Rows()
        names = {}
        for address, instance in self.instances.items():
            name = f"contract{address[0]}"
            names[name] = instance
            record = Contract(name=name, version="1", address=address.hex()).SerializeToString()
            for key in (name, address.hex()):
                rows.put(Write(OWNER, record_key(key), record))
        return Calls(names, rows, BLOCK, f"contract{self.addresses[place][0]}")


@pytest.fixture(params=[World, LedgerWorld])
def kind(request):
    return request.param


@pytest.fixture
def world(kind):
    return kind()


def test_writes_results_and_events_of_all_are_kept(world):
    a, b, c = world.addresses
    outcome = world.run(0, "relay", b, c, 5)
    assert (outcome.code, outcome.result) == (Code.OK, 11 + 12)
    assert [(event.emitter, event.fields) for event in outcome.events] == [
        (a, (b, 1)),
        (b, (a, 10)),
        (a, (b, 2)),
        (c, (a, 11)),
    ]
    key = f"m.{5:016x}"
    assert [state.get(key) for state in world.states()] == [None, (10).to_bytes(8, "big"), (11).to_bytes(8, "big")]
    inner = [key, "n", f"log.{0:016x}", "log"]
    assert world.collect() == [["n"], inner, inner]
    assert world.collect() == [[], [], []]


def test_the_caller_inside_is_the_contract(world):
    a, b, _ = world.addresses
    assert world.run(0, "ask_who", b).result == a
    assert world.run(0, "who").result == ALICE


def test_calls_through_three(world):
    a, b, c = world.addresses
    outcome = world.run(0, "deep", b, c, 7)
    assert (outcome.code, outcome.result) == (Code.OK, 11 + 12 + 1)
    assert [event.emitter for event in outcome.events] == [b, c, b, c]
    assert world.instances[c].get("log") == (2).to_bytes(8, "big")
    assert a not in [event.fields[0] for event in outcome.events]


def test_views_read_others(world):
    _, b, _ = world.addresses
    world.run(1, "put", 3, 30)
    world.run(0, "put", 3, 4)
    assert world.run(0, "ask", b, 3).result == 34
    assert world.run(0, "ask_pair", b).result == 106
    assert world.collect()[2] == []


FAILURES = [
    (1, Code.INNER_CALL, InnerFailure.FAILED),
    (2, Code.INNER_CALL, InnerFailure.FAILED),
    (3, Code.OUT_OF_GAS, 0),
]


@pytest.mark.parametrize(("how", "code", "detail"), FAILURES)
def test_a_failure_inside_undoes_everything(world, how, code, detail):
    _, b, c = world.addresses
    for place in range(3):
        world.run(place, "put", 1, 7)
    world.collect()
    states, sizes = world.states(), world.sizes()
    outcome = world.run(0, "relay_fail", b, c, how)
    assert (outcome.code, outcome.detail, outcome.result, outcome.events) == (code, detail, None, ())
    line = next(i for i, text in enumerate(SOURCE.splitlines(), 1) if "Peer(then).fail(how)" in text)
    assert outcome.line == line
    assert world.states() == states
    assert world.sizes() == sizes
    assert world.collect() == [[], [], []]
    assert outcome.gas == GAS if how == 3 else outcome.gas < GAS
    assert world.run(0, "relay_fail", b, c, 0).code == Code.OK
    assert [bool(rows) for rows in world.collect()] == [True, True, True]


def test_a_failure_after_the_inner_call_undoes_it(world):
    _, b, _ = world.addresses
    states = world.states()
    # the second call fails: nobody has that address
    outcome = world.run(0, "relay", b, NONE, 1)
    assert (outcome.code, outcome.detail) == (Code.INNER_CALL, InnerFailure.UNKNOWN_CONTRACT)
    assert outcome.events == ()
    assert world.states() == states
    assert world.collect() == [[], [], []]


def test_reentry_is_refused(world):
    a, b, _ = world.addresses
    assert world.run(0, "relay", a, b, 1)[:2] == (Code.INNER_CALL, InnerFailure.REENTERED)
    # through another: the refusal is the inner call's failure
    outcome = world.run(0, "deep", b, a, 1)
    assert (outcome.code, outcome.detail) == (Code.INNER_CALL, InnerFailure.FAILED)
    assert world.states() == [{}, {}, {}]
    assert world.run(0, "own").code == Code.OK


def test_a_contract_that_has_left_the_stack_may_be_entered_again(world):
    _, b, _ = world.addresses
    assert world.run(0, "relay", b, b, 1).code == Code.OK
    assert world.instances[b].get("log") == (2).to_bytes(8, "big")


def test_depth_is_five(kind):
    world = kind(7)
    order = world.addresses[1:]
    assert world.run(0, "descend", *order[:4], NONE).result == 4
    assert [bool(state) for state in world.states()] == [True] * 5 + [False] * 2
    before = world.states()
    outcome = world.run(0, "descend", *order[:5])
    assert (outcome.code, outcome.detail) == (Code.INNER_CALL, InnerFailure.FAILED)
    assert world.states() == before


def test_what_cannot_be_entered(world):
    _, b, _ = world.addresses
    unknown = (Code.INNER_CALL, InnerFailure.UNKNOWN_METHOD)
    assert world.run(0, "ask", NONE, 1)[:2] == (Code.INNER_CALL, InnerFailure.UNKNOWN_CONTRACT)
    assert world.run(0, "ask_missing", b)[:2] == unknown
    assert world.run(0, "mistaken_view", b)[:2] == unknown
    assert world.run(0, "mistaken_result", b)[:2] == unknown
    assert world.run(0, "mistaken_parameter", b)[:2] == unknown
    assert world.run(0, "mistaken_init", b)[:2] == unknown
    assert world.states() == [{}, {}, {}]


def test_a_view_asks_for_views_only():
    world = World()
    _, b, _ = world.addresses
    world.run(0, "ask", b, 1)
    assert [(method, reads_only) for _, method, _, reads_only in world.host.calls] == [("get", True)]
    world.run(0, "relay", b, b, 1)
    assert [(method, reads_only) for _, method, _, reads_only in world.host.calls] == [("put", False), ("put", False)]


def test_without_a_host_there_are_no_others():
    instance = engine.open(PROGRAM, b"a" * 20)
    [outcome] = instance.run("ask", [Call(ALICE, (b"b" * 20, 1), GAS)], BLOCK)
    assert outcome[:2] == (Code.INNER_CALL, InnerFailure.UNKNOWN_CONTRACT)


def test_gas_is_one_budget(world):
    _, b, c = world.addresses
    # ask: call 30, remote 500, read 80, + 1; inside: call 30, read 80
    assert world.run(0, "ask", b, 1).gas == 30 + 500 + 80 + 1 + 30 + 80
    alone = world.run(1, "put", 2, 10).gas
    first = world.run(0, "relay", b, c, 1)
    assert first.code == Code.OK
    # relay: += 8 with its row, twice an event of 4 words, read of n, +, two calls, and their insides
    assert first.gas == 30 + (2 + 1 + 5 + 100) + 2 * 44 + 2 + 1 + 2 * 500 + (alone - 100) + alone


def test_out_of_gas_at_every_limit_undoes_all(world):
    _, b, c = world.addresses
    needed = type(world)().run(0, "relay", b, c, 1).gas
    for limit in range(needed):
        outcome = world.run(0, "relay", b, c, 1, gas=limit)
        assert (outcome.code, outcome.gas, outcome.events) == (Code.OUT_OF_GAS, limit, ())
        assert world.states() == [{}, {}, {}]
    assert world.collect() == [[], [], []]
    assert world.run(0, "relay", b, c, 1, gas=needed).code == Code.OK


def test_the_inner_call_gets_what_is_left():
    world = World()
    _, b, _ = world.addresses
    world.run(0, "ask", b, 1, gas=5000)
    [(_, _, call, _)] = world.host.calls
    assert call.gas_limit == 5000 - 30 - 500 - 80 - 1


def test_a_batch_settles_each_call_alone(world):
    a, b, c = world.addresses
    host = world.hosted(0)
    calls = [Call(ALICE, (b, c, how), GAS) for how in (0, 1, 0, 2)]
    outcomes = world.instances[a].run("relay_fail", calls, BLOCK, host)
    assert [outcome.code for outcome in outcomes] == [Code.OK, Code.INNER_CALL, Code.OK, Code.INNER_CALL]
    other = type(world)()
    for _ in range(2):
        assert other.run(0, "relay_fail", b, c, 0).code == Code.OK
    assert other.states() == world.states()
    assert other.collect() == world.collect()


def test_five_contracts_with_the_longest_chains_of_helpers_fit_the_stack():
    members = "@call\ndef descend(self, a: Address, b: Address, c: Address, d: Address, e: Address) -> U64:\n"
    members += "    return self._h0(a, b, c, d, e)\n"
    parameters = "self, a: Address, b: Address, c: Address, d: Address, e: Address"
    members += "".join(
        f"def _h{i}({parameters}) -> U64:\n    return self._h{i + 1}(a, b, c, d, e)\n" for i in range(31)
    )
    members += f"def _h31({parameters}) -> U64:\n    if a == Address():\n        return 0\n"
    members += "    return Peer(a).descend(b, c, d, e, Address()) + 1\n"
    program = compile_source(contract(members, ABOVE))
    addresses = [bytes([i + 1]) * 20 for i in range(5)]
    instances = {address: engine.open(program, address) for address in addresses}
    host = Host(instances, [addresses[0]])
    call = Call(ALICE, (*addresses[1:], NONE), GAS)
    [outcome] = instances[addresses[0]].run("descend", [call], BLOCK, host)
    assert (outcome.code, outcome.result) == (Code.OK, 4)
