"""What every operation of the language gives, against a model written here."""

from __future__ import annotations

import operator

import pytest
from contract_running import ALICE, BLOCK, BOB, GAS, HOME, Runner, contract, line_of
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.contract.instance import Call, Code, Outcome
from changan.crypto.digest import sha256, sm3

RANGES = {"U64": (0, 2**64 - 1), "I64": (-(2**63), 2**63 - 1), "U128": (0, 2**128 - 1)}
WIDTHS = {"U64": 64, "I64": 64, "U128": 128}
EDGES = [0, 1, 2, 3, 7, 10, 255, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**62, 2**63 - 2, 2**63 - 1, 2**63, 2**63 + 1]
EDGES += [2**64 - 2, 2**64 - 1, 2**64, 2**64 + 1, 2**65, 2**127 - 1, 2**127, 2**128 - 2, 2**128 - 1]
EDGES += [-1, -2, -3, -7, -(2**31), -(2**32), -(2**62), -(2**63) + 1, -(2**63)]
COUNTS = [0, 1, 2, 31, 32, 62, 63, 64, 65, 126, 127, 128, 129, 255, 256, 257, 2**32, 2**63, 2**64 - 1]
NAMES = {
    "+": "add", "-": "sub", "*": "mul", "//": "div", "%": "mod", "&": "and", "|": "or", "^": "xor", "<<": "shl", ">>": "shr",
    "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne",
}  # fmt: skip
ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}


class FailedError(Exception):
    """An operation of the model that fails, with its code."""


def model(sign, kind, left, right):
    """Return what an operator gives, from the definitions and not from Python's own operators where they differ."""
    low, high = RANGES[kind]
    width = WIDTHS[kind]
    if sign in {"//", "%"} and right == 0:
        raise FailedError(Code.DIVISION_BY_ZERO)
    if sign == "<<" and right >= width and left != 0:
        raise FailedError(Code.OVERFLOW)
    if sign in {"//", "%"}:
        quotient = abs(left) // abs(right)
        if (left < 0) != (right < 0):
            quotient = -quotient - (1 if abs(left) % abs(right) else 0)
        value = quotient if sign == "//" else left - quotient * right
    elif sign in {"&", "|", "^"}:
        bits = [((left >> i) & 1, (right >> i) & 1) for i in range(width)]
        chosen = [{"&": a and b, "|": a or b, "^": a != b}[sign] for a, b in bits]
        value = sum(1 << i for i, bit in enumerate(chosen) if bit)
        if low < 0 and chosen[-1]:
            value -= 1 << width
    elif sign == "<<":
        value = left * 2 ** min(right, 300)
    elif sign == ">>":
        value = (-1 if left < 0 else 0) if right >= width else (left - left % 2**right) // 2**right
    else:
        value = {"+": left + right, "-": left - right, "*": left * right}[sign]
    if not low <= value <= high:
        raise FailedError(Code.OVERFLOW)
    return value


def operators():
    """Return a contract with a view for every operator and type."""
    members = []
    for kind in RANGES:
        for sign, name in NAMES.items():
            result = "Bool" if sign in ORDER else kind
            other = "U64" if sign in {"<<", ">>"} else kind
            members.append(f"@view\ndef {name}_{kind}(self, a: {kind}, b: {other}) -> {result}:\n    return a {sign} b")
        members += [
            f"@view\ndef to_{target}_{kind}(self, a: {kind}) -> {target}:\n    return {target}(a)" for target in RANGES
        ]
    members.append("@view\ndef neg(self, a: I64) -> I64:\n    return -a")
    members += [
        "@view\ndef same_text(self, a: Annotated[Text, MaxLen(9)], b: Annotated[Text, MaxLen(4)]) -> Bool:\n    return a == b",
        "@view\ndef other_text(self, a: Annotated[Text, MaxLen(9)], b: Annotated[Text, MaxLen(4)]) -> Bool:\n    return a != b",
        "@view\ndef same_digest(self, a: Digest, b: Digest) -> Bool:\n    return a == b",
        "@view\ndef same_who(self, a: Address) -> Bool:\n    return self.caller == a",
        "@view\ndef same_bool(self, a: Bool, b: Bool) -> Bool:\n    return a == b",
        "@view\ndef bytes_of(self, a: Annotated[Text, MaxLen(9)]) -> U64:\n    return size(a)",
        "@view\ndef digest_of(self, a: Annotated[Text, MaxLen(9)]) -> Digest:\n    return sha256(a)",
        "@view\ndef sm3_of(self, a: Address) -> Digest:\n    return sm3(a)",
        "@view\ndef where(self) -> U64:\n    return self.height * 10**12 + self.time",
    ]
    return Runner(contract("\n".join(members)))


