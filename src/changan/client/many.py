"""One method for every row of a table: calls in bundles, or one question to a view; as steps, like all that a client says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.arrow import need_arrow
from changan.client.tables import Method, Sent, TableError
from changan.ledger.bundle import ROWS_MAX

if TYPE_CHECKING:
    import pyarrow as pa

    from changan.client.calls import Calls, Steps


def invoke_many(calls: Calls, contract: str, method: str, table: object, rows: int, budget: int) -> Steps[list[Sent]]:
    """Send a table in bundles, and ask what came of their rows. Raises TableError before anything is sent, CallError."""
    described = Method((yield from calls.describe(contract)), method)
    sent = []
    for _, data in list(described.bundles(table, rows, budget)):
        answer, side = yield from calls.bundle(contract, method, data)
        sent.append(Sent(answer, described.outcomes(side)))
    return sent


def query_many(calls: Calls, contract: str, method: str, table: object) -> Steps[pa.Table]:
    """Ask a view for every row of a table at once. Raises ArrowMissingError, TableError, CallError."""
    need_arrow()
    from changan.arrow.outcomes import outcome_table  # noqa: PLC0415  # an extra, asked for before

    described = Method((yield from calls.describe(contract)), method, "view")
    bundles = list(described.bundles(table, ROWS_MAX, 0))
    if len(bundles) > 1:
        raise TableError(f"one question is for at most {ROWS_MAX} rows, which have one height: ask in parts")
    [(_, data)] = bundles
    height, side = yield from calls.query_many(contract, method, data)
    return outcome_table(described.signature, side, {"contract": contract, "method": method, "height": str(height)})
