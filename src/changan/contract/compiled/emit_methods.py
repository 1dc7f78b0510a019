"""Methods as WebAssembly functions: helpers called or written in place, calls of other contracts, and results."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from changan.contract import tree as t
from changan.contract.compiled.emit_codec import Encoder
from changan.contract.compiled.emit_statements import Statements
from changan.contract.compiled.layout import components, is_flat
from changan.contract.compiled.shared import Shared, result_components, zeros
from changan.contract.compiled.writer import Flat, Memory, Writer, address
from changan.contract.types import ADDRESS, TEXT_BYTES_MAX, RecordType, TextType, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.contract.compiled.writer import Placed
    from changan.contract.types import Signature, ValueType

_INLINE_NODES_MAX = 400
_INLINE_DEPTH_MAX = 4
_INLINE_METHOD_MAX = 3000  # nodes that may be written in place into one method,
_INLINE_TOTAL_MAX = 20_000  # and into all of them, so that no source makes a module that takes long to compile


class MethodBody(Statements):
    """Writes one method."""

    def __init__(self, shared: Shared, writer: Writer, *, door: bool) -> None:
        super().__init__(shared, writer, door=door)
        self._scopes = 0
        self._depth = 0
        self._inlined = 0
        self._result: tuple[str, Placed | None] | None = None  # where a helper in place leaves to, and its result goes

    def leave(self, value: tuple[ValueType, Placed] | None) -> None:
        """End the method with a result."""
        if self._result is None:
            if value is not None:
                self.w.put(*_pushed(value[1]))
            self.w.put("return")
            return
        label, target = self._result
        if value is not None:
            assert target is not None
            self.w.assign(value[0], target, value[1])
        self.w.put(f"br {label}")

    def helper(self, name: str, arguments: Sequence[t.Expression]) -> Placed | None:
        """Call a helper; return its result."""
        method = self.shared.methods[name]
        kind = method.signature.result
        size = node_count(method)
        target = None if kind is None else self.w.temps(kind)
        mark = self.w.mark()
        values = [self.expression(item) for item in arguments]
        if (
            size <= _INLINE_NODES_MAX
            and self._depth < _INLINE_DEPTH_MAX
            and self._inlined + size <= _INLINE_METHOD_MAX
            and self.shared.inlined + size <= _INLINE_TOTAL_MAX
        ):
            self._in_place(method, values, target, size)
        else:
            for value in values:
                self.w.put(*_pushed(value))
            self.w.put(f"call $m_{name}")
            self._take(kind, target)
            self.leave_if_failed()
        self.w.release(mark)
        return target

    def _take(self, kind: ValueType | None, target: Placed | None) -> None:
        """Take a function's result from the stack."""
        if isinstance(target, Flat):
            self.w.pop_into(target)
        elif target is not None:
            assert kind is not None
            found = self.w.temp("i32")
            self.w.put(f"local.set {found}", "global.get $fail", f"br_if {self.exit}")
            self.w.assign(kind, target, Memory(f"local.get {found}"))

    def _in_place(self, method: t.Method, values: list[Placed], target: Placed | None, size: int) -> None:
        saved = (self.names, self.loops, self.scope, self._result)
        self._scopes += 1
        self._inlined += size
        self.shared.inlined += size
        self._depth += 1
        names = [name for name, _ in method.signature.parameters]
        self.names, self.loops, self.scope = dict(zip(names, values, strict=True)), [], self._scopes
        self._result = (self.w.label("left"), target)
        self.w.put(f"block {self._result[0]}")
        self.block(method.body)
        self.w.put("end")
        self._depth -= 1
        self.names, self.loops, self.scope, self._result = saved

    def remote(
        self, line: int, target: t.Expression, method: Signature, arguments: Sequence[t.Expression]
    ) -> Placed | None:
        """Call another contract through the host; return its result."""
        found = None if method.result is None else self.w.temps(method.result)
        mark = self.w.mark()
        values = self.values([target, *arguments])
        assert values[0][0] == ADDRESS
        size = self.shared.room(self.w, values)
        cursor = self.w.temp("i32")
        self.w.put("global.get $out_base", "global.set $out", size, "call $out_room")
        self.w.put("global.get $out_base", f"local.set {cursor}")
        encoder = Encoder(self.w, cursor, big=False)
        for kind, value in values:
            self.shared.encode(self.w, kind, value, cursor, encoder)
        most = 0 if method.result is None else most_bytes(method.result)
        self.w.put(f"i32.const {most}", "call $arena_room", "call $publish")
        self.w.put(f"i32.const {method.number}", "global.get $out_base", "global.get $arena", "global.get $gas")
        self.w.put("call $host", "global.set $gas", "global.set $fail")
        self.w.put("global.get $fail", "i32.const 255", "i32.and", "if")
        self.w.put(
            "global.get $fail", f"i32.const {line << 16}", "i32.or", "global.set $fail", f"br {self.exit}", "end"
        )
        if method.result is not None and found is not None:
            self.w.put("global.get $arena", f"local.set {cursor}")
            self.w.assign(method.result, found, self.shared.decode(self.w, method.result, cursor))
            self.w.put(f"local.get {cursor}", "global.set $arena")
        self.w.release(mark)
        return found


def emit_method(shared: Shared, method: t.Method) -> MethodBody:
    """Write a method as a function of its own."""
    signature = method.signature
    writer = Writer(f"$m_{signature.name}", shared.static)
    body = MethodBody(shared, writer, door=signature.kind != "helper")
    for name, kind in signature.parameters:
        body.names[name] = parameter(writer, name, kind)
    writer.results = result_components(signature.result)
    writer.put("block $exit")
    body.block(method.body)
    if signature.result is None:
        writer.put("return")
    writer.put("end", *zeros(writer.results))
    return body


def parameter(writer: Writer, name: str, kind: ValueType) -> Placed:
    """Declare a method's parameter; return its value."""
    if not is_flat(kind):
        writer.parameters.append(f"(param $p_{name}_at i32)")
        return Memory(f"local.get $p_{name}_at")
    parts = components(kind)
    writer.parameters += [f"(param $p_{name}_{number} {part})" for number, part in enumerate(parts)]
    return Flat(tuple(f"local.get $p_{name}_{number}" for number in range(len(parts))), stable=True)


def _pushed(value: Placed) -> list[str]:
    return list(value.atoms) if isinstance(value, Flat) else address(value)


def most_bytes(kind: ValueType) -> int:
    """Return how many bytes a value takes at most in a column."""
    if isinstance(kind, TextType):
        return 4 + min(kind.limit, TEXT_BYTES_MAX)
    if isinstance(kind, RecordType):
        return sum(most_bytes(item) for _, item in kind.fields)
    return 8 * words(kind)


def node_count(node: object) -> int:
    """Return how many nodes a part of the tree has."""
    if isinstance(node, tuple):
        return sum(node_count(item) for item in node)
    if not is_dataclass(node) or not isinstance(node, t.Node | t.Method):
        return 0
    return 1 + sum(node_count(getattr(node, item.name)) for item in fields(node))
