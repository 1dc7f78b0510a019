"""`changan identity`: the members of an organisation, issued, renewed, revoked and shown by the people who run it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from changan.cli.language import say
from changan.cli.node import DEFAULT_HOME
from changan.cli.reach import asking, password_file
from changan.cli.step import Step, sending
from changan.client.passwords import choose_password, password_in, require_strong
from changan.ledger.chain_config import Mode
from changan.ledger.system import SystemContract
from changan.node.expiry import WARNED_S
from changan.node.pki.at_rest import is_plain, seal_authority
from changan.node.pki.authority import AuthorityError, Role
from changan.node.pki.described import Described, Validity, describe
from changan.node.pki.identities import (
    NODE_ROLES,
    Wish,
    is_sealed_identity,
    issue,
    issued_serials,
    locate,
    names,
    renew,
    require_issuable,
    require_renewable,
    role_of,
)
from changan.node.pki.key_layout import find_crypto_config
from changan.node.pki.layout import LayoutError
from changan.node.pki.revocations import revoke

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.node.pki.layout import CryptoConfig, Organisation

_DAYS = click.option(
    "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long the certificates hold."
)
_PLAIN = click.option("--plain", is_flag=True, help="Leave new keys unencrypted, as the official SDK reads them.")
_NEW_PASSWORD = click.option(
    "--new-password-file",
    type=click.Path(path_type=Path),
    default=None,
    help="The password that new keys get, in a file.  [default: as --password-file]",
)


def _of_organisation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say whose identities."""
    home = click.option(
        "--home",
        type=click.Path(path_type=Path),
        default=DEFAULT_HOME,
        show_default=True,
        help="A node's home, or a crypto-config folder.",
    )
    org = click.option("--org", default="", help="The organisation.  [default: the first]")
    return home(org(function))


@click.group()
def identity() -> None:
    """Members of an organisation: issue, renew, revoke and show them; seal the key of its authority."""


@identity.command(name="issue")
@click.argument("name")
@click.option("--role", type=click.Choice(get_args(Role)), default="client", show_default=True, help="The role.")
@click.option("--host", "hosts", multiple=True, help="A further name or address of a node, for its TLS certificate.")
@_DAYS
@_PLAIN
@_NEW_PASSWORD
@password_file
@_of_organisation
@sending
def issue_(
    name: str,
    role: Role,
    hosts: tuple[str, ...],
    days: int,
    *,
    plain: bool,
    new_password_file: Path | None,
    **options: Any,
) -> None:
    """Make keys and certificates for NAME; where members are keys, its registration on the chain follows.

    \b
    Examples:
      changan identity issue alice
      changan identity issue app7 --plain --days 90
      changan identity issue carol --org wx-org2.chainmaker.org --role admin
    """
    config, organisation = _found(options)
    require_issuable(config.mode, organisation, name, role)
    authorities = organisation.authorities(asking(options["password_file"]))
    # A node starts with nobody there to type a password.
    is_plain = plain or (config.mode is Mode.CERTIFICATES and role in NODE_ROLES)
    password = None if is_plain else _chosen(name, new_password_file or options["password_file"])
    issue(config.mode, organisation, authorities, name, role, Wish(datetime.now(UTC), days, password, hosts))
    _print(describe(config.mode, organisation, name))
    if config.mode is Mode.KEYS:
        _registration(organisation, name, role).take(**options)


