"""The whole table: a row for each public method of the SDK's client."""

from __future__ import annotations

import table_archive
import table_certificates
import table_client
import table_config
import table_contracts
import table_gas
import table_governance
import table_modes
import table_national
import table_queries
import table_stake
from members import CERTIFICATES
from row import Row


def rows(mode: str, *, national: bool) -> list[Row]:
    """Return the rows of an identity mode and a suite, in the order in which they are driven."""
    parts = (
        table_client,
        table_contracts,
        table_certificates,
        table_governance,
        table_config,
        table_gas,
        table_archive,
        table_stake,
        table_queries,  # last: much was refused or put back by then, and the past has to show it
    )
    of_mode = table_modes.of_mode(mode, [row for part in parts for row in part.ROWS])
    return table_national.on_sm2(of_mode) if national else of_mode


def left_out(mode: str) -> frozenset[str]:
    """Return the methods that mean nothing in an identity mode."""
    return frozenset() if mode == CERTIFICATES else table_modes.LEFT_OUT
