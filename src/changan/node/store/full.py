"""A disk that takes no more."""

from __future__ import annotations

import errno

from changan.errors import ChanganError

FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFullError(ChanganError):
    """The disk took no more; nothing of what was written stays, and it can be written again when there is room."""
