"""Random contracts: whole programs of the language, well typed, from a seed; and random arguments for their methods."""

from __future__ import annotations

import re
from random import Random

from contract_running import ALICE, BOB, CAROL, contract

INTS = ["U64", "I64", "U128"]
EDGES = {
    "U64": [0, 1, 2, 3, 7, 63, 64, 2**32, 2**63, 2**64 - 1],
    "I64": [0, 1, -1, 2, -3, 64, 2**62, 2**63 - 1, -(2**63), -(2**62)],
    "U128": [0, 1, 2, 5, 64, 2**64 - 1, 2**64, 2**100, 2**127, 2**128 - 1],
}
TEXTS = {f"Text{n}": n for n in (3, 20, 200)}
BYTES = {"Address": 20, "Digest": 32, "B5": 5, "B12": 12, "B64": 64}
ENUM = ["RED", "GREEN", "BLUE"]
RECORDS = {
    "Small": [("a", "U64"), ("b", "Bool"), ("c", "Address")],
    "Noted": [("n", "U128"), ("t", "Text20"), ("e", "Color")],
    "Large": [("s", "Small"), ("d", "Digest"), ("x", "I64"), ("y", "U128")],
    "Deep": [("l", "Large"), ("m", "Noted"), ("t", "Text200"), ("f", "B5")],
}
PLAIN = [*INTS, "Bool", "Color", *TEXTS, *BYTES]
KEYS = [*INTS, "Bool", "Color", *BYTES]
ABOVE = (
    "".join(f"{name} = Annotated[Text, MaxLen({size})]\n" for name, size in TEXTS.items())
    + "".join(f"{name} = Annotated[Bytes, Len({n}, {n})]\n" for name, n in BYTES.items() if name.startswith("B"))
    + "class Color(Enum):\n    RED = 0\n    GREEN = 1\n    BLUE = 2\n"
    + "".join(
        f"class {name}(Record):\n" + "".join(f"    {label}: {kind}\n" for label, kind in fields)
        for name, fields in RECORDS.items()
    )
)
EVENTS = {
    "First": [("a", "U64"), ("t", "Text20"), ("w", "Address")],
    "Second": [("r", "Deep"), ("b", "Bool"), ("k", "B5")],
    "Third": [("x", "I64"), ("y", "U128"), ("c", "Color"), ("s", "Small")],
}
REMOTE = {
    "ask": (["U64"], "U64", True),
    "tell": (["Text20", "Small"], "Noted", False),
    "push": (["Address", "Bool"], None, False),
    "fetch": (["U128"], "Large", True),
    "name": ([], "Text200", True),
}


def _declared(*, remote):
    above = ABOVE
    for name, fields in EVENTS.items():
        above += f"class {name}(Event):\n" + "".join(f"    {label}: {kind}\n" for label, kind in fields)
    if not remote:
        return above
    above += "class Peer(Interface):\n"
    for name, (kinds, result, view) in REMOTE.items():
        above += f"    @{'view' if view else 'call'}\n    def {name}(self"
        above += "".join(f", p{i}: {kind}" for i, kind in enumerate(kinds))
        above += f") -> {result}:\n        raise NotImplementedError\n"
    return above


