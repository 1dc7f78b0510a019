"""A home for one more node of a running chain, made from a member's home: a new organisation's, or a further one of one.

Of the member's home only what is public is read; a copy of it without its keys and chains does. What the chain must be told
of the node stands in one file, which the newcomer hands to the members.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Self

from changan.errors import MalformedError
from changan.ledger.roster import Voter
from changan.node.comet.carry import copy_certificates, write_service_files
from changan.node.comet.cluster import (
    CLUSTER_FILE,
    ClusterError,
    NodeFile,
    Place,
    add_place,
    engine_home,
    free_port,
    read_node_file,
)
from changan.node.comet.engine_home import EngineKeys
from changan.node.genesis_file import genesis_path
from changan.node.home import Home
from changan.node.pki.authority import node_id
from changan.node.pki.layout import (
    CERTIFICATE_MODE,
    DIRECTORY,
    NODE,
    make_crypto_config,
    read_crypto_config,
    write_issued,
    write_new,
)
from changan.node.settings import ORGANISATION_FORM

if TYPE_CHECKING:
    from pathlib import Path

    from changan.client.passwords import Ask
    from changan.node.pki.authority import Role
    from changan.node.pki.layout import Authorities, CryptoConfig, Organisation
    from changan.node.settings import Settings

ADMISSION_FILE = "admission.json"
ADMISSION_BYTES_MAX = 256 * 1024
FOLLOWER: Role = "common"
_EVERYWHERE = "0.0.0.0:"  # from where it listens nobody can tell where it is
_NOT_CARRIED = shutil.ignore_patterns("ca.key", "node")


@dataclass(frozen=True, slots=True)
class Admission:
    """What a chain must be told of a new node."""

    root: str  # PEM of its organisation's root certificate
    node: Voter

    def write(self, home: Path) -> Path:
        """Keep it in the node's home; return the file."""
        entry = self.node.entry()
        path = home / ADMISSION_FILE
        content = {"root": self.root, "node_id": self.node.node_id, "entry": json.loads(entry.value)}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what a newcomer hands over. Raises ClusterError."""
        try:
            if path.stat().st_size > ADMISSION_BYTES_MAX:
                raise ClusterError(f"{path} is larger than any {ADMISSION_FILE} ({ADMISSION_BYTES_MAX} bytes)")
            content = json.loads(path.read_text(encoding="utf-8"))
            node = Voter.of_entry(content["node_id"], json.dumps(content["entry"]))
            return cls(str(content["root"]), node)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, MalformedError) as error:
            raise ClusterError(f"{path} is no {ADMISSION_FILE} of a new node: {error}") from error


@dataclass(frozen=True, slots=True)
class Wanted:
    """The node that is wanted: whose, where it listens, and where its doors are."""

    org_id: str
    name: str
    host: str
    rpc_port: int
    http_port: int
    p2p_port: int


class _Member(NamedTuple):
    """What a member's home tells a newcomer."""

    root: Path
    file: NodeFile
    settings: Settings
    crypto: CryptoConfig

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read it. Raises ClusterError, LayoutError, SettingsError."""
        member = cls(root, read_node_file(root), Home(root).settings(), read_crypto_config(root))
        for chain in member.settings.chains:
            ours, engines = genesis_path(root, chain.chain_id), engine_home(root, chain.chain_id).genesis_file
            if not (ours.exists() and engines.exists()):
                raise ClusterError(f"{root} knows no genesis of {chain.chain_id} yet: start its cluster once")
        return member

    def organisation(self, org_id: str) -> Organisation | None:
        """Return an organisation that is known here, or None."""
        return next((org for org in self.crypto.organisations if org.org_id == org_id), None)


def join_chain(member: Path, home: Path, wanted: Wanted, ask: Ask) -> Admission:
    """Make the home of a new node; return what the chain must be told of it. Raises ClusterError, LayoutError, AuthorityError."""
    if ORGANISATION_FORM.fullmatch(wanted.org_id) is None:
        raise ClusterError(
            f"{wanted.org_id!r} is no name of an organisation: it is of the form {ORGANISATION_FORM.pattern}"
        )
    if home.exists():
        raise ClusterError(f"{home} exists: give the new node a home of its own")
    found = _Member.read(member)
    known = found.organisation(wanted.org_id)
    authorities = None if known is None else known.authorities(ask)  # only who keeps them can make a further node
    home.mkdir(mode=0o700, parents=True)
    try:
        if known is None or authorities is None:
            make_crypto_config(home, [wanted.org_id], datetime.now(UTC), [wanted.host], found.settings.suite)
        else:
            _issue_further(home, known, authorities, wanted)
        copy_certificates(found.crypto.directory, home, without=wanted.org_id)
        admission = _fill(home, found, wanted)
        if known is None and (home.parent / CLUSTER_FILE).exists() and home.name == wanted.org_id:
            doors = (wanted.host, wanted.rpc_port, wanted.http_port, wanted.p2p_port)
            add_place(home.parent, Place(wanted.org_id, *doors, admission.node.peer))
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)  # half a home would be taken for a whole one
        raise
    return admission


def _fill(home: Path, member: _Member, wanted: Wanted) -> Admission:
    """Put into a home, whose certificates are there, what else a node needs."""
    own = next(org for org in read_crypto_config(home).organisations if org.org_id == wanted.org_id)
    keys = EngineKeys.make()
    node = keys.voter(own.node_id, own.org_id, own.node().sign_certificate.read_bytes())
    shutil.copyfile(Home(member.root).settings_file, Home(home).settings_file)
    for chain in member.settings.chains:
        target = genesis_path(home, chain.chain_id)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(genesis_path(member.root, chain.chain_id), target)
        engine_home(home, chain.chain_id).make(keys, chain.chain_id, member.file.voters)
        engine_home(home, chain.chain_id).take_genesis(engine_home(member.root, chain.chain_id))
    listen = f"{wanted.host}:{wanted.p2p_port or free_port(wanted.host)}"
    NodeFile(own.org_id, node.peer, member.file.voters, listen, _peers(member.file)).write(home)
    if wanted.rpc_port and wanted.http_port and wanted.p2p_port:  # what a machine of its own needs
        doors = (wanted.host, wanted.rpc_port, wanted.http_port, wanted.p2p_port)
        write_service_files(home, Place(wanted.org_id, *doors, node.peer))
    admission = Admission(own.root_certificate_pem.decode(), node)
    admission.write(home)
    return admission


def _issue_further(home: Path, organisation: Organisation, authorities: Authorities, wanted: Wanted) -> None:
    """Make the organisation's folder of a further node: its users, and keys of the node's own in the node's place."""
    target = home / DIRECTORY / organisation.org_id
    shutil.copytree(organisation.directory, target, ignore=_NOT_CARRIED)
    now = datetime.now(UTC)
    place = target / "node" / NODE
    write_issued(place / f"{NODE}.sign", authorities.sign.issue(wanted.name, FOLLOWER, "sign", now))
    tls = authorities.tls.issue(wanted.name, FOLLOWER, "tls", now, [wanted.host])
    write_issued(place / f"{NODE}.tls", tls)
    write_new(place / f"{NODE}.nodeid", node_id(tls.certificate_pem).encode(), CERTIFICATE_MODE)


def _peers(theirs: NodeFile) -> tuple[str, ...]:
    """Return whom the new node dials: a member's peers, and itself where its address says from where it can be reached."""
    own = () if theirs.listen.startswith(_EVERYWHERE) else (f"{theirs.peer}@{theirs.listen}",)
    return (*theirs.peers, *own)
