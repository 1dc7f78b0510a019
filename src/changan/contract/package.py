"""A contract as it travels: its source text as it is, or a built package that also says what it was built from."""

from __future__ import annotations

import json
import zlib
from hashlib import sha256

from changan.contract.check import SOURCE_BYTES_MAX
from changan.contract.program import LANGUAGE_VERSION, Program
from changan.errors import MalformedError

MAGIC = b"CHANGAN-CONTRACT\x01"
PACKAGE_BYTES_MAX = 256 * 1024


def build_package(program: Program) -> bytes:
    """Return the package of a contract: magic, digest, then compressed JSON of source, language and description."""
    body = json.dumps(
        {"language": LANGUAGE_VERSION, "source": program.source, "description": program.describe()},
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    return MAGIC + sha256(body).digest() + zlib.compress(body, 9)


def recognise(data: bytes) -> str | None:
    """Return the source of a Python contract, given as a built package or as source text; None where it is neither.

    Raises MalformedError for a package that is damaged.
    """
    if data.startswith(MAGIC):
        return _open_package(data)
    if not data or len(data) > SOURCE_BYTES_MAX or b"\x00" in data:
        return None
    try:
        source = data.decode()
    except UnicodeDecodeError:
        return None
    return source if "changan.contract" in source else None


def _open_package(data: bytes) -> str:
    if len(data) > PACKAGE_BYTES_MAX:
        raise MalformedError(f"the package is {len(data)} bytes, at most {PACKAGE_BYTES_MAX} are allowed")
    start = len(MAGIC) + 32
    inflate = zlib.decompressobj()
    try:
        body = inflate.decompress(data[start:], 4 * PACKAGE_BYTES_MAX)
        if not inflate.eof or inflate.unused_data or sha256(body).digest() != data[len(MAGIC) : start]:
            raise MalformedError("the package is damaged: build it again with `changan contract build`")
        package = json.loads(body)
        if package["language"] != LANGUAGE_VERSION:
            raise MalformedError(
                f"the package is of language version {package['language']}, this node runs {LANGUAGE_VERSION}"
            )
        source = package["source"]
    except (zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError("the package is damaged: build it again with `changan contract build`") from error
    if not isinstance(source, str):
        raise MalformedError("the package holds no source")
    return source
