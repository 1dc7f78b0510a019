"""The checker: what it refuses and with which words, what it accepts, and that it never fails in another way."""

from __future__ import annotations

import ast
import sys
from itertools import count
from pathlib import Path

import pytest
from contract_running import HOME, contract
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changan.contract.check import CheckError, analyse, check
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.plain import PlainInstance
from changan.contract.program import compile_source

EXAMPLES = sorted((Path(__file__).parents[2] / "src" / "changan" / "examples").glob("[a-z]*.py"))

ABOVE = """\
MAX = 8
BIG: Final = U128(10**20)
Note = Annotated[Text, MaxLen(64)]
Short = Annotated[Text, MaxLen(8)]
Four = Annotated[Bytes, Len(4, 4)]
class Color(Enum):
    RED = 0
    GREEN = 1
class Point(Record):
    x: I64
    y: I64
    note: Note
class Seen(Event):
    who: Address
    n: U64
class Other(Interface):
    @call
    def put(self, n: U64) -> None:
        raise NotImplementedError
    @view
    def look(self, n: U64) -> U64:
        raise NotImplementedError
"""
MEMBERS = """\
n: U64
signed: I64
wide: U128
flag: Bool
name: Note
owner: Address
m: Map[U64, U64]
md: Map[U64, U64] = Map(default=U64(0))
pairs: Map[tuple[Address, U64], U64] = Map(default=0)
points: Map[U64, Point]
colors: Map[Color, U64]
l: List[U64]
@call
def door(self) -> None:
    self.n = self.n + 1
@view
def peek(self) -> U64:
    return self.n
def _one(self) -> U64:
    return 1
def _write(self) -> None:
    self.n = 1
def _add(self, x: U64, y: U64) -> U64:
    return x + y
def _nothing(self) -> None:
    pass
"""
PARAMETERS = "self, a: U64, b: U64, i: I64, w: U128, t: Note, d: Digest, who: Address, c: Bool, col: Color, four: Four"


def in_body(statements: str, kind: str = "call", result: str = "None") -> str:
    """Return a file whose method `f` holds these statements."""
    inner = "\n".join(f"    {line}" for line in statements.splitlines())
    mark = f"@{kind}\n" if kind != "helper" else ""
    name = "f" if kind != "helper" else "_f"
    return contract(f"{MEMBERS}{mark}def {name}({PARAMETERS}) -> {result}:\n{inner}\n", ABOVE)


def in_class(members: str) -> str:
    return contract(MEMBERS + members, ABOVE)


def at_top(text: str) -> str:
    return contract(MEMBERS, f"{ABOVE}{text}\n")


