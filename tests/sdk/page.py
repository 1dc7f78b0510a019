"""How the answers of the driver are shown: as a table in a terminal, and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import record

CLASSES = ("C1", "C2", "C3", "local")
VERDICTS = ("works", "defect of the SDK", "refused as on the real node", "not built", "FAIL")

_HEAD = """\
# The official SDK, method by method

<!-- Made by tests/sdk/driver.py --markdown; tests/sdk/test_conformance.py compares it with what a run gives. -->

Every public method and property of `ChainClientWithEndorsers` of the official Python SDK 3.0.6, driven against a running
node by `tests/sdk/driver.py`, in a process that imports nothing of ours; over plaintext, and again over mutual TLS.

- *works*: the answer has the type that the SDK promises, and its effect is seen on the chain. What a method changed is
  then put back, and the next one is driven only on a chain that has no trace of it.
- *defect of the SDK*: no node can mend it. The note says what is wrong.
- *refused as on the real node*: forbidden by the policies of the identity mode, or no method of ChainMaker 2.3.7.
- *not built*: the answer is an error in words, and nothing changed: not the configuration, no contract, no row.

C1 is what a node must answer, C2 what is nice to have, C3 the exotic rest; *local* methods ask the node nothing.
"""

NATIONAL = "## On a chain of SM2 and SM3\n"
_NATIONAL = f"""{NATIONAL}
The same table, driven over mutual TLS on a chain of certificates that `changan up --suite gm` made; the members of the run have
certificates that OpenSSL issued. Only a request of 6 MiB is left out, for the SDK's own SM3 needs half a minute for each signature of it.
Keys are the SDK's `SM2PrivateKey` and `SM2PublicKey`, not those of `cryptography`. What ends otherwise than above:
"""


def ended(verdicts: list[str]) -> dict[str, int]:
    """Return how many methods ended in which way."""
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict in verdicts}


def counts(answers: Iterable[Mapping[str, str]]) -> list[tuple[str, int, dict[str, int]]]:
    """Return for each class its number of methods, and how many of them ended in which way."""
    found = []
    all_answers = list(answers)
    for kind in (*CLASSES, "?"):
        verdicts = [answer["verdict"] for answer in all_answers if answer["class"] == kind]
        if verdicts:
            found.append((kind, len(verdicts), ended(verdicts)))
    return found


def sentence(kind: str, total: int, numbers: Mapping[str, int]) -> str:
    """Return the counts of one class in words."""
    return f"{kind}: {total} methods: {', '.join(f'{count} {verdict}' for verdict, count in numbers.items())}"


def _ordered(answers: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    order = {kind: at for at, kind in enumerate(CLASSES)}
    return sorted(answers, key=lambda answer: (order.get(answer["class"], len(order)), answer["method"]))


def as_text(report: Mapping[str, list]) -> str:
    """Return the report for a terminal."""
    answers = report["methods"]
    width = max(len(answer["method"]) for answer in answers)
    returned = max(len(answer["returned"]) for answer in answers)
    lines = []
    for answer in _ordered(answers):
        note = answer["note"] if len(answer["note"]) <= 110 else answer["note"][:109] + "…"
        head = f"{answer['class']:5}  {answer['method']:{width}}  {answer['verdict']:17}"
        lines.append(f"{head}  {answer['returned']:{returned}}  {note}".rstrip())
    lines += [
        f"{one['verdict']:5}  {one['seconds']} s  {one['sentence']} {one['note']}" for one in report["behaviours"]
    ]
    lines += [sentence(*one) for one in counts(answers)]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("_", "\\_")


def _table(answers: Iterable[Mapping[str, str]]) -> list[str]:
    lines = ["", "| method | class | verdict | note |", "|---|---|---|---|"]
    lines += [
        f"| `{answer['method']}` | {answer['class']} | {answer['verdict']} | {_cell(answer['note'])} |"
        for answer in _ordered(answers)
    ]
    return lines


def as_markdown(report: Mapping[str, list]) -> str:
    """Return the report on an international chain as the page of the documentation, but for its last section."""
    lines = [_HEAD]
    lines += [f"- {sentence(*one)}" for one in counts(report["methods"])]
    lines += _table(report["methods"])
    lines += ["", "## What the SDK does that a node has to live with", "", "| behaviour | verdict |", "|---|---|"]
    lines += [f"| {_cell(one['sentence'])} | {one['verdict']} |" for one in report["behaviours"]]
    return "\n".join([*lines, "", ""])


def as_national_markdown(report: Mapping[str, list]) -> str:
    """Return the report on a chain of SM2 and SM3 as the last section of that page."""
    otherwise = [answer for answer in report["methods"] if answer["method"] in record.ON_SM2]
    return (
        "\n".join([_NATIONAL, *(f"- {sentence(*one)}" for one in counts(report["methods"])), *_table(otherwise)]) + "\n"
    )
