"""What every body of WebAssembly is written with: the meter, failures, and how rows are found and changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from changan.contract.compiled import layout as l
from changan.contract.compiled.layout import components, is_flat
from changan.contract.compiled.writer import Flat, Memory, Writer, address
from changan.contract.instance import Code
from changan.contract.types import WORD_BYTES, TextType, holds_text, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract import tree as t
    from changan.contract.compiled.layout import FieldLayout
    from changan.contract.compiled.shared import Shared
    from changan.contract.compiled.writer import Placed
    from changan.contract.types import Signature, ValueType

Hint = tuple[int, tuple[str, ...]]
"""A look-up that can be made before the call runs: a field, and what pushes the key."""
_UNDO_INLINE_MAX = 4


class Body(ABC):
    """Writes the body of one method."""

    def __init__(self, shared: Shared, writer: Writer, *, door: bool) -> None:
        self.shared = shared
        self.w = writer
        self.names: dict[str, Placed] = {}
        self.exit = "$exit"
        self.hints: dict[Hint, int] = {}
        self._rows: dict[Hint, str] = {}
        self._door = door
        self.loops: list[tuple[str, str]] = []  # where break and continue lead to
        self.scope = 0  # the number of the helper that is written in place, in which names are meant

    # What the classes above this one write

    @abstractmethod
    def flat(self, e: t.Expression) -> Flat:
        """Write an expression whose value is flat."""

    @abstractmethod
    def helper(self, name: str, arguments: Sequence[t.Expression]) -> Placed | None:
        """Write a call of a helper; return its result."""

    @abstractmethod
    def remote(
        self, line: int, target: t.Expression, method: Signature, arguments: Sequence[t.Expression]
    ) -> Placed | None:
        """Write a call of another contract; return its result."""

    @abstractmethod
    def leave(self, value: tuple[ValueType, Placed] | None) -> None:
        """Write the end of the method, with its result."""

    # The meter

    def fail_if(self, code: int, line: int, detail: int = 0) -> None:
        """Leave the method with an outcome if the top of the stack is not zero."""
        self.w.put("if")
        self.fail(code, line, detail)
        self.w.put("end")

    def fail(self, code: int, line: int, detail: int = 0) -> None:
        """Leave the method with an outcome."""
        self.w.put(f"i32.const {code | detail << 8 | line << 16}", "global.set $fail", f"br {self.exit}")

    def charge(self, amount: int, line: int) -> None:
        """Take gas."""
        self._charge([f"i64.const {amount}"], line)

    def charge_counted(self, count: list[str], each: int, line: int) -> None:
        """Take gas for something that is counted when it runs."""
        self._charge([*count, *([f"i64.const {each}", "i64.mul"] if each != 1 else [])], line)

    def _charge(self, amount: list[str], line: int) -> None:
        self.w.put("global.get $gas", *amount, "i64.sub", "global.set $gas")
        self.w.put("global.get $gas", "i64.const 0", "i64.lt_s")
        self.fail_if(Code.OUT_OF_GAS, line)

    def leave_if_failed(self) -> None:
        """Leave the method where what was called has failed."""
        self.w.put("global.get $fail", f"br_if {self.exit}")

    def grow(self, amount: str, line: int) -> None:
        """Let the state grow by an amount that may be negative, or fail for the quota."""
        self.w.put(amount, "i64.const 0", "i64.gt_s")
        self.w.put(f"i32.const 0 i64.load offset={l.LOGICAL}", amount, "i64.add")
        self.w.put(f"i32.const 0 i64.load offset={l.QUOTA}", "i64.gt_s", "i32.and")
        self.fail_if(Code.STORAGE_QUOTA, line)
        self.w.put("i32.const 0", f"i32.const 0 i64.load offset={l.LOGICAL}", amount, "i64.add")
        self.w.put(f"i64.store offset={l.LOGICAL}")

    # Rows

    @staticmethod
    def dead(row: str) -> list[str]:
        """Return what pushes whether a row holds no value."""
        return [row, "i32.load", f"i32.const {l.DEAD}", "i32.and"]

    def find(self, field: FieldLayout, key: Flat) -> str:
        """Look a key up; return what pushes its row: dead where there is none, and 0 where there never was one.

        Rows stay where they are while a call runs, also deleted ones, so an address that was found stays right.
        """
        hint = (field.place, key.atoms)
        if not key.stable:
            return self.w.keep("i32", *self._key(key), f"call $find_{field.place}")
        if hint in self._rows:
            row = self._rows[hint]
            self.w.put(
                row, "i32.eqz", "if", *self._key(key), f"call $find_{field.place}", row.replace("get", "set", 1), "end"
            )
            return row
        number = len(self._rows)
        row = f"local.get {self.w.named(f'$row{number}', 'i32')}"
        self._rows[hint] = row
        return self._first_look(field, key, row, hint)

    def _first_look(self, field: FieldLayout, key: Flat, row: str, hint: Hint) -> str:
        probe = [*self._key(key), f"call $find_{field.place}", row.replace("get", "set", 1)]
        self.w.put(row, "i32.eqz", "if")
        if (
            self._door
            and len(self.hints) < l.HINTS_MAX
            and any("local.get" in a or "i32.const" in a for a in key.atoms)
        ):
            number = self.hints.setdefault(hint, len(self.hints))
            self.w.put("global.get $hint", f"i32.load offset={4 * l.GROUP * number}", row.replace("get", "set", 1))
            self.w.put(row, "i32.load", f"i32.const {l.FREE}", "i32.and")
            for part, atom in zip(field.key_parts, key.atoms, strict=True):
                self.w.put(*differs(part, row, atom), "i32.or")
            self.w.put("if", *probe, "end")
        else:
            self.w.put(*probe)
        self.w.put("end")
        return row

    @staticmethod
    def _key(key: Flat) -> tuple[str, ...]:
        return key.atoms

    def element(self, field: FieldLayout, index: Flat, line: int) -> None:
        """Push the row of a list's element, or fail."""
        self.w.put(index.atoms[0], f"i32.const {field.header}", f"i64.load offset={l.LENGTH}", "i64.ge_u")
        self.fail_if(Code.OUT_OF_BOUNDS, line)
        self.w.put(f"i32.const {field.header}", index.atoms[0], f"i32.const {field.stride}", "call $element")

    # Writing

    def touch(self, row: str, note: int) -> None:
        """Note a row for the delta, once."""
        self.w.put(row, "i32.load", f"i32.const {l.DIRTY}", "i32.and", "i32.eqz")
        self.w.put("if", row, f"i32.const {note}", "call $touch", "end")

    def overwrite(self, kind: ValueType, value: Placed, row: str, offset: int) -> None:
        """Store a value in a row, with what was there on the undo log; texts get places of their own."""
        if isinstance(value, Memory):
            self.w.put(row, f"i32.const {offset}", "i32.add", f"i32.const {words(kind)}", "call $undo_words")
            self.fill(kind, value, row, offset)
            return
        count = words(kind)
        if count > _UNDO_INLINE_MAX:
            self.w.put(row, f"i32.const {offset}", "i32.add", f"i32.const {count}", "call $undo_words")
        else:
            self._undo(row, offset, count)
        self.fill(kind, value, row, offset)

    def _undo(self, row: str, offset: int, count: int) -> None:
        size = l.UNDO_BYTES * count
        self.w.put("global.get $undo_end", "global.get $undo", "i32.sub", f"i32.const {size}", "i32.lt_u")
        self.w.put("if", f"i32.const {size}", "call $grow_undo", "end")
        for number in range(count):
            at = offset + WORD_BYTES * number
            self.w.put("global.get $undo", row, f"i32.const {at}", "i32.add", "i64.extend_i32_u")
            self.w.put(f"i64.store offset={l.UNDO_BYTES * number}")
            self.w.put(
                "global.get $undo", row, f"i64.load offset={at}", f"i64.store offset={l.UNDO_BYTES * number + 8}"
            )
        self.w.put("global.get $undo", f"i32.const {size}", "i32.add", "global.set $undo")

    def fill(self, kind: ValueType, value: Placed, row: str, offset: int) -> None:
        """Store a value in a row; texts get places of their own."""
        if isinstance(kind, TextType):
            assert isinstance(value, Flat)
            self.w.put(row, value.atoms[0], "call $keep_text", f"i64.store offset={offset}")
        elif isinstance(value, Memory) and holds_text(kind):
            name = self.shared.function("fill", kind)
            self.w.put(row, f"i32.const {offset}", "i32.add", *address(value), f"call {name}")
        else:
            self.w.store(kind, value, row, offset)

    def drop(self, kind: ValueType, row: str, offset: int) -> None:
        """Let go of the texts in a row."""
        if isinstance(kind, TextType):
            self.w.put(row, f"i64.load offset={offset}", "call $drop_text")
        elif holds_text(kind):
            self.w.put(row, f"i32.const {offset}", "i32.add", f"call {self.shared.function('drop', kind)}")

    def stored_class(self, kind: ValueType, row: str, offset: int) -> str | None:
        """Put what the texts in a row count in a temporary."""
        value: Placed = Memory(row, offset)
        if is_flat(kind):
            if not holds_text(kind):
                return None
            value = Flat((self.w.keep("i64", row, f"i64.load offset={offset}"),))
        return self.shared.text_sum(self.w, kind, value, classes=True)


def differs(part: l.KeyPart, row: str, atom: str) -> list[str]:
    """Return what pushes whether a part of a row's key is another than the one given."""
    load = "i32.load" if part.type == "i32" else "i64.load" if part.size == WORD_BYTES else "i64.load32_u"
    return [row, f"{load} offset={part.offset}", atom, f"{part.type}.ne"]


def key_store(part: l.KeyPart, row: str, atom: str) -> list[str]:
    """Return what stores a part of a key in a row."""
    store = "i32.store" if part.type == "i32" else "i64.store" if part.size == WORD_BYTES else "i64.store32"
    return [row, atom, f"{store} offset={part.offset}"]


def key_parameters(field: FieldLayout) -> list[str]:
    """Return the parameters that take a field's key."""
    assert field.key is not None
    return [f"(param $k{number} {kind})" for number, kind in enumerate(components(field.key))]
