"""The lock that keeps a second process out of a home."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from changan.errors import ChanganError

if TYPE_CHECKING:
    from pathlib import Path


class HomeInUseError(ChanganError):
    """Another process works in this home."""


class HomeLock:
    """Holds `LOCK` in a home while the context lasts. The system gives it back however the process ends."""

    def __init__(self, root: Path) -> None:
        self._path = root / "LOCK"
        self._file = -1

    def __enter__(self) -> Self:
        """Take the lock. Raises HomeInUseError."""
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise HomeInUseError(
                f"{self._path.parent} is in use by process {holder}: stop it first, or give another --home"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