OPERATORS = operators()


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("sign", NAMES)
def test_operator_on_edge_values(kind, sign):
    low, high = RANGES[kind]
    values = [value for value in EDGES if low <= value <= high]
    rights = COUNTS if sign in {"<<", ">>"} else values
    pairs = [(left, right) for left in values for right in rights]
    calls = [Call(ALICE, pair, GAS) for pair in pairs]
    outcomes = OPERATORS.instance.run(f"{NAMES[sign]}_{kind}", calls, BLOCK)
    for (left, right), outcome in zip(pairs, outcomes, strict=True):
        if sign in ORDER:
            expected = (Code.OK, ORDER[sign](left, right))
        else:
            try:
                expected = (Code.OK, model(sign, kind, left, right))
            except FailedError as error:
                expected = (error.args[0], None)
        assert (outcome.code, outcome.result) == expected, (left, sign, right)
        assert type(outcome.result) is type(expected[1])


@pytest.mark.parametrize("source", RANGES)
@pytest.mark.parametrize("target", RANGES)
def test_conversion_on_edge_values(source, target):
    for value in EDGES:
        if RANGES[source][0] <= value <= RANGES[source][1]:
            outcome = OPERATORS(f"to_{target}_{source}", value)
            fits = RANGES[target][0] <= value <= RANGES[target][1]
            assert (outcome.code, outcome.result) == ((Code.OK, value) if fits else (Code.OVERFLOW, None))


def test_minus():
    assert OPERATORS("neg", 5).result == -5
    assert OPERATORS("neg", -(2**63) + 1).result == 2**63 - 1
    assert OPERATORS("neg", -(2**63)).code == Code.OVERFLOW


def test_values_that_are_no_integers():
    run = OPERATORS
    assert run("same_text", "存", "存").result is True
    assert run("same_text", "", "a").result is False
    assert run("other_text", "ab", "a").result is True
    assert run("other_text", "ab", "ab").result is False
    assert run("same_digest", b"d" * 32, b"d" * 32).result is True
    assert run("same_digest", b"d" * 32, b"e" * 32).result is False
    assert run("same_who", ALICE).result is True
    assert run("same_who", BOB).result is False
    assert run("same_bool", True, False).result is False
    assert run("same_bool", False, False).result is True
    assert run("bytes_of", "存证a").result == 7
    assert run("digest_of", "存证").result == sha256("存证".encode())
    assert run("sm3_of", BOB).result == sm3(BOB)
    assert run("where").result == BLOCK.height * 10**12 + BLOCK.time


def expressions(kind):
    """Expressions over a, b, c of one type as (text, function of the three values)."""

    def leaf(name):
        return st.just((name, lambda v: v[name]))

    def number(value):
        return (f"{kind}({value})", lambda _: value)

    def join(parts):
        sign, (left, f), (right, g) = parts
        return (f"({left} {sign} {right})", lambda v: model(sign, kind, f(v), g(v)))

    low, high = RANGES[kind]
    leaves = st.one_of(
        leaf("a"), leaf("b"), leaf("c"), st.sampled_from([v for v in EDGES if low <= v <= high]).map(number)
    )
    return st.recursive(
        leaves,
        lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "//", "%", "&", "|", "^"]), inner, inner).map(join),
        max_leaves=8,
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_expression_trees_fail_where_the_model_fails_first(data):
    kind = data.draw(st.sampled_from(list(RANGES)))
    low, high = RANGES[kind]
    text, function = data.draw(expressions(kind))
    if not any(name in text for name in ("a", "b", "c")):
        return
    # the parameters of U64(...) are constants: parts without a, b or c are folded, and refused where they fail
    source = contract(f"@view\ndef f(self, a: {kind}, b: {kind}, c: {kind}) -> {kind}:\n    return {text}")
    try:
        run = Runner(source)
    except Exception as error:  # looked at in the next line
        assert "does not fit" in str(error) or "division by zero" in str(error) or "256 bits" in str(error)
        return
    for _ in range(5):
        numbers = st.one_of(st.sampled_from([v for v in EDGES if low <= v <= high]), st.integers(low, high))
        values = {name: data.draw(numbers) for name in "abc"}
        outcome = run("f", *values.values())
        try:
            assert (outcome.code, outcome.result) == (Code.OK, function(values))
        except FailedError as error:
            assert (outcome.code, outcome.result) == (error.args[0], None)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>"]), st.sampled_from(list(RANGES)), st.data())
