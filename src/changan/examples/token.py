"""A fungible token with allowances."""

from changan.contract import U64, Address, Contract, Event, Map, call, decline, emit, init, require, view


class Transfer(Event):
    """Some of the token changed hands."""

    sender: Address
    to: Address
    amount: U64


class Approval(Event):
    """Somebody may spend from an account."""

    owner: Address
    spender: Address
    amount: U64


class Token(Contract):
    """A fungible token with allowances."""

    issuer: Address
    supply: U64
    balances: Map[Address, U64] = Map(default=U64(0))
    allowances: Map[tuple[Address, Address], U64] = Map(default=U64(0))

    @init
    def create(self, supply: U64) -> None:
        """Issue the whole supply to whoever installs the contract."""
        self.issuer = self.caller
        self.supply = supply
        self.balances[self.caller] = supply

    @call
    def transfer(self, to: Address, amount: U64) -> None:
        """Send an amount of one's own."""
        self._move(self.caller, to, amount)

    @call
    def approve(self, spender: Address, amount: U64) -> None:
        """Let somebody spend up to an amount from one's account."""
        self.allowances[self.caller, spender] = amount
        emit(Approval(owner=self.caller, spender=spender, amount=amount))

    @call
    def transfer_from(self, owner: Address, to: Address, amount: U64) -> None:
        """Send an amount from an account that allowed it."""
        left = self.allowances[owner, self.caller]
        require(left >= amount, "allowance is short")
        self.allowances[owner, self.caller] = left - amount
        self._move(owner, to, amount)

    @call
    def mint(self, to: Address, amount: U64) -> None:
        """Issue more; only the issuer may."""
        require(self.caller == self.issuer, "only the issuer may mint")
        self.supply += amount
        self.balances[to] += amount
        emit(Transfer(sender=Address(), to=to, amount=amount))

    @view
    def balance_of(self, who: Address) -> U64:
        """Return what an account holds."""
        return self.balances[who]

    @view
    def allowance(self, owner: Address, spender: Address) -> U64:
        """Return what the spender may still take from the owner's account."""
        return self.allowances[owner, spender]

    @view
    def total_supply(self) -> U64:
        """Return how much was issued."""
        return self.supply

    def _move(self, source: Address, to: Address, amount: U64) -> None:
        if amount == 0:
            decline("amount is zero")
        if self.balances[source] < amount:
            decline("balance is short")
        self.balances[source] -= amount
        self.balances[to] += amount
        emit(Transfer(sender=source, to=to, amount=amount))
