"""The identities of an organisation on disk: found, issued, and renewed.

An identity is one directory below `user` or `node` with a signing pair (where members are keys: a key and its public half)
and a TLS pair. A change appears at once or not at all.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from cryptography.x509.oid import NameOID

from changan.crypto.key_forms import public_key_pem, read_public_key
from changan.crypto.keys import Scheme, SigningKey
from changan.ledger.chain_config import PUBLIC_ORGANISATION, Mode
from changan.node.pki.at_rest import at_rest, is_plain, replace_file
from changan.node.pki.authority import AuthorityError, Role, node_id, read_certificate
from changan.node.pki.issuing import generate, key_pem
from changan.node.pki.key_layout import PUBLIC_NODE
from changan.node.pki.layout import CERTIFICATE_MODE, KEY_MODE, LayoutError, read_file, sync_directory, write_new
from changan.node.pki.revocations import keep_superseded, revoked, superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from changan.node.pki.authority import Issued
    from changan.node.pki.layout import Authorities, Credential, Organisation

NODE_ROLES: frozenset[str] = frozenset({"consensus", "common"})
ISSUED_ROLES: dict[Mode, tuple[str, ...]] = {
    Mode.CERTIFICATES: get_args(Role),
    Mode.KEYS: ("client", "light", "common"),
    Mode.PUBLIC: ("client",),
}
"""What can be issued. Where members are keys, administrators are trust roots and nodes are named in the configuration."""
_NAME_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Wish(NamedTuple):
    """What an identity shall be: how long its certificates hold from `now`, and how its keys rest."""

    now: datetime
    days: int
    password: bytes | None  # None: plain
    hosts: Sequence[str] = ()


def locate(organisation: Organisation, name: str) -> Credential:
    """Return the paths of a user's or node's files; those of TLS need not exist. Raises LayoutError."""
    if _NAME_FORM.fullmatch(name) is None:
        raise LayoutError(f"{name!r} is no name of an identity: letters, digits, - and _, at most 64")
    if _is_node(organisation, name):
        return organisation.node(name)
    return organisation.user(name, tls=False)


def _is_node(organisation: Organisation, name: str) -> bool:
    if organisation.org_id == PUBLIC_ORGANISATION:
        return name == PUBLIC_NODE
    return (organisation.directory / "node" / name).is_dir()


def names(mode: Mode, organisation: Organisation) -> list[str]:
    """Return the identities whose files are here: administrators of keys first, then users, then nodes."""
    found = []
    for kind in ("admin", "user", "node"):
        directory = organisation.directory / kind
        if directory.is_dir():
            found += sorted(path.name for path in directory.iterdir() if path.is_dir() and path.name[0] != ".")
    if mode is Mode.KEYS:
        return ["admin1", *found]
    return [*found, PUBLIC_NODE] if mode is Mode.PUBLIC else found


def certificate_of(path: Path) -> Certificate:
    """Return the certificate in a file. Raises LayoutError."""
    try:
        return read_certificate(read_file(path, "a certificate, PEM"))
    except AuthorityError as error:
        raise LayoutError(f"{path}: {error}") from error


def role_of(mode: Mode, credential: Credential) -> str:
    """Return the role that an identity's certificate names; of a key, what its TLS certificate or its place says."""
    if mode is Mode.CERTIFICATES:
        return _unit(certificate_of(credential.sign_certificate))
    if credential.tls_certificate.exists():
        return _unit(certificate_of(credential.tls_certificate))
    return "admin"


def require_issuable(mode: Mode, organisation: Organisation, name: str, role: str) -> None:
    """Raise AuthorityError unless an identity of this name and role can be issued here."""
    if _NAME_FORM.fullmatch(name) is None:
        raise AuthorityError(f"{name!r} cannot name an identity: letters, digits, - and _, at most 64")
    if role not in ISSUED_ROLES[mode]:
        why = {
            Mode.CERTIFICATES: "",
            Mode.KEYS: "; administrators are trust roots (TRUST_ROOT_ADD), nodes are named by NODE_ID_ADD",
            Mode.PUBLIC: "; administrators are the trust roots (TRUST_ROOT_UPDATE), nodes are named by NODE_ID_ADD",
        }[mode]
        raise AuthorityError(f"no {role} is issued where {mode.value}: {', '.join(ISSUED_ROLES[mode])}{why}")
    for kind in ("user", "node", "admin"):
        if (organisation.directory / kind / name).exists():
            raise AuthorityError(f"{name} of {organisation.org_id} exists: take another name, or renew it")


def issue(mode: Mode, organisation: Organisation, authorities: Authorities, name: str, role: Role, wish: Wish) -> Path:
    """Make the keys and certificates of a new identity; return its directory. Raises AuthorityError, LayoutError."""
    require_issuable(mode, organisation, name, role)
    kind = "node" if mode is Mode.CERTIFICATES and role in NODE_ROLES else "user"
    home = organisation.directory / kind / name
    files = _made(mode, organisation, authorities, name, role, wish)
    _appear(home, files, lambda aside: aside.rename(home))
    return home


