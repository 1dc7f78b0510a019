"""A typed client of a node: `connect("127.0.0.1:12301", home=DIR, user="client1")`."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import grpc

from changan.arrow import ArrowMissingError
from changan.client.broker import Gathering, ShareError, gather, send_gathered
from changan.client.calls import (
    PAGE_ROWS,
    Answer,
    CallError,
    Calls,
    Entry,
    History,
    Page,
    Pause,
    Reply,
    Send,
    Steps,
    UnreachableError,
    Written,
    unanswered,
)
from changan.client.doors import CHANNEL_OPTIONS, TLS_OPTIONS, credentials, read_doors, user_pair
from changan.client.lane import Offer, OfferError, OwnCall, own_call, register_bls
from changan.client.many import invoke_many, query_many
from changan.client.members import crypto_config_of, find_administrators, find_member, organisations
from changan.client.passwords import Ask, ask_password
from changan.client.tables import ROWS_A_BUNDLE, RowOutcome, Sent, TableError
from changan.client.web import MemberAuth, Web
from changan.client.whole import Place, fetch_field, fetch_history
from changan.ledger.wire.messages import TxRequest, TxResponse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx2
    import pyarrow as pa

    from changan.client.requests import Signer
    from changan.crypto.bls import BlsSigningKey

__all__ = [
    "Answer",
    "ArrowMissingError",
    "CallError",
    "Connection",
    "Entry",
    "Gathering",
    "History",
    "Offer",
    "OfferError",
    "OwnCall",
    "Page",
    "RowOutcome",
    "Sent",
    "ShareError",
    "TableError",
    "UnreachableError",
    "Written",
    "connect",
]
TIMEOUT_S = 60.0

_T = TypeVar("_T")


class Connection:
    """A connection to one node as one user. It may be shared between threads."""

    def __init__(self, calls: Calls, channel: grpc.Channel, web: Web) -> None:
        self._calls = calls
        self._channel = channel
        self._web = web
        self._methods = {
            name: channel.unary_unary(
                f"/api.RpcNode/{name}",
                request_serializer=TxRequest.SerializeToString,
                response_deserializer=TxResponse.FromString,
            )
            for name in ("SendRequest", "SendRequestSync")
        }

    @property
    def signer(self) -> Signer:
        """The user who signs."""
        return self._calls.signer

    @property
    def chain_id(self) -> str:
        """The chain that is talked to."""
        return self._calls.chain_id

    def invoke(
        self,
        contract: str,
        method: str,
        arguments: Mapping[str, object] | None = None,
        *,
        tx_id: str | None = None,
        endorsed: bool = False,
    ) -> Answer:
        """Call a contract and wait until the result rests on disk.

        A lost answer is asked for again under the same transaction id, so the call counts once. `endorsed` lets the
        administrators whose keys lie in the home sign it too. Raises CallError, UnreachableError.
        """
        return self._drive(self._calls.invoke(contract, method, arguments or {}, tx_id, endorsed=endorsed))

    def query(self, contract: str, method: str, arguments: Mapping[str, object] | None = None) -> Answer:
        """Ask a contract without leaving a trace. Raises CallError, UnreachableError."""
        return self._drive(self._calls.query(contract, method, arguments or {}))

    def deploy(
        self,
        name: str,
        version: str,
        code: bytes,
        arguments: Mapping[str, object] | None = None,
        *,
        upgrade: bool = False,
    ) -> Answer:
        """Install a contract, or upgrade it, endorsed by the administrators of this connection. Raises CallError."""
        return self._drive(self._calls.deploy(name, version, code, arguments or {}, upgrade=upgrade))

    def page(
        self, contract: str, field: str, *, after: str = "", height: int | None = None, limit: int = PAGE_ROWS
    ) -> Page:
        """Return a page of a contract's field; `after` and `height` come from the page before. Raises CallError."""
        return self._drive(self._calls.page(contract, field, after, height, limit))

    def rows(self, contract: str, field: str) -> Iterator[Entry]:
        """Yield all rows of a contract's field as they are at one height. Raises CallError, also when that height is gone."""
        page = self.page(contract, field)
        yield from page.entries
        while page.next is not None:
            page = self.page(contract, field, after=page.next, height=page.height)
            yield from page.entries

    def table(self, contract: str, field: str, *, height: int | None = None, progress: bool | None = None) -> pa.Table:
        """Return all rows of a contract's field as they are at one height, however much is written meanwhile.

        A map has the column `key` (or `key_0`, `key_1`, … where keys are tuples), a list `index`; the value is `value`, or a
        column a field where it is a record. The schema's metadata say `height` and `rows`. U64 and I64 are integers, U128
        is decimal256(39, 0), addresses and fixed bytes are fixed_size_binary, enum members their names. `height` names one whose
        rows are being paged through, e.g. that of a `Page`. A bar shows how far it is, after a second, in terminals and
        notebooks; `progress` forces it or forbids it. Needs `changan[tables]` here and at the node.
        Raises ArrowMissingError, CallError, UnreachableError.
        """
        return fetch_field(self.web, Place(self.chain_id, contract, field), height, progress)

    def history(self, contract: str, field: str, key: str = "", *, limit: int = 100) -> History:
        """Return which transactions wrote a row, newest first. `key` is text as in arguments.

        Transactions of their own are in it at once; bundles up to its `complete_to`, which follows the chain. Raises CallError.
        """
        return self._drive(self._calls.history(contract, field, key, limit))

    def history_table(self, contract: str, field: str, key: str = "", *, limit: int = PAGE_ROWS) -> pa.Table:
        """Return which transactions wrote a row and what it held then, newest first; `key` is as in `history`.

        Columns: `height`, `index` (in the block), `tx_id`, `state` and those of the value as in `table`, null unless `state` is
        `written`: `deleted`, `masked`, or `other type` where an older version of the contract wrote it. The schema's metadata
        has `height` and `complete_to`, which are as in `history`. Raises as `table`.
        """
        return fetch_history(self.web, Place(self.chain_id, contract, field), key, limit)

    def prove(self, contract: str, field: str, key: str = "", *, block: int | None = None) -> dict[str, Any]:
        """Return what proves a row's value, or that there is none, at the newest height with a root; with `block`, what it wrote.

        `key` is text as in arguments. `changan verify-receipt` checks the proof offline. Raises CallError, UnreachableError.
        """
        return self._drive(self._calls.prove(contract, field, key, block))

    def invoke_many(
        self, contract: str, method: str, table: object, *, rows: int = ROWS_A_BUNDLE, budget: int = 0
    ) -> list[Sent]:
        """Call one method for every row of a table, `rows` calls under one signature, and wait until all rest on disk.

        `table` is a pyarrow Table, a polars or pandas DataFrame, or a dict of columns; its columns are the method's
        parameters. Each row has its own outcome; one that fails fails alone. `budget` bounds the gas of a bundle's rows
        together; 0 leaves only the bound of each call. Raises TableError before anything is sent, CallError where a
        bundle is refused whole (those before it stand), UnreachableError.
        """
        return self._drive(invoke_many(self._calls, contract, method, table, rows, budget))

    def query_many(self, contract: str, method: str, table: object) -> pa.Table:
        """Ask a view once for every row of a table, all at one height, without leaving a trace.

        `table` is as in `invoke_many`, of at most 65,536 rows. The answer has their order, and the columns `result` (null
        where the row failed), `code`, `detail`, `line` and `gas`; its schema's metadata say the `height`. All rows together may
        use 20,000,000 gas; those after it fail with OUT_OF_GAS. Needs `changan[tables]`.
        Raises ArrowMissingError, TableError before anything is sent, CallError, UnreachableError.
        """
        return self._drive(query_many(self._calls, contract, method, table))

    def enable_cert_hash(self) -> None:
        """Send the digest of this user's certificate with each request from now on, 32 bytes, instead of the certificate.

        The chain is told the certificate once (`CERT_MANAGE`, `CERT_ADD`); messages and the log take some 600 bytes less a call.
        Raises MalformedError where this user is a key, CallError, UnreachableError.
        """
        self._drive(self._calls.enable_cert_hash())

    def register_bls(self, key: BlsSigningKey) -> int:
        """Register a BLS key as this user's in the distilled lane, and return the client's number.

        A user has one live key; `invoke("CHANGAN.BLS", "REVOKE", {"number": N})` ends it for good. Needs `changan[distilled]`.
        Raises CallError, UnreachableError.
        """
        return self._drive(register_bls(self._calls, key))

    def own_call(self, contract: str, method: str, arguments: Mapping[str, object]) -> OwnCall:
        """Return what signs, with this user's BLS key, bundles of a broker that hold this call as this user's own.

        Raises TableError, CallError, UnreachableError.
        """
        return self._drive(own_call(self._calls, contract, method, arguments))

    def gather(
        self, contract: str, method: str, rows: Mapping[int, Mapping[str, object]], *, budget: int = 0
    ) -> Gathering:
        """Return one bundle of calls of many clients, by their numbers, that they are to sign; this user is its broker.

        Show each client its offer (`offers`), take the shares that they give (`take`), leave out who does not sign
        (`leave_out`, after which the others sign anew), then `send_gathered`. `budget` bounds the gas of all rows together.
        Raises TableError, CallError, UnreachableError.
        """
        return self._drive(gather(self._calls, contract, method, rows, budget))

    def send_gathered(self, gathering: Gathering) -> Sent:
        """Send what all clients of a bundle signed, and wait until it rests. The rows are in the order of their numbers.

        Raises ShareError, naming whose shares are missing or do not hold, before anything is sent; CallError, UnreachableError.
        """
        return self._drive(send_gathered(self._calls, gathering))

    def _drive(self, steps: Steps[_T]) -> _T:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: _T = end.value
                return result
            reply = self._take(step)

    def _take(self, step: Send | Pause) -> Reply:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._methods[step.method](step.request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return unanswered(error)

    @cached_property
    def web(self) -> httpx2.Client:
        """The node's HTTP door as this user: `client.web.get("/v1/blocks/7")`. Tokens are obtained and renewed by themselves."""
        return self._web.client()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()
        if "web" in self.__dict__:
            self.web.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reach(NamedTuple):
    """What it takes to reach a node as a user of a home."""

    address: str
    calls: Calls
    credentials: grpc.ChannelCredentials | None
    web: Web


def find(  # what connect() takes
    address: str | None,
    home: str | Path,
    user: str,
    org_id: str,
    chain_id: str,
    *,
    tls: bool | None,
    gas_limit: int,
    password: Ask,
) -> Reach:
    """Return how to reach a node. Raises MalformedError, PasswordError, OSError."""
    place = Path(home)
    known = read_doors(place)
    root = crypto_config_of(place)
    name = org_id or organisations(root)[0]
    secure = known.tls != "none" if tls is None else tls
    signer = find_member(root, name, user, password)
    pair = user_pair(root, name, user)
    return Reach(
        address or known.rpc,
        Calls(signer, lambda: find_administrators(root, password), chain_id, gas_limit),
        credentials(root, pair, password) if secure else None,
        Web(known.http, MemberAuth(signer, chain_id), root, pair, password),
    )


def connect(
    address: str | None = None,
    *,
    home: str | Path,
    user: str = "client1",
    org_id: str = "",
    chain_id: str = "chain1",
    tls: bool | None = None,
    gas_limit: int = 0,
    password: Ask = ask_password,
) -> Connection:
    """Connect to a node as a user of its home, e.g. `connect("127.0.0.1:12301", home="changan-home", user="client1")`.

    Without `address` the node is where it last said it was; without `tls` the door is as that node said, else plain.
    `org_id` names the user's organisation, by default the first. Administrators whose keys lie in the home endorse
    installations. `gas_limit` is what one call may cost; a chain whose gas accounts are on asks for it. `password` gives the
    password of a sealed key, by its path; it is that of CHANGAN_PASSWORD, or asked for at the terminal.
    Raises MalformedError, PasswordError, OSError.
    """
    reach = find(address, home, user, org_id, chain_id, tls=tls, gas_limit=gas_limit, password=password)
    if reach.credentials is None:
        channel = grpc.insecure_channel(reach.address, options=CHANNEL_OPTIONS)
    else:
        channel = grpc.secure_channel(reach.address, reach.credentials, options=TLS_OPTIONS)
    return Connection(reach.calls, channel, reach.web)
