"""The typed tree: a checked contract as both back ends read it. Every expression knows its type, every node its line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from changan.contract.instance import Value
    from changan.contract.types import (
        EventType,
        FieldType,
        InterfaceType,
        IntType,
        RecordType,
        Signature,
        ValueType,
    )


@dataclass(frozen=True, slots=True)
class Node:
    """Anything with a line in the author's file."""

    line: int


# Expressions


@dataclass(frozen=True, slots=True)
class Expression(Node):
    """Anything with a value."""

    type: ValueType


@dataclass(frozen=True, slots=True)
class Constant(Expression):
    """A value known when the contract is checked."""

    value: Value


@dataclass(frozen=True, slots=True)
class Local(Expression):
    """A parameter or local name."""

    name: str


@dataclass(frozen=True, slots=True)
class Context(Expression):
    """self.caller, self.height or self.time."""

    name: str


@dataclass(frozen=True, slots=True)
class Arithmetic(Expression):
    """A binary operator on two integers of the type of the result; `operator` is Python's sign."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Negation(Expression):
    """Unary minus on I64."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Comparison(Expression):
    """A comparison of two values of one type; `operator` is Python's sign."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Logic(Expression):
    """`and` or `or` over two or more values, which are evaluated only as far as needed."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not(Expression):
    """Logical negation."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Choice(Expression):
    """`a if test else b`."""

    test: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Conversion(Expression):
    """U64(x), I64(x), U128(x): fails where the value does not fit."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class TupleValue(Expression):
    """Several values as one key."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class RecordValue(Expression):
    """A record made of its fields."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class FieldOf(Expression):
    """One field of a record."""

    record: Expression
    position: int


@dataclass(frozen=True, slots=True)
class ScalarRead(Expression):
    """A scalar field of the contract."""

    field: int


@dataclass(frozen=True, slots=True)
class MapRead(Expression):
    """self.m[key]."""

    field: int
    key: Expression


@dataclass(frozen=True, slots=True)
class MapGet(Expression):
    """self.m.get(key, otherwise); `otherwise` is evaluated first."""

    field: int
    key: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class MapHas(Expression):
    """Key in self.m."""

    field: int
    key: Expression


@dataclass(frozen=True, slots=True)
class ListRead(Expression):
    """self.l[index]."""

    field: int
    index: Expression


@dataclass(frozen=True, slots=True)
class ListLength(Expression):
    """len(self.l)."""

    field: int


@dataclass(frozen=True, slots=True)
class TextSize(Expression):
    """size(text), in bytes."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class DigestOf(Expression):
    """sha256(x) or sm3(x) over bytes or text."""

    algorithm: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class HelperCall(Expression):
    """A helper's result."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class RemoteCall(Expression):
    """The result of another contract's method."""

    target: Expression
    method: Signature
    arguments: tuple[Expression, ...]


# Statements


@dataclass(frozen=True, slots=True)
class Statement(Node):
    """Anything that is done."""


@dataclass(frozen=True, slots=True)
class SetLocal(Statement):
    """name = value."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class SetScalar(Statement):
    """self.field = value."""

    field: int
    value: Expression


@dataclass(frozen=True, slots=True)
class SetMap(Statement):
    """self.m[key] = value; the value is evaluated first."""

    field: int
    key: Expression
    value: Expression


@dataclass(frozen=True, slots=True)
class SetMapField(Statement):
    """self.m[key].field = value; the value is evaluated first, and an absent key fails."""

    field: int
    key: Expression
    record: RecordType
    position: int
    value: Expression


@dataclass(frozen=True, slots=True)
class SetList(Statement):
    """self.l[index] = value; the value is evaluated first."""

    field: int
    index: Expression
    value: Expression


@dataclass(frozen=True, slots=True)
class Append(Statement):
    """self.l.append(value)."""

    field: int
    value: Expression


@dataclass(frozen=True, slots=True)
class DeleteKey(Statement):
    """Del self.m[key]; an absent key fails."""

    field: int
    key: Expression


@dataclass(frozen=True, slots=True)
class Evaluate(Statement):
    """A call of a helper or another contract whose result, if it has one, is not used."""

    name: str  # a helper's; empty for another contract
    target: Expression | None
    method: Signature
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Emit(Statement):
    """Emit an event; `event` is its place among the contract's kinds of events."""

    event: int
    fields: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Decline(Statement):
    """End the call with a reason."""

    reason: int


@dataclass(frozen=True, slots=True)
class Require(Statement):
    """End the call with a reason unless the test holds."""

    test: Expression
    reason: int


@dataclass(frozen=True, slots=True)
class Return(Statement):
    """End the method."""

    value: Expression | None


@dataclass(frozen=True, slots=True)
class If(Statement):
    """Two ways."""

    test: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class While(Statement):
    """A loop; every test is charged."""

    test: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class For(Statement):
    """for name in range(start, stop): both bounds are evaluated once."""

    name: str
    type: IntType
    start: Expression
    stop: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Break(Statement):
    """Leave the loop."""


@dataclass(frozen=True, slots=True)
class Continue(Statement):
    """Begin the loop's next turn."""


# Declarations


@dataclass(frozen=True, slots=True)
class Field:
    """A persistent field."""

    name: str
    type: FieldType


@dataclass(frozen=True, slots=True)
class Method:
    """A method with its body."""

    signature: Signature
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole contract."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    methods: tuple[Method, ...]
    events: tuple[EventType, ...]
    reasons: tuple[str, ...]
    drops: tuple[str, ...]  # fields that @migrate gives up
    interfaces: tuple[InterfaceType, ...]
