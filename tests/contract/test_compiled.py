"""What the compiled back end promises beyond the law: that it compiles, that it cannot be filled, and what happens when it faults."""

from __future__ import annotations

import gc
import struct
import weakref
from pathlib import Path

import pytest
import wasmtime
from click.testing import CliRunner
from contract_running import ALICE, BLOCK, BOB, GAS, HOME, contract

from changan.cli.main import main
from changan.contract.codec import BadArgumentError
from changan.contract.compiled import emit_methods, entry, layout, open_instance, stored
from changan.contract.compiled.columns import ColumnData
from changan.contract.compiled.entry import NodeFaultError
from changan.contract.compiled.instance import CompiledInstance
from changan.contract.instance import Call, Code, Outcome, Row
from changan.contract.plain import PlainInstance
from changan.contract.program import compile_source
from changan.crypto.digest import sha256, sm3
from changan.errors import MalformedError

EXAMPLES = Path(__file__).parents[2] / "src" / "changan" / "examples"
TOKEN = compile_source((EXAMPLES / "token.py").read_text())


def call(target, method, *arguments, gas=GAS, caller=ALICE):
    [outcome] = target.run(method, [Call(caller, arguments, gas)], BLOCK)
    return outcome


def both(source, quota=1 << 30):
    program = compile_source(source)
    return PlainInstance(program, HOME, quota), CompiledInstance(program, HOME, quota)


# What is accepted compiles


def lines(count, text):
    return "\n".join(text.format(i=i) for i in range(count))


