"""A bundle runs: every row has its own outcome, gas, result, events and leaf; a row that fails fails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.contract.compiled import CompiledInstance
from changan.contract.compiled.plain_columns import run_columns
from changan.contract.gas import GAS_LIMIT_MAX
from changan.ledger.delta import Delta, collect_delta
from changan.ledger.wire.messages import BundleResult, BundleRows

if TYPE_CHECKING:
    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext
    from changan.contract.types import Signature
    from changan.ledger.bundle import Bundle
    from changan.ledger.roots import Roots


class RanBundle(NamedTuple):
    """What came of a bundle: its result for the wire, its rows for the record, and the rows of state that it changed."""

    result: BundleResult
    rows: BundleRows
    delta_root: bytes
    delta: Delta


def run_bundle(  # noqa: PLR0917  # what a bundle needs to run
    instance: AnyInstance,
    name: str,
    signature: Signature,
    bundle: Bundle,
    caller: bytes,
    block: BlockContext,
    roots: Roots,
) -> RanBundle:
    """Execute the rows of a bundle in order; all together may use the bundle's budget, where it has one."""
    budget = bundle.budget or None
    if isinstance(instance, CompiledInstance):
        batch = instance.run_columns(signature.name, caller, bundle.columns, block, GAS_LIMIT_MAX, budget)
    else:
        batch = run_columns(
            instance, signature.name, caller, bundle.columns, block, gas_limit=GAS_LIMIT_MAX, budget=budget
        )
    delta = collect_delta(instance)
    delta_root, count = roots.delta_root(delta)
    rows = BundleRows(
        outcomes=batch.outcomes.tobytes(),
        gas=batch.gas.tobytes(),
        results=batch.results,
        result_ends=b"" if batch.result_ends is None else batch.result_ends.tobytes(),
        events=batch.events,
        delta=delta,
    )
    result = BundleResult(
        rows=bundle.rows,
        succeeded=batch.outcomes.count(0),
        gas=sum(batch.gas),
        outcome_root=roots.outcome_root(signature, bundle, rows),
        event_root=roots.digest(batch.events),
        caller=caller,
        contract=name,
        method=signature.name,
    )
    return RanBundle(result, rows, delta_root, Delta(name, tuple(instance.program.field_places), delta, count))
