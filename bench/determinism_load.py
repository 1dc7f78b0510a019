"""The transactions of determinism.py: seeded, on every shipped contract, signed by eight members, many of them meant to fail.

Keys are fresh each time, so addresses differ from run to run of the program; within one run all processes read one file.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from changan.client.requests import Signer, install_parameters, make_payload, sign_request
from changan.crypto.addresses import contract_address, user_address
from changan.crypto.digest import sha256
from changan.crypto.keys import SigningKey
from changan.ledger.chain_config import default_config
from changan.ledger.wire.messages import ChainConfig, Member, MemberType, TxRequest
from changan.node.pki.authority import Authority

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START_US = int(NOW.timestamp() + 1000) * 1_000_000
TX_TIMEOUT_S = 30
ORGANISATIONS = tuple(f"wx-org{number}.chainmaker.org" for number in range(1, 5))
ACCOUNTS = 300
Called = tuple[str, str, "Mapping[str, str | bytes]"]
"""Contract, method and parameters."""
_HEAD = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")

TELLER = '''"""Calls token and payments in one go, and can be told to run out of gas."""

from changan.contract import U64, Address, Contract, Event, Interface, Map, call, emit, init, view


class Token(Interface):
    """What is called of a token."""

    @call
    def transfer(self, to: Address, amount: U64) -> None:
        """Send."""
        raise NotImplementedError

    @view
    def balance_of(self, who: Address) -> U64:
        """Ask."""
        raise NotImplementedError


class Payments(Interface):
    """What is called of payments."""

    @call
    def pay(self, source: Address, to: Address, amount: U64, reference: U64) -> None:
        """Pay."""
        raise NotImplementedError


class Done(Event):
    """A round is over."""

    to: Address
    left: U64


class Teller(Contract):
    """Two contracts, one fate."""

    me: Address
    token: Address
    payments: Address
    rounds: Map[Address, U64] = Map(default=U64(0))

    @init
    def create(self, me: Address, token: Address, payments: Address) -> None:
        """Name the contracts that are called, and this one's own address."""
        self.me = me
        self.token = token
        self.payments = payments

    @call
    def give(self, to: Address, amount: U64) -> U64:
        """Send of the teller's own tokens; says what is left."""
        self.rounds[to] += 1
        Token(self.token).transfer(to, amount)
        left = Token(self.token).balance_of(self.me)
        emit(Done(to=to, left=left))
        return left

    @call
    def both(self, to: Address, source: Address, amount: U64) -> None:
        """Send, then pay, which fails unless the teller holds the account: then nothing of it stays."""
        self.rounds[to] += 1
        Token(self.token).transfer(to, amount)
        Payments(self.payments).pay(source, to, amount, self.rounds[to])

    @call
    def spin(self, count: U64) -> U64:
        """Count for nothing."""
        total = U64(0)
        for i in range(count):
            total += U64(i) % 7
        return total
