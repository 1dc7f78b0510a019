"""Transfers given to a machine in this process, one after another, for so long."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_T = TypeVar("_T")


def one_by_one(made: Iterable[_T], succeeds: Callable[[_T], bool], seconds: float) -> None:
    """Give transfers that were made beforehand, and print what came of it as JSON. Raises SystemExit for one that fails."""
    cpu, started, calls = time.process_time(), time.perf_counter(), 0
    for each in made:
        if time.perf_counter() - started >= seconds:
            break
        if not succeeds(each):
            raise SystemExit("a transfer failed")
        calls += 1
    elapsed = time.perf_counter() - started
    print(json.dumps({"calls": calls, "rate": calls / elapsed, "cpu": time.process_time() - cpu}))
