"""The table of tokens by itself: how long one holds, whose gives way, and that no signed request counts twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.ledger.wire.messages import Member
from changan.node import access
from changan.node.access import AccessError, Spent, Tokens


def who(number: int) -> Member:
    return Member(org_id="org", member_info=b"%d" % number)


def written(number: int) -> Member:
    """The first member, its certificate written with so many empty lines behind it."""
    return Member(org_id="org", member_info=b"1" + b"\n" * number)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_ends():
    clock = Clock()
    tokens = Tokens(clock)
    token = tokens.give("chain1", who(1), "1")
    clock.now += access.TOKEN_S - 0.5
    assert tokens.find(token).member == who(1)
    clock.now += 0.5
    assert tokens.find(token) is None
    tokens.give("chain1", who(2), "2")
    assert len(tokens._held) == len(tokens._of_member) == 1


def test_a_members_tokens_push_out_its_own_and_nobody_elses():
    tokens = Tokens(Clock())
    other = tokens.give("chain1", who(2), "2")
    own = [tokens.give("chain1", written(n), "1") for n in range(access.TOKENS_A_MEMBER_MAX + 3)]
    assert [tokens.find(token) is None for token in own] == [True] * 3 + [False] * access.TOKENS_A_MEMBER_MAX
    assert tokens.find(other) is not None
    assert tokens.find(tokens.give("chain2", who(1), "1")).chain_id == "chain2"


def test_the_table_is_bounded(monkeypatch):
    monkeypatch.setattr(access, "TOKENS_MAX", 10)
    tokens = Tokens(Clock())
    given = [tokens.give("chain1", who(n), str(n)) for n in range(50)]
    assert [tokens.find(token) is not None for token in given] == [False] * 40 + [True] * 10
    assert (len(tokens._held), len(tokens._of_member)) == (10, 10)


def test_a_signed_request_counts_once_while_its_time_is_of_now():
    clock = Clock()
    spent = Spent(clock)
    spent.spend("1", "a")
    spent.spend("2", "a")
    spent.spend("1", "b")
    clock.now += (
        2 * access.WINDOW_S
    )  # a request of the future may be sent from WINDOW_S before its time to WINDOW_S after
    with pytest.raises(AccessError, match="counted before") as refused:
        spent.spend("1", "a")
    assert refused.value.status == 401
    clock.now += 1
    spent.spend("1", "a")
    assert list(spent._until) == [("1", "a")]
    assert spent._of_member == {"1": 1}


def test_one_member_leaves_room_for_others_and_all_have_a_bound(monkeypatch):
    monkeypatch.setattr(access, "SPENT_A_MEMBER_MAX", 5)
    monkeypatch.setattr(access, "SPENT_MAX", 8)
    clock = Clock()
    spent = Spent(clock)
    for n in range(5):
        spent.spend("1", str(n))
    with pytest.raises(AccessError, match="obtain a token") as refused:
        spent.spend("1", "5")
    assert refused.value.status == 503
    for n in range(3):
        spent.spend("2", str(n))
    with pytest.raises(AccessError, match="obtain a token"):
        spent.spend("3", "0")
    with pytest.raises(AccessError, match="counted before"):
        spent.spend("1", "0")  # nothing is forgotten to make room
    clock.now += 2 * access.WINDOW_S + 1
    spent.spend("3", "0")
    assert len(spent._until) == 1


@given(st.lists(st.tuples(st.sampled_from(["give", "wait"]), st.integers(0, 3), st.integers(1, 200)), max_size=60))
def test_a_token_is_found_while_it_holds_and_only_then(steps):
    """Against the list of everything that was ever given."""
    clock = Clock()
    tokens, ever = Tokens(clock), []
    for step, member_number, seconds in steps:
        if step == "wait":
            clock.now += seconds
        else:
            ever.append((tokens.give("c", who(member_number), str(member_number)), member_number, clock.now))
    for at, (token, number, given_at) in enumerate(ever):
        later = sum(1 for _, other, _ in ever[at + 1 :] if other == number)
        live = clock.now < given_at + access.TOKEN_S and later < access.TOKENS_A_MEMBER_MAX
        found = tokens.find(token)
        assert (found is not None) == live
        assert found is None or found.member == who(number)
    assert len({token for token, *_ in ever}) == len(ever)