class Generator:
    """Makes one program."""

    def __init__(self, seed, *, remote=True):
        self.r = Random(seed)
        self.remote = remote
        self.helpers = {}  # name -> (kinds, result, mutates)
        self.fields = {}  # name -> ("scalar", kind) | ("map", keys, kind, default) | ("list", kind)
        self.count = 0

    def pick(self, items):
        return self.r.choice(list(items))

    def chance(self, share):
        return self.r.random() < share

    def name(self, start):
        self.count += 1
        return f"{start}{self.count}"

    # Declarations

    def source(self):
        members = []
        for _ in range(self.r.randint(2, 5)):
            kind = self.pick(PLAIN)
            self.fields[self.name("s")] = ("scalar", kind)
        for _ in range(self.r.randint(2, 5)):
            keys = [self.pick(KEYS) for _ in range(self.pick([1, 1, 1, 2, 3]))]
            kind = self.pick([*PLAIN, *RECORDS, *INTS])
            default = None if kind in RECORDS or self.chance(0.3) else self.literal(kind)
            self.fields[self.name("m")] = ("map", keys, kind, default)
        for _ in range(self.r.randint(0, 2)):
            self.fields[self.name("l")] = ("list", self.pick([*PLAIN, *RECORDS]))
        for name, field in self.fields.items():
            if field[0] == "scalar":
                members.append(f"{name}: {field[1]}")
            elif field[0] == "list":
                members.append(f"{name}: List[{field[1]}]")
            else:
                _, keys, kind, default = field
                key = keys[0] if len(keys) == 1 else f"tuple[{', '.join(keys)}]"
                members.append(
                    f"{name}: Map[{key}, {kind}]" + ("" if default is None else f" = Map(default={default})")
                )
        for _ in range(self.r.randint(1, 4)):
            members += self.method("helper")
        for _ in range(self.r.randint(2, 4)):
            members += self.method("call")
        members += self.method("view")
        return contract("\n".join(members), _declared(remote=self.remote))

    def method(self, kind):
        name = self.name({"helper": "_h", "call": "c", "view": "q"}[kind])
        kinds = [self.pick([*PLAIN, *RECORDS, "U64", "Address"]) for _ in range(self.r.randint(0, 4))]
        result = self.pick([None, *PLAIN, *RECORDS, *INTS])
        mutates = kind == "call" or (kind == "helper" and self.chance(0.6))
        body = Body(self, {f"p{i}": k for i, k in enumerate(kinds)}, result, mutates)
        lines, ends = body.block(3, 0)
        if not ends:
            if result is not None:
                lines.append(f"return {body.value(result, 2)}")
            elif not lines:
                lines.append("pass")
        parameters = "".join(f", p{i}: {k}" for i, k in enumerate(kinds))
        if kind == "helper":
            self.helpers[name] = (kinds, result, mutates)
        mark = [] if kind == "helper" else [f"@{kind}"]
        return [*mark, f"def {name}(self{parameters}) -> {result}:", *("    " + line for line in lines)]

    def literal(self, kind):
        if kind in INTS:
            return f"{kind}({self.pick(EDGES[kind])})"
        if kind == "Bool":
            return self.pick(["True", "False"])
        if kind == "Color":
            return f"Color.{self.pick(ENUM)}"
        if kind in TEXTS:
            return repr("存证ab"[: self.r.randint(0, 4)] if TEXTS[kind] > 8 else "abc"[: self.r.randint(0, 3)])
        size = BYTES[kind]
        data = bytes([self.pick([0, 1, 97, 255])]) * size
        return f"{kind}({data!r})" if kind in {"Address", "Digest"} else repr(data)


