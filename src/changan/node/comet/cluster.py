"""A cluster's folder: one home an organisation, with the engine's keys, and what each must know of the others."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from changan.errors import ChanganError, MalformedError
from changan.ledger.roster import Voter, entries, roster_of
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import BlockWithRWSet, ChainConfig, ConsensusArgs, ConsensusType, OrgConfig
from changan.node.beginning import FILE
from changan.node.comet.carry import copy_certificates, write_service_files
from changan.node.comet.engine_home import EngineHome, EngineKeys
from changan.node.founding import genesis_of
from changan.node.home import Home
from changan.node.pki.layout import DIRECTORY, make_crypto_config
from changan.node.settings import ChainSettings, Settings, numbered_organisations
from changan.node.store.blocklog import BlockLog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from changan.crypto.suite import Suite
    from changan.ledger.roster import Roster
    from changan.node.pki.layout import CryptoConfig

CLUSTER_FILE = "cluster.json"
NODE_FILE = "node.json"
SNAPSHOTS = "snapshots"
"""Where a chain's folder holds what newcomers begin with."""
RENEWED_AFTER = 10_000
"""Engine blocks after a ledger block are empty and few; so far behind it none was ever signed."""
_CONFIG = SystemContract.CHAIN_CONFIG.value
VOTERS_MIN = 4
"""The least number of which one may lie or be down."""


class ClusterError(ChanganError):
    """A cluster that cannot be made or started, with what to do about it."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The first port of each kind; the next organisations take the next ones. 0 asks for any free ones."""

    rpc: int = 12301
    http: int = 8080
    p2p: int = 11301


@dataclass(frozen=True, slots=True)
class Place:
    """One organisation of the cluster: its home below the cluster's folder, and where its node listens."""

    org_id: str
    host: str
    rpc_port: int
    http_port: int
    p2p_port: int
    peer: str


