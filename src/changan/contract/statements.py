"""Statements and bodies: order, scopes, ways that end, and the effects of a method."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from changan.contract import tree as t
from changan.contract.declared import named
from changan.contract.expressions import Expressions, record_field
from changan.contract.refusal import Message, Refusal, not_in_language, refuse
from changan.contract.scope import Scope, own_attribute
from changan.contract.types import BOOL, U64, IntType, ListType, MapType, RecordType, TupleType

if TYPE_CHECKING:
    from typing import Never

    from changan.contract.declared import Declarations
    from changan.contract.types import Signature, ValueType

LOOPS_MAX = 16  # CPython compiles 20
REASONS_MAX = 255
REASON_BYTES_MAX = 200
_RESERVED = frozenset({"self", "range", "len", "tuple"})
_LEAVES = (t.Return, t.Decline, t.Break, t.Continue)
_LOOP_FORM = "loop as: for i in range(n) or range(a, b); a Map has no order, keep a List of its keys"


class Bodies:
    """Reads the body of one method."""

    def __init__(self, declared: Declarations, signature: Signature, reasons: dict[str, int]) -> None:
        self.scope = Scope(declared, signature)
        self.messages: list[Message] = []
        self._read = Expressions(self.scope)
        self._declared = declared
        self._signature = signature
        self._reasons = reasons
        self._loops = 0
        self._parameters = {name for name, _ in signature.parameters}
        for name in self._parameters:
            if declared.taken(name):
                self.messages.append(Message(signature.line, "name", f"{name} already has a meaning here"))

    def body(self, node: ast.FunctionDef) -> tuple[t.Statement, ...]:
        """Read the whole body; what it refuses is in `messages`."""
        body = self._block(_without_docstring(node.body), {})
        if not self.messages and self._signature.result is not None and not _ends(body):
            text = f"{node.name} can end without returning {self._signature.result.name}"
            self.messages.append(Message(node.lineno, "return", text))
        return body

    def _block(self, nodes: list[ast.stmt], names: dict[str, ValueType]) -> tuple[t.Statement, ...]:
        self.scope.blocks.append(names)
        found: list[t.Statement] = []
        for node in nodes:
            try:
                if found and _ends_way(found[-1]):
                    refuse(node, "dead", "this line can never run")
                statement = self._statement(node)
            except Refusal as refusal:
                self.messages.append(refusal.message)
                continue
            if statement is not None:
                found.append(statement)
        self.scope.blocks.pop()
        return tuple(found)

    def _statement(self, node: ast.stmt) -> t.Statement | None:  # noqa: PLR0911  # a line a node
        match node:
            case ast.Pass():
                return None
            case ast.Assign():
                return self._assign(node)
            case ast.AnnAssign():
                return self._declare(node)
            case ast.AugAssign():
                return self._augment(node)
            case ast.If():
                test = self._read.wanted(node.test, BOOL)
                return t.If(node.lineno, test, self._block(node.body, {}), self._block(node.orelse, {}))
            case ast.While():
                return self._while(node)
            case ast.For():
                return self._for(node)
            case ast.Break() | ast.Continue():
                if not self._loops:
                    refuse(node, "loop", "break and continue stand inside a loop")
                return t.Break(node.lineno) if isinstance(node, ast.Break) else t.Continue(node.lineno)
            case ast.Return():
                return self._return(node)
            case ast.Delete():
                return self._delete(node)
            case ast.Expr(value=ast.Call() as made):
                return self._effect(made)
            case ast.Expr():
                self._unused(node)
            case _:
                not_in_language(node)

    def _unused(self, node: ast.Expr | ast.Call) -> Never:
        self._read.read(node.value if isinstance(node, ast.Expr) else node)
        refuse(node, "statement", "this value is not used")

    # Assignment

    def _assign(self, node: ast.Assign) -> t.Statement:
        if len(node.targets) != 1:
            refuse(node, "assign", "assign one name at a time")
        return self._store(node, node.targets[0], node.value)

    def _store(self, node: ast.stmt, target: ast.expr, value: ast.expr) -> t.Statement:
        match target:
            case ast.Name():
                return self._set_local(target, self._value_for(target, value))
            case ast.Attribute():
                if own_attribute(target) is not None:
                    return self._set_field(node, target, value)
                return self._set_map_field(node, target, value)
            case ast.Subscript():
                return self._set_element(node, target, value)
            case ast.Tuple() | ast.List():
                refuse(node, "assign", "assign one name at a time")
            case _:
                not_in_language(target)

    def _value_for(self, target: ast.Name, value: ast.expr) -> t.Expression:
        known = self.scope.look_up(target.id)
        return self._read.read(value) if known is None else self._read.wanted(value, known)

    def _set_local(self, target: ast.Name, value: t.Expression) -> t.Statement:
        name = target.id
        if name in self._parameters:
            refuse(target, "name", f"{name} is a parameter; copy it to another name first")
        if isinstance(value.type, TupleType):
            refuse(target, "type", "a tuple is only a key; use a Record")
        if self.scope.look_up(name) is None:
            self._introduce(target, name, value.type)
        return t.SetLocal(target.lineno, name, value)

    def _introduce(self, node: ast.AST, name: str, kind: ValueType) -> None:
        if self._declared.taken(named(node, name)) or name in _RESERVED:
            refuse(node, "name", f"{name} already has a meaning here")
        before = self.scope.ever.get(name)
        if before is not None and before != kind:
            refuse(node, "name", f"{name} has one type, and that is {before.name}")
        self.scope.ever[name] = kind
        self.scope.blocks[-1][name] = kind

    def _declare(self, node: ast.AnnAssign) -> t.Statement:
        if not isinstance(node.target, ast.Name) or not node.simple or node.value is None:
            refuse(node, "assign", "write name: Type = value")
        kind = self._declared.types.value(node.annotation)
        if self.scope.look_up(node.target.id) is not None:
            refuse(node, "name", f"{node.target.id} has its type already")
        value = self._read.wanted(node.value, kind)
        if node.target.id in self._parameters:
            refuse(node, "name", f"{node.target.id} is a parameter; copy it to another name first")
        self._introduce(node, node.target.id, kind)
        return t.SetLocal(node.lineno, node.target.id, value)

    def _set_field(self, node: ast.stmt, target: ast.Attribute, value: ast.expr) -> t.Statement:
        found = self.scope.field(target.attr)
        if found is None:
            refuse(target, "field", f"no field {target.attr}; declare it in the class")
        place, kind = found
        if isinstance(kind, MapType | ListType):
            refuse(target, "type", f"{kind.name} is never replaced: set its elements")
        read = self._read.wanted(value, kind)
        self.scope.mutates(node)
        return t.SetScalar(node.lineno, place, read)

    def _set_element(self, node: ast.stmt, target: ast.Subscript, value: ast.expr) -> t.Statement:
        found = self._read.container(target.value)
        if found is None:
            refuse(target, "type", "only maps and lists of the contract have elements")
        place, kind = found
        read = self._read.wanted(value, kind.value)
        self.scope.mutates(node)
        if isinstance(kind, MapType):
            return t.SetMap(node.lineno, place, self._read.wanted(target.slice, kind.key), read)
        return t.SetList(node.lineno, place, self._read.wanted(target.slice, U64), read)

    def _set_map_field(self, node: ast.stmt, target: ast.Attribute, value: ast.expr) -> t.Statement:
        inner = target.value
        place, kind = (self._read.container(inner.value) if isinstance(inner, ast.Subscript) else None) or (0, None)
        if not isinstance(inner, ast.Subscript) or not isinstance(kind, MapType):
            refuse(target, "record", "a record is a copy: write self.m[k].field = value, or store a new record")
        if not isinstance(kind.value, RecordType):
            refuse(target, "field", f"{kind.value.name} has no fields")
        position = record_field(target, kind.value, target.attr)
        read = self._read.wanted(value, kind.value.fields[position][1])
        self.scope.mutates(node)
        key = self._read.wanted(inner.slice, kind.key)
        return t.SetMapField(node.lineno, place, key, kind.value, position, read)

    def _augment(self, node: ast.AugAssign) -> t.Statement:
        """Read `target op= value` as `target = target op value`, which means the same because the key is simple."""
        inner = node.target.value if isinstance(node.target, ast.Attribute) else node.target
        if isinstance(inner, ast.Subscript) and not self._is_simple(inner.slice):
            refuse(node, "key", "name the key first: k = ...; self.m[k] += ...")
        if isinstance(node.target, ast.Name) and self.scope.look_up(node.target.id) is None:
            self._read.read(node.target)
        combined = ast.copy_location(ast.BinOp(node.target, node.op, node.value), node)
        return self._store(node, node.target, combined)

    def _is_simple(self, key: ast.expr) -> bool:
        match key:
            case ast.Name() | ast.Constant():
                return True
            case ast.Attribute(value=ast.Name(id="self"), attr="caller" | "height" | "time"):
                return True
            case ast.Attribute(value=ast.Name(id=owner)):
                return owner in self._declared.enums
            case ast.Tuple():
                return all(self._is_simple(part) for part in key.elts)
        return False

    # Control

    def _while(self, node: ast.While) -> t.Statement:
        if node.orelse:
            refuse(node, "loop", "a loop has no else")
        test = self._read.wanted(node.test, BOOL)
        return t.While(node.lineno, test, self._loop_body(node.body, {}))

    def _loop_body(self, nodes: list[ast.stmt], names: dict[str, ValueType]) -> tuple[t.Statement, ...]:
        if self._loops >= LOOPS_MAX:
            refuse(nodes[0], "loop", f"loops are nested at most {LOOPS_MAX} deep")
        self._loops += 1
        body = self._block(nodes, names)
        self._loops -= 1
        return body

    def _for(self, node: ast.For) -> t.Statement:
        if node.orelse or node.type_comment is not None:
            refuse(node, "loop", "a loop has no else")
        match node.iter:
            case ast.Call(func=ast.Name(id="range"), args=[_] | [_, _] as bounds, keywords=[]):
                pass
            case _:
                refuse(node, "loop", _LOOP_FORM)
        if not isinstance(node.target, ast.Name) or any(isinstance(bound, ast.Starred) for bound in bounds):
            refuse(node, "loop", _LOOP_FORM)
        stop = self._read.read(bounds[-1])
        kind = stop.type
        if not isinstance(kind, IntType):
            refuse(node, "type", f"range counts integers, this is {kind.name}")
        start: t.Expression = t.Constant(node.lineno, kind, 0)
        if len(bounds) > 1:
            start = self._read.read(bounds[0], kind)
            if isinstance(stop, t.Constant):
                stop = self._read.wanted(bounds[-1], start.type)
            if start.type != stop.type or not isinstance(start.type, IntType):
                refuse(node, "type", f"{start.type.name} wanted, this is {stop.type.name}")
            kind = start.type
        name = named(node, node.target.id)
        if self.scope.look_up(name) is not None or self._declared.taken(name) or name in _RESERVED:
            refuse(node, "name", f"{name} already has a meaning here")
        before = self.scope.ever.setdefault(name, kind)
        if before != kind:
            refuse(node, "name", f"{name} has one type, and that is {before.name}")
        body = self._loop_body(node.body, {name: kind})
        return t.For(node.lineno, name, kind, start, stop, body)

    def _return(self, node: ast.Return) -> t.Statement:
        wanted = self._signature.result
        if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
            if wanted is not None:
                refuse(node, "return", f"{wanted.name} wanted, this returns nothing")
            return t.Return(node.lineno, None)
        if wanted is None:
            refuse(node, "return", f"{self._signature.name} returns nothing: -> None")
        return t.Return(node.lineno, self._read.wanted(node.value, wanted))

    def _delete(self, node: ast.Delete) -> t.Statement:
        match node.targets:
            case [ast.Subscript() as target]:
                place, kind = self._read.container(target.value) or (0, None)
            case _:
                refuse(node, "delete", "del takes one key of a map: del self.m[k]")
        if not isinstance(kind, MapType):
            refuse(node, "delete", "del takes one key of a map: del self.m[k]")
        self.scope.mutates(node)
        return t.DeleteKey(node.lineno, place, self._read.wanted(target.slice, kind.key))

    # Calls as statements

    def _effect(self, node: ast.Call) -> t.Statement:
        match node.func:
            case ast.Name(id="decline" | "require" | "emit" as name):
                if name not in self._declared.imported:
                    refuse(node, "import", f"import {name} from changan.contract")
                return self._named_effect(node, name)
            case ast.Attribute(value=ast.Attribute() as owner, attr="append"):
                found = self._read.container(owner)
                if found is not None and isinstance(found[1], ListType):
                    return self._append(node, found[0], found[1])
        helper = self._read.helper(node)
        if helper is not None:
            signature, arguments = helper
            return t.Evaluate(node.lineno, signature.name, None, signature, arguments)
        remote = self._read.remote(node)
        if remote is not None:
            target, signature, arguments = remote
            return t.Evaluate(node.lineno, "", target, signature, arguments)
        self._unused(node)

    def _named_effect(self, node: ast.Call, name: str) -> t.Statement:
        if node.keywords:
            refuse(node, "call", f"{name} takes no names before its arguments")
        match name, node.args:
            case "decline", [reason]:
                return t.Decline(node.lineno, self._reason(reason))
            case "require", [test, reason]:
                return t.Require(node.lineno, self._read.wanted(test, BOOL), self._reason(reason))
            case "emit", [ast.Call(func=ast.Name(id=event)) as made] if event in self._declared.events:
                kind = self._declared.events[event]
                self.scope.mutates(node)
                return t.Emit(
                    node.lineno, list(self._declared.events).index(event), self._read.fields(made, event, kind.fields)
                )
        forms = {
            "decline": 'decline("why")',
            "require": 'require(condition, "why")',
            "emit": "emit(Event(field=value, ...)) with a class of this file that derives from Event",
        }
        refuse(node, "call", f"write {forms[name]}")

    def _append(self, node: ast.Call, place: int, kind: ListType) -> t.Statement:
        if node.keywords or len(node.args) != 1:
            refuse(node, "call", "write self.l.append(value)")
        value = self._read.wanted(node.args[0], kind.value)
        self.scope.mutates(node)
        return t.Append(node.lineno, place, value)

    def _reason(self, node: ast.expr) -> int:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or not node.value.strip():
            refuse(node, "reason", 'the reason is a text in quotes: "why"')
        try:
            length = len(node.value.encode())
        except UnicodeEncodeError:
            refuse(node, "reason", "the reason holds a lone surrogate, which is not UTF-8")
        if length > REASON_BYTES_MAX or not node.value.isprintable():
            refuse(node, "reason", f"a reason is one line of at most {REASON_BYTES_MAX} bytes")
        if node.value not in self._reasons and len(self._reasons) >= REASONS_MAX:
            refuse(node, "reason", f"at most {REASONS_MAX} reasons")
        return self._reasons.setdefault(node.value, len(self._reasons))


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def _ends_way(statement: t.Statement) -> bool:
    """Whether nothing after this statement in its block can run."""
    if isinstance(statement, t.If):
        return bool(statement.then and statement.otherwise) and all(
            _ends_way(way[-1]) for way in (statement.then, statement.otherwise)
        )
    return isinstance(statement, _LEAVES)


def _ends(body: tuple[t.Statement, ...]) -> bool:
    """Whether a method whose body this is always leaves by return or decline."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, t.If):
        return _ends(last.then) and _ends(last.otherwise)
    return isinstance(last, t.Return | t.Decline)
