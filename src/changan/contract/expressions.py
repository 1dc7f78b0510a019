"""Expressions: each syntax node becomes a typed one, or a finding."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from changan.contract import tree as t
from changan.contract.constants import INTEGERS, fold, type_of
from changan.contract.refusal import not_in_language, refuse
from changan.contract.scope import Scope, own_attribute
from changan.contract.types import (
    ADDRESS,
    BOOL,
    DIGEST,
    I64,
    U64,
    BytesType,
    EnumType,
    IntType,
    ListType,
    MapType,
    RecordType,
    TextType,
    TupleType,
    accepts,
)

if TYPE_CHECKING:
    from typing import Never

    from changan.contract.types import InterfaceType, Signature, ValueType

_CONTEXT: dict[str, ValueType] = {"caller": ADDRESS, "height": U64, "time": U64}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
}
_ORDER: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_SAME: dict[type[ast.cmpop], str] = {ast.Eq: "==", ast.NotEq: "!="}
_REFUSED_OPERATORS: dict[type[ast.operator], str] = {
    ast.Div: "use // (there are no fractions)",
    ast.Pow: "** is only for constants",
    ast.MatMult: "@ is not in the language",
}


class Expressions:
    """Reads expressions inside one method."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._declared = scope.declared

    def wanted(self, node: ast.expr, kind: ValueType) -> t.Expression:
        """Read an expression that must have this type. Raises Refusal."""
        found = self.read(node, kind)
        if not accepts(kind, found.type):
            refuse(node, "type", f"{kind.name} wanted, this is {found.type.name}")
        return found

    def read(self, node: ast.expr, want: ValueType | None = None) -> t.Expression:  # noqa: PLR0911
        """Read any expression; a literal takes the type `want` of its neighbour. Raises Refusal."""
        value = self._declared.fold(node)
        if value is not None:
            kind, plain = type_of(node, value, want)
            return t.Constant(node.lineno, kind, plain)
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.BinOp():
                return self._binary(node, want)
            case ast.UnaryOp():
                return self._unary(node, want)
            case ast.BoolOp():
                operands = tuple(self.wanted(value, BOOL) for value in node.values)
                return t.Logic(node.lineno, BOOL, "and" if isinstance(node.op, ast.And) else "or", operands)
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp():
                return self._choice(node, want)
            case ast.Call():
                return self._call(node)
            case ast.Tuple():
                return self._tuple(node, want)
            case _:
                not_in_language(node)

    def _name(self, node: ast.Name) -> t.Expression:
        kind = self.scope.look_up(node.id)
        if kind is not None:
            return t.Local(node.lineno, kind, node.id)
        if node.id in self.scope.ever:
            refuse(node, "name", f"{node.id} is not assigned on every way here")
        if node.id == "self":
            refuse(node, "name", "self stands only before a field or a helper: self.name")
        refuse(node, "name", f"there is no name {node.id}")

    def _attribute(self, node: ast.Attribute) -> t.Expression:
        name = own_attribute(node)
        if name is not None:
            return self._own(node, name)
        if isinstance(node.value, ast.Name) and node.value.id in self._declared.enums:
            return self._member(node, self._declared.enums[node.value.id])
        record = self.read(node.value)
        if not isinstance(record.type, RecordType):
            refuse(node, "field", f"{record.type.name} has no fields")
        position = record_field(node, record.type, node.attr)
        return t.FieldOf(node.lineno, record.type.fields[position][1], record, position)

    def _own(self, node: ast.Attribute, name: str) -> t.Expression:
        if name in _CONTEXT:
            return t.Context(node.lineno, _CONTEXT[name], name)
        found = self.scope.field(name)
        if found is None:
            if self._declared.signature(name) is not None:
                refuse(node, "call", f"{name} is a method: call it")
            refuse(node, "field", f"no field {name}; declare it in the class")
        place, kind = found
        if isinstance(kind, MapType | ListType):
            refuse(node, "type", f"{kind.name} is no value: use self.{name}[...]")
        return t.ScalarRead(node.lineno, kind, place)

    def _member(self, node: ast.Attribute, kind: EnumType) -> t.Expression:
        if node.attr not in kind.members:
            refuse(node, "enum", f"{kind.name} has no member {node.attr}; it has {', '.join(kind.members)}")
        return t.Constant(node.lineno, kind, kind.members.index(node.attr))

    def container(self, node: ast.expr) -> tuple[int, MapType | ListType] | None:
        """Return the map or list that `self.x` names, or None."""
        name = own_attribute(node)
        found = None if name is None else self.scope.field(name)
        if found is None or not isinstance(found[1], MapType | ListType):
            return None
        return found[0], found[1]

    def _subscript(self, node: ast.Subscript) -> t.Expression:
        found = self.container(node.value)
        if found is None:
            self._refuse_subscript(node)
        place, kind = found
        if isinstance(kind, MapType):
            return t.MapRead(node.lineno, kind.value, place, self.wanted(node.slice, kind.key))
        return t.ListRead(node.lineno, kind.value, place, self.wanted(node.slice, U64))

    def _refuse_subscript(self, node: ast.Subscript) -> Never:
        name = own_attribute(node.value)
        if name is not None and self.scope.field(name) is None:
            refuse(node, "field", f"no field {name}; declare it in the class")
        refuse(node, "type", "only maps and lists of the contract are indexed; texts and bytes are whole")

    # Operators

    def _operands(self, left: ast.expr, right: ast.expr, want: ValueType | None) -> tuple[t.Expression, t.Expression]:
        """Read two operands; a literal on either side takes the other's type."""
        constants = self._declared.constants
        if fold(left, constants) is not None:
            second = self.read(right, want)
            return self.read(left, second.type), second
        first = self.read(left, want)
        return first, self.read(right, first.type)

    def _binary(self, node: ast.BinOp, want: ValueType | None) -> t.Expression:
        sign = _ARITHMETIC.get(type(node.op))
        if sign is None:
            refuse(node, "operator", _REFUSED_OPERATORS[type(node.op)])
        hint = want if isinstance(want, IntType) else None
        if sign in {"<<", ">>"}:
            left = self.read(node.left, hint)
            right = self.wanted(node.right, U64)
        else:
            left, right = self._operands(node.left, node.right, hint)
        if not isinstance(left.type, IntType):
            refuse(node, "type", f"{sign} works on integers, this is {left.type.name}")
        if sign not in {"<<", ">>"} and left.type != right.type:
            refuse(node, "type", f"{left.type.name} wanted, this is {right.type.name}")
        return t.Arithmetic(node.lineno, left.type, sign, left, right)

    def _unary(self, node: ast.UnaryOp, want: ValueType | None) -> t.Expression:
        match node.op:
            case ast.Not():
                return t.Not(node.lineno, BOOL, self.wanted(node.operand, BOOL))
            case ast.USub():
                operand = self.read(node.operand, want)
                if operand.type != I64:
                    refuse(node, "type", f"only I64 has a sign, this is {operand.type.name}")
                return t.Negation(node.lineno, I64, operand)
            case ast.Invert():
                refuse(node, "operator", "~x is refused: write x ^ MAX")
            case _:
                refuse(node, "operator", "+x is refused: write x")

    def _compare(self, node: ast.Compare) -> t.Expression:
        if len(node.ops) != 1:
            refuse(node, "operator", "compare two values at a time")
        operator, right = node.ops[0], node.comparators[0]
        if isinstance(operator, ast.Is | ast.IsNot):
            refuse(node, "operator", "is is refused: use ==")
        if isinstance(operator, ast.In | ast.NotIn):
            has = self._membership(node, right)
            return has if isinstance(operator, ast.In) else t.Not(node.lineno, BOOL, has)
        first, second = self._operands(node.left, right, None)
        sign = _ORDER.get(type(operator)) or _SAME[type(operator)]
        both_text = isinstance(first.type, TextType) and isinstance(second.type, TextType)
        if not both_text and first.type != second.type:
            refuse(node, "type", f"{first.type.name} wanted, this is {second.type.name}")
        if isinstance(first.type, RecordType | TupleType):
            refuse(node, "type", "records are compared field by field")
        if type(operator) in _ORDER and not isinstance(first.type, IntType):
            refuse(node, "type", f"{sign} orders integers only; {first.type.name} has == and !=")
        return t.Comparison(node.lineno, BOOL, sign, first, second)

    def _membership(self, node: ast.Compare, container: ast.expr) -> t.Expression:
        place, kind = self.container(container) or (0, None)
        if not isinstance(kind, MapType):
            refuse(node, "type", "in asks a map: key in self.m")
        return t.MapHas(node.lineno, BOOL, place, self.wanted(node.left, kind.key))

    def _choice(self, node: ast.IfExp, want: ValueType | None) -> t.Expression:
        test = self.wanted(node.test, BOOL)
        then, otherwise = self._operands(node.body, node.orelse, want)
        kind = then.type
        if isinstance(kind, TextType) and isinstance(otherwise.type, TextType):
            kind = TextType(max(kind.limit, otherwise.type.limit))
        elif kind != otherwise.type:
            refuse(node, "type", f"{kind.name} wanted, this is {otherwise.type.name}")
        return t.Choice(node.lineno, kind, test, then, otherwise)

    def _tuple(self, node: ast.Tuple, want: ValueType | None) -> t.Expression:
        if not isinstance(want, TupleType):
            refuse(node, "type", "a tuple is only a key; use a Record")
        if len(node.elts) != len(want.items):
            refuse(node, "type", f"{want.name} wanted, this has {len(node.elts)} parts")
        parts = tuple(self.wanted(part, kind) for part, kind in zip(node.elts, want.items, strict=True))
        return t.TupleValue(node.lineno, want, parts)

    # Calls

    def _call(self, node: ast.Call) -> t.Expression:
        match node.func:
            case ast.Name():
                return self._named_call(node, node.func.id)
            case ast.Attribute(value=ast.Attribute() as owner, attr="get") if self.container(owner) is not None:
                return self._get(node, owner)
        helper = self.helper(node)
        if helper is not None:
            signature, arguments = helper
            if signature.result is None:
                refuse(node, "type", f"{signature.name} returns nothing")
            return t.HelperCall(node.lineno, signature.result, signature.name, arguments)
        remote = self.remote(node)
        if remote is not None:
            target, signature, arguments = remote
            if signature.result is None:
                refuse(node, "type", f"{signature.name} returns nothing")
            return t.RemoteCall(node.lineno, signature.result, target, signature, arguments)
        refuse(node, "call", "this cannot be called in a contract")

    def _positional(self, node: ast.Call, count: int, form: str) -> list[ast.expr]:
        if node.keywords or len(node.args) != count or any(isinstance(arg, ast.Starred) for arg in node.args):
            refuse(node, "call", f"write {form}")
        return node.args

    def _named_call(self, node: ast.Call, name: str) -> t.Expression:
        if name in self._declared.records:
            kind = self._declared.records[name]
            return t.RecordValue(node.lineno, kind, self.fields(node, name, kind.fields))
        if name in INTEGERS:
            return self._conversion(node, INTEGERS[name])
        if name == "len":
            found = self.container(self._positional(node, 1, "len(self.l)")[0])
            if found is None or not isinstance(found[1], ListType):
                refuse(node, "type", "len counts a list of the contract; size(text) counts a text's bytes")
            return t.ListLength(node.lineno, U64, found[0])
        if name == "size":
            self._declared.need_import(node, name)
            operand = self.read(self._positional(node, 1, "size(text)")[0])
            if not isinstance(operand.type, TextType):
                refuse(node, "type", f"size counts a text's bytes, this is {operand.type.name}")
            return t.TextSize(node.lineno, U64, operand)
        if name in {"sha256", "sm3"}:
            self._declared.need_import(node, name)
            operand = self.read(self._positional(node, 1, f"{name}(data)")[0])
            if not isinstance(operand.type, TextType | BytesType):
                refuse(node, "type", f"{name} takes bytes or text, this is {operand.type.name}")
            return t.DigestOf(node.lineno, DIGEST, name, operand)
        if name in {"decline", "require", "emit"}:
            refuse(node, "call", f"{name}(...) is a statement of its own")
        if name in self._declared.events:
            refuse(node, "event", f"an event is emitted: emit({name}(...))")
        refuse(node, "call", f"there is no function {name}")

    def _conversion(self, node: ast.Call, kind: IntType) -> t.Expression:
        self._declared.need_import(node, kind.name)
        operand = self.read(self._positional(node, 1, f"{kind.name}(number)")[0])
        if not isinstance(operand.type, IntType):
            refuse(node, "type", f"{kind.name} takes an integer, this is {operand.type.name}")
        return t.Conversion(node.lineno, kind, operand)

    def _get(self, node: ast.Call, owner: ast.expr) -> t.Expression:
        found = self.container(owner)
        assert found is not None
        place, kind = found
        if not isinstance(kind, MapType):
            refuse(node, "type", "a list has no get: use self.l[i]")
        key, otherwise = self._positional(node, 2, "self.m.get(key, otherwise)")
        return t.MapGet(node.lineno, kind.value, place, self.wanted(key, kind.key), self.wanted(otherwise, kind.value))

    def fields(self, node: ast.Call, name: str, wanted: tuple[tuple[str, ValueType], ...]) -> tuple[t.Expression, ...]:
        """Read the fields of a record or event: all of them, by name, in order."""
        given = [keyword.arg for keyword in node.keywords]
        if node.args or given != [label for label, _ in wanted]:
            form = ", ".join(f"{label}=..." for label, _ in wanted)
            refuse(node, "record", f"give every field by name and in order: {name}({form})")
        return tuple(self.wanted(keyword.value, kind) for keyword, (_, kind) in zip(node.keywords, wanted, strict=True))

    def arguments(self, node: ast.Call, signature: Signature) -> tuple[t.Expression, ...]:
        """Read the arguments of a call, in the order of the parameters."""
        form = f"{signature.name}({', '.join(name for name, _ in signature.parameters)})"
        given = self._positional(node, len(signature.parameters), form)
        return tuple(self.wanted(arg, kind) for arg, (_, kind) in zip(given, signature.parameters, strict=True))

    def helper(self, node: ast.Call) -> tuple[Signature, tuple[t.Expression, ...]] | None:
        """Read a call of the contract's own helper, or return None where this is none."""
        name = own_attribute(node.func)
        if name is None:
            return None
        signature = self._declared.signature(name)
        if signature is None:
            refuse(node, "call", f"no helper {name}; write def {name}(self, ...) in the class")
        if signature.kind != "helper":
            refuse(node, "call", f"{name} is a door (@{signature.kind}); put the shared part in a helper _{name}")
        self.scope.helpers.setdefault(name, node.lineno)
        return signature, self.arguments(node, signature)

    def remote(self, node: ast.Call) -> tuple[t.Expression, Signature, tuple[t.Expression, ...]] | None:
        """Read a call of another contract, Interface(address).method(...), or return None where this is none."""
        match node.func:
            case ast.Attribute(value=ast.Call(func=ast.Name(id=owner)) as made, attr=method):
                interface = self._declared.interfaces.get(owner)
            case _:
                return None
        if interface is None:
            return None
        signature = self._interface_method(node, interface, method)
        target = self.wanted(self._positional(made, 1, f"{owner}(address).{method}(...)")[0], ADDRESS)
        if signature.kind != "view":
            self.scope.mutates(node)
        return target, signature, self.arguments(node, signature)

    def _interface_method(self, node: ast.Call, interface: InterfaceType, name: str) -> Signature:
        for signature in interface.methods:
            if signature.name == name:
                return signature
        refuse(node, "interface", f"{interface.name} declares no method {name}")


def record_field(node: ast.AST, kind: RecordType, name: str) -> int:
    """Return the place of a record's field. Raises Refusal."""
    for position, (label, _) in enumerate(kind.fields):
        if label == name:
            return position
    refuse(node, "field", f"{kind.name} has no field {name}; it has {', '.join(label for label, _ in kind.fields)}")
