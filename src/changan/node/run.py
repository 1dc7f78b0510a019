"""A running node: its chains, its doors, and the order in which they open and close."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import structlog

from changan.client.doors import KnownDoors, write_doors
from changan.contract.engines import compiled, plain
from changan.errors import ChanganError
from changan.ledger.wire.messages import Node as NodeInfo
from changan.node.chain import Chain
from changan.node.expiry import Expiry
from changan.node.founding import (
    differences,
    found_organisations,
    genesis_of,
    install_examples,
    proposer_of,
    register_users,
    write_sdk_configs,
)
from changan.node.http import make_http
from changan.node.http_server import CONNECTIONS_MAX, HttpServer, server_config, tls_context
from changan.node.kernels import NodeKernels
from changan.node.limits import RateLimits
from changan.node.process import file_limit, keep_freed_memory, look_for_garbage_rarely, raise_file_limit
from changan.node.rpc import MESSAGE_BYTES_MAX, RpcNode
from changan.node.solo import Solo
from changan.node.storage import ChainStorage
from changan.node.store.lock import HomeLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from changan.node.home import Home
    from changan.node.pki.layout import CryptoConfig
    from changan.node.settings import ChainSettings, Settings

_log = structlog.get_logger()
STREAMS_MAX = 1000
FILES_KEPT = 2 * CONNECTIONS_MAX
"""Of the files that this process may have open, so many are kept from gRPC connections: for HTTP's and for the log."""
HANDSHAKE_MS = 10_000
IDLE_MS = 600_000
"""How long a gRPC connection may take to say that it is one, and how long it may have nothing under way."""
GRACE_S = 2.0


class NodeError(ChanganError):
    """A node that cannot start, with what to do about it."""


class Doors(NamedTuple):
    """Where a node listens. Port 0 asks for any free one."""

    host: str = "127.0.0.1"
    rpc_port: int = 12301
    http_port: int = 8080
    tls: str = "none"  # none, server (one-way) or mutual


class Ready(NamedTuple):
    """Where a node answers, and in what its settings contradict the chains that exist."""

    rpc: str
    http: str
    differences: tuple[str, ...]