# What a statement in a method is refused with
STATEMENTS = [
    # types and literals
    ("x: int = 1", "int has no fixed size; use U64, I64 or U128"),
    ("x: float = 1", "floats are refused"),
    ("x = 1.5", "floats are refused"),
    ("x = 1e3", "floats are refused"),
    ("x = 2j", "floats are refused"),
    ("x: str = t", "use Annotated[Text, MaxLen(n)]: a text has a bound"),
    ("x: bytes = d", "bytes have a length"),
    ("x: bool = c", "use Bool"),
    ("x: dict = 1", "use Map[K, V] as a field of the contract"),
    ("x: list = 1", "use List[V] as a field of the contract"),
    ("x: Text = t", "Text has a bound: Annotated[Text, MaxLen(n)]"),
    ("x: Bytes = d", "Bytes has a bound: Annotated[Bytes, Len(n, n)]"),
    ("x: Map[U64, U64] = a", "a Map is a field of the contract"),
    ("x: Nothing = a", "there is no type Nothing"),
    ("x: 'U64' = a", "this is no type of the language"),
    ("x: U64 | I64 = a", "this is no type of the language"),
    ("x: tuple[U64, U64] = (a, b)", "a tuple is only a key; use a Record"),
    ("x = None", "Constant is not in the language"),
    ("x = ...", "Constant is not in the language"),
    ("x = u'hello'", 'write "..." without u before it'),
    ("x = '\\ud800'", "the text holds a lone surrogate, which is not UTF-8"),
    ("x = 2**64", "18446744073709551616 does not fit in U64"),
    ("x = 0x" + "F" * 5000, "the constant has more than 256 bits"),
    ("x = 2**256", "the constant has more than 256 bits"),
    ("x = 2**300", "an exponent or shift is 0 to 256"),
    ("x = 1 << 257", "an exponent or shift is 0 to 256"),
    ("x = 2**-1", "an exponent or shift is 0 to 256"),
    ("x = 187 // 0", "division by zero"),
    ("x = 187 % 0", "division by zero"),
    ("x = U64(-1)", "-1 does not fit in U64"),
    ("x = U64(2**64 - 1) + 1", "does not fit in U64"),
    ("x = U64(1) + I64(2)", "U64 wanted, this is I64"),
    ("x = I64(1) << I64(2)", "U64 wanted, this is I64"),
    ("x = -U64(5)", "only I64 has a sign, this is U64"),
    ("x: U64 = -I64(-5)", "U64 wanted, this is I64"),
    ("x = Address(b'short')", "Address() takes nothing, or 20 constant bytes"),
    ("x = Digest(d)", "Digest() takes nothing, or 32 constant bytes"),
    ("x = Address(b'a', b'b')", "Address() takes nothing, or 20 constant bytes"),
    # operators
    ("x = a / b", "use // (there are no fractions)"),
    ("x = a ** b", "** is only for constants"),
    ("x = a @ b", "@ is not in the language"),
    ("x = ~a", "~x is refused: write x ^ MAX"),
    ("x = +a", "+x is refused: write x"),
    ("x = -a", "only I64 has a sign, this is U64"),
    ("x = -w", "only I64 has a sign, this is U128"),
    ("x = a < b < a", "compare two values at a time"),
    ("x = a is b", "is is refused: use =="),
    ("x = a is not b", "is is refused: use =="),
    ("x = a + i", "U64 wanted, this is I64"),
    ("x = i + a", "I64 wanted, this is U64"),
    ("x = w * a", "U128 wanted, this is U64"),
    ("x = a == i", "U64 wanted, this is I64"),
    ("x = a << i", "U64 wanted, this is I64"),
    ("x = a + c", "U64 wanted, this is Bool"),
    ("x = c + c", "+ works on integers, this is Bool"),
    ("x = t + t", "+ works on integers, this is Text[64]"),
    ("x = t % t", "% works on integers, this is Text[64]"),
    ("x = t < t", "< orders integers only; Text[64] has == and !="),
    ("x = d > d", "> orders integers only; Bytes[32] has == and !="),
    ("x = col < col", "< orders integers only; Color has == and !="),
    ("x = c >= c", ">= orders integers only; Bool has == and !="),
    ("x = who == d", "Address wanted, this is Bytes[32]"),
    ("x = self.points[a] == self.points[b]", "records are compared field by field"),
    ("x = not a", "Bool wanted, this is U64"),
    ("x = a and b", "Bool wanted, this is U64"),
    ("x = a or c", "Bool wanted, this is U64"),
    ("x = 1 if a else 2", "Bool wanted, this is U64"),
    ("x = a if c else i", "U64 wanted, this is I64"),
    ("x = U64(c)", "U64 takes an integer, this is Bool"),
    ("x = U64(t)", "U64 takes an integer, this is Text[64]"),
    ("x = U64(a, b)", "write U64(number)"),
    ("x = U64(a, base=10)", "write U64(number)"),
    ("x = a in self.l", "in asks a map: key in self.m"),
    ("x = a in t", "in asks a map: key in self.m"),
    ("x = who in self.m", "U64 wanted, this is Address"),
    # names and assignment
    ("x = y", "there is no name y"),
    ("x += 1", "there is no name x"),
    ("if c:\n    x = 1\ny = x", "x is not assigned on every way here"),
    ("for j in range(a):\n    x = j\ny = j", "j is not assigned on every way here"),
    ("a = 1", "a is a parameter; copy it to another name first"),
    ("a += 1", "a is a parameter; copy it to another name first"),
    ("a: U64 = 1", "a has its type already"),
    ("x = 1\nx = c", "U64 wanted, this is Bool"),
    ("if c:\n    x = 1\nelse:\n    x = c", "x has one type, and that is U64"),
    ("x: U64 = 1\nx: U64 = 2", "x has its type already"),
    ("x: U64", "write name: Type = value"),
    ("(x): U64 = a", "write name: Type = value"),
    ("x = y = 1", "assign one name at a time"),
    ("x, y = a, b", "assign one name at a time"),
    ("[x, y] = a, b", "assign one name at a time"),
    ("x = a, b", "a tuple is only a key; use a Record"),
    ("*x, y = a, b", "assign one name at a time"),
    ("MAX = 9", "MAX already has a meaning here"),
    ("MAX += 1", "MAX already has a meaning here"),
    ("Color = 9", "Color already has a meaning here"),
    ("range = 9", "range already has a meaning here"),
    ("self = a", "self already has a meaning here"),
    ("x = self", "self stands only before a field or a helper: self.name"),
    ("__x = a", "names do not start with two underscores"),
    ("x" * 65 + " = a", "names are ASCII letters, digits and _, at most 64"),
    ("naïve = a", "ASCII"),
    ("аdmin = a", "ASCII"),  # a Cyrillic letter
    ("ａ１ = a", "ASCII"),  # full-width: Python reads a1
    ("𝐱 = a", "ASCII"),  # mathematical bold: Python reads x
    ("x = ｗ", "ASCII"),
    # fields, maps, lists, records
    ("x = self.missing", "no field missing; declare it in the class"),
    ("self.missing = a", "no field missing; declare it in the class"),
    ("self.missing[a] = a", "only maps and lists of the contract have elements"),
    ("x = self.missing[a]", "no field missing; declare it in the class"),
    ("self.caller = who", "no field caller; declare it in the class"),
    ("self.n = i", "U64 wanted, this is I64"),
    ("self.m = self.md", "is never replaced: set its elements"),
    ("x = self.m", "Map[U64, U64] is no value: use self.m[...]"),
    ("x = self.l", "List[U64] is no value: use self.l[...]"),
    ("x = self._one", "_one is a method: call it"),
    ("x = self.door", "door is a method: call it"),
    ("self.m[who] = a", "U64 wanted, this is Address"),
    ("self.m[a] = i", "U64 wanted, this is I64"),
    ("self.m[a, b] = a", "a tuple is only a key; use a Record"),
    ("self.pairs[a] = a", "tuple[Address, U64] wanted, this is U64"),
    ("self.pairs[who] = a", "tuple[Address, U64] wanted, this is Address"),
    ("self.pairs[who, a, b] = a", "tuple[Address, U64] wanted, this has 3 parts"),
    ("self.m[self._one()] += 1", "name the key first: k = ...; self.m[k] += ..."),
    ("self.m[self.n] += 1", "name the key first: k = ...; self.m[k] += ..."),
    ("self.m[a + 1] += 1", "name the key first: k = ...; self.m[k] += ..."),
    ("self.points[self._one()].x += 1", "name the key first: k = ...; self.m[k] += ..."),
    ("self.l[i] = a", "U64 wanted, this is I64"),
    ("self.l[-1] = a", "-1 does not fit in U64"),
    ("x = self.l[0:1]", "Slice is not in the language"),
    ("x = t[0]", "only maps and lists of the contract are indexed; texts and bytes are whole"),
    ("x = self.m[a][b]", "only maps and lists of the contract are indexed"),
    ("del self.l[0]", "del takes one key of a map: del self.m[k]"),
    ("del self.n", "del takes one key of a map: del self.m[k]"),
    ("del a", "del takes one key of a map: del self.m[k]"),
    ("del self.m[a], self.m[b]", "del takes one key of a map: del self.m[k]"),
    ("self.l.append(who)", "U64 wanted, this is Address"),
    ("self.l.append(a, b)", "write self.l.append(value)"),
    ("self.l.append(*a)", "Starred is not in the language"),
    ("self.l.pop()", "this cannot be called in a contract"),
    ("self.m.clear()", "this cannot be called in a contract"),
    ("x = self.m.get(a)", "write self.m.get(key, otherwise)"),
    ("x = self.m.keys()", "this cannot be called in a contract"),
    ("x = self.l.get(0, a)", "a list has no get: use self.l[i]"),
    ("x = len(self.m)", "len counts a list of the contract; size(text) counts a text's bytes"),
    ("x = len(t)", "len counts a list of the contract; size(text) counts a text's bytes"),
    ("x = size(d)", "size counts a text's bytes, this is Bytes[32]"),
    ("x = sha256(a)", "sha256 takes bytes or text, this is U64"),
    ("x = sm3(c)", "sm3 takes bytes or text, this is Bool"),
    ("x = Point(x=1, y=2)", "give every field by name and in order: Point(x=..., y=..., note=...)"),
    ("x = Point(y=1, x=2, note=t)", "give every field by name and in order"),
    ("x = Point(1, 2, t)", "give every field by name and in order"),
    ("x = Point(**a)", "give every field by name and in order"),
    ("x = Point(x=a, y=2, note=t)", "I64 wanted, this is U64"),
    ("x = Point(x=1, y=2, note='" + "n" * 65 + "')", "Text[64] wanted, this is Text[65]"),
    ("x = a.real", "U64 has no fields"),
    ("x = self.points[a].z", "Point has no field z; it has x, y, note"),
    ("r = self.points[a]\nr.x = 1", "a record is a copy: write self.m[k].field = value, or store a new record"),
    ("self.m[a].x = 1", "U64 has no fields"),
    ("self.points[a].z = 1", "Point has no field z"),
    ("self.l[a].x = 1", "a record is a copy"),
    ("x: Short = t", "Text[8] wanted, this is Text[64]"),
    ("x = Color.BLUE", "Color has no member BLUE; it has RED, GREEN"),
    ("x = Color(1)", "there is no function Color"),
    ("x: Color = 1", "Color wanted, this is U64"),
    ("x = Color.RED + Color.RED", "+ works on integers, this is Color"),
    # control
    (
        "for k in self.m:\n    pass",
        "loop as: for i in range(n) or range(a, b); a Map has no order, keep a List of its keys",
    ),
    ("for k in self.l:\n    pass", "loop as: for i in range(n) or range(a, b)"),
    ("for k in range(0, 10, 2):\n    pass", "loop as: for i in range(n) or range(a, b)"),
    ("for k in range(*a):\n    pass", "loop as: for i in range(n) or range(a, b)"),
    ("for k in range(stop=a):\n    pass", "loop as: for i in range(n) or range(a, b)"),
    ("for j, k in range(a):\n    pass", "loop as: for i in range(n) or range(a, b)"),
    ("for self.n in range(a):\n    pass", "loop as: for i in range(n) or range(a, b)"),
    ("for k in range(t):\n    pass", "range counts integers, this is Text[64]"),
    ("for k in range(a, i):\n    pass", "U64 wanted, this is I64"),
    ("for a in range(3):\n    pass", "a already has a meaning here"),
    ("for k in range(a):\n    pass\nelse:\n    pass", "a loop has no else"),
    ("while c:\n    pass\nelse:\n    pass", "a loop has no else"),
    ("while a:\n    pass", "Bool wanted, this is U64"),
    ("if a:\n    pass", "Bool wanted, this is U64"),
    ("break", "break and continue stand inside a loop"),
    ("continue", "break and continue stand inside a loop"),
    ("return\nself.n = 1", "this line can never run"),
    ("decline('no')\nself.n = 1", "this line can never run"),
    ("while c:\n    break\n    self.n = 1", "this line can never run"),
    ("if c:\n    return\nelse:\n    decline('no')\nself.n = 1", "this line can never run"),
    ("return a", "f returns nothing: -> None"),
    ("try:\n    pass\nexcept ValueError:\n    pass", 'a failing call ends and leaves no trace: use decline("why")'),
    ("try:\n    pass\nexcept* ValueError:\n    pass", 'a failing call ends and leaves no trace: use decline("why")'),
    ("raise ValueError", 'a failing call ends and leaves no trace: use decline("why")'),
    ("assert c", 'Assert is not in the language: use require(condition, "why")'),
    ("with self.m:\n    pass", "With is not in the language"),
    ("async with self.m:\n    pass", "AsyncWith is not in the language"),
    ("async for x in self.m:\n    pass", "AsyncFor is not in the language"),
    ("match a:\n    case 1:\n        pass", "Match is not in the language"),
    ("global n", "there are no globals: keep state in fields of the contract"),
    ("nonlocal n", "there are no globals: keep state in fields of the contract"),
    ("import os", "imports are refused but for: from changan.contract import ..."),
    ("from os import system", "imports are refused but for: from changan.contract import ..."),
    ("def g() -> None:\n    pass", "FunctionDef is not in the language"),
    ("async def g() -> None:\n    pass", "AsyncFunctionDef is not in the language"),
    ("class G:\n    pass", "ClassDef is not in the language"),
    # calls and effects
    ("self.door()", "door is a door (@call); put the shared part in a helper _door"),
    ("x = self.peek()", "peek is a door (@view); put the shared part in a helper _peek"),
    ("x = self._two()", "no helper _two; write def _two(self, ...) in the class"),
    ("x = self._nothing()", "_nothing returns nothing"),
    ("x = self._add(a)", "write _add(x, y)"),
    ("x = self._add(a, y=b)", "write _add(x, y)"),
    ("x = self._add(*a)", "write _add(x, y)"),
    ("x = self._add(a, i)", "U64 wanted, this is I64"),
    ("Seen(who=who, n=a)", "an event is emitted: emit(Seen(...))"),
    ("x = Seen(who=who, n=a)", "an event is emitted: emit(Seen(...))"),
    ("emit(a)", "write emit(Event(field=value, ...)) with a class of this file that derives from Event"),
    ("emit(Point(x=1, y=2, note=t))", "write emit(Event(field=value, ...))"),
    ("emit(Seen(n=a, who=who))", "give every field by name and in order: Seen(who=..., n=...)"),
    ("emit(Seen(who=who))", "give every field by name and in order"),
    ("emit(Seen(who=who, n=a), a)", "write emit(Event(field=value, ...))"),
    ("emit(event=Seen(who=who, n=a))", "emit takes no names before its arguments"),
    ("x = emit(Seen(who=who, n=a))", "emit(...) is a statement of its own"),
    ("x = decline('no')", "decline(...) is a statement of its own"),
    ("decline()", 'write decline("why")'),
    ("decline(t)", 'the reason is a text in quotes: "why"'),
    ("decline('')", 'the reason is a text in quotes: "why"'),
    ("decline(' ')", 'the reason is a text in quotes: "why"'),
    ("decline('a\\nb')", "a reason is one line of at most 200 bytes"),
    ("decline('" + "r" * 201 + "')", "a reason is one line of at most 200 bytes"),
    ("decline('\\udcff')", "lone surrogate"),
    ("decline(f'no {a}')", 'the reason is a text in quotes: "why"'),
    ("require(c)", 'write require(condition, "why")'),
    ("require(a, 'no')", "Bool wanted, this is U64"),
    ("require(c, reason='no')", "require takes no names before its arguments"),
    ("a", "this value is not used"),
    ("a + b", "this value is not used"),
    ("self.m[a]", "this value is not used"),
    ("size(t)", "this value is not used"),
    ("x = a\n'text in the middle'", "this value is not used"),
    ("Other(d).put(a)", "Address wanted, this is Bytes[32]"),
    ("Other(who).put(i)", "U64 wanted, this is I64"),
    ("Other(who).put()", "write put(n)"),
    ("Other(who).missing(a)", "Other declares no method missing"),
    ("Other(who, who).put(a)", "write Other(address).put(...)"),
    ("x = Other(who)", "there is no function Other"),
    ("x = Other(who).put(a)", "put returns nothing"),
    ("x = Other(who).address", "there is no function Other"),
    # what people try in a sandbox
    ("x = self.__class__", "no field __class__; declare it in the class"),
    ("x = self.__dict__", "no field __dict__; declare it in the class"),
    ("x = a.__class__.__mro__", "U64 has no fields"),
    ("x = ''.__class__.__base__.__subclasses__()", "this cannot be called in a contract"),
    ("x = ().__class__", "a tuple is only a key; use a Record"),
    ("x = self.door.__globals__", "door is a method: call it"),
    ("x = getattr(self, 'n')", "there is no function getattr"),
    ("setattr(self, 'n', a)", "there is no function setattr"),
    ("x = eval('1')", "there is no function eval"),
    ("exec('1')", "there is no function exec"),
    ("x = compile('1', '', 'eval')", "there is no function compile"),
    ("x = __import__('os')", "there is no function __import__"),
    ("x = __builtins__", "there is no name __builtins__"),
    ("x = __builtins__['eval']", "only maps and lists of the contract are indexed"),
    ("x = globals()", "there is no function globals"),
    ("x = vars(self)", "there is no function vars"),
    ("x = type(self)", "there is no function type"),
    ("x = open('/etc/passwd')", "there is no function open"),
    ("x = input()", "there is no function input"),
    ("print(a)", "there is no function print"),
    ("x = breakpoint()", "there is no function breakpoint"),
    ("x = super().caller", "there is no function super"),
    ("x = isinstance(a, U64)", "there is no function isinstance"),
    ("x = int(a)", "there is no function int"),
    ("x = abs(i)", "there is no function abs"),
    ("x = min(a, b)", "there is no function min"),
    ("x = hash(d)", "there is no function hash"),
    ("x = '{0.__class__}'.format(a)", "this cannot be called in a contract"),
    ("x = t.encode()", "this cannot be called in a contract"),
    ("x = t.upper()", "this cannot be called in a contract"),
    ("x = f'{a}'", "texts are not formatted in contracts"),
    ("x = f'{self.__class__!r:>{a}}'", "texts are not formatted in contracts"),
    ("x = '%s' % a", "works on integers"),
    ("x = (y := a)", "NamedExpr is not in the language"),
    ("(y := a)", "NamedExpr is not in the language"),
    ("if (y := c):\n    pass", "NamedExpr is not in the language"),
    ("x = [y for y in a]", "ListComp is not in the language"),
    ("x = {y for y in a}", "SetComp is not in the language"),
    ("x = {y: y for y in a}", "DictComp is not in the language"),
    ("x = (y for y in a)", "GeneratorExp is not in the language"),
    ("x = [a]", "List is not in the language"),
    ("x = {a}", "Set is not in the language"),
    ("x = {a: b}", "Dict is not in the language"),
    ("x = lambda: a", "Lambda is not in the language: write a helper method _name"),
    ("x = (lambda: a)()", "this cannot be called in a contract"),
    ("x = yield a", "Yield is not in the language"),
    ("yield a", "Yield is not in the language"),
    ("x = yield from a", "YieldFrom is not in the language"),
    ("await a", "Await is not in the language"),
    ("x = await a", "Await is not in the language"),
]


