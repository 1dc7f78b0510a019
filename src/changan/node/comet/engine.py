"""The ordering engine as a process beside this node: its files, its start and stop, and its door for transactions."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from changan.errors import ChanganError
from changan.ledger.roster import Voter, address_of
from changan.node.comet.submission import UnsentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = structlog.get_logger()
STOP_S = 8.0
RESTART_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
ANSWER_S = 20.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024
BLOCK_BYTES_MAX = 4 * 1024 * 1024
TX_BYTES_MAX = 2 * 1024 * 1024
LOG_BYTES_MAX = 16 * 1024 * 1024
_GENESIS_TIME = "2020-11-30T00:00:00Z"  # the engine's own; block time is ours


class EngineError(ChanganError):
    """An engine that cannot be started or does not answer, with what to do about it."""


@dataclass(frozen=True, slots=True)
class EngineKeys:
    """The two keys of one organisation's engine: of its votes and of its connections."""

    validator: bytes  # Ed25519 seeds
    node: bytes

    @classmethod
    def make(cls) -> EngineKeys:
        """Return fresh keys."""
        return cls(*(Ed25519PrivateKey.generate().private_bytes_raw() for _ in range(2)))

    def voter(self, org_id: str, certificate: bytes) -> Voter:
        """Return what the chain's configuration says of their owner."""
        return Voter(org_id, _public(self.validator), address_of(_public(self.node)).hex(), certificate)


def _public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


class EngineHome:
    """The engine's folder for one chain of one node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pid_file = root / "engine.pid"
        self.log_file = root / "engine.log"
        self._signing_state = root / "data" / "priv_validator_state.json"

    def make(self, keys: EngineKeys, chain_id: str, voters: Sequence[Voter]) -> None:
        """Write keys and genesis. The signing state, once there, is never touched: it keeps the node from voting twice."""
        for name in ("config", "data"):
            (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write("config/node_key.json", {"priv_key": _private(keys.node)})
        public = _public(keys.validator)
        validator = {
            "address": address_of(public).hex().upper(),
            "pub_key": _named("PubKey", public),
            "priv_key": _private(keys.validator),
        }
        self._write("config/priv_validator_key.json", validator)
        if not self._signing_state.exists():
            self._write("data/priv_validator_state.json", {"height": "0", "round": 0, "step": 0})
        self._write("config/genesis.json", _genesis(chain_id, voters))

    @property
    def is_new(self) -> bool:
        """Whether the engine has stored no block here."""
        return not (self.root / "data" / "blockstore.db").exists()

    @property
    def first_height(self) -> int:
        """The height that the engine's blocks begin at."""
        genesis = json.loads((self.root / "config" / "genesis.json").read_text(encoding="utf-8"))
        return int(genesis["initial_height"])

    def renew(self, first_height: int, app_hash: bytes) -> None:
        """Begin the engine's blocks anew at a height, behind a ledger block; the signing state stays."""
        genesis = json.loads((self.root / "config" / "genesis.json").read_text(encoding="utf-8"))
        genesis.update(initial_height=str(first_height), app_hash=app_hash.hex().upper())
        self.empty()
        self._write("config/genesis.json", genesis)

    def empty(self) -> None:
        """Forget the engine's blocks, never what it has signed; it gets them from its peers again."""
        for path in (self.root / "data").iterdir():
            if path == self._signing_state:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def configure(self, listen: str, peers: Sequence[str]) -> None:
        """Write where the engine listens and whom it knows; all else is as measured to be best on quick lines."""
        (self.root / "config" / "config.toml").write_text(_config(listen, peers), encoding="utf-8")

    def _write(self, name: str, content: dict[str, Any]) -> None:
        path = self.root / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(descriptor)


def _named(kind: str, data: bytes) -> dict[str, str]:
    return {"type": f"tendermint/{kind}Ed25519", "value": base64.b64encode(data).decode()}


def _private(seed: bytes) -> dict[str, str]:
    return _named("PrivKey", seed + _public(seed))


def _genesis(chain_id: str, voters: Sequence[Voter]) -> dict[str, Any]:
    return {
        "genesis_time": _GENESIS_TIME,
        "chain_id": chain_id,
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": str(BLOCK_BYTES_MAX), "max_gas": "-1"},
            "evidence": {"max_age_num_blocks": "100000", "max_age_duration": "172800000000000", "max_bytes": "65536"},
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "1"},
            "abci": {"vote_extensions_enable_height": "1"},
        },
        "validators": [
            {
                "address": voter.address.hex().upper(),
                "pub_key": _named("PubKey", voter.validator),
                "power": "1",
                "name": voter.org_id,
            }
            for voter in voters
        ],
        "app_hash": "",
    }


def _config(listen: str, peers: Sequence[str]) -> str:
    return f"""\
# Written by changan at every start. Only what differs from the engine's defaults stands here.
moniker = "changan"
db_backend = "goleveldb"
log_level = "error"
log_format = "json"
filter_peers = true

[rpc]
max_body_bytes = {4 * TX_BYTES_MAX}

[p2p]
laddr = "tcp://{listen}"
persistent_peers = "{",".join(peers)}"
persistent_peers_max_dial_period = "1s"
addr_book_strict = false
allow_duplicate_ip = true
pex = false
flush_throttle_timeout = "1ms"
send_rate = 104857600
recv_rate = 104857600
max_packet_msg_payload_size = 65536

[mempool]
recheck = true
size = 2000
max_txs_bytes = {64 * 1024 * 1024}
max_tx_bytes = {TX_BYTES_MAX}
cache_size = 10000

[consensus]
timeout_propose = "1s"
timeout_propose_delta = "500ms"
timeout_prevote = "500ms"
timeout_prevote_delta = "250ms"
timeout_precommit = "500ms"
timeout_precommit_delta = "250ms"
timeout_commit = "0s"
create_empty_blocks = false
peer_gossip_sleep_duration = "5ms"
peer_query_maj23_sleep_duration = "500ms"

[tx_index]
indexer = "null"
"""


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

    async def run(self, before_start: Callable[[bool], None]) -> None:
        """Keep the engine running until `stop`. `before_start` hears whether the engine begins without blocks."""
        await asyncio.to_thread(end_leftover, self._home)
        while not self._stopping:
            before_start(self._home.is_new)
            started = asyncio.get_running_loop().time()
            await self._start()
            assert self._process is not None
            code = await self._process.wait()
            self.door.close()
            if self._stopping:
                return
            lived = asyncio.get_running_loop().time() - started
            pause = RESTART_PAUSES_S[min(self.starts - 1, len(RESTART_PAUSES_S) - 1)] if lived < 10 else 0.2  # noqa: PLR2004
            _log.warning("engine.ended", code=code, last=self._last_line(), again_in_s=pause)
            await asyncio.sleep(pause)

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
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._home.pid_file.unlink(missing_ok=True)


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
