"""The crypto-config directory of a consortium: ChainMaker's file layout, made afresh or brought along.

ORG/ca/ holds the organisation's authority. One of SM2 cannot issue what TLS peers accept, so beside it ORG/tls-ca/ holds
another, on P-256, for TLS alone.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from changan.client.passwords import ask_password, open_key
from changan.crypto.suite import Suite
from changan.errors import ChanganError
from changan.ledger.chain_config import Mode
from changan.node.pki.authority import Authority, AuthorityError, node_id, read_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from changan.client.passwords import Ask
    from changan.node.pki.authority import Issued, Role

DIRECTORY = "crypto-config"
NODE = "consensus1"
TLS_AUTHORITY = "tls-ca"

_USERS: tuple[tuple[str, Role], ...] = (("admin1", "admin"), ("client1", "client"), ("light1", "light"))
KEY_MODE = 0o600
CERTIFICATE_MODE = 0o644
DIRECTORY_MODE = 0o700


class LayoutError(ChanganError):
    """A crypto-config directory that cannot be made or read; the text names the file and what is expected of it."""


@dataclass(frozen=True)
class Credential:
    """Where the certificates and keys of one user or node lie."""

    sign_certificate: Path
    sign_key: Path
    tls_certificate: Path
    tls_key: Path


class Authorities(NamedTuple):
    """Who issues an organisation's certificates for signing, and who those for TLS: one and the same, or two."""

    sign: Authority
    tls: Authority


@dataclass(frozen=True)
class Organisation:
    """One organisation of the consortium: its root certificate (PEM) and the directory that holds its files."""

    org_id: str
    directory: Path
    root_certificate: Path
    root_certificate_pem: bytes

    def user(self, name: str, *, tls: bool = True) -> Credential:
        """Return the four paths of the user `name` (`admin1`); without `tls` the two TLS files need not exist.

        Raises LayoutError naming the first file that is missing or unreadable.
        """
        return _credential(self.directory / "user" / name, name, tls=tls)

    def node(self, name: str = NODE) -> Credential:
        """Return the four paths of a node of the organisation, its consensus node if no other is named.

        Raises LayoutError naming the first file that is missing or unreadable.
        """
        return _credential(self.directory / "node" / name, name, tls=True)

    def administrators(self) -> list[Credential]:
        """Return the files of the administrators. Raises LayoutError."""
        return [self.user("admin1", tls=False)]

    @property
    def node_id(self) -> str:
        """The id of the consensus node, from its TLS certificate.

        Raises LayoutError when that certificate cannot be read, or a .nodeid file beside it says something else.
        """
        certificate = self.directory / "node" / NODE / f"{NODE}.tls.crt"
        try:
            computed = node_id(read_file(certificate, "the node's TLS certificate, PEM"))
        except AuthorityError as error:
            raise LayoutError(f"{certificate}: {error}") from error
        beside = certificate.with_name(f"{NODE}.nodeid")
        if beside.exists():
            # Peers compute the id from the certificate, so a file that disagrees would keep the node out.
            written = read_file(beside, "the node id").decode(errors="replace").strip()
            if written != computed:
                raise LayoutError(f"{beside} says {written!r}, but {certificate.name} belongs to node {computed}")
        return computed

    @property
    def authority_key(self) -> Path:
        """Where the private key of the organisation's authority lies, if it is here."""
        return self.root_certificate.with_name("ca.key")

    @property
    def tls_authority_key(self) -> Path:
        """Where the private key of the authority for TLS lies, if it is here: the same file where there is one authority."""
        return self.tls_root.with_name("ca.key")

    def authorities(self, ask: Ask = ask_password) -> Authorities:
        """Return the authorities for signing and for TLS. Raises like `authority`."""
        own = self.authority(ask)
        return Authorities(own, own if self.tls_root == self.root_certificate else _authority(self.tls_root, ask))

    def authority(self, ask: Ask = ask_password) -> Authority:
        """Return the organisation's authority, to issue further certificates; `ask` gives the password of a sealed key.

        Raises LayoutError when ca.key is missing, unreadable or not the key of ca.crt, PasswordError when it does not open.
        """
        return _authority(self.root_certificate, ask)

    @property
    def tls_root(self) -> Path:
        """The root certificate for TLS: tls-ca/ca.crt where there is one, else the organisation's own."""
        apart = self.directory / TLS_AUTHORITY / "ca.crt"
        return apart if apart.exists() else self.root_certificate


@dataclass(frozen=True)
class CryptoConfig:
    """A consortium's certificates or keys: `directory` holds one directory per organisation.

    The organisations are sorted by id, numbers by value: org2 stands before org10.
    """

    directory: Path
    organisations: tuple[Organisation, ...]
    mode: Mode = Mode.CERTIFICATES


