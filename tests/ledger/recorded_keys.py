"""The recorded requests of a registered-key chain (rows A) and of a public one (rows B): who sends what, row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from changan.client.requests import Signer, install_parameters
from changan.crypto.keys import SigningKey
from changan.crypto.suite import Suite, algorithms
from changan.ledger.chain_config import Mode
from changan.ledger.wire.messages import Member, MemberType
from consortium import EXAMPLES, Consortium, org_name
from key_consortium import key_ledger, key_signer, new_key, new_sm2_key, pem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RECORD = Path(__file__).parent.parent / "vectors" / "chainmaker" / "recorded-requests-of-keys.json"
PUT = {"k": "a", "v": "b"}
BLOCK = {"block_interval": "300"}


class Recorded(NamedTuple):
    row: str
    request: str
    call: str
    reply: str
    in_block: str


def read_record(table: str) -> list[Recorded]:
    rows = [Recorded(**item) for item in json.loads(RECORD.read_text(encoding="utf-8"))]
    return [row for row in rows if row.row.startswith(table)]


class Sent(NamedTuple):
    """What goes into a request beside contract and method."""

    sender: Signer
    parameters: dict = PUT
    endorsers: Iterable[Signer] = ()
    spoil: Callable[[bytes], bytes] | None = None  # of the sender's signature


class Bench:
    """A chain, and people by name."""

    def __init__(self, mode: Mode, suite: Suite = Suite.INTERNATIONAL) -> None:
        self.suite, self._hash_name = suite, algorithms(suite).digest_name
        self.ledger = key_ledger(mode, suite, admits=[Suite.INTERNATIONAL])  # some rows send keys of other curves
        friends = self.ledger.consortium
        self.admins = friends.admins()
        self.admin, self.node = self.admins[0], friends.node()
        self.client = friends.signer(1, "client1")
        self.certificate = Consortium().signer()
        self._org = org_name(1) if mode is Mode.KEYS else ""
        self._people: dict[str, Signer] = {}

    def person(self, name: str, curve: ec.EllipticCurve | None = None) -> Signer:
        if name not in self._people:
            key = new_sm2_key() if self.suite is Suite.NATIONAL and curve is None else new_key(curve)
            self._people[name] = key_signer(key, self._org, self._hash_name)
        return self._people[name]

    def rsa(self, form: str = "") -> Signer:
        made = rsa.generate_private_key(65537, 2048)
        signer = key_signer(
            SigningKey(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())), hash_name=self._hash_name
        )
        if form:
            pem = made.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
            signer.member.member_info = pem.replace(b"RSA PUBLIC KEY", form.encode())
        return signer


def other(signer: Signer, **changes) -> Signer:
    """The same key under another name."""
    member = Member.FromString(signer.member.SerializeToString())
    for name, value in changes.items():
        setattr(member, name, value)
    return Signer(member, signer.key, signer.hash_name)


def add(signer: Signer | str | None, role: str | None = "client", org: int = 1) -> dict[str, str]:
    parameters = {"org_id": org_name(org)}
    if signer is not None:
        parameters["pubkey"] = signer if isinstance(signer, str) else pem_of(signer)
    if role is not None:
        parameters["role"] = role
    return parameters


def fact(name: str = "fact", version: str = "1.0") -> dict:
    return install_parameters(name, version, (EXAMPLES / "evidence.py").read_bytes(), {})


def named(name: str = "fact") -> dict[str, str]:
    return {"CONTRACT_NAME": name}


def root(signer: Signer | str, org_id: str) -> dict[str, str]:
    return {"org_id": org_id, "root": signer if isinstance(signer, str) else pem_of(signer)}


def by_all(bench: Bench, parameters: dict | None = None, count: int = 4) -> Sent:
    return Sent(bench.client, parameters or {}, bench.admins[:count])


ORG1 = org_name(1)
KEYS: dict[str, Callable[[Bench], Sent]] = {
    "A1": lambda b: Sent(b.admin),
    "A2": lambda b: Sent(b.admin),
    "A3": lambda b: Sent(b.client),
    "A4": lambda b: Sent(b.client),
    "A6": lambda b: Sent(b.node),
    "A7": lambda b: Sent(b.node),
    "A8": lambda b: Sent(b.person("common node")),
    "A9": lambda b: Sent(other(b.admin, org_id=org_name(2))),
    "A11": lambda b: Sent(other(b.admin, member_type=MemberType.CERT)),
    "A12": lambda b: Sent(other(b.admin, member_type=MemberType.CERT_HASH)),
    "A13": lambda b: Sent(other(b.admin, member_info=b"junk")),
    "A14": lambda b: Sent(other(b.admin, member_info=b"")),
    "A16": lambda b: Sent(b.admin, spoil=lambda _: b.admin.key.sign(b"other bytes", "SHA256")),
    "A17": lambda b: Sent(b.certificate),
    "A18": lambda b: Sent(b.client, add(b.client)),
    "A19": lambda b: Sent(b.admins[1], add(b.client), [b.admins[1]]),
    "A21": lambda b: Sent(b.admin, add(b.client)),
    "A22": lambda b: Sent(b.client),
    "A23": lambda b: Sent(b.client),
    "A24": lambda b: Sent(other(b.client, org_id=org_name(2))),
    "A26": lambda b: Sent(b.admin, add(b.client)),
    "A31": lambda b: Sent(b.admin, add(b.person("light"), "light")),
    "A32": lambda b: Sent(b.person("light")),
    "A33": lambda b: Sent(b.person("light")),
    "A34": lambda b: Sent(b.admin, add(b.person("common"), "common")),
    "A36": lambda b: Sent(b.person("common")),
    "A37": lambda b: Sent(b.admin, add(b.person("x"), "admin")),
    "A38": lambda b: Sent(b.admin, add(b.person("x"), "consensus")),
    "A39": lambda b: Sent(b.admin, add(b.person("CLIENT"), "CLIENT")),
    "A41": lambda b: Sent(b.person("CLIENT")),
    "A42": lambda b: Sent(b.admin, add(b.person("x"), "nosuch")),
    "A43": lambda b: Sent(b.admin, add(b.person("x"), "")),
    "A44": lambda b: Sent(b.admin, add(None)),
    "A46": lambda b: Sent(b.admin, add(b.person("x"), None)),
    "A47": lambda b: Sent(b.admin, add("junk")),
    "A48": lambda b: Sent(b.client, add(b.person("x"), org=9), [b.admin]),
    "A49": lambda b: Sent(b.admin, add(b.admins[1])),
    "A51": lambda b: Sent(b.admin, {"pubkey": pem_of(b.client)}),
    "A52": lambda b: Sent(b.client, {"pubkey": pem_of(b.client)}),
    "A53": lambda b: Sent(b.admin, {"pubkey": pem_of(b.person("nobody"))}),
    "A54": lambda b: Sent(b.admin, {"pubkey": "junk"}),
    "A56": lambda b: Sent(b.admin, {"pubkey": pem_of(b.admin)}),
    "A57": lambda b: Sent(b.admin, add(b.person("leaver"))),
    "A58": lambda b: Sent(b.client, add(b.person("leaver"), None)),
    "A59": lambda b: Sent(b.client, add(b.person("leaver"), None), [b.admins[1]]),
    "A62": lambda b: Sent(b.admin, add(b.person("second"))),
    "A63": lambda b: Sent(b.admin, add(b.person("second"), None)),
    "A64": lambda b: Sent(b.person("second")),
    "A66": lambda b: Sent(b.admin, {"pubkey": pem_of(b.client)}),
    "A67": lambda b: Sent(b.admin, {"org_id": ORG1}),
    "A68": lambda b: Sent(b.admin, add(b.person("p384", ec.SECP384R1()))),
    "A69": lambda b: Sent(b.person("p384")),
    **dict.fromkeys(("A72", "A74", "A76", "A77", "A78", "A81", "A82", "A83"), by_all),
    "A73": lambda b: by_all(b, {"cert_hashes": "ab" * 32}),
    "A79": lambda b: by_all(b, {"aliases": "x"}),
    "A84": lambda b: Sent(b.client, fact()),
    "A93": lambda b: Sent(b.client, fact(version="2.0")),
    "A94": lambda b: by_all(b, fact(version="2.0"), 2),
    "A96": lambda b: by_all(b, named(), 3),
    "A97": lambda b: by_all(b, named(), 3),
    "A98": lambda b: Sent(b.admin, BLOCK),
    "A99": lambda b: by_all(b, BLOCK, 2),
    "A101": lambda b: by_all(b, BLOCK, 3),
    "A102": lambda b: Sent(b.admin, root(b.admin, ORG1)),
    "A103": lambda b: Sent(b.client, root(b.admin, ORG1), [b.admins[1]]),
    "A104": lambda b: Sent(b.client, root(b.admin, ORG1)),
    "A106": lambda b: by_all(b, root(b.person("new admin"), org_name(7)), 3),
    "A107": lambda b: Sent(other(b.person("new admin"), org_id=org_name(7))),
    "A108": lambda b: by_all(b, root("junk", org_name(8)), 3),
    "A109": lambda b: by_all(b, root(b.person("second admin"), org_name(7)), 3),
    "A112": lambda b: by_all(b, {"org_id": ORG1}, 3),
    "A113": lambda b: Sent(b.client, {"org_id": ORG1}),
    "A114": lambda b: Sent(b.client, {}),
    "A116": lambda b: Sent(b.client, {}),
    "A117": lambda b: Sent(b.admin, add(b.person("last"))),
    "A118": lambda b: Sent(b.person("last")),
}
_FORBIDDEN = [f"B{n}" for n in (41, 42, 51, 52, 57, 58, 59, 61, 62, 66, 67, 68, 69, 71, 72, 73, 74, 76, 77, 79)]
PUBLIC: dict[str, Callable[[Bench], Sent]] = {
    "B1": lambda b: Sent(b.client),
    "B2": lambda b: Sent(b.person("stranger")),
    "B3": lambda b: Sent(b.person("stranger")),
    "B4": lambda b: Sent(b.node),
    "B6": lambda b: Sent(other(b.client, org_id="made-up")),
    "B7": lambda b: Sent(other(b.client, org_id="public")),
    "B8": lambda b: Sent(other(b.client, member_type=MemberType.CERT)),
    "B9": lambda b: Sent(other(b.client, member_type=MemberType.CERT_HASH)),
    "B11": lambda b: Sent(other(b.client, member_type=MemberType.ADDR)),
    "B12": lambda b: Sent(other(b.client, member_info=b"junk")),
    "B13": lambda b: Sent(other(b.client, member_info=b"")),
    "B14": lambda b: Sent(b.client, spoil=lambda _: b"garbage"),
    "B16": lambda b: Sent(b.client, spoil=lambda _: b""),
    "B19": lambda b: Sent(other(b.client, member_info=pem_of(b.client).rstrip().encode())),
    "B21": lambda b: Sent(b.certificate),
    "B22": lambda b: Sent(b.client, fact()),
    "B23": lambda b: Sent(b.client, fact(), [b.person("client2")]),
    "B24": lambda b: Sent(b.admin, fact()),
    "B34": lambda b: Sent(b.client, fact(version="2.0")),
    "B36": lambda b: Sent(b.client, named()),
    "B37": lambda b: Sent(b.admin, named()),
    "B38": lambda b: Sent(b.admin, named()),
    "B39": lambda b: Sent(b.admin, named()),
    **dict.fromkeys(_FORBIDDEN, by_all),
    "B43": lambda b: Sent(b.client, BLOCK),
    "B44": lambda b: Sent(b.admin, BLOCK),
    "B46": lambda b: Sent(b.client, BLOCK, [b.admin] * 3),
    "B47": lambda b: Sent(b.admin, BLOCK, b.admins[1:3]),
    "B48": lambda b: by_all(b, BLOCK, 3),
    "B49": lambda b: by_all(b, {"k": "v"}, 3),
    "B56": lambda b: by_all(b, root("junk", "public"), 3),
    "B63": lambda b: by_all(b, {"org_id": "public", "node_ids": "bad"}, 3),
    "B64": lambda b: Sent(b.client, {"org_id": "public", "node_ids": "bad"}),
    "B74": lambda b: by_all(b, {"cert_hashes": "ab" * 32}),
    "B78": lambda b: Sent(b.client, {"pubkey": pem_of(b.client)}),
    "B83": lambda b: Sent(b.client, {}),
    "B84": lambda b: Sent(b.client, {"address_key": "11" * 20}),
    "B86": lambda b: Sent(b.rsa()),
    "B87": lambda b: Sent(b.rsa("RSA PUBLIC KEY")),
    "B88": lambda b: Sent(b.rsa("PUBLIC KEY")),
}