LARGE = "class A(Record):\n" + lines(16, "    f{i}: Digest") + "\nclass B(Record):\n    a: A\n    b: A\n"
TEXTS = "Note = Annotated[Text, MaxLen(4096)]\nclass T(Record):\n" + lines(32, "    t{i}: Note") + "\n"
PILE = (
    TEXTS
    + "class Q(Record):\n    a: T\n    b: T\n    c: T\n    d: T\n"
    + "class Said(Event):\n    q: Q\n    r: Q\n"
    + "class Peer(Interface):\n    @call\n    def give(self, q: Q) -> Q:\n        raise NotImplementedError\n"
)
EXTREMES = {
    "nothing": contract("pass"),
    "many fields": contract(lines(64, "m{i}: Map[tuple[Address, U64], U64]\n".strip())),
    "many methods": contract(lines(255, "@call\ndef f{i}(self, a: U64) -> U64:\n    return a + {i}")),
    "many names": contract("@view\ndef f(self) -> U64:\n" + lines(1900, "    v{i} = U64({i})") + "\n    return v7"),
    "large records": contract(
        "m: Map[U64, B]\nl: List[B]\n@call\ndef f(self, b: B, c: B) -> B:\n    self.m[1] = b\n    self.l.append(c)\n"
        "    d = self._g(self._g(b, c), self.m[1])\n    self.m[2] = d if self.m[1].a.f3 == d.b.f4 else self.l[0]\n"
        "    self.m[1].b = self.m[2].a\n    return self._g(d, self.l[0])\n"
        "def _g(self, b: B, c: B) -> B:\n    return B(a=c.a, b=A("
        + ", ".join(f"f{i}=b.a.f{15 - i}" for i in range(16))
        + "))",
        LARGE,
    ),
    "sixteen large parameters": contract(
        "@call\ndef f(self, "
        + ", ".join(f"p{i}: B" for i in range(16))
        + ") -> B:\n    return self._g("
        + ", ".join(f"p{15 - i}" for i in range(16))
        + ")\n"
        "def _g(self, " + ", ".join(f"p{i}: B" for i in range(16)) + ") -> B:\n    return p3",
        LARGE,
    ),
    "texts in records in records": contract(
        "m: Map[U64, Q]\n@call\ndef f(self, q: Q, who: Address) -> Q:\n    self.m[1] = q\n    self.m[1].b = q.a\n"
        "    emit(Said(q=self.m[1], r=q))\n    self.m[2] = Peer(who).give(self.m[1])\n    del self.m[1]\n    return self.m[2]",
        PILE,
    ),
    "names that could be taken for others": contract(
        "run_f: U64\nm_f: Map[U64, B]\n@call\ndef f(self, a: U128, a_0: B, a_0_0: U64, a_at: B, at: B) -> B:\n"
        "    v0 = a_0_0\n    v0_v0_0 = v0\n    i0 = self._m_f(v0_v0_0, a)\n    row0 = i0\n    limit = row0\n    return a_0 if limit == v0 else at\n"
        "def _m_f(self, k0: U64, row: U128) -> U64:\n    exit = k0\n    for done in range(exit):\n        out1 = done\n    return exit",
        LARGE,
    ),
    "a deep expression": contract("@view\ndef f(self, a: U64) -> U64:\n    return " + "a + (" * 25 + "a" + ")" * 25),
    "a long expression": contract("@view\ndef f(self, a: U64) -> U64:\n    return " + " + ".join(["a"] * 40)),
    "keys of eight parts": contract(
        "k: Map[tuple[" + ", ".join(["B64"] * 8) + "], Bool]\n@call\ndef f(self, a: B64, b: B64) -> Bool:\n"
        "    self.k[a, b, a, b, a, b, a, b] = True\n    del self.k[a, b, a, b, a, b, a, b]\n"
        "    return (b, b, b, a, b, b, b, b) in self.k",
        "B64 = Annotated[Bytes, Len(64, 64)]\n",
    ),
    "helpers that call twice": contract(
        "@call\ndef f(self, x: U64) -> U64:\n    return self._h0(x)\n"
        + "".join(
            f"def _h{i}(self, x: U64) -> U64:\n    return self._h{i + 1}(x) + self._h{i + 1}(x)\n" for i in range(31)
        )
        + "def _h31(self, x: U64) -> U64:\n    return x\n"
    ),
    "doors that share a large helper": contract(
        lines(
            250,
            "@call\ndef f{i}(self, a: U64) -> U64:\n    return self._h(a) + self._h(a + 1) + self._h(a + 2) + self._h(a + 3)\n",
        )
        + "def _h(self, a: U64) -> U64:\n    return "
        + " + ".join(["a"] * 55)
    ),
    "one statement that is all of the source": contract(
        "m: Map[U64, B]\n@view\ndef f(self, a: U64) -> Bool:\n    return ("
        + " or ".join(["self.m[a].a.f0 == self.m[1].b.f9"] * 1500)
        + ")",
        LARGE,
    ),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_what_the_checker_accepts_compiles(name):
    CompiledInstance(compile_source(EXTREMES[name]), HOME)


def test_the_largest_frames_in_the_longest_chain_fit_the_stack():
    above = "W = Annotated[Bytes, Len(64, 64)]\n"
    members = "m: Map[U64, W] = Map(default=b'" + "w" * 64 + "')\n@call\ndef f(self) -> U64:\n    return self._h0()\n"
    for i in range(32):
        names = [f"a{n}" for n in range(40)]
        members += f"def _h{i}(self) -> U64:\n" + "".join(f"    {name} = self.m[{n}]\n" for n, name in enumerate(names))
        members += f"    x = self._h{i + 1}()\n" if i < 31 else "    x = U64(1)\n"
        members += (
            f"    require({' and '.join(f'{a} == {b}' for a, b in zip(names[::2], names[1::2], strict=True))}, 'r')\n"
        )
        members += "    return x + 1\n"
    plain, compiled = both(contract(members, above))
    assert call(plain, "f") == call(compiled, "f")
    assert call(compiled, "f").result == 33


@pytest.mark.parametrize("nodes", [0, 400])
def test_large_records_pass_between_functions(monkeypatch, nodes):
    monkeypatch.setattr(emit_methods, "_INLINE_NODES_MAX", nodes)
    members = (
        "@view\ndef f(self, a: U64, b: U64, t: N) -> R:\n    x = self._made(a, t)\n    y = self._made(b, 'y')\n"
        "    require(self._made(a, t).u - self._made(b, t).u == a - b, 'mixed up')\n"
        "    require(x.u == a and y.u == b and x.t == t and y.t == 'y', 'not as made')\n"
        "    return self._same(self._made(x.u, y.t), self._made(y.u, x.t), a > 5)\n"
        "def _made(self, a: U64, t: N) -> R:\n    return R(d=sha256(t), e=sha256('e'), f=Digest(), u=a, t=t)\n"
        "def _same(self, x: R, y: R, first: Bool) -> R:\n    return x if first else y"
    )
    above = "N = Annotated[Text, MaxLen(9)]\nclass R(Record):\n    d: Digest\n    e: Digest\n    f: Digest\n    u: U64\n    t: N\n"
    plain, compiled = both(contract(members, above))
    for arguments in ((7, 3, "存"), (5, 4, ""), (3, 7, "a")):
        assert call(plain, "f", *arguments) == call(compiled, "f", *arguments)
    assert call(compiled, "f", 7, 3, "x").result[3:] == (7, "y")


# Large states


CHURN = contract(
    """\
m: Map[U64, U64]
t: Map[U64, Note]
r: Map[U64, Named]
log: List[U64]
@call
def fill(self, start: U64, count: U64, why: Bool) -> None:
    for i in range(start, start + count):
        self.m[i] = i
    require(not why, "not kept")
@call
def clear(self, start: U64, count: U64, why: Bool) -> None:
    for i in range(start, start + count):
        del self.m[i]
    require(not why, "not kept")
@call
def write(self, k: U64, note: Note) -> None:
    self.t[k] = note
@call
def write_both(self, k: U64, other: U64, note: Note) -> None:
    self.t[k] = note
    self.t[other] = note
@call
def forget(self, k: U64) -> None:
    del self.t[k]
@call
def rename(self, k: U64, note: Note) -> None:
    if k not in self.r:
        self.r[k] = Named(a=k, note="")
    self.r[k].note = note
@call
def push(self, n: U64) -> None:
    for i in range(n):
        self.log.append(i)
@view
def get(self, k: U64) -> U64:
    return self.m[k]
@view
def note(self, k: U64) -> Note:
    return self.t[k]
@view
def at(self, i: U64) -> U64:
    return self.log[i]
""",
    "Note = Annotated[Text, MaxLen(4096)]\nclass Named(Record):\n    a: U64\n    note: Note\n",
)


def test_an_index_grows_and_shrinks_also_under_rollback():
    plain, compiled = both(CHURN)
    for target in (plain, compiled):
        for start in range(0, 60_000, 3000):
            assert call(target, "fill", start, 3000, True).code == Code.DECLINED
            assert call(target, "fill", start, 3000, False).code == Code.OK
        for start in range(0, 60_000, 3000):
            assert call(target, "clear", start, 1500, True).code == Code.DECLINED
            assert call(target, "clear", start, 1500, False).code == Code.OK
        assert call(target, "get", 1499).code == Code.MISSING_KEY
        assert call(target, "get", 1500).result == 1500
    assert plain.collect() == compiled.collect()
    assert dict(plain.rows()) == dict(compiled.rows())
    for start in range(0, 60_000, 3000):
        call(compiled, "fill", start, 1500, False)
        call(plain, "fill", start, 1500, False)
    assert plain.collect() == compiled.collect()
    assert (plain.logical_bytes, plain.row_count) == (compiled.logical_bytes, compiled.row_count)


def test_a_list_grows_over_many_chunks():
    plain, compiled = both(CHURN)
    for target in (plain, compiled):
        for _ in range(5):
            assert call(target, "push", 4000).code == Code.OK
        assert call(target, "push", 50_000).code == Code.OUT_OF_GAS
        assert [call(target, "at", i).result for i in (0, 63, 64, 4000, 19_999)] == [0, 63, 64, 0, 3999]
        assert call(target, "at", 20_000).code == Code.OUT_OF_BOUNDS
    assert plain.collect() == compiled.collect()


def test_what_is_given_up_is_used_again():
    _, compiled = both(CHURN)
    sizes = []
    for turn in range(30):
        for k in range(20):
            call(compiled, "write", k, chr(97 + turn % 26) * (100 + 731 * (turn % 5)))
            call(compiled, "write", 100 + k, "z" * 4000)
            call(compiled, "forget", 100 + k)
            call(compiled, "rename", k, "n" * (4000 - k))
            call(compiled, "fill", 1000 * turn, 300, False)
            call(compiled, "clear", 1000 * turn, 300, False)
        compiled.collect()
        sizes.append(compiled._heap_top)
    assert sizes[-1] == sizes[5]
    for k in range(20):
        assert call(compiled, "note", k).result == chr(97 + 29 % 26) * (100 + 731 * 4)


def test_a_state_over_its_quota_shrinks_and_changes_but_does_not_grow():
    """Rows that are put back are not asked whether they fit, as where a quota was lowered."""
    plain, compiled = both(CHURN, quota=2000)
    rows = [Row(f"t.{k:016x}", (50).to_bytes(4, "big") + b"x" * 50) for k in range(40)]
    for target in (plain, compiled):
        target.restore(rows)
        codes = [call(target, "write", 3, "y" * count).code for count in (50, 64, 65, 49, 48, 49, 0)]
        assert codes == [Code.OK, Code.OK, Code.STORAGE_QUOTA, Code.OK, Code.OK, Code.STORAGE_QUOTA, Code.OK]
        assert call(target, "fill", 0, 1, False).code == Code.STORAGE_QUOTA
    assert plain.collect() == compiled.collect()
    assert plain.logical_bytes == compiled.logical_bytes > 2000


def test_rows_taken_out_by_others_give_their_places_back():
    _, compiled = both(CHURN)
    sizes = []
    for turn in range(30):
        keys = [f"m.{k:016x}" for k in range(1000 * turn, 1000 * turn + 300)]
        compiled.restore([Row(key, bytes(8)) for key in keys])
        compiled.restore([Row(key, None) for key in keys])
        sizes.append(compiled._heap_top)
    assert sizes[-1] == sizes[1]


def test_texts_that_grow_in_one_call_count_together():
    plain, compiled = both(CHURN, quota=2000)
    for target in (plain, compiled):
        assert call(target, "write_both", 1, 2, "").code == Code.OK
        room = 2000 - target.logical_bytes
        fits = room // 32 * 16
        codes = [call(target, "write_both", 1, 2, "x" * count).code for count in (fits + 1, room - 16, fits, fits + 1)]
        assert codes == [Code.STORAGE_QUOTA, Code.STORAGE_QUOTA, Code.OK, Code.STORAGE_QUOTA]
    assert plain.collect() == compiled.collect()
    assert plain.logical_bytes == compiled.logical_bytes


@pytest.mark.parametrize("far", range((1 << 32) - 600, (1 << 32) + 1, 30))
def test_sizes_pass_32_bits(far):
    """No memory holds such a state; its size is put there by hand."""
    plain, compiled = both(CHURN, quota=far + 2000)
    for at in (layout.LOGICAL, layout.LOGICAL_BEFORE):
        struct.pack_into("<q", compiled._machine.memory, at, far)
    rows = [Row(f"t.{k:016x}", (50).to_bytes(4, "big") + b"x" * 50) for k in range(4)]
    steps = [
        ("fill", 9, 1, True),
        ("write", 3, "y" * 50),
        ("write", 3, "y" * 90),
        ("forget", 1),
        ("fill", 0, 5, False),
        ("clear", 2, 2, False),
    ]
    steps += [("fill", 10, 5, True), ("clear", 0, 2, True), ("push", 2)]
    for target in (plain, compiled):
        target.restore(rows)
        target.restore([Row(f"t.{0:016x}", None)])
    for step in steps:
        assert call(plain, *step) == call(compiled, *step)
        assert compiled.logical_bytes == plain.logical_bytes + far, step
    for step in (("fill", 100, 200, False), ("write", 3, "y" * 4000)):
        assert call(compiled, *step).code == Code.STORAGE_QUOTA
    assert compiled.logical_bytes == plain.logical_bytes + far


def test_more_gas_than_the_meter_holds_is_as_good_as_the_most():
    plain, compiled = both(CHURN)
    for gas in (2**63 - 1, 2**63, 2**64 - 1, 2**70):
        assert call(compiled, "fill", 0, 3, False, gas=gas) == call(plain, "fill", 0, 3, False, gas=gas)
        batch = compiled.run_columns("push", ALICE, [ColumnData(bytes(8))], BLOCK, gas, budget=gas)
        assert list(batch.outcomes) == [Code.OK]


def test_changes_written_down_in_between_are_one_delta(monkeypatch):
    monkeypatch.setattr(stored, "DRAIN_BYTES", 1 << 16)
    plain, compiled = both(CHURN)
    drained = []
    monkeypatch.setattr(compiled, "_drain", lambda drain=compiled._drain: drained.append(drain()))
    for target in (plain, compiled):
        for k in (3, 1, 2, 1, 9, 3):
            call(target, "write", k, "x" * 4000)
            call(target, "fill", 10_000 * k, 2000, False)
            call(target, "clear", 10_000 * k, 2000, False)
        call(target, "forget", 9)
        call(target, "push", 3)
    assert len(drained) > 2
    assert plain.collect() == compiled.collect()
    for target in (plain, compiled):
        for start in range(500_000, 520_000, 5000):
            call(target, "fill", start, 5000, False)
    assert compiled._carried
    assert list(compiled._parse(compiled.collect_delta())) == plain.collect()


def test_a_memory_full_of_holes_is_written_anew(monkeypatch):
    plain, compiled = both(CHURN)
    for target in (plain, compiled):
        for k in range(50):
            call(target, "write", k, "x" * 16 * (k + 1))
        call(target, "push", 100)
        call(target, "fill", 0, 100, False)
    monkeypatch.setattr(stored, "REBUILD_BYTES", 0)
    before = compiled._machine
    assert plain.collect() == compiled.collect()
    assert compiled._machine is not before
    monkeypatch.undo()
    for target in (plain, compiled):
        call(target, "write", 3, "other")
        call(target, "push", 2)
    assert plain.collect() == compiled.collect()
    assert dict(plain.rows()) == dict(compiled.rows())
    assert (plain.logical_bytes, plain.row_count) == (compiled.logical_bytes, compiled.row_count)


def test_the_seed_shows_nowhere():
    found = []
    for seed in (bytes(32), b"s" * 32, bytes(range(32))):
        target = CompiledInstance(TOKEN, HOME, seed=seed)
        outcomes = [call(target, "create", 1000)]
        outcomes += [call(target, "transfer", bytes([k]) * 20, k) for k in range(1, 40)]
        found.append((outcomes, target.collect(), sorted(target.rows()), target.logical_bytes))
    assert found[0] == found[1] == found[2]


# Digests, and answers of others


@pytest.mark.parametrize(("name", "digest"), [("sha256", sha256), ("sm3", sm3)])
def test_digests_of_texts_of_every_length(name, digest):
    members = f"@view\ndef f(self, t: Annotated[Text, MaxLen(300)]) -> Digest:\n    return {name}(t)"
    target = CompiledInstance(compile_source(contract(members)), HOME)
    for length in range(200):
        assert call(target, "f", "x" * length).result == digest(b"x" * length), length


def test_texts_of_two_answers_are_told_apart():
    members = (
        "t: Map[U64, Note]\n@call\ndef f(self, to: Address) -> Bool:\n    first = Peer(to).note(1)\n"
        "    second = Peer(to).note(2)\n    self.t[1] = first\n    self.t[2] = second\n"
        "    return Peer(to).note(3) == Peer(to).note(4)"
    )
    above = (
        "Note = Annotated[Text, MaxLen(99)]\nclass Peer(Interface):\n    @view\n    def note(self, n: U64) -> Note:\n"
    )
    program = compile_source(contract(members, above + "        raise NotImplementedError\n"))

    class Host:
        def call(self, _target, _method, call, **_):
            return Outcome(Code.OK, 0, 0, 1, f"answer {call.arguments[0]}", ())

        def settle(self, *, keep):
            pass

    plain, compiled = PlainInstance(program, HOME), CompiledInstance(program, HOME)
    for target in (plain, compiled):
        [outcome] = target.run("f", [Call(ALICE, (BOB,), GAS)], BLOCK, Host())
        assert (outcome.code, outcome.result) == (Code.OK, False)
    assert plain.collect() == compiled.collect()


# Entry


def test_the_entry_is_the_fast_one_here():
    assert entry.unchecked_works()


def test_without_the_fast_entry_it_works_as_well(monkeypatch):
    plain, fast = both(CHURN)
    monkeypatch.setattr(entry, "unchecked_works", lambda: False)
    slow = CompiledInstance(plain.program, HOME)
    for target in (plain, fast, slow):
        call(target, "fill", 0, 100, False)
        call(target, "write", 3, "存证")
    assert plain.collect() == fast.collect() == slow.collect()
    assert call(slow, "note", 3) == call(fast, "note", 3) == call(plain, "note", 3)


@pytest.mark.parametrize("version", ["49.0.0", "51.0.0"])
def test_another_version_of_wasmtime_is_entered_by_its_own_interface(monkeypatch, version):
    monkeypatch.setattr(entry, "version", lambda _: version)
    entry.unchecked_works.cache_clear()
    try:
        assert not entry.unchecked_works()
    finally:
        monkeypatch.undo()
        entry.unchecked_works.cache_clear()
    assert entry.unchecked_works()


@pytest.mark.parametrize("works", [True, False])
def test_a_trap_is_a_fault_of_the_node_and_leaves_the_state_as_it_was(monkeypatch, works):
    monkeypatch.setattr(entry, "unchecked_works", lambda: works)
    text = stored.module_of(TOKEN)[0].text
    # a transfer traps in its last statement, when all is written
    start = text.index("(func $m_transfer ")
    place = text.index("call $ev_room", start)
    broken = text[:place] + "unreachable " + text[place:]
    monkeypatch.setattr(stored, "module_of", lambda _: (stored.emit_module(TOKEN.tree), entry.compile_text(broken)))
    target = CompiledInstance(TOKEN, HOME)
    call(target, "create", 1000)
    target.collect()
    before, size = dict(target.rows()), target.logical_bytes
    with pytest.raises(NodeFaultError, match="unreachable"):
        call(target, "transfer", BOB, 5)
    assert (dict(target.rows()), target.logical_bytes, target.collect()) == (before, size, [])
    assert call(target, "approve", BOB, 5).code == Code.OK
    assert call(target, "balance_of", ALICE).result == 1000


def test_an_error_of_the_host_comes_through():
    members = "n: U64\n@call\ndef f(self, to: Address) -> None:\n    self.n = 5\n    Peer(to).go()\n    self.n = 6"
    above = "class Peer(Interface):\n    @call\n    def go(self) -> None:\n        raise NotImplementedError\n"
    _, target = both(contract(members, above))

    class Host:
        def call(self, *_, **__):
            raise ZeroDivisionError

        def settle(self, *, keep):
            pass

    with pytest.raises(ZeroDivisionError):
        target.run("f", [Call(ALICE, (BOB,), GAS)], BLOCK, Host())
    assert dict(target.rows()) == {}
    assert target.collect() == []


def test_an_instance_that_is_dropped_is_gone():
    above = "class Peer(Interface):\n    @call\n    def go(self) -> None:\n        raise NotImplementedError\n"
    program = compile_source(contract("@call\ndef f(self, to: Address) -> None:\n    Peer(to).go()", above))
    target = CompiledInstance(program, HOME)
    assert call(target, "f", BOB).code == Code.INNER_CALL
    left = weakref.ref(target)
    del target
    gc.collect()
    assert left() is None


def test_memory_suffices_for_the_quota():
    """What a row takes, its share of an index that has just doubled and of the one before, stays below twice what it counts."""
    names = ["U64", "I64", "U128", "Bool", "Color", "Address", "Digest", "B1", "B9", "B64", "Small"]
    above = "class Color(Enum):\n    RED = 0\n" + "".join(
        f"B{n} = Annotated[Bytes, Len({n}, {n})]\n" for n in (1, 9, 64)
    )
    above += "class Small(Record):\n    a: Bool\n    b: Annotated[Text, MaxLen(9)]\n"
    keys = [*names[:-1], "tuple[Bool, Bool]", "tuple[U64, Address, B1]", "tuple[B64, B64, B64]"]
    for key in keys:
        fields = "".join(f"m{n}: Map[{key}, {value}]\nl{n}: List[{value}]\n" for n, value in enumerate(names))
        for field in stored.emit_module(compile_source(contract(fields, above)).tree).fields:
            assert field.stride + 8 / 0.375 + 8 / 0.75 < 2 * field.row_bytes


def test_the_memory_stays_where_it_is():
    _, target = both(CHURN)
    base = target._machine.base
    for start in range(0, 30_000, 3000):
        call(target, "fill", start, 3000, False)
    for k in range(300):
        call(target, "write", k, "x" * 4096)
    assert target._machine._memory.data_len(target._machine._store) > 1 << 21
    found = target._machine._memory.data_ptr(target._machine._store)
    assert entry.ctypes.cast(found, entry.ctypes.c_void_p).value == base
    assert isinstance(target._machine._memory, wasmtime.Memory)


# Rows and columns that are none


def test_rows_before_a_bad_one_are_in():
    plain, compiled = both(CHURN)
    rows = [Row(f"m.{k:016x}", k.to_bytes(8, "big")) for k in range(3)]
    for bad in (
        Row("m.00", b"x"),
        Row("none", b""),
        Row("t.0000000000000001", b"\0\0\0\1\xff"),
        Row("log.0000000000000005", bytes(8)),
    ):
        for target in (plain, compiled):
            with pytest.raises(MalformedError):
                target.restore([*rows, bad])
        assert dict(plain.rows()) == dict(compiled.rows())
    for target in (plain, compiled):
        target.restore([Row("m.0000000000000001", None), Row("m.0000000000000009", None), Row("log", bytes(8))])
    assert dict(plain.rows()) == dict(compiled.rows())
    assert plain.logical_bytes == compiled.logical_bytes


def test_a_row_taken_out_while_its_change_waits():
    plain, compiled = both(CHURN)
    for target in (plain, compiled):
        call(target, "fill", 0, 3, False)
        call(target, "write", 1, "text")
        target.restore(
            [Row(f"m.{1:016x}", None), Row(f"t.{1:016x}", None), Row(f"m.{2:016x}", (77).to_bytes(8, "big"))]
        )
        assert call(target, "get", 1).code == Code.MISSING_KEY
        call(target, "write", 1, "again")
    assert dict(plain.rows()) == dict(compiled.rows())
    assert plain.collect() == compiled.collect()
    assert (plain.logical_bytes, plain.row_count) == (compiled.logical_bytes, compiled.row_count)


def ends(*values):
    return b"".join(value.to_bytes(4, "little") for value in values)


BAD_COLUMNS = [
    ("get", [], "1 parameters"),
    ("get", [ColumnData(bytes(12))], "cut short"),
    ("write", [ColumnData(bytes(16)), ColumnData(b"ab", ends(1, 2, 2))], "others have 2"),
    ("write", [ColumnData(bytes(16)), ColumnData(b"ab")], "end of every value"),
    ("write", [ColumnData(bytes(16)), ColumnData(b"abc", ends(2, 1))], "note: "),
    ("write", [ColumnData(bytes(16)), ColumnData(b"abc", ends(1, 2))], "note: "),
    ("write", [ColumnData(bytes(16)), ColumnData(b"abc", ends(1, 4))], "note: "),
    ("write", [ColumnData(bytes(16)), ColumnData("存".encode(), ends(1, 3))], "note: "),
    ("write", [ColumnData(bytes(16)), ColumnData(b"a\xff", ends(1, 2))], "note: "),
    ("write", [ColumnData(bytes(8)), ColumnData(b"x" * 4097, ends(4097))], "note: "),
    ("fill", [ColumnData(bytes(8)), ColumnData(bytes(8)), ColumnData(b"\2")], "why: "),
]


@pytest.mark.parametrize(("method", "columns", "told"), BAD_COLUMNS)
def test_columns_that_hold_no_arguments_are_refused_before_anything_runs(method, columns, told):
    _, target = both(CHURN)
    with pytest.raises(BadArgumentError, match=told):
        target.run_columns(method, ALICE, columns, BLOCK, GAS)
    with pytest.raises(BadArgumentError, match="caller"):
        target.run_columns("get", ALICE[:-1], [ColumnData(bytes(8))], BLOCK, GAS)
    with pytest.raises(BadArgumentError, match="2 callers for 3 rows"):
        target.run_columns("get", ALICE + BOB, [ColumnData(bytes(24))], BLOCK, GAS)
    assert dict(target.rows()) == {}


def test_no_rows_are_a_batch_as_well():
    _, target = both(CHURN)
    batch = target.run_columns("get", ALICE, [ColumnData(b"")], BLOCK, GAS)
    assert (list(batch.outcomes), batch.events) == ([], b"")


def test_a_batch_that_fills_its_room_goes_on(monkeypatch):
    monkeypatch.setattr(stored, "DRAIN_BYTES", 1 << 17)
    plain, compiled = both(CHURN)
    keys = [k % 97 for k in range(1500)]
    notes = [chr(97 + k % 26) * (k * 37 % 4000) for k in range(1500)]
    data = "".join(notes).encode()
    at, places = 0, []
    for note in notes:
        at += len(note)
        places.append(at)
    column = ColumnData(b"".join(k.to_bytes(8, "little") for k in keys))
    batch = compiled.run_columns("write", ALICE, [column, ColumnData(data, ends(*places))], BLOCK, GAS)
    outcomes = plain.run("write", [Call(ALICE, pair, GAS) for pair in zip(keys, notes, strict=True)], BLOCK)
    assert (list(batch.outcomes), list(batch.gas)) == ([0] * 1500, [outcome.gas for outcome in outcomes])
    batch = compiled.run_columns("note", ALICE, [column], BLOCK, GAS)
    outcomes = plain.run("note", [Call(ALICE, (k,), GAS) for k in keys], BLOCK)
    starts = [0, *batch.result_ends[:-1]]
    found = [batch.results[start:end].decode() for start, end in zip(starts, batch.result_ends, strict=True)]
    assert found == [outcome.result for outcome in outcomes]
    assert plain.collect() == compiled.collect()


# What people see


def test_build_shows_what_was_made(tmp_path):
    made = CliRunner().invoke(
        main, ["contract", "build", "--show", str(EXAMPLES / "token.py"), "-o", str(tmp_path / "x")]
    )
    assert made.exit_code == 0
    assert made.output.startswith("(module")
    assert '(export "run_transfer")' in made.output
    assert "(import" not in made.output
    entry.compile_text(made.output)
    assert list(tmp_path.iterdir()) == []


def test_the_only_import_is_the_call_of_another_contract():
    above = "class Peer(Interface):\n    @call\n    def go(self) -> None:\n        raise NotImplementedError\n"
    text = stored.emit_module(
        compile_source(contract("@call\ndef f(self, to: Address) -> None:\n    Peer(to).go()", above)).tree
    ).text
    assert text.count("(import") == 1


def test_the_seam_that_a_node_opens_instances_through():
    target = open_instance(TOKEN, HOME, b"s" * 32)
    assert (target.program, target.address) == (TOKEN, HOME)
    assert call(target, "create", 5).code == Code.OK


def test_a_dump_puts_everything_back():
    _, one = both(CHURN)
    call(one, "fill", 0, 500, False)
    call(one, "push", 100)
    for k in range(30):
        call(one, "write", k, "存证" * k)
    call(one, "forget", 3)
    other = CompiledInstance(one.program, HOME, seed=b"o" * 32)
    other.restore_dump(one.dump())
    assert dict(other.rows()) == dict(one.rows())
    assert (other.logical_bytes, other.row_count, other.collect()) == (one.logical_bytes, one.row_count, [])
