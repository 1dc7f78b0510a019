"""What a node answers to a call that rests, and to a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.ledger.wire.fields import bytes_field, number_field, unless_empty
from changan.ledger.wire.messages import TxResponse, TxStatusCode, TxType

if TYPE_CHECKING:
    from changan.ledger.done import Done
    from changan.ledger.wire.messages import ContractResult, TxRequest

_CODE, _MESSAGE, _RESULT, _TX_ID, _TIME, _HEIGHT = range(1, 7)  # fields of TxResponse
_UNSIGNED = 2**64 - 1  # a varint has a negative number in two's complement


class Committed(NamedTuple):
    """Where a transaction rests, and what came of it."""

    height: int
    done: Done

    @property
    def response(self) -> TxResponse:
        """The answer that a synchronous call gets."""
        return TxResponse.FromString(self.encoded)

    @property
    def encoded(self) -> bytes:
        """The same as bytes."""
        done = self.done
        return b"".join(
            (
                number_field(_CODE, done.code),
                unless_empty(_MESSAGE, done.message.encode()),
                bytes_field(_RESULT, done.answer),
                unless_empty(_TX_ID, done.tx_id.encode()),
                number_field(_TIME, done.timestamp & _UNSIGNED),
                number_field(_HEIGHT, self.height),
            )
        )


def query_response(request: TxRequest, code: int, result: ContractResult) -> TxResponse:
    """Return the answer to a query that ended so."""
    payload = request.payload
    message = "SUCCESS"
    if code != TxStatusCode.SUCCESS:
        message = (
            f"txStatusCode:{code}, resultCode:{result.code}, contractName[{payload.contract_name}] "
            f"method[{payload.method}] txType[QUERY_CONTRACT], {result.message}"
        )
    if payload.tx_type == TxType.INVOKE_CONTRACT and code == TxStatusCode.SUCCESS:
        message = "OK"
    return TxResponse(code=code, message=message, contract_result=result, tx_id=payload.tx_id)
