"""SmallBank: the six transactions that databases are measured with, over checking and savings accounts."""

from changan.contract import I64, U64, Bool, Contract, Map, call, decline, require, view


class SmallBank(Contract):
    """Accounts by number, each with a checking and a savings balance."""

    checking: Map[U64, I64]
    savings: Map[U64, I64]

    @call
    def create(self, account: U64, checking: I64, savings: I64) -> None:
        """Open an account."""
        require(account not in self.checking, "the account exists")
        self.checking[account] = checking
        self.savings[account] = savings

    @view
    def balance(self, account: U64) -> I64:
        """Return both balances together."""
        return self.checking[account] + self.savings[account]

    @call
    def deposit_checking(self, account: U64, amount: I64) -> None:
        """Pay in."""
        require(amount >= 0, "the amount is negative")
        self.checking[account] += amount

    @call
    def transact_savings(self, account: U64, amount: I64) -> None:
        """Change the savings by an amount, which may be negative."""
        require(self.savings[account] + amount >= 0, "savings are short")
        self.savings[account] += amount

    @call
    def send_payment(self, source: U64, to: U64, amount: I64) -> None:
        """Pay from one checking balance to another."""
        require(amount >= 0, "the amount is negative")
        if self.checking[source] < amount:
            decline("checking is short")
        self.checking[source] -= amount
        self.checking[to] += amount

    @call
    def write_check(self, account: U64, amount: I64) -> Bool:
        """Pay a check; an overdraft costs a penalty of 1. Returns whether there was one."""
        overdrawn = self.checking[account] + self.savings[account] < amount
        if overdrawn:
            self.checking[account] -= amount + 1
        else:
            self.checking[account] -= amount
        return overdrawn

    @call
    def amalgamate(self, source: U64, to: U64) -> None:
        """Move everything of one account to another's checking balance."""
        total = self.savings[source] + self.checking[source]
        self.savings[source] = I64(0)
        self.checking[source] = I64(0)
        self.checking[to] += total
