"""What the checker says: a line, the rule that was broken, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Never

from changan.errors import ChanganError

if TYPE_CHECKING:
    import ast
    from collections.abc import Sequence


class Message(NamedTuple):
    """One finding of the checker."""

    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text} [{self.rule}]"


class CheckError(ChanganError):
    """A contract that is not in the language."""

    def __init__(self, messages: Sequence[Message]) -> None:
        super().__init__("; ".join(map(str, messages)))
        self.messages = list(messages)


class Refusal(Exception):  # noqa: N818  # it never leaves the checker
    """One finding on its way to the list."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.text)
        self.message = message


def refuse(node: ast.AST | int, rule: str, text: str) -> Never:
    """End the reading of a statement or declaration with a finding."""
    line = node if isinstance(node, int) else getattr(node, "lineno", 1)
    raise Refusal(Message(line, rule, text))


def not_in_language(node: ast.AST) -> Never:
    """Refuse a syntax node that the language does not have."""
    refuse(node, "syntax", REMEDIES.get(type(node).__name__, f"{type(node).__name__} is not in the language"))


_RAISE = 'a failing call ends and leaves no trace: use decline("why")'
REMEDIES = {
    "Try": _RAISE,
    "TryStar": _RAISE,
    "Raise": _RAISE,
    "Import": "imports are refused but for: from changan.contract import ...",
    "ImportFrom": "imports are refused but for: from changan.contract import ...",
    "Global": "there are no globals: keep state in fields of the contract",
    "Nonlocal": "there are no globals: keep state in fields of the contract",
    "Lambda": "Lambda is not in the language: write a helper method _name",
    "Assert": 'Assert is not in the language: use require(condition, "why")',
    "JoinedStr": "texts are not formatted in contracts: put the parts into an event or a record",
}