def test_constants_fold_to_what_running_gives(sign, kind, data):
    low, high = RANGES[kind]
    values = [value for value in EDGES if low <= value <= high]
    left = data.draw(st.sampled_from(values))
    shift = sign in {"<<", ">>"}
    right = data.draw(st.sampled_from(COUNTS if shift else values))
    source = contract(
        f"@view\ndef f(self) -> {kind}:\n    return {kind}({left}) {sign} {'U64' if shift else kind}({right})"
    )
    outcome = OPERATORS(f"{NAMES[sign]}_{kind}", left, right)
    try:
        folded = Runner(source)("f")
    except Exception as error:  # looked at in the next line
        assert outcome.code != Code.OK or (shift and right > 256), error
        return
    assert (folded.code, folded.result) == (outcome.code, outcome.result)


# Order

ABOVE = """\
Note = Annotated[Text, MaxLen(4096)]
class Color(Enum):
    RED = 0
    GREEN = 1
class Pair(Record):
    x: U64
    y: U64
class Item(Record):
    n: U64
    note: Note
    color: Color
class Told(Event):
    x: U64
    y: U64
class Said(Event):
    note: Note
class Other(Interface):
    @view
    def look(self, x: U64, y: U64) -> U64:
        raise NotImplementedError
"""
ORDER_MEMBERS = """\
log: List[U64]
n: U64
l: List[U64]
m: Map[U64, U64]
pairs: Map[U64, Pair]
keyed: Map[tuple[U64, U64], U64] = Map(default=U64(0))
def _say(self, x: U64) -> U64:
    self.log.append(x)
    return x
def _yes(self, x: U64) -> Bool:
    self.log.append(x)
    return True
def _no(self, x: U64) -> Bool:
    self.log.append(x)
    return False
def _two(self, x: U64, y: U64) -> U64:
    self.log.append(x * 10 + y)
    return x
def _where(self, x: U64) -> Address:
    self.log.append(x)
    return Address()
def _bump(self) -> U64:
    self.n += 100
    self.m[1] = 50
    return 1
@call
def prepare(self) -> None:
    self.m[1] = 1
    self.m[2] = 2
    self.pairs[1] = Pair(x=1, y=2)
    self.l.append(7)
    self.l.append(8)
    self.l.append(9)
"""
ORDERS = [
    ("x = self._say(1) + self._say(2)", [1, 2]),
    ("x = self._say(1) * self._say(2) + self._say(3)", [1, 2, 3]),
    ("x = self._say(1) < self._say(2)", [1, 2]),
    ("x = self._say(1) << self._say(2)", [1, 2]),
    ("self.m[self._say(1)] = self._say(2)", [2, 1]),
    ("self.l[self._say(1)] = self._say(2)", [2, 1]),
    ("self.pairs[self._say(1)].x = self._say(2)", [2, 1]),
    ("self.keyed[self._say(1), self._say(2)] = self._say(3)", [3, 1, 2]),
    ("self.l.append(self._say(1))", [1]),
    ("x = self.m.get(self._say(1), self._say(2))", [2, 1]),
    ("x = self.m[self._say(1)] + self.m[self._say(2)]", [1, 2]),
    ("x = self._say(1) in self.m", [1]),
    ("p = Pair(x=self._say(1), y=self._say(2))", [1, 2]),
    ("emit(Told(x=self._say(1), y=self._say(2)))", [1, 2]),
    ("x = self._two(self._say(1), self._say(2))", [1, 2, 12]),
    ("x = self._yes(1) and self._no(2) and self._yes(3)", [1, 2]),
    ("x = self._no(1) or self._yes(2) or self._no(3)", [1, 2]),
    ("x = not self._yes(1) or self._yes(2)", [1, 2]),
    ("x = self._no(1) and self._yes(2) or self._yes(3)", [1, 3]),
    ("x = self._say(1) if self._yes(2) else self._say(3)", [2, 1]),
    ("x = self._say(1) if self._no(2) else self._say(3)", [2, 3]),
    ("for i in range(self._say(1), self._say(3)):\n    x = self._say(i * 10)", [1, 3, 10, 20]),
    ("while self._say(len(self.log)) < 3:\n    pass", [0, 1, 2, 3]),
    ("if self._no(1):\n    pass\nelif self._yes(2):\n    pass\nelif self._yes(3):\n    pass", [1, 2]),
    ("require(self._yes(1), 'no')", [1]),
    ("x = self._say(1)\nx += self._say(2)", [1, 2]),
    ("del self.m[self._say(1)]", [1]),
    ("x = self._say(self._say(1) + self._say(2))", [1, 2, 3]),
]