class RunningNode:
    """The chains of a home and their doors."""

    def __init__(self, home: Home, settings: Settings, doors: Doors, *, demo: bool) -> None:
        self._home = home
        self._settings = settings
        self._doors = doors
        self._demo = demo
        self.chains: dict[str, Chain] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._limits = RateLimits(settings.rate_limit)
        self._differences: list[str] = []
        self._here: list[NodeInfo] = []  # this node, as its chains name it; its address is known when the door is open
        self._kernels = NodeKernels()
        self._reads: dict[str, Callable[..., Awaitable[Any]]] = {}
        """Further reads of the HTTP door, by path."""

    @contextlib.asynccontextmanager
    async def open(self, crash_point: Callable[[str], None] = lambda _: None) -> AsyncIterator[Ready]:
        """Start everything; the doors answer while the context lasts. Raises ChanganError in words."""
        self._home.prepare()
        raise_file_limit()
        keep_freed_memory()
        look_for_garbage_rarely()
        with HomeLock(self._home.root):
            crypto = self._find_organisations()
            if self._settings.engine == "compiled":
                await asyncio.to_thread(self._kernels.load_if_compiled)
            try:
                for settings in self._settings.chains:
                    await self._open_chain(settings, crypto, crash_point)
                if self._home.is_new:
                    for chain in self.chains.values():
                        await register_users(chain, crypto)
                        if self._demo:
                            await install_examples(chain, crypto)
                self._home.mark_made()
                expiry = Expiry(crypto.directory, self.chains)
                self._reads["/v1/certificates"] = expiry.listed
                async with (
                    expiry.watched(),
                    self._kernels.warmed(self.chains),
                    self._open_rpc(crypto) as rpc,
                    self._open_http(crypto) as http,
                ):
                    write_sdk_configs(self._home, crypto, self._settings, rpc, tls=self._doors.tls != "none")
                    write_doors(self._home.root, KnownDoors(rpc, http, self._doors.tls))
                    yield Ready(rpc, http, tuple(self._differences))
            finally:
                await self._close_chains()
                self._kernels.close()

    def _find_organisations(self) -> CryptoConfig:
        return found_organisations(self._home, self._settings, self._doors.host)

    async def _open_chain(
        self, settings: ChainSettings, crypto: CryptoConfig, crash_point: Callable[[str], None]
    ) -> None:
        chain_id = settings.chain_id
        genesis = genesis_of(crypto, settings, self._settings.suite)
        storage = self._storage(chain_id, crash_point)
        made = storage.genesis()
        if made is not None:
            self._differences += differences(made, genesis)
        world = await asyncio.to_thread(storage.open_world, genesis, self._kernels.serve)
        first = crypto.organisations[0]
        node = NodeInfo(node_id=first.node_id)
        self._here.append(node)
        chain = Chain(world, storage, [node], lambda: list(self.chains))
        self._order(chain, Solo(chain, proposer_of(crypto, first)).run())

    def _order(self, chain: Chain, ordering: Coroutine[Any, Any, None]) -> None:
        """Let a chain be ordered from now on."""
        self.chains[chain.chain_id] = chain
        task = self._tasks[chain.chain_id] = asyncio.create_task(ordering, name=f"chain {chain.chain_id}")
        task.add_done_callback(_report)

    def _storage(self, chain_id: str, crash_point: Callable[[str], None]) -> ChainStorage:
        engine = plain if self._settings.engine == "plain" else compiled(secrets.token_bytes(32))
        return ChainStorage(self._home.chain_directory(chain_id), engine=engine, crash_point=crash_point)

    @contextlib.asynccontextmanager
    async def _open_rpc(self, crypto: CryptoConfig) -> AsyncIterator[str]:
        rpc = RpcNode(self.chains, self._limits)
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_concurrent_streams", STREAMS_MAX),
                ("grpc.so_reuseport", 0),
                ("grpc.max_allowed_incoming_connections", max(file_limit() // 2, file_limit() - FILES_KEPT)),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
                ("grpc.max_connection_idle_ms", IDLE_MS),
            ]
        )
        server.add_generic_rpc_handlers((rpc.handlers(), rpc.own_handlers()))
        address = f"{self._doors.host}:{self._doors.rpc_port}"
        try:
            if self._doors.tls == "none":
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, _server_credentials(crypto, mutual=self._doors.tls == "mutual"))
        except RuntimeError as error:
            raise NodeError(f"{address} cannot be opened ({error}): give another --rpc-port") from error
        address = f"{self._doors.host}:{port}"
        for node in self._here:
            node.node_address = address
        await server.start()
        try:
            yield address
        finally:
            for chain in self.chains.values():
                await chain.stop()
            await server.stop(GRACE_S)

    @contextlib.asynccontextmanager
    async def _open_http(self, crypto: CryptoConfig) -> AsyncIterator[str]:
        doors, open_at = self._doors, self._open_at()
        _log.info("http.open" if open_at else "http.members", host=doors.host, tls=doors.tls)
        tls = None if doors.tls == "none" else tls_context(crypto, mutual=doors.tls == "mutual")
        app = make_http(self.chains, self._limits, self._reads, open_at)
        server = HttpServer(server_config(app, doors.host, doors.http_port, tls, GRACE_S), NodeError)
        task = asyncio.create_task(server.serve(), name="http")
        while not server.started:
            if task.done():
                await task
                raise NodeError(f"port {self._doors.http_port} cannot be opened: give another --http-port")
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"{'http' if tls is None else 'https'}://{doors.host}:{port}"
        finally:
            server.should_exit = True
            await task

    def _open_at(self) -> str | None:
        """Return the address at which anybody may read over HTTP: loopback, on a node with the demonstration; else None."""
        with contextlib.suppress(ValueError):
            if self._demo and (self._doors.host == "localhost" or ip_address(self._doors.host).is_loopback):
                return self._doors.host
        return None

    async def _close_chains(self) -> None:
        for chain_id, chain in self.chains.items():
            await chain.stop()
            await asyncio.wait([self._tasks[chain_id]])  # what ended it was reported
            await chain.close()


def _server_credentials(crypto: CryptoConfig, *, mutual: bool) -> grpc.ServerCredentials:
    credential = crypto.organisations[0].node()
    pair = (credential.tls_key.read_bytes(), credential.tls_certificate.read_bytes())
    roots = b"\n".join(org.tls_root.read_bytes() for org in crypto.organisations)
    return grpc.ssl_server_credentials([pair], root_certificates=roots if mutual else None, require_client_auth=mutual)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("chain.stopped", chain=task.get_name(), reason=repr(task.exception()))