'''


class Block(NamedTuple):
    """A block as ordering would give it: its time and its requests' bytes."""

    time_us: int
    requests: list[bytes]


def write_blocks(path: Path, blocks: list[Block]) -> None:
    """Keep blocks in a file."""
    with path.open("wb") as file:
        for block in blocks:
            file.write(_HEAD.pack(block.time_us, len(block.requests)))
            for request in block.requests:
                file.write(_LENGTH.pack(len(request)) + request)


def read_blocks(path: Path) -> Iterator[tuple[int, list[TxRequest]]]:
    """Yield the time and requests of each block of a file."""
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            time_us, count = _HEAD.unpack(head)
            requests = []
            for _ in range(count):
                (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
                requests.append(TxRequest.FromString(file.read(length)))
            yield time_us, requests


class Load:
    """Makes the genesis and the transactions."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        authorities = {name: Authority.create(name, NOW) for name in ORGANISATIONS}
        roots = [(name, authority.certificate_pem.decode()) for name, authority in authorities.items()]
        self.config: ChainConfig = default_config(
            "chain1", roots, [(ORGANISATIONS[0], "QmNode")], tx_timeout_s=TX_TIMEOUT_S
        )
        self._clients = [_signer(authorities[ORGANISATIONS[n % 4]], f"client{n}", "client") for n in range(8)]
        self._admins = [_signer(authorities[name], "admin1", "admin") for name in ORGANISATIONS]
        kind = self.config.vm.addr_type
        self._addresses = [user_address(signer.key.public, kind, sha256).hex() for signer in self._clients]
        self._numbers = 0
        self._version = 1
        self._frozen = False
        self._aliases = 0
        self._questions = 20
        self._assets: list[list[str]] = [[] for _ in self._clients]
        self._offers: list[tuple[str, int]] = []

    def _sign(self, at_us: int, sender: Signer, call: Called, *, admins: bool = False) -> bytes:
        self._numbers += 1
        payload = make_payload("chain1", *call, tx_id=f"{self._numbers:064x}")
        payload.timestamp = at_us // 1_000_000 + self._dice.randrange(-3, 4)
        return sign_request(payload, sender, self._admins if admins else ()).SerializeToString()

    def founding(self) -> list[Block]:
        """Return the blocks that install the contracts and fill the accounts; each holds one transaction."""
        names = ("evidence", "token", "asset", "smallbank", "voting", "payments", "aliasing")
        kind = self.config.vm.addr_type
        token, payments, teller = (contract_address(name, kind) for name in ("token", "payments", "teller"))
        arguments: dict[str, dict[str, str]] = {
            "token": {"supply": str(10**12)},
            "asset": {"approver": self._addresses[1]},
            "teller": {"me": teller, "token": token, "payments": payments},
        }
        sources = {name: resources.files("changan.examples").joinpath(f"{name}.py").read_bytes() for name in names}
        sources["teller"] = TELLER.encode()
        at = START_US
        blocks = []
        for name, source in sources.items():
            at += 1_000
            parameters = install_parameters(name, "1.0", source, arguments.get(name, {}))
            call = ("CONTRACT_MANAGE", "INIT_CONTRACT", parameters)
            blocks.append(Block(at, [self._sign(at, self._clients[0], call, admins=True)]))
        self._sources = sources
        calls: list[Called] = []
        for holder in [*self._addresses, teller]:
            calls.append(("token", "transfer", {"to": holder, "amount": str(10**9)}))
            calls.append(("voting", "set_weight", {"member": holder, "weight": str(1 + self._dice.randrange(9))}))
        calls += [("voting", "propose", {"title": f"题目 {n}", "seconds": "100000"}) for n in range(self._questions)]
        for number in range(ACCOUNTS):
            money = str(self._dice.randrange(10_000))
            calls.append(("smallbank", "create", {"account": str(number), "checking": money, "savings": money}))
            holder = teller if number % 10 == 9 else self._addresses[number % 8]
            calls.append(("payments", "open", {"account": _account(number), "holder": holder, "balance": money}))
        at += 1_000
        blocks.append(Block(at, [self._sign(at, self._clients[0], call) for call in calls]))
        return blocks

    def one(self, at_us: int, *, timeless: bool) -> tuple[bytes, bool]:
        """Return one random transaction and whether it must be alone in its block."""
        dice = self._dice
        who = dice.randrange(8)
        if not timeless and dice.random() < 0.002:
            return self._system(at_us), True
        if dice.random() < 0.03:
            call = self._nonsense()
        elif timeless or dice.random() < 0.6:
            call = dice.choice((self._token, self._bank, self._aliasing, self._payment, self._teller))(who)
        else:
            call = dice.choice((self._evidence, self._asset, self._vote))(who)
        return self._sign(at_us, self._clients[who], call), False

    def _token(self, who: int) -> Called:
        dice = self._dice
        other = dice.choice([*self._addresses, f"{dice.randrange(5000):040x}"])
        amount = str(dice.choice([0, 1, 7, 50, 50, 50, 50, 50, 50, 50, 10**10]))
        match dice.randrange(8):
            case 0:
                return "token", "approve", {"spender": other, "amount": amount}
            case 1:
                owner = dice.choice(self._addresses)
                return "token", "transfer_from", {"owner": owner, "to": self._addresses[who], "amount": amount}
            case 2:
                return "token", "mint", {"to": other, "amount": amount}
            case _:
                return "token", "transfer", {"to": other, "amount": amount}

    def _bank(self, _: int) -> Called:
        dice = self._dice
        one, two = (str(dice.randrange(ACCOUNTS + 5)) for _ in range(2))
        amount = str(dice.randrange(-5, 300))
        match dice.randrange(5):
            case 0:
                return "smallbank", "deposit_checking", {"account": one, "amount": amount}
            case 1:
                return "smallbank", "transact_savings", {"account": one, "amount": amount}
            case 2:
                return "smallbank", "send_payment", {"source": one, "to": two, "amount": amount}
            case 3:
                return "smallbank", "write_check", {"account": one, "amount": amount}
            case _:
                return "smallbank", "amalgamate", {"source": one, "to": two}

    def _aliasing(self, _: int) -> Called:
        dice = self._dice
        method = dice.choice(["twice", "reinsert", "early", "loop", "moved", "get"])
        one, two = str(dice.randrange(40)), str(dice.randrange(40))
        if method == "loop":
            return "aliasing", method, {"start": one, "count": str(dice.randrange(30))}
        return "aliasing", method, {"a": one} if method == "get" else {"a": one, "b": two}

    def _payment(self, who: int) -> Called:
        dice = self._dice
        source = who + 8 * dice.randrange(ACCOUNTS // 8) if dice.random() < 0.8 else dice.randrange(ACCOUNTS + 3)
        if dice.random() < 0.02:
            return "payments", "hand_over", {"account": _account(source), "holder": dice.choice(self._addresses)}
        to, amount = _account(dice.randrange(ACCOUNTS)), str(dice.randrange(200))
        reference = str(dice.randrange(2**63))
        return "payments", "pay", {"source": _account(source), "to": to, "amount": amount, "reference": reference}

    def _teller(self, _: int) -> Called:
        dice = self._dice
        to = dice.choice(self._addresses)
        match dice.randrange(200):
            case 0:
                return "teller", "spin", {"count": "10000000"}
            case at if at < 50:
                source = _account(dice.randrange(ACCOUNTS))
                return "teller", "both", {"to": to, "source": source, "amount": "3"}
            case _:
                return "teller", "give", {"to": to, "amount": str(dice.choice([1, 2, 3, 10**12]))}

    def _evidence(self, _: int) -> Called:
        digest = sha256(b"%d" % self._dice.randrange(200_000)).hex()
        return "evidence", "put", {"digest": digest, "note": "存证" * self._dice.randrange(20)}

    def _asset(self, who: int) -> Called:
        dice = self._dice
        offered = [asset for asset, to in self._offers[-40:] if to == who]
        match dice.randrange(8):
            case 0 | 1 if self._assets[who]:
                asset, to = dice.choice(self._assets[who][-40:]), dice.randrange(8)
                self._offers.append((asset, to))
                return "asset", "offer", {"asset": asset, "to": self._addresses[to]}
            case 2 | 3 | 4 if who == 1 and self._offers:
                asset, to = dice.choice(self._offers[-40:])
                return "asset", "approve", {"asset": asset, "to": self._addresses[to]}
            case 2 | 3 if offered:
                return "asset", "accept", {"asset": dice.choice(offered)}
            case 4 if self._assets[who]:
                return "asset", "retire", {"asset": dice.choice(self._assets[who])}
            case _:
                asset = sha256(b"asset %d" % dice.randrange(10**6)).hex()
                self._assets[who].append(asset)
                return "asset", "register", {"asset": asset, "name": "名"}

    def _vote(self, who: int) -> Called:
        dice = self._dice
        if who == 0 and not self._frozen:
            self._questions += 1
            return "voting", "propose", {"title": "t" * dice.randrange(1, 99), "seconds": str(dice.randrange(60))}
        return (
            "voting",
            "vote",
            {"proposal": str(dice.randrange(self._questions)), "yes": dice.choice(["true", "false"])},
        )

    def _nonsense(self) -> Called:
        choices: list[Called] = [
            ("token", "no_such_method", {}),
            ("no_such_contract", "transfer", {}),
            ("token", "transfer", {"to": "zz", "amount": "1"}),
            ("token", "transfer", {"to": "11" * 20, "amount": str(2**64)}),
            ("evidence", "put", {"digest": b"\xff" * 32, "note": b"\xff"}),
            ("voting", "vote", {"proposal": str(2**63), "yes": "true"}),
        ]
        return self._dice.choice(choices)

    def _system(self, at_us: int) -> bytes:
        dice, client = self._dice, self._clients[self._dice.randrange(8)]
        match dice.randrange(4):
            case 0:
                return self._sign(at_us, client, ("CERT_MANAGE", "CERT_ADD", {}))
            case 1:
                self._aliases += 1
                return self._sign(at_us, client, ("CERT_MANAGE", "CERT_ALIAS_ADD", {"alias": f"a{self._aliases}"}))
            case 2:
                self._frozen = not self._frozen
                method = "FREEZE_CONTRACT" if self._frozen else "UNFREEZE_CONTRACT"
                call = ("CONTRACT_MANAGE", method, {"CONTRACT_NAME": "voting"})
                return self._sign(at_us, client, call, admins=True)
            case _:
                self._version += 1
                parameters = install_parameters("aliasing", f"1.{self._version}", self._sources["aliasing"], {})
                upgrade = ("CONTRACT_MANAGE", "UPGRADE_CONTRACT", parameters)
                return self._sign(at_us, client, upgrade, admins=True)


def _signer(authority: Authority, name: str, role: str) -> Signer:
    issued = authority.issue(name, role, "sign", NOW)  # type: ignore[arg-type]  # one of the roles
    organisation = authority.org_id
    member = Member(org_id=organisation, member_type=MemberType.CERT, member_info=issued.certificate_pem)
    return Signer(member, SigningKey(issued.key_pem))


def _account(number: int) -> str:
    return f"{number:038x}ac"