@pytest.mark.parametrize(("statements", "said"), ORDERS)
def test_order_of_evaluation(statements, said):
    inner = "\n".join("    " + line for line in statements.splitlines())
    run = Runner(contract(f"{ORDER_MEMBERS}@call\ndef f(self) -> None:\n{inner}", ABOVE))
    assert run("prepare").code == Code.OK
    assert run("f").code == Code.OK
    assert [int.from_bytes(run.state()[f"log.{i:016x}"]) for i in range(len(said))] == said
    assert int.from_bytes(run.state()["log"]) == len(said)


def test_augmented_assignment_reads_before_it_evaluates():
    source = contract(
        f"{ORDER_MEMBERS}@call\ndef scalar(self) -> U64:\n    self.n = 1\n    self.n += self._bump()\n    return self.n\n"
        "@call\ndef key(self) -> U64:\n    self.m[1] = 5\n    self.m[1] += self._bump()\n    return self.m[1]",
        ABOVE,
    )
    run = Runner(source)
    assert run("scalar").result == 2
    assert run("key").result == 6


def test_target_of_a_call_comes_before_its_arguments():
    source = contract(
        f"{ORDER_MEMBERS}@call\ndef f(self) -> U64:\n    return Other(self._where(1)).look(self._say(2), self._say(3))",
        ABOVE,
    )
    run = Runner(source)
    seen = []

    class Host:
        def call(self, target, method, call, *, reads_only):
            seen.append((target, method, call.arguments, reads_only))
            return Outcome(Code.OK, 0, 0, 0, 9, ())

        def settle(self, *, keep):
            pass

    [outcome] = run.instance.run("f", [Call(ALICE, (), GAS)], BLOCK, Host())
    assert outcome.result == 9
    assert seen == [(bytes(20), "look", (2, 3), True)]
    rows, _ = run.instance.view(run.program.tree.fields[0].name).page("", 9)
    assert [int.from_bytes(row.value, "big") for row in rows] == [1, 2, 3]


# State

