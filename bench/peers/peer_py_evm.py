"""py-evm: transfers of ether, signed beforehand, applied under London's rules, without blocks."""

from __future__ import annotations

import sys

from eth import constants
from eth.chains.base import MiningChain
from eth.consensus.noproof import NoProofConsensus
from eth.db.atomic import AtomicDB
from eth.vm.forks.london import LondonVM
from eth_keys import keys
from timed import one_by_one

ACCOUNTS = 64
RATE_GUESSED = 5_000
GAS, GAS_PRICE = 21_000, 10**9


def main() -> None:
    """Print what came of it as JSON."""
    seconds = float(sys.argv[1])
    secrets = [keys.PrivateKey(number.to_bytes(32, "big")) for number in range(1, ACCOUNTS + 1)]
    people = [secret.public_key.to_canonical_address() for secret in secrets]
    chain_class = MiningChain.configure(
        vm_configuration=((constants.GENESIS_BLOCK_NUMBER, LondonVM.configure(consensus_class=NoProofConsensus)),),
        chain_id=1337,
    )
    chain = chain_class.from_genesis(
        AtomicDB(),
        {"difficulty": 1, "gas_limit": 10**10, "timestamp": 1, "coinbase": constants.ZERO_ADDRESS},
        {address: {"balance": 10**24, "nonce": 0, "code": b"", "storage": {}} for address in people},
    )
    machine = chain.get_vm()
    header = machine.get_header()
    made = [
        machine.create_unsigned_transaction(
            nonce=number // ACCOUNTS,
            gas_price=GAS_PRICE,
            gas=GAS,
            to=people[(number * 7 + 1) % ACCOUNTS],
            value=number,
            data=b"",
        ).as_signed_transaction(secrets[number % ACCOUNTS])
        for number in range(int(seconds * RATE_GUESSED))
    ]
    one_by_one(made, lambda each: not machine.apply_transaction(header, each)[1].is_error, seconds)


if __name__ == "__main__":
    main()
