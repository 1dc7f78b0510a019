"""A bundle runs: every row has its own outcome, gas, result, events and leaf; a row that fails fails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.compiled import CompiledInstance
from changan.contract.compiled.plain_columns import batch_of, event_writer, run_columns, run_rows
from changan.contract.gas import GAS_LIMIT_MAX
from changan.ledger.bundle_rows import BundleColumns
from changan.ledger.delta import Delta
from changan.ledger.wire.messages import BundleResult, BundleRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.contract.compiled.columns import Batch
    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext, Event
    from changan.contract.types import Signature
    from changan.ledger.bundle import Bundle
    from changan.ledger.contracts import Calls
    from changan.ledger.roots import Roots

VIEWS_GAS_MAX = 20_000_000
"""Gas that a view over many rows may use: the node answers nobody else meanwhile."""


class Finished(NamedTuple):
    """A bundle whose roots are made: its result for the wire, and of each contract the rows that it changed with their root."""

    result: BundleResult
    roots: list[bytes]
    deltas: list[Delta]


class RanBundle(NamedTuple):
    """What came of a bundle: its gas, its rows for the record, and what makes its roots, which nothing that follows changes."""

    gas: int
    columns: BundleColumns
    finish: Callable[[], Finished]


def run_bundle(  # noqa: PLR0917  # what a bundle needs to run
    instance: AnyInstance,
    name: str,
    signature: Signature,
    bundle: Bundle,
    caller: bytes,
    block: BlockContext,
    roots: Roots,
    host: Calls | None = None,
) -> RanBundle:
    """Execute the rows of a bundle in order; all together may use the bundle's budget, where it has one.

    `caller` (20 bytes) calls every row, unless the bundle has a caller a row. With a `host`, for a contract that calls others,
    every row is a call of its own, and what it changed in other contracts is taken back with it where it fails.
    """
    emitters: list[str] = []
    others: list[Delta] = []
    if host is None:
        batch = _run_rows(instance, signature, bundle, caller, block)
    else:
        batch, emitters = _run_calls(instance, signature, bundle, caller, block, host)
        for other, entered in host.entered.items():
            delta = entered.collect_delta()
            if delta:
                others.append(Delta(other, entered.program.field_names, delta, 0))
    columns = BundleColumns(
        outcomes=batch.outcomes.tobytes(),
        gas=batch.gas.tobytes(),
        results=batch.results,
        result_ends=b"" if batch.result_ends is None else batch.result_ends.tobytes(),
        events=batch.events,
        delta=instance.collect_delta(),
        others=tuple((delta.contract, delta.records) for delta in others),
        one_by_one=host is not None,
    )
    result = BundleResult(
        rows=bundle.rows,
        succeeded=batch.outcomes.count(0),
        gas=sum(batch.gas),
        caller=b"" if bundle.callers else caller,
        contract=name,
        method=signature.name,
        emitters=emitters,
    )
    names = instance.program.field_names

    def finish() -> Finished:
        result.outcome_root = roots.outcome_root(signature, bundle, columns)
        result.event_root = roots.digest(columns.events)
        deltas = [Delta(name, names, columns.delta, 0), *others]
        made = [roots.delta_root(delta.records) for delta in deltas]
        counted = [delta._replace(rows=count) for delta, (_, count) in zip(deltas, made, strict=True)]
        return Finished(result, [root for root, _ in made], counted)

    return RanBundle(result.gas, columns, finish)


def run_views(
    instance: AnyInstance, signature: Signature, rows: Bundle, caller: bytes, block: BlockContext
) -> BundleRows:
    """Ask a view once for each row; all together may use `VIEWS_GAS_MAX`, or the rows' own budget where that is less."""
    budget = min(rows.budget or VIEWS_GAS_MAX, VIEWS_GAS_MAX)
    batch = _run_rows(instance, signature, rows._replace(budget=budget), caller, block)
    return BundleRows(
        outcomes=batch.outcomes.tobytes(),
        gas=batch.gas.tobytes(),
        results=batch.results,
        result_ends=b"" if batch.result_ends is None else batch.result_ends.tobytes(),
    )


def _run_rows(instance: AnyInstance, signature: Signature, rows: Bundle, caller: bytes, block: BlockContext) -> Batch:
    budget, callers = rows.budget or None, rows.callers or caller
    if isinstance(instance, CompiledInstance):
        return instance.run_columns(signature.name, callers, rows.columns, block, GAS_LIMIT_MAX, budget, checked=True)
    return run_columns(instance, signature.name, callers, rows.columns, block, gas_limit=GAS_LIMIT_MAX, budget=budget)


def _run_calls(
    instance: AnyInstance, signature: Signature, rows: Bundle, caller: bytes, block: BlockContext, host: Calls
) -> tuple[Batch, list[str]]:
    """Return what came of rows that may call other contracts, and which of these emitted events."""
    budget, callers = rows.budget or None, rows.callers or caller
    outcomes = run_rows(instance, signature, callers, rows.columns, block, host, gas_limit=GAS_LIMIT_MAX, budget=budget)
    by_address = {entered.address: (name, entered.program) for name, entered in host.entered.items()}
    writers = {instance.address: event_writer(instance.program)}
    emitters: list[str] = []

    def encode(row: int, event: Event) -> bytes:
        write = writers.get(event.emitter)
        if write is None:
            name, program = by_address[event.emitter]
            emitters.append(name)
            write = writers[event.emitter] = event_writer(program, len(emitters))
        return write(row, event)

    return batch_of(signature, outcomes, encode), emitters
