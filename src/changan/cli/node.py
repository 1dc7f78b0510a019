"""`changan up`: one command starts everything on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
import structlog

from changan.cli.language import say
from changan.client.passwords import password_if_given
from changan.crypto.bls import require_library
from changan.crypto.suite import SUITE_NAMES
from changan.node.founding import found_organisations
from changan.node.home import Home
from changan.node.pki.at_rest import seal_authorities
from changan.node.pki.layout import DIRECTORY
from changan.node.run import Doors, Ready, RunningNode
from changan.node.settings import AUTH_NAMES, numbered_organisations

if TYPE_CHECKING:
    from collections.abc import Callable

CRASH_VARIABLE = "CHANGAN_CRASH_POINT"  # for fault tests only
DEFAULT_HOME = Path("changan-home")
new_password = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Encrypt the keys of new authorities, under the password in a file.  [default: CHANGAN_PASSWORD, else plain]",
)


@click.command()
@click.option(
    "--home", type=click.Path(path_type=Path), default=DEFAULT_HOME, show_default=True, help="Where everything is kept."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--rpc-port", type=click.IntRange(0, 65535), default=12301, show_default=True, help="gRPC; 0 for any.")
@click.option("--http-port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="HTTP; 0 for any.")
@click.option("--orgs", type=click.IntRange(1, 100), default=None, help="Organisations of a new home.  [default: 4]")
@click.option(
    "--suite",
    type=click.Choice(list(SUITE_NAMES)),
    default=None,
    help="Algorithms of a new home: gm is SM2 and SM3.  [default: intl]",
)
@click.option(
    "--auth",
    type=click.Choice(["cert", "key", "public"]),
    default=None,
    help="How members of a new home are known.  [default: cert]",
)
@click.option(
    "--distilled",
    is_flag=True,
    help="Open the lane of many clients under one BLS signature on a new home's chain; intl only.",
)
@click.option("--tls/--no-tls", default=False, show_default=True, help="TLS at both doors, gRPC and HTTP.")
@click.option("--mutual/--one-way", default=False, help="With --tls: clients show certificates too.")
@click.option("--demo/--no-demo", default=True, help="Install the example contracts at the first start.")
@new_password
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much is logged.",
)
def up(  # one parameter an option
    home: Path,
    host: str,
    rpc_port: int,
    http_port: int,
    orgs: int | None,
    suite: str | None,
    auth: str | None,
    *,
    distilled: bool,
    tls: bool,
    mutual: bool,
    demo: bool,
    password_file: Path | None,
    log_level: str,
) -> None:
    """Start a chain on this machine; the first start makes organisations, certificates and genesis.

    When both doors answer it prints one line, `ready rpc=HOST:PORT http=URL home=DIR`. Ctrl-C stops it cleanly.

    \b
    Examples:
      changan up
      changan up --home /var/lib/changan --tls
      changan up --auth public --home /var/lib/open
      changan up --suite gm --home /var/lib/guomi
      changan up --rpc-port 0 --http-port 0 --no-demo
    """
    configure_logs(log_level)
    if distilled:
        require_library()
    place = Home(home.resolve())
    place.prepare()
    first_start = place.is_new
    settings = place.settings(
        None if orgs is None else numbered_organisations(orgs),
        None if auth is None else AUTH_NAMES[auth],
        None if suite is None else SUITE_NAMES[suite],
        distilled=distilled,
    )
    password = password_if_given(password_file) if first_start else None
    if password is not None and not (place.root / DIRECTORY).exists():
        seal_authorities(found_organisations(place, settings, host).organisations, password)
    level = "none" if not tls else "mutual" if mutual else "server"
    node = RunningNode(place, settings, Doors(host, rpc_port, http_port, level), demo=demo and settings.demo)
    asyncio.run(_serve(node, place, first_start=first_start))


async def _serve(node: RunningNode, home: Home, *, first_start: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        ready = await stack.enter_async_context(node.open(crash_point_from(os.environ.get(CRASH_VARIABLE, ""))))
        for difference in ready.differences:
            sys.stdout.write(f"{say('note', '注意')}: {difference}\n")
        sys.stdout.write(f"ready rpc={ready.rpc} http={ready.http} home={home.root}\n")
        if first_start:
            sys.stdout.write(_next_steps(ready, home))
        sys.stdout.flush()
        await stopped.wait()


def crash_point_from(text: str) -> Callable[[str], None]:
    """Return what the storage calls at its fault points: nothing, or for `POINT:N` a kill -9 at the Nth pass of a point."""
    if not text:
        return lambda _: None
    point, _, count = text.partition(":")
    left = int(count or "1")

    def pass_point(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return pass_point


def _next_steps(ready: Ready, home: Home) -> str:
    to, who = f"to={'11' * 20}", f"who={'11' * 20}"
    where = f"--home {home.root} --rpc {ready.rpc}"
    return say(
        f"  SDK config       {home.root}/sdk_config.yml  (official ChainMaker SDK, as client1 of the first organisation)\n"
        f"  call a contract  changan contract call token transfer {to} amount=5 {where}\n"
        f"  ask it           changan contract query token balance_of {who} {where}\n"
        f"  the HTTP door    {ready.http}/docs\n"
        "  your contract    changan contract check my_contract.py\n"
        f"  your members     changan identity show --home {home.root}  (encrypt the keys of authorities: identity seal)\n",
        f"  SDK 配置         {home.root}/sdk_config.yml （官方长安链 SDK，第一个组织的 client1）\n"
        f"  调用合约         changan contract call token transfer {to} amount=5 {where}\n"
        f"  查询合约         changan contract query token balance_of {who} {where}\n"
        f"  HTTP 接口        {ready.http}/docs\n"
        "  编写自己的合约   changan contract check my_contract.py\n"
        f"  成员身份         changan identity show --home {home.root} （加密 CA 密钥：identity seal）\n",
    )


def configure_logs(level: str) -> None:
    """Write structured logs to standard error: JSON, or coloured lines on a terminal."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: _Lines(sys.stderr),
    )


class _Lines:
    """Writes log lines. They may go to the disk that is full, and the node must outlive that."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(f"{line}\n")
            self._file.flush()

    log = debug = info = warning = error = critical = exception = msg
