"""Payments between accounts of 20-byte ids; each is held by a signer, who is checked on every call."""

from changan.contract import U64, Address, Contract, Event, Map, Record, call, emit, init, require, view


class Account(Record):
    """One account: who may move its money, and how much there is."""

    holder: Address
    balance: U64


class Paid(Event):
    """A payment was made."""

    source: Address
    to: Address
    amount: U64
    reference: U64


class Payments(Contract):
    """A gateway holds many accounts, and names the one it acts for in every call."""

    operator: Address
    accounts: Map[Address, Account]

    @init
    def create(self) -> None:
        """Make whoever installs the contract the operator, who opens accounts."""
        self.operator = self.caller

    @call
    def open(self, account: Address, holder: Address, balance: U64) -> None:
        """Open an account with its holder and first balance."""
        require(self.caller == self.operator, "only the operator may open accounts")
        require(account not in self.accounts, "the account exists")
        self.accounts[account] = Account(holder=holder, balance=balance)

    @call
    def pay(self, source: Address, to: Address, amount: U64, reference: U64) -> None:
        """Pay from an account that the caller holds."""
        payer = self.accounts[source]
        require(payer.holder == self.caller, "the account is held by somebody else")
        require(payer.balance >= amount, "the balance is short")
        self.accounts[source].balance = payer.balance - amount
        self.accounts[to].balance += amount
        emit(Paid(source=source, to=to, amount=amount, reference=reference))

    @call
    def hand_over(self, account: Address, holder: Address) -> None:
        """Give an account to another holder."""
        require(self.accounts[account].holder == self.caller, "the account is held by somebody else")
        self.accounts[account].holder = holder

    @view
    def balance_of(self, account: Address) -> U64:
        """Return an account's balance."""
        return self.accounts[account].balance