STATE = """\
u: U64
i: I64
w: U128
b: Bool
t: Note
who: Address
d: Digest
f: Annotated[Bytes, Len(3, 3)]
c: Color
strict: Map[U64, U64]
loose: Map[U64, U64] = Map(default=U64(7))
texts: Map[U64, Note] = Map(default="none")
colors: Map[Color, Color] = Map(default=Color.GREEN)
flags: Map[Bool, Bool] = Map(default=True)
items: Map[U64, Item]
l: List[Item]
n: List[U64]
@view
def zeros(self) -> Bool:
    first = self.u == 0 and self.i == 0 and self.w == 0 and not self.b and self.t == "" and self.who == Address()
    return first and self.d == Digest() and self.f == b"\\0\\0\\0" and self.c == Color.RED
@call
def set_zeros(self) -> None:
    self.u = 0
    self.t = ""
@call
def read(self, k: U64) -> U64:
    return self.strict[k]
@call
def read_loose(self, k: U64) -> U64:
    return self.loose[k]
@call
def read_get(self, k: U64, d: U64) -> U64:
    return self.loose.get(k, d)
@view
def has(self, k: U64) -> Bool:
    return k in self.loose
@call
def put(self, k: U64, v: U64) -> None:
    self.loose[k] = v
    self.strict[k] = v
@call
def add(self, k: U64, v: U64) -> U64:
    self.loose[k] += v
    return self.loose[k]
@call
def add_strict(self, k: U64, v: U64) -> None:
    self.strict[k] += v
@call
def drop(self, k: U64) -> None:
    del self.loose[k]
@call
def note(self, k: U64, t: Note) -> None:
    self.texts[k] = t
@view
def noted(self, k: U64) -> Note:
    return self.texts[k]
@view
def color(self, k: Color) -> Color:
    return self.colors[k]
@view
def flag(self, k: Bool) -> Bool:
    return self.flags[k]
@call
def push(self, n: U64, note: Note, color: Color) -> U64:
    item = Item(n=n, note=note, color=color)
    self.l.append(item)
    self.n.append(n)
    self.items[n] = item
    return len(self.l)
@call
def at(self, i: U64) -> Item:
    return self.l[i]
@call
def put_at(self, i: U64, v: U64) -> None:
    self.n[i] = v
@call
def add_at(self, i: U64, v: U64) -> None:
    self.n[i] += v
@call
def sum(self) -> U64:
    total = U64(0)
    for k in range(len(self.n)):
        total += self.n[k]
    return total
@call
def copy(self, k: U64) -> U64:
    before = self.items[k]
    self.items[k].n = 1000
    self.items[k].note = "changed"
    again = self.items[k]
    self.items[k] = Item(n=1, note="", color=Color.RED)
    return before.n * 1000000 + again.n + size(before.note)
@call
def part(self, k: U64, t: Note) -> Item:
    self.items[k].note = t
    return self.items[k]
@call
def lose(self, k: U64) -> None:
    self.put_nothing(k)
@call
def undo(self, k: U64, why: U64) -> None:
    self.u = 9
    self.t = "lost"
    self.loose[k] = 5
    self.strict[k] = 5
    del self.strict[k]
    self.items[k] = Item(n=k, note="x", color=Color.GREEN)
    self.items[k].note = "y"
    self.l.append(self.items[k])
    self.n.append(1)
    self.n.append(2)
    self.n[0] = 77
    self.n[len(self.n) - 1] = 78
    if k in self.texts:
        del self.texts[k]
    self.texts[k] = "put back"
    emit(Told(x=1, y=2))
    if why == 1:
        decline("not today")
    require(why != 2, "no two")
    if why == 3:
        self.u = self.u - 10
    if why == 4:
        self.u = self.u // 0 if k == k + 1 else self.u // (why - 4)
    if why == 5:
        self.u = self.strict[k + 12345]
    if why == 6:
        self.u = self.n[10000]
    while why == 7:
        self.u += 1
"""
STATE = STATE.replace("@call\ndef lose(self, k: U64) -> None:\n    self.put_nothing(k)\n", "").replace(
    "self.u // 0 if k == k + 1 else ", ""
)
SOURCE = contract(STATE, ABOVE)
PROGRAM = Runner(SOURCE).program


@pytest.fixture
def run():
    return Runner(PROGRAM)


def test_unset_fields_are_zero_and_make_no_rows(run):
    assert run("zeros").result is True
    assert run.state() == {}
    assert run.instance.logical_bytes == 0
    run("set_zeros")
    assert run.state() == {"u": bytes(8), "t": bytes(4)}
    assert run("zeros").result is True


def test_missing_key(run):
    missing = run("read", 1)
    assert (missing.code, missing.line) == (Code.MISSING_KEY, line_of(SOURCE, "return self.strict[k]"))
    assert run("add_strict", 1, 1).code == Code.MISSING_KEY
    assert run("copy", 1).code == Code.MISSING_KEY
    assert run("part", 1, "").code == Code.MISSING_KEY
    assert run("drop", 1).code == Code.MISSING_KEY
    assert run.state() == {}


def test_a_default_makes_no_row(run):
    assert run("read_loose", 1).result == 7
    assert run("read_get", 1, 9).result == 9
    assert run("has", 1).result is False
    assert run("noted", 1).result == "none"
    assert run("color", 0).result == 1
    assert run("flag", False).result is True
    assert run("drop", 1).code == Code.MISSING_KEY
    assert run.state() == {}
    assert run.instance.collect() == []
    assert run("add", 1, 3).result == 10
    assert run.state() == {"loose.0000000000000001": (10).to_bytes(8, "big")}


def test_a_row_exists_until_it_is_deleted(run):
    run("put", 1, 0)
    assert run("has", 1).result is True
    assert run("read_loose", 1).result == 0
    assert run("read_get", 1, 9).result == 0
    assert run("read", 1).result == 0
    assert run("drop", 1).code == Code.OK
    assert run("has", 1).result is False
    assert run("read_loose", 1).result == 7
    assert run("drop", 1).code == Code.MISSING_KEY