class Body:
    """Makes one body."""

    def __init__(self, generator, parameters, result, mutates):
        self.g = generator
        self.r = generator.r
        self.parameters = parameters
        self.scopes = [dict(parameters)]
        self.result = result
        self.mutates = mutates
        self.loops = 0

    def names(self, kind):
        return [name for scope in self.scopes for name, k in scope.items() if self.fits(kind, k)]

    @staticmethod
    def fits(wanted, given):
        return wanted == given or (wanted in TEXTS and given in TEXTS and TEXTS[given] <= TEXTS[wanted])

    # Statements

    def block(self, size, depth):
        lines = []
        self.scopes.append({})
        ends = False
        for _ in range(self.r.randint(1, size + 1)):
            more, ends = self.statement(depth)
            lines += more
            if ends:
                break
        self.scopes.pop()
        return lines, ends

    def inner(self, depth):
        lines, ends = self.block(2, depth + 1)
        return ["    " + line for line in lines], ends

    def statement(self, depth):
        choices = ["local", "local", "if", "evaluate", "require"]
        if self.mutates:
            choices += ["map", "map", "map", "scalar", "part", "delete", "list", "emit", "augment", "augment"]
        if depth < 3:
            choices += ["if", "for", "while"]
        if depth > 0:
            choices += ["leave"]
        return getattr(self, f"_{self.r.choice(choices)}")(depth)

    def _local(self, depth):
        known = [(n, k) for scope in self.scopes[1:] for n, k in scope.items() if not n.startswith("i")]
        if known and self.r.random() < 0.4:
            name, kind = self.r.choice(known)
            if kind in INTS and self.r.random() < 0.5:
                return [f"{name} {self.r.choice(['+', '-', '*', '^', '|'])}= {self.value(kind, 2)}"], False
            return [f"{name} = {self.value(kind, 3)}"], False
        kind = self.g.pick([*PLAIN, *RECORDS, *INTS])
        name = self.g.name("v")
        line = f"{name}: {kind} = {self.value(kind, 3)}"
        self.scopes[-1][name] = kind
        return [line], False

    def _if(self, depth):
        test = self.value("Bool", 3)
        then, one = self.inner(depth)
        lines = [f"if {test}:", *then]
        two = False
        if self.r.random() < 0.5:
            otherwise, two = self.inner(depth)
            lines += ["else:", *otherwise]
        return lines, one and two

    def _for(self, depth):
        kind = self.r.choice(["U64", "U64", "I64", "U128"])
        name = self.g.name("i")
        bounds = f"{kind}({self.r.randint(0, 3)})"
        if self.r.random() < 0.5:
            low = self.r.choice([0, 1, 2] if kind != "I64" else [-2, 0, 1])
            bounds = (
                f"{kind}({low}), {self.value(kind, 1)}"
                if self.r.random() < 0.3
                else f"{kind}({low}), {kind}({low + 2})"
            )
        self.scopes.append({name: kind})
        self.loops += 1
        lines, _ = self.inner(depth)
        self.loops -= 1
        self.scopes.pop()
        return [f"for {name} in range({bounds}):", *lines], False

    def _while(self, depth):
        test = self.value("Bool", 2)
        name = self.g.name("v")
        self.loops += 1
        lines, ends = self.inner(depth)
        self.loops -= 1
        more = [] if ends else [f"    {name} += 1"]
        self.scopes[-1][name] = "U64"
        return [f"{name}: U64 = U64(0)", f"while {name} < {self.r.randint(1, 4)} and {test}:", *lines, *more], False

    def _leave(self, depth):
        kinds = ["return", "return", "decline"] + (["break", "continue"] * 2 if self.loops else [])
        kind = self.r.choice(kinds)
        if kind == "return":
            return ["return" if self.result is None else f"return {self.value(self.result, 2)}"], True
        if kind == "decline":
            return [f"decline({self.r.choice(['why', 'no', '不'])!r})"], True
        return [kind], True

    def _require(self, depth):
        test = self.value("Bool", 2)
        if self.r.random() < 0.6:
            test = f"{test} or {self.value('Bool', 2)}"
        return [f"require({test}, {self.r.choice(['first', 'second'])!r})"], False

    def _evaluate(self, depth):
        able = [n for n, (_, _, mutates) in self.g.helpers.items() if self.mutates or not mutates]
        if self.g.remote and self.r.random() < 0.25:
            found = self.remote(None, any_result=True)
            if found:
                return [found], False
        if not able:
            return self._local(depth)
        name = self.r.choice(able)
        return [self.call(name, 2)], False

    def call(self, name, depth):
        return f"self.{name}({', '.join(self.value(kind, depth) for kind in self.g.helpers[name][0])})"

    def remote(self, wanted, *, any_result=False):
        able = [
            n for n, (_, result, view) in REMOTE.items()
            if (any_result or (result is not None and self.fits(wanted, result))) and (self.mutates or view)
        ]  # fmt: skip
        if not able:
            return None
        name = self.r.choice(able)
        arguments = ", ".join(self.value(kind, 1) for kind in REMOTE[name][0])
        return f"Peer({self.value('Address', 1)}).{name}({arguments})"

    def fields(self, sort):
        return [(name, field) for name, field in self.g.fields.items() if field[0] == sort]

    def key(self, keys, depth=2, *, simple=False):
        parts = [self.simple(kind) if simple else self.value(kind, depth) for kind in keys]
        return ", ".join(parts)

    def simple(self, kind):
        names = self.names(kind)
        if kind == "Address" and self.r.random() < 0.5:
            return "self.caller"
        if names:
            return self.r.choice(names)
        name = self.g.name("v")
        self.waiting.append(f"{name}: {kind} = {self.value(kind, 1)}")
        self.scopes[-1][name] = kind
        return name

    def _map(self, depth):
        name, (_, keys, kind, _) = self.r.choice(self.fields("map"))
        return [f"self.{name}[{self.key(keys)}] = {self.value(kind, 3)}"], False

    def _augment(self, depth):
        able = [(n, f) for n, f in self.fields("map") if f[2] in INTS]
        scalars = [(n, f) for n, f in self.fields("scalar") if f[1] in INTS]
        operator = self.r.choice(["+", "-", "*", "//", "%", "^", "&", "|", "<<", ">>"])
        if able and (not scalars or self.r.random() < 0.7):
            name, (_, keys, kind, _) = self.r.choice(able)
            self.waiting = []
            key = self.key(keys, simple=True)
            value = self.value("U64" if operator in {"<<", ">>"} else kind, 2)
            return [*self.waiting, f"self.{name}[{key}] {operator}= {value}"], False
        if scalars:
            name, (_, kind) = self.r.choice(scalars)
            value = self.value("U64" if operator in {"<<", ">>"} else kind, 2)
            return [f"self.{name} {operator}= {value}"], False
        return self._scalar(depth)

    def _part(self, depth):
        able = [(n, f) for n, f in self.fields("map") if f[2] in RECORDS]
        if not able:
            return self._map(depth)
        name, (_, keys, kind, _) = self.r.choice(able)
        label, part = self.r.choice(RECORDS[kind])
        return [f"self.{name}[{self.key(keys)}].{label} = {self.value(part, 2)}"], False

    def _delete(self, depth):
        name, (_, keys, _, _) = self.r.choice(self.fields("map"))
        self.waiting = []
        key = self.key(keys, simple=True)
        if self.r.random() < 0.7:
            test = f"({key}) in self.{name}" if len(keys) > 1 else f"{key} in self.{name}"
            return [*self.waiting, f"if {test}:", f"    del self.{name}[{key}]"], False
        return [*self.waiting, f"del self.{name}[{key}]"], False

    def _scalar(self, depth):
        name, (_, kind) = self.r.choice(self.fields("scalar"))
        return [f"self.{name} = {self.value(kind, 3)}"], False

    def _list(self, depth):
        able = self.fields("list")
        if not able:
            return self._map(depth)
        name, (_, kind) = self.r.choice(able)
        if self.r.random() < 0.75:
            return [f"self.{name}.append({self.value(kind, 3)})"], False
        index = f"{self.value('U64', 1)} % len(self.{name})" if self.r.random() < 0.6 else self.value("U64", 1)
        return [f"self.{name}[{index}] = {self.value(kind, 2)}"], False

    def _emit(self, depth):
        name, fields = self.r.choice(list(EVENTS.items()))
        return [f"emit({name}({', '.join(f'{label}={self.value(kind, 2)}' for label, kind in fields)}))"], False

    # Expressions

    def value(self, kind, depth):
        names = self.names(kind)
        if depth <= 0:
            return self.r.choice(names) if names and self.r.random() < 0.7 else self.leaf(kind)
        ways = ["leaf", "read", "read", "helper", "choice", "field"]
        if names:
            ways += ["name"] * 4
        if kind in INTS:
            ways += ["arithmetic"] * 4 + ["convert"]
        if kind == "Bool":
            ways += ["compare"] * 4 + ["logic", "not", "has"]
        if kind in RECORDS:
            ways += ["record"] * 3
        if kind == "U64":
            ways += ["size", "length"]
        if kind == "Digest":
            ways += ["digest"] * 3
        if kind == "I64":
            ways += ["minus"]
        if self.g.remote and self.r.random() < 0.05:
            found = self.remote(kind)
            if found:
                return found
        way = self.r.choice(ways)
        if way == "name":
            return self.r.choice(names)
        found = getattr(self, f"of_{way}")(kind, depth - 1)
        return found if found is not None else self.leaf(kind)

    def leaf(self, kind):
        if kind == "Address" and self.r.random() < 0.6:
            return "self.caller"
        if kind == "U64" and self.r.random() < 0.2:
            return self.r.choice(["self.height", "self.time"])
        scalars = [n for n, f in self.fields("scalar") if self.fits(kind, f[1])]
        if scalars and self.r.random() < 0.4:
            return f"self.{self.r.choice(scalars)}"
        if kind in RECORDS:
            return self.of_record(kind, 0)
        return self.g.literal(kind)

    def of_leaf(self, kind, depth):
        return self.leaf(kind)

    def of_read(self, kind, depth):
        maps = [(n, f) for n, f in self.fields("map") if self.fits(kind, f[2])]
        lists = [(n, f) for n, f in self.fields("list") if self.fits(kind, f[1])]
        if lists and (not maps or self.r.random() < 0.3):
            name, _ = self.r.choice(lists)
            index = (
                f"{self.value('U64', 0)} % len(self.{name})"
                if self.r.random() < 0.5
                else f"U64({self.r.randint(0, 2)})"
            )
            return f"self.{name}[{index}]"
        if not maps:
            return None
        name, (_, keys, held, _) = self.r.choice(maps)
        if self.r.random() < 0.5:
            key = self.key(keys, depth)
            key = f"({key})" if len(keys) > 1 else key
            return f"self.{name}.get({key}, {self.value(held, depth)})"
        return f"self.{name}[{self.key(keys, depth)}]"

    def of_helper(self, kind, depth):
        able = [
            n for n, (_, result, mutates) in self.g.helpers.items()
            if result is not None and self.fits(kind, result) and (self.mutates or not mutates)
        ]  # fmt: skip
        return self.call(self.r.choice(able), depth) if able else None

    def of_choice(self, kind, depth):
        if kind in TEXTS or kind in BYTES:
            names = self.names(kind)
            if not names:
                return None
            return f"({self.r.choice(names)} if {self.value('Bool', depth)} else {self.r.choice(names)})"
        return f"({self.value(kind, depth)} if {self.value('Bool', depth)} else {self.value(kind, depth)})"

    def of_field(self, kind, depth):
        able = [(r, label) for r, fields in RECORDS.items() for label, part in fields if self.fits(kind, part)]
        if not able:
            return None
        record, label = self.r.choice(able)
        base = self.of_read(record, depth) if self.r.random() < 0.5 else None
        base = base or (self.r.choice(self.names(record)) if self.names(record) else None)
        return None if base is None else f"{base}.{label}"

    def of_arithmetic(self, kind, depth):
        operator = self.r.choice(["+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>"])
        shift = operator in {"<<", ">>"}
        right = self.value("U64" if shift else kind, depth)
        if shift and self.r.random() < 0.7:
            right = f"{self.varying('U64', right)} % 70"
        return f"({self.varying(kind, self.value(kind, depth))} {operator} ({right}))"

    def varying(self, kind, text):
        """Return an expression that the checker does not fold, for what folds may be refused."""
        if re.search(r"\b(self|p\d+|v\d+|i\d+)\b", text):
            return text
        if self.names(kind):
            return self.r.choice(self.names(kind))
        return f"{kind}(self.{self.r.choice(['height', 'time'])})"

    def of_convert(self, kind, depth):
        other = self.r.choice(INTS)
        return f"{kind}({self.varying(other, self.value(other, depth))})"

    def of_minus(self, kind, depth):
        return f"(-{self.varying('I64', self.value('I64', depth))})"

    def of_compare(self, kind, depth):
        other = self.r.choice([*PLAIN, *INTS, *INTS])
        operators = ["<", "<=", ">", ">=", "==", "!="] if other in INTS else ["==", "!="]
        left, right = self.value(other, depth), self.value(other, depth)
        return f"({left} {self.r.choice(operators)} {right})"

    def of_logic(self, kind, depth):
        operator = self.r.choice([" and ", " or "])
        return f"({operator.join(self.value('Bool', depth) for _ in range(self.r.randint(2, 3)))})"

    def of_not(self, kind, depth):
        return f"(not {self.value('Bool', depth)})"

    def of_has(self, kind, depth):
        name, (_, keys, _, _) = self.r.choice(self.fields("map"))
        key = self.key(keys, depth)
        return f"(({key}) in self.{name})"

    def of_record(self, kind, depth):
        return f"{kind}({', '.join(f'{label}={self.value(part, depth)}' for label, part in RECORDS[kind])})"

    def of_size(self, kind, depth):
        return f"size({self.value(self.r.choice(list(TEXTS)), depth)})"

    def of_length(self, kind, depth):
        able = self.fields("list")
        return f"U64(len(self.{self.r.choice(able)[0]}))" if able else None

    def of_digest(self, kind, depth):
        return f"{self.r.choice(['sha256', 'sm3'])}({self.value(self.r.choice([*TEXTS, *BYTES]), depth)})"


# Arguments

_POOL = {"Address": [ALICE, BOB, CAROL, bytes(20)], "Bool": [False, True]}


def argument(random, kind):
    """Return a random value of a type of the language (`changan.contract.types`)."""
    name = kind.name
    if name in EDGES:
        return random.choice(EDGES[name]) if random.random() < 0.5 else random.randint(0, 5)
    if name in _POOL:
        return random.choice(_POOL[name])
    if hasattr(kind, "members"):
        return random.randrange(len(kind.members))
    if hasattr(kind, "length"):
        return bytes([random.choice([0, 1, 97, 255])]) * kind.length
    if hasattr(kind, "limit"):
        return (
            random.choice(["", "a", "abc", "存", "存证据" * 20, "x" * 17, "y" * 4000])
            .encode()[: kind.limit]
            .decode(errors="ignore")
        )
    return tuple(argument(random, part) for _, part in kind.fields)
