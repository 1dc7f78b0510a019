"""The checker: from a contract's source to its typed tree, or to messages. Total: it raises nothing but CheckError."""

from __future__ import annotations

import ast
import re
import tokenize
import warnings
from io import StringIO
from typing import TYPE_CHECKING

from changan.contract.declarations import declare
from changan.contract.refusal import CheckError, Message, Refusal
from changan.contract.statements import Bodies
from changan.contract.tree import Method, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.contract.declared import Declarations

SOURCE_BYTES_MAX = 64 * 1024
LINES_MAX = 2000
DEPTH_MAX = 60
HELPERS_DEPTH_MAX = 32  # so that five contracts that call each other stay far below any engine's stack
MESSAGES_MAX = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_OF_NAMES = {tokenize.NAME, tokenize.ERRORTOKEN, tokenize.OP, tokenize.NUMBER}

__all__ = ["CheckError", "Message", "analyse", "check"]


def check(source: str) -> list[Message]:
    """Return what keeps a source text from being a contract, in order of the line; nothing where it is one."""
    try:
        analyse(source)
    except CheckError as error:
        return error.messages
    return []


def analyse(source: str) -> Tree:
    """Return the typed tree of a contract. Raises CheckError."""
    module = _parse(source)
    declared, messages = declare(module)
    methods: list[Method] = []
    bodies: list[Bodies] = []
    reasons: dict[str, int] = {}
    for signature, node in declared.bodies:
        body = Bodies(declared, signature, reasons)
        try:
            methods.append(Method(signature, body.body(node)))
        except Refusal as refusal:
            body.messages.append(refusal.message)
        bodies.append(body)
        messages += body.messages
    if not messages:
        messages = _effects(bodies) or _drops(declared)
    if messages:
        raise CheckError(sorted(set(messages))[:MESSAGES_MAX])
    return Tree(
        declared.contract,
        declared.doc,
        tuple(declared.fields),
        tuple(methods),
        tuple(declared.events.values()),
        tuple(reasons),
        declared.drops,
        tuple(declared.interfaces.values()),
    )


def _parse(source: str) -> ast.Module:
    try:
        length = len(source.encode())
    except UnicodeEncodeError:
        raise CheckError([Message(1, "source", "the file is not UTF-8")]) from None
    if length > SOURCE_BYTES_MAX:
        raise CheckError([Message(1, "source", f"the file is {length} bytes, at most {SOURCE_BYTES_MAX} are allowed")])
    lines = len(re.findall(r"\r\n|\r|\n", source)) + 1
    if lines > LINES_MAX:
        raise CheckError([Message(1, "source", f"the file has {lines} lines, at most {LINES_MAX} are allowed")])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. an odd escape in a text; the checker has rules of its own
            module = ast.parse(source, feature_version=(3, 11))
    except SyntaxError as error:
        raise CheckError([Message(error.lineno or 1, "syntax", "this is not Python")]) from None
    except (ValueError, RecursionError, MemoryError):  # a zero byte, a huge number, brackets in brackets in brackets
        raise CheckError([Message(1, "syntax", "this is not Python, or it is nested too deeply")]) from None
    _check_depth(module)
    _check_characters(source, module)
    return module


def _check_depth(module: ast.Module) -> None:
    """Refuse a tree so deep that a recursive reader could run out of stack."""
    level: list[ast.AST] = [module]
    for _ in range(DEPTH_MAX):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    line = next((node.lineno for node in level if isinstance(node, ast.expr | ast.stmt)), 1)
    raise CheckError([Message(line, "syntax", f"this is nested more than {DEPTH_MAX} deep")])


def _check_characters(source: str, module: ast.Module) -> None:
    """Refuse names that look like others, which Python would read as those, and texts that are not UTF-8."""
    if not source.isascii():
        try:
            for token in tokenize.generate_tokens(StringIO(source).readline):
                if token.type in _OF_NAMES and not token.string.isascii():
                    raise CheckError([Message(token.start[0], "name", "names are ASCII letters, digits and _")])
        except (SyntaxError, tokenize.TokenError):
            raise CheckError([Message(1, "syntax", "this is not Python")]) from None
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SURROGATE.search(node.value):
            raise CheckError([Message(node.lineno, "constant", "the text holds a lone surrogate, which is not UTF-8")])


def _effects(bodies: list[Bodies]) -> list[Message]:
    """Return what is wrong between methods: recursion, and views that change state through a helper."""
    calls = {body.scope.signature.name: body.scope.helpers for body in bodies}
    messages = [
        Message(calls[cycle[0]][cycle[1]], "recursion", f"recursion is refused: {' -> '.join(cycle)}")
        for cycle in _cycles(calls)
    ]
    messages = messages or _too_deep(calls)
    if messages:
        return messages
    mutating = {body.scope.signature.name for body in bodies if body.scope.mutates_at}
    changed = True
    while changed:
        reached = {name for name, helpers in calls.items() if not mutating.isdisjoint(helpers)}
        changed = not reached <= mutating
        mutating |= reached
    for body in bodies:
        if body.scope.signature.kind == "view":
            for helper, line in body.scope.helpers.items():
                if helper in mutating:
                    text = f"a @view cannot change state or emit, and {helper} does"
                    messages.append(Message(line, "view", text))
    return messages


def _cycles(calls: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Return one cycle of helpers, if there is one."""
    done: set[str] = set()
    for start in calls:
        path: list[str] = []
        waiting: list[tuple[str, bool]] = [(start, False)]
        while waiting:
            name, leaving = waiting.pop()
            if leaving:
                path.pop()
                done.add(name)
            elif name in path:
                return [[*path[path.index(name) :], name]]
            elif name not in done:
                path.append(name)
                waiting.append((name, True))
                waiting += [(callee, False) for callee in calls.get(name, ())]
    return []


def _too_deep(calls: Mapping[str, Mapping[str, int]]) -> list[Message]:
    """Return a message for each helper call that begins too long a chain; `calls` holds no cycle."""
    left = dict(calls)
    for _ in range(HELPERS_DEPTH_MAX + 1):
        left = {name: helpers for name, helpers in left.items() if not left.keys().isdisjoint(helpers)}
    text = f"helpers call helpers at most {HELPERS_DEPTH_MAX} deep"
    return [Message(min(helpers.values()), "call", text) for helpers in left.values()]


def _drops(declared: Declarations) -> list[Message]:
    known = {field.name for field in declared.fields}
    line = next((signature.line for signature, _ in declared.bodies if signature.kind == "migrate"), 1)
    return [
        Message(line, "migrate", f"drops names {name}, which this version still declares")
        for name in declared.drops
        if name in known
    ]
