"""What a client says and hears, without a wire: each call is a generator of requests to send and pauses to make.

`changan.client.connect` and `changan.client.aio` drive these generators, the one with threads, the other on an event loop.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import grpc

from changan.client.requests import Signer, install_parameters, make_payload, new_tx_id, sign_request
from changan.errors import ChanganError
from changan.ledger.bundle import PARAMETER
from changan.ledger.chain_config import chain_digest
from changan.ledger.system import OWN, QUERY_MANY, SystemContract
from changan.ledger.wire.messages import (
    BundleRows,
    CertInfos,
    ChainConfig,
    MemberType,
    TransactionInfo,
    TxRequest,
    TxResponse,
    TxStatusCode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from changan.ledger.wire.messages import ContractEvent, Payload

RETRIES_MAX = 6
RETRY_PAUSE_S = 0.2
PAGE_ROWS = 1000
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)


class CallError(ChanganError):
    """A call that was refused, or that failed; its code is ChainMaker's status code."""

    def __init__(self, code: int, message: str, tx_id: str) -> None:
        super().__init__(message)
        self.code = code
        self.tx_id = tx_id


class UnreachableError(ChanganError):
    """A node that did not answer. Whether the call counted can be asked by its transaction id."""


class Answer(NamedTuple):
    """What came of a call that ended well."""

    tx_id: str
    result: bytes
    gas: int
    height: int
    events: Sequence[ContractEvent]

    @property
    def text(self) -> str:
        """The result as text."""
        return self.result.decode()


class Entry(NamedTuple):
    """One row of a contract's field, as JSON has it: whole numbers are decimal text. The key of a scalar field is None."""

    key: Any
    value: Any


class Page(NamedTuple):
    """Rows of a field as they were at a height. `next` goes into the question for the page after, with the height."""

    height: int
    entries: Sequence[Entry]
    next: str | None


class Written(NamedTuple):
    """One time that a row was written: where, by which transaction, and the value, None where the row was deleted."""

    height: int
    tx_id: str
    value: Any


