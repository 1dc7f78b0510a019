"""A block log of which some blocks are away from the beginning: those that are there stand in the log, or in its archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.errors import MalformedError
from changan.node.store.archive import ARCHIVE, SEGMENTS_MAX, mark_archived, write_whole
from changan.node.store.records import FILE_HEAD, MAGIC, pack_head

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_partial_log(directory: Path, blocks: Mapping[int, bytes]) -> None:
    """Make a log of records by height, the genesis block among them. Those of the last run of heights can be appended to.

    The others count as archived, and whatever is missing between as archived and away. Raises MalformedError, OSError.
    """
    runs: list[list[int]] = []
    for height in sorted(blocks):
        if runs and runs[-1][-1] == height - 1:
            runs[-1].append(height)
        else:
            runs.append([height])
    if not runs or runs[0][0] != 0:
        raise MalformedError("a log begins with block 0")
    if len(runs) > SEGMENTS_MAX:
        raise MalformedError(f"{len(runs)} runs of blocks, an archive holds {SEGMENTS_MAX} files")
    (directory / ARCHIVE).mkdir(parents=True)
    for run in runs:
        records = [pack_head(height, [blocks[height]]) + blocks[height] for height in run]
        folder = directory if run is runs[-1] else directory / ARCHIVE
        write_whole(folder / f"{run[0]:020d}.log", FILE_HEAD.pack(MAGIC, run[0]) + b"".join(records))
    if len(runs) > 1:
        mark_archived(directory, runs[-1][0] - 1)
