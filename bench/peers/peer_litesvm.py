"""LiteSVM: transfers of lamports, signed beforehand, executed one by one with their signatures checked."""

from __future__ import annotations

import sys

from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from timed import one_by_one

ACCOUNTS = 64
RATE_GUESSED = 40_000


def main() -> None:
    """Print what came of it as JSON."""
    seconds = float(sys.argv[1])
    machine = LiteSVM().with_transaction_history(0)
    keys = [Keypair() for _ in range(ACCOUNTS)]
    for key in keys:
        machine.airdrop(key.pubkey(), 10**12)
    recent = machine.latest_blockhash()

    def signed(number: int) -> Transaction:
        source, target = keys[number % ACCOUNTS], keys[(number * 7 + 1) % ACCOUNTS]
        wanted = TransferParams(from_pubkey=source.pubkey(), to_pubkey=target.pubkey(), lamports=1000 + number)
        return Transaction([source], Message([transfer(wanted)], source.pubkey()), recent)

    made = [signed(number) for number in range(int(seconds * RATE_GUESSED))]
    one_by_one(made, lambda each: not isinstance(machine.send_transaction(each), FailedTransactionMetadata), seconds)


if __name__ == "__main__":
    main()