@identity.command(name="renew")
@click.argument("name")
@click.option("--new-key", is_flag=True, help="New keys too; the old ones are deleted.")
@_DAYS
@_PLAIN
@_NEW_PASSWORD
@password_file
@_of_organisation
@sending
def renew_(name: str, days: int, *, new_key: bool, plain: bool, new_password_file: Path | None, **options: Any) -> None:
    """Give NAME new certificates for the keys it has, or with --new-key for new ones.

    The certificates before hold until they end or are revoked. New keys are sealed where the old ones were.

    \b
    Examples:
      changan identity renew consensus1
      changan identity renew alice --new-key
    """
    config, organisation = _found(options)
    require_renewable(config.mode, organisation, name, new_key=new_key)
    was_sealed = is_sealed_identity(organisation, name)
    credential = locate(organisation, name)
    role, public = role_of(config.mode, credential), credential.sign_certificate.read_bytes()
    authorities = organisation.authorities(asking(options["password_file"]))
    sealed_again = new_key and was_sealed and not plain
    password = _chosen(name, new_password_file or options["password_file"]) if sealed_again else None
    before = renew(
        config.mode, organisation, authorities, name, Wish(datetime.now(UTC), days, password), new_key=new_key
    )
    _print(describe(config.mode, organisation, name))
    for certificate in before:
        serial, end = f"{certificate.serial_number:x}", certificate.not_valid_after_utc.date()
        text = say(
            f"the certificate before holds until {end}; to end it: changan identity revoke {name} --serial {serial}",
            f"旧证书在 {end} 前仍有效；如需作废：changan identity revoke {name} --serial {serial}",
        )
        click.echo(text)
    if config.mode is Mode.KEYS and new_key:
        _registration(organisation, name, role).take(**options)
        _dismissal(organisation, public).take(**options)


@identity.command(name="revoke")
@click.argument("name")
@click.option("--serial", "serials", multiple=True, help="Only this certificate of NAME, hexadecimal.  [default: all]")
@password_file
@_of_organisation
@sending
def revoke_(name: str, serials: tuple[str, ...], **options: Any) -> None:
    """Take the certificates of NAME back: they go on the organisation's list, which the chain must be told of.

    Where members are keys, the chain forgets the key of NAME.

    \b
    Examples:
      changan identity revoke alice --send
      changan identity revoke alice --serial 5f0c…  (one certificate, after a renewal)
    """
    config, organisation = _found(options)
    if config.mode is Mode.PUBLIC:
        raise AuthorityError("a public chain admits every key: there is nothing to take back from one")
    known = issued_serials(config.mode, organisation, name)
    wanted = {_serial(text) for text in serials} or known
    if strangers := wanted - known:
        raise AuthorityError(f"{name} has no certificate {', '.join(f'{one:x}' for one in sorted(strangers))}")
    authority = organisation.authority(asking(options["password_file"]))
    path = revoke(organisation, authority, wanted, datetime.now(UTC))
    click.echo(say(f"{len(wanted)} certificates of {name} on {path}", f"{name} 的 {len(wanted)} 张证书已列入 {path}"))
    if config.mode is Mode.CERTIFICATES:
        Step(SystemContract.CERT_MANAGE.value, "CERTS_REVOKE", {"cert_crl": path}, organisation.org_id).take(**options)
    elif not serials:
        _dismissal(organisation, locate(organisation, name).sign_certificate.read_bytes()).take(**options)


@identity.command()
@click.argument("name", required=False)
@_of_organisation
def show(name: str | None, **options: Any) -> None:
    """Show an identity, or list them all: role, validity, addresses, hashes, how the key rests. Never a key."""
    config, organisation = _found(options)
    if name is not None:
        _print(describe(config.mode, organisation, name))
        return
    shown = [organisation] if options["org"] else config.organisations
    for one in shown:
        here = one.authority_key.exists()
        key = _rests(is_sealed=not is_plain(one.authority_key)) if here else say("not here", "不在此处")
        click.echo(f"{one.org_id}  {say('key of the authority', 'CA 密钥')}: {key}")
        for member in names(config.mode, one):
            _line(describe(config.mode, one, member))


