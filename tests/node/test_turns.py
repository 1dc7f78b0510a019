"""Turns: who floods waits for itself. `bench/fairness.py` measures it through the door."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from changan.node import turns
from changan.node.turns import Turns


async def order_of(asked: list[tuple[str, str]], cancelled: frozenset[int] = frozenset()) -> list[int]:
    """In which order those who ask at once have their turns."""
    table, order = Turns(), []

    async def ask(number: int) -> None:
        await table.take(*asked[number])
        order.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(len(asked))]
    await asyncio.sleep(0)
    for number in cancelled:
        tasks[number].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    while table._waiting:  # noqa: ASYNC110  # those who went away are passed over in the rounds that follow
        await asyncio.sleep(0)
    return order


async def test_a_quiet_connection_comes_after_one_request_of_a_flood():
    asked = [("a", "flood")] * 500 + [("a", "quiet")]
    assert (await order_of(asked)).index(500) <= 2


async def test_an_address_with_many_connections_has_one_share():
    asked = [("evil", f"{n}") for n in range(300)] + [("good", "1"), ("fine", "1")]
    order = await order_of(asked)
    assert max(order.index(300), order.index(301)) <= 4


async def test_who_comes_alone_does_not_wait():
    table = Turns()
    for _ in range(3):
        await asyncio.wait_for(table.take("a", "1"), 1)
        await asyncio.sleep(0)


PEERS = st.tuples(st.sampled_from("abc"), st.sampled_from("123"))


@given(st.lists(PEERS, max_size=60))
def test_every_turn_is_given_once_and_in_rotation(asked):
    order = asyncio.run(order_of(asked))
    assert sorted(order) == list(range(len(asked)))
    for connection in set(asked):
        own = [number for number in order if asked[number] == connection]
        assert own == sorted(own)  # first come, first served among a connection's own
    left = [asked[number] for number in order]
    for at in range(
        2, len(left)
    ):  # the first came alone; from then on an address comes again only where no other waits
        if left[at][0] == left[at - 1][0]:
            assert {address for address, _ in left[at:]} == {left[at][0]}


@given(st.lists(PEERS, min_size=2, max_size=40), st.data())
def test_who_goes_away_is_passed_over(asked, data):
    gone = data.draw(st.frozensets(st.integers(1, len(asked) - 1)))
    order = asyncio.run(order_of(asked, gone))
    assert sorted([*order, *gone]) == list(range(len(asked)))


async def test_who_comes_while_others_wait_lets_rounds_go_by(monkeypatch):
    async def count(askers: int) -> int:
        table, done = Turns(), 0
        tasks = [asyncio.create_task(table.take("a", str(number))) for number in range(askers)]
        while not all(task.done() for task in tasks):
            done += 1
            await asyncio.sleep(0)
        return done

    rounds = []
    for between, quiet in ((0, 0), (30, 30), (30, 4)):
        monkeypatch.setattr(turns, "ROUNDS_BETWEEN", between)
        monkeypatch.setattr(turns, "QUIET_ROUNDS", quiet)
        rounds.append([await count(askers) for askers in (1, 2, 10)])
    assert rounds[0][0] == rounds[1][0] == rounds[2][0]
    for more, went in ((30, rounds[1]), (4, rounds[2])):  # where nobody else comes, the quiet ones alone
        assert more <= went[1] - rounds[0][1] <= more + 2
        assert 9 * more <= went[2] - rounds[0][2] <= 10 * (more + 2)


async def test_a_queue_before_the_turns_that_was_once_long_does_not_stay_long():
    """The server hands requests over one by one, first in and first out; a flood sends again as soon as it is answered."""
    table, queue, looked_at = Turns(), deque(["flood"] * 400), Counter[str]()

    async def answer(connection: str) -> None:
        await table.take("a", connection)
        looked_at[connection] += 1
        if connection == "flood":
            queue.append(connection)

    async def serve() -> None:
        tasks = []
        while "quiet" not in looked_at:
            if queue:
                tasks.append(asyncio.create_task(answer(queue.popleft())))
            await asyncio.sleep(0)  # two rounds a request
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()

    serving = asyncio.create_task(serve())
    while looked_at["flood"] < 200:  # noqa: ASYNC110  # the flood is alone until then
        await asyncio.sleep(0)
    queue.append("quiet")
    await asyncio.wait_for(serving, 10)
    assert looked_at["flood"] < 200 + 20
