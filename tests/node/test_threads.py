"""Work in threads: whoever waits has its result or its error, and a wait that is given up leaves it alone."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from changan.node.threads import InThread, all_ended


@pytest.fixture
def threads():
    with ThreadPoolExecutor(1) as one:
        yield one


async def test_a_coroutine_and_a_thread_wait_for_the_same_work(threads):
    go, seen = threading.Event(), []
    work = InThread(threads, lambda: (go.wait(20), seen.append(threading.current_thread()), 7)[2])
    waits = asyncio.ensure_future(all_ended([work, lambda: seen.append(threading.current_thread())]))
    await asyncio.sleep(0.01)
    assert not waits.done()
    go.set()
    await waits
    assert work() == 7
    assert len(seen) == 2
    assert threading.main_thread() not in seen
    await all_ended([work])  # again, when it is long done


async def test_what_it_raised_comes_to_both(threads):
    work = InThread(threads, lambda: 1 // 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await all_ended([work])
    with pytest.raises(ZeroDivisionError):
        work()


async def test_who_gives_up_waiting_does_not_end_the_work(threads):
    go = threading.Event()
    first, second = InThread(threads, lambda: go.wait(20)), InThread(threads, lambda: 5)
    for work in (first, second):  # the one runs, the other has not begun
        waits = asyncio.ensure_future(work.ended())
        await asyncio.sleep(0.01)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
    go.set()
    assert (first(), second()) == (True, 5)
