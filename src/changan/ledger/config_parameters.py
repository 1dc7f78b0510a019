"""The parameters of CHAIN_CONFIG and its kin, read as ChainMaker reads them, and how a change is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from changan.errors import ChanganError
from changan.ledger.wire.messages import AddrType

if TYPE_CHECKING:
    from changan.ledger.wire.messages import ChainConfig

Parameters = Mapping[str, bytes]
Edit = Callable[["ChainConfig", Parameters], None]

UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_ADDRESS = re.compile(r"[0-9a-f]{40}")
_ZXL_ADDRESS = re.compile(r"ZX[0-9a-f]{40}")


class EditError(ChanganError):
    """A change that cannot be made; the message is the one that ChainMaker gives."""


class ConfigError(ChanganError):
    """A configuration that may not be in force; the message says why."""


def text_of(parameters: Parameters, name: str) -> str:
    """Return a parameter as text, empty where it is missing. Raises EditError when it is no UTF-8."""
    try:
        return parameters.get(name, b"").decode()
    except UnicodeDecodeError as error:
        raise EditError(f"params is error, param[{name}] is not UTF-8") from error


def unsigned(text: str, most: int = UINT64_MAX) -> int:
    """Read a number as Go's strconv.ParseUint does. Raises EditError."""
    if not text.isascii() or not text.isdigit():
        raise EditError(f'strconv.ParseUint: parsing "{text[:64]}": invalid syntax')
    value = int(text[:32])
    if len(text) > 32 or value > most:  # noqa: PLR2004  # more digits than any number that is taken
        raise EditError(f'strconv.ParseUint: parsing "{text[:64]}": value out of range')
    return value


def boolean(text: str) -> bool:
    """Read a truth value as Go's strconv.ParseBool does. Raises EditError."""
    if text not in TRUE | FALSE:
        raise EditError(f'strconv.ParseBool: parsing "{text[:64]}": invalid syntax')
    return text in TRUE


def account_address(text: str, address_type: int) -> str | None:
    """Return the address of an account as it is kept, or None for what is none; a 0x before it does not count."""
    if address_type == AddrType.ZXL:
        kept = text[:2] + text[2:].lower()
        return kept if _ZXL_ADDRESS.fullmatch(kept) else None
    kept = text.lower().removeprefix("0x")
    return kept if _ADDRESS.fullmatch(kept) else None


def blank(*texts: str) -> bool:
    """Whether one of the texts is empty."""
    return any(not text.strip() for text in texts)


def listed(text: str) -> list[str]:
    """Split a comma-joined parameter; what is empty is left out."""
    return [part for part in (piece.strip() for piece in text.split(",")) if part]