@identity.command()
@_NEW_PASSWORD
@password_file
@_of_organisation
def seal(new_password_file: Path | None, **options: Any) -> None:
    """Encrypt the key of an organisation's authority, or give it another password."""
    _, organisation = _found(options)
    file, path = new_password_file or options["password_file"], str(organisation.authority_key)
    seal_authority(organisation, lambda: _chosen(path, file), asking(options["password_file"]))
    click.echo(say(f"sealed: {organisation.authority_key}", f"已加密：{organisation.authority_key}"))


def _found(options: dict[str, Any]) -> tuple[CryptoConfig, Organisation]:
    config = find_crypto_config(options["home"])
    wanted = options["org"]
    for organisation in config.organisations:
        if wanted in {"", organisation.org_id}:
            return config, organisation
    known = ", ".join(one.org_id for one in config.organisations)
    raise LayoutError(f"{config.directory} holds no organisation {wanted}: {known}")


def _chosen(what: str, file: Path | None) -> bytes:
    return choose_password(what) if file is None else require_strong(password_in(file))


def _serial(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError as error:
        raise click.BadParameter(say(f"{text!r} is no hexadecimal number", f"{text!r} 不是十六进制数")) from error


def _registration(organisation: Organisation, name: str, role: str) -> Step:
    path = locate(organisation, name).sign_certificate
    parameters: dict[str, str | Path] = {"pubkey": path, "org_id": organisation.org_id, "role": role}
    return Step(SystemContract.PUBKEY_MANAGE.value, "PUBKEY_ADD", parameters, organisation.org_id)


def _dismissal(organisation: Organisation, public_pem: bytes) -> Step:
    parameters: dict[str, str | Path] = {"pubkey": public_pem.decode(), "org_id": organisation.org_id}
    return Step(SystemContract.PUBKEY_MANAGE.value, "PUBKEY_DELETE", parameters, organisation.org_id)


def _print(shown: Described) -> None:
    rows = [
        (say("name", "名称"), shown.name),
        (say("role", "角色"), shown.role),
        (say("organisation", "组织"), shown.org_id),
        (say("subject", "主体"), shown.subject),
        (say("key", "密钥"), f"{shown.scheme}, {_rests(is_sealed=shown.is_sealed)}"),
        (say("serial", "序列号"), f"{shown.sign.serial:x}" if shown.sign else ""),
        (say("valid", "有效期"), _until(shown.sign)),
        (say("TLS serial", "TLS 序列号"), f"{shown.tls.serial:x}" if shown.tls else ""),
        (say("TLS valid", "TLS 有效期"), _until(shown.tls)),
        (say("certificate hash", "证书哈希"), shown.certificate_hash),
        (say("uid", "UID"), shown.uid),
        (say("address", "地址"), shown.address),
        (say("ZXL address", "至信链地址"), shown.zxl_address),
    ]
    for title, value in rows:
        if value:
            click.echo(f"{title:<17} {value}")


def _line(shown: Described) -> None:
    held = shown.sign or shown.tls
    rests = _rests(is_sealed=shown.is_sealed)
    click.echo(f"  {shown.name:<16} {shown.role:<10} {shown.scheme:<10} {rests:<7} {_until(held)}".rstrip())


def _rests(*, is_sealed: bool) -> str:
    return say("sealed", "已加密") if is_sealed else say("plain", "明文")


def _until(validity: Validity | None) -> str:
    if validity is None:
        return ""
    if validity.is_revoked:
        return click.style(say("revoked", "已吊销"), fg="red")
    left = validity.not_after - datetime.now(UTC)
    text = say(
        f"until {validity.not_after:%Y-%m-%d %H:%M} UTC, {left.days} days left",
        f"至 {validity.not_after:%Y-%m-%d %H:%M} UTC，剩余 {left.days} 天",
    )
    if left.total_seconds() < 0:
        return click.style(
            say(f"ended on {validity.not_after:%Y-%m-%d}", f"已于 {validity.not_after:%Y-%m-%d} 到期"), fg="red"
        )
    return click.style(text, fg="yellow") if left.total_seconds() <= WARNED_S else text
