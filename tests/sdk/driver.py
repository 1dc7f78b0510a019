"""Drive every public method of the official SDK's client against a live node, and say how each of them ended.

    python tests/sdk/driver.py CONFIG CONTRACT PACKAGE               the answers as JSON, on standard output
    python tests/sdk/driver.py CONFIG CONTRACT PACKAGE --table       the same for people
    python tests/sdk/driver.py CONFIG CONTRACT PACKAGE --markdown    the page docs/sdk-methods.md; of SM2, its last section

CONFIG is an sdk_config.yml of a chain of any identity mode and suite; CONTRACT is src/changan/examples/token.py, PACKAGE what
`changan contract build` makes of it. The chain is written to: contracts are installed, certificates are frozen and
revoked, its configuration is changed and changed back; all of them are made here. This program knows the node only through the SDK: it imports nothing of ours but
its own table.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import re
import sys
import threading
import warnings
from pathlib import Path

import page
import record
import table
from behaviours import drive_behaviours
from chainmaker import ChainClientWithEndorsers
from chainmaker.protos.common.result_pb2 import TxResponse
from row import DEFECT, DEFECTS, FAIL, NOT_BUILT, REFUSED, WORKS, Row
from world import Standing, World

CALL_S = 20  # no method may take longer


def public_names() -> list[str]:
    """Return the public methods and properties of the client, those that it inherits too."""
    names = [name for name in dir(ChainClientWithEndorsers) if not name.startswith("_")]
    return [
        name
        for name in names
        if isinstance(inspect.getattr_static(ChainClientWithEndorsers, name), property)
        or callable(getattr(ChainClientWithEndorsers, name))
    ]


def words(answer: object) -> str:
    """Return what an answer says of itself: an exception's text, or the messages of a response."""
    if isinstance(answer, BaseException):
        return f"{type(answer).__name__}: {answer}"
    if isinstance(answer, TxResponse):
        code = f"code {answer.code}" if answer.code or answer.contract_result.code else "success"
        return f"{code}, {answer.message} {answer.contract_result.message}"
    return repr(answer)[:300]


def bounded(call, *arguments):
    """Call; return what came back or was raised, or TimeoutError when it took too long."""
    box: list = []

    def run() -> None:
        try:
            box.append(call(*arguments))
        except Exception as error:
            box.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(CALL_S)
    return box[0] if box else TimeoutError(f"no answer within {CALL_S} s")


class UnexpectedError(Exception):
    """A row that did not end as the table says."""


def judge_works(world: World, row: Row, answer: object) -> None:
    if isinstance(answer, Exception):
        raise UnexpectedError(words(answer)) from answer
    if not isinstance(answer, row.returns) or (row.returns is int and isinstance(answer, bool)):
        raise UnexpectedError(f"returned {type(answer).__name__}, not {row.returns}")
    if isinstance(answer, TxResponse) and (answer.code or answer.contract_result.code):
        raise UnexpectedError(words(answer))
    effect = bounded(row.check, world, answer)
    if isinstance(effect, Exception) or not effect:
        raise UnexpectedError(f"returned, but its effect is missing: {words(effect)}; answer {words(answer)}")


def judge_refused(row: Row, answer: object) -> str:
    """Return those words of the refusal that matter."""
    found = re.search(row.says, words(answer))
    if isinstance(answer, TimeoutError) or found is None:
        raise UnexpectedError(f"expected a refusal that says {row.says!r}, got {words(answer)}")
    if isinstance(answer, TxResponse):
        if not (answer.code and answer.contract_result.code):
            raise UnexpectedError(f"the refusal is a success: {words(answer)}")
    elif not isinstance(answer, Exception):
        raise UnexpectedError(f"the refusal is an answer: {words(answer)}")
    return found[0]


def judge_defect(world: World, row: Row, answer: object) -> None:
    if row.method not in DEFECTS and not (world.national and row.method in record.ON_SM2):
        raise UnexpectedError("the record lists no defect of the SDK here")
    if not row.says:
        if isinstance(answer, Exception) or not row.check(world, answer):
            raise UnexpectedError(f"the SDK's defect shows no longer: {words(answer)}")
    elif not isinstance(answer, Exception) or not re.search(row.says, words(answer)):
        raise UnexpectedError(f"the SDK's defect shows no longer: expected {row.says!r}, got {words(answer)}")


