"""`changan verify`, `export`, `import`, `receipt` and `verify-receipt`: what is kept can be checked and moved."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from changan.cli.documents import to_file, write_document
from changan.cli.language import say
from changan.cli.node import configure_logs
from changan.cli.reach import at_home, open_log, reach, where
from changan.contract.engines import compiled, plain
from changan.crypto.suite import Suite
from changan.errors import ChanganError, MalformedError
from changan.ledger.agreement import Electorate
from changan.ledger.chain_config import chain_digest, default_config
from changan.ledger.members import NO_RECORDS, Members
from changan.ledger.receipt import verify_receipt
from changan.ledger.receipt_text import suite_in
from changan.ledger.row_path import FORMATS as PROOF_FORMATS
from changan.ledger.row_path import STATE_FORMAT
from changan.ledger.row_proof import verify_row_proof
from changan.ledger.row_receipt import FORMAT as ROW_FORMAT
from changan.ledger.row_receipt import verify_row_receipt
from changan.ledger.snapshot import load_state
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet
from changan.node.audit import Auditor
from changan.node.beginning import open_base
from changan.node.genesis_file import read_genesis
from changan.node.kernels import NodeKernels
from changan.node.pki.layout import read_crypto_config
from changan.node.storage import genesis_config, replay_block
from changan.node.transfer import chain_id_of, export_chain, import_chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from changan.ledger.agreement import Trust
    from changan.ledger.wire.messages import BlockHeader
    from changan.node.beginning import Base
    from changan.node.store.blocklog import BlockLog

_CHAIN = click.option("--chain", default="chain1", show_default=True, help="The chain.")


def _walk(steps: Iterator[int], length: int, label: str) -> None:
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        for _ in steps:
            bar.update(1)


@click.command()
@at_home
@_CHAIN
@click.option("--replay", is_flag=True, help="Also execute every block again and compare what comes of it.")
@click.option(
    "--sample",
    type=click.IntRange(1),
    default=None,
    help="With --replay: derive the rows of bundles again in so many blocks only, and replay by the compiled engine.",
)
def verify(home: Path, chain: str, sample: int | None, *, replay: bool) -> None:
    """Derive every hash, signature and tree of a chain again from its log. Exit 1 and the height where one is wrong."""
    configure_logs("warning")
    try:
        log = open_log(home, chain)
        if sample is not None and not replay:
            text = say(
                "--sample leaves the state to --replay: give both", "--sample 把状态留给 --replay：请两者同时使用"
            )
            raise click.UsageError(text)
        base = open_base(home / "chains" / chain)
        auditor = Auditor(log, sample or 0, base)
        _walk(auditor.blocks(), log.durable_height + 1, say("verifying", "验证"))
        if replay:
            _walk(_replayed(log, base, fast=sample is not None), log.durable_height + 1, say("replaying", "重放"))
    except ChanganError as error:
        click.echo(f"{say('NOT OK', '未通过')}: {error}", err=True)
        raise SystemExit(1) from error
    found = auditor.result
    if base is not None:
        click.echo(
            say(
                f"from block {base.height} on, whose state came from other nodes under its root",
                f"自区块 {base.height} 起；该区块的状态取自其他节点，并经其状态根核对",
            )
        )
    click.echo(
        say(
            f"ok: {found.blocks} blocks, {found.transactions} transactions, {found.signatures} signatures, "
            f"{found.state_roots} state roots" + (", replayed" if replay else ""),
            f"通过：{found.blocks} 个区块，{found.transactions} 笔交易，{found.signatures} 个签名，"
            f"{found.state_roots} 个状态根" + ("，已重放" if replay else ""),
        )
    )


def _replayed(log: BlockLog, base: Base | None, *, fast: bool) -> Iterator[int]:
    engine = compiled(secrets.token_bytes(32)) if fast else plain
    if base is None:
        world, _ = apply_genesis(genesis_config(BlockWithRWSet.FromString(log.read(0))), engine)
    else:
        world = load_state(base.section, base.header(log), engine)
    if fast:
        kernels = NodeKernels()
        kernels.load_if_compiled()
        kernels.serve(world)
    yield world.height
    for height in range(world.height + 1, log.durable_height + 1):
        replay_block(world, BlockWithRWSet.FromString(log.read(height)))
        yield height


@click.command()
@at_home
@_CHAIN
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
def export(home: Path, chain: str, output: Path) -> None:
    """Write a chain's blocks into one file: a backup, or to move it. The node may go on working."""
    log = open_log(home, chain)
    _walk(export_chain(log, output), log.durable_height + 1, say("exporting", "导出"))
    click.echo(f"{output}  {log.durable_height + 1} {say('blocks', '个区块')}")