class History(list[Written]):
    """The times that a row was written, newest first, when the chain was at `height`.

    Up to `complete_to` none is missing; above it, those of bundles may be.
    """

    def __init__(self, writes: Iterable[Written], height: int, complete_to: int) -> None:
        super().__init__(writes)
        self.height = height
        self.complete_to = complete_to

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing that rested when the question was asked."""
        return self.complete_to >= self.height


class Send(NamedTuple):
    """A request to send to a method of api.RpcNode."""

    method: str
    request: TxRequest


class Pause(NamedTuple):
    """Seconds to wait before going on."""

    seconds: float


class Unanswered(NamedTuple):
    """What comes back instead of a response."""

    status: str
    again: bool  # whether asking again may help
    words: str = ""  # why the node lets this peer in no more, where it said so


Reply = TxResponse | Unanswered | None
_T = TypeVar("_T")
Steps = Generator[Send | Pause, Reply, _T]


def unanswered(error: grpc.RpcError) -> Unanswered:
    """Return what an error of the wire means for a call."""
    code = error.code()
    words = error.details() if code is grpc.StatusCode.UNAUTHENTICATED else None
    return Unanswered(code.name, code in _AGAIN, words or "")


class Calls:
    """Makes requests as one user of one chain, and reads what comes back."""

    def __init__(
        self, signer: Signer, endorsers: Callable[[], Sequence[Signer]], chain_id: str, gas_limit: int = 0
    ) -> None:
        """Take the user; `endorsers` is asked when first needed, for their keys may be sealed and few calls need them."""
        self.signer = signer
        self.gas_limit = gas_limit
        self.chain_id = chain_id
        self._endorsers = functools.cache(endorsers)

    def invoke(
        self,
        contract: str,
        method: str,
        arguments: Mapping[str, object],
        tx_id: str | None = None,
        *,
        endorsed: bool = False,
    ) -> Steps[Answer]:
        """Call a contract. A lost answer is asked for again under the same transaction id, so the call counts once."""
        payload = make_payload(self.chain_id, contract, method, as_text(arguments), tx_id=tx_id or new_tx_id())
        return self._invoke(payload, self._endorsers() if endorsed else ())

    def query(self, contract: str, method: str, arguments: Mapping[str, object]) -> Steps[Answer]:
        """Ask a contract without leaving a trace."""
        payload = make_payload(self.chain_id, contract, method, as_text(arguments), query=True)
        return self._ask(sign_request(payload, self.signer))

    def deploy(
        self, name: str, version: str, code: bytes, arguments: Mapping[str, object], *, upgrade: bool
    ) -> Steps[Answer]:
        """Install a contract, or upgrade it, endorsed by the administrators of this connection."""
        method = "UPGRADE_CONTRACT" if upgrade else "INIT_CONTRACT"
        parameters = install_parameters(name, version, code, as_text(arguments))
        payload = make_payload(self.chain_id, SystemContract.CONTRACT_MANAGE.value, method, parameters)
        return self._invoke(payload, self._endorsers())

    def page(self, contract: str, field: str, after: str, height: int | None, limit: int) -> Steps[Page]:
        """Ask for a page of a contract's field, at a height that an earlier page named, or as it is now."""
        arguments: dict[str, object] = {"contract": contract, "field": field, "after": after, "limit": limit}
        if height is not None:
            arguments["height"] = height
        found = json.loads((yield from self.query(OWN, "ROWS", arguments)).result)
        entries = [Entry(row.get("key_value"), row["value"]) for row in found["rows"]]
        return Page(found["height"], entries, found["next"])

    def history(self, contract: str, field: str, key: str, limit: int) -> Steps[History]:
        """Ask which transactions wrote a row, newest first."""
        arguments = {"contract": contract, "field": field, "key": key, "limit": limit}
        found = json.loads((yield from self.query(OWN, "HISTORY", arguments)).result)
        writes = [Written(entry["height"], entry["tx_id"], entry["value"]) for entry in found["writes"]]
        return History(writes, found["height"], found["complete_to"])

    def prove(self, contract: str, field: str, key: str, block: int | None) -> Steps[dict[str, Any]]:
        """Ask for the proof of a row, or of what a block wrote into it."""
        arguments: dict[str, object] = {"contract": contract, "field": field, "key": key}
        if block is not None:
            arguments["block"] = block
        found: dict[str, Any] = json.loads((yield from self.query(OWN, "PROVE", arguments)).result)
        return found

    def describe(self, contract: str) -> Steps[dict[str, Any]]:
        """Ask for a contract's methods, fields, types and events."""
        found: dict[str, Any] = json.loads((yield from self.query(OWN, "DESCRIBE", {"contract": contract})).result)
        return found

    def bundle(self, contract: str, method: str, data: bytes) -> Steps[tuple[Answer, BundleRows]]:
        """Send one bundle, and ask what came of its rows."""
        return (yield from self.send_bundle(make_payload(self.chain_id, contract, method, {PARAMETER: data})))

    def send_bundle(self, payload: Payload) -> Steps[tuple[Answer, BundleRows]]:
        """Send a payload that is a bundle, and ask what came of its rows."""
        answer = yield from self._invoke(payload, ())
        rows = yield from self.query(OWN, "BUNDLE", {"tx_id": answer.tx_id})
        return answer, BundleRows.FromString(rows.result)

    def config(self) -> Steps[ChainConfig]:
        """Ask for the chain's configuration."""
        name = SystemContract.CHAIN_CONFIG.value
        return ChainConfig.FromString((yield from self.query(name, "GET_CHAIN_CONFIG", {})).result)

    def enable_cert_hash(self) -> Steps[None]:
        """Name this user's certificate by its digest from now on; the chain is told the certificate where it does not know it."""
        if self.signer.member.member_type == MemberType.CERT_HASH:
            return
        config = yield from self.config()
        signer = self.signer.by_hash(chain_digest(config))
        named = signer.member.member_info.hex()
        name = SystemContract.CERT_MANAGE.value
        found = yield from self.query(name, "CERTS_QUERY", {"cert_hashes": named})
        if not CertInfos.FromString(found.result).cert_infos[0].cert:
            yield from self.invoke(name, "CERT_ADD", {})
        self.signer = signer

    def query_many(self, contract: str, method: str, data: bytes) -> Steps[tuple[int, BundleRows]]:
        """Ask a view once for each row of a bundle's columns; return the height too."""
        arguments = {"contract": contract, "method": method, PARAMETER: data}
        answer = yield from self.query(OWN, QUERY_MANY, arguments)
        return answer.height, BundleRows.FromString(answer.result)

    def _invoke(self, payload: Payload, endorsers: Sequence[Signer]) -> Steps[Answer]:
        if self.gas_limit:
            payload.limit.gas_limit = self.gas_limit
        request = sign_request(payload, self.signer, endorsers)
        response, repeated = yield from _sent("SendRequestSync", request)
        if repeated and "TxId exist in DB" in response.message:
            return (yield from self._found(payload.tx_id))
        return _answer(response)

    def _found(self, tx_id: str) -> Steps[Answer]:
        """Ask what came of a call whose answer was lost."""
        arguments = {"txId": tx_id, "withRWSet": "false"}
        answer = yield from self.query(SystemContract.CHAIN_QUERY.value, "GET_TX_BY_TX_ID", arguments)
        info = TransactionInfo.FromString(answer.result)
        result = info.transaction.result
        return _answer(
            TxResponse(
                code=result.code,
                message=result.message,
                contract_result=result.contract_result,
                tx_id=tx_id,
                tx_block_height=info.block_height,
            )
        )

    def _ask(self, request: TxRequest) -> Steps[Answer]:
        response, _ = yield from _sent("SendRequest", request)
        return _answer(response)