def demand_unchanged(world: World, before: Standing) -> None:
    """Raise UnexpectedError when the configuration or the contracts changed, or anything was written at all."""
    after = world.standing()
    if (after.config, after.contracts) != (before.config, before.contracts):
        raise UnexpectedError("the chain's configuration or its contracts changed")
    written = world.writes_since(before.height)
    if written:
        raise UnexpectedError(f"it wrote {written}")


def put_back(world: World, row: Row, before: Standing) -> None:
    """Undo what a row did. Raises UnexpectedError when the chain is not as it was."""
    ended = bounded(row.undo, world, before.config)
    if isinstance(ended, Exception):
        raise UnexpectedError(f"it was not put back: {words(ended)}") from ended
    traces = world.standing().traces(before)
    if traces:
        raise UnexpectedError(f"it left its traces in {', '.join(traces)}")


def judge(world: World, row: Row, answer: object) -> str:
    """Judge an answer; return those words of it that matter. Raises UnexpectedError."""
    shown = ""
    if row.method not in world.called:
        raise UnexpectedError(f"the row does not call its method; answer {words(answer)}")
    if row.expect == WORKS:
        judge_works(world, row, answer)
    elif row.expect in {REFUSED, NOT_BUILT}:
        shown = judge_refused(row, answer)
    else:
        assert row.expect == DEFECT
        judge_defect(world, row, answer)
    return shown


def drive(world: World, row: Row) -> dict[str, str]:
    """Make the call of one row, judge it, and have it put back what it changed."""
    verdict, shown = row.expect, ""
    before = world.standing()
    world.called.clear()
    answer = bounded(row.call, world)
    try:
        shown = judge(world, row, answer)
        if row.expect != WORKS:
            demand_unchanged(world, before)
    except UnexpectedError as error:
        verdict, shown = FAIL, str(error)
    try:
        put_back(world, row, before)
    except UnexpectedError as error:
        verdict, shown = FAIL, "; ".join(part for part in (shown if verdict == FAIL else "", str(error)) if part)
    return {
        "method": row.method,
        "class": row.kind,
        "verdict": verdict,
        "returned": type(answer).__name__,
        "note": "; ".join(part for part in (row.note, shown) if part)[:1500],
    }


def drive_all(world: World) -> list[dict[str, str]]:
    """Drive every row of the table; methods that the table forgot, or that the SDK lacks, are failures too."""
    rows = table.rows(world.mode, national=world.national)
    assert world.block_hash, "what rows share is made before the first one is judged"
    assert world.counter
    assert world.gas_administrator
    assert all(world.member(name) for name in ("addressed", "fresh"))
    answers = [drive(world, row) for row in rows]
    driven = [row.method for row in rows]
    public = public_names()
    left_out = table.left_out(world.mode)
    wrong = [(name, "missing from the table") for name in public if name not in driven and name not in left_out]
    wrong += [(name, "driven, and left out too") for name in driven if name in left_out]
    wrong += [(name, "in the table, not in the SDK") for name in driven if name not in public]
    wrong += [(name, "twice in the table") for name in sorted(set(driven)) if driven.count(name) > 1]
    answers += [{"method": name, "class": "?", "verdict": FAIL, "returned": "", "note": note} for name, note in wrong]
    return answers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="an sdk_config.yml")
    parser.add_argument("contract", type=Path, help="src/changan/examples/token.py")
    parser.add_argument("package", type=Path, help="what `changan contract build` makes of it")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--table", action="store_true", help="print a table for people instead of JSON")
    form.add_argument(
        "--markdown", action="store_true", help="print docs/sdk-methods.md, or its last section, instead of JSON"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the SDK calls many of its own methods deprecated; they are driven all the same
    with contextlib.redirect_stdout(sys.stderr):  # the SDK prints
        world = World(options.config, options.contract, options.package)
        try:
            report = {"methods": drive_all(world), "behaviours": drive_behaviours(world)}
        finally:
            world.close()
    report["ours"] = sorted(name for name in sys.modules if name.split(".")[0] == "changan")
    if options.table:
        print(page.as_text(report))
    elif options.markdown:
        print((page.as_national_markdown if world.national else page.as_markdown)(report), end="")
    else:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    failed = [one for one in (*report["methods"], *report["behaviours"]) if one["verdict"] == FAIL]
    return 1 if failed or report["ours"] else 0


if __name__ == "__main__":
    sys.exit(main())
