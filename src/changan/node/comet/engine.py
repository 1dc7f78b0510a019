"""The ordering engine as a process beside this node: its start and stop, and its door for transactions."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import select
import signal
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from changan.errors import ChanganError
from changan.node.comet.submission import UnsentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.node.comet.engine_home import EngineHome

_log = structlog.get_logger()
STOP_S = 8.0
RESTART_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
ANSWER_S = 20.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024
LOG_BYTES_MAX = 16 * 1024 * 1024
ROOM_BYTES = 32 * 1024 * 1024
"""With less on its disk the engine is stopped; it starts again once there is twice as much."""
ROOM_CHECK_S = 1.0


class EngineError(ChanganError):
    """An engine that cannot be started or does not answer, with what to do about it."""


class EngineDoor:
    """The engine's JSON-RPC on its Unix socket, as far as we use it. Its answers are read with bounds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def broadcast(self, data: bytes) -> None:
        """Hand a transaction to the engine's gossip. Raises UnsentError."""
        try:
            found = await self.ask("broadcast_tx_sync", {"tx": base64.b64encode(data).decode()})
        except EngineError as error:
            raise UnsentError(str(error)) from error
        if found.get("code") != 0:
            raise UnsentError(f"the engine refuses a batch: {found.get('log')}")

    async def ask(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of one call. Raises EngineError."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters or {}}).encode()
        async with self._lock:
            try:
                answer = json.loads(await asyncio.wait_for(self._exchange(body), ANSWER_S))
            except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError) as error:
                self.close()
                raise EngineError(f"the engine does not answer: {error!r}") from error
            except asyncio.CancelledError:
                self.close()
                raise
        if "error" in answer:
            raise EngineError(f"the engine answers {method} with {answer['error']}")
        result = answer.get("result")
        return result if isinstance(result, dict) else {}

    async def _exchange(self, body: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(self._path)
        reader, writer = self._streams
        head = (
            f"POST / HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if "content-length" not in headers:
            return await self._chunks(reader)
        length = int(headers["content-length"])
        if not 0 <= length <= ANSWER_BYTES_MAX:
            raise ValueError(f"an answer of {length} bytes")
        return await reader.readexactly(length)

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        found = b""
        while True:
            length = int((await reader.readuntil(b"\r\n")).strip(), 16)
            if not 0 <= length <= ANSWER_BYTES_MAX - len(found):
                raise ValueError("an answer that is too long")
            found += (await reader.readexactly(length + 2))[:-2]
            if length == 0:
                return found

    def close(self) -> None:
        """Close the connection; the next call opens one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Engine:
    """Starts the engine, starts it again when it ends, and stops it."""

    def __init__(self, binary: Path, home: EngineHome, sockets: Path) -> None:
        self._binary = binary
        self._home = home
        self.application_socket = sockets / "app"
        self.door = EngineDoor(sockets / "rpc")
        self._rpc_socket = sockets / "rpc"
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The engine's process id while it runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def run(self, before_start: Callable[[bool], None], waits: Callable[[str | None], None]) -> None:
        """Keep the engine running until `stop`. `before_start` hears whether the engine begins without blocks.

        `waits` hears why the engine stands still, and None when it goes on.
        """
        await asyncio.to_thread(end_leftover, self._home)
        while not self._stopping:
            await self._await_room(waits)
            before_start(self._home.is_new)
            started = asyncio.get_running_loop().time()
            await self._start()
            assert self._process is not None
            code = await self._live(self._process)
            self.door.close()
            if self._stopping:
                return
            lived = asyncio.get_running_loop().time() - started
            pause = RESTART_PAUSES_S[min(self.starts - 1, len(RESTART_PAUSES_S) - 1)] if lived < 10 else 0.2  # noqa: PLR2004
            _log.warning("engine.ended", code=code, last=self._last_line(), again_in_s=pause)
            await asyncio.sleep(pause)

    async def _await_room(self, waits: Callable[[str | None], None]) -> None:
        """Return when the engine's disk has room, or the engine is to stop."""
        while not self._stopping and self._room() < 2 * ROOM_BYTES:
            waits(
                f"the disk is full: {self._home.root} has less than {2 * ROOM_BYTES >> 20} MiB to take blocks, free some space; "
                "the node goes on by itself"
            )
            await asyncio.sleep(ROOM_CHECK_S)
        waits(None)

    async def _live(self, process: asyncio.subprocess.Process) -> int:
        """Return the engine's exit status. On a full disk its agreement ends and its process does not: it is stopped before."""
        ended = asyncio.create_task(process.wait())
        try:
            while not (await asyncio.wait({ended}, timeout=ROOM_CHECK_S))[0]:
                if self._room() < ROOM_BYTES and not self._stopping:
                    _log.error("engine.no_room", below_bytes=ROOM_BYTES, folder=str(self._home.root))
                    await _end(process)
        finally:
            ended.cancel()
        return await process.wait()

    def _room(self) -> int:
        status = os.statvfs(self._home.root)
        return status.f_bavail * status.f_frsize

    async def _start(self) -> None:
        self.starts += 1
        self._rpc_socket.unlink(missing_ok=True)
        if self._home.log_file.exists() and self._home.log_file.stat().st_size > LOG_BYTES_MAX:
            self._home.log_file.replace(self._home.log_file.with_suffix(".log.1"))
        with self._home.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self._binary),
                "start",
                "--home",
                str(self._home.root),
                "--proxy_app",
                f"unix://{self.application_socket}",
                "--rpc.laddr",
                f"unix://{self._rpc_socket}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._home.pid_file.write_text(f"{self._process.pid}\n", encoding="ascii")

    def _last_line(self) -> str:
        with contextlib.suppress(OSError), self._home.log_file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1][:500] if lines else ""
        return ""

    async def stop(self) -> None:
        """Stop the engine cleanly; kill it where it does not listen."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        await _end(process)
        self._home.pid_file.unlink(missing_ok=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop a process cleanly; kill it where it does not listen."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def socket_folder(root: Path) -> Path:
    """Return the folder of an engine home's Unix sockets; their paths must be short, and a home's may be long.

    Raises EngineError where somebody else could reach it.
    """
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    folder = base / f"changan-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) != 0o700 or not stat.S_ISDIR(status.st_mode):  # noqa: PLR2004  # the mode asked for
        raise EngineError(f"{folder} is open to others: remove it, and start the node again")
    return folder


def end_leftover(home: EngineHome) -> None:
    """End an engine of this home that outlived its node."""
    try:
        pid = int(home.pid_file.read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(home.root).encode() not in command.split(b"\0"):
        return
    _log.warning("engine.leftover", pid=pid)
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _await_end(descriptor)
        finally:
            os.close(descriptor)


def _await_end(descriptor: int) -> None:
    select.select([descriptor], [], [], STOP_S)
