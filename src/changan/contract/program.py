"""A compiled contract: what callers, nodes and tools know of it, from its source alone."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from changan.contract import codec, gas
from changan.contract.check import analyse
from changan.contract.types import U64, EnumType, ListType, MapType, RecordType, is_value
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from changan.contract.instance import Event, Value
    from changan.contract.tree import Tree
    from changan.contract.types import FieldType, Signature, ValueType

LANGUAGE_VERSION = 1
_Named = TypeVar("_Named", EnumType, RecordType)


class Program:
    """A checked contract, ready to run."""

    call_cost = gas.CALL

    def __init__(self, tree: Tree, source: str, filename: str) -> None:
        self.tree = tree
        self.source = source
        self.name = tree.name
        self.digest = sha256(source.encode()).digest()
        self.field_places = {field.name: place for place, field in enumerate(tree.fields)}
        self.field_names = tuple(self.field_places)
        self.remote_methods = [method for interface in tree.interfaces for method in interface.methods]
        self._methods = {method.signature.name: method.signature for method in tree.methods}
        self._readers: dict[str, Callable[[Mapping[str, bytes]], tuple[Value, ...]]] = {}
        self._writers = {event.name: [codec.text_writer(kind) for _, kind in event.fields] for event in tree.events}
        self.filename = filename

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons with which the contract declines; an outcome's detail is a place in it."""
        return self.tree.reasons

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """The persistent fields by name, in order."""
        return {field.name: field.type for field in self.tree.fields}

    def method(self, name: str) -> Signature | None:
        """Return a method's signature, or None where there is no such door."""
        found = self._methods.get(name)
        return None if found is None or found.kind == "helper" else found

    @property
    def doors(self) -> tuple[Signature, ...]:
        """The methods that can be called from outside."""
        return tuple(signature for signature in self._methods.values() if signature.kind in {"call", "view"})

    @property
    def init_method(self) -> str | None:
        """The name of the @init method, or None."""
        return self._marked("init")

    @property
    def migrate_method(self) -> str | None:
        """The name of the @migrate method, or None."""
        return self._marked("migrate")

    def _marked(self, kind: str) -> str | None:
        return next((signature.name for signature in self._methods.values() if signature.kind == kind), None)

    def decode_arguments(self, method: str, given: Mapping[str, bytes]) -> tuple[Value, ...]:
        """Return the arguments of a call in order. Raises BadArgumentError."""
        reader = self._readers.get(method)
        if reader is None:
            reader = self._readers[method] = codec.arguments_reader(self._methods[method])
        return reader(given)

    def fits(self, method: str, arguments: tuple[Value, ...]) -> bool:
        """Whether these values can be the arguments of a method."""
        parameters = self._methods[method].parameters
        return len(arguments) == len(parameters) and all(
            is_value(kind, value) for (_, kind), value in zip(parameters, arguments, strict=True)
        )

    def encode_result(self, method: str, result: Value) -> bytes:
        """Return a result as text in UTF-8."""
        return codec.to_text(self._methods[method].result, result).encode()

    def event_data(self, event: Event) -> list[str]:
        """Return an event's fields in order, as text."""
        return [write(value) for write, value in zip(self._writers[event.name], event.fields, strict=True)]

    def locate(self, row_key: str) -> tuple[int, FieldType, bytes]:
        """Return the field of a row by its number, with its type, and the row's packed key. Raises MalformedError."""
        name, _, hex_key = row_key.partition(".")
        field = self.field_places.get(name)
        if field is None:
            raise MalformedError(f"the contract has no field {name!r}")
        kind = self.tree.fields[field].type
        try:
            key = bytes.fromhex(hex_key)
        except ValueError:
            key = b""
        keyed = isinstance(kind, MapType | ListType)
        if row_key != (f"{name}.{key.hex()}" if key and keyed else name):
            raise MalformedError(f"{row_key!r} is no key of a row")
        return field, kind, key

    def show_value(self, field: str, row_key: str, value: bytes) -> object:
        """Return a row's value as JSON has it. Raises MalformedError."""
        kind = self.fields[field]
        if isinstance(kind, ListType) and "." not in row_key:
            return codec.to_json(U64, codec.unpack(U64, value))
        element = kind.value if isinstance(kind, MapType | ListType) else kind
        return codec.to_json(element, codec.unpack(element, value))

    def _named(self, wanted: type[_Named]) -> list[_Named]:
        """Return the enums or records that methods and events use, in order of their names."""
        waiting: list[ValueType] = [kind for signature in self._methods.values() for _, kind in signature.parameters]
        waiting += [signature.result for signature in self._methods.values() if signature.result is not None]
        waiting += [kind for event in self.tree.events for _, kind in event.fields]
        found: dict[str, _Named] = {}
        while waiting:
            kind = waiting.pop()
            if isinstance(kind, RecordType):
                waiting += [part for _, part in kind.fields]
            if isinstance(kind, wanted):
                found[kind.name] = kind
        return [found[name] for name in sorted(found)]

    def describe(self) -> dict[str, object]:
        """Return what a form or a client needs to know of the contract, as JSON."""
        return {
            "name": self.tree.name,
            "doc": self.tree.doc,
            "language": LANGUAGE_VERSION,
            "digest": self.digest.hex(),
            "fields": [{"name": field.name, "type": field.type.name} for field in self.tree.fields],
            "methods": [
                {
                    "name": signature.name,
                    "kind": signature.kind,
                    "doc": signature.doc,
                    "parameters": [{"name": name, "type": kind.name} for name, kind in signature.parameters],
                    "result": None if signature.result is None else signature.result.name,
                }
                for signature in self._methods.values()
                if signature.kind != "helper"
            ],
            "enums": {kind.name: list(kind.members) for kind in self._named(EnumType)},
            "records": {
                kind.name: [{"name": name, "type": part.name} for name, part in kind.fields]
                for kind in self._named(RecordType)
            },
            "events": [
                {"name": event.name, "fields": [{"name": name, "type": kind.name} for name, kind in event.fields]}
                for event in self.tree.events
            ],
        }


def compile_source(source: str, filename: str = "<contract>") -> Program:
    """Return the program of a contract's source text. Raises CheckError with everything that is wrong."""
    return Program(analyse(source), source, filename)
