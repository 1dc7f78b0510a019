"""What a row held in the past as a table: when it was written, by which transaction, and the value in typed columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from changan.arrow.fields import columns_of, leaves
from changan.arrow.kinds import schema_of, value_columns
from changan.contract.codec import unpack
from changan.contract.types import U64, TextType
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from changan.contract.instance import Value
    from changan.contract.types import ValueType

_TEXT = TextType(256)
_PLACE = (("height", U64), ("index", U64), ("tx_id", _TEXT), ("state", _TEXT))


def history_table(
    kind: ValueType, writes: Iterable[tuple[int, int, str, bytes | None]], metadata: Mapping[str, str]
) -> pa.Table:
    """Return writes (height, place in the block, id, value) as a table.

    `state` is `written`; `deleted` (the value is b""); `masked` (None); or `other type`, for a value that an older version of the
    contract wrote and that is none of `kind`. Where it is not `written`, the columns of the value are null.
    """
    values = value_columns(kind, _PLACE)
    rows = []
    for height, index, tx_id, data in writes:
        state, value = _read(kind, data)
        rows.append((height, index, tx_id, state, *leaves(kind, value)))
    schema = pa.schema([*schema_of(_PLACE), *schema_of(values, nullable=True)])
    found = columns_of((*_PLACE, *values), rows)
    return pa.table(found, schema=schema.with_metadata({**metadata, "rows": str(len(rows))}))


def _read(kind: ValueType, data: bytes | None) -> tuple[str, Value]:
    if not data:
        return ("masked" if data is None else "deleted"), None
    try:
        return "written", unpack(kind, data)
    except MalformedError:
        return "other type", None
