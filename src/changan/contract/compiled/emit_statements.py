"""Statements as WebAssembly: writes with their charges before their effects, loops, events, and ways out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract import tree as t
from changan.contract.compiled.emit_codec import Encoder
from changan.contract.compiled.emit_expressions import Expressions
from changan.contract.compiled.layout import components, is_flat
from changan.contract.compiled.writer import Flat, Memory
from changan.contract.gas import EVENT_BYTES_MAX, LOOP_TURN, TEXT_BYTE, cost, runs
from changan.contract.instance import Code
from changan.contract.types import U128, WORD_BYTES, holds_text, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract.compiled.layout import FieldLayout
    from changan.contract.compiled.writer import Placed
    from changan.contract.types import ValueType

EVENT_HEADER_BYTES = 12  # row, kind, bytes that follow


class Statements(Expressions):
    """Writes statements."""

    def block(self, body: Sequence[t.Statement]) -> None:
        """Write a block."""
        charges = runs(body)
        for position, statement in enumerate(body):
            if position in charges:
                self.charge(charges[position], statement.line)
            mark = self.w.mark()
            self._statement(statement)
            self.w.release(mark)

    def _statement(self, s: t.Statement) -> None:  # noqa: C901, PLR0912  # one case a kind of statement
        match s:
            case t.SetLocal():
                self._set_local(s)
            case t.SetScalar():
                field = self.shared.fields[s.field]
                row = f"i32.const {field.header}"
                self._write(field, self.expression(s.value), row, None, s.line)
            case t.SetMap():
                self._set_map(s)
            case t.SetMapField():
                self._set_map_field(s)
            case t.SetList():
                field = self.shared.fields[s.field]
                value = self.expression(s.value)
                self.element(field, self.flat(s.index), s.line)
                row = self.w.keep("i32")
                self._replace(field, value, row, s.line)
            case t.Append():
                self._append(s)
            case t.DeleteKey():
                self._delete(s)
            case t.Evaluate():
                if s.target is None:
                    self.helper(s.name, s.arguments)
                else:
                    self.remote(s.line, s.target, s.method, s.arguments)
            case t.Emit():
                self._emit(s)
            case t.Decline():
                self.fail(Code.DECLINED, s.line, s.reason)
            case t.Require():
                self.w.put(*self.flat(s.test).atoms, "i32.eqz")
                self.fail_if(Code.DECLINED, s.line, s.reason)
            case t.Return():
                self.leave(None if s.value is None else (s.value.type, self.expression(s.value)))
            case t.If():
                self._if(s)
            case t.While():
                self._while(s)
            case t.For():
                self._for(s)
            case t.Break():
                self.w.put(f"br {self.loops[-1][0]}")
            case t.Continue():
                self.w.put(f"br {self.loops[-1][1]}")

    # Names and ways

    def local(self, name: str, kind: ValueType) -> Placed:
        """Return where a name's value is kept."""
        if name not in self.names:
            if is_flat(kind):
                parts = [
                    f"local.get {self.w.named(f'$v{self.scope}_{name}_{number}', part)}"
                    for number, part in enumerate(components(kind))
                ]
                self.names[name] = Flat(tuple(parts))
            else:
                self.names[name] = Memory(f"i32.const {self.shared.static.reserve(WORD_BYTES * words(kind))}")
        return self.names[name]

    def _set_local(self, s: t.SetLocal) -> None:
        value = self.expression(s.value)
        self.w.assign(s.value.type, self.local(s.name, s.value.type), value)

    def _if(self, s: t.If) -> None:
        mark = self.w.mark()
        self.w.put(*self.flat(s.test).atoms, "if")
        self.w.release(mark)
        self.block(s.then)
        if s.otherwise:
            self.w.put("else")
            self.block(s.otherwise)
        self.w.put("end")

    def _while(self, s: t.While) -> None:
        out, top = self.w.label("out"), self.w.label("top")
        self.w.put(f"block {out}", f"loop {top}")
        self.charge(LOOP_TURN + cost(s.test), s.line)
        mark = self.w.mark()
        self.w.put(*self.flat(s.test).atoms, "i32.eqz", f"br_if {out}")
        self.w.release(mark)
        self.loops.append((out, top))
        self.block(s.body)
        self.loops.pop()
        self.w.put(f"br {top}", "end", "end")

    def _for(self, s: t.For) -> None:
        counter, stop = self.w.temps(s.type), self.w.temps(s.type)
        assert isinstance(counter, Flat)
        assert isinstance(stop, Flat)
        self.w.assign(s.type, counter, self.expression(s.start))
        self.w.assign(s.type, stop, self.expression(s.stop))
        out, top, turn = self.w.label("out"), self.w.label("top"), self.w.label("turn")
        self.w.put(f"block {out}", f"loop {top}")
        self.compare("<", s.type, counter, stop)
        self.w.put("i32.eqz", f"br_if {out}")
        self.w.assign(s.type, self.local(s.name, s.type), counter)
        if s.type == U128:
            self.w.put(*counter.atoms, "i64.const 1", "i64.const 0", "i64.add128")
        else:
            self.w.put(*counter.atoms, "i64.const 1", "i64.add")
        self.w.pop_into(counter)
        self.w.put(f"block {turn}")
        self.charge(LOOP_TURN, s.line)
        self.loops.append((out, turn))
        self.block(s.body)
        self.loops.pop()
        self.w.put("end", f"br {top}", "end", "end")

    # Writes

    def _write(self, field: FieldLayout, value: Placed, row: str, key: Flat | None, line: int) -> None:
        """Set what a row holds, the row being there or not."""
        kind = field.value
        text = self.shared.text_sum(self.w, kind, value)
        if text is not None:
            self.charge_counted([text], TEXT_BYTE, line)
        counted = self.shared.text_sum(self.w, kind, value, classes=True)
        grows = [f"i64.const {field.row_bytes}", *([counted, "i64.add"] if counted else [])]
        self.w.put(*self.dead(row), "if")
        if key is None:
            self.w.put(row, *grows, f"i32.const {line << 16}", f"i32.const {field.place}", "call $revive")
        else:
            self.w.put(*key.atoms, row, *grows, f"i32.const {line << 16}", f"call $make_{field.place}")
            self.w.put(row.replace("get", "set", 1))
        self.leave_if_failed()
        self.w.put("else")
        self._before_replacing(field, counted, row, line)
        self.w.put("end")
        self.overwrite(kind, value, row, field.value_offset)

    def _before_replacing(self, field: FieldLayout, counted: str | None, row: str, line: int) -> None:
        mark = self.w.mark()
        if counted is not None:
            old = self.stored_class(field.value, row, field.value_offset)
            assert old is not None
            self.grow(self.w.keep("i64", counted, old, "i64.sub"), line)
            self.drop(field.value, row, field.value_offset)
        self.touch(row, field.place)
        self.w.release(mark)

    def _replace(self, field: FieldLayout, value: Placed, row: str, line: int) -> None:
        """Set what a row holds that is surely there."""
        text = self.shared.text_sum(self.w, field.value, value)
        if text is not None:
            self.charge_counted([text], TEXT_BYTE, line)
        counted = self.shared.text_sum(self.w, field.value, value, classes=True)
        self._before_replacing(field, counted, row, line)
        self.overwrite(field.value, value, row, field.value_offset)

    def _set_map(self, s: t.SetMap) -> None:
        field = self.shared.fields[s.field]
        value = self.expression(s.value)
        key = self.flat(s.key)
        self._write(field, value, self.find(field, key), key, s.line)

    def _set_map_field(self, s: t.SetMapField) -> None:
        field = self.shared.fields[s.field]
        kind = s.record.fields[s.position][1]
        offset = field.value_offset + WORD_BYTES * sum(words(item) for _, item in s.record.fields[: s.position])
        value = self.expression(s.value)
        row = self.find(field, self.flat(s.key))
        self.w.put(*self.dead(row))
        self.fail_if(Code.MISSING_KEY, s.line)
        if holds_text(kind):
            text = self.shared.text_sum(self.w, kind, value)
            assert text is not None
            self.charge_counted([text], TEXT_BYTE, s.line)
            counted = self.shared.text_sum(self.w, kind, value, classes=True)
            old = self.stored_class(kind, row, offset)
            assert counted is not None
            assert old is not None
            self.grow(self.w.keep("i64", counted, old, "i64.sub"), s.line)
            self.drop(kind, row, offset)
        self.touch(row, field.place)
        self.overwrite(kind, value, row, offset)

    def _append(self, s: t.Append) -> None:
        field = self.shared.fields[s.field]
        value = self.expression(s.value)
        text = self.shared.text_sum(self.w, field.value, value)
        if text is not None:
            self.charge_counted([text], TEXT_BYTE, s.line)
        counted = self.shared.text_sum(self.w, field.value, value, classes=True)
        grows = [f"i64.const {field.row_bytes}", *([counted, "i64.add"] if counted else [])]
        self.w.put(f"i32.const {field.header}", f"i32.const {field.stride}", *grows, f"i32.const {s.line << 16}")
        self.w.put(f"i32.const {field.place}", "call $append")
        row = self.w.keep("i32")
        self.leave_if_failed()
        self.fill(field.value, value, row, field.value_offset)

    def _delete(self, s: t.DeleteKey) -> None:
        field = self.shared.fields[s.field]
        row = self.find(field, self.flat(s.key))
        self.w.put(*self.dead(row))
        self.fail_if(Code.MISSING_KEY, s.line)
        counted = self.stored_class(field.value, row, field.value_offset)
        weight = [f"i64.const {field.row_bytes}", *([counted, "i64.add"] if counted else [])]
        self.drop(field.value, row, field.value_offset)
        self.w.put(row, *weight, f"i32.const {field.place}", f"i32.const {field.header}", "call $kill")

    # Events

    def _emit(self, s: t.Emit) -> None:
        values = self.values(s.fields)
        fixed = WORD_BYTES * sum(words(kind) for kind, _ in values)
        sums = []
        for kind, value in values:
            text = self.shared.text_sum(self.w, kind, value)
            if text is not None:
                self.charge_counted([text], TEXT_BYTE, s.line)
                sums.append(text)
        self.w.put("global.get $ev_used", f"i64.const {fixed}", "i64.add")
        for text in sums:
            self.w.put(text, "i64.add")
        self.w.put("global.set $ev_used", "global.get $ev_used", f"i64.const {EVENT_BYTES_MAX}", "i64.gt_u")
        self.fail_if(Code.OUT_OF_BOUNDS, s.line)
        self._event(s.event, values)

    def _event(self, event: int, values: list[tuple[ValueType, Placed]]) -> None:
        size = self.shared.room(self.w, values, EVENT_HEADER_BYTES)
        cursor = self.w.temp("i32")
        at = f"local.get {cursor}"
        # Up to eight bytes more: a tail of fixed bytes is stored in pieces, never past its end.
        self.w.put(size, "call $ev_room", "global.get $ev", f"local.set {cursor}")
        self.w.put(at, "global.get $row", "i32.store")
        self.w.put(at, f"i32.const {event}", "i32.store offset=4")
        self.w.put(at, size, f"i32.const {EVENT_HEADER_BYTES}", "i32.sub", "i32.store offset=8")
        self.w.put(at, size, "i32.add", "global.set $ev")
        self.w.put(at, f"i32.const {EVENT_HEADER_BYTES}", "i32.add", f"local.set {cursor}")
        encoder = Encoder(self.w, cursor, big=False)
        for kind, value in values:
            self.shared.encode(self.w, kind, value, cursor, encoder)
