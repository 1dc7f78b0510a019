"""What an outcome of a Python contract says to people: one sentence, with the line of the source it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.instance import Code, InnerFailure

if TYPE_CHECKING:
    from changan.contract.instance import Outcome
    from changan.contract.program import Program

_TEXTS = {
    Code.OVERFLOW: "a number left the range of its type",
    Code.DIVISION_BY_ZERO: "division by zero",
    Code.MISSING_KEY: "the map holds no such key",
    Code.OUT_OF_GAS: "gas limit is not enough",
    Code.OUT_OF_BOUNDS: "out of bounds: a list index, or more than 64 KiB of events",
    Code.BAD_ARGUMENT: "bad argument",
    Code.STORAGE_QUOTA: "the contract's storage quota is used up",
}
_INNER = {
    InnerFailure.UNKNOWN_CONTRACT: "the called contract does not exist or does not run",
    InnerFailure.UNKNOWN_METHOD: "the called contract has no such method",
    InnerFailure.TOO_DEEP: "calls between contracts are at most 5 deep",
    InnerFailure.REENTERED: "the called contract is already running",
    InnerFailure.FAILED: "the called contract failed",
}


def failure_text(program: Program, outcome: Outcome) -> str:
    """Return why a call failed, e.g. `declined: balance is short (line 31)`."""
    if outcome.code == Code.DECLINED:
        text = f"declined: {program.reasons[outcome.detail]}"
    elif outcome.code == Code.INNER_CALL:
        text = f"inner call: {_INNER[InnerFailure(outcome.detail)]}"
    else:
        text = _TEXTS[outcome.code]
    return f"{text} (line {outcome.line})" if outcome.line else text
