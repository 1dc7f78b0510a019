"""The ordering engine's folder: its keys, its genesis, its settings, and what of it may be forgotten."""

from __future__ import annotations

import base64
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from changan.ledger.roster import Voter, address_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BLOCK_BYTES_MAX = 4 * 1024 * 1024
TX_BYTES_MAX = 2 * 1024 * 1024
_GENESIS_TIME = "2020-11-30T00:00:00Z"  # the engine's own; block time is ours


@dataclass(frozen=True, slots=True)
class EngineKeys:
    """The two keys of one organisation's engine: of its votes and of its connections."""

    validator: bytes  # Ed25519 seeds
    node: bytes

    @classmethod
    def make(cls) -> EngineKeys:
        """Return fresh keys."""
        return cls(*(Ed25519PrivateKey.generate().private_bytes_raw() for _ in range(2)))

    def voter(self, node_id: str, org_id: str, certificate: bytes) -> Voter:
        """Return what the chain's configuration says of their owner."""
        return Voter(node_id, org_id, _public(self.validator), address_of(_public(self.node)).hex(), certificate)


def _public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


class TrustedBlock(NamedTuple):
    """A block of the engine that its light client believes, and the socket at which it asks for what follows."""

    height: int
    block_hash: bytes
    socket: Path


class EngineHome:
    """The engine's folder for one chain of one node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pid_file = root / "engine.pid"
        self.log_file = root / "engine.log"
        self.genesis_file = root / "config" / "genesis.json"
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
        return int(self._genesis()["initial_height"])

    def take_genesis(self, other: EngineHome) -> None:
        """Begin where the engine of another node began."""
        self._write("config/genesis.json", other._genesis())

    def _genesis(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.genesis_file.read_text(encoding="utf-8"))
        return content

    def renew(self, first_height: int, app_hash: bytes, voters: Sequence[Voter]) -> None:
        """Begin the engine's blocks anew at a height, behind a ledger block and with its voters; the signing state stays."""
        genesis = self._genesis()
        genesis.update(
            initial_height=str(first_height), app_hash=app_hash.hex().upper(), validators=_validators(voters)
        )
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

    def configure(self, listen: str, peers: Sequence[str], trusted: TrustedBlock | None = None) -> None:
        """Write where the engine listens and whom it knows; all else is as measured to be best on quick lines.

        With `trusted` an engine without blocks takes the state from its peers.
        """
        text = _config(listen, peers) + ("" if trusted is None else _state_sync(trusted))
        (self.root / "config" / "config.toml").write_text(text, encoding="utf-8")

    @property
    def syncing(self) -> Path:
        """The mark that stands while a state sync is not whole."""
        return self.root / "syncing"

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
        "validators": _validators(voters),
        "app_hash": "",
    }


def _validators(voters: Sequence[Voter]) -> list[dict[str, Any]]:
    return [
        {
            "address": voter.address.hex().upper(),
            "pub_key": _named("PubKey", voter.validator),
            "power": "1",
            "name": voter.org_id,
        }
        for voter in voters
    ]


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


def _state_sync(trusted: TrustedBlock) -> str:
    server = f"unix://{trusted.socket}"
    return f"""
[statesync]
enable = true
rpc_servers = "{server},{server}"
trust_height = {trusted.height}
trust_hash = "{trusted.block_hash.hex()}"
trust_period = "876000h0m0s"
discovery_time = "5s"
chunk_request_timeout = "10s"
"""
