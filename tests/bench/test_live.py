"""The line that a bench draws while it runs says what was measured, fits its terminal, and is not drawn where nobody looks."""

import io

from hypothesis import given
from hypothesis import strategies as st

from changan.bench.live import Live


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_rate_is_what_came_since_the_moment_before():
    live = Live(io.StringIO())
    live.take(1000, 0.5)
    live.take(4000, 1.0)
    assert live.line(80) == "▃█       6,000 calls/s,         4,000 in   1.0 s"


def test_nothing_is_shown_of_a_moment_that_took_no_time():
    live = Live(io.StringIO())
    live.take(1000, 0.5)
    before = live.line(80)
    live.take(2000, 0.5)
    assert live.line(80) == before


def test_a_terminal_gets_the_line_again_and_again_in_its_place():
    out = Terminal()
    live = Live(out)
    live.take(10, 1.0)
    live.take(30, 2.0)
    live.end()
    drawn = out.getvalue()
    assert drawn.count("\r") == 2
    assert drawn.endswith("20 calls/s,            30 in   2.0 s\n")


def test_a_file_stays_empty():
    out = io.StringIO()
    live = Live(out)
    live.take(10, 1.0)
    live.end()
    assert not out.getvalue()


def test_a_load_that_said_nothing_leaves_no_line():
    out = Terminal()
    Live(out).end()
    assert not out.getvalue()


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.floats(0.001, 100)), max_size=300),
    st.integers(46, 300),
)
def test_the_line_fits_and_its_last_bar_is_the_last_moment(moments, columns):
    live = Live(io.StringIO())
    calls, seconds = 0, 0.0
    for more, later in moments:
        calls, seconds = calls + more, seconds + later
        live.take(calls, seconds)
    line = live.line(columns)
    bars = line[: line.index(" calls/s")].rstrip("0123456789,").rstrip(" ") if moments else ""
    assert len(bars) <= max(1, columns - 44)
    rates = [more / later for more, later in moments][-max(1, columns - 44) :]
    if rates and rates[-1] == max(rates) > 0:
        assert line[len(rates) - 1] == "█"
