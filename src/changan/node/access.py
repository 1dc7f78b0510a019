"""Who may read over HTTP: a member, by a signed request or by a token that one obtained; anybody where the door is open.

A token names a member, a chain and an end, and is worth nothing by itself: the member is identified again, and the policies
are asked again, at each use.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections import Counter, OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from changan.client.doors import READ_METHOD, SIGNED, TOKEN_METHOD
from changan.errors import ChanganError, UnverifiedError
from changan.ledger.admission import RefusedError
from changan.ledger.policy import DeniedError
from changan.ledger.system import OWN
from changan.ledger.wire.messages import TxRequest, TxType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from changan.ledger.wire.messages import Member
    from changan.node.chain import Chain

TOKEN_S = 300
"""How long a token holds."""
WINDOW_S = 60
"""How far the time of a signed request may lie from the node's, in seconds."""
TOKENS_MAX = 10_000
TOKENS_A_MEMBER_MAX = 16
"""A member's next token takes the place of its oldest; so does anybody's, of the oldest of all, when the table is full."""
SPENT_MAX = 100_000
SPENT_A_MEMBER_MAX = 1000
"""Signed requests that counted are remembered for as long as their time could be of now; beyond these, none more counts."""
SIGNED_BYTES_MAX = 48 * 1024
"""A signed request in a header, in base64; a header's own limit is 64 KiB."""


class AccessError(ChanganError):
    """Somebody who may not read; `status` is HTTP's: 401 for who is not known, 403 for who may not, 404 for no such chain."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Access(NamedTuple):
    """Leave to read one chain. `member` is None where the door is open."""

    chain: Chain
    member: Member | None

    def check(self, kind: int) -> None:
        """Raise AccessError unless the member is one now, and may now send requests of this type (TxType)."""
        if self.member is None:
            return
        world = self.chain.world
        try:
            world.policies.check_sender(kind, world.members.identify(self.member, self.chain.time()))
        except UnverifiedError as error:
            raise AccessError(401, str(error)) from error
        except DeniedError as error:
            raise AccessError(403, str(error)) from error


class Token(NamedTuple):
    """What a token stands for; `until` is of the clock that `Tokens` was given."""

    chain_id: str
    member: Member
    whose: str  # the digest of the member's certificate or key: one member can be written in many ways
    until: float


class Tokens:
    """The tokens of a node. They rest nowhere: a node that starts again knows none, and its readers ask anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[bytes, Token] = OrderedDict()  # by the token's digest, in the order of their ends
        self._of_member: dict[tuple[str, str], list[bytes]] = {}

    def give(self, chain_id: str, member: Member, whose: str) -> str:
        """Return a new token for a member; `whose` is the digest of its certificate or key."""
        now = self._clock()
        while self._held and (len(self._held) >= TOKENS_MAX or next(iter(self._held.values())).until <= now):
            self._drop(next(iter(self._held)))
        others = self._of_member.get((chain_id, whose), [])
        if len(others) >= TOKENS_A_MEMBER_MAX:
            self._drop(others[0])
        token = secrets.token_urlsafe(32)
        place = _digest(token)
        self._held[place] = Token(chain_id, member, whose, now + TOKEN_S)
        self._of_member.setdefault((chain_id, whose), []).append(place)
        return token

    def find(self, token: str) -> Token | None:
        """Return what a token stands for, or None for one that is unknown or over."""
        found = self._held.get(_digest(token))
        return found if found is not None and found.until > self._clock() else None

    def _drop(self, place: bytes) -> None:
        gone = self._held.pop(place)
        own = gone.chain_id, gone.whose
        self._of_member[own].remove(place)
        if not self._of_member[own]:
            del self._of_member[own]


