"""`changan bench`: measure this machine."""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import click

from changan.bench import cluster as cluster_bench
from changan.bench import crypto as crypto_bench
from changan.bench import ledger as ledger_bench
from changan.bench import single as single_bench
from changan.bench.workloads import GENERATED, LOADS
from changan.cli.bench_stages import show_stages
from changan.crypto.suite import SUITE_NAMES
from changan.node.settings import ENGINES


@click.group()
def bench() -> None:
    """Measure. Figures compare only within one run: machines are shared and noisy."""


@bench.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=5.0, show_default=True, help="Each measurement.")
def single(json_file: Path | None, seconds: float) -> None:
    """Single signed calls through the official SDK (if it is installed) and our client, 1, 2 and 4 processes."""
    rows = single_bench.run(seconds)
    show(rows)
    if json_file is not None:
        write_json(json_file, f"changan bench single --seconds {seconds:g}", rows)


@bench.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
@click.option("--seconds", type=click.FloatRange(0.05, 600), default=1.0, show_default=True, help="Each measurement.")
@click.option("--node/--no-node", default=True, help="Also start nodes while the kernels compile (a minute).")
@click.option(
    "--kernels",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("~/.cache/changan/kernels"),
    show_default=True,
    help="Where compiled kernels are kept.",
)
def crypto(json_file: Path | None, seconds: float, kernels: Path, *, node: bool) -> None:
    """Signatures verified a second and core: the batch kernels next to OpenSSL, cold and warm."""
    rows = crypto_bench.run(seconds, kernels.expanduser(), node=node)
    show(rows)
    if json_file is not None:
        write_json(json_file, f"changan bench crypto --seconds {seconds:g}", rows)


@bench.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=5.0, show_default=True, help="Each measurement.")
def cluster(json_file: Path | None, seconds: float) -> None:
    """Four organisations on this machine: signed calls, packed and one by one, and the latency at light load."""
    rows = cluster_bench.run(seconds)
    show(rows)
    if json_file is not None:
        write_json(json_file, f"changan bench cluster --seconds {seconds:g}", rows)


@bench.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), default=None, help="Also write the table here.")
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=10.0, show_default=True, help="Each measurement.")
@click.option(
    "--lane",
    type=click.Choice(list(ledger_bench.LANES)),
    default="bundle",
    show_default=True,
    help="Many calls under one signature; of as many clients (their secret keys summed); or signed calls, many or one a message.",
)
@click.option(
    "--suite",
    type=click.Choice(list(SUITE_NAMES)),
    default="intl",
    show_default=True,
    help="Algorithms: international, or national (SM2, SM3).",
)
@click.option(
    "--curve",
    type=click.Choice(["P-256", "secp256k1", "Ed25519"]),
    default=None,
    help="Of the clients' keys.  [default: P-256; gm: SM2]",
)
@click.option(
    "--contract",
    type=click.Choice([*LOADS, GENERATED]),
    default="payments",
    show_default=True,
    help="What is called: a shipped contract, or the one that is made from --seed.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of a generated contract.")
@click.option("--accounts", type=click.IntRange(64, 20_000_000), default=1_000_000, show_default=True, help="Rows.")
@click.option(
    "--signers",
    type=click.IntRange(1, 100_000),
    default=None,
    help="Clients who sign.  [default: 64; distilled: one a row]",
)
@click.option(
    "--rows", type=click.IntRange(1, 65_536), default=None, help="Calls a message.  [default: 4096; single: 1]"
)
@click.option("--zipf", type=click.FloatRange(0, 3), default=0.0, show_default=True, help="Skew of the accounts.")
@click.option(
    "--inflight", type=click.IntRange(1, 256), default=None, help="Messages under way.  [default: 16; single: 64]"
)
@click.option(
    "--rate", type=click.FloatRange(0), default=0.0, show_default=True, help="Calls a second; 0: all it takes."
)
@click.option(
    "--engine", type=click.Choice(ENGINES), default="compiled", show_default=True, help="What runs the contract."
)
@click.option("--rounds", type=click.IntRange(1, 20), default=1, show_default=True, help="Measurements.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="Also SQLite as a ledger, same machine.")
@click.option("--verify/--no-verify", default=True, show_default=True, help="Verify what the node kept.")
def ledger(
    json_file: Path | None,
    seconds: float,
    lane: str,
    suite: str,
    curve: str | None,
    contract: str,
    seed: int,
    accounts: int,
    signers: int | None,
    rows: int | None,
    zipf: float,
    inflight: int | None,
    rate: float,
    engine: str,
    rounds: int,
    *,
    peers: bool,
    verify: bool,
) -> None:
    """Signed, durable contract calls through the public door, beside SQLite that nobody signs for."""
    rows = rows or (1 if lane == "single" else 4096)
    inflight = inflight or (64 if lane == "single" else 16)
    clients = signers or (rows if lane == "distilled" else 64)
    what = f"{contract}:{seed}" if contract == GENERATED else contract
    load = ledger_bench.Load(suite, what, lane, seconds, accounts, clients, rows, zipf, inflight, rate, engine, curve)
    table, stages = ledger_bench.run(load, peers=peers, verify=verify, rounds=rounds)
    show(table)
    show_stages(stages)
    if json_file is not None:
        options = {
            "suite": suite,
            "lane": lane,
            "contract": contract,
            "seed": seed,
            "accounts": accounts,
            "signers": clients,
            "rows": rows,
            "inflight": inflight,
            "zipf": zipf,
            "rate": rate,
            "engine": engine,
        } | ({} if curve is None else {"curve": curve})
        told = " ".join(f"--{name} {value}" for name, value in options.items())
        write_json(json_file, f"changan bench ledger --seconds {seconds:g} {told}", table, stages=stages)


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    for row in rows:
        click.echo(
            f"{row['work']:<38} {row['peer']:<24} {row['median']:>10} {row['unit']:<20} min {row['min']:<9} max {row['max']}"
        )


def write_json(path: Path, command: str, rows: list[dict[str, Any]], **more: list[dict[str, Any]]) -> None:
    """Write figures in the form that all of them have, and further tables beside them."""
    machine = f"{platform.machine()}, {platform.system()} {platform.release()}, CPython {platform.python_version()}"
    document = {"command": command, "machine": machine, "date": time.strftime("%Y-%m-%d"), "rows": rows, **more}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{path}", file=sys.stderr)
