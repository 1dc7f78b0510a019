"""Contracts that nobody wrote: one for each number, drawn from its digest, so that whoever has the number has the contract."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FILL = "fill"
"""The method that makes a row in every map: of the number, the id, and the first value that it is given."""
NUMBER_KEYS, ID_KEYS = ("number", "other"), ("id", "to")
"""What the parameters are called that hold keys, by the keys' kind."""
_T = TypeVar("_T")
_PRIMES = (1_000_003, 16_777_213, 2_147_483_647)
"""Values are kept below one of these, so that sums and products stay within 64 bits: calls that all overflow measure nothing."""
_HEAD = '''"""Made from the number {seed}."""

from typing import Annotated

from annotated_types import Len

from changan.contract import U64, Bytes, Contract, Event, Map, Record, call, decline, emit, require

Id = Annotated[Bytes, Len(20, 20)]


class Entry(Record):
    """What there is of a key."""

{entry}


class Done(Event):
    """A call came to its end."""

    key: {event_key}
    value: U64


class Generated(Contract):
    """Maps and methods as they were drawn."""

'''


class _Map(NamedTuple):
    name: str
    key: str  # U64 or Id
    is_record: bool

    @property
    def kind(self) -> str:
        return "Entry" if self.is_record else "U64"

    @property
    def keys(self) -> tuple[str, str]:
        """The parameters that hold keys of it."""
        return NUMBER_KEYS if self.key == "U64" else ID_KEYS


class _Draw:
    """Numbers that follow from a seed alone, whatever the version of any library."""

    def __init__(self, seed: int) -> None:
        self._words = (
            int.from_bytes(sha256(f"changan.bench.generated {seed} {number}".encode()).digest()[:8], "big")
            for number in count()
        )

    def below(self, limit: int) -> int:
        return next(self._words) % limit

    def between(self, least: int, most: int) -> int:
        return least + self.below(most - least + 1)

    def one_of(self, items: Sequence[_T]) -> _T:
        return items[self.below(len(items))]


def generated_source(seed: int) -> str:
    """Return the contract of a number.

    It has two to four maps from numbers or ids of 20 bytes to numbers or records, `fill`, and two or three further methods, of
    whose calls a few in a hundred are declined. Parameters are keys, or called `amount` (U64).
    """
    draw = _Draw(seed)
    labels = ["first", "second", "third"][: draw.between(2, 3)]
    maps = [
        _Map(f"m{number}", draw.one_of(("U64", "Id")), is_record=draw.below(2) == 1)
        for number in range(draw.between(2, 4))
    ]
    event_key = draw.one_of([each.key for each in maps])
    head = _HEAD.format(seed=seed, entry="\n".join(f"    {label}: U64" for label in labels), event_key=event_key)
    lines = [f"{each.name}: Map[{each.key}, {each.kind}]" for each in maps]
    lines += [
        "",
        "@call",
        f"def {FILL}(self, number: U64, id: Id, amount: U64) -> None:",
        '    """Make the rows of two keys."""',
    ]
    for each in maps:
        value = f"Entry({', '.join(f'{label}=amount' for label in labels)})" if each.is_record else "amount"
        lines.append(f"    self.{each.name}[{each.keys[0]}] = {value}")
    for number in range(draw.between(2, 3)):
        lines += ["", "@call", *_Method(draw, maps, labels, event_key).lines(f"c{number}")]
    return head + "\n".join(f"    {line}".rstrip() for line in lines) + "\n"


