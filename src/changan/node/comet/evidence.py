"""Who broke the rules of agreement, as people are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from changan.ledger.wire.messages import Misbehaviour

_MISBEHAVIOUR = {1: "two votes for one height", 2: "a light client was shown another chain"}


def shown(found: Misbehaviour, block: int | None) -> dict[str, object]:
    """Return what is told of one, with the ledger block that records it; None while none does."""
    return {
        "organisation": found.org_id,
        "node_id": found.node_id,
        "kind": _MISBEHAVIOUR.get(found.kind, str(found.kind)),
        "engine_height": found.engine_height,
        "block": block,
    }
