"""One field of a contract at a moment, page by page or whole."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from changan.contract.instance import Row


class FieldView:
    """The rows of a field as they were when the view was taken. Pages may be made in another thread than the calls'.

    The rows are put in order at the first page, because a map keeps none.
    """

    def __init__(
        self, field: str, rows: Callable[[], Iterator[Row]], *, is_list: bool, packed: bytes | None = None
    ) -> None:
        """Take what gives the rows, and where the engine has them as bytes, these.

        `packed` holds records as the compiled engine's `dump` gives them, in no order; of a list the length comes first.
        """
        self._field = field
        self._rows = rows
        self._is_list = is_list
        self.packed = packed
        self._sorted: list[Row] | None = None

    @property
    def row_count(self) -> int:
        """How many rows the view holds in order; none before the first page."""
        return len(self._sorted or ())

    def in_order(self) -> list[Row]:
        """Return all rows in order of their keys."""
        if self._sorted is None:
            rows = (row for row in self._rows() if not self._is_list or "." in row.key)  # a list's length is no element
            self._sorted = sorted(rows, key=_key)
        return self._sorted

    def page(self, after: str, limit: int) -> tuple[list[Row], bool]:
        """Return up to `limit` rows whose hex key is above `after`, in order of it, and whether more follow."""
        rows = self.in_order()
        start = bisect_right(rows, f"{self._field}.{after}", key=_key) if after else 0
        return rows[start : start + limit], start + limit < len(rows)


def _key(row: Row) -> str:
    return row.key