def renew(
    mode: Mode, organisation: Organisation, authorities: Authorities, name: str, wish: Wish, *, new_key: bool
) -> list[Certificate]:
    """Give an identity new certificates, for its keys or for new ones; return those that were replaced and still hold.

    The new keys are sealed under the wish's password. Raises AuthorityError, LayoutError.
    """
    credential = locate(organisation, name)
    require_renewable(mode, organisation, name, new_key=new_key)
    before = [path.read_bytes() for path in _certificates(mode, credential)]
    if not new_key:
        _require_within(authorities, wish)
        renewed = [
            (authorities.tls if path == credential.tls_certificate else authorities.sign).renew(
                path.read_bytes(), wish.now, days=wish.days
            )
            for path in _certificates(mode, credential)
        ]
        keep_superseded(organisation, name, before)
        for path, pem in zip(_certificates(mode, credential), renewed, strict=True):
            replace_file(path, pem, CERTIFICATE_MODE)
    else:
        role: Role = role_of(mode, credential)  # type: ignore[assignment]  # of a certificate that this authority issued
        files = _made(mode, organisation, authorities, name, role, wish)
        keep_superseded(organisation, name, before)
        home = credential.sign_key.parent
        _appear(home, files, lambda aside: _exchange(aside, home))
    return [read_certificate(pem) for pem in before]


def require_renewable(mode: Mode, organisation: Organisation, name: str, *, new_key: bool) -> None:
    """Raise AuthorityError where an identity cannot get new certificates, or new keys, in this way."""
    credential = locate(organisation, name)
    certificates = _certificates(mode, credential)
    if new_key and _is_node(organisation, name):
        raise AuthorityError(
            "a node keeps its keys: its id and its votes hang on them. Issue another node, and name it by NODE_ID_UPDATE"
        )
    if not certificates:
        raise AuthorityError(
            f"{name} is a trust root of the chain, and has no certificate: TRUST_ROOT_UPDATE changes it"
        )
    if not new_key and certificate_of(certificates[0]).serial_number in revoked(organisation):
        raise AuthorityError(f"{name} is revoked: whoever has its key must not come back; renew it with --new-key")


def issued_serials(mode: Mode, organisation: Organisation, name: str) -> set[int]:
    """Return the serial numbers of an identity's certificates, those that were replaced among them. Raises LayoutError."""
    now = [certificate_of(path) for path in _certificates(mode, locate(organisation, name))]
    return {certificate.serial_number for certificate in (*now, *superseded(organisation, name))}


def is_sealed_identity(organisation: Organisation, name: str) -> bool:
    """Whether an identity's signing key rests sealed. Raises LayoutError."""
    return not is_plain(locate(organisation, name).sign_key)


def _certificates(mode: Mode, credential: Credential) -> list[Path]:
    """Return the certificates of an identity that are here, that of signing first."""
    wanted = [credential.tls_certificate]
    if mode is Mode.CERTIFICATES:
        wanted.insert(0, credential.sign_certificate)
    return [path for path in wanted if path.exists()]


def _made(
    mode: Mode, organisation: Organisation, authorities: Authorities, name: str, role: Role, wish: Wish
) -> dict[str, bytes]:
    """Return the files of a new identity by name; those that end in .key are secret."""
    _require_within(authorities, wish)
    tls = authorities.tls.issue(name, role, "tls", wish.now, wish.hosts, days=wish.days)
    files = {f"{name}.tls.crt": tls.certificate_pem, f"{name}.tls.key": at_rest(tls.key_pem, wish.password)}
    if mode is Mode.CERTIFICATES:
        sign: Issued = authorities.sign.issue(name, role, "sign", wish.now, days=wish.days)
        files |= {f"{name}.sign.crt": sign.certificate_pem, f"{name}.sign.key": at_rest(sign.key_pem, wish.password)}
        return files | ({f"{name}.nodeid": node_id(tls.certificate_pem).encode()} if role in NODE_ROLES else {})
    # The members of a chain have keys of one suite: that of its administrators.
    roots = organisation.administrators()[0].sign_certificate.read_bytes()
    national = read_public_key(roots).scheme is Scheme.SM2
    pem = key_pem(generate("SM2" if national else "P-256"))
    public = public_key_pem(SigningKey(pem).public)
    return files | {f"{name}.pem": public, f"{name}.key": at_rest(pem, wish.password)}


def _require_within(authorities: Authorities, wish: Wish) -> None:
    end = min(read_certificate(one.certificate_pem).not_valid_after_utc for one in authorities)
    if wish.now + timedelta(days=wish.days) > end:
        left = (end - wish.now).days
        raise AuthorityError(
            f"the authority of {authorities.sign.org_id} ends in {left} days, before the certificate would: "
            f"take --days {max(left, 0)} at most, or add a new trust root to the chain"
        )


def _appear(home: Path, files: dict[str, bytes], place: Callable[[Path], object]) -> None:
    """Write files aside, and let `place` put their directory where it belongs."""
    aside = None
    try:
        home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
        for name, data in files.items():
            write_new(aside / name, data, KEY_MODE if name.endswith(".key") else CERTIFICATE_MODE)
        place(aside)
        sync_directory(home.parent)
    except OSError as error:
        raise LayoutError(f"cannot write {home}: {error.strerror}") from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _exchange(aside: Path, home: Path) -> None:
    """Put a directory in the place of another, whose keys are deleted."""
    before = aside.with_name(f"{aside.name}-before")
    home.rename(before)
    aside.rename(home)
    shutil.rmtree(before)


def _unit(certificate: Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(found[0].value) if found else ""