@pytest.mark.parametrize(("statements", "text"), STATEMENTS, ids=[statement[:50] for statement, _ in STATEMENTS])
def test_statement_is_refused_with_its_line(statements, text):
    source = in_body(statements)
    found = check(source)
    matching = [message for message in found if text in message.text]
    assert matching, [message.text for message in found]
    first = source[: source.index(f"def f({PARAMETERS})")].count("\n") + 2
    assert first <= matching[0].line < first + statements.count("\n") + 1
    assert matching[0].rule


MEMBERS_REFUSED = [
    ("def f(self) -> None:\n    pass", "f is marked @call or @view, or is a helper _f"),
    ("@call\ndef _f(self) -> None:\n    pass", "a name with an underscore before it is a helper's"),
    ("@call\n@view\ndef f(self) -> None:\n    pass", "a method has one mark: @call, @view, @init or @migrate"),
    ("@property\ndef f(self) -> None:\n    pass", "a method is marked @call, @view, @init, @migrate"),
    ("@staticmethod\ndef f() -> None:\n    pass", "a method is marked @call, @view, @init, @migrate"),
    ("@call()\ndef f(self) -> None:\n    pass", "a method is marked @call, @view, @init, @migrate"),
    ("@(lambda f: f)\ndef f(self) -> None:\n    pass", "a method is marked @call, @view, @init, @migrate"),
    ("@migrate(drops='x')\ndef f(self) -> None:\n    pass", "a method is marked @call, @view, @init, @migrate"),
    ("@migrate(drops=(n,))\ndef f(self) -> None:\n    pass", "a method is marked @call, @view, @init, @migrate"),
    ("@migrate(drops=('n',))\ndef f(self) -> None:\n    pass", "drops names n, which this version still declares"),
    ("@init\ndef f(self) -> U64:\n    return 1", "@init returns nothing: -> None"),
    ("@migrate\ndef f(self) -> U64:\n    return 1", "@migrate returns nothing: -> None"),
    ("@init\ndef f(self) -> None:\n    pass\n@init\ndef g(self) -> None:\n    pass", "there is one @init method"),
    ("@call\ndef f(self):\n    pass", "f says what it returns: -> Type, or -> None"),
    ("@call\ndef f(self, x) -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f(self, x: U64 = 1) -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f(self, *x: U64) -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f(self, *, x: U64) -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f(self, *, x: U64 = 1) -> None:\n    pass", "(no defaults, no *)"),
    ("@call\ndef f(self, x: U64, /) -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f(self, **x: U64) -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f() -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f(this) -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f(self: U64) -> None:\n    pass", "parameters are: self, name: Type, ... (no defaults, no *)"),
    ("@call\ndef f(self, self: U64) -> None:\n    pass", "self stands first alone"),
    ("@call\ndef f(self, x: U64, x: U64) -> None:\n    pass", "two parameters have one name"),
    ("@call\ndef f(self, Color: U64) -> None:\n    pass", "Color already has a meaning here"),
    ("@call\ndef f(self, __x: U64) -> None:\n    pass", "names do not start with two underscores"),
    ("@call\ndef f(self, x: tuple[U64, U64]) -> None:\n    pass", "a tuple is only a key; use a Record"),
    ("@call\ndef f(self, x: List[U64]) -> None:\n    pass", "a List is a field of the contract"),
    ("@call\ndef f(self, x: int) -> None:\n    pass", "int has no fixed size; use U64, I64 or U128"),
    ("@call\ndef f(self, x: Seen) -> None:\n    pass", "there is no type Seen"),
    ("@call\ndef f(self) -> int:\n    return 1", "int has no fixed size; use U64, I64 or U128"),
    ("@call\ndef f(self) -> U64:\n    pass", "f can end without returning U64"),
    ("@call\ndef f(self) -> U64:\n    if self.flag:\n        return 1", "f can end without returning U64"),
    ("@call\ndef f(self) -> U64:\n    while True:\n        return 1", "f can end without returning U64"),
    ("@call\ndef f(self) -> U64:\n    return", "U64 wanted, this returns nothing"),
    ("@call\ndef f(self) -> U64:\n    return None", "U64 wanted, this returns nothing"),
    ("@call\ndef f(self) -> U64:\n    return self.flag", "U64 wanted, this is Bool"),
    ("@call\ndef door(self) -> None:\n    pass", "door already has a meaning here"),
    ("@call\ndef n(self) -> None:\n    pass", "n already has a meaning here"),
    ("n: I64", "n already has a meaning here"),
    ("caller: Address", "caller already has a meaning here"),
    ("__slots__: U64", "names do not start with two underscores"),
    ("__slots__ = ()", "a field is name: Type; a constant stands above the class"),
    ("@call\ndef __init__(self) -> None:\n    pass", "names do not start with two underscores"),
    ("def __getattr__(self, x: U64) -> U64:\n    return x", "names do not start with two underscores"),
    ("async def f(self) -> None:\n    pass", "AsyncFunctionDef is not in the language"),
    ("x = 5", "a field is name: Type; a constant stands above the class"),
    ("x: U64 = 5", "a field starts as zero, empty text or zero bytes: set it in @init"),
    ("(x): U64", "a field is name: Type"),
    ("self.x: U64", "AnnAssign is not in the language"),
    ("x: Point", "a record is kept in a Map or a List, not as a field of its own"),
    ("x: tuple[U64, U64]", "a tuple is only a key; use a Record"),
    ("x: Map[Note, U64]", "Text[64] cannot be a key; use its digest"),
    ("x: Map[tuple[U64, Note], U64]", "Text[64] cannot be a key; use its digest"),
    ("x: Map[Point, U64]", "Point cannot be a key; use a tuple of its fields"),
    ("x: Map[tuple[tuple[U64, U64], U64], U64]", "a tuple is only a key"),
    ("x: Map[tuple[U64, U64, U64, U64, U64, U64, U64, U64, U64], U64]", "a key has 1 to 8 parts"),
    ("x: Map[U64]", "a map is Map[Key, Value]"),
    ("x: Map[U64, U64, U64]", "a map is Map[Key, Value]"),
    ("x: Map", "there is no type Map"),
    ("x: Map[U64, Map[U64, U64]]", "a Map is a field of the contract, and cannot be nested or passed"),
    ("x: Map[U64, List[U64]]", "a List is a field of the contract, and cannot be nested or passed"),
    ("x: Map[U64, tuple[U64, U64]]", "a tuple is only a key; use a Record"),
    ("x: List[List[U64]]", "a List is a field of the contract, and cannot be nested or passed"),
    ("x: List[tuple[U64, U64]]", "a tuple is only a key; use a Record"),
    ("x: List[U64] = []", "a list starts empty: name: List[Type]"),
    ("x: Map[U64, U64] = {}", "a map starts empty: name: Map[Key, Value], or ... = Map(default=value)"),
    ("x: Map[U64, U64] = Map(0)", "a map starts empty: name: Map[Key, Value], or ... = Map(default=value)"),
    ("x: Map[U64, U64] = Map(default=self.n)", "a default is a constant"),
    ("x: Map[U64, U64] = Map(default=-1)", "-1 does not fit in U64"),
    ("x: Map[U64, U64] = Map(default=True)", "U64 wanted, this is Bool"),
    ("x: Map[U64, Point] = Map(default=Point(x=1, y=2, note='a'))", "a default is a constant"),
    ("x: Map[U64, Color] = Map(default=Color.BLUE)", "a default is a constant"),
    ("x: Annotated[Text, MaxLen(0)]", "a text has 1 to 4096 bytes"),
    ("x: Annotated[Text, MaxLen(4097)]", "a text has 1 to 4096 bytes"),
    ("x: Annotated[Text, Len(1, 1)]", "bounds are Annotated[Text, MaxLen(n)] and Annotated[Bytes, Len(n, n)]"),
    ("x: Annotated[Text, MaxLen(max_length=5)]", "bounds are Annotated[Text, MaxLen(n)]"),
    ("x: Annotated[Bytes, Len(0, 0)]", "bytes have a fixed length of 1 to 64: Len(n, n)"),
    ("x: Annotated[Bytes, Len(1, 2)]", "bytes have a fixed length of 1 to 64: Len(n, n)"),
    ("x: Annotated[Bytes, Len(65, 65)]", "bytes have a fixed length of 1 to 64: Len(n, n)"),
    ("x: Annotated[U64, MaxLen(8)]", "bounds are Annotated[Text, MaxLen(n)]"),
    ("if True:\n    x: U64", "If is not in the language"),
    ("print(1)", "Expr is not in the language"),
    ("class Inner:\n    pass", "ClassDef is not in the language"),
    ("import os", "imports are refused"),
    ("@view\ndef f(self) -> None:\n    self.n = 1", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    self.m[1] = 1", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    self.points[1].x = 1", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    self.n += 1", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    del self.m[1]", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    self.l.append(1)", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    self.l[0] = 1", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    emit(Seen(who=self.caller, n=1))", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    Other(self.caller).put(1)", "a @view cannot change state or emit"),
    ("@view\ndef f(self) -> None:\n    self._write()", "a @view cannot change state or emit, and _write does"),
    (
        "@view\ndef f(self) -> None:\n    self._deep()\ndef _deep(self) -> None:\n    self._write()",
        "a @view cannot change state or emit, and _deep does",
    ),
    ("def _a(self) -> None:\n    self._a()", "recursion is refused: _a -> _a"),
    (
        "def _a(self) -> None:\n    self._b()\ndef _b(self) -> None:\n    self._a()",
        "recursion is refused: _a -> _b -> _a",
    ),
]