def test_lists(run):
    for n in range(3):
        assert run("push", n, "n", 1).result == n + 1
    assert run("at", 2).result == (2, "n", 1)
    for method, arguments in (("at", (3,)), ("at", (2**64 - 1,)), ("put_at", (3, 1)), ("add_at", (3, 1))):
        assert run(method, *arguments).code == Code.OUT_OF_BOUNDS
    assert run("put_at", 2, 40).code == Code.OK
    assert run("add_at", 0, 2).code == Code.OK
    assert run("sum").result == 43


def test_a_record_is_a_copy(run):
    run("push", 5, "abc", 1)
    assert run("copy", 5).result == 5 * 1000000 + 1000 + 3
    assert run("at", 0).result == (5, "abc", 1)
    run("push", 6, "abc", 1)
    assert run("part", 6, "存").result == (6, "存", 1)
    assert run("at", 1).result == (6, "abc", 1)


FAILURES = [
    (1, Code.DECLINED, 0, 'decline("not today")'),
    (2, Code.DECLINED, 1, 'require(why != 2, "no two")'),
    (3, Code.OVERFLOW, 0, "self.u = self.u - 10"),
    (4, Code.DIVISION_BY_ZERO, 0, "self.u = self.u // (why - 4)"),
    (5, Code.MISSING_KEY, 0, "self.strict[k + 12345]"),
    (6, Code.OUT_OF_BOUNDS, 0, "self.n[10000]"),
    (7, Code.OUT_OF_GAS, 0, None),
]


@pytest.mark.parametrize(("why", "code", "detail", "text"), FAILURES)
@pytest.mark.parametrize("full", [False, True])
def test_a_failed_call_leaves_nothing_but_its_gas(run, why, code, detail, text, full):
    if full:
        for k in range(3):
            run("push", k, "before", 0)
            run("put", k, k)
            run("note", k, "noted")
        run("set_zeros")
    run.instance.collect()
    before, size = run.state(), run.instance.logical_bytes
    outcome = run("undo", 1, why)
    assert (outcome.code, outcome.detail) == (code, detail)
    if text is not None:
        assert outcome.line == line_of(SOURCE, text)
        assert 30 < outcome.gas < GAS
    else:
        assert line_of(SOURCE, "while why == 7") <= outcome.line <= line_of(SOURCE, "while why == 7") + 1
        assert outcome.gas == GAS
    assert (outcome.result, outcome.events) == (None, ())
    assert run.state() == before
    assert run.instance.logical_bytes == size
    assert run.instance.collect() == []
    kept = run("undo", 1, 0)
    assert (kept.code, len(kept.events)) == (Code.OK, 1)
    assert run.instance.logical_bytes > size
    changed = {row.key for row in run.instance.collect()}
    assert changed == {"u", "t", "loose.0000000000000001", "strict.0000000000000001", "items.0000000000000001", "l", "n"} | {
        "texts.0000000000000001", f"l.{3 if full else 0:016x}", f"n.{0:016x}", f"n.{3 if full else 0:016x}",
        f"n.{4 if full else 1:016x}",
    }  # fmt: skip


def test_reasons_are_numbered_as_they_appear():
    assert PROGRAM.reasons == ("not today", "no two")


def test_batches_keep_and_undo_each_call_alone(run):
    calls = [Call(ALICE, (1, why), GAS) for why in (0, 1, 0, 3, 2)]
    outcomes = run.instance.run("undo", calls, BLOCK)
    assert [outcome.code for outcome in outcomes] == [Code.OK, Code.DECLINED, Code.OK, Code.OVERFLOW, Code.DECLINED]
    other = Runner(PROGRAM)
    assert [other("undo", 1, 0).code, other("undo", 1, 0).code] == [Code.OK, Code.OK]
    assert other.state() == run.state()


# Lines


def test_line_of_a_failure_is_the_line_of_the_operation():
    members = """\
@view
def f(self, a: U64) -> U64:
    x = a
    if a == 1:
        x = self._sub(
            a,
            5,
        )
    elif a == 2:
        x = (
            a
            + (a
               - 3)
        )
    elif a == 3:
        for i in range(a):
            x += i
            x -= 10
    else:
        require(
            a != 4,
            "four",
        )
        while x - 6 > 0:
            x -= 1
    return x
def _sub(self, a: U64, b: U64) -> U64:
    '''A docstring
    of two lines.'''
    return a - b
"""
    source = contract(members)
    run = Runner(source)
    expected = {
        1: (Code.OVERFLOW, "return a - b"),
        2: (Code.OVERFLOW, "+ (a"),
        3: (Code.OVERFLOW, "x -= 10"),
        4: (Code.DECLINED, "require("),
        5: (Code.OVERFLOW, "while x - 6"),
    }
    for a, (code, text) in expected.items():
        outcome = run("f", a)
        assert (outcome.code, outcome.line) == (code, line_of(source, text)), a


