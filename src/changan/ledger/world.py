"""Everything that decides the future of a chain, in one place: rows, contracts, members, remembered ids, the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.contract.engines import plain
from changan.crypto.batch.verifier import BatchVerifier
from changan.crypto.bls import require_library
from changan.ledger.chain_config import Mode, block_version, chain_digest, is_distilled, mode_of
from changan.ledger.clients import Clients
from changan.ledger.commitment import StateCommitment
from changan.ledger.key_members import KeyMembers
from changan.ledger.members import Members
from changan.ledger.native.cert_manage import read_records
from changan.ledger.native.chain_config import read_config
from changan.ledger.native.pubkey_manage import read_keys
from changan.ledger.policy import Policies
from changan.ledger.remembered import RememberedIds
from changan.ledger.roots import Roots
from changan.ledger.rule_sets import RULES, rules_at
from changan.ledger.state import Rows, Write
from changan.ledger.system import OWN

if TYPE_CHECKING:
    from changan.contract.engines import AnyInstance, Engine
    from changan.ledger.wire.messages import ChainConfig


class World:
    """The state of one chain at the end of its last block."""

    def __init__(self, config: ChainConfig, engine: Engine = plain) -> None:
        self.engine = engine
        self.rows = Rows()
        self.instances: dict[str, AnyInstance] = {}
        self.digest = chain_digest(config)
        self.remembered = RememberedIds(self.digest)
        self.roots = Roots(self.digest)
        self.signatures = BatchVerifier()
        self.commitment = StateCommitment(self.roots)
        self.height = -1
        self.block_hash = b""
        self.block_time_us = 0
        self.config_height = 0
        self.epoch = 0
        self.rules_known = RULES
        self._adopt(config)

    def _adopt(self, config: ChainConfig) -> None:
        self.config = config
        self.block_version = block_version(config.version)
        self.members = self._members(config)
        self.policies = Policies(config, self.members.voters)
        self.clients = self._clients(config)

    def _members(self, config: ChainConfig) -> Members:
        if mode_of(config) is Mode.CERTIFICATES:
            return Members(config, read_records(self.rows), self.digest)
        return KeyMembers(config, read_keys(self.rows), self.digest)

    def _clients(self, config: ChainConfig) -> Clients | None:
        """Return the clients of the distilled lane, None where it is closed. Raises BlsMissingError."""
        if not is_distilled(config):
            return None
        require_library()
        return Clients(self.rows, self.members, self.policies)

    def begin_epoch(self) -> None:
        """Read configuration, members and policies again: a block changed them. Cached verdicts end here."""
        self.epoch += 1
        self._adopt(read_config(self.rows))

    def use(self, roots: Roots) -> None:
        """Make roots in another way from now on."""
        self.roots = roots
        self.commitment.use(roots)

    @property
    def rules(self) -> int:
        """By which rules the next block is executed."""
        return rules_at(self.config, self.height + 1)

    @property
    def tx_timeout(self) -> int | None:
        """How far a transaction's time may lie from the block's, in seconds; None where times are not checked."""
        return self.config.block.tx_timeout if self.config.block.tx_timestamp_verify else None

    @property
    def row_count(self) -> int:
        """How many rows the contracts hold."""
        return sum(instance.row_count for instance in self.instances.values())

    def commit(self, write: Write) -> None:
        """Make one write of a system contract part of the state. Rows of Python contracts live in their instances."""
        if write.contract not in self.instances:
            self.rows.put(write)

    def row(self, contract: str, key: str) -> bytes | None:
        """Return the value of any row of the state, or None."""
        if contract == OWN:
            return self.remembered.row(key)
        instance = self.instances.get(contract)
        return self.rows.get(contract, key) if instance is None else instance.get(key)
