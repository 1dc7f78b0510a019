"""`changan status`, `block`, `tx`, `events`, `chain` and `reset`: look at a chain, and tend a home."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import httpx2
from google.protobuf.json_format import MessageToDict

from changan.cli.language import say
from changan.cli.reach import at_home, open_log, reach, where
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.genesis_file import write_genesis
from changan.node.home import Home
from changan.node.settings import add_chain
from changan.node.storage import genesis_config
from changan.node.store.lock import HomeLock
from changan.node.trace import Tracer

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from changan.node.store.blocklog import BlockLog


def _show(message: Message) -> None:
    click.echo(json.dumps(MessageToDict(message, preserving_proto_field_name=True), indent=1, ensure_ascii=False))


@click.command()
@where
def status(**options: Any) -> None:
    """Say how far the chain is, and who its nodes are."""
    with reach(**options) as node:
        info = node.info()
        tip = node.block(info.block_height).block.header
    click.echo(f"{say('chain', '链')}   {tip.chain_id}")
    click.echo(f"{say('height', '高度')}  {info.block_height}")
    click.echo(f"{say('block', '区块')}   {tip.block_hash.hex()}")
    for entry in info.node_list:
        click.echo(f"{say('node', '节点')}    {entry.node_id} {entry.node_address}")


@click.command()
@click.argument("height", type=click.IntRange(0))
@where
def block(height: int, **options: Any) -> None:
    """Show a block as JSON."""
    with reach(**options) as node:
        _show(node.block(height).block)


@click.group()
def tx() -> None:
    """Show a transaction, or trace what it read and wrote."""


@tx.command(name="show")
@click.argument("tx_id")
@where
def tx_show(tx_id: str, **options: Any) -> None:
    """Show transaction TX_ID (or `last`) as JSON, with the rows it wrote."""
    with reach(**options) as node:
        stored, position = node.find(tx_id)
    _show(stored.block.txs[position])
    _show(stored.txRWSets[position])


@tx.command(name="trace")
@click.argument("tx_id")
@at_home
@click.option("--chain", "chain_id", default="chain1", show_default=True, help="The chain.")
def tx_trace(tx_id: str, home: Path, chain_id: str) -> None:
    """Execute the chain again up to TX_ID, and show which rows that transaction read and wrote. The node may go on working."""
    log = open_log(home, chain_id)
    height, position, stored = _find(log, tx_id)
    tracer = Tracer(log, height, position)
    with click.progressbar(length=height - 1, label=say("executing", "执行"), file=sys.stderr) as bar:
        for _ in tracer.approach():
            bar.update(1)
    trace = tracer.trace()
    click.echo(
        f"{say('block', '区块')} {height}  {say('position', '位置')} {position}  gas {trace.executed.result.gas}"
    )
    for (contract, key), value in trace.reads.items():
        click.echo(f"{say('read ', '读')}  {contract} {key} = {'-' if value is None else value.hex()}")
    for write in stored.txRWSets[position].tx_writes:
        click.echo(f"{say('wrote', '写')}  {write.contract_name} {write.key.decode()} = {write.value.hex() or '-'}")


def _find(log: BlockLog, tx_id: str) -> tuple[int, int, BlockWithRWSet]:
    for height in range(log.durable_height, -1, -1):
        stored = BlockWithRWSet.FromString(log.read(height))
        for position, transaction in enumerate(stored.block.txs):
            if tx_id in {transaction.payload.tx_id, "last"}:
                return height, position, stored
    raise click.ClickException(say(f"no transaction {tx_id} in this log", f"日志中没有交易 {tx_id}"))


@click.command()
@click.option("--http", default=None, help="The node's HTTP address.  [default: where the home's node last answered]")
@click.option("--contract", default="", help="Only events of this contract.")
@click.option("--topic", default="", help="Only events of this class.")
@click.option("--start", type=click.IntRange(-1), default=-1, help="First height; -1 from now on.  [default: -1]")
@where
def events(http: str | None, contract: str, topic: str, start: int, **options: Any) -> None:
    """Print contract events as they happen, one JSON object a line. Ctrl-C ends it."""
    parameters = {"chain": options["chain"], "contract": contract, "topic": topic, "start": str(start)}
    try:
        with (
            reach(**options) as node,
            node.connection.web.stream("GET", f"{http or ''}/v1/events", params=parameters, timeout=None) as response,
        ):
            if not response.is_success:
                response.read()
                raise click.ClickException(response.json()["detail"])
            for line in response.iter_lines():
                if line.startswith("data: "):
                    click.echo(line.removeprefix("data: "))
    except httpx2.HTTPError as error:
        text = say(
            f"the HTTP door does not answer ({error}): is the node running?",
            f"HTTP 接口没有应答（{error}）：节点在运行吗？",
        )
        raise click.ClickException(text) from error


@click.group()
def chain() -> None:
    """Tend the chains of a home."""


@chain.command(name="add")
@click.argument("chain_id")
@at_home
def chain_add(chain_id: str, home: Path) -> None:
    """Add a chain with this id to the settings; the next `changan up` makes it, its data apart."""
    place = Home(home.resolve())
    place.settings()
    add_chain(place.settings_file, chain_id)
    click.echo(say(f"{chain_id} is made by the next `changan up`", f"下一次 `changan up` 时创建 {chain_id}"))


@chain.command(name="genesis")
@at_home
@click.argument("chain_id", default="chain1")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
def chain_genesis(home: Path, chain_id: str, output: Path) -> None:
    """Write the genesis of a chain: what `verify-receipt --trust` needs, whoever joined or left since."""
    log = open_log(home, chain_id)
    stored = BlockWithRWSet.FromString(log.read(0))
    write_genesis(output.absolute(), genesis_config(stored))
    click.echo(f"{output}  {say('block', '区块')} 0 {stored.block.header.block_hash.hex()}")


@click.command()
@at_home
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(home: Path, *, yes: bool) -> None:
    """Delete a home with all its chains and keys, and begin anew. It asks first."""
    if not (home / "VERSION").exists():
        text = say(f"{home} is no home of a node; nothing was deleted", f"{home} 不是节点目录，未删除任何内容")
        raise click.ClickException(text)
    if not yes:
        question = say(f"Delete {home} with all its chains and keys?", f"删除 {home} 及其全部链和密钥？")
        click.confirm(question, abort=True)
    with HomeLock(home):
        shutil.rmtree(home)
    click.echo(say("deleted", "已删除"))