@pytest.mark.parametrize(("members", "text"), MEMBERS_REFUSED, ids=[member[:60] for member, _ in MEMBERS_REFUSED])
def test_member_is_refused_with_its_line(members, text):
    source = in_class(members)
    found = check(source)
    matching = [message for message in found if text in message.text]
    assert matching, [message.text for message in found]
    first = source.index("    " + members.splitlines()[0] + "\n", source.index("def _nothing"))
    first = source[:first].count("\n") + 1
    assert first <= matching[0].line <= first + members.count("\n")


TOPS_REFUSED = [
    ("import os", "imports are refused but for: from changan.contract import ..."),
    ("import changan.contract", "imports are refused but for"),
    ("from os import path", "imports are refused but for"),
    ("from . import token", "imports are refused but for"),
    ("from .changan.contract import call", "imports are refused but for"),
    ("from changan.contract import *", "name what you import: from changan.contract import Contract, U64, call"),
    ("from changan.contract import U64 as u", "changan.contract offers contracts no U64, and nothing is renamed"),
    ("from changan.contract import plain", "changan.contract offers contracts no plain"),
    ("from changan.contract import __builtins__", "changan.contract offers contracts no __builtins__"),
    ("from changan.contract.plain import exec", "imports are refused but for"),
    ("from typing import Any", "typing offers contracts no Any"),
    ("print('hello')", "Expr is not in the language"),
    ("def f(self) -> None:\n    pass", "FunctionDef is not in the language"),
    ("async def f() -> None:\n    pass", "AsyncFunctionDef is not in the language"),
    ("if True:\n    pass", "If is not in the language"),
    ("for x in y:\n    pass", "For is not in the language"),
    ("while True:\n    pass", "While is not in the language"),
    ("try:\n    pass\nfinally:\n    pass", "a failing call ends"),
    ("with a:\n    pass", "With is not in the language"),
    ("match a:\n    case 1:\n        pass", "Match is not in the language"),
    ("raise ValueError", "a failing call ends"),
    ("assert True", "Assert is not in the language"),
    ("del MAX", "Delete is not in the language"),
    ("global MAX", "there are no globals"),
    ("pass", "Pass is not in the language"),
    ("return 1", "Return is not in the language"),
    ("MAX += 1", "AugAssign is not in the language"),
    ("A = B = 1", "a constant is NAME = value"),
    ("A, B = 1, 2", "a constant is NAME = value"),
    ("A.b = 1", "a constant is NAME = value"),
    ("A: U64", "A has no value"),
    ("A = []", "A is no constant"),
    ("A = [1][0]", "this is no type of the language"),
    ("A = lambda: 1", "A is no constant"),
    ("A = print", "A is no constant"),
    ("A = f'{1}'", "A is no constant"),
    ("A = 1.5", "floats are refused"),
    ("A: I64 = U64(5)", "I64 wanted, this is U64"),
    ("A: U64 = -5", "-5 does not fit in U64"),
    ("A = 2**64 * 2**200", "the constant has more than 256 bits"),
    ("A: Final = Annotated[Text, MaxLen(3)]", "a type alias has no annotation"),
    ("MAX = 9", "MAX already has a meaning here"),
    ("U64 = 9", "U64 already has a meaning here"),
    ("int = 9", "int already has a meaning here"),
    ("self = 9", "self already has a meaning here"),
    ("__all__ = 1", "names do not start with two underscores"),
    ("__builtins__ = 1", "names do not start with two underscores"),
    ("Pair = tuple[U64, U64]\nTwice = tuple[Pair, Pair]", "a tuple is only a key"),
    ("class A:\n    x: U64", "a class derives from Contract, Record, Event, Enum or Interface"),
    ("class A(Record, Event):\n    x: U64", "a class derives from Contract, Record, Event, Enum or Interface"),
    ("class A(object):\n    x: U64", "object is no base"),
    ("class A(Point):\n    z: U64", "Point is no base"),
    ("class A(*b):\n    x: U64", "a class derives from"),
    ("class A(Record, metaclass=Point):\n    x: U64", "a class has one base and nothing else"),
    ("@call\nclass A(Record):\n    x: U64", "a class has one base and nothing else"),
    ("class A(Contract):\n    x: U64\nclass B(Contract):\n    x: U64", "one file holds one contract"),
    ("class A(Record):\n    pass", "A has 1 to 32 fields"),
    ("class A(Record):\n    x: U64 = 1", "fields are name: Type, without a value"),
    ("class A(Record):\n    x: U64\n    x: U64", "x is there already"),
    ("class A(Record):\n    __x: U64", "names do not start with two underscores"),
    ("class A(Record):\n    x: A", "there is no type A"),
    ("class A(Record):\n    x: List[U64]", "a List is a field of the contract"),
    ("class A(Record):\n    x: tuple[U64, U64]", "a tuple is only a key; use a Record"),
    ("class A(Record):\n    def f(self) -> None:\n        pass", "FunctionDef is not in the language"),
    ("class A(Event):\n    x = 1", "Assign is not in the language"),
    ("class A(Enum):\n    pass", "an enum has 1 to 64 members"),
    ("class A(Enum):\n    X = 1", "members count up from 0: X = 0"),
    ("class A(Enum):\n    X = 0\n    Y = 2", "members count up from 0: Y = 1"),
    ("class A(Enum):\n    X = 0\n    X = 1", "X is there already"),
    ("class A(Enum):\n    X = 'a'", "members count up from 0: X = 0"),
    ("class A(Enum):\n    X = True", "members count up from 0: X = 0"),
    ("class A(Enum):\n    X: U64 = 0", "AnnAssign is not in the language"),
    ("class A(Interface):\n    x: U64", "AnnAssign is not in the language"),
    (
        "class A(Interface):\n    def _f(self) -> None:\n        raise NotImplementedError",
        "methods of an Interface are",
    ),
    ("class A(Interface):\n    @call\n    def f(self) -> None:\n        pass", "methods of an Interface are"),
    ("class A(Interface):\n    @init\n    def f(self) -> None:\n        raise NotImplementedError", "methods of an"),
    ("class Address(Record):\n    x: U64", "Address already has a meaning here"),
    ("class Seen(Record):\n    x: U64", "Seen already has a meaning here"),
    ("class Ａ(Record):\n    x: U64", "ASCII"),
    ("'\\ud800'", "lone surrogate"),
]


