"""Writes one WebAssembly function: its text, its temporaries, and where values lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.compiled.layout import components, is_flat
from changan.contract.types import WORD_BYTES, RecordType, words

if TYPE_CHECKING:
    from changan.contract.compiled.layout import Static
    from changan.contract.types import ValueType


class Flat(NamedTuple):
    """A value in WebAssembly's own values: for each component the instructions that push it, cheap and without effect.

    `stable` says that they give the same until the method ends.
    """

    atoms: tuple[str, ...]
    stable: bool = False


class Memory(NamedTuple):
    """A record in memory, word after word: what pushes its address, and an offset."""

    pointer: str
    offset: int = 0


Placed = Flat | Memory


class Mark(NamedTuple):
    """How many temporaries are in use."""

    i32: int
    i64: int
    frame: int


class Writer:
    """Writes a function. Temporaries are a stack: what is taken after a mark is given back to it."""

    def __init__(self, name: str, static: Static) -> None:
        self.name = name
        self.lines: list[str] = []
        self.parameters: list[str] = []
        self.results: list[str] = []
        self.locals: list[str] = []
        self._static = static
        self._used = {"i32": 0, "i64": 0}
        self._most = {"i32": 0, "i64": 0}
        self._frame: list[tuple[int, int]] = []  # places of the static frame: address, size
        self._frame_used = 0
        self._labels = 0

    def put(self, *lines: str) -> None:
        """Write instructions."""
        self.lines.extend(lines)

    def label(self, name: str) -> str:
        """Return a label of its own."""
        self._labels += 1
        return f"${name}{self._labels}"

    def mark(self) -> Mark:
        """Return how many temporaries are in use."""
        return Mark(self._used["i32"], self._used["i64"], self._frame_used)

    def release(self, mark: Mark) -> None:
        """Give back what was taken since the mark."""
        self._used["i32"], self._used["i64"], self._frame_used = mark

    def temp(self, kind: str) -> str:
        """Return the name of a temporary."""
        number = self._used[kind]
        self._used[kind] += 1
        self._most[kind] = max(self._most[kind], self._used[kind])
        return f"${'i' if kind == 'i32' else 'l'}{number}"

    def named(self, name: str, kind: str) -> str:
        """Declare a local of its own."""
        self.locals.append(f"(local {name} {kind})")
        return name

    def space(self, size: int) -> int:
        """Return the address of a temporary place in the static frame."""
        number = self._frame_used
        self._frame_used += 1
        if number < len(self._frame) and self._frame[number][1] >= size:
            return self._frame[number][0]
        place = (self._static.reserve(size), size)
        self._frame[number : number + 1] = [place]
        return place[0]

    def temps(self, kind: ValueType) -> Flat | Memory:
        """Return temporaries for a value of a type."""
        if is_flat(kind):
            return Flat(tuple(f"local.get {self.temp(part)}" for part in components(kind)))
        return Memory(f"i32.const {self.space(WORD_BYTES * words(kind))}")

    def keep(self, kind: str, *instructions: str) -> str:
        """Put the value of instructions in a temporary; return what pushes it."""
        name = self.temp(kind)
        self.put(*instructions, f"local.set {name}")
        return f"local.get {name}"

    def pop_into(self, target: Flat) -> None:
        """Set the target's components from the stack, the last on top."""
        for atom in reversed(target.atoms):
            self.put(atom.replace("local.get", "local.set"))

    def assign(self, kind: ValueType, target: Placed, value: Placed) -> None:
        """Copy a value."""
        if target == value:
            return
        if isinstance(target, Flat):
            assert isinstance(value, Flat)
            self.put(*value.atoms)
            self.pop_into(target)
            return
        assert isinstance(value, Memory)
        self.put(*address(target), *address(value), f"i32.const {WORD_BYTES * words(kind)}", "memory.copy")

    def load(self, kind: ValueType, pointer: str, offset: int) -> Placed:
        """Return a stored value: a flat one in temporaries, a record where it is."""
        if not is_flat(kind):
            return Memory(pointer, offset)
        atoms = []
        for position, part in enumerate(components(kind)):
            atoms.append(self.keep(part, pointer, f"{part}.load offset={offset + WORD_BYTES * position}"))
        return Flat(tuple(atoms))

    def store(self, kind: ValueType, value: Placed, pointer: str, offset: int) -> None:
        """Store a value's words, as they are."""
        if isinstance(value, Memory):
            self.assign(kind, Memory(pointer, offset), value)
            return
        for position, (part, atom) in enumerate(zip(components(kind), value.atoms, strict=True)):
            self.put(pointer, atom, *widened(part), f"i64.store offset={offset + WORD_BYTES * position}")

    def text(self) -> str:
        """Return the function."""
        temps = [f"(local $i{n} i32)" for n in range(self._most["i32"])]
        temps += [f"(local $l{n} i64)" for n in range(self._most["i64"])]
        head = " ".join([f"(func {self.name}", *self.parameters, *(f"(result {kind})" for kind in self.results)])
        return "\n".join([head, *self.locals, *temps, *self.lines]) + ")\n"


def address(value: Memory) -> list[str]:
    """Return what pushes the address of a record in memory."""
    return [value.pointer] if not value.offset else [value.pointer, f"i32.const {value.offset}", "i32.add"]


def widened(part: str) -> list[str]:
    """Return what makes a word of a component."""
    return ["i64.extend_i32_u"] if part == "i32" else []


def field_of(kind: RecordType, value: Placed, position: int) -> tuple[ValueType, Placed, int]:
    """Return the type of a record's field, where the record is, and how many words come before the field."""
    before = sum(words(item) for _, item in kind.fields[:position])
    return kind.fields[position][1], value, before