# Control


def test_loops_and_scopes():
    members = """\
@view
def loops(self, n: U64) -> U64:
    total = U64(0)
    for i in range(n):
        if i == 2:
            continue
        if i == 7:
            break
        for j in range(i, n):
            if j > 5:
                break
            total += j
    while total > 1000:
        total //= 2
        if total % 2 == 0:
            continue
        total -= 1
    return total
@view
def signed(self, a: I64, b: I64) -> I64:
    x: I64 = 0
    for i in range(a, b):
        x += i
        i = 5
    return x
@view
def bounds(self, n: U64) -> U64:
    stop = n
    count = U64(0)
    for i in range(stop):
        stop += 1
        count += 1
    return count * 1000 + stop
@view
def wide(self) -> U128:
    x = U128(0)
    for i in range(U128(2**128 - 3), U128(2**128 - 1)):
        x = i
    return x
@view
def early(self, n: U64) -> U64:
    for i in range(n):
        while True:
            if i == 3:
                return i
            break
    return 99
"""
    run = Runner(contract(members))

    def loops(n):
        total = 0
        for i in range(n):
            if i == 2:
                continue
            if i == 7:
                break
            for j in range(i, n):
                if j > 5:
                    break
                total += j
        while total > 1000:
            total //= 2
            if total % 2 == 0:
                continue
            total -= 1
        return total

    for n in range(12):
        assert run("loops", n).result == loops(n)
    assert run("signed", -3, 2).result == -5
    assert run("signed", 2, -3).result == 0
    assert run("bounds", 4).result == 4008
    assert run("wide").result == 2**128 - 2
    assert run("early", 9).result == 3
    assert run("early", 2).result == 99


# Events and limits

NOISY = contract(
    """\
l: List[Note]
m: Map[U64, Note]
n: U64
@call
def tell(self, x: U64, y: U64) -> None:
    emit(Told(x=x, y=y))
    emit(Said(note="存证"))
@call
def shout(self, count: U64, note: Note, last: Note) -> None:
    self.n += 1
    for i in range(count):
        emit(Said(note=note))
    emit(Said(note=last))
@call
def forever(self) -> None:
    while True:
        pass
@call
def bomb(self, note: Note) -> None:
    while True:
        self.l.append(note)
@call
def spread(self, note: Note) -> None:
    k = U64(0)
    while True:
        self.m[k] = note
        k += 1
@call
def count(self) -> U64:
    self.n += 1
    return self.n
@call
def square(self) -> U128:
    x = U128(3)
    while True:
        x = x * x
    return x
""",
    ABOVE,
)


def test_events_have_their_fields_and_their_emitter():
    run = Runner(NOISY)
    outcome = run("tell", 1, 2)
    assert [(event.name, event.fields, event.emitter) for event in outcome.events] == [
        ("Told", (1, 2), HOME),
        ("Said", ("存证",), HOME),
    ]
    assert [run.program.event_data(event) for event in outcome.events] == [["1", "2"], ["存证"]]


def test_events_of_a_call_have_at_most_64_kibibytes():
    run = Runner(NOISY)
    note = "x" * 4096  # with its word 4104 bytes
    fits = 65536 - 15 * 4104 - 8
    assert len(run("shout", 15, note, "y" * fits).events) == 16
    outcome = run("shout", 15, note, "y" * (fits + 1))
    assert (outcome.code, outcome.events) == (Code.OUT_OF_BOUNDS, ())
    assert outcome.line == line_of(NOISY, "emit(Said(note=last))")
    assert run("count").result == 2
    assert len(run("shout", 15, note, "y" * fits).events) == 16


