"""How receipts and proofs are written: JSON whose bytes are base64, one text for each."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from changan.crypto.suite import require_built
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from changan.crypto.suite import Suite

PATH_MAX = 64


def suite_in(document: Mapping[str, Any]) -> Suite:
    """Return the suite that a receipt or proof names. Raises UnverifiedError for one that is unknown."""
    suite = document.get("suite")
    return require_built(suite if type(suite) is int else 0)


def decoded(document: Mapping[str, Any], name: str) -> bytes:
    """Return a part of a receipt. Raises MalformedError."""
    value = document.get(name)
    if not isinstance(value, str):
        raise MalformedError(f"the receipt has no {name}")
    return _from_base64(value, name)


def path_in(document: Mapping[str, Any], name: str, most: int = PATH_MAX) -> list[bytes]:
    """Return a list of at most so many parts of a receipt. Raises MalformedError."""
    value = document.get(name)
    if not isinstance(value, list) or len(value) > most or not all(isinstance(item, str) for item in value):
        raise MalformedError(f"the receipt has no {name}, or one that is longer than any")
    return [_from_base64(item, name) for item in value]


def _from_base64(value: str, name: str) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{name} is not base64") from error
    if text(data) != value:  # the last letter has bits that stand for nothing; one receipt has one text
        raise MalformedError(f"{name} is base64 in another form than a receipt's")
    return data


def text(data: bytes) -> str:
    """Return bytes as a receipt has them."""
    return base64.b64encode(data).decode()


def texts(items: Sequence[bytes]) -> list[str]:
    """Return a list of bytes as a receipt has it."""
    return [text(item) for item in items]
