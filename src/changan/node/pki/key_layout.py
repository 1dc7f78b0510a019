"""The crypto-config directory of organisations whose members are keys: ChainMaker's file layouts of its two such modes.

Registered keys: ORG/admin/admin.key, ORG/node/consensus1/consensus1.key, ORG/user/client1/client1.key.
Public: node1/node1.key, node1/admin/admin1/admin1.key (one directory each), node1/user/client1/client1.key.
Beside each .key lies its .pem, the public half. TLS needs certificates in every mode, so an authority for TLS alone is kept
in ca/, and each user has a TLS pair.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from changan.crypto.key_forms import public_key_pem, read_public_key
from changan.crypto.node_ids import node_id
from changan.crypto.suite import Suite
from changan.errors import ChanganError
from changan.ledger.chain_config import PUBLIC_ORGANISATION, Mode
from changan.node.pki.authority import Authority
from changan.node.pki.issuing import generate, key_pem, public_of
from changan.node.pki.layout import (
    CERTIFICATE_MODE,
    DIRECTORY,
    DIRECTORY_MODE,
    KEY_MODE,
    NODE,
    Credential,
    CryptoConfig,
    LayoutError,
    Organisation,
    read_crypto_config,
    read_file,
    sync_directory,
    write_authority,
    write_issued,
    write_new,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from changan.node.pki.authority import Role

PUBLIC_NODE = "node1"
_USERS: dict[Mode, tuple[tuple[str, Role], ...]] = {
    Mode.KEYS: (("client1", "client"), ("light1", "light")),
    Mode.PUBLIC: (("client1", "client"),),
}
REGISTERED_ROLES = {"client1": "client", "light1": "light"}
"""Users that are registered when a chain of keys is made, with their roles."""


@dataclass(frozen=True)
class KeyOrganisation(Organisation):
    """One organisation whose members are keys; of a public chain, the one node with all administrators."""

    def user(self, name: str, *, tls: bool = True) -> Credential:
        """Return the paths of a user's files; `sign_certificate` is the public key in PEM. Raises LayoutError."""
        if name == "admin1" and self.org_id != PUBLIC_ORGANISATION:
            return self._pair(self.directory / "admin", "admin", tls=False)
        if name.startswith("admin"):
            return self._pair(self.directory / "admin" / name, name, tls=False)
        return self._pair(self.directory / "user" / name, name, tls=tls)

    def node(self, name: str = NODE) -> Credential:
        """Return the paths of a node's files, those of the consensus node if no other is named. Raises LayoutError."""
        if self.org_id == PUBLIC_ORGANISATION:
            return self._pair(self.directory, PUBLIC_NODE, tls=True)
        return self._pair(self.directory / "node" / name, name, tls=True)

    def administrators(self) -> list[Credential]:
        """Return the files of every administrator whose key counts on the chain. Raises LayoutError."""
        if self.org_id != PUBLIC_ORGANISATION:
            return [self.user("admin1")]
        names = [path.name for path in (self.directory / "admin").iterdir() if path.is_dir()]
        return [self.user(name) for name in sorted(names, key=_by_number)]

    @property
    def node_id(self) -> str:
        """The id of the consensus node, from its public key. Raises LayoutError."""
        path = self.node().sign_certificate
        try:
            return node_id(read_public_key(path.read_bytes()).der)
        except ChanganError as error:
            raise LayoutError(f"{path}: {error}") from error

    def _pair(self, directory: Path, name: str, *, tls: bool) -> Credential:
        credential = Credential(
            directory / f"{name}.pem",
            directory / f"{name}.key",
            directory / f"{name}.tls.crt",
            directory / f"{name}.tls.key",
        )
        read_file(credential.sign_certificate, f"the public key of {name}, PEM")
        read_file(credential.sign_key, f"the private key of {name}, PEM")
        if tls:
            read_file(credential.tls_certificate, f"the TLS certificate of {name}, PEM")
            read_file(credential.tls_key, f"the TLS key of {name}, PEM")
        return credential


def _by_number(name: str) -> str:
    return re.sub("[0-9]+", lambda digits: digits[0].zfill(20), name)


