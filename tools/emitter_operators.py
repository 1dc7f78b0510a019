"""What may be planted in the compiled back end: operators that change every place of a kind, and faults of one place each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BOTH = "emit_*.py shared.py runtime_*.py"
EMITTER = "emit_*.py shared.py"
HOST = "calls.py columns.py instance.py marshal.py stored.py together.py"
NUMBERS = "emit_numbers.py runtime_numbers.py emit_codec.py runtime_digests.py"

_LOCAL = r"\((?:local|global)\.get \$\w+\)"
_TERM = r"\((?:[^()\n]|\((?:[^()\n]|\([^()\n]*\))*\))*\)"
_IF = r"^( +)if(?= \((?:call|global|local|result)| i\d\d\.|$)"
_CALLS = (
    "note|touch|flag|count|undo_words|undo_made|row_free|give|text_give|free_texts|"
    "commit|rollback|unmake|index_put|arena_clear"
)
_PRICES = r"NEW_ROW|TEXT_BYTE|LOOP_TURN|DIGEST_PER_BYTE|cost\(s\.test\)"
_WIDE = r"(?! offset=\{l\.L(?:ENGTH|IVE)\})(?=[ \"])"  # counts of rows never pass 32 bits
_TEST = r"\w[\w.]*(?:\([^()]*\))?"
_LINE_MIN = 14
_NO_CODE = ("#", '"""', ";;", "from ", "import ", "def ")


class Operator(NamedTuple):
    """One kind of fault: a name, what it does, the regular expression of its places, and what takes their place."""

    name: str
    what: str
    pattern: str
    replacement: str | Callable[[re.Match[str]], str]
    files: str = BOTH


class Mutant(NamedTuple):
    """One place of an operator: the lines of a file that it stands on, and the file's text with the fault in it."""

    operator: Operator
    file: str
    number: int
    line: str
    text: str


def _one_more(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) + 1}"


def _one_less(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) - 1}"


