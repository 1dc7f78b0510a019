"""The clients of the distilled lane: the rows of CHANGAN.BLS, and what is found of each client during one identity epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.crypto.bls import BlsKey
from changan.errors import UnverifiedError
from changan.ledger.policy import DeniedError
from changan.ledger.system import LANE
from changan.ledger.wire.messages import BlsClient, TxType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.ledger.members import Members
    from changan.ledger.policy import Policies
    from changan.ledger.state import Overlay, Rows

LANE_CLOSED = "this chain was made without the distilled lane: make one with `changan up --distilled`"
NUMBERS_MAX = 1 << 32
KEPT_MAX = 131_072
"""Clients that are kept at hand, about half a KiB each; beyond, it begins anew."""


def client_row(number: int) -> str:
    """Return the key of a client's row, which stays for ever: who called the rows of old bundles is read there."""
    return f"client.{number}"


def holder_row(address: bytes) -> str:
    """Return the key of the row with the number of the live key that an address holds."""
    return f"holder.{address.hex()}"


def taken_row(key: bytes) -> str:
    """Return the key of the row that says that a BLS key was registered once; no key is taken twice."""
    return f"key.{key.hex()}"


def find_client(rows: Rows | Overlay, number: int) -> BlsClient | None:
    """Return the client with a number, revoked or not, or None."""
    found = rows.get(LANE, client_row(number))
    return None if found is None else BlsClient.FromString(found)


def addresses_of(rows: Rows, numbers: Sequence[int]) -> bytes:
    """Return the addresses of clients that were registered once, 20 bytes each."""
    found = [find_client(rows, number) for number in numbers]
    return b"".join(client.address for client in found if client is not None)


def possession(chain_id: str, address: bytes) -> bytes:
    """Return the statement that a new client's key signs: on which chain, and whose it is (20 bytes)."""
    return chain_id.encode() + address


class Callers(NamedTuple):
    """Who calls the rows of a distilled bundle, and from when to when (seconds of block time) all of them may."""

    addresses: bytes  # 20 a row
    since: int
    until: int


class _Found(NamedTuple):
    address: bytes
    since: int
    until: int


class Clients:
    """The clients of a chain during one identity epoch: each is held once to its certificate, its role, and revocation.

    Threads may share it: whoever looks finds the same of a client, and each step is whole under the interpreter's lock.
    """

    def __init__(self, rows: Rows, members: Members, policies: Policies) -> None:
        self._rows = rows
        self._members = members
        self._policies = policies
        self._found: dict[int, _Found] = {}
        self._keys: dict[int, BlsKey] = {}

    def callers(self, numbers: Sequence[int], time: int) -> Callers:
        """Return who these clients are at block time `time`, seconds. Raises UnverifiedError for one who may not call."""
        known = self._found
        found = [known.get(number) or self._find(number, time) for number in numbers]
        addresses, begun, ended = zip(*found, strict=True)
        since, until = max(begun), min(ended)
        if not since <= time <= until:
            out = next(
                number for number, each in zip(numbers, found, strict=True) if not each.since <= time <= each.until
            )
            raise UnverifiedError(f"client {out}: its certificate is expired or not yet valid")
        return Callers(b"".join(addresses), since, until)

    def keys(self, numbers: Sequence[int]) -> list[BlsKey]:
        """Return the keys of clients that `callers` found."""
        known = self._keys
        return [known.get(number) or self._key(number) for number in numbers]

    def _find(self, number: int, time: int) -> _Found:
        client = find_client(self._rows, number)
        if client is None:
            raise UnverifiedError(f"client {number} is not registered: send {LANE}-REGISTER first")
        if client.revoked:
            raise UnverifiedError(f"client {number}: its BLS key was revoked")
        try:
            identity = self._members.identify(client.member, time)
            self._policies.check_sender(TxType.INVOKE_CONTRACT, identity)
        except (UnverifiedError, DeniedError) as error:
            raise UnverifiedError(f"client {number}: {error}") from error
        if identity.address != client.address:  # an alias stands for another certificate since
            raise UnverifiedError(f"client {number}: its member has another key than when it registered")
        found = _Found(identity.address, identity.not_before, identity.not_after)
        if len(self._found) >= KEPT_MAX:
            self._found.clear()
        self._found[number] = found
        return found

    def _key(self, number: int) -> BlsKey:
        client = find_client(self._rows, number)
        assert client is not None
        key = BlsKey(client.key)
        if len(self._keys) >= KEPT_MAX:
            self._keys.clear()
        self._keys[number] = key
        return key
