"""Expressions as WebAssembly: every value is put in temporaries in the order of evaluation; a failure leaves the method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract import tree as t
from changan.contract.compiled import layout as l
from changan.contract.compiled.emit_numbers import Numbers
from changan.contract.compiled.layout import components, is_flat
from changan.contract.compiled.writer import Flat, Memory, address
from changan.contract.gas import DIGEST_PER_BYTE
from changan.contract.types import WORD_BYTES, BytesType, RecordType, TextType, ValueType, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract.compiled.writer import Placed


class Expressions(Numbers):
    """Writes expressions."""

    def expression(self, e: t.Expression) -> Placed:  # noqa: C901, PLR0911, PLR0912  # one case a kind of expression
        """Write an expression; return its value."""
        match e:
            case t.Constant():
                return self.shared.constant(e.type, e.value)
            case t.Local():
                return self.names[e.name]
            case t.Context():
                return _context(e.name)
            case t.Arithmetic():
                return self._arithmetic(e)
            case t.Negation():
                return self._negation(e)
            case t.Comparison():
                return self._comparison(e)
            case t.Logic():
                return self._logic(e)
            case t.Not():
                return self._through(e, ["i32.eqz"])
            case t.Choice():
                return self._choice(e)
            case t.Conversion():
                return self._conversion(e)
            case t.TupleValue():
                return self._tuple(e)
            case t.RecordValue():
                return self._record(e)
            case t.FieldOf():
                return self._field_of(e)
            case t.ScalarRead():
                return self._scalar_read(e)
            case t.MapRead():
                return self._loaded(e.type, self._map_read(e))
            case t.MapGet():
                return self._map_get(e)
            case t.MapHas():
                return self._map_has(e)
            case t.ListRead():
                return self._loaded(e.type, self._list_read(e))
            case t.ListLength():
                header = self.shared.fields[e.field].header
                return Flat((self.w.keep("i64", f"i32.const {header}", f"i64.load offset={l.LENGTH}"),))
            case t.TextSize():
                return self._through(e, ["i64.const 32", "i64.shr_u"])
            case t.DigestOf():
                return self._digest(e)
            case t.HelperCall():
                found = self.helper(e.name, e.arguments)
                assert found is not None
                return found
            case t.RemoteCall():
                found = self.remote(e.line, e.target, e.method, e.arguments)
                assert found is not None
                return found
        raise AssertionError(f"no WebAssembly for {type(e).__name__}")

    def _loaded(self, kind: ValueType, place: Memory | Flat) -> Placed:
        """Return a copy of what lies in a row."""
        if isinstance(place, Flat):
            return place
        if is_flat(kind):
            return self.w.load(kind, place.pointer, place.offset)
        target = self.w.temps(kind)
        self.w.assign(kind, target, place)
        return target

    def _through(self, e: t.Not | t.TextSize, code: list[str]) -> Flat:
        target = self.w.temps(e.type)
        assert isinstance(target, Flat)
        mark = self.w.mark()
        self.w.put(*self.flat(e.operand).atoms, *code)
        self.w.pop_into(target)
        self.w.release(mark)
        return target

    def _comparison(self, e: t.Comparison) -> Flat:
        target = Flat((f"local.get {self.w.temp('i32')}",))
        mark = self.w.mark()
        left = self.flat(e.left)
        right = self.flat(e.right)
        if isinstance(e.left.type, TextType):
            a, b = left.atoms[0], right.atoms[0]
            lengths = [[atom, "i64.const 32", "i64.shr_u"] for atom in (a, b)]
            la, lb = self.w.keep("i64", *lengths[0]), self.w.keep("i64", *lengths[1])
            self.charge_counted([la, lb, la, lb, "i64.lt_u", "select"], 1, e.line)
            self.w.put(a, b, "call $same_text")
            if e.operator == "!=":
                self.w.put("i32.eqz")
        else:
            self.compare(e.operator, e.left.type, left, right)
        self.w.pop_into(target)
        self.w.release(mark)
        return target

    def _logic(self, e: t.Logic) -> Flat:
        target = Flat((f"local.get {self.w.temp('i32')}",))
        mark = self.w.mark()
        done = self.w.label("done")
        self.w.put(f"block {done}")
        for position, operand in enumerate(e.operands):
            self.w.put(*self.flat(operand).atoms)
            self.w.pop_into(target)
            if position + 1 < len(e.operands):
                self.w.put(*target.atoms, *(["i32.eqz"] if e.operator == "and" else []), f"br_if {done}")
            self.w.release(mark)
        self.w.put("end")
        return target

    def _choice(self, e: t.Choice) -> Placed:
        flat = is_flat(e.type)
        target: Placed = self.w.temps(e.type) if flat else Memory(f"local.get {self.w.temp('i32')}")
        test = self.w.mark()
        self.w.put(*self.flat(e.test).atoms, "if")
        self.w.release(test)
        # Both ways keep their places until the whole is used: a record's value may lie in them.
        for way, code in ((e.then, "else"), (e.otherwise, "end")):
            mark = self.w.mark()
            value = self.expression(way)
            if isinstance(value, Memory):
                assert isinstance(target, Memory)
                self.w.put(*address(value), target.pointer.replace("local.get", "local.set"))
            else:
                self.w.assign(e.type, target, value)
                self.w.release(mark)
            self.w.put(code)
        return target

    def flat(self, e: t.Expression) -> Flat:
        """Write an expression whose value is flat."""
        value = self.expression(e)
        assert isinstance(value, Flat)
        return value

    # Values of several parts

    def _tuple(self, e: t.TupleValue) -> Flat:
        values = [self.flat(item) for item in e.items]
        return Flat(tuple(atom for value in values for atom in value.atoms), all(value.stable for value in values))

    def _record(self, e: t.RecordValue) -> Placed:
        if is_flat(e.type):
            return Flat(tuple(atom for item in e.items for atom in self.flat(item).atoms))
        target = self.w.temps(e.type)
        assert isinstance(target, Memory)
        offset = 0
        for item in e.items:
            mark = self.w.mark()
            self.w.store(item.type, self.expression(item), target.pointer, offset)
            self.w.release(mark)
            offset += WORD_BYTES * words(item.type)
        return target

    def _field_of(self, e: t.FieldOf) -> Placed:
        kind = e.record.type
        assert isinstance(kind, RecordType)
        before = sum(words(item) for _, item in kind.fields[: e.position])
        place = self._place(e.record)
        if isinstance(place, Flat):
            return Flat(place.atoms[before : before + len(components(e.type))], place.stable)
        inside = Memory(place.pointer, place.offset + WORD_BYTES * before)
        in_row = isinstance(e.record, t.MapRead | t.ListRead | t.FieldOf)
        return self._loaded(e.type, inside) if in_row or is_flat(e.type) else inside

    def _place(self, e: t.Expression) -> Placed:
        """Write an expression of which only a part is wanted: what lies in a row is not copied."""
        match e:
            case t.MapRead() if self.shared.fields[e.field].default is None:
                return self._map_read(e)
            case t.ListRead():
                return self._list_read(e)
            case t.FieldOf(record=t.MapRead() | t.ListRead() | t.FieldOf()):
                kind = e.record.type
                assert isinstance(kind, RecordType)
                place = self._place(e.record)
                before = sum(words(item) for _, item in kind.fields[: e.position])
                if isinstance(place, Memory):
                    return Memory(place.pointer, place.offset + WORD_BYTES * before)
                return Flat(place.atoms[before : before + len(components(e.type))])
        return self.expression(e)

    # Rows

    def _scalar_read(self, e: t.ScalarRead) -> Placed:
        field = self.shared.fields[e.field]
        return self.w.load(e.type, f"i32.const {field.header}", field.value_offset)

    def _map_read(self, e: t.MapRead) -> Placed:
        field = self.shared.fields[e.field]
        if field.default is None:
            pointer = f"local.get {self.w.temp('i32')}"
            mark = self.w.mark()
            row = self.find(field, self.flat(e.key))
            self.w.put(row, pointer.replace("local.get", "local.set"))
            self.w.release(mark)
            self.w.put(*self.dead(pointer))
            self.fail_if(4, e.line)
            return Memory(pointer, field.value_offset)
        target = self.w.temps(e.type)
        mark = self.w.mark()
        row = self.find(field, self.flat(e.key))
        default = self.shared.constant(e.type, field.default)  # type: ignore[arg-type]  # a constant of the type
        self._row_or(e.type, target, (row, field.value_offset), default)
        self.w.release(mark)
        return target

    def _row_or(self, kind: ValueType, target: Placed, place: tuple[str, int], otherwise: Placed) -> None:
        """Set the target to the value in a row, or to another where there is no row."""
        row, offset = place
        self.w.put(*self.dead(row), "if")
        self.w.assign(kind, target, otherwise)
        self.w.put("else")
        mark = self.w.mark()
        self.w.assign(kind, target, self.w.load(kind, row, offset))
        self.w.release(mark)
        self.w.put("end")

    def _map_get(self, e: t.MapGet) -> Placed:
        target = self.w.temps(e.type)
        mark = self.w.mark()
        otherwise = self.expression(e.otherwise)
        field = self.shared.fields[e.field]
        row = self.find(field, self.flat(e.key))
        self._row_or(e.type, target, (row, field.value_offset), otherwise)
        self.w.release(mark)
        return target

    def _map_has(self, e: t.MapHas) -> Flat:
        target = Flat((f"local.get {self.w.temp('i32')}",))
        mark = self.w.mark()
        row = self.find(self.shared.fields[e.field], self.flat(e.key))
        self.w.put(*self.dead(row), "i32.eqz")
        self.w.pop_into(target)
        self.w.release(mark)
        return target

    def _list_read(self, e: t.ListRead) -> Memory:
        field = self.shared.fields[e.field]
        pointer = f"local.get {self.w.temp('i32')}"
        mark = self.w.mark()
        self.element(field, self.flat(e.index), e.line)
        self.w.put(pointer.replace("local.get", "local.set"))
        self.w.release(mark)
        return Memory(pointer, field.value_offset)

    # Digests

    def _digest(self, e: t.DigestOf) -> Flat:
        self.shared.digests.add(e.algorithm)
        target = self.w.temps(e.type)
        assert isinstance(target, Flat)
        mark = self.w.mark()
        value = self.flat(e.operand)
        result = self.w.space(32)
        if isinstance(e.operand.type, BytesType):
            place = self.w.space(WORD_BYTES * words(e.operand.type))
            self.w.store(e.operand.type, value, f"i32.const {place}", 0)
            self.w.put(f"i32.const {place}", f"i32.const {e.operand.type.length}")
        else:
            length = [value.atoms[0], "i64.const 32", "i64.shr_u"]
            self.charge_counted(length, DIGEST_PER_BYTE[e.algorithm], e.line)
            self.w.put(value.atoms[0], "i32.wrap_i64", *length, "i32.wrap_i64")
        self.w.put(f"i32.const {result}", f"call ${e.algorithm}")
        self.w.assign(e.type, target, self.w.load(e.type, f"i32.const {result}", 0))
        self.w.release(mark)
        return target

    def values(self, items: Sequence[t.Expression]) -> list[tuple[ValueType, Placed]]:
        """Write expressions in order; return their types and values."""
        return [(item.type, self.expression(item)) for item in items]


def _context(name: str) -> Flat:
    if name == "caller":
        return Flat(
            (
                f"i32.const {l.CALLER} i64.load",
                f"i32.const {l.CALLER} i64.load offset=8",
                f"i32.const {l.CALLER} i64.load offset=16",
            ),
            stable=True,
        )
    return Flat((f"i32.const {l.HEIGHT if name == 'height' else l.TIME} i64.load",), stable=True)
