"""The table of tokens by itself: how long one holds, whose gives way, and that no request obtains two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.ledger.wire.messages import Member
from changan.node import access
from changan.node.access import AccessError, Tokens


def who(number: int) -> Member:
    return Member(org_id="org", member_info=b"%d" % number)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_ends():
    clock = Clock()
    tokens = Tokens(clock)
    token = tokens.give("chain1", who(1), "a")
    clock.now += access.TOKEN_S - 0.5
    assert tokens.find(token).member == who(1)
    clock.now += 0.5
    assert tokens.find(token) is None
    tokens.give("chain1", who(2), "b")
    assert len(tokens._held) == len(tokens._of_member) == 1


def test_a_members_tokens_push_out_its_own_and_nobody_elses():
    tokens = Tokens(Clock())
    other = tokens.give("chain1", who(2), "x")
    own = [tokens.give("chain1", who(1), str(n)) for n in range(access.TOKENS_A_MEMBER_MAX + 3)]
    assert [tokens.find(token) is None for token in own] == [True] * 3 + [False] * access.TOKENS_A_MEMBER_MAX
    assert tokens.find(other) is not None
    assert tokens.find(tokens.give("chain2", who(1), "another chain")).chain_id == "chain2"


def test_the_tables_are_bounded(monkeypatch):
    monkeypatch.setattr(access, "TOKENS_MAX", 10)
    monkeypatch.setattr(access, "SPENT_MAX", 20)
    tokens = Tokens(Clock())
    given = [tokens.give("chain1", who(n), str(n)) for n in range(50)]
    assert [tokens.find(token) is not None for token in given] == [False] * 40 + [True] * 10
    assert (len(tokens._held), len(tokens._of_member), len(tokens._spent)) == (10, 10, 20)
    with pytest.raises(AccessError):
        tokens.give("chain1", who(1), "49")


@given(
    st.lists(st.tuples(st.sampled_from(["give", "wait", "again"]), st.integers(0, 3), st.integers(1, 200)), max_size=60)
)
def test_a_token_is_found_while_it_holds_and_only_then(steps):
    """Against the list of everything that was ever given."""
    clock = Clock()
    tokens, ever = Tokens(clock), []
    for number, (step, member_number, seconds) in enumerate(steps):
        if step == "wait":
            clock.now += seconds
        elif step == "again" and ever:
            with pytest.raises(AccessError):
                tokens.give("c", who(member_number), ever[-1][2])
        else:
            ever.append((tokens.give("c", who(member_number), str(number)), member_number, str(number), clock.now))
    for at, (token, number, _, given_at) in enumerate(ever):
        later = sum(1 for _, other, _, _ in ever[at + 1 :] if other == number)
        live = clock.now < given_at + access.TOKEN_S and later < access.TOKENS_A_MEMBER_MAX
        found = tokens.find(token)
        assert (found is not None) == live
        assert found is None or found.member == who(number)
    assert len({token for token, *_ in ever}) == len(ever)
