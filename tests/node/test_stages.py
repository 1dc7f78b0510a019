"""What a node counts of its own work by stage: CPU time of the thread, a stage inside another for itself alone."""

from __future__ import annotations

import time

import pytest

from changan.node.metrics import METRICS, stage


def taken(name: str) -> tuple[float, float]:
    found = [
        METRICS.registry.get_sample_value(f"changan_stage_{kind}_total", {"stage": name})
        for kind in ("cpu_seconds", "seconds")
    ]
    return found[0] or 0.0, found[1] or 0.0


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_waiting_is_no_cpu_time():
    with stage("test waits"):
        time.sleep(0.05)
    cpu, elapsed = taken("test waits")
    assert cpu < 0.02
    assert elapsed >= 0.05


def test_a_stage_inside_another_counts_for_itself_alone():
    @stage("test inner")
    def inner() -> str:
        work(0.04)
        return "done"

    with stage("test outer"):
        assert inner() == "done"
        with stage("test middle"):
            inner()
            work(0.02)
        work(0.01)
    assert taken("test inner")[0] == pytest.approx(0.08, abs=0.008)
    assert taken("test middle")[0] == pytest.approx(0.02, abs=0.008)
    assert taken("test outer")[0] == pytest.approx(0.01, abs=0.008)


def test_a_stage_that_fails_counts_too():
    @stage("test fails")
    def fails() -> None:
        work(0.02)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fails()
    assert taken("test fails")[0] == pytest.approx(0.02, abs=0.008)