OPERATORS = [
    # Comparisons
    Operator("lt-for-le", "< where <= is meant", r"\.le_([us])\b", r".lt_\1"),
    Operator("le-for-lt", "<= where < is meant", r"\.lt_([us])\b", r".le_\1"),
    Operator("gt-for-ge", "> where >= is meant", r"\.ge_([us])\b", r".gt_\1"),
    Operator("ge-for-gt", ">= where > is meant", r"\.gt_([us])\b", r".ge_\1"),
    Operator("ne-for-eq", "!= where == is meant", r"(i\d\d)\.eq\b", r"\1.ne"),
    Operator("eq-for-ne", "== where != is meant", r"(i\d\d)\.ne\b", r"\1.eq"),
    Operator(
        "signed-for-unsigned", "numbers are compared as signed ones", r"(lt|le|gt|ge)_u\b", r"\1_s", "*_numbers.py"
    ),
    Operator("unsigned-for-signed", "signed numbers as unsigned ones", r"(lt|le|gt|ge|shr|div|rem|wide)_s\b", r"\1_u"),
    Operator("not-forgotten", "a truth is not turned around", r"i32\.eqz\b", "i32.popcnt"),
    # Arithmetic
    Operator("add-for-sub", "+ where - is meant", r"(i\d\d)\.sub\b", r"\1.add"),
    Operator("sub-for-add", "- where + is meant", r"(i\d\d)\.add\b", r"\1.sub"),
    Operator("or-for-and", "| where & is meant", r"(i\d\d)\.and\b", r"\1.or"),
    Operator("and-for-or", "& where | is meant", r"(i\d\d)\.or\b", r"\1.and"),
    Operator("or-for-xor", "| where ^ is meant", r"(i\d\d)\.xor\b", r"\1.or"),
    Operator("shift-left-for-right", "<< where >> is meant", r"(i\d\d)\.shr_[us]\b", r"\1.shl"),
    Operator("shift-right-for-left", ">> where << is meant", r"(i\d\d)\.shl\b", r"\1.shr_u"),
    Operator(
        "swap-operands",
        "the operands of what is not symmetric change places",
        rf"\((i\d\d\.(?:sub|shl|shr_[us]|[lg][te]_[us])) ({_LOCAL}) ({_TERM})\)",
        r"(\1 \3 \2)",
    ),
    Operator("number-one-more", "a constant is one more", r"(i\d\d\.const )(\d+)\b", _one_more, NUMBERS),
    Operator("number-one-less", "a constant is one less", r"(i\d\d\.const )([1-9]\d*)\b", _one_less, NUMBERS),
    Operator("low-for-high", "the high word is read from the low one", r"atoms\[1\]", "atoms[0]"),
    Operator("other-word", "another word of a wide number", r"local\.get \$b\b", "local.get $a", "runtime_numbers.py"),
    # Memory
    Operator("half-store", "only the low half of a word is stored", rf"i64\.store{_WIDE}", "i64.store32"),
    Operator("half-load", "only the low half of a word is loaded", rf"i64\.load{_WIDE}", "i64.load32_u"),
    Operator("signed-load", "what is narrow is loaded with a sign", r"(load(?:8|16|32))_u", r"\1_s"),
    Operator("next-word", "a word later than meant", r"offset=\{(?!at\b)(\w[^{}]*)\}", r"offset={8 + \1}", EMITTER),
    Operator("no-store", "a store is left out", rf"^( +)\(i\d\d\.store\w* [^\n]*?{_TERM}\)$", r"\1nop"),
    Operator("no-local", "a local keeps what it had", rf"^( +)\(local\.set \$\w+ {_TERM}\)$", r"\1nop"),
    Operator("no-global", "a global keeps what it had", rf"^( +)\(global\.set \$\w+ {_TERM}\)$", r"\1nop"),
    Operator("no-call", "a call without a result is left out", rf"\(call \$(?:{_CALLS})\b(?: {_TERM})*\)", "nop"),
    Operator("other-byte-order", "bytes are not turned around", r"\"call \$swap(?:32)?\"", '"nop"'),
    Operator("other-ends", "rows as columns, or columns as rows", r"big=True\)", "big=False)"),
    # Ways
    Operator("never-if", "what is conditional never happens", _IF, r"\1i32.const 0 i32.and if"),
    Operator("always-if", "what is conditional always happens", _IF, r"\1i32.const 1 i32.or if"),
    Operator(
        "never-leave", "a loop goes on where it should end", r"\bbr_if (\$(?:done|tail|empty|fits|found))", "drop"
    ),
    # The meter and the outcomes
    Operator("skip-check", "a failure is not seen", r"self\.fail_if\(.*\)$", 'self.w.put("drop")'),
    Operator("skip-charge", "something costs nothing", r"self\.charge(_counted)?\(.*\)$", "pass"),
    Operator("skip-leave", "a failure inside does not end what is around", r"self\.leave_if_failed\(\)$", "pass"),
    Operator("wrong-code", "another code", r"\bCode\.(?!DECLINED)[A-Z_]+\b", "Code.DECLINED", EMITTER),
    Operator("wrong-line", "the line after", r"\b([se])\.line\b", r"\1.line + 1", EMITTER),
    Operator("dearer", "a price is one more", rf"\b({_PRICES})(?=[,)}} ])", r"\1 + 1", EMITTER),
    Operator("heavier", "a row weighs one more", r"\{field\.row_bytes\}", "{field.row_bytes + 1}"),
    Operator("bytes-for-classes", "texts weigh what they hold", r"classes=True", "classes=False"),
    # Rows
    Operator(
        "other-flag",
        "another mark of a row",
        r"\bl\.(DIRTY|DEAD)\b",
        lambda m: "l.DEAD" if m[1] == "DIRTY" else "l.DIRTY",
    ),
    Operator("no-touch", "a changed row is not noted", r"self\.touch\(.*\)$", "pass"),
    Operator("no-drop", "a text that is overwritten is kept", r"self\.drop\(.*\)$", "pass"),
    Operator("value-elsewhere", "a value a word later", r"\bfield\.value_offset\b", "(field.value_offset + 8)"),
    Operator("one-word", "only the first word of a value", r"WORD_BYTES \* words\(\w+\)", "WORD_BYTES"),
    Operator("no-flush", "a cursor stays where it was", r"(?:encoder|decoder|self)\.flush\(\)$", "pass"),
    # The host's side
    Operator("host-big-ends", "numbers from their other end", r"\"little\"", '"big"', HOST),
    Operator("host-le-for-lt", "<= where < is meant", r" < (?!<)", " <= ", HOST),
    Operator("host-ge-for-gt", ">= where > is meant", r" > (?!>)", " >= ", HOST),
    Operator("host-not", "the other way", rf"\bif (?!not\b|TYPE_CHECKING)({_TEST})(?=:$| else\b)", r"if not \1", HOST),
    Operator("host-sub-for-add", "- where + is meant", r"(?<=\w) \+ (?=\w)", " - ", HOST),
    Operator("host-add-for-sub", "+ where - is meant", r"(?<=\w) - (?=\w)", " + ", HOST),
]


def faults(text: str) -> list[Operator]:
    """Return the faults of one place each that a text lists.

    Each is: after ===, the file and a name; what stands there; after --->, what takes its place.
    """
    found = []
    for entry in text.split("=== ")[1:]:
        head, _, body = entry.partition("\n")
        file, _, name = head.partition(": ")
        old, _, new = body.removesuffix("\n").partition("\n--->\n")
        found.append(Operator(name, name, re.escape(old), lambda _, new=new: new, file))  # type: ignore[misc]  # bound now
    return found


def mutants(operator: Operator, folder: Path) -> Iterator[Mutant]:
    """Return a mutant for every place of an operator in a folder of sources."""
    for path in sorted({path for pattern in operator.files.split() for path in folder.glob(pattern)}):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(operator.pattern, text, re.MULTILINE):
            line = _line(text, match)
            if not line.startswith(_NO_CODE):
                new = operator.replacement
                put = match.expand(new) if isinstance(new, str) else new(match)
                number = text.count("\n", 0, match.start()) + 1
                yield Mutant(operator, path.name, number, line, text[: match.start()] + put + text[match.end() :])


def _line(text: str, match: re.Match[str]) -> str:
    """Return the line a place stands on; where it says too little, with those above it."""
    start, end = match.start(), text.find("\n", match.end())
    line = ""
    while len(line) < _LINE_MIN:
        start = text.rfind("\n", 0, start)
        line = " ".join(text[start:end].split())
    return line
