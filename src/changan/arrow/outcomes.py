"""What came of the rows of a batch as a table: each with its result, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from changan.arrow.columns import to_array
from changan.arrow.kinds import arrow_type
from changan.contract.compiled.columns import ColumnData
from changan.contract.instance import Code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.contract.types import Signature
    from changan.ledger.wire.messages import BundleRows

_CODES = [code.name for code in Code]


def outcome_table(signature: Signature, rows: BundleRows, metadata: Mapping[str, str]) -> pa.Table:
    """Return the columns `result` (null where a row failed), `code`, `detail`, `line` and `gas`; a method may have no result."""
    words = np.frombuffer(rows.outcomes, "<u4")
    columns = {
        "code": pa.array(_CODES, pa.string()).take(pa.array(words & 255)),
        "detail": pa.array((words >> 8 & 255).astype("u1")),
        "line": pa.array((words >> 16).astype("u2")),
        "gas": pa.array(np.frombuffer(rows.gas, "<u8").astype("u8")),
    }
    if signature.result is not None:
        found = to_array(signature.result, ColumnData(rows.results, rows.result_ends or None), len(words))
        succeeded = pa.array(words == 0)
        nothing = pa.scalar(None, arrow_type(signature.result))
        columns = {"result": pc.if_else(succeeded, found, nothing), **columns}
    return pa.table(columns).replace_schema_metadata(dict(metadata))
