"""Serving HTTP: uvicorn with the node's TLS, and connections that are cut off when their peer neither sends nor reads."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from changan.node.tls_peers import PEER

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from changan.node.pki.layout import CryptoConfig

CONNECTIONS_MAX = 1000
"""Beyond it the connection that has kept the node waiting longest makes room; where none does, that is the new one."""
HEAD_S = 10.0
"""How long the head of a request may take to arrive, from the connection or the last answer on; and a handshake of TLS."""
BODY_S = 120.0
"""How long its body may take: 12 MiB at 100 KiB a second."""
PATIENCE_S = 30.0
"""How long an answer may wait for its reader. A reader that takes nothing for so long is cut off, as on the gRPC door."""

SEND_BUFFER_BYTES = 128 * 1024


class Crowd(ServerState):
    """The connections of a server: those that are open, and of these whose peer is awaited, the longest first."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[PatientProtocol | Handshake] = set()
        self.awaited: dict[PatientProtocol | Handshake, None] = {}

    def enter(self, one: PatientProtocol | Handshake) -> None:
        """Take in a connection whose peer is awaited, and have one make room where there are too many."""
        self.open.add(one)
        self.awaited[one] = None
        if len(self.open) > CONNECTIONS_MAX:
            next(iter(self.awaited)).cut_off()

    def drop(self, one: PatientProtocol | Handshake) -> None:
        """Forget a connection that ends."""
        self.open.discard(one)
        self.awaited.pop(one, None)


class PatientProtocol(H11Protocol):
    """HTTP/1.1 on one connection, whose peer must get on with it."""

    _awaited: float | None = None
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class has it
        """Take up a connection."""
        super().connection_made(transport)
        # What the kernel holds for a reader counts as taken, and it asks for more only when much of that is gone.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        tls = transport.get_extra_info("ssl_object")
        self.app_state = {**self.app_state, PEER: tls and tls.getpeercert(binary_form=True)}
        self._watch()
        self._crowd.enter(self)

    @property
    def awaits(self) -> float | None:
        """How long the peer may take for what is due from it; None while the node is to answer."""
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None before the first
            return HEAD_S
        return BODY_S if self.cycle.more_body else None

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Turn to the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the reader, but not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(PATIENCE_S, self.cut_off)

    def resume_writing(self) -> None:
        """Go on: the reader does."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        for timer in (self._late, self._unread):
            if timer is not None:
                timer.cancel()
        self._crowd.drop(self)
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """End the connection now; what the peer has not taken is dropped, and whoever answers it is told."""
        self._crowd.drop(self)
        self.transport.abort()

    @property
    def _crowd(self) -> Crowd:
        assert isinstance(self.server_state, Crowd)
        return self.server_state

    def _watch(self) -> None:
        """Give the peer its time for the part of a request that is due next."""
        awaited = self.awaits
        if awaited == self._awaited:
            return
        self._awaited = awaited
        self._crowd.awaited.pop(self, None)
        if awaited is not None:
            self._crowd.awaited[self] = None
        if self._late is not None:
            self._late.cancel()
        self._late = None if awaited is None else self.loop.call_later(awaited, self.cut_off)


class Handshake(asyncio.Protocol):
    """A connection that is to become one of TLS, and counts as one whose peer is awaited; what it carries is for `then`."""

    def __init__(self, tls: ssl.SSLContext, **given: Any) -> None:
        self._tls = tls
        self._then = PatientProtocol(**given)
        self._early: list[bytes] | None = []  # what came with the end of the handshake; None once `then` has taken over
        self._lost = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class has it
        """Begin the handshake."""
        transport.pause_reading()  # until TLS reads
        self._transport = transport
        self._crowd.enter(self)
        self._shaking = self._then.loop.create_task(self._shake())

    def data_received(self, data: bytes) -> None:
        """Keep what came early."""
        if self._early is None:
            self._then.data_received(data)
        else:
            self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go: the connection ended between its handshake and its first request."""
        self._lost = True
        if self._early is None:
            self._then.connection_lost(exc)

    def cut_off(self) -> None:
        """End the connection now."""
        self._crowd.drop(self)
        self._transport.abort()

    @property
    def _crowd(self) -> Crowd:
        assert isinstance(self._then.server_state, Crowd)
        return self._then.server_state

    async def _shake(self) -> None:
        try:
            secured = await self._then.loop.start_tls(
                self._transport,
                self,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=HEAD_S,
                ssl_shutdown_timeout=HEAD_S,
            )
        except OSError:  # too slow, or no TLS, or none that holds: the connection is closed
            return
        finally:
            self._crowd.drop(self)
        if secured is None or self._lost:
            return
        early, self._early = self._early or [], None
        secured.set_protocol(self._then)
        self._then.connection_made(secured)
        for data in early:
            self._then.data_received(data)


class HttpServer(uvicorn.Server):
    """A server that leaves signals to the node, and raises what `taken` makes of its words when it cannot open its port."""

    def __init__(self, config: uvicorn.Config, taken: Callable[[str], Exception]) -> None:
        super().__init__(config)
        self.server_state = Crowd()
        self._taken = taken

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # noqa: ANN201  # as the base class has it
        yield

    async def startup(self, sockets=None) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # as the base class has it
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise self._taken(f"port {self.config.port} cannot be opened: give another --http-port") from error


def server_config(app: ASGIApp, host: str, port: int, tls: ssl.SSLContext | None, grace_s: float) -> uvicorn.Config:
    """Return how an application is served at a place; `grace_s` is how long its answers may take when the node stops."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PatientProtocol if tls is None else partial(Handshake, tls),  # type: ignore[arg-type]  # a factory will do
        ws="none",
        proxy_headers=False,  # whoever reaches the door could name any address as his own, and be counted there
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=int(grace_s),
    )


def tls_context(crypto: CryptoConfig, *, mutual: bool) -> ssl.SSLContext:
    """Return the node's side of TLS, with the certificates of the gRPC door. Raises LayoutError, OSError."""
    node = crypto.organisations[0].node()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(node.tls_certificate, node.tls_key)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        for organisation in crypto.organisations:
            context.load_verify_locations(organisation.tls_root)
    return context