@pytest.mark.parametrize(("text", "message"), TOPS_REFUSED, ids=[top[:60] for top, _ in TOPS_REFUSED])
def test_top_level_is_refused_with_its_line(text, message):
    source = at_top(text)
    found = check(source)
    matching = [item for item in found if message in item.text]
    assert matching, [item.text for item in found]
    if "one file holds one contract" not in message:
        first = source[: source.index("\n" + text + "\n") + 1].count("\n") + 1
        assert first <= matching[0].line <= first + text.count("\n")


def test_names_must_be_imported():
    found = check("from changan.contract import Contract, call\nclass C(Contract):\n    n: U64\n")
    assert [message.text for message in found] == ["import U64 from changan.contract"]
    for use in ("A = U64(5)", "A = 1 + U64(5)", "A: Final = Address()"):
        text = f"from changan.contract import Contract, view\n{use}\nclass C(Contract):\n    pass\n"
        assert [message.text for message in check(text) if message.text.startswith("import ")], use
    for use in ("U64(5)", "1 + U64(5)", "size('a')", "U64(self.n)"):
        text = (
            "from changan.contract import Contract, I64, view\nclass C(Contract):\n    n: I64\n"
            f"    @view\n    def f(self) -> None:\n        x = {use}\n"
        )
        assert [message.text for message in check(text) if message.text.startswith("import ")], use
    found = check("class C(Contract):\n    pass\n")
    assert found[0].text.startswith("Contract is no base: import and derive from")


def test_names_of_the_language_cannot_be_given_another_meaning():
    for name in ("U64", "size", "Map", "Bool", "sha256"):
        source = f"from changan.contract import Contract, Record, I64\nclass {name}(Record):\n    x: I64\n"
        source += "class C(Contract):\n    pass\n"
        assert [message.text for message in check(source)] == [f"{name} already has a meaning here"]


def test_a_file_without_a_contract():
    for source in ("", "\n\n", "# nothing", "'doc'", "from changan.contract import Contract", "MAX = 5"):
        assert [message.text for message in check(source)] == ["the file holds no class that derives from Contract"]


