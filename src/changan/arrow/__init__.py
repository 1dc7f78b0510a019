"""Tables of Apache Arrow: the language's types as Arrow's, rows of state and columns of bundles as arrays, and back.

The modules below need pyarrow, an extra: whoever imports one asks `need_arrow` first.
"""

from __future__ import annotations

from importlib.util import find_spec

from changan.errors import ChanganError

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
"""An Arrow IPC stream, as registered with IANA."""


class ArrowMissingError(ChanganError):
    """Tables are asked of a program that has no pyarrow; the message says how it gets one."""


def need_arrow() -> None:
    """Return where pyarrow is installed. Raises ArrowMissingError."""
    if find_spec("pyarrow") is None:
        raise ArrowMissingError("tables need pyarrow, which is not installed here: pip install 'changan[tables]'")
