"""What a load comes to while it runs: one line of a terminal with a bar for each moment so far, redrawn in its place."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_BARS = " ▁▂▃▄▅▆▇█"
_WORDS = 44  # columns beside the bars


class Live:
    """Draws calls a second over time. Nothing is drawn where nobody sits at the other end."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rates: list[float] = []
        self._calls, self._seconds = 0, 0.0

    def take(self, calls: int, seconds: float) -> None:
        """Take in how many calls were answered `seconds` after the beginning."""
        if seconds > self._seconds:
            self._rates.append((calls - self._calls) / (seconds - self._seconds))
            self._calls, self._seconds = calls, seconds
        if self._out.isatty():
            self._out.write("\r" + self.line(shutil.get_terminal_size().columns))
            self._out.flush()

    def line(self, columns: int) -> str:
        """Return the line, at most so many columns wide: what comes last is always in it."""
        shown = self._rates[-max(1, columns - _WORDS) :]
        most = max(shown, default=0) or 1
        bars = "".join(_BARS[round(rate / most * (len(_BARS) - 1))] for rate in shown)
        now = self._rates[-1] if self._rates else 0
        return f"{bars} {now:>11,.0f} calls/s, {self._calls:>13,} in {self._seconds:5.1f} s"

    def end(self) -> None:
        """Leave the line as it is."""
        if self._rates and self._out.isatty():
            self._out.write("\n")
