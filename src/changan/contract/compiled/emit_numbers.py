"""Integers as WebAssembly: exact results, or the outcome that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.compiled.emit_body import Body
from changan.contract.compiled.layout import components
from changan.contract.compiled.writer import Flat
from changan.contract.types import I64, U64, U128, IntType

if TYPE_CHECKING:
    from changan.contract import tree as t
    from changan.contract.types import ValueType

_OVERFLOW, _ZERO = 2, 3
_BITS = {"&": "and", "|": "or", "^": "xor"}


class Numbers(Body):
    """Writes operators on integers, and comparisons."""

    def _arithmetic(self, e: t.Arithmetic) -> Flat:
        target = self.w.temps(e.type)
        assert isinstance(target, Flat)
        mark = self.w.mark()
        left, right = self.flat(e.left), self.flat(e.right)
        if e.operator in _BITS:
            for place, a, b in zip(target.atoms, left.atoms, right.atoms, strict=True):
                self.w.put(a, b, f"i64.{_BITS[e.operator]}")
                self.w.pop_into(Flat((place,)))
        elif e.type == U128:
            self._wide(e, target, left, right)
        else:
            self._narrow(e, target, left.atoms[0], right.atoms[0])
        self.w.release(mark)
        return target

    def _wide(self, e: t.Arithmetic, target: Flat, left: Flat, right: Flat) -> None:
        operands = (*left.atoms, *right.atoms)
        names = {"+": "add", "-": "sub", "*": "mul", "<<": "shl"}
        if e.operator in names:
            bad = self.w.temp("i32")
            self.w.put(*operands, f"call ${names[e.operator]}_wide", f"local.set {bad}")
            self.w.pop_into(target)
            self.w.put(f"local.get {bad}")
            self.fail_if(_OVERFLOW, e.line)
        elif e.operator == ">>":
            self.w.put(*operands, "call $shr_wide")
            self.w.pop_into(target)
        else:
            self.w.put(*right.atoms, "i64.or", "i64.eqz")
            self.fail_if(_ZERO, e.line)
            self.w.put(*operands, "call $divide_wide")
            if e.operator == "%":
                self.w.pop_into(target)
                self.w.put("drop", "drop")
            else:
                self.w.put("drop", "drop")
                self.w.pop_into(target)

    def _narrow(self, e: t.Arithmetic, target: Flat, a: str, b: str) -> None:
        signed = e.type == I64
        match e.operator:
            case "+" | "-":
                self.w.put(a, b, f"i64.{'add' if e.operator == '+' else 'sub'}")
                self.w.pop_into(target)
                r = target.atoms[0]
                if signed and e.operator == "+":
                    self.w.put(a, r, "i64.xor", b, r, "i64.xor", "i64.and", "i64.const 0", "i64.lt_s")
                elif signed:
                    self.w.put(a, b, "i64.xor", a, r, "i64.xor", "i64.and", "i64.const 0", "i64.lt_s")
                else:
                    self.w.put(*((r, a) if e.operator == "+" else (a, b)), "i64.lt_u")
                self.fail_if(_OVERFLOW, e.line)
            case "*":
                high = self.w.temp("i64")
                self.w.put(a, b, f"i64.mul_wide_{'s' if signed else 'u'}", f"local.set {high}")
                self.w.pop_into(target)
                sign = [target.atoms[0], "i64.const 63", "i64.shr_s"] if signed else ["i64.const 0"]
                self.w.put(f"local.get {high}", *sign, "i64.ne")
                self.fail_if(_OVERFLOW, e.line)
            case "//" | "%":
                self._divide(e, target, a, b)
            case "<<":
                bad = self.w.temp("i32")
                self.w.put(a, b, f"call $shl_{'signed' if signed else 'unsigned'}", f"local.set {bad}")
                self.w.pop_into(target)
                self.w.put(f"local.get {bad}")
                self.fail_if(_OVERFLOW, e.line)
            case _:
                if signed:
                    self.w.put(a, b, "i64.const 63", b, "i64.const 63", "i64.lt_u", "select", "i64.shr_s")
                else:
                    self.w.put(a, b, "i64.shr_u", "i64.const 0", b, "i64.const 64", "i64.lt_u", "select")
                self.w.pop_into(target)

    def _divide(self, e: t.Arithmetic, target: Flat, a: str, b: str) -> None:
        signed = e.type == I64
        self.w.put(b, "i64.eqz")
        self.fail_if(_ZERO, e.line)
        if signed and e.operator == "//":
            self.w.put(b, "i64.const -1", "i64.eq", a, f"i64.const {I64.low}", "i64.eq", "i32.and")
            self.fail_if(_OVERFLOW, e.line)
        if signed:
            self.w.put(a, b, "call $floor_div" if e.operator == "//" else "call $floor_rem")
        else:
            self.w.put(a, b, "i64.div_u" if e.operator == "//" else "i64.rem_u")
        self.w.pop_into(target)

    def _negation(self, e: t.Negation) -> Flat:
        target = self.w.temps(e.type)
        assert isinstance(target, Flat)
        mark = self.w.mark()
        [a] = self.flat(e.operand).atoms
        self.w.put(a, f"i64.const {I64.low}", "i64.eq")
        self.fail_if(_OVERFLOW, e.line)
        self.w.put("i64.const 0", a, "i64.sub")
        self.w.pop_into(target)
        self.w.release(mark)
        return target

    def _conversion(self, e: t.Conversion) -> Flat:
        target = self.w.temps(e.type)
        assert isinstance(target, Flat)
        mark = self.w.mark()
        value = self.flat(e.operand)
        source = e.operand.type
        low = value.atoms[0]
        if source == U128 and e.type != U128:
            self.w.put(value.atoms[1], "i64.const 0", "i64.ne")
            if e.type == I64:
                self.w.put(low, "i64.const 0", "i64.lt_s", "i32.or")
            self.fail_if(_OVERFLOW, e.line)
        elif source != e.type and I64 in {source, e.type}:
            self.w.put(low, "i64.const 0", "i64.lt_s")
            self.fail_if(_OVERFLOW, e.line)
        atoms = value.atoms if source == U128 else (low, "i64.const 0")
        self.w.assign(e.type, target, Flat(atoms[: len(target.atoms)]))
        self.w.release(mark)
        return target

    def compare(self, operator: str, kind: ValueType, left: Flat, right: Flat) -> None:
        """Push whether a comparison of two values holds."""
        if operator in {"==", "!="}:
            self._same(operator, components(kind)[0], left, right)
        elif kind == U128:
            operands = (*left.atoms, *right.atoms) if operator in {"<", ">="} else (*right.atoms, *left.atoms)
            self.w.put(*operands, "call $less_wide", *(["i32.eqz"] if operator in {">=", "<="} else []))
        else:
            assert isinstance(kind, IntType)
            names = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
            self.w.put(left.atoms[0], right.atoms[0], f"i64.{names[operator]}_{'u' if kind == U64 else 's'}")

    def _same(self, operator: str, width: str, left: Flat, right: Flat) -> None:
        if len(left.atoms) == 1:
            self.w.put(left.atoms[0], right.atoms[0], f"{width}.{'eq' if operator == '==' else 'ne'}")
            return
        for number, (a, b) in enumerate(zip(left.atoms, right.atoms, strict=True)):
            self.w.put(a, b, "i64.xor", *(["i64.or"] if number else []))
        self.w.put("i64.const 0", f"i64.{'eq' if operator == '==' else 'ne'}")
