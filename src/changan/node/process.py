"""What this process asks of the system and of the interpreter: files, memory that stays, and rarer looks for garbage."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MIB = 1024 * 1024
_YOUNG_OBJECTS = 50_000
_BEHIND_OTHERS = 10


def raise_file_limit() -> None:
    """Let this process have as many files and sockets open as the system allows it: peers hold sockets, the log needs files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def file_limit() -> int:
    """Return how many files and sockets this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def keep_freed_memory() -> None:
    """Let the C library keep what one block freed for the next one: fresh pages cost more than what is copied into them.

    Source: mallopt(3) of glibc, whose greatest threshold is 32 MiB; with another library nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, 32 * _MIB)
        mallopt(_TRIM_THRESHOLD, 512 * _MIB)


def look_for_garbage_rarely() -> None:
    """Let the interpreter look for cycles when many objects were made: a block makes thousands, and next to none are cycles."""
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)


def give_way() -> None:
    """Let all other threads go before this one where there are fewer cores than work.

    Source: setpriority(2) of Linux, which alone knows priorities of threads; on another system nothing happens.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, _BEHIND_OTHERS)
