"""Seeds of a story, one after another: how many and from which on, say two variables of the environment."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

TOLD_EVERY = 100


async def run_seeds(
    name: str, few: int, run: Callable[[Path, int], Awaitable[dict[str, int]]], directory: Path
) -> Counter[str] | None:
    """Run `CHANGAN_name_SEEDS` seeds (`few` unless said) from `CHANGAN_name_FIRST_SEED` on.

    Return how often each kind of thing happened in all of them; None where they were too few to have met every kind. A
    seed that fails is named.
    """
    count = int(os.environ.get(f"CHANGAN_{name}_SEEDS", few))
    first = int(os.environ.get(f"CHANGAN_{name}_FIRST_SEED", "0"))
    total: Counter[str] = Counter()
    for seed in range(first, first + count):
        place = directory / str(seed)
        try:
            counts = await run(place, seed)
        except Exception as error:
            error.add_note(f"seed {seed}: CHANGAN_{name}_FIRST_SEED={seed} CHANGAN_{name}_SEEDS=1")
            raise
        shutil.rmtree(place)
        total.update(counts)
        if count > TOLD_EVERY and seed % TOLD_EVERY == TOLD_EVERY - 1:
            print(seed + 1 - first, dict(total), flush=True)
    print(dict(total))
    return total if count >= few else None
