"""One process at a time works in a home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from changan.errors import ChanganError
from changan.node.store.lock import HomeInUseError, HomeLock

HOLD = """
import pathlib, sys
from changan.node.store.lock import HomeLock
with HomeLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
TRY = """
import pathlib, sys
from changan.node.store.lock import HomeInUseError, HomeLock
try:
    with HomeLock(pathlib.Path(sys.argv[1])):
        print("taken")
except HomeInUseError as error:
    print(error)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_home_that_another_process_holds_is_refused_with_its_pid(tmp_path, holder):
    with pytest.raises(HomeInUseError, match=rf"in use by process {holder.pid}: stop it first"), HomeLock(tmp_path):
        pass
    assert (tmp_path / "LOCK").read_text() == f"{holder.pid}\n", "a refusal leaves the holder's pid"
    assert issubclass(HomeInUseError, ChanganError)


def test_another_process_is_refused_while_this_one_holds_the_lock(tmp_path):
    def attempt() -> str:
        return subprocess.run(
            [sys.executable, "-c", TRY, tmp_path], capture_output=True, text=True, check=True
        ).stdout.strip()

    with HomeLock(tmp_path):
        assert f"in use by process {os.getpid()}: " in attempt()
    assert attempt() == "taken"


def test_a_killed_process_gives_the_lock_back(tmp_path, holder):
    holder.kill()
    holder.wait()
    with HomeLock(tmp_path):
        assert (tmp_path / "LOCK").read_text() == f"{os.getpid()}\n"


def test_the_lock_is_given_back_when_the_work_inside_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), HomeLock(tmp_path):
        raise ZeroDivisionError
    with HomeLock(tmp_path), pytest.raises(HomeInUseError), HomeLock(tmp_path):
        pass
    with HomeLock(tmp_path):
        pass


def test_a_refusal_leaves_no_file_open(tmp_path, holder):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(HomeInUseError), HomeLock(tmp_path):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_longer_pid_of_the_past_is_overwritten(tmp_path):
    (tmp_path / "LOCK").write_text("999999999999\n")
    with HomeLock(tmp_path):
        assert (tmp_path / "LOCK").read_text() == f"{os.getpid()}\n"
