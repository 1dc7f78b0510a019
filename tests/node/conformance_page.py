"""The page docs/conformance.md, made from the record and the table of differences: `python tests/node/conformance_page.py`."""

from __future__ import annotations

from pathlib import Path

from recorded import Recorded, read_record
from recorded_differences import SIZE_OF_THE_CHAIN, difference

PAGE = Path(__file__).parent.parent.parent / "docs" / "conformance.md"
_INTRODUCTION = """\
# Answers, request by request

What a real ChainMaker v2.3.7 node answered to {count} requests was recorded (four organisations, certificates, TBFT). `tests/node/test_recorded_requests.py`
sends every one of them to a running node of ours and compares code, message, the contract result's code, message and short results, the number of events,
and how streams end. Row numbers are those of the record in `tests/vectors/chainmaker/recorded-requests.json`; every fifth request was left out of it.

{same} answers are the same. {own} are ours, each with its reason. Contracts of the record are WebAssembly and EVM; here a Python contract with the same
methods stands in for them. Gas figures differ, because gas is defined on another language. This page is made from the tables that the test checks.

| row | request | answer |
|---|---|---|
"""


def page() -> str:
    rows = read_record()
    kinds = [_kind(row) for row in rows]
    own = sum(kind not in {"same", ""} for kind in kinds)
    text = _INTRODUCTION.format(count=len(rows), same=len(rows) - own, own=own)
    return text + "".join(f"| {row.row} | {_cell(row.request)} | {_answer(row)} |\n" for row in rows)


def _kind(row: Recorded) -> str:
    found = difference(row)
    return "same" if found is None or row.row in SIZE_OF_THE_CHAIN else found.why


def _answer(row: Recorded) -> str:
    found = difference(row)
    if found is None:
        return "same"
    if row.row in SIZE_OF_THE_CHAIN:
        return f"same, {found.why}"
    said = found.reply or found.in_block or ""
    return f"ours, because {found.why}: {_code(said)}"


def _code(text: str) -> str:
    return f"``` {_cell(text)} ```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
