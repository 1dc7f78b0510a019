"""The ABCI socket: frames of protobuf with their length before them, answered in order, whatever comes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

import structlog
from google.protobuf.message import DecodeError, EncodeError

from changan.ledger.wire.fields import prefixed
from changan.node.comet.abci.application import SAFE
from changan.node.comet.abci.messages import Request, Response, ResponseException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from google.protobuf.message import Message

    from changan.node.comet.abci.application import Application

_log = structlog.get_logger()
FRAME_BYTES_MAX = 128 * 1024 * 1024
"""The engine's blocks are at most 100 MiB; a longer frame is no frame."""
_VARINT_BYTES_MAX = 5
_CONTINUED = 0x80
_WRITE_BUFFER_BYTES = 1 << 20


class FrameError(Exception):
    """A connection that does not speak the protocol; nothing after it can be understood."""


class Answer(NamedTuple):
    """The bytes of a response, and whether the connection can go on."""

    data: bytes
    go_on: bool


async def answer(application: Application, data: bytes) -> Answer:
    """Return the response to one request. It never raises an Exception: the engine would stop for good."""
    try:
        request = Request.FromString(data)
    except DecodeError:
        return _failure("the frame is no request")
    fields = request.ListFields()
    if not fields:
        return _failure("the request names no method of ABCI 2.0")
    descriptor, body = fields[0]
    name = descriptor.name
    try:
        method: Callable[[Message], Awaitable[Message]] = getattr(application, name)
        return Answer(_wrap(name, await method(body)), go_on=True)
    except Exception as error:  # noqa: BLE001  # every failure has an answer
        _log.error("abci.failed", method=name, reason=repr(error), exc_info=error)
        safe = SAFE.get(name)
        return _failure(f"{name}: {error}") if safe is None else Answer(_wrap(name, safe), go_on=True)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _wrap(name: str, body: Message) -> bytes:
    response = Response()
    getattr(response, name).CopyFrom(body)
    getattr(response, name).SetInParent()
    return response.SerializeToString()


def _failure(text: str) -> Answer:
    try:
        data = Response(exception=ResponseException(error=text[:2000])).SerializeToString()
    except (EncodeError, UnicodeError):
        data = Response(exception=ResponseException(error="failed")).SerializeToString()
    return Answer(data, go_on=False)


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next frame, or None where the connection ends. Raises FrameError."""
    length = shift = 0
    for position in range(_VARINT_BYTES_MAX):
        byte = await reader.read(1)
        if not byte:
            if position == 0:
                return None
            raise FrameError("the connection ends within a frame")
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < _CONTINUED:
            break
    else:
        raise FrameError("the length of a frame does not end")
    if length > FRAME_BYTES_MAX:
        raise FrameError(f"a frame of {length} bytes, at most {FRAME_BYTES_MAX} are taken")
    try:
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise FrameError("the connection ends within a frame") from error


class AbciServer:
    """Serves one application on a Unix socket; the engine opens four connections."""

    def __init__(self, application: Application) -> None:
        self.application = application
        """Who answers; another may take its place between two requests."""
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listen(self, path: Path) -> AsyncIterator[None]:
        """Serve while the context lasts."""
        _remove(path)
        server = await asyncio.start_unix_server(self._connect, path)  # in a folder that is its owner's alone
        try:
            yield
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            if self._connections:
                await asyncio.wait(self._connections)
            _remove(path)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (FrameError, ConnectionError) as error:
            _log.warning("abci.connection", reason=str(error))
        except asyncio.CancelledError:
            pass  # the server closes
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (data := await read_frame(reader)) is not None:
            found = await answer(self.application, data)
            writer.write(prefixed(found.data))
            if writer.transport.get_write_buffer_size() > _WRITE_BUFFER_BYTES:
                await writer.drain()
            if not found.go_on:
                await writer.drain()
                return
