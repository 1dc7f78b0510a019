"""An asset register: who owns what, everything that ever happened to it, and transfers that others must approve."""

from typing import Annotated

from annotated_types import MaxLen

from changan.contract import (
    U64,
    Address,
    Contract,
    Digest,
    Enum,
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

Name = Annotated[Text, MaxLen(128)]


class State(Enum):
    """Where an asset stands."""

    FREE = 0
    OFFERED = 1
    RETIRED = 2


class Asset(Record):
    """One asset."""

    owner: Address
    state: State
    offered_to: Address
    name: Name


class Step(Record):
    """One thing that happened to an asset."""

    asset: Digest
    who: Address
    time: U64
    state: State


class Moved(Event):
    """An asset changed hands."""

    asset: Digest
    sender: Address
    to: Address


class Assets(Contract):
    """Assets change hands only when the new owner accepts and, above a threshold, the approver agrees."""

    approver: Address
    assets: Map[Digest, Asset]
    approvals: Map[tuple[Digest, Address], U64]
    steps: List[Step]
    steps_of: Map[Digest, U64] = Map(default=U64(0))
    step_at: Map[tuple[Digest, U64], U64]

    @init
    def create(self, approver: Address) -> None:
        """Name who approves transfers."""
        self.approver = approver

    @call
    def register(self, asset: Digest, name: Name) -> None:
        """Register an asset of one's own."""
        require(asset not in self.assets, "the asset is registered already")
        self.assets[asset] = Asset(owner=self.caller, state=State.FREE, offered_to=Address(), name=name)
        self._note(asset, State.FREE)

    @call
    def offer(self, asset: Digest, to: Address) -> None:
        """Offer an asset to somebody."""
        self._need_owner(asset)
        self.assets[asset].state = State.OFFERED
        self.assets[asset].offered_to = to
        self._note(asset, State.OFFERED)

    @call
    def approve(self, asset: Digest, to: Address) -> None:
        """Agree to a transfer; only the approver may."""
        require(self.caller == self.approver, "only the approver may approve")
        self.approvals[asset, to] = self.time

    @call
    def accept(self, asset: Digest) -> None:
        """Take over an asset that was offered and approved."""
        require(asset in self.assets, "the asset is unknown")
        found = self.assets[asset]
        require(found.state == State.OFFERED and found.offered_to == self.caller, "the asset is not offered to you")
        require((asset, self.caller) in self.approvals, "the transfer is not approved")
        del self.approvals[asset, self.caller]
        self.assets[asset] = Asset(owner=self.caller, state=State.FREE, offered_to=Address(), name=found.name)
        self._note(asset, State.FREE)
        emit(Moved(asset=asset, sender=found.owner, to=self.caller))

    @call
    def retire(self, asset: Digest) -> None:
        """Take an asset out of circulation for ever."""
        self._need_owner(asset)
        self.assets[asset].state = State.RETIRED
        self._note(asset, State.RETIRED)

    @view
    def get(self, asset: Digest) -> Asset:
        """Return an asset."""
        require(asset in self.assets, "the asset is unknown")
        return self.assets[asset]

    @view
    def steps_count(self, asset: Digest) -> U64:
        """Return how many things happened to an asset."""
        return self.steps_of[asset]

    @view
    def step(self, asset: Digest, number: U64) -> Step:
        """Return one thing that happened to an asset, counted from 0."""
        require(number < self.steps_of[asset], "there is no such step")
        return self.steps[self.step_at[asset, number]]

    def _need_owner(self, asset: Digest) -> None:
        require(asset in self.assets, "the asset is unknown")
        found = self.assets[asset]
        require(found.owner == self.caller, "only the owner may do this")
        require(found.state != State.RETIRED, "the asset is retired")

    def _note(self, asset: Digest, state: State) -> None:
        number = self.steps_of[asset]
        self.step_at[asset, number] = U64(len(self.steps))
        self.steps_of[asset] = number + 1
        self.steps.append(Step(asset=asset, who=self.caller, time=self.time, state=state))
