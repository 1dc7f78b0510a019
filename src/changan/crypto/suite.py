"""The one byte that names the algorithms a record was made with."""

from __future__ import annotations

from enum import IntEnum, unique

from changan.errors import UnverifiedError


@unique
class Suite(IntEnum):
    """Suites of algorithms. Numbers are written into records: append, never reuse."""

    INTERNATIONAL = 1  # SHA-256 with ECDSA on P-256 and its kin
    NATIONAL = 2  # SM3 with SM2


def require_built(number: int) -> Suite:
    """Return the suite a record names. Raises UnverifiedError for one that is unknown or not built."""
    try:
        suite = Suite(number)
    except ValueError as error:
        raise UnverifiedError(f"suite {number} is unknown to this release") from error
    if suite is not Suite.INTERNATIONAL:
        raise UnverifiedError(f"suite {suite.name.lower()} is not built into this release")
    return suite
