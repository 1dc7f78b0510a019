"""What a node answers to a call that rests, and to a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from changan.ledger.wire.messages import TxResponse, TxStatusCode, TxType

if TYPE_CHECKING:
    from changan.ledger.done import Done
    from changan.ledger.wire.messages import ContractResult, TxRequest


class Committed(NamedTuple):
    """Where a transaction rests, and what came of it."""

    height: int
    done: Done

    @property
    def response(self) -> TxResponse:
        """Return the answer that a synchronous call gets."""
        done = self.done
        return TxResponse(
            code=done.code,
            message=done.message,
            contract_result=done.result,
            tx_id=done.tx_id,
            tx_timestamp=done.timestamp,
            tx_block_height=self.height,
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
