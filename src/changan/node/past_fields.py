"""What the fields of a contract were called when a block was made: records of changed rows give only their numbers."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from changan.contract.package import recognise
from changan.contract.program import compile_source
from changan.ledger.contracts import OWNER, code_key
from changan.ledger.snapshot import records_in
from changan.node.beginning import open_base

if TYPE_CHECKING:
    from pathlib import Path

    from changan.node.reader import Reader


class PastFields:
    """The names of fields, from the sources on the chain. Threads may share it."""

    def __init__(self, chain: Path, reader: Reader) -> None:
        """`chain` is the folder of the chain; the base that lies there knows the contracts before the first block at hand."""
        self._chain = chain
        self._reader = reader

    def names(self, contract: str, height: int) -> tuple[str, ...] | None:
        """Return the names of a contract's fields by number in the block at a height, None where its code is unknown.

        A block that changes a contract's code changes nothing else, so all of a block runs one version. Raises ArchivedError.
        """
        code = self._reader.row_at(OWNER, code_key(contract), height) or self._based.get(code_key(contract))
        return None if code is None else _names(code)

    @cached_property
    def _based(self) -> dict[str, bytes]:
        found = open_base(self._chain)
        if found is None:
            return {}
        rows = (row for item in found.section("rows") for row in records_in(item))
        prefix = code_key("")
        return {
            row.key: row.value for row in rows if row.contract == OWNER and row.value and row.key.startswith(prefix)
        }


@lru_cache(maxsize=256)
def _names(code: bytes) -> tuple[str, ...]:
    return compile_source(recognise(code) or "").field_names