class Spent:
    """The signed requests that counted, by member and id, until their time can be of now no more: none counts twice."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[tuple[str, str], float] = OrderedDict()  # in the order of their ends
        self._of_member: Counter[str] = Counter()

    def spend(self, whose: str, tx_id: str) -> None:
        """Let a request count. Raises AccessError for one that did before, and where too many are remembered."""
        now = self._clock()
        while self._until and next(iter(self._until.values())) <= now:
            (owner, _), _ = self._until.popitem(last=False)
            self._of_member[owner] -= 1
            if not self._of_member[owner]:
                del self._of_member[owner]
        if (whose, tx_id) in self._until:
            raise AccessError(401, "this request has counted before: sign another, with an id of its own")
        if self._of_member[whose] >= SPENT_A_MEMBER_MAX or len(self._until) >= SPENT_MAX:
            raise AccessError(503, "too many requests were signed of late: obtain a token, and show it many times")
        self._until[whose, tx_id] = now + 2 * WINDOW_S + 1  # a second more: the node's time is in whole ones
        self._of_member[whose] += 1


class Entrance:
    """Lets readers in to the chains of a node."""

    def __init__(self, chains: Mapping[str, Chain], *, is_open: bool) -> None:
        self._chains = chains
        self._tokens = Tokens()
        self._spent = Spent()
        self.is_open = is_open

    def admit(self, authorization: str, chain_id: str, target: str, kind: int) -> Access:
        """Return the access that a request has, once its member may send requests of type `kind`.

        `authorization` is the header, `chain_id` the chain that is asked for ("" leaves it to the credentials, or means the
        first one), `target` the path with its query, which a signed request must name. Raises AccessError.
        """
        if self.is_open:
            return Access(self._chain(chain_id), None)
        scheme, _, credentials = authorization.partition(" ")
        match scheme.lower():
            case "bearer":
                token = self._tokens.find(credentials.strip())
                if token is None:
                    raise AccessError(401, "the token is unknown or over: obtain another with POST /v1/tokens")
                access = Access(self._chain(token.chain_id), token.member)
            case "signed":
                access = self._signed(credentials.strip(), target)
            case _:
                text = (
                    "this door asks who you are: a token of POST /v1/tokens, or a signed request; see docs/operations"
                )
                raise AccessError(401, text)
        access.check(kind)
        if chain_id not in {"", access.chain.chain_id}:
            raise AccessError(403, f"this is leave to read chain {access.chain.chain_id}, not {chain_id[:64]!r}")
        return access

    def give_token(self, data: bytes) -> tuple[str, Access]:
        """Return a token for who signed a request (a serialized TxRequest). Raises AccessError."""
        request, access, whose = self._verified(data, TOKEN_METHOD)
        assert access.member is not None
        self._spent.spend(whose, request.payload.tx_id)
        return self._tokens.give(access.chain.chain_id, access.member, whose), access

    def _signed(self, text: str, target: str) -> Access:
        try:
            data = base64.b64decode(text, validate=True) if len(text) <= SIGNED_BYTES_MAX else b""
        except (binascii.Error, ValueError) as error:
            raise AccessError(401, f"{SIGNED} is followed by a TxRequest in base64") from error
        request, access, whose = self._verified(data, READ_METHOD)
        named = [parameter.value for parameter in request.payload.parameters if parameter.key == "target"]
        if named != [target.encode()]:
            raise AccessError(401, f"what was signed is not this request: its parameter target is {target[:512]!r}")
        self._spent.spend(whose, request.payload.tx_id)
        return access

    def _verified(self, data: bytes, method: str) -> tuple[TxRequest, Access, str]:
        """Return what was signed, by whom, and that member's digest. Raises AccessError."""
        try:
            request = TxRequest.FromString(data)
        except DecodeError as error:
            raise AccessError(401, "what is signed is a TxRequest, as on the gRPC door") from error
        payload = request.payload
        if (payload.contract_name, payload.method, payload.tx_type) != (OWN, method, TxType.QUERY_CONTRACT):
            raise AccessError(401, f"what is signed here is a query of {OWN}, method {method}")
        chain = self._chain(payload.chain_id)
        if abs(payload.timestamp - chain.time()) > WINDOW_S:
            text = (
                f"the request is of another time: at most {WINDOW_S} s from the node's clock, which says {chain.time()}"
            )
            raise AccessError(401, text)
        try:
            whose = chain.authenticate(request).sender.certificate_hash
        except RefusedError as error:
            raise AccessError(401, error.message) from error
        return request, Access(chain, request.sender.signer), whose

    def _chain(self, chain_id: str) -> Chain:
        found = self._chains.get(chain_id) if chain_id else next(iter(self._chains.values()))
        if found is None:
            raise AccessError(404, f"this node has no chain {chain_id[:64]!r}; it has {', '.join(self._chains)}")
        return found


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
