"""Reading what a contract file declares: imports, constants, records, events, enums, interfaces, fields and signatures."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from changan.contract import names
from changan.contract.annotations import PYTHON_TYPES
from changan.contract.constants import fold, plain_int, type_of
from changan.contract.declared import Declarations, named
from changan.contract.forms import after_docstring, is_bare_call, is_final, is_not_implemented, mark
from changan.contract.refusal import Message, Refusal, not_in_language, refuse
from changan.contract.tree import Field
from changan.contract.types import (
    RECORD_BYTES_MAX,
    WORD_BYTES,
    EnumType,
    EventType,
    InterfaceType,
    ListType,
    MapType,
    RecordType,
    Signature,
    TextType,
    TupleType,
    accepts,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changan.contract.types import FieldType, ValueType

METHODS_MAX = 255
PARAMETERS_MAX = 16
FIELDS_MAX = 64
DECLARED_FIELDS_MAX = 32
EVENTS_MAX = 64
_IMPORTS = {
    "changan.contract": frozenset(names.__all__),
    "__future__": frozenset({"annotations"}),
    "typing": frozenset({"Annotated", "Final"}),
    "annotated_types": frozenset({"Len", "MaxLen"}),
}
_MEANT = {*names.__all__, "range", "len", "self", "tuple"}
_CONTEXT = {"caller", "height", "time"}


def declare(module: ast.Module) -> tuple[Declarations, list[Message]]:
    """Read the declarations of a file; what could not be read is in the messages."""
    reader = _Reader()
    for node in module.body:
        reader.attempt(lambda node=node: reader.top_level(node))
    if not reader.declared.contract and not reader.messages:
        reader.messages.append(Message(1, "contract", "the file holds no class that derives from Contract"))
    return reader.declared, reader.messages


class _Reader:
    def __init__(self) -> None:
        self.declared = Declarations()
        self.messages: list[Message] = []

    def attempt(self, read: Any) -> None:
        """Run one reading; what it refuses joins the messages."""
        try:
            read()
        except Refusal as refusal:
            self.messages.append(refusal.message)

    def top_level(self, node: ast.stmt) -> None:
        match node:
            case ast.ImportFrom():
                self._import(node)
            case ast.ClassDef():
                self._class(node)
            case ast.Assign() | ast.AnnAssign():
                self._constant(node)
            case ast.Expr(value=ast.Constant(value=str())):
                return
            case _:
                not_in_language(node)

    def _import(self, node: ast.ImportFrom) -> None:
        known = _IMPORTS.get(node.module or "")
        if known is None or node.level != 0:
            not_in_language(node)
        for alias in node.names:
            if alias.name == "*":
                refuse(node, "import", "name what you import: from changan.contract import Contract, U64, call")
            if alias.name not in known or alias.asname is not None:
                refuse(node, "import", f"{node.module} offers contracts no {alias.name}, and nothing is renamed")
            self.declared.imported.add(alias.name)

    def _new_name(self, node: ast.AST, name: str) -> str:
        if self.declared.taken(named(node, name)) or name in _MEANT or name in PYTHON_TYPES:
            refuse(node, "name", f"{name} already has a meaning here")
        return name

    def _constant(self, node: ast.Assign | ast.AnnAssign) -> None:
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        one = node.simple if isinstance(node, ast.AnnAssign) else len(node.targets)
        if not isinstance(target, ast.Name) or one != 1:
            refuse(node, "constant", "a constant is NAME = value")
        name = self._new_name(node, target.id)
        if node.value is None:
            refuse(node, "constant", f"{name} has no value")
        if isinstance(node.value, ast.Subscript):
            if isinstance(node, ast.AnnAssign):
                refuse(node, "constant", "a type alias has no annotation: Note = Annotated[Text, MaxLen(512)]")
            self.declared.aliases[name] = self.declared.types.read(node.value)
            return
        value = self.declared.fold(node.value)
        if value is None:
            refuse(node, "constant", f"{name} is no constant")
        if isinstance(node, ast.AnnAssign) and not is_final(node.annotation):
            wanted = self.declared.types.read(node.annotation)
            value = type_of(node, value, wanted)
            if not accepts(wanted, value[0]):
                refuse(node, "type", f"{wanted.name} wanted, this is {value[0].name}")
        self.declared.constants[name] = value

    def _class(self, node: ast.ClassDef) -> None:
        if node.decorator_list or node.keywords or getattr(node, "type_params", None):
            refuse(node, "class", "a class has one base and nothing else: class Token(Contract)")
        if len(node.bases) != 1 or not isinstance(node.bases[0], ast.Name):
            refuse(node, "class", "a class derives from Contract, Record, Event, Enum or Interface")
        base = node.bases[0].id
        readers = {
            "Contract": self._contract,
            "Record": self._record,
            "Event": self._event,
            "Enum": self._enum,
            "Interface": self._interface,
        }
        if base not in readers or base not in self.declared.imported:
            refuse(
                node, "class", f"{base} is no base: import and derive from Contract, Record, Event, Enum or Interface"
            )
        name = self._new_name(node, node.name)
        readers[base](name, node)

    def _enum(self, name: str, node: ast.ClassDef) -> None:
        members: list[str] = []
        for item in after_docstring(node.body):
            match item:
                case ast.Assign(targets=[ast.Name(id=member)]):
                    if plain_int(fold(item.value, {})) != len(members):
                        refuse(item, "enum", f"members count up from 0: {member} = {len(members)}")
                    if named(item, member) in members:
                        refuse(item, "enum", f"{member} is there already")
                    members.append(member)
                case _:
                    not_in_language(item)
        if not 1 <= len(members) <= FIELDS_MAX:
            refuse(node, "enum", f"an enum has 1 to {FIELDS_MAX} members")
        self.declared.enums[name] = EnumType(name, tuple(members))

    def _plain_fields(self, node: ast.ClassDef) -> tuple[tuple[str, ValueType], ...]:
        found: dict[str, ValueType] = {}
        for item in after_docstring(node.body):
            match item:
                case ast.AnnAssign(target=ast.Name(id=label), value=None, simple=1):
                    if named(item, label) in found:
                        refuse(item, "name", f"{label} is there already")
                    kind = self.declared.types.value(item.annotation)
                    found[label] = kind
                case ast.AnnAssign():
                    refuse(item, "field", "fields are name: Type, without a value")
                case _:
                    not_in_language(item)
        if not 1 <= len(found) <= DECLARED_FIELDS_MAX:
            refuse(node, "class", f"{node.name} has 1 to {DECLARED_FIELDS_MAX} fields")
        return tuple(found.items())

    def _record(self, name: str, node: ast.ClassDef) -> None:
        kind = RecordType(name, self._plain_fields(node))
        fixed = WORD_BYTES * words(kind)
        if fixed > RECORD_BYTES_MAX:
            refuse(
                node, "record", f"{name} takes {fixed} bytes without its texts, at most {RECORD_BYTES_MAX} are allowed"
            )
        self.declared.records[name] = kind

    def _event(self, name: str, node: ast.ClassDef) -> None:
        if len(self.declared.events) >= EVENTS_MAX:
            refuse(node, "event", f"at most {EVENTS_MAX} kinds of events")
        self.declared.events[name] = EventType(name, self._plain_fields(node))

    def _interface(self, name: str, node: ast.ClassDef) -> None:
        methods: list[Signature] = []
        first = sum(len(known.methods) for known in self.declared.interfaces.values())
        for item in after_docstring(node.body):
            if not isinstance(item, ast.FunctionDef):
                not_in_language(item)
            signature, _ = self._signature(item)
            body = after_docstring(item.body)
            if signature.kind not in {"call", "view"} or not is_not_implemented(body):
                refuse(
                    item,
                    "interface",
                    "methods of an Interface are @call or @view, their body is: raise NotImplementedError",
                )
            if any(known.name == signature.name for known in methods):
                refuse(item, "name", f"{signature.name} is there already")
            methods.append(replace(signature, number=first + len(methods)))
        self.declared.interfaces[name] = InterfaceType(name, tuple(methods))

    def _contract(self, name: str, node: ast.ClassDef) -> None:
        declared = self.declared
        if declared.contract:
            refuse(node, "contract", f"one file holds one contract; {declared.contract} is it")
        declared.contract = name
        declared.doc = ast.get_docstring(node) or ""
        for item in after_docstring(node.body):
            self.attempt(lambda item=item: self._member(item))
        for kind in ("init", "migrate"):
            marked = [function for signature, function in declared.bodies if signature.kind == kind]
            if len(marked) > 1:
                refuse(marked[1], "contract", f"there is one @{kind} method")

    def _member(self, item: ast.stmt) -> None:
        declared = self.declared
        match item:
            case ast.AnnAssign(target=ast.Name(id=label), simple=1):
                self._new_member(item, label)
                if len(declared.fields) >= FIELDS_MAX:
                    refuse(item, "field", f"at most {FIELDS_MAX} fields")
                declared.fields.append(Field(label, self._field_type(item)))
            case ast.FunctionDef():
                self._new_member(item, item.name)
                if len(declared.bodies) >= METHODS_MAX:
                    refuse(item, "method", f"at most {METHODS_MAX} methods")
                signature, drops = self._signature(item)
                declared.bodies.append((signature, item))
                declared.drops = declared.drops or drops
            case ast.AsyncFunctionDef():
                not_in_language(item)
            case ast.Assign() | ast.AnnAssign(target=ast.Name()):
                refuse(item, "field", "a field is name: Type; a constant stands above the class")
            case _:
                not_in_language(item)

    def _new_member(self, node: ast.AST, name: str) -> None:
        declared = self.declared
        known = {entry.name for entry in declared.fields} | {signature.name for signature, _ in declared.bodies}
        if named(node, name) in known or name in _CONTEXT:
            refuse(node, "name", f"{name} already has a meaning here")

    def _field_type(self, item: ast.AnnAssign) -> FieldType:
        annotation = item.annotation
        if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
            if annotation.value.id == "Map" and "Map" in self.declared.imported:
                return self._map_type(item, annotation)
            if annotation.value.id == "List" and "List" in self.declared.imported:
                if item.value is not None and not is_bare_call(item.value, "List"):
                    refuse(item, "field", "a list starts empty: name: List[Type]")
                return ListType(self.declared.types.value(annotation.slice))
        if item.value is not None:
            refuse(item, "field", "a field starts as zero, empty text or zero bytes: set it in @init")
        kind = self.declared.types.value(annotation)
        if isinstance(kind, RecordType):
            refuse(item, "field", "a record is kept in a Map or a List, not as a field of its own")
        return kind

    def _map_type(self, item: ast.AnnAssign, annotation: ast.Subscript) -> MapType:
        if not isinstance(annotation.slice, ast.Tuple) or len(annotation.slice.elts) != 2:  # noqa: PLR2004  # key, value
            refuse(annotation, "type", "a map is Map[Key, Value]")
        key, value = (
            self.declared.types.read(annotation.slice.elts[0]),
            self.declared.types.value(annotation.slice.elts[1]),
        )
        parts = key.items if isinstance(key, TupleType) else (key,)
        for part in parts:
            if isinstance(part, TextType):
                refuse(annotation, "key", f"{part.name} cannot be a key; use its digest")
            if isinstance(part, RecordType | TupleType):
                refuse(annotation, "key", f"{part.name} cannot be a key; use a tuple of its fields")
        if item.value is None or is_bare_call(item.value, "Map"):
            return MapType(key, value)
        match item.value:
            case ast.Call(func=ast.Name(id="Map"), args=[], keywords=[ast.keyword(arg="default", value=default)]):
                return MapType(key, value, self._default(default, value))
            case _:
                refuse(item, "field", "a map starts empty: name: Map[Key, Value], or ... = Map(default=value)")

    def _default(self, node: ast.expr, wanted: ValueType) -> Any:
        enum = self.declared.enums.get(wanted.name)
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=member) if enum is not None and owner == enum.name:
                if member in enum.members:
                    return enum.members.index(member)
        value = self.declared.fold(node)
        if value is None:
            refuse(node, "constant", "a default is a constant")
        kind, plain = type_of(node, value, wanted)
        if not accepts(wanted, kind):
            refuse(node, "type", f"{wanted.name} wanted, this is {kind.name}")
        return plain

    # Signatures

    def _signature(self, node: ast.FunctionDef) -> tuple[Signature, tuple[str, ...]]:
        if node.type_comment is not None or getattr(node, "type_params", None):
            refuse(node, "method", "a method is def name(self, name: Type, ...) -> Type")
        kind, drops = self._kind(node)
        arguments = node.args
        plain = (
            not arguments.posonlyargs
            and arguments.vararg is None
            and not arguments.kwonlyargs
            and not arguments.kw_defaults
            and arguments.kwarg is None
            and not arguments.defaults
        )
        if (
            not plain
            or not arguments.args
            or arguments.args[0].arg != "self"
            or arguments.args[0].annotation is not None
        ):
            refuse(node, "method", "parameters are: self, name: Type, ... (no defaults, no *)")
        parameters = tuple(self._parameters(arguments.args[1:]))
        if len(parameters) > PARAMETERS_MAX:
            refuse(node, "method", f"at most {PARAMETERS_MAX} parameters")
        if len({name for name, _ in parameters}) != len(parameters):
            refuse(node, "method", "two parameters have one name")
        result = self._result(node)
        if kind in {"init", "migrate"} and result is not None:
            refuse(node, "method", f"@{kind} returns nothing: -> None")
        doc = ast.get_docstring(node) or ""
        return Signature(named(node, node.name), kind, parameters, result, node.lineno, doc), drops

    def _parameters(self, arguments: list[ast.arg]) -> Iterator[tuple[str, ValueType]]:
        for argument in arguments:
            if argument.annotation is None or argument.type_comment is not None:
                refuse(argument, "method", "parameters are: self, name: Type, ... (no defaults, no *)")
            kind = self.declared.types.value(argument.annotation)
            if argument.arg == "self":
                refuse(argument, "name", "self stands first alone")
            yield named(argument, argument.arg), kind

    def _result(self, node: ast.FunctionDef) -> ValueType | None:
        match node.returns:
            case None:
                refuse(node, "method", f"{node.name} says what it returns: -> Type, or -> None")
            case ast.Constant(value=None):
                return None
        return self.declared.types.value(node.returns)

    def _kind(self, node: ast.FunctionDef) -> tuple[str, tuple[str, ...]]:
        if not node.decorator_list:
            if not node.name.startswith("_"):
                refuse(node, "method", f"{node.name} is marked @call or @view, or is a helper _{node.name}")
            return "helper", ()
        if len(node.decorator_list) != 1:
            refuse(node, "method", "a method has one mark: @call, @view, @init or @migrate")
        kind, drops = mark(node.decorator_list[0])
        if kind not in self.declared.imported:
            refuse(node, "import", f"import {kind} from changan.contract")
        if node.name.startswith("_"):
            refuse(node, "method", "a name with an underscore before it is a helper's; a helper has no mark")
        return kind, drops