@pytest.mark.parametrize("method", ["forever", "bomb", "spread", "square"])
def test_what_never_ends_ends_with_an_outcome(method):
    run = Runner(NOISY)
    run("tell", 1, 1)
    run("count")
    before = run.state()
    arguments = ("存" * 1365,) if method in {"bomb", "spread"} else ()
    for _ in range(2):
        outcome = run(method, *arguments)
        assert outcome.code == (Code.OVERFLOW if method == "square" else Code.OUT_OF_GAS)
        assert outcome.gas == GAS or method == "square"
        assert run.state() == before
        assert run.instance.logical_bytes == 32
    assert run("count").result == 2


def test_chains_of_helpers_at_their_limits():
    members = "@call\ndef f(self, x: U64) -> U64:\n    return self._h0(x)\n"
    members += "".join(
        f"def _h{i}(self, x: U64) -> U64:\n    return self._h{i + 1}(x) + self._h{i + 1}(x)\n" for i in range(31)
    )
    source = contract(members + "def _h31(self, x: U64) -> U64:\n    return x\n")
    run = Runner(source)
    assert run("f", 1).code == Code.OUT_OF_GAS
    single = Runner(source.replace("(x) + self._h", "(x) + 0 * self._h").replace("(x) + 0 * self._h31(x)", "(x)"))
    assert single("f", 1).code == Code.OUT_OF_GAS
    straight = contract("".join([
        "@call\ndef f(self, x: U64) -> U64:\n    return self._h0(x)\n",
        *(f"def _h{i}(self, x: U64) -> U64:\n    return self._h{i + 1}(x) + 1\n" for i in range(31)),
        "def _h31(self, x: U64) -> U64:\n    return x\n",
    ]))  # fmt: skip
    assert Runner(straight)("f", 1).result == 32


def test_storage_quota():
    row = 24 + 8 * 2  # map of U64 to U64
    run = Runner(
        contract(
            ORDER_MEMBERS
            + "@call\ndef put(self, k: U64, v: U64) -> None:\n    self.m[k] = v\n"
            + "@call\ndef drop(self, k: U64) -> None:\n    del self.m[k]",
            ABOVE,
        )
    )
    small = Runner(run.program, quota=2 * row)
    assert [small("put", k, 1).code for k in (1, 2)] == [Code.OK, Code.OK]
    assert small.instance.logical_bytes == 2 * row
    full = small("put", 3, 1)
    assert (full.code, full.line) == (Code.STORAGE_QUOTA, line_of(small.program.source, "self.m[k] = v"))
    assert small("put", 2, 5).code == Code.OK
    assert small.instance.logical_bytes == 2 * row
    assert small("drop", 1).code == Code.OK
    assert small.instance.logical_bytes == row
    assert small("put", 3, 1).code == Code.OK
    assert Runner(run.program, quota=row - 1)("put", 1, 1).code == Code.STORAGE_QUOTA
    assert Runner(run.program, quota=row)("put", 1, 1).code == Code.OK


def test_storage_quota_counts_texts_in_steps_of_16_bytes():
    row = 24 + 8 * 2
    small = Runner(PROGRAM, quota=row + 32)
    assert small("note", 1, "").code == Code.OK
    assert small.instance.logical_bytes == row
    assert small("note", 1, "a").code == Code.OK
    assert small.instance.logical_bytes == row + 16
    assert small("note", 1, "存" * 10).code == Code.OK
    assert small.instance.logical_bytes == row + 32
    assert small("note", 1, "a" * 33).code == Code.STORAGE_QUOTA
    assert small("noted", 1).result == "存" * 10
    assert small.instance.logical_bytes == row + 32
    assert small("note", 1, "").code == Code.OK
    assert small.instance.logical_bytes == row


def test_storage_quota_counts_parts_of_records_lists_and_scalars():
    items = 24 + 8 * 4
    lists = 24 + 8 * 4
    numbers = 24 + 8 * 2
    run = Runner(PROGRAM)
    run("push", 1, "x" * 17, 0)
    assert run.instance.logical_bytes == items + 32 + lists + 32 + numbers
    run("part", 1, "")
    assert run.instance.logical_bytes == items + lists + 32 + numbers
    run("set_zeros")
    assert run.instance.logical_bytes == items + lists + 32 + numbers + 2 * 32
    exact = Runner(PROGRAM, quota=items + 32 + lists + 32 + numbers)
    assert exact("push", 1, "x" * 17, 0).code == Code.OK
    assert exact("part", 1, "x" * 33).code == Code.STORAGE_QUOTA
    assert exact("set_zeros").code == Code.STORAGE_QUOTA
    assert exact("part", 1, "x" * 32).code == Code.OK
