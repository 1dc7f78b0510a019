"""Measurements as rows of a table: median, least and greatest of what was found in each round."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def table_rows(
    work: str, peer: str, units: Mapping[str, str], found: Sequence[Mapping[str, Any]], note: str
) -> list[dict[str, Any]]:
    """Return a row for each unit whose key the rounds have."""
    return [
        {
            "work": work,
            "peer": peer,
            "unit": unit,
            "median": round(statistics.median(values), 3),
            "min": round(min(values), 3),
            "max": round(max(values), 3),
            "n": len(values),
            "note": note,
        }
        for key, unit in units.items()
        if key in found[0]
        for values in [[item[key] for item in found]]
    ]