def make_key_config(  # as for certificates, and the mode
    root: Path,
    mode: Mode,
    organisations: Sequence[str],
    now: datetime,
    hosts: Sequence[str] = (),
    suite: Suite = Suite.INTERNATIONAL,
) -> CryptoConfig:
    """Make `root`/crypto-config for members that are keys of `suite`. A public chain gets an administrator for each name.

    Everything appears at once or not at all, and nothing that exists is overwritten. Raises LayoutError, AuthorityError.
    """
    target = root / DIRECTORY
    if os.path.lexists(target):
        raise LayoutError(f"{target} exists, and its keys may be in use: choose another directory or move it away")
    try:
        root.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{DIRECTORY}-", dir=root))
        try:
            if mode is Mode.PUBLIC:
                _make_public(aside / PUBLIC_NODE, len(organisations), now, hosts, suite)
            else:
                for org_id in organisations:
                    _make_organisation(aside / org_id, org_id, now, hosts, suite)
            aside.rename(target)
            sync_directory(root)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise LayoutError(f"cannot write {target}: {error}") from error
    return read_key_config(root, mode)


def read_key_config(root: Path, mode: Mode) -> CryptoConfig:
    """Read the crypto-config directory in `root`, or `root` itself, where members are keys. Raises LayoutError."""
    root = root.absolute()
    directory = root / DIRECTORY if (root / DIRECTORY).is_dir() else root
    try:
        found = [path for path in directory.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise LayoutError(
            f"cannot read {directory}: {error.strerror}; expected one directory per organisation"
        ) from error
    wanted = [path for path in found if mode is not Mode.PUBLIC or path.name == PUBLIC_NODE]
    if not wanted:
        raise LayoutError(f"{directory} holds no keys for the mode {mode.value}")
    wanted.sort(key=lambda path: _by_number(path.name))
    return CryptoConfig(directory, tuple(_read_organisation(path, mode) for path in wanted), mode)


def find_crypto_config(root: Path) -> CryptoConfig:
    """Read the crypto-config directory in `root`, or `root` itself, in the mode that its files are of. Raises LayoutError."""
    found = read_crypto_config(root)
    first = found.organisations[0].directory
    if (found.directory / PUBLIC_NODE / f"{PUBLIC_NODE}.key").exists():
        return read_key_config(root, Mode.PUBLIC)
    return read_key_config(root, Mode.KEYS) if (first / "admin").is_dir() else found


def _read_organisation(directory: Path, mode: Mode) -> KeyOrganisation:
    path = directory / "ca" / "ca.crt"
    pem = read_file(path, "the root certificate for TLS, PEM")
    org_id = PUBLIC_ORGANISATION if mode is Mode.PUBLIC else directory.name
    return KeyOrganisation(org_id, directory, path, pem)


def _make_organisation(home: Path, org_id: str, now: datetime, hosts: Sequence[str], suite: Suite) -> None:
    authority = _make_tls_authority(home, org_id, now)
    _write_pair(home / "admin", "admin", suite)
    node = home / "node" / NODE
    _write_pair(node, NODE, suite, identified=True)
    write_issued(node / f"{NODE}.tls", authority.issue(NODE, "consensus", "tls", now, hosts))
    _write_users(home, authority, Mode.KEYS, now, suite)


def _make_public(home: Path, administrators: int, now: datetime, hosts: Sequence[str], suite: Suite) -> None:
    authority = _make_tls_authority(home, PUBLIC_ORGANISATION, now)
    _write_pair(home, PUBLIC_NODE, suite, identified=True)
    write_issued(home / f"{PUBLIC_NODE}.tls", authority.issue(PUBLIC_NODE, "consensus", "tls", now, hosts))
    for number in range(1, administrators + 1):
        _write_pair(home / "admin" / f"admin{number}", f"admin{number}", suite)
    _write_users(home, authority, Mode.PUBLIC, now, suite)


def _make_tls_authority(home: Path, org_id: str, now: datetime) -> Authority:
    authority = Authority.create(org_id, now)
    write_authority(home / "ca", authority)
    return authority


def _write_users(home: Path, authority: Authority, mode: Mode, now: datetime, suite: Suite) -> None:
    for name, role in _USERS[mode]:
        user = home / "user" / name
        _write_pair(user, name, suite)
        write_issued(user / f"{name}.tls", authority.issue(name, role, "tls", now))


def _write_pair(directory: Path, name: str, suite: Suite, *, identified: bool = False) -> None:
    made = generate("SM2" if suite is Suite.NATIONAL else "P-256")
    public = public_of(made)
    write_new(directory / f"{name}.key", key_pem(made), KEY_MODE)
    write_new(directory / f"{name}.pem", public_key_pem(public), CERTIFICATE_MODE)
    if identified:
        write_new(directory / f"{name}.nodeid", node_id(public.der).encode(), CERTIFICATE_MODE)
