"""State under random calls, against a plain model: rows, changes, restoring, and what counts against the quota."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_running import ALICE, BOB, CAROL, Runner, contract
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.contract.codec import pack
from changan.contract.instance import Code, Row
from changan.errors import MalformedError

TOKEN = Runner((Path(__file__).parents[2] / "src" / "changan" / "examples" / "token.py").read_text()).program
USERS = [ALICE, BOB, CAROL]
TOP = 2**64 - 1

SOURCE = contract(
    """\
title: Note
state: Phase
total: I64
open: Bool
numbers: Map[U64, I64] = Map(default=I64(0))
entries: Map[tuple[Address, Bool], Entry]
phases: Map[Phase, U64]
log: List[Entry]
marks: List[U128]
@call
def name(self, title: Note) -> None:
    self.title = title
    self.open = not self.open
@call
def step(self, to: Phase) -> U64:
    require(to != self.state, "no step")
    self.phases[to] = self.phases.get(to, 0) + 1
    self.state = to
    return self.phases[to]
@call
def add(self, k: U64, v: I64) -> I64:
    self.numbers[k] += v
    self.total += self.numbers[k]
    return self.total
@call
def drop(self, k: U64) -> None:
    del self.numbers[k]
@call
def enter(self, flag: Bool, note: Note) -> None:
    entry = Entry(phase=self.state, note=note, inner=Inner(a=size(note), b=flag))
    self.entries[self.caller, flag] = entry
    self.log.append(entry)
@call
def correct(self, flag: Bool, note: Note) -> None:
    self.entries[self.caller, flag].note = note
    self.log[0] = self.entries[self.caller, flag]
@call
def leave(self, flag: Bool) -> None:
    del self.entries[self.caller, flag]
    self.marks.append(U128(self.time))
    require(len(self.marks) < 4, "too many marks")
@call
def turn(self, k: U64) -> None:
    before = self.numbers[k]
    self.numbers[k] = 1
    del self.numbers[k]
    self.numbers[k] = before
    self.title = "turned"
    if before < 0:
        decline("below zero")
""",
    """\
Note = Annotated[Text, MaxLen(40)]
class Phase(Enum):
    NEW = 0
    OLD = 1
    GONE = 2
class Inner(Record):
    a: U64
    b: Bool
class Entry(Record):
    phase: Phase
    note: Note
    inner: Inner
class Other(Event):
    n: U64
