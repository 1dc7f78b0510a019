"""The genesis of a chain as a file: the configuration that it began with. New nodes start from it, receipts are checked by it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from changan.errors import MalformedError
from changan.ledger.wire.messages import ChainConfig

if TYPE_CHECKING:
    from pathlib import Path

BYTES_MAX = 16 * 1024 * 1024


def genesis_path(home: Path, chain_id: str) -> Path:
    """Return where a node's home keeps the genesis of a chain."""
    return home / "genesis" / f"{chain_id}.json"


def write_genesis(path: Path, config: ChainConfig) -> None:
    """Write a configuration, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = MessageToDict(config, preserving_proto_field_name=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_genesis(path: Path) -> ChainConfig:
    """Read the configuration that a chain began with. Raises MalformedError, OSError."""
    if path.stat().st_size > BYTES_MAX:
        raise MalformedError(f"{path} is larger than any genesis ({BYTES_MAX} bytes)")
    try:
        config: ChainConfig = ParseDict(json.loads(path.read_text(encoding="utf-8")), ChainConfig())
    except (ValueError, TypeError, ParseError, RecursionError) as error:
        raise MalformedError(f"{path} is no genesis of a chain: {error}") from error
    if not config.chain_id or not config.trust_roots:
        raise MalformedError(f"{path} is no genesis of a chain: it names no chain, or trusts nobody")
    return config
