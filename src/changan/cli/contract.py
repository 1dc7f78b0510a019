"""`changan contract`: check, build, deploy, call and query contracts in Python."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import click

from changan.cli.documents import to_file, write_document
from changan.cli.language import say
from changan.cli.reach import gas_limit, reach, where
from changan.contract.check import check as check_source
from changan.contract.compiled.module import emit_module
from changan.contract.package import build_package, recognise
from changan.contract.program import Program, compile_source
from changan.contract.refusal import CheckError, Message
from changan.errors import MalformedError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def contract() -> None:
    """Check, build, deploy, call and query contracts in Python."""


@contract.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
def check(files: tuple[Path, ...]) -> None:
    """Say whether contract files are in the language; if not, each line with the rule and the remedy."""
    failed = False
    for path in files:
        messages = check_source(_source(path))
        failed = failed or bool(messages)
        for message in messages:
            click.echo(_finding(path, message))
        if not messages:
            click.echo(f"{path}: {say('ok', '通过')}")
    if failed:
        raise SystemExit(1)


@contract.command()
@click.argument("file", type=_FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The package to write.  [default: FILE.changan]",
)
@click.option("--show", is_flag=True, help="Print the WebAssembly that nodes make of it, as text, and build nothing.")
def build(file: Path, output: Path | None, *, show: bool) -> None:
    """Build a package: the checked source with its description, to deploy or hand on."""
    program = _program(file)
    if show:
        click.echo(emit_module(program.tree).text)
        return
    package = build_package(program)
    target = output or file.with_suffix(".changan")
    target.write_bytes(package)
    click.echo(f"{target}  {len(package)} {say('bytes', '字节')}")


@contract.command()
@click.argument("name")
@click.argument("file", type=_FILE)
@click.argument("arguments", nargs=-1)
@click.option("--version", "version_", default="1.0", show_default=True, help="The version of the contract.")
@click.option("--upgrade", is_flag=True, help="Take the place of an older version; its state moves along.")
@gas_limit
@where
def deploy(
    name: str, file: Path, arguments: tuple[str, ...], version_: str, *, upgrade: bool, **options: Any
) -> None:  # options
    """Install a contract FILE under NAME; ARGUMENTS (name=value) go to its @init method."""
    code = file.read_bytes()
    _program(file)
    with reach(**options) as node:
        answer = node.connection.deploy(name, version_, code, _arguments(arguments), upgrade=upgrade)
    click.echo(f"{name} {version_}  tx {answer.tx_id}  {say('block', '区块')} {answer.height}  gas {answer.gas}")


@contract.command()
@click.argument("name")
@click.argument("method")
@click.argument("arguments", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Run it on the state as it is, keep nothing, show the gas it would cost.")
@gas_limit
@where
def call(name: str, method: str, arguments: tuple[str, ...], *, dry_run: bool, **options: Any) -> None:  # options
    """Call METHOD of contract NAME with ARGUMENTS (name=value), and wait until the result rests on disk."""
    with reach(**options) as node:
        given = _arguments(arguments)
        answer = node.connection.query(name, method, given) if dry_run else node.connection.invoke(name, method, given)
    if answer.result:
        click.echo(answer.text)
    for event in answer.events:
        click.echo(f"{event.topic}  {', '.join(event.event_data)}")
    if dry_run:
        click.echo(f"{say('dry run', '试运行')}  gas {answer.gas}")
    else:
        click.echo(f"tx {answer.tx_id}  {say('block', '区块')} {answer.height}  gas {answer.gas}")


@contract.command()
@click.argument("name")
@click.argument("method")
@click.argument("arguments", nargs=-1)
@where
def query(name: str, method: str, arguments: tuple[str, ...], **options: Any) -> None:  # options
    """Ask METHOD of contract NAME with ARGUMENTS (name=value); nothing is written."""
    with reach(**options) as node:
        click.echo(node.connection.query(name, method, _arguments(arguments)).text)


@contract.command()
@click.argument("name")
@click.argument("field")
@click.option("--limit", type=click.IntRange(1), default=None, help="At most so many rows.  [default: all]")
@where
def rows(name: str, field: str, *, limit: int | None, **options: Any) -> None:  # options
    """List the rows of FIELD of contract NAME as they are at one height, one JSON object a line, in order of the key."""
    with reach(**options) as node:
        for entry in itertools.islice(node.connection.rows(name, field), limit):
            click.echo(json.dumps({"key": entry.key, "value": entry.value}, ensure_ascii=False))


@contract.command()
@click.argument("name")
@click.argument("field")
@click.argument("key", default="")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@where
def history(name: str, field: str, key: str, *, limit: int, **options: Any) -> None:  # options
    """Say which transactions wrote the row under KEY of FIELD of contract NAME, newest first. A tuple's KEY is a JSON list."""
    with reach(**options) as node:
        found = node.connection.history(name, field, key, limit=limit)
    for entry in found:
        shown = {"height": entry.height, "tx_id": entry.tx_id, "value": entry.value}
        click.echo(json.dumps(shown, ensure_ascii=False))
    if not found.is_complete:
        english = f"above height {found.complete_to} what bundles wrote is missing still: ask again later"
        click.echo(say(english, f"高度 {found.complete_to} 之后由批量交易写入的内容尚缺：请稍后再查"), err=True)


@contract.command()
@click.argument("name")
@click.argument("field")
@click.argument("key", default="")
@click.option("--block", type=click.IntRange(0), default=None, help="Prove what the block at this height wrote.")
@to_file
@where
def prove(
    name: str, field: str, key: str, *, block: int | None, output: Path | None, **options: Any
) -> None:  # options
    """Fetch what proves the row under KEY of FIELD of contract NAME, or its absence; `verify-receipt` checks it offline."""
    with reach(**options) as node:
        document = node.connection.prove(name, field, key, block=block)
    write_document(document, output, str(output))


def _program(path: Path) -> Program:
    """Compile a contract file. Raises MalformedError, which names the file beside each line."""
    try:
        return compile_source(_source(path), str(path))
    except CheckError as error:
        raise MalformedError("; ".join(_finding(path, message) for message in error.messages)) from error


def _finding(path: Path, message: Message) -> str:
    return f"{path}:{message.line}: {message.text} [{message.rule}]"


def _source(path: Path) -> str:
    data = path.read_bytes()
    found = recognise(data)
    if found is not None:
        return found
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise click.ClickException(say(f"{path} is not UTF-8", f"{path} 不是 UTF-8 编码")) from error


def _arguments(pairs: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name or name in found:
            text = say(f"{pair!r}: arguments are name=value, each once", f"{pair!r}：参数写作 名称=值，每个一次")
            raise click.BadParameter(text)
        found[name] = value
    return found