@dataclass(frozen=True, slots=True)
class NodeFile:
    """What a node of a cluster knows beside its home: whose it is, who voted first, where it listens, whom it dials."""

    org_id: str
    peer: str  # the id of its connections
    voters: tuple[Voter, ...]
    listen: str
    peers: tuple[str, ...]

    def write(self, home: Path) -> None:
        """Keep it in a node's home."""
        voters = {entry.key: json.loads(entry.value) for entry in entries(self.voters)}
        content = {
            "org_id": self.org_id,
            "peer": self.peer,
            "listen": self.listen,
            "peers": list(self.peers),
            "voters": voters,
        }
        (home / NODE_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_node_file(home: Path) -> NodeFile:
    """Read what a node of a cluster knows. Raises ClusterError."""
    path = home / NODE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        voters = tuple(Voter.of_entry(key, json.dumps(value)) for key, value in content["voters"].items())
        return NodeFile(content["org_id"], content["peer"], voters, content["listen"], tuple(content["peers"]))
    except OSError as error:
        raise ClusterError(f"{home} is no node of a cluster: make one with `changan cluster init`") from error
    except (ValueError, KeyError, TypeError, AttributeError, MalformedError) as error:
        raise ClusterError(f"{path} does not decode: {error!r}") from error


def genesis_of_cluster(
    crypto: CryptoConfig, chain: ChainSettings, voters: tuple[Voter, ...], suite: Suite
) -> ChainConfig:
    """Return the configuration that a cluster's chain starts with; every node makes the same."""
    config = genesis_of(crypto, chain, suite)
    config.consensus.type = ConsensusType.TBFT
    del config.consensus.nodes[:]
    config.consensus.nodes.extend(OrgConfig(org_id=org.org_id, node_id=[org.node_id]) for org in crypto.organisations)
    config.consensus.ext_config.extend(entries(voters))
    return config


def engine_home(home: Path, chain_id: str) -> EngineHome:
    """Return the engine's folder for one chain of a node."""
    return EngineHome(home / "engine" / chain_id)


def init_cluster(
    root: Path,
    hosts: Sequence[str],
    ports: Ports,
    suite: Suite,
    *,
    distilled: bool = False,
    apart: bool,
    demo: bool,
) -> list[Place]:
    """Make the folders of a new cluster, one organisation a host, its members' keys of `suite`.

    With `apart` every node has a machine of its own: the same ports everywhere, and in each folder only what its
    organisation may know. Raises ClusterError, LayoutError, SettingsError; the last before anything is made.
    """
    Settings(chains=(ChainSettings(distilled=distilled),), suite=suite)  # refuses what cannot go together
    organisations = len(hosts)
    if organisations < VOTERS_MIN:
        raise ClusterError(f"{organisations} organisations cannot outvote one that lies: it takes {VOTERS_MIN} or more")
    if (root / CLUSTER_FILE).exists():
        raise ClusterError(f"{root} holds a cluster already: start it with `changan cluster up --home {root}`")
    names = numbered_organisations(organisations)
    crypto = make_crypto_config(root, names, datetime.now(UTC), hosts, suite)
    keys = {org.org_id: EngineKeys.make() for org in crypto.organisations}
    voters = tuple(
        keys[org.org_id].voter(org.node_id, org.org_id, org.node().sign_certificate.read_bytes())
        for org in crypto.organisations
    )
    places = []
    for number, (org, voter) in enumerate(zip(crypto.organisations, voters, strict=True)):
        home = root / org.org_id
        home.mkdir(mode=0o700)
        if apart:
            copy_certificates(root / DIRECTORY, home, org.org_id)
        else:
            shutil.copytree(root / DIRECTORY, home / DIRECTORY)
        settings = Home(home).settings(names, suite=suite, distilled=distilled)
        for chain in settings.chains:
            engine_home(home, chain.chain_id).make(keys[org.org_id], chain.chain_id, voters)
        step = 0 if apart else number
        rpc, http, p2p = (step + first if first else 0 for first in (ports.rpc, ports.http, ports.p2p))
        places.append(Place(org.org_id, hosts[number], rpc, http, p2p, voter.peer))
        NodeFile(org.org_id, voter.peer, voters, "", ()).write(home)
    if apart:
        for place in settle_places(root, places, listen_on="0.0.0.0"):  # noqa: S104  # on a machine of its own
            write_service_files(root / place.org_id, place)
    else:
        _write_cluster(root, places, demo=demo)
    return places


def _write_cluster(root: Path, places: list[Place], *, demo: bool) -> None:
    content = {"demo": demo, "nodes": [asdict(place) for place in places]}
    temporary = root / f"{CLUSTER_FILE}.new"
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(root / CLUSTER_FILE)


def add_place(root: Path, place: Place) -> None:
    """Add a node to a cluster's folder: from now on `changan cluster up` starts it too. Raises ClusterError."""
    places, demo = read_cluster(root)
    _write_cluster(root, [*places, place], demo=demo)


def read_cluster(root: Path) -> tuple[list[Place], bool]:
    """Return a cluster's places, and whether the first start installs the examples. Raises ClusterError."""
    path = root / CLUSTER_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [Place(**place) for place in content["nodes"]], bool(content["demo"])
    except OSError as error:
        raise ClusterError(f"{root} holds no cluster: make one with `changan cluster init --home {root}`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"{path} does not decode: {error!r}") from error


def late_homes(root: Path, places: Sequence[Place]) -> frozenset[str]:
    """Return the organisations whose homes lack a chain that another one's has, or were cut short when they took its state."""
    here = {}
    for place in places:
        home = Home(root / place.org_id)
        chains = {chain.chain_id for chain in home.settings().chains}
        here[place.org_id] = {one for one in chains if home.chain_directory(one).exists()} - {
            one for one in chains if engine_home(home.root, one).syncing.exists()
        }
    everything = set().union(*here.values())
    return frozenset(org_id for org_id, chains in here.items() if chains != everything)


def check_refetchable(home: Home, chain_id: str) -> None:
    """Raise ClusterError where a chain's older blocks are away, so that its engine cannot be told again what came of its own."""
    directory = home.chain_directory(chain_id)
    if (directory / FILE).exists():
        raise ClusterError(
            f"{chain_id} began with the state of its peers, and older blocks are not here: move {directory} away too, and start "
            "the node with --sync-from"
        )


def renew_engine(home: Home, chain_id: str) -> tuple[int, bytes]:
    """Begin the engine's blocks anew behind the last block of a chain; return their first height, and that block's hash.

    The height leaves out what the engine may have signed after that block. Raises ClusterError, CorruptLogError.
    """
    directory = home.chain_directory(chain_id) / "log"
    if not directory.exists():
        raise ClusterError(f"{home.root} has no chain {chain_id}")
    log = BlockLog(directory, read_only=True)
    try:
        header = BlockWithRWSet.FromString(log.read(log.durable_height)).block.header
        voters = _newest_roster(log).voters
    finally:
        log.close()
    first_height = ConsensusArgs.FromString(header.consensus_args).engine_height + RENEWED_AFTER
    shutil.rmtree(home.chain_directory(chain_id) / SNAPSHOTS, ignore_errors=True)  # the new engine proves none of them
    engine_home(home.root, chain_id).renew(first_height, header.block_hash, voters)
    return first_height, header.block_hash


def _newest_roster(log: BlockLog) -> Roster:
    """Return who votes behind the last block of a chain, from the last block at hand that wrote the configuration.

    Where blocks are away, those that changed the voters are not.
    """
    for height in filter(log.holds, range(log.durable_height, -1, -1)):
        for rw_set in BlockWithRWSet.FromString(log.read(height)).txRWSets:
            for write in rw_set.tx_writes:
                if (write.contract_name, write.key) == (_CONFIG, _CONFIG.encode()):
                    return roster_of(ChainConfig.FromString(write.value))
    raise ClusterError("block 0 of the log carries no configuration: run `changan verify`")


def settle_places(root: Path, places: list[Place], listen_on: str = "") -> list[Place]:
    """Give free ports to the engines that ask for any, and tell every node where the others listen."""
    settled = [replace(place, p2p_port=place.p2p_port or free_port(place.host)) for place in places]
    for place in settled:
        home = root / place.org_id
        peers = tuple(f"{one.peer}@{one.host}:{one.p2p_port}" for one in settled if one.org_id != place.org_id)
        replace(read_node_file(home), listen=f"{listen_on or place.host}:{place.p2p_port}", peers=peers).write(home)
    return settled


def free_port(host: str) -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