def _sent(method: str, request: TxRequest) -> Steps[tuple[TxResponse, bool]]:
    """Send until there is a response; say whether it took more than one try. Raises CallError, UnreachableError."""
    for attempt in range(RETRIES_MAX):
        reply = yield Send(method, request)
        if isinstance(reply, TxResponse):
            return reply, attempt > 0
        assert isinstance(reply, Unanswered)
        if reply.words:
            raise CallError(TxStatusCode.INTERNAL_ERROR, reply.words, request.payload.tx_id)
        if not reply.again or attempt == RETRIES_MAX - 1:
            raise UnreachableError(
                f"the node does not answer ({reply.status}): is it running? transaction {request.payload.tx_id}"
            )
        yield Pause(RETRY_PAUSE_S * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _answer(response: TxResponse) -> Answer:
    result = response.contract_result
    if response.code != TxStatusCode.SUCCESS or result.code:
        raise CallError(response.code, result.message or response.message, response.tx_id)
    return Answer(
        response.tx_id, result.result, result.gas_used, response.tx_block_height, tuple(result.contract_event)
    )


def as_text(arguments: Mapping[str, object]) -> dict[str, bytes | str]:
    """Return arguments as the contract's codec takes them. Raises TypeError."""
    return {name: _one(value) for name, value in arguments.items()}


def _one(value: object) -> bytes | str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):  # a record
        return json.dumps(_in_json(value), ensure_ascii=False, separators=(",", ":"))
    raise TypeError(f"an argument is text, bytes, a number, true/false or a record's dict, not {type(value).__name__}")


def _in_json(value: object) -> object:
    """Return a record or a field of one as JSON has it; what no field can be is refused here, not by the node."""
    if isinstance(value, dict):
        return {name: _in_json(item) for name, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int | str):
        return value
    raise TypeError(f"a record's field is text, bytes, a number or true/false, not {type(value).__name__}")