""",
)
PROGRAM = Runner(SOURCE).program
TIME = 1_700_000_000


class FailedError(Exception):
    """A call of the model that fails."""


def u64(value):
    return value.to_bytes(8, "big")


def i64(value):
    return value.to_bytes(8, "big", signed=True)


def text(value):
    return len(value.encode()).to_bytes(4, "big") + value.encode()


class Model:
    """The test contract as a dictionary of rows, with a set of the rows that were written."""

    def __init__(self):
        self.rows = {}
        self.written = []

    def get(self, key, zero=None):
        if key not in self.rows:
            if zero is None:
                raise FailedError(Code.MISSING_KEY)
            return zero
        return self.rows[key]

    def put(self, key, value):
        self.rows[key] = value
        self.written.append(key)

    def call(self, caller, method, *arguments):
        rows, written = dict(self.rows), list(self.written)
        try:
            return Code.OK, getattr(self, method)(caller, *arguments)
        except FailedError as error:
            self.rows, self.written = rows, written
            return error.args[0], None

    def name(self, _, title):
        self.put("title", text(title))
        self.put("open", bytes([1 - self.get("open", b"\0")[0]]))

    def step(self, _, to):
        if self.get("state", b"\0") == bytes([to]):
            raise FailedError(Code.DECLINED)
        key = f"phases.{to:02x}"
        value = int.from_bytes(self.get(key, u64(0)), "big") + 1
        self.put(key, u64(value))
        self.put("state", bytes([to]))
        return value

    def number(self, k):
        return int.from_bytes(self.get(f"numbers.{k:016x}", bytes(8)), "big", signed=True)

    def add(self, _, k, v):
        value = self.number(k) + v
        total = int.from_bytes(self.get("total", bytes(8)), "big", signed=True) + value
        if not (-(2**63) <= value < 2**63 and -(2**63) <= total < 2**63):
            raise FailedError(Code.OVERFLOW)
        self.put(f"numbers.{k:016x}", i64(value))
        self.put("total", i64(total))
        return total

    def drop(self, _, k):
        self.get(f"numbers.{k:016x}")
        del self.rows[f"numbers.{k:016x}"]
        self.written.append(f"numbers.{k:016x}")

    def append(self, name, value):
        length = int.from_bytes(self.get(name, u64(0)), "big")
        self.put(f"{name}.{length:016x}", value)
        self.put(name, u64(length + 1))
        return length + 1

    def enter(self, caller, flag, note):
        inner = u64(len(note.encode())) + bytes([flag])
        entry = self.get("state", b"\0") + text(note) + inner
        self.put(f"entries.{caller.hex()}{flag:02x}", entry)
        self.append("log", entry)

    def correct(self, caller, flag, note):
        key = f"entries.{caller.hex()}{flag:02x}"
        old = self.get(key)
        length = int.from_bytes(old[1:5], "big")
        entry = old[:1] + text(note) + old[5 + length :]
        self.put(key, entry)
        self.put("log.0000000000000000", entry)

    def leave(self, caller, flag):
        key = f"entries.{caller.hex()}{flag:02x}"
        self.get(key)
        del self.rows[key]
        self.written.append(key)
        if self.append("marks", TIME.to_bytes(16, "big")) >= 4:
            raise FailedError(Code.DECLINED)

    def turn(self, _, k):
        self.put(f"numbers.{k:016x}", i64(self.number(k)))
        self.put("title", text("turned"))
        if self.number(k) < 0:
            raise FailedError(Code.DECLINED)


NOTES = st.sampled_from(["", "a", "x" * 16, "x" * 17, "存证" * 6, "🙂" * 10])
KEYS = st.sampled_from([0, 1, 2, TOP])
CALLS = st.one_of(
    st.tuples(st.just("name"), NOTES),
    st.tuples(st.just("step"), st.integers(0, 2)),
    st.tuples(st.just("add"), KEYS, st.sampled_from([0, 1, -1, 5, -7, 2**63 - 1, -(2**63)])),
    st.tuples(st.just("drop"), KEYS),
    st.tuples(st.just("enter"), st.booleans(), NOTES),
    st.tuples(st.just("correct"), st.booleans(), NOTES),
    st.tuples(st.just("leave"), st.booleans()),
    st.tuples(st.just("turn"), KEYS),
)
STEPS = st.lists(
    st.one_of(st.tuples(st.sampled_from(USERS), CALLS), st.just("collect"), st.just("restore")), max_size=40
)


def first_writes(keys):
    return list(dict.fromkeys(keys))


def logical(program, rows):
    """Return what rows count, from the rules: 24 a row, its words, texts in steps of 16."""
    sizes = {
        "title": 1,
        "state": 1,
        "total": 1,
        "open": 1,
        "numbers": 2,
        "entries": 4 + 4,
        "phases": 2,
        "log": 5,
        "marks": 3,
    }
    total = 0
    for key, value in rows.items():
        name, dot, _ = key.partition(".")
        if name in {"log", "marks"} and not dot:
            continue
        total += 24 + 8 * sizes[name]
        at = {"title": 0, "entries": 1, "log": 1}.get(name)
        if at is not None:
            total += -(-int.from_bytes(value[at : at + 4], "big") // 16) * 16
    return total


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_random_calls_against_the_model(steps):
    run, model = Runner(PROGRAM), Model()
    for step in steps:
        if step == "collect":
            assert run.instance.collect() == [Row(key, model.rows.get(key)) for key in first_writes(model.written)]
            model.written.clear()
            assert run.instance.collect() == []
        elif step == "restore":
            copy = run.fresh()
            copy.instance.restore(run.instance.rows())
            assert copy.instance.collect() == []
            assert copy.state() == run.state()
            assert copy.instance.logical_bytes == run.instance.logical_bytes
            changed = run.instance.collect()
            assert changed == [Row(key, model.rows.get(key)) for key in first_writes(model.written)]
            model.written.clear()
            run = copy
        else:
            caller, (method, *arguments) = step
            outcome = run(method, *arguments, caller=caller)
            assert (outcome.code, outcome.result) == model.call(caller, method, *arguments)
        assert run.state() == model.rows
        assert run.instance.logical_bytes == logical(PROGRAM, model.rows)
    for key, value in model.rows.items():
        assert run.instance.get(key) == value
    for key in (
        "",
        "none",
        "title.",
        "title.00",
        "log.",
        "log.zz",
        f"log.{99:016x}",
        "numbers",
        "numbers.",
        "numbers.00",
    ):
        assert run.instance.get(key) is None
    assert run.instance.get("NUMBERS.0000000000000000") is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(USERS), CALLS), max_size=25), st.integers(0, 24))
def test_changes_alone_rebuild_the_state(calls, every):
    run, follower = Runner(PROGRAM), Runner(PROGRAM)
    for number, (caller, (method, *arguments)) in enumerate(calls):
        run(method, *arguments, caller=caller)
        if every and number % every == 0:
            follower.instance.restore(run.instance.collect())
            assert follower.state() == run.state()
    follower.instance.restore(run.instance.collect())
    assert follower.state() == run.state()
    assert follower.instance.logical_bytes == run.instance.logical_bytes
    for caller in USERS:
        for method, arguments in (("add", (1, 3)), ("enter", (True, "n")), ("correct", (True, "mm")), ("step", (1,))):
            assert run(method, *arguments, caller=caller) == follower(method, *arguments, caller=caller)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(USERS), CALLS), max_size=25), st.randoms(use_true_random=False))
def test_size_does_not_depend_on_history(calls, order):
    run = Runner(PROGRAM)
    for caller, (method, *arguments) in calls:
        run(method, *arguments, caller=caller)
    rows = list(run.instance.rows())
    elements = [row for row in rows if "." in row.key and row.key.partition(".")[0] in {"log", "marks"}]
    others = [row for row in rows if row not in elements]
    order.shuffle(others)
    other = run.fresh()
    other.instance.restore(others[: len(others) // 2] + elements + others[len(others) // 2 :])
    other.instance.restore(others)
    assert other.instance.logical_bytes == run.instance.logical_bytes
    assert other.state() == run.state()


# The token


class TokenModel:
    """The token, as its page describes it."""

    def __init__(self, issuer, supply):
        self.issuer, self.supply = issuer, supply
        self.balances, self.allowances = {issuer: supply}, {}

    def move(self, source, to, amount):
        if amount == 0:
            return "amount is zero"
        if self.balances.get(source, 0) < amount:
            return "balance is short"
        self.balances[source] = self.balances.get(source, 0) - amount
        self.balances[to] = self.balances.get(to, 0) + amount
        return None

    def transfer(self, caller, to, amount):
        return self.move(caller, to, amount)

    def approve(self, caller, spender, amount):
        self.allowances[caller, spender] = amount

    def transfer_from(self, caller, owner, to, amount):
        left = self.allowances.get((owner, caller), 0)
        if left < amount:
            return "allowance is short"
        why = self.move(owner, to, amount)
        if why is None:
            self.allowances[owner, caller] = left - amount
        return why

    def mint(self, caller, to, amount):
        if caller != self.issuer:
            return "only the issuer may mint"
        if self.supply + amount > TOP:
            return Code.OVERFLOW
        self.supply += amount
        self.balances[to] = self.balances.get(to, 0) + amount
        return None


AMOUNTS = st.sampled_from([0, 1, 5, 999, 1000, TOP])
WHO = st.sampled_from(USERS)
TOKEN_CALLS = st.one_of(
    st.tuples(st.just("transfer"), WHO, AMOUNTS),
    st.tuples(st.just("approve"), WHO, AMOUNTS),
    st.tuples(st.just("transfer_from"), WHO, WHO, AMOUNTS),
    st.tuples(st.just("mint"), WHO, AMOUNTS),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(WHO, TOKEN_CALLS), max_size=40))
def test_token_against_its_model(calls):
    run, model = Runner(TOKEN), TokenModel(ALICE, 1000)
    run("create", 1000)
    run.instance.collect()
    for caller, (method, *arguments) in calls:
        before = run.state()
        outcome = run(method, *arguments, caller=caller)
        why = getattr(model, method)(caller, *arguments)
        if isinstance(why, str):
            assert (outcome.code, TOKEN.reasons[outcome.detail]) == (Code.DECLINED, why)
        else:
            assert outcome.code == (why or Code.OK)
        changed = {row.key: row.value for row in run.instance.collect()}
        if why is not None:
            assert changed == {}
            assert outcome.events == ()
        assert {**before, **changed} == run.state()
        for who in USERS:
            assert run("balance_of", who).result == model.balances.get(who, 0)
            for other in USERS:
                assert run("allowance", who, other).result == model.allowances.get((who, other), 0)
        assert run("total_supply").result == model.supply == sum(model.balances.values())
    expected = {f"balances.{who.hex()}": u64(value) for who, value in model.balances.items()}
    assert {key: value for key, value in run.state().items() if key.startswith("balances.")} == expected


# Rows


def filled():
    run = Runner(PROGRAM)
    for k in range(5):
        run("add", k, k)
        run("enter", k % 2 == 0, "note")
    run("name", "title")
    return run


def test_rows_stay_as_they_were_while_calls_run():
    run = filled()
    expected = run.state()
    rows = run.instance.rows()
    started = [next(rows)]
    run("add", 0, 55)
    run("drop", 3)
    run("enter", True, "later")
    run("name", "other")
    assert dict(started + list(rows)) == expected
    assert run.state() != expected


def test_pages_of_rows():
    run = filled()
    assert run.instance.view("numbers").page("", 2) == (
        [Row(f"numbers.{0:016x}", i64(0)), Row(f"numbers.{1:016x}", i64(1))],
        True,
    )
    rows, more = run.instance.view("numbers").page(f"{1:016x}", 10)
    assert ([row.key for row in rows], more) == ([f"numbers.{k:016x}" for k in (2, 3, 4)], False)
    assert run.instance.view("numbers").page(f"{1:016x}", 3)[1] is False
    rows, more = run.instance.view("log").page("", 4)
    assert ([row.key for row in rows], more) == ([f"log.{k:016x}" for k in range(4)], True)
    rows, more = run.instance.view("log").page(f"{3:016x}", 4)
    assert ([row.key for row in rows], more) == ([f"log.{4:016x}"], False)
    assert run.instance.view("title").page("", 4) == ([Row("title", text("title"))], False)
    assert run.instance.view("state").page("", 4) == ([], False)


BAD_ROWS = [
    Row("unknown", b""), Row("", b""), Row("title.00", text("a")), Row("title.", text("a")), Row("title", b""),
    Row("title", b"\0\0\0\5abc"), Row("title", text("x" * 41)), Row("title", text("a") + b"\0"), Row("state", b"\3"),
    Row("open", b"\2"), Row("total", bytes(7)), Row("total", bytes(9)), Row("numbers", bytes(8)), Row("numbers.", bytes(8)),
    Row("numbers.00", bytes(8)), Row("numbers.zz", bytes(8)), Row(f"numbers.{0:017x}", bytes(8)),
    Row("numbers.00000000000000AA", bytes(8)), Row("numbers.00 00000000000000", bytes(8)), Row(f"numbers.{0:018x}", bytes(8)),
    Row(f"numbers.{0:016x}", bytes(7)), Row(f"numbers.{0:016x}.00", bytes(8)), Row("phases.03", bytes(8)),
    Row("log.01", bytes(14)), Row(f"log.{7:016x}", bytes(14)), Row(f"log.{0:016x}", b""), Row(f"marks.{0:016x}", bytes(8)),
    Row(f"entries.{'00' * 20}02", bytes(14)), Row(f"entries.{'00' * 20}", bytes(14)),
]  # fmt: skip


@pytest.mark.parametrize("row", BAD_ROWS, ids=[row.key or "empty" for row in BAD_ROWS])
def test_rows_of_no_contract_are_refused(row):
    with pytest.raises(MalformedError):
        Runner(PROGRAM).instance.restore([row])


def test_rows_are_packed_as_the_codec_packs():
    run = filled()
    kind = PROGRAM.fields["log"]
    assert run.state()[f"log.{0:016x}"] == pack(kind.value, (0, "note", (4, True)))
    assert PROGRAM.show_value("log", "log", u64(5)) == "5"
    assert PROGRAM.show_value("log", f"log.{0:016x}", run.state()[f"log.{0:016x}"]) == {
        "phase": "NEW",
        "note": "note",
        "inner": {"a": "4", "b": True},
    }
