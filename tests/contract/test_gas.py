"""Gas, computed by hand from the table of the language, and what happens when it runs out."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_running import ALICE, BOB, CAROL, GAS, Runner, contract, line_of

from changan.contract.instance import Code

EXAMPLES = Path(__file__).parents[2] / "src" / "changan" / "examples"
ABOVE = """\
Note = Annotated[Text, MaxLen(100)]
class Point(Record):
    x: I64
    y: I64
class Tagged(Record):
    who: Address
    note: Note
class Told(Event):
    x: U64
    y: U64
class Said(Event):
    who: Address
    note: Note
"""
MEMBERS = """\
n: U64
w: U128
t: Note
m: Map[U64, U64] = Map(default=U64(0))
wm: Map[U64, U128]
texts: Map[U64, Note]
points: Map[tuple[Address, U64], Point]
tagged: Map[U64, Tagged]
l: List[U64]
@view
def nothing(self) -> None:
    pass
@view
def add(self, a: U64, b: U64) -> U64:
    return a + b
@view
def mix(self, a: U64, b: U64) -> U64:
    return (a * b - a // b) % b ^ (a << 2) & (b >> 1)
@view
def wide(self, a: U128, b: U128) -> U128:
    return (a * b - a // b) % b ^ a
@view
def compare(self, a: U128, b: U64) -> Bool:
    return a == 1 and b == 2 or not b < 3
@view
def choose(self, a: U64, b: U64) -> U64:
    return self.m[a] if a == b else b // a
@view
def convert(self, a: I64) -> U128:
    return U128(-a)
@view
def same(self, a: Note, b: Note) -> Bool:
    return a == b
@view
def same_who(self, a: Address) -> Bool:
    return self.caller == a
@view
def digests(self, a: Address, t: Note) -> Digest:
    if sha256(a) == sm3(a):
        return sha256(t)
    return sm3(t)
@call
def scalar(self, a: U64) -> None:
    self.n = a
@call
def scalar_more(self) -> None:
    self.n += 1
@call
def scalar_text(self, t: Note) -> None:
    self.t = t
@call
def put(self, k: U64, v: U64) -> None:
    self.m[k] = v
@call
def put_wide(self, k: U64, v: U128) -> None:
    self.wm[k] = v
@call
def more(self, k: U64) -> None:
    self.m[k] += 1
@call
def drop(self, k: U64) -> None:
    del self.m[k]
@view
def get(self, k: U64) -> U64:
    return self.m.get(k, len(self.l))
@view
def has(self, k: U64) -> Bool:
    return k in self.m
@call
def note(self, k: U64, t: Note) -> U64:
    self.texts[k] = t
    return size(t)
@call
def point(self, k: U64, x: I64) -> None:
    self.points[self.caller, k] = Point(x=x, y=-x)
@call
def move(self, k: U64) -> I64:
    self.points[self.caller, k].x += 1
    return self.points[self.caller, k].y
@call
def tag(self, k: U64, t: Note) -> None:
    self.tagged[k] = Tagged(who=self.caller, note=t)
    self.tagged[k].note = t
@call
def push(self, a: U64) -> U64:
    self.l.append(a)
    self.l[0] = self.l[0] + a
    return len(self.l)
@call
def tell(self, t: Note) -> None:
    emit(Told(x=1, y=2))
    emit(Said(who=self.caller, note=t))
@view
def branch(self, a: U64) -> U64:
    x = a + 1
    if x == 1:
        x = x * 2
        x += 1
    elif x == 2:
        x = x // 3
    x += 4
    return x
@view
def loop(self, n: U64) -> U64:
    x = U64(0)
    for i in range(n, n + n):
        x += i * 2
    return x
@view
def until(self, n: U64) -> U64:
    x = n
    while x > 0 and x < 100:
        x -= 1
        if x == 3:
            break
        if x > 50:
            continue
        x += 0
    return x
@view
def helped(self, a: U64) -> U64:
    self._check(a)
    return self._half(a) + self._half(a + 1)
def _half(self, a: U64) -> U64:
    return a // 2
def _check(self, a: U64) -> None:
    require(a != 5, "five")
    if a == 6:
        decline("six")
"""
SOURCE = contract(MEMBERS, ABOVE)
PROGRAM = Runner(SOURCE).program

CALL = 30
COSTS = [
    ("nothing", (), CALL),
    ("add", (1, 2), CALL + 1),
    ("mix", (9, 2), CALL + 2 + 1 + 5 + 5 + 1 + 1 + 1 + 1),
    ("wide", (9, 2), CALL + 6 + 2 + 500 + 500 + 2),
    ("compare", (5, 2), CALL + (2 + 1 + 1) + (1 + 1 + 1)),  # evaluated or not: == on U128, ==, and; not, <, or
    ("choose", (1, 1), CALL + 1 + 1 + 80 + 5),
    ("choose", (1, 2), CALL + 1 + 1 + 80 + 5),
    ("convert", (-5,), CALL + 1 + 1),
    ("same", ("存证", "abc"), CALL + 2 + 3),  # bytes of the shorter one
    ("same", ("存证", "存证"), CALL + 2 + 6),
    ("same", ("", "存证"), CALL + 2),
    ("same_who", (BOB,), CALL + 2),
    ("digests", (BOB, "abc"), CALL + (500 + 6 * 20) + (600 + 7 * 20) + 2 + (600 + 7 * 3)),
    ("scalar", (1,), CALL + 5 + 100),
    ("scalar", (2,), CALL + 5),
    ("scalar_more", (), CALL + 2 + 1 + 5),
    ("scalar_text", ("存证",), CALL + 5 + 6 + 100),
    ("scalar_text", ("a",), CALL + 5 + 1),
    ("put", (1, 5), CALL + 80 + 2 + 100),
    ("put", (1, 6), CALL + 80 + 2),
    ("put_wide", (1, 6), CALL + 80 + 4 + 100),
    ("more", (1,), CALL + 80 + 1 + 80 + 2),
    ("more", (2,), CALL + 80 + 1 + 80 + 2 + 100),
    ("get", (3,), CALL + 80 + 2),
    ("has", (3,), CALL + 80),
    ("drop", (1,), CALL + 120),
    ("drop", (1,), CALL + 120),
    ("put", (1, 5), CALL + 80 + 2 + 100),
    ("note", (1, "存证"), CALL + 80 + 2 + 1 + 6 + 100),
    ("note", (1, "abc"), CALL + 80 + 2 + 1 + 3),
    ("point", (1, 4), CALL + 80 + 4 + 2 + 1 + 100),
    ("point", (1, 4), CALL + 80 + 4 + 2 + 1),
    ("move", (1,), CALL + 80 + 1 + 82 + 80),
    ("tag", (1, "abc"), CALL + 80 + 2 * 4 + 2 + 3 + 100 + 80 + 2 + 3),
    ("tag", (1, "abcd"), CALL + 80 + 2 * 4 + 2 + 4 + 80 + 2 + 4),
    ("push", (1,), CALL + 80 + 2 + 100 + 80 + 1 + 80 + 2 + 2),
    ("tell", ("存证",), CALL + 40 + 2 + 40 + 3 + 1 + 6),
    ("branch", (0,), CALL + 1 + 1 + 2 + 1 + 1),
    ("branch", (1,), CALL + 1 + 1 + 1 + 5 + 1),
    ("branch", (2,), CALL + 1 + 1 + 1 + 1),
    ("loop", (0,), CALL + 1),
    ("loop", (7,), CALL + 1 + 7 * (1 + 2 + 1)),
    ("until", (0,), CALL + 1 + 3),
    ("until", (2,), CALL + 2 * (4 + 1 + 1 + 1 + 1) + 4),
    ("until", (4,), CALL + 4 + 1 + 1),
    ("until", (60,), CALL + 9 * (4 + 1 + 1 + 1) + 47 * (4 + 1 + 1 + 1 + 1) + (4 + 1 + 1)),
    ("helped", (4,), CALL + 5 + (1 + 1) + 1 + (5 + 5 + 1 + 1) + 5 + 5),
    ("helped", (5,), CALL + 5 + (5 + 5 + 1 + 1) + (1 + 1) + 1),
]


def test_gas_by_hand():
    run = Runner(PROGRAM)
    again = Runner(PROGRAM)
    for method, arguments, gas in COSTS:
        outcome = run(method, *arguments)
        expected = Code.MISSING_KEY if method == "drop" and again.instance.get(f"m.{1:016x}") is None else Code.OK
        expected = Code.DECLINED if (method, arguments) == ("helped", (5,)) else expected
        assert (outcome.code, outcome.gas) == (expected, gas), (method, arguments)
        assert again(method, *arguments) == outcome
        assert run.state() == again.state()


def test_gas_of_a_transfer_by_hand():
    run = Runner((EXAMPLES / "token.py").read_text())
    # two fields set, one row made
    assert run("create", 1000).gas == 30 + (5 + 100) + (5 + 100) + (82 + 100)
    checks = 1 + (80 + 1)
    moves = 2 * (80 + 1 + 82) + 40 + (3 + 3 + 1)
    assert run("transfer", BOB, 5).gas == 30 + 5 + checks + moves + 100
    assert run("transfer", BOB, 5).gas == 30 + 5 + checks + moves
    assert run("transfer", BOB, 0).gas == 30 + 5 + 1
    assert run("transfer", BOB, 5000).gas == 30 + 5 + checks
    assert run("balance_of", CAROL).gas == 30 + 80


CASES = [
    ("scalar", (1,)), ("scalar_text", ("存证",)), ("put", (1, 5)), ("put", (7, 5)), ("drop", (7,)), ("note", (1, "存证存证")),
    ("point", (1, 4)), ("move", (9,)), ("tag", (1, "abcdef")), ("push", (1,)), ("tell", ("存证",)), ("branch", (0,)),
    ("loop", (5,)), ("until", (7,)), ("helped", (4,)), ("digests", (BOB, "abc")), ("same", ("ab", "abc")), ("more", (3,)),
]  # fmt: skip


def prepared():
    run = Runner(PROGRAM)
    for method, arguments in (("put", (7, 7)), ("point", (9, 1)), ("tag", (1, "abc")), ("push", (3,))):
        assert run(method, *arguments).code == Code.OK
    run.instance.collect()
    return run


@pytest.mark.parametrize(("method", "arguments"), CASES)
def test_out_of_gas_at_every_limit(method, arguments):
    run = prepared()
    before, size = run.state(), run.instance.logical_bytes
    needed = prepared()(method, *arguments).gas
    low, high = line_of(SOURCE, "def nothing"), SOURCE.count("\n") + 1
    for limit in range(needed):
        outcome = run(method, *arguments, gas=limit)
        assert (outcome.code, outcome.gas, outcome.result, outcome.events) == (Code.OUT_OF_GAS, limit, None, ())
        assert outcome.line == 0 if limit < CALL else low <= outcome.line <= high
        assert run.state() == before
        assert run.instance.logical_bytes == size
    assert run.instance.collect() == []
    exact = run(method, *arguments, gas=needed)
    assert (exact.code, exact.gas) == (Code.OK, needed)
    assert exact == prepared()(method, *arguments)


@pytest.mark.parametrize(
    ("example", "method", "arguments"),
    [
        ("token", "transfer", (CAROL, 5)),
        ("token", "transfer_from", (ALICE, CAROL, 1)),
        ("evidence", "put", (b"d" * 32, "存证")),
    ],
)
def test_examples_out_of_gas_at_every_limit(example, method, arguments):
    source = (EXAMPLES / f"{example}.py").read_text()

    def fresh():
        run = Runner(source)
        if example == "token":
            run("create", 1000)
            run("approve", ALICE, 10)
        run.instance.collect()
        return run

    run = fresh()
    before = run.state()
    needed = fresh()(method, *arguments).gas
    for limit in range(needed):
        outcome = run(method, *arguments, gas=limit)
        assert (outcome.code, outcome.gas, outcome.events) == (Code.OUT_OF_GAS, limit, ())
        assert run.state() == before
    assert run.instance.collect() == []
    assert run(method, *arguments, gas=needed) == fresh()(method, *arguments)


def test_a_charge_comes_before_its_effect():
    """Where gas ends at a new row or at the bytes of a text, the limit is met before the quota is."""
    run = Runner(PROGRAM, quota=0)
    assert run("put", 1, 1, gas=CALL + 82 + 99).code == Code.OUT_OF_GAS
    full = run("put", 1, 1, gas=CALL + 82 + 100)
    assert (full.code, full.gas) == (Code.STORAGE_QUOTA, CALL + 82 + 100)


def test_gas_of_a_failed_call_is_what_was_charged_so_far():
    run = Runner(PROGRAM)
    assert (run("mix", 1, 0).code, run("mix", 1, 0).gas) == (Code.DIVISION_BY_ZERO, CALL + 17)
    assert run("move", 77).gas == CALL + 80 + 1 + 82 + 80
    assert run("until", 4, gas=GAS).gas < GAS