def test_every_fault_of_a_file_is_told_in_order_of_lines():
    source = contract(
        "a: int\nb: float\n@call\ndef f(self) -> None:\n    x = 1.5\n    y = unknown\n    self.zz = 1\n", "import os\n"
    )
    found = check(source)
    assert [message.rule for message in found] == ["syntax", "type", "type", "float", "name", "field"]
    assert [message.line for message in found] == sorted(message.line for message in found)
    with pytest.raises(CheckError, match="imports are refused") as error:
        compile_source(source)
    assert error.value.messages == found


ACCEPTED = [
    "x = 1",
    "x: I64 = 1 if c else 0",
    "x = -5\nx = -x",
    "x = 2**64 - 1",
    "x: U128 = 2**128 - 1",
    "x: I64 = -2**63",
    "x = a + 1 - 2 * b // 3 % 4 & 5 | 6 ^ 7 << 1 >> 2",
    "x = i + 1\ny = 1 + i\nx = y",
    "x = w * 2 // 3",
    "x = U128(a) * U128(b)",
    "x = I64(a) - I64(w)",
    "x = not c and (a < b or t == 'x') and d != Digest()",
    "x = a if c else 5",
    "x = t if c else ''",
    "x = BIG + w\ny = MAX + a\nz: I64 = MAX",
    "x = col == Color.RED",
    "x = four == b'abcd'",
    "x = sha256(t) == sm3(d)",
    "x = size(t) + len(self.l)",
    "x = self.m.get(a, 5) + self.md[b]\nx += self._one()",
    "self.pairs[who, a] += 1\nself.pairs[self.caller, MAX] = 1",
    "self.m[5] = 1\nself.m[5] += 1\nself.m[a] -= b\nself.m[MAX] *= 2",
    "self.colors[Color.GREEN] = 1\nself.colors[Color.GREEN] += 1\nself.colors[col] >>= 1",
    "self.points[a] = Point(x=-1, y=i, note='n')\nself.points[a].x += 1\nself.points[a].note = t\ndel self.points[a]",
    "p = self.points[a]\nx = p.x\nq = p\nself.points[b] = q",
    "self.l.append(a)\nself.l[0] = b\nself.l[a] += self.l[b]",
    "for k in range(a):\n    x = k\n    if k == 2:\n        continue\n    break",
    "for k in range(a, b):\n    pass\nfor k in range(I64(-2), i):\n    pass".replace(
        "for k in range(I", "for q in range(I"
    ),
    "for k in range(3):\n    for q in range(k):\n        self.n += q",
    "while a > self.n:\n    self.n += 1",
    "if c:\n    x = 1\nelif a == b:\n    x = 2\nelse:\n    x = 3",
    "if c:\n    return\ndecline('no')",
    "require(a > 0 and a in self.m and b not in self.m, 'no such key')",
    "emit(Seen(who=who, n=a + 1))",
    "self._write()\nself._one()\nself._nothing()",
    "Other(who).put(a)\nx = Other(self.owner).look(a) + 1\nOther(who).look(a)",
    "'''A docstring.'''\npass",
    "self.name = '存证'\nself.flag = True\nself.owner = Address(b'12345678901234567890')\nself.signed = -1",
    "self.wide += 5\nself.n <<= 1",
    "return",
    "return None",
    "x = self.time + self.height",
    "x = Bytes32()",
    "print = 5",
]


@pytest.mark.parametrize("statements", ACCEPTED)
def test_statement_is_accepted(statements):
    source = in_body(statements)
    assert check(source) == []
    PlainInstance(compile_source(source), HOME)
    CompiledInstance(compile_source(source), HOME)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_accepted(path):
    assert check(path.read_text()) == []


def test_a_local_may_bear_a_name_that_is_not_imported():
    source = "from changan.contract import Contract, U64, view\nclass C(Contract):\n    @view\n"
    source += "    def f(self, size: U64) -> U64:\n        call = size\n        return call\n"
    assert check(source) == []


def test_limits_of_counts():
    def many(count, text):
        return "\n".join(text.format(i) for i in range(count))

    assert check(contract(many(64, "f{}: U64"))) == []
    assert any("at most 64 fields" in m.text for m in check(contract(many(65, "f{}: U64"))))
    method = "@view\ndef f{}(self) -> None:\n    pass"
    assert check(contract(many(255, method))) == []
    assert any("at most 255 methods" in m.text for m in check(contract(many(256, method))))
    parameters = ", ".join(f"p{i}: U64" for i in range(16))
    assert check(contract(f"@view\ndef f(self, {parameters}) -> None:\n    pass")) == []
    found = check(contract(f"@view\ndef f(self, {parameters}, q: U64) -> None:\n    pass"))
    assert [m.text for m in found] == ["at most 16 parameters"]
    record = "class R(Record):\n" + many(32, "    f{}: U64") + "\n"
    assert check(contract("x: List[R]", record)) == []
    assert any("R has 1 to 32 fields" in m.text for m in check(contract("pass", record + "    g: U64\n")))
    enum = "class E(Enum):\n" + "\n".join(f"    M{i} = {i}" for i in range(64)) + "\n"
    assert check(contract("x: E", enum)) == []
    assert any("1 to 64 members" in m.text for m in check(contract("pass", enum + "    M64 = 64\n")))
    events = many(64, "class E{}(Event):\n    x: U64")
    assert check(contract("pass", events)) == []
    assert any("at most 64 kinds" in m.text for m in check(contract("pass", events + "\nclass F(Event):\n    x: U64")))


def test_at_most_255_reasons():
    body = "\n".join(f"    require(True, 'r{i}')" for i in range(255))
    source = contract(f"@view\ndef f(self) -> None:\n{body}\n    require(True, 'r0')")
    assert len(compile_source(source).reasons) == 255
    found = check(contract(f"@view\ndef f(self) -> None:\n{body}\n    require(True, 'more')"))
    assert [m.text for m in found] == ["at most 255 reasons"]


def test_a_record_has_at_most_1024_bytes():
    sixteen = "class A(Record):\n" + "".join(f"    f{i}: Digest\n" for i in range(16))  # 512 bytes
    assert check(contract("x: List[B]", sixteen + "class B(Record):\n    a: A\n    b: A\n")) == []
    found = check(contract("pass", sixteen + "class B(Record):\n    a: A\n    b: A\n    c: Bool\n"))
    assert [m.text for m in found] == ["B takes 1032 bytes without its texts, at most 1024 are allowed"]


def test_records_of_records_cannot_explode():
    above = "class R0(Record):\n    a: Annotated[Text, MaxLen(1)]\n"
    above += "".join(f"class R{i}(Record):\n    a: R{i - 1}\n    b: R{i - 1}\n" for i in range(1, 60))
    found = check(contract("x: Map[U64, R59]", above))
    assert any("at most 1024 are allowed" in message.text for message in found)


def test_keys_of_keys_cannot_explode():
    above = "T0 = tuple[U64, U64]\n" + "".join(f"T{i} = tuple[T{i - 1}, T{i - 1}]\n" for i in range(1, 60))
    assert any("a tuple is only a key" in message.text for message in check(contract("x: Map[T59, U64]", above)))


def test_loops_are_nested_only_so_deep_that_python_compiles_them():
    def nested(depth):
        lines = [f"{'    ' * (i + 1)}for i{i} in range(2):" for i in range(depth)]
        return contract("@call\ndef f(self) -> None:\n" + "\n".join([*lines, "    " * (depth + 1) + "pass"]))

    accepted = [depth for depth in range(1, 45) if not check(nested(depth))]
    assert accepted == list(range(1, max(accepted) + 1))
    assert max(accepted) >= 10
    for depth in accepted:
        PlainInstance(compile_source(nested(depth)), HOME)
        CompiledInstance(compile_source(nested(depth)), HOME)
    assert any("loops are nested" in message.text for message in check(nested(max(accepted) + 1)))


