"""Requests that archive blocks and bring them back, as the SDK sends them: of type ARCHIVE, answered at once, in no block."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from google.protobuf.message import DecodeError

from changan.ledger.admission import RefusedError
from changan.ledger.wire.messages import BlockWithRWSet, TxResponse, TxStatusCode
from changan.node.store.archive import ArchivedError

if TYPE_CHECKING:
    from changan.ledger.wire.messages import TxRequest
    from changan.node.rest import Rest

_HEIGHT_BYTES = 8


async def serve_archive(rest: Rest, request: TxRequest) -> TxResponse:
    """Carry out a request of an administrator. Raises RefusedError."""
    payload = request.payload
    parameters = {parameter.key: parameter.value for parameter in payload.parameters}
    try:
        match payload.method:
            case "ARCHIVE_BLOCK":
                await _archive(rest, parameters)
            case "RESTORE_BLOCK":
                await _restore(rest, parameters)
            case _:
                _refuse("unsupport archive method, it is ARCHIVE_BLOCK or RESTORE_BLOCK")
    except ArchivedError as error:
        _refuse(str(error), error)
    except OSError as error:
        _refuse(f"nothing more was moved: {error}", error)
    return TxResponse(code=TxStatusCode.SUCCESS, message="SUCCESS", tx_id=payload.tx_id)


def _refuse(text: str, cause: Exception | None = None) -> NoReturn:
    raise RefusedError(TxStatusCode.INTERNAL_ERROR, text) from cause


async def _archive(rest: Rest, parameters: dict[str, bytes]) -> None:
    complaint = "check archive block payload params failed"
    value = parameters.get("BLOCK_HEIGHT")
    if value is None or len(parameters) != 1:
        _refuse(f"{complaint}, invalid key, must be BLOCK_HEIGHT")
    if len(value) != _HEIGHT_BYTES:
        _refuse(f"{complaint}, BLOCK_HEIGHT is {_HEIGHT_BYTES} bytes, little-endian")
    height, done = int.from_bytes(value, "little"), rest.reader.archived_height
    if height <= done:
        _refuse(f"archive block failed, blocks up to {done} are archived already")
    if height > rest.archivable:
        _refuse(f"archive block failed, blocks up to {max(rest.archivable, 0)} can be archived now, not {height}")
    await rest.archive(height)


async def _restore(rest: Rest, parameters: dict[str, bytes]) -> None:
    complaint = "check restore block payload params failed"
    value = parameters.get("FULL_BLOCK")
    if value is None or len(parameters) != 1:
        _refuse(f"{complaint}, invalid key, must be FULL_BLOCK")
    try:
        given = BlockWithRWSet.FromString(value)
    except DecodeError as error:
        _refuse(f"{complaint}, FULL_BLOCK is no block", error)
    height = given.block.header.block_height
    stored = rest.reader.stored(height)
    if stored is None or given.block != stored.block or list(given.txRWSets) != list(stored.txRWSets):
        _refuse(f"restore block failed, this is not block {height} of the chain")
    if height <= rest.reader.archived_height:
        await rest.restore(height)