class _Method:
    """One method: reads, then checks, steps and writes as they are drawn, an event, and at times a result."""

    def __init__(self, draw: _Draw, maps: Sequence[_Map], labels: Sequence[str], event_key: str) -> None:
        self._draw, self._labels = draw, labels
        used = [draw.one_of(maps) for _ in range(draw.between(1, 3))]
        # The event's key is a parameter, so a map of that kind is among those that are used.
        self._maps = list(dict.fromkeys([draw.one_of([each for each in maps if each.key == event_key]), *used]))
        self._event_key = self._maps[0].keys[0]
        self._names = ["amount"]
        self._fresh: Iterator[int] = count()

    def lines(self, name: str) -> list[str]:
        """Return the method."""
        draw = self._draw
        body = [line for each in self._maps for line in self._read(each)]
        body += self._require()
        for _ in range(draw.between(2, 6)):
            body += draw.one_of((self._step, self._step, self._difference, self._loop, self._write, self._move))()
        body += self._write()
        body.append(f"emit(Done(key={self._event_key}, value={self._value(1)}))")
        has_result = draw.below(2) == 1
        if has_result:
            body.append(f"return {self._value(1)}")
        keys = {key: each.key for each in self._maps for key in each.keys}
        parameters = "".join(f", {key}: {kind}" for key, kind in keys.items())
        head = f"def {name}(self{parameters}, amount: U64) -> {'U64' if has_result else 'None'}:"
        return [head, '    """Do what was drawn."""', *(f"    {line}" for line in body)]

    # Statements

    def _local(self, value: str) -> list[str]:
        name = f"v{next(self._fresh)}"
        self._names.append(name)
        return [f"{name}: U64 = {value}"]

    def _place(self, each: _Map) -> str:
        place = f"self.{each.name}[{self._draw.one_of(each.keys)}]"
        return f"{place}.{self._draw.one_of(self._labels)}" if each.is_record else place

    def _read(self, each: _Map) -> list[str]:
        return self._local(self._place(each))

    def _require(self) -> list[str]:
        modulus = self._draw.between(20, 90)  # amounts are below a hundred: each remainder comes
        test = f"({self._draw.one_of(self._names[1:])} + amount) % U64({modulus}) != U64({self._draw.below(modulus)})"
        if self._draw.below(2):
            return [f"require({test}, 'out of luck')"]
        return [f"if not ({test}):", "    decline('no such luck')"]

    def _step(self) -> list[str]:
        return self._local(self._bounded(2))

    def _difference(self) -> list[str]:
        one, two, found = self._name(), self._name(), f"v{next(self._fresh)}"
        lines = [f"{found}: U64 = U64(0)", f"if {one} >= {two}:", f"    {found} = {one} - {two}"]
        lines += ["else:", f"    {found} = {two} - {one}"]
        self._names.append(found)
        return lines

    def _loop(self) -> list[str]:
        found = f"v{next(self._fresh)}"
        start = f"{found}: U64 = {self._name()} % U64({self._draw.one_of(_PRIMES)})"
        turn = f"    {found} += {self._bounded(1)}"
        self._names.append(found)
        return [start, f"for _ in range(U64({self._draw.between(2, 5)})):", turn]

    def _write(self) -> list[str]:
        """Write a value from which `_move` can take for long: a call that is declined is a short one."""
        each = self._draw.one_of(self._maps)
        if each.is_record and self._draw.below(3) == 0:
            fields = ", ".join(f"{label}=U64(1000000) + {self._bounded(1)}" for label in self._labels)
            return [f"self.{each.name}[{self._draw.one_of(each.keys)}] = Entry({fields})"]
        return [f"{self._place(each)} = U64(1000000) + {self._bounded(2)}"]

    def _move(self) -> list[str]:
        """Take from one key and give to the other, where there is enough."""
        each = self._draw.one_of(self._maps)
        label = f".{self._draw.one_of(self._labels)}" if each.is_record else ""
        one, two = (f"self.{each.name}[{key}]{label}" for key in each.keys)
        return [f"require({one} >= amount, 'there is not enough')", f"{one} -= amount", f"{two} += amount"]

    # Values

    def _name(self) -> str:
        return self._draw.one_of(self._names)

    def _bounded(self, depth: int) -> str:
        return f"({self._value(depth)}) % U64({self._draw.one_of(_PRIMES)})"

    def _value(self, depth: int) -> str:
        if not depth:
            return self._name() if self._draw.below(4) else f"U64({self._draw.between(1, 1000)})"
        one, two = self._value(depth - 1), self._value(depth - 1)
        literal = f"U64({self._draw.between(2, 1000)})"
        return self._draw.one_of(
            (
                f"({one} + {two})",
                f"{one} * {literal}",
                f"{one} // {literal}",
                f"{one} % {literal} + {two}",
                f"{one} ^ {two}",
            )
        )
