"""Where an engine's light client asks while it begins from a snapshot: a socket of this node, whose answers are members'."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Self

import httpx2
import structlog

from changan.client.web import why_silent
from changan.errors import ChanganError, MalformedError, UnverifiedError
from changan.node.comet.engine_home import TrustedBlock
from changan.node.comet.light import committed, voters_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from changan.client.web import Web
    from changan.ledger.wire.messages import ChainConfig

_log = structlog.get_logger()
ANSWER_BYTES_MAX = 16 * 1024 * 1024
REQUEST_BYTES_MAX = 64 * 1024
ASK_AGAIN_S = 2.0
KEPT_BLOCKS = 64
_METHODS = frozenset({"commit", "validators", "consensus_params"})


class LightDoor:
    """JSON-RPC over HTTP on a Unix socket, as far as CometBFT's light client uses it."""

    def __init__(self, webs: Sequence[Web], genesis: ChainConfig) -> None:
        """`webs` are the HTTP doors of members of the chain that began so; each is asked in turn until one answers."""
        self._webs = webs
        self._genesis = genesis
        self._clients: list[httpx2.AsyncClient] = []
        self._path: Path | None = None
        self._blocks: dict[int, dict[str, Any]] = {}

    @contextlib.asynccontextmanager
    async def listen(self, path: Path) -> AsyncIterator[Self]:
        """Serve while the context lasts."""
        self._path = path
        async with contextlib.AsyncExitStack() as stack:
            self._clients = [await stack.enter_async_context(web.client_async()) for web in self._webs]
            server = await asyncio.start_unix_server(self._serve, path)  # in a folder that is its owner's alone
            try:
                yield self
            finally:
                server.close()

    async def trusted(self) -> TrustedBlock:
        """Return the block that the engine's light client may begin with; while no member has a snapshot, ask again."""
        assert self._path is not None
        genesis = self._genesis
        while True:
            try:
                found = await self._ask("/v1/ordering/snapshot", {})
                height, engine_height = int(found["height"]), int(found["engine_height"])
                roster = voters_of(genesis, found["membership"], height)
                block = await self._block(engine_height)
                block_hash = committed(roster, genesis.chain_id, engine_height, block["commit"])
            except (ChanganError, KeyError, TypeError, ValueError) as error:
                _log.warning("sync.waits", reason=str(error), again_in_s=ASK_AGAIN_S)
                await asyncio.sleep(ASK_AGAIN_S)
            else:
                return TrustedBlock(engine_height, block_hash, self._path)

    async def _block(self, height: int) -> dict[str, Any]:
        if height not in self._blocks:
            found = await self._ask("/v1/ordering/light", {"height": height})
            while len(self._blocks) >= KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[height] = found
        return self._blocks[height]

    async def _ask(self, path: str, parameters: dict[str, int | str]) -> dict[str, Any]:
        """Return what the first member says that answers. Raises UnverifiedError with the last refusal."""
        refusal = "no member's door was named"
        named = {**parameters, "chain": self._genesis.chain_id}
        for client in self._clients:
            try:
                async with client.stream("GET", path, params=named) as answer:
                    data = b""
                    async for piece in answer.aiter_bytes():
                        data += piece
                        if len(data) > ANSWER_BYTES_MAX:
                            raise MalformedError(f"{client.base_url} answers with more than {ANSWER_BYTES_MAX} bytes")
                found = json.loads(data)
                if answer.is_success and isinstance(found, dict):
                    return found
                refusal = f"{client.base_url} answers {answer.status_code}: {str(found)[:500]}"
            except (httpx2.HTTPError, ValueError, RecursionError, MalformedError) as error:
                refusal = why_silent(str(client.base_url), error)
        raise UnverifiedError(refusal)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].partition("\r\n")[0])
                if not 0 <= length <= REQUEST_BYTES_MAX:
                    break
                body = json.dumps(await self._answer(await reader.readexactly(length))).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                    + body
                )
                await writer.drain()
        writer.close()

    async def _answer(self, data: bytes) -> dict[str, Any]:
        call = json.loads(data)
        if not isinstance(call, dict):
            raise ValueError("a call is an object")  # noqa: TRY004  # the connection ends
        said: dict[str, Any] = {"jsonrpc": "2.0", "id": call.get("id")}
        try:
            method, parameters = call["method"], call.get("params") or {}
            if method not in _METHODS:
                raise MalformedError(f"this socket answers {', '.join(sorted(_METHODS))}")
            found = await self._block(int(parameters["height"]))
            return {**said, "result": found[method]}
        except (ChanganError, KeyError, TypeError, ValueError) as error:
            return {**said, "error": {"code": -32603, "message": "Internal error", "data": str(error)}}
