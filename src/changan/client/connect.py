"""A typed client of a node: `connect("127.0.0.1:12301", home=DIR, user="client1")`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import grpc

from changan.client.requests import Signer, install_parameters, make_payload, new_tx_id, sign_request
from changan.errors import ChanganError
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import TransactionInfo, TxRequest, TxResponse, TxStatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from changan.ledger.wire.messages import ContractEvent, Payload

TIMEOUT_S = 60.0
RETRIES_MAX = 6
RETRY_PAUSE_S = 0.2
MESSAGE_BYTES_MAX = 100 * 1024 * 1024
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


class Connection:
    """A connection to one node as one user. It may be shared between threads."""

    def __init__(
        self, address: str, signer: Signer, endorsers: Sequence[Signer] = (), *, chain_id: str = "chain1"
    ) -> None:
        self.signer = signer
        self._endorsers = tuple(endorsers)
        self.chain_id = chain_id
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.initial_reconnect_backoff_ms", 200),
                ("grpc.min_reconnect_backoff_ms", 200),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )
        self._sync = self._method("SendRequestSync")
        self._async = self._method("SendRequest")

    def _method(self, name: str) -> grpc.UnaryUnaryMultiCallable[TxRequest, TxResponse]:
        return self._channel.unary_unary(
            f"/api.RpcNode/{name}",
            request_serializer=TxRequest.SerializeToString,
            response_deserializer=TxResponse.FromString,
        )

    def invoke(
        self, contract: str, method: str, arguments: Mapping[str, object] | None = None, *, tx_id: str | None = None
    ) -> Answer:
        """Call a contract and wait until the result rests on disk.

        A lost answer is asked for again under the same transaction id, so the call counts once.
        Raises CallError, UnreachableError.
        """
        return self._invoke(self._payload(contract, method, arguments or {}, tx_id=tx_id), ())

    def query(self, contract: str, method: str, arguments: Mapping[str, object] | None = None) -> Answer:
        """Ask a contract without leaving a trace. Raises CallError, UnreachableError."""
        payload = self._payload(contract, method, arguments or {}, query=True)
        return self._answer(self._ask(self._async, sign_request(payload, self.signer)))

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
        method = "UPGRADE_CONTRACT" if upgrade else "INIT_CONTRACT"
        parameters = install_parameters(name, version, code, as_text(arguments or {}))
        payload = make_payload(self.chain_id, SystemContract.CONTRACT_MANAGE.value, method, parameters)
        return self._invoke(payload, self._endorsers)

    def _payload(
        self,
        contract: str,
        method: str,
        arguments: Mapping[str, object],
        *,
        query: bool = False,
        tx_id: str | None = None,
    ) -> Payload:
        return make_payload(
            self.chain_id, contract, method, as_text(arguments), query=query, tx_id=tx_id or new_tx_id()
        )

    def _invoke(self, payload: Payload, endorsers: Sequence[Signer]) -> Answer:
        request = sign_request(payload, self.signer, endorsers)
        for attempt in range(RETRIES_MAX):
            try:
                response = self._sync(request, timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                if error.code() not in _AGAIN or attempt == RETRIES_MAX - 1:
                    raise _unreachable(error, payload.tx_id) from error
                time.sleep(RETRY_PAUSE_S * 2**attempt)
                continue
            if attempt and "TxId exist in DB" in response.message:
                return self._found(payload.tx_id)
            return self._answer(response)
        raise AssertionError("the last attempt returns or raises")

    def _found(self, tx_id: str) -> Answer:
        """Return what came of a call whose answer was lost."""
        arguments = {"txId": tx_id, "withRWSet": "false"}
        answer = self.query(SystemContract.CHAIN_QUERY.value, "GET_TX_BY_TX_ID", arguments)
        info = TransactionInfo.FromString(answer.result)
        result = info.transaction.result
        return self._answer(
            TxResponse(
                code=result.code,
                message=result.message,
                contract_result=result.contract_result,
                tx_id=tx_id,
                tx_block_height=info.block_height,
            )
        )

    def _ask(self, method: grpc.UnaryUnaryMultiCallable[TxRequest, TxResponse], request: TxRequest) -> TxResponse:
        for attempt in range(RETRIES_MAX):
            try:
                return method(request, timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                if error.code() not in _AGAIN or attempt == RETRIES_MAX - 1:
                    raise _unreachable(error, request.payload.tx_id) from error
                time.sleep(RETRY_PAUSE_S * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _answer(self, response: TxResponse) -> Answer:
        result = response.contract_result
        if response.code != TxStatusCode.SUCCESS or result.code:
            raise CallError(response.code, result.message or response.message, response.tx_id)
        return Answer(
            response.tx_id, result.result, result.gas_used, response.tx_block_height, tuple(result.contract_event)
        )

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unreachable(error: grpc.RpcError, tx_id: str) -> UnreachableError:
    return UnreachableError(f"the node does not answer ({error.code().name}): is it running? transaction {tx_id}")


def as_text(arguments: Mapping[str, object]) -> dict[str, bytes | str]:
    """Return arguments as the contract's codec takes them."""
    return {name: _one(value) for name, value in arguments.items()}


def _one(value: object) -> bytes | str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | str):
        return value
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"an argument is text, bytes, a number or true/false, not {type(value).__name__}")


def connect(
    address: str, *, home: str | Path, user: str = "client1", org_id: str = "", chain_id: str = "chain1"
) -> Connection:
    """Connect to a node as a user of its home, e.g. `connect("127.0.0.1:12301", home="changan-home", user="client1")`.

    `org_id` names the user's organisation, by default the first. Administrators whose keys lie in the home endorse
    installations. Raises MalformedError, OSError.
    """
    root = Path(home) / "crypto-config"
    organisations = sorted(path.name for path in root.iterdir() if path.is_dir())
    signer = _member(root, org_id or organisations[0], user)
    admins = [_member(root, name, "admin1") for name in organisations if (root / name / "user" / "admin1").is_dir()]
    return Connection(address, signer, admins, chain_id=chain_id)


def _member(root: Path, org_id: str, user: str) -> Signer:
    stem = root / org_id / "user" / user / f"{user}.sign"
    return Signer.from_files(org_id, stem.with_suffix(".sign.crt"), stem.with_suffix(".sign.key"))