@click.command(name="import")
@at_home
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(home: Path, file: Path) -> None:
    """Bring an exported chain into a home; then `changan verify` it. To go on with it, bring its crypto-config too."""
    chain = chain_id_of(file)
    count = 0
    for height in import_chain(file, home / "chains" / chain):
        count = height + 1
    click.echo(
        say(
            f"{chain}: {count} blocks; now: changan verify --replay --home {home} --chain {chain}",
            f"{chain}：{count} 个区块；接着运行：changan verify --replay --home {home} --chain {chain}",
        )
    )


@click.command()
@click.argument("tx_id")
@to_file
@where
def receipt(tx_id: str, output: Path | None, **options: Any) -> None:
    """Fetch the receipt of transaction TX_ID (or `last`, or a bundle's row as TX_ID.ROW): what proves it offline."""
    call, dot, row = tx_id.rpartition(".")
    with reach(**options) as node:
        shown = node.last_id() if tx_id == "last" else tx_id
        document = node.receipt(call, int(row)) if dot and row.isdigit() else node.receipt(shown, None)
    write_document(document, output, f"{output}  tx {shown}")


@click.command(name="verify-receipt")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--trust",
    type=click.Path(exists=True, path_type=Path),
    default=None,
    help="A crypto-config folder: whose roots count; or a chain's genesis.",
)
def verify_receipt_(file: Path, trust: Path | None) -> None:
    """Check a receipt, or the proof of a row, offline. With --trust also that a node of those organisations sealed the block."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise MalformedError(f"{file} is no receipt")
        lines = _lines_of(document, None if trust is None else _trusted(trust, suite_in(document)))
    except (ChanganError, ValueError, RecursionError) as error:
        click.echo(f"{say('NOT OK', '未通过')}: {error}", err=True)
        raise SystemExit(1) from error
    click.echo(say("ok", "通过"))
    for name, value in lines:
        click.echo(f"  {name}: {value}")


def _lines_of(document: dict[str, Any], trust: Trust | None) -> list[tuple[str, str]]:
    form = document.get("format")
    if form == ROW_FORMAT:
        return _row_lines(document, trust)
    return _proof_lines(document, trust) if form in PROOF_FORMATS else _lines(document, trust)


def _lines(document: dict[str, Any], trust: Trust | None) -> list[tuple[str, str]]:
    proven = verify_receipt(document, trust)
    tx, header = proven.transaction, proven.header
    result = tx.result.contract_result
    return [
        (say("transaction", "交易"), tx.payload.tx_id),
        (say("call", "调用"), f"{tx.payload.contract_name}.{tx.payload.method}"),
        (say("outcome", "结果"), f"{tx.result.code} {result.message}".strip()),
        (say("rows written", "写入行数"), str(len(proven.rw_set.tx_writes))),
        *_block_lines(header, proven.proposer, proven.agreed),
    ]


def _row_lines(document: dict[str, Any], trust: Trust | None) -> list[tuple[str, str]]:
    proven = verify_row_receipt(document, trust)
    row, bundle = proven.row, proven.bundle
    return [
        (say("transaction", "交易"), f"{proven.tx_id}.{row.number}"),
        (say("call", "调用"), f"{bundle.contract}.{bundle.method}  {say('by', '调用者')} {proven.caller.hex()}"),
        (say("arguments", "参数"), proven.arguments.hex()),
        (say("outcome", "结果"), f"{row.outcome & 255}  gas {row.gas}"),
        (say("result", "返回值"), row.result.hex()),
        *_block_lines(proven.header, proven.proposer, proven.agreed),
    ]


def _proof_lines(document: dict[str, Any], trust: Trust | None) -> list[tuple[str, str]]:
    proven = verify_row_proof(document, trust)
    if document["format"] == STATE_FORMAT:
        name, absent = say("at height", "高度"), say("there is no such row", "没有该行")
    else:
        name, absent = say("written by block", "写入区块"), say("the row was taken out", "该行被删除")
    return [
        (say("row", "行"), f"{proven.contract} {proven.key}"),
        (say("value", "值"), absent if proven.value is None else proven.value.hex()),
        (name, str(proven.height)),
        *_block_lines(proven.header, proven.proposer, proven.agreed),
    ]


def _block_lines(header: BlockHeader, proposer: str | None, agreed: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (say("block", "区块"), f"{header.block_height} {header.block_hash.hex()}"),
        (say("sealed by", "出块者"), proposer or say("not checked: give --trust", "未检查：请给出 --trust")),
        *([(say("agreed by", "同意的组织"), ", ".join(agreed))] if agreed else []),
    ]


def _trusted(trust: Path, suite: Suite) -> Trust:
    return Electorate.of(read_genesis(trust)) if trust.is_file() else _members(trust, suite)


def _members(trust: Path, suite: Suite) -> Members:
    crypto = read_crypto_config(trust)
    roots = [(org.org_id, org.root_certificate_pem.decode()) for org in crypto.organisations]
    config = default_config("any", roots, [], suite=suite, admits=Suite)
    return Members(config, NO_RECORDS, chain_digest(config))
