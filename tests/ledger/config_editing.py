"""Apply one edit of CHAIN_CONFIG as a block does: wholly, or not at all."""

from __future__ import annotations

from changan.ledger.config_edits import EDITS
from changan.ledger.config_parameters import EditError
from changan.ledger.wire.messages import ChainConfig


def edit(config: ChainConfig, method: str, **parameters) -> str:
    """Apply an edit to a copy that takes the configuration's place; return the words of a refusal."""
    after = ChainConfig.FromString(config.SerializeToString())
    given = {name: value.encode() if isinstance(value, str) else value for name, value in parameters.items()}
    try:
        EDITS[method](after, given)
    except EditError as error:
        return str(error)
    config.CopyFrom(after)
    return ""
