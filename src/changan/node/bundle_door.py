"""Bundles over HTTP: a signed request as it is, or with its columns as an Arrow stream, which become those that were signed."""

from __future__ import annotations

import asyncio
import base64
import binascii
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from google.protobuf.message import DecodeError

from changan.arrow import need_arrow
from changan.client.doors import REQUEST_HEADER
from changan.errors import MalformedError
from changan.ledger.admission import RefusedError
from changan.ledger.bundle import HEAD_BYTES, MESSAGE, PARAMETER, BundleError, bundled_method, encode_bundle, read_head
from changan.ledger.contracts import find_instance
from changan.ledger.wire.messages import BundleResult, TxRequest, TxType
from changan.node.access import SIGNED_BYTES_MAX
from changan.node.rpc import REQUEST_BYTES_MAX, takes_long_to_prove

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.node.chain import Chain


async def send_bundle(chains: Mapping[str, Chain], data: bytes) -> dict[str, Any]:
    """Take a bundle as a serialized TxRequest; return what came of it. Raises HTTPException, StoppedError."""
    request = _request(data)
    return await _send(_chain(chains, request), request)


async def send_arrow_bundle(chains: Mapping[str, Chain], header: str, stream: bytes) -> dict[str, Any]:
    """Take a bundle whose columns are an Arrow IPC stream.

    `header` is the TxRequest in base64, whose parameter holds the bundle's head alone. The signature is over the request with
    head and canonical columns. Raises ArrowMissingError, HTTPException, StoppedError.
    """
    need_arrow()
    try:
        request = _request(base64.b64decode(header, validate=True) if len(header) <= SIGNED_BYTES_MAX else b"")
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, f"{REQUEST_HEADER} is a TxRequest in base64") from error
    chain = _chain(chains, request)
    try:
        request.payload.parameters[0].value = await _whole_bundle(chain, request, stream)
    except (BundleError, MalformedError) as error:
        raise HTTPException(422, f"bundle refused: {error}") from error
    return await _send(chain, request)


async def _whole_bundle(chain: Chain, request: TxRequest, stream: bytes) -> bytes:
    """Return the bundle of a head and a stream. Raises BundleError, MalformedError."""
    payload = request.payload
    instance = find_instance(chain.world.rows, chain.world.instances, payload.contract_name)
    if instance is None:
        raise BundleError(f"there is no Python contract {payload.contract_name[:128]!r}")
    signature = bundled_method(instance.program, payload.method, rules=chain.world.rules)
    head = payload.parameters[0].value
    if len(head) != HEAD_BYTES:
        raise BundleError(f"{PARAMETER} holds the {HEAD_BYTES} bytes of a bundle's head, and the body its columns")
    rows, budget = read_head(head, signature)
    read = import_module("changan.arrow.ipc").read_columns
    columns = await asyncio.to_thread(read, stream, signature.parameters, rows, REQUEST_BYTES_MAX)
    return encode_bundle(signature, columns, rows, budget)


def _request(data: bytes) -> TxRequest:
    try:
        request = TxRequest.FromString(data)
    except DecodeError as error:
        raise HTTPException(422, "the request is a serialized TxRequest, signed by its sender") from error
    if [parameter.key for parameter in request.payload.parameters] != [PARAMETER]:
        raise HTTPException(422, f"the request carries one parameter, {PARAMETER}; see docs/bundles")
    return request


def _chain(chains: Mapping[str, Chain], request: TxRequest) -> Chain:
    chain = chains.get(request.payload.chain_id)
    if chain is None:
        raise HTTPException(404, f"this node has no chain {request.payload.chain_id[:64]!r}")
    return chain


async def _send(chain: Chain, request: TxRequest) -> dict[str, Any]:
    size = request.ByteSize()
    is_call = request.payload.tx_type == TxType.INVOKE_CONTRACT
    [proven] = await chain.prove([request]) if is_call and takes_long_to_prove(chain, request, size) else [None]
    try:
        response = await chain.submit_and_wait(request, size, proven)
    except RefusedError as error:
        raise HTTPException(422, error.message) from error
    called = response.contract_result
    if response.code or called.message != MESSAGE:
        raise HTTPException(422, called.message or response.message)
    result = BundleResult.FromString(called.result)
    return {
        "tx_id": response.tx_id,
        "height": response.tx_block_height,
        "rows": result.rows,
        "succeeded": result.succeeded,
        "gas": result.gas,
    }
