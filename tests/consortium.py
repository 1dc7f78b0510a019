"""Four organisations in memory, with authorities, users and nodes, and a small ledger to drive without a node."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import changan.examples
from changan.client.requests import Signer, install_parameters, make_payload, sign_request
from changan.crypto.keys import SigningKey
from changan.crypto.node_ids import node_id
from changan.crypto.suite import Suite
from changan.ledger.chain_config import default_config
from changan.ledger.transition import Decided, apply_block, apply_genesis
from changan.ledger.wire.messages import Member, MemberType
from changan.node.pki.authority import Authority
from changan.node.storage import record_of

EXAMPLES = Path(changan.examples.__file__).parent
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODE_ID = node_id(b"the node that orders")
START = int(NOW.timestamp()) + 1000


def org_name(number: int) -> str:
    return f"wx-org{number}.chainmaker.org"


class Consortium:
    def __init__(self, organisations: int = 4, suite: Suite = Suite.INTERNATIONAL) -> None:
        self.suite = suite
        self.authorities = {org_name(n): Authority.create(org_name(n), NOW, suite) for n in range(1, organisations + 1)}
        self._signers: dict[tuple, Signer] = {}

    def signer(self, org: int = 1, name: str = "client1", role: str = "client", **options) -> Signer:
        key = (org, name, role, tuple(options.items()))
        if key not in self._signers:
            issued = self.authorities[org_name(org)].issue(name, role, "sign", NOW, **options)
            member = Member(org_id=org_name(org), member_type=MemberType.CERT, member_info=issued.certificate_pem)
            self._signers[key] = Signer(member, SigningKey(issued.key_pem))
        return self._signers[key]

    def admin(self, org: int = 1) -> Signer:
        return self.signer(org, "admin1", "admin")

    def admins(self) -> list[Signer]:
        return [self.admin(number + 1) for number in range(len(self.authorities))]

    def config(self, chain_id: str = "chain1", **options):
        roots = [(org_id, authority.certificate_pem.decode()) for org_id, authority in self.authorities.items()]
        return default_config(chain_id, roots, [(org_name(1), NODE_ID)], **{"suite": self.suite, **options})


class SealedLog:
    """Blocks as a log holds them, without a disk."""

    def __init__(self, records: list[bytes]) -> None:
        self._records = records
        self.durable_height = len(records) - 1

    def read(self, height: int) -> bytes:
        return self._records[height]


class Ledger:
    """A chain without a node: every `call` is a block."""

    def __init__(self, consortium: Consortium, *, sealer: Signer | None = None, **options) -> None:
        self.consortium = consortium
        self._sealer = sealer  # who signs the blocks, for tests that audit them
        self.config = consortium.config(**options)
        self.world, self.genesis = apply_genesis(self.config)
        self.time_us = START * 1_000_000
        self.blocks = [self.genesis]

    def request(self, contract: str, method: str, parameters=None, *, sender=None, endorsers=(), **changes):
        payload = make_payload(self.config.chain_id, contract, method, parameters or {})
        payload.timestamp = self.time_us // 1_000_000
        for name, value in changes.items():
            setattr(payload, name, value)
        return sign_request(payload, sender or self.consortium.signer(), endorsers)

    def seal(self, *requests):
        self.time_us += 1_000_000
        member = None if self._sealer is None else self._sealer.member
        decided = Decided(self.world.height + 1, self.time_us, member, list(requests), [None] * len(requests))
        applied = apply_block(self.world, decided)
        if self._sealer is not None:
            header = applied.block.header
            header.signature = self._sealer.key.sign(header.block_hash, self._sealer.hash_name)
        self.blocks.append(applied)
        return applied

    def call(self, contract: str, method: str, parameters=None, **options):
        return self.seal(self.request(contract, method, parameters, **options)).block.txs[0].result

    def install(self, name: str, code: bytes | None = None, version: str = "1.0", **arguments):
        code = code or (EXAMPLES / f"{name}.py").read_bytes()
        return self.call(
            "CONTRACT_MANAGE",
            "INIT_CONTRACT",
            install_parameters(name, version, code, arguments),
            sender=self.consortium.admin(),
        )

    def configure(self, method: str, parameters=None, *, endorsers=None, **options):
        """Change the configuration, endorsed by every administrator unless said otherwise."""
        endorsers = self.consortium.admins() if endorsers is None else endorsers
        return self.call("CHAIN_CONFIG", method, parameters, endorsers=endorsers, **options)

    def log(self) -> SealedLog:
        """The blocks so far, as an audit reads them."""
        return SealedLog([record_of(applied) for applied in self.blocks])

    def manage(self, method: str, parameters):
        return self.call("CONTRACT_MANAGE", method, parameters, endorsers=self.consortium.admins())