def test_helpers_call_helpers_only_so_deep_that_five_contracts_fit_the_stack():
    def chain(depth):
        members = "@call\ndef f(self) -> U64:\n    return self._h0()\n"
        members += "".join(f"def _h{i}(self) -> U64:\n    return self._h{i + 1}()\n" for i in range(depth - 1))
        return contract(members + f"def _h{depth - 1}(self) -> U64:\n    return 1\n")

    accepted = [depth for depth in range(1, 60) if not check(chain(depth))]
    assert check(chain(250))
    assert accepted == list(range(1, max(accepted) + 1))
    assert 20 <= max(accepted) <= (sys.getrecursionlimit() - 300) // 5
    assert any("helpers call helpers" in message.text for message in check(chain(max(accepted) + 1)))


# Totality


def survives(source):
    """Check a text, and build what was accepted; return whether it was."""
    found = check(source)
    assert isinstance(found, list)
    for message in found:
        assert message.line >= 1
        assert message.text
        str(message).encode()
    if not found:
        program = compile_source(source)
        PlainInstance(program, HOME)
        str(program.describe()).encode()
    return not found


LONG = "x = " + " + ".join(["1"] * 5000)
NASTY = {
    "zero byte": "\x00",
    "zero byte in a contract": contract("n: U64\x00"),
    "surrogate": "\ud800",
    "surrogate in a text": contract("@view\ndef f(self) -> None:\n    x = '\ud800'"),
    "escaped surrogate in a doc": contract("'''\\ud800'''\nn: U64"),
    "escaped surrogate in a method's doc": contract("@view\ndef f(self) -> None:\n    '\\ud800'"),
    "escaped surrogate in drops": contract("@migrate(drops=('\\ud800',))\ndef f(self) -> None:\n    pass"),
    "byte order mark": "\ufeff" + contract("n: U64"),
    "form feed": "\x0c" + contract("n: U64"),
    "brackets": "(" * 100_000,
    "brackets that fit": "(" * 30_000 + ")" * 30_000,
    "square brackets": "x = " + "[" * 30_000 + "]" * 30_000,
    "minuses": "x = " + "-" * 60_000 + "1",
    "nots": "x = " + "not " * 15_000 + "1",
    "attributes": "x = a" + ".a" * 30_000,
    "calls": "x = f" + "()" * 30_000,
    "sum": LONG,
    "deep indentation": "\n".join(" " * i + "if 1:" for i in range(150)),
    "elifs": contract(
        "@view\ndef f(self) -> None:\n    if True:\n        pass\n" + "    elif True:\n        pass\n" * 900
    ),
    "elifs that fit": contract(
        "@view\ndef f(self) -> None:\n    if True:\n        pass\n" + "    elif True:\n        pass\n" * 48
    ),
    "huge number": "x = 1" + "0" * 60_000,
    "huge hex number": "x = 0x" + "f" * 60_000,
    "huge power": "x = 0x" + "f" * 30_000 + " ** 256",
    "huge power of powers": "x = 9**99 ** 9**99",
    "huge shift": "x = 1 << (1 << 200)",
    "huge number in an enum": "class E(Enum):\n    A = 0x" + "f" * 9000,
    "huge number as a length": contract("t: Annotated[Text, MaxLen(0x" + "f" * 9000 + ")]"),
    "too long": contract("n: U64") + "#" * 70_000,
    "too many lines": contract("n: U64") + "\n" * 3000,
    "too many lines of old Macs": contract("n: U64") + "\r" * 3000,
    "one long line": contract("@view\ndef f(self) -> None:\n    " + "; ".join(f"x{i} = {i}" for i in range(4000))),
    "many messages": "\n".join(["import os"] * 1900),
    "tabs": "class C:\n\tx = 1\n        y = 2",
    "unfinished text": "x = '''",
    "line join": "x = 1 + \\",
    "odd escape": contract("@view\ndef f(self) -> None:\n    x = '\\d'"),
    "coding": "# -*- coding: no-such -*-\n" + contract("n: U64"),
    "type alias": "type X = int",
    "type parameter": "class C[T](Contract):\n    n: U64",
    "type parameter of a method": contract("@view\ndef f[T](self) -> None:\n    pass"),
    "positional only": contract("@view\ndef f(self, /) -> None:\n    pass"),
    "walrus in a default": contract("@view\ndef f(self, x: (y := U64)) -> None:\n    pass"),
    "yield in an annotation": contract("@view\ndef f(self) -> (yield):\n    pass"),
    "lambda in a base": "class C((lambda: Contract)()):\n    pass",
    "dollar": "$",
    "question": "x ? y",
    "old print": "print 'x'",
    "backticks": "`x`",
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_text_gets_messages(name):
    assert survives(NASTY[name]) == (name in {"form feed", "elifs that fit", "odd escape", "coding", "one long line"})


@pytest.mark.parametrize(
    "wrap", ["({})", "-{}", "not {}", "U64({})", "{} // 3", "self.m[{}]", "{} << 1", "{} + 1", "{} if True else 1"]
)
@pytest.mark.parametrize("depth", [1, 5, 20, 40, 50, 56, 60, 100, 190, 199, 250])
def test_nested_expression_is_accepted_only_if_it_compiles(wrap, depth):
    text = "i" if wrap == "-{}" else "True" if "not" in wrap else "a"
    for _ in range(depth):
        text = wrap.format(text if wrap in {"-{}", "not {}", "U64({})", "self.m[{}]", "({})"} else f"({text})")
    survives(in_body(f"x = {text}"))


RICH = at_top("") + "".join(
    "    " + line + "\n"
    for line in f"""\
@call
def f({PARAMETERS}) -> U64:
    x = a + b
    y: I64 = -i
    x += 1
    z = 3 if c else x
    if x < z and not c or a == 1:
        self.m[a] = x
    else:
        self.points[a] = Point(x=y, y=1, note=t)
    for j in range(1, a):
        self.l.append(j)
        if j == 3:
            break
    while x > 0:
        x -= self._add(1, self.m.get(a, 0))
        continue
    self.points[a].x = y
    del self.m[a]
    require(a in self.m, "no")
    emit(Seen(who=who, n=size(t)))
    Other(who).put(U64(i))
    self.pairs[who, a] = self.points[a].x if False else self.signed
    if c:
        decline("why")
    return len(self.l)
@migrate(drops=("gone",))
def move(self) -> None:
    pass
""".splitlines()
).replace("= self.points[a].x if False else self.signed", "= self.l[0]")

EXPRESSIONS = {
    type(ast.parse(text, mode="eval").body): text
    for text in [
        "a and b", "(y := a)", "a + b", "-i", "lambda: a", "a if c else b", "{a: b}", "{a}", "[a for a in b]",
        "{a for a in b}", "{a: a for a in b}", "(a for a in b)", "a < b", "f(a)", "f'{a}'", "5", "self.n", "self.m[a]",
        "a", "[a, b]", "(a, b)",
    ]
}  # fmt: skip
EXPRESSIONS |= {ast.Await: "await a", ast.Yield: "(yield a)", ast.YieldFrom: "(yield from a)"}
MORE_EXPRESSIONS = [
    "self", "self.m", "self.l", "self.caller", "self._one()", "self.door()", "Color.RED", "Color", "Point", "Seen", "Other",
    "Other(who)", "Other(who).look(1)", "Point(x=1, y=1, note='')", "True", "None", "...", "'text'", "b'bytes'", "1.5",
    "-1", "2**64", "2**256", "U64", "U64()", "U64(1)", "I64(1)", "Address()", "Map()", "Map(default=1)", "Text", "int",
    "tuple[U64, U64]", "Map[U64, U64]", "Annotated[Text, MaxLen(3)]", "Annotated[Bytes, Len(3, 3)]", "self.m.get(1, 1)",
    "1 in self.m", "range(3)", "len(self.l)", "size(t)", "sha256(t)", "decline('x')", "t", "d", "i", "w", "c", "who", "()",
    "f(*a)", "f(**a)", "a[1:2]", "a < b < c", "not c", "~a", "+a", "a.__class__",
]  # fmt: skip
STATEMENT_TEXTS = [
    "def g(self) -> None: pass", "async def g(self) -> None: pass", "class G(Record):\n    x: U64", "return", "return a",
    "del self.m[a]", "x = 1", "x += 1", "x: U64 = 1", "for q in range(3): pass", "async for q in a: pass",
    "while True: pass", "if c: pass", "with a: pass", "async with a: pass", "match a:\n    case 1: pass", "raise",
    "raise NotImplementedError", "try: pass\nexcept: pass", "try: pass\nexcept* A: pass", "assert c", "import os",
    "from changan.contract import call", "global a", "nonlocal a", "self._one()", "'text'", "pass", "break", "continue",
    "decline('x')", "x: U64", "self.n: U64 = 1", "n2: Map[U64, U64] = Map(default=1)", "X = 1",
]  # fmt: skip
NAMES = [
    "",
    "__class__",
    "self",
    "U64",
    "a",
    "n",
    "caller",
    "x" * 70,
    "naïve",
    "ａ",
    "range",
    "nothing",
    "True",
    "Color",
]
CONSTANTS = [None, True, 0, -1, 2**64, 2**300, 1.5, 2j, "text", "\ud800", b"bytes", ..., "u" * 5000]
ACCEPTED_NODES = {
    ast.Module, ast.ImportFrom, ast.alias, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AnnAssign,
    ast.AugAssign, ast.Expr, ast.Return, ast.Delete, ast.For, ast.While, ast.If, ast.Pass, ast.Break, ast.Continue,
    ast.Raise, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.Call, ast.keyword, ast.Constant,
    ast.Attribute, ast.Subscript, ast.Name, ast.Tuple, ast.And, ast.Or, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod,
    ast.Pow, ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift, ast.Not, ast.USub, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE, ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Load, ast.Store, ast.Del,
}  # fmt: skip


def leaves(base):
    """Return the classes of a kind of node that have no classes below them and can be made."""
    return [found for found in base.__subclasses__() if found.__module__ == "ast" and not found.__name__[0].islower()]


TURN = count()


def substitutes(value):
    """Return what may be put where a field of a node holds this value."""
    found = []
    if isinstance(value, ast.expr):
        turn = next(TURN) % 5  # every kind of node everywhere; of the rest a fifth, another one each time
        texts = [*EXPRESSIONS.values(), *MORE_EXPRESSIONS[turn::5]]
        found = [ast.parse(text, mode="eval").body for text in texts]
        found += [ast.Starred(ast.Name("a")), ast.Slice(ast.Name("a")), None]
    elif isinstance(value, ast.operator | ast.unaryop | ast.boolop | ast.cmpop):
        found = [kind() for kind in leaves(type(value).__base__)]
    elif isinstance(value, ast.stmt):
        found = [ast.parse(text).body[0] for text in STATEMENT_TEXTS]
    elif isinstance(value, ast.arg):
        found = [ast.arg("q"), ast.arg("self"), ast.arg("q", ast.Name("U64"))]
    elif isinstance(value, ast.keyword):
        found = [ast.keyword(None, ast.Name("a")), ast.keyword("q", ast.Name("a"))]
    elif isinstance(value, ast.alias):
        found = [ast.alias("U64", "u"), ast.alias("*"), ast.alias("os")]
    elif isinstance(value, str):
        found = NAMES
    elif isinstance(value, int):
        found = [0, 1, 2]
    return found


EXTRA = {  # lists and options of nodes that the contract leaves empty
    "decorator_list": "call", "orelse": "pass", "keywords": "keyword", "bases": "Contract", "posonlyargs": "arg",
    "kwonlyargs": "arg", "defaults": "1", "vararg": "arg", "kwarg": "arg", "cause": "a", "exc": "a", "asname": "text",
    "level": "1", "kind": "text", "type_comment": "text", "body": "pass", "targets": "a", "elts": "a", "args": "a",
}  # fmt: skip


def mutants():
    """Yield sources: the rich contract with one node in one place changed, for every place of every kind of node."""
    tree = ast.parse(RICH)
    seen = {}
    for node in list(ast.walk(tree)):
        for name, value in list(ast.iter_fields(node)):
            place = (type(node), name, type(value))
            if isinstance(node, ast.expr_context) or name in {"ctx", "lineno"}:
                continue
            seen[place] = seen.get(place, 0) + 1
            if seen[place] > 1:
                continue
            if isinstance(node, ast.Constant) and name == "value":
                changes = [(node, name, constant) for constant in CONSTANTS]
            elif isinstance(value, list):
                changes = [(node, name, [])]
                for old in value[:1]:
                    changes += [
                        (node, name, [new if item is old else item for item in value]) for new in substitutes(old)
                    ]
                    changes.append((node, name, [*value, old]))
                extra = EXTRA.get(name)
                if extra in {"pass", "a", "1", "call", "Contract"}:
                    made = ast.parse(extra).body[0]
                    changes.append((node, name, [*value, made if extra == "pass" else made.value]))
                elif extra == "keyword":
                    changes.append((node, name, [*value, ast.keyword(None, ast.Name("a"))]))
                elif extra == "arg":
                    changes.append((node, name, [*value, ast.arg("q", ast.Name("U64"))]))
            else:
                changes = [(node, name, new) for new in substitutes(value)] + [(node, name, None)]
                if value is None and name in EXTRA:
                    changes.append((node, name, ast.arg("q") if EXTRA[name] == "arg" else ast.Name("a")))
                    changes.append((node, name, "u"))
            for owner, label, new in changes:
                setattr(owner, label, new)
                try:
                    text = ast.unparse(ast.fix_missing_locations(tree))
                except (AttributeError, ValueError, TypeError, IndexError, KeyError, RecursionError):
                    text = None  # a tree that no text gives
                setattr(owner, label, value)
                if text is not None:
                    yield (type(owner).__name__, label), text


def test_every_kind_of_node_in_every_place():
    assert check(RICH) == []
    wanted = set(leaves(ast.expr)) - {ast.FormattedValue}
    places, accepted, total = set(), 0, 0
    everything = [*EXPRESSIONS.values(), *MORE_EXPRESSIONS, *STATEMENT_TEXTS]
    tried = {type(node) for text in everything for node in ast.walk(ast.parse(text))}
    for place, text in mutants():
        total += 1
        places.add(place)
        if survives(text):
            accepted += 1
            kinds = {type(node) for node in ast.walk(ast.parse(text))}
            assert kinds <= ACCEPTED_NODES, (kinds - ACCEPTED_NODES, place, text)
    missing = {kind for kind in wanted | set(leaves(ast.stmt)) if kind not in tried}
    assert {kind.__name__ for kind in missing} <= {"Slice", "Starred", "Num", "Str", "Bytes", "NameConstant", "Ellipsis"} | {
        "TypeAlias", "TemplateStr", "Interpolation"
    }  # fmt: skip
    assert len(places) > 60
    assert total > 2000
    assert 0 < accepted < total


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_random_text(text):
    survives(text)


WORDS = [
    "class ", "def ", "(", ")", "[", "]", ":", ",", "self", ".", "=", "==", " + ", "1", "0", "-", "'", "\n", "    ", "@call",
    "U64", "Map", "if ", "else", "while ", "for ", " in ", "return ", "lambda ", "*", "**", "//", "<<", "#", "\\", "\x00",
    "é", "None", "True", "await ", "async ", "yield ", "import ", "from ", "try", "{", "}", "f'", "b'", "1.5", "_", ";", "\t",
    "not ", "is ", "~", "@", ":=", "->", "Record", "Enum", "x", "a", "del ", "pass", "break", "9" * 30, "0x", "e5", "\ud800",
]  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_examples_with_random_changes(data):
    source = data.draw(st.sampled_from([path.read_text() for path in EXAMPLES] + [RICH]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(source)))
        end = min(len(source), start + data.draw(st.integers(0, 12)))
        source = source[:start] + "".join(data.draw(st.lists(st.sampled_from(WORDS), max_size=3))) + source[end:]
    survives(source)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40), st.booleans())
def test_random_words(words, inside):
    text = "".join(words)
    survives(in_body(text) if inside else at_top(text))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_examples_with_lines_moved(data):
    lines = data.draw(st.sampled_from([path.read_text() for path in EXAMPLES] + [RICH])).splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        line = lines[data.draw(st.integers(0, len(lines) - 1))]
        if data.draw(st.booleans()):
            lines.insert(data.draw(st.integers(0, len(lines))), line)
        else:
            lines.remove(line)
    survives("\n".join(lines))


def test_the_checker_does_not_change_what_it_reads():
    tree = analyse(RICH)
    assert tree == analyse(RICH)
    assert tree.name == "C"
