"""Weighted voting: members with weights vote on proposals until a deadline."""

from typing import Annotated

from annotated_types import MaxLen

from changan.contract import (
    U64,
    Address,
    Bool,
    Contract,
    Event,
    List,
    Map,
    Record,
    Text,
    call,
    emit,
    init,
    require,
    view,
)

Title = Annotated[Text, MaxLen(256)]


class Proposal(Record):
    """One question and its votes so far."""

    deadline: U64
    yes: U64
    no: U64
    title: Title


class Voted(Event):
    """Somebody voted."""

    proposal: U64
    voter: Address
    yes: Bool
    weight: U64


class Voting(Contract):
    """The chair gives weights and puts questions; each member votes once on each."""

    chair: Address
    total: U64
    weights: Map[Address, U64] = Map(default=U64(0))
    proposals: List[Proposal]
    voted: Map[tuple[U64, Address], Bool]

    @init
    def create(self) -> None:
        """Make whoever installs the contract the chair."""
        self.chair = self.caller

    @call
    def set_weight(self, member: Address, weight: U64) -> None:
        """Give a member a weight; 0 takes the vote away. Votes that were cast stay."""
        require(self.caller == self.chair, "only the chair may do this")
        self.total = self.total - self.weights[member] + weight
        self.weights[member] = weight

    @call
    def propose(self, title: Title, seconds: U64) -> U64:
        """Put a question that stays open for so many seconds. Returns its number."""
        require(self.caller == self.chair, "only the chair may do this")
        number = len(self.proposals)
        self.proposals.append(Proposal(deadline=self.time + seconds, yes=U64(0), no=U64(0), title=title))
        return U64(number)

    @call
    def vote(self, proposal: U64, yes: Bool) -> None:
        """Vote once on a question that is open."""
        weight = self.weights[self.caller]
        require(weight > 0, "you have no vote")
        found = self.proposals[proposal]
        require(self.time <= found.deadline, "the vote is closed")
        require((proposal, self.caller) not in self.voted, "you have voted")
        self.voted[proposal, self.caller] = yes
        self.proposals[proposal] = Proposal(
            deadline=found.deadline,
            yes=found.yes + (weight if yes else U64(0)),
            no=found.no + (U64(0) if yes else weight),
            title=found.title,
        )
        emit(Voted(proposal=proposal, voter=self.caller, yes=yes, weight=weight))

    @view
    def result(self, proposal: U64) -> Proposal:
        """Return a question with its votes so far."""
        return self.proposals[proposal]

    @view
    def passed(self, proposal: U64) -> Bool:
        """Whether more than half of all weight voted yes."""
        return self.proposals[proposal].yes * 2 > self.total
