"""Organisations whose members are keys, registered or open, for the ledger of `consortium` to run on."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from changan.client.requests import Signer
from changan.crypto.key_forms import public_key_pem
from changan.crypto.keys import SigningKey
from changan.crypto.node_ids import node_id
from changan.crypto.sm2 import Sm2PrivateKey
from changan.crypto.suite import Suite, algorithms
from changan.ledger.chain_config import PUBLIC_ORGANISATION, Mode, default_config
from changan.ledger.wire.messages import Member, MemberType
from consortium import Ledger, org_name


def new_key(curve: ec.EllipticCurve | None = None) -> SigningKey:
    made = ec.generate_private_key(curve or ec.SECP256R1())
    return SigningKey(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def new_sm2_key() -> SigningKey:
    return SigningKey(Sm2PrivateKey.generate().private_pem())


def pem_of(signer: Signer) -> str:
    return public_key_pem(signer.key.public).decode()


def key_signer(key: SigningKey, org_id: str = "", hash_name: str = "SHA256", **changes) -> Signer:
    fields = {"org_id": org_id, "member_type": MemberType.PUBLIC_KEY, "member_info": public_key_pem(key.public)}
    return Signer(Member(**{**fields, **changes}), key, hash_name)


class KeyConsortium:
    """Four organisations (or administrators), one node, and users by name; no user is registered by itself."""

    def __init__(self, mode: Mode, organisations: int = 4, suite: Suite = Suite.INTERNATIONAL) -> None:
        self.mode, self.suite = mode, suite
        self.count = organisations
        self._signers: dict[tuple[int, str], Signer] = {}

    def _org(self, number: int) -> str:
        return org_name(number) if self.mode is Mode.KEYS else ""

    def signer(self, org: int = 1, name: str = "client1", role: str = "client") -> Signer:
        del role
        if (org, name) not in self._signers:
            key = new_sm2_key() if self.suite is Suite.NATIONAL else new_key()
            self._signers[org, name] = key_signer(key, self._org(org), algorithms(self.suite).digest_name)
        return self._signers[org, name]

    def admin(self, org: int = 1) -> Signer:
        return self.signer(org, "admin1")

    def admins(self) -> list[Signer]:
        return [self.admin(number + 1) for number in range(self.count)]

    def node(self) -> Signer:
        return self.signer(1, "consensus1")

    def config(self, chain_id: str = "chain1", **options):
        names = [self._org(number + 1) or PUBLIC_ORGANISATION for number in range(self.count)]
        roots = [(name, pem_of(admin)) for name, admin in zip(names, self.admins(), strict=True)]
        nodes = [(names[0], node_id(self.node().key.public.der))]
        return default_config(chain_id, roots, nodes, mode=self.mode, suite=self.suite, **options)


def key_ledger(mode: Mode, suite: Suite = Suite.INTERNATIONAL, **options) -> Ledger:
    consortium = KeyConsortium(mode, suite=suite)
    return Ledger(consortium, sealer=consortium.node(), **options)