def make_crypto_config(
    root: Path,
    organisations: Sequence[str],
    now: datetime,
    hosts: Sequence[str] = (),
    suite: Suite = Suite.INTERNATIONAL,
) -> CryptoConfig:
    """Make `root`/crypto-config for the organisations of these names, valid from `now`, an aware datetime.

    Members' keys and certificates are of `suite`; those of TLS are on P-256 in either. `hosts` are further DNS names or
    addresses of the nodes, for their TLS certificates. Everything appears at once or not at all, and nothing that exists
    is overwritten.

    Raises LayoutError when crypto-config exists already or cannot be written, AuthorityError for a host or time that
    no certificate can carry.
    """
    if not organisations or len(set(organisations)) != len(organisations):
        raise LayoutError("a consortium takes at least one organisation, each name once")
    target = root / DIRECTORY
    if os.path.lexists(target):
        raise LayoutError(f"{target} exists, and its keys may be in use: choose another directory or move it away")
    try:
        root.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        # Half a consortium would be taken for a whole one, so it is made aside and renamed when complete.
        aside = Path(tempfile.mkdtemp(prefix=f".{DIRECTORY}-", dir=root))
        try:
            for org_id in organisations:
                _make_organisation(aside / org_id, org_id, now, hosts, suite)
            aside.rename(target)
            sync_directory(root)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise LayoutError(f"cannot write {target}: {error}") from error
    return read_crypto_config(root)


def read_crypto_config(root: Path) -> CryptoConfig:
    """Read the crypto-config directory in `root`, or `root` itself where it directly holds the organisations.

    Only the root certificates must be there; further files are looked for when they are asked for.

    Raises LayoutError naming the directory or file that is missing or unreadable, and what is expected.
    """
    root = root.absolute()
    directory = root / DIRECTORY if (root / DIRECTORY).is_dir() else root
    expected = "a directory with one directory per organisation, each with ca/ca.crt"
    try:
        found = [path for path in directory.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise LayoutError(f"cannot read {directory}: {error.strerror}; expected {expected}") from error
    if not found:
        raise LayoutError(f"{directory} holds no organisation; expected {expected}")
    found.sort(key=lambda path: re.sub("[0-9]+", lambda digits: digits[0].zfill(20), path.name))
    return CryptoConfig(directory, tuple(_read_organisation(path) for path in found))


def _read_organisation(directory: Path) -> Organisation:
    path = directory / "ca" / "ca.crt"
    pem = read_file(path, f"the root certificate of {directory.name}, PEM")
    try:
        read_certificate(pem)
    except AuthorityError as error:
        raise LayoutError(f"{path}: {error}") from error
    return Organisation(directory.name, directory, path, pem)


def _credential(directory: Path, name: str, *, tls: bool) -> Credential:
    credential = Credential(
        directory / f"{name}.sign.crt",
        directory / f"{name}.sign.key",
        directory / f"{name}.tls.crt",
        directory / f"{name}.tls.key",
    )
    read_file(credential.sign_certificate, f"the signing certificate of {name}, PEM")
    read_file(credential.sign_key, f"the signing key of {name}, PEM")
    if tls:
        read_file(credential.tls_certificate, f"the TLS certificate of {name}, PEM")
        read_file(credential.tls_key, f"the TLS key of {name}, PEM")
    return credential


def read_file(path: Path, expected: str) -> bytes:
    """Return a file's bytes. Raises LayoutError that names it and what is expected there."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise LayoutError(f"cannot read {path}: {error.strerror}; expected {expected}") from error


def _make_organisation(home: Path, org_id: str, now: datetime, hosts: Sequence[str], suite: Suite) -> None:
    authority = tls_authority = Authority.create(org_id, now, suite)
    write_authority(home / "ca", authority)
    if suite is Suite.NATIONAL:
        tls_authority = Authority.create(org_id, now)
        write_authority(home / TLS_AUTHORITY, tls_authority)

    node = home / "node" / NODE
    write_issued(node / f"{NODE}.sign", authority.issue(NODE, "consensus", "sign", now))
    tls = tls_authority.issue(NODE, "consensus", "tls", now, hosts)
    write_issued(node / f"{NODE}.tls", tls)
    write_new(node / f"{NODE}.nodeid", node_id(tls.certificate_pem).encode(), CERTIFICATE_MODE)

    for name, role in _USERS:
        user = home / "user" / name
        write_issued(user / f"{name}.sign", authority.issue(name, role, "sign", now))
        write_issued(user / f"{name}.tls", tls_authority.issue(name, role, "tls", now))


def _authority(certificate: Path, ask: Ask) -> Authority:
    path = certificate.with_name("ca.key")
    read_file(path, "the CA's private key, PEM; only who keeps it can issue certificates")
    try:
        return Authority.load(read_file(certificate, "the CA's certificate, PEM"), open_key(path, ask))
    except AuthorityError as error:
        raise LayoutError(f"{path}: {error}") from error


def write_authority(directory: Path, authority: Authority) -> None:
    """Write an authority's certificate and key."""
    write_new(directory / "ca.crt", authority.certificate_pem, CERTIFICATE_MODE)
    write_new(directory / "ca.key", authority.key_pem, KEY_MODE)


def write_issued(stem: Path, issued: Issued) -> None:
    """Write a certificate and its key beside each other."""
    write_new(stem.with_name(f"{stem.name}.crt"), issued.certificate_pem, CERTIFICATE_MODE)
    write_new(stem.with_name(f"{stem.name}.key"), issued.key_pem, KEY_MODE)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that does not exist yet; it rests when this returns. Raises OSError."""
    for parent in (path.parent.parent.parent, path.parent.parent, path.parent):
        parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    # O_EXCL refuses a file or link that is there already; the mode holds from the first byte on.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Let the names in a directory rest."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
