"""Gas accounts: what a transaction costs beside what its contract used, whose account pays, and what is in it.

Source of the prices, codes and words: the recorded answers of ChainMaker 2.3.7 with gas on. A Python contract costs the
base, the price of the bytes sent, and the gas that the contract language counts.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from changan.crypto.addresses import ZXL_PREFIX
from changan.ledger.system import LANE, OWN, SystemContract
from changan.ledger.wire.messages import AddrType, TxStatusCode

if TYPE_CHECKING:
    from changan.ledger.state import Overlay, Rows
    from changan.ledger.wire.messages import ChainConfig, Payload

ACCOUNTS = SystemContract.ACCOUNT_MANAGER.value
CONTRACT_GAS_MAX = 1_000_000
"""The most that one call of a contract may use, whatever its sender would pay."""
LIMIT_CODE = 4
"""The code of a contract result whose gas passed the sender's limit; the transaction's own code is then 0."""
_BALANCE = "__account_prefix__"
_FROZEN = "__frozen_account__"
_INSTALLS = frozenset({"INIT_CONTRACT", "UPGRADE_CONTRACT"})
_SYSTEM = frozenset(name.value for name in SystemContract)


class Unpaid(NamedTuple):
    """Why a transaction does not run: code and words."""

    code: int
    message: str


class Fare(NamedTuple):
    """What a transaction is charged to, and with what bounds."""

    account: str
    balance: int
    limit: int
    base: int  # for the transaction itself, whatever the contract does

    @property
    def allowance(self) -> int:
        """How much gas is left for the contract, or for all rows of a bundle together."""
        return self.limit - self.base


def address_text(address: bytes, address_type: int) -> str:
    """Return an account's address as rows and configurations have it."""
    return f"{ZXL_PREFIX if address_type == AddrType.ZXL else ''}{address.hex()}"


def balance_of(rows: Rows | Overlay, account: str) -> int:
    """Return how much gas an account holds."""
    return int(rows.get(ACCOUNTS, _BALANCE + account) or b"0")


def balance_row(account: str) -> str:
    """Return the row key of an account's balance."""
    return _BALANCE + account


def is_frozen(rows: Rows | Overlay, account: str) -> bool:
    """Whether an account may not be charged."""
    return rows.get(ACCOUNTS, _FROZEN + account) == b"1"


def frozen_row(account: str) -> str:
    """Return the row key of whether an account is frozen."""
    return _FROZEN + account


def short_balance(account: str, balance: int, amount: int) -> str:
    """Return the words for an account that cannot pay."""
    return f"please check [addr:{account}] balance, gasBalance[{balance}] < chargeGasAmount[{amount}]"


def frozen_words(account: str) -> str:
    """Return the words for an account that is frozen, as ChainMaker writes them."""
    return f" {account} accout is frozened"


def limit_words(limit: int, used: int) -> str:
    """Return the words for a call that passed its sender's limit."""
    return f"gas limit is not enough, [limit:{limit}]/[gasUsed:{used}]"


def is_priced(payload: Payload) -> bool:
    """Whether a transaction costs gas: calls of contracts, installations, and multi-signs."""
    if payload.contract_name == SystemContract.CONTRACT_MANAGE:
        return payload.method in _INSTALLS
    return payload.contract_name == SystemContract.MULTI_SIGN or payload.contract_name not in {*_SYSTEM, OWN, LANE}


def fare(config: ChainConfig, rows: Rows, payload: Payload, payer: bytes) -> Fare | Unpaid | None:
    """Return what a transaction is charged to, or why it does not run; None where it costs nothing."""
    if not config.account_config.enable_gas or not is_priced(payload):
        return None
    if not payload.HasField("limit"):
        return Unpaid(TxStatusCode.GAS_LIMIT_NOT_SET, "field `GasLimit` must be set in payload.")
    account, limit = address_text(payer, config.vm.addr_type), payload.limit.gas_limit
    if is_frozen(rows, account):
        return Unpaid(TxStatusCode.GAS_BALANCE_NOT_ENOUGH_FAILED, frozen_words(account))
    balance = balance_of(rows, account)
    if balance < limit:
        words = short_balance(account, balance, limit)
        return Unpaid(TxStatusCode.GAS_BALANCE_NOT_ENOUGH_FAILED, words)
    return Fare(account, balance, limit, _base(config, payload))


def _base(config: ChainConfig, payload: Payload) -> int:
    prices = config.account_config
    install = payload.contract_name == SystemContract.CONTRACT_MANAGE
    base, price = (
        (prices.install_base_gas, prices.install_gas_price)
        if install
        else (prices.default_gas, prices.default_gas_price)
    )
    texts = [payload.contract_name, payload.method, payload.tx_id, *(pair.key for pair in payload.parameters)]
    size = sum(len(text.encode()) for text in texts) + sum(len(pair.value) for pair in payload.parameters)
    # The price travels in 32 bits; what people wrote are its first seven digits.
    return base + math.ceil(Fraction(f"{price:.7g}") * size)
