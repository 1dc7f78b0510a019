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
from changan.bench import single as single_bench


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


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    for row in rows:
        click.echo(
            f"{row['work']:<38} {row['peer']:<24} {row['median']:>10} {row['unit']:<20} min {row['min']:<9} max {row['max']}"
        )


def write_json(path: Path, command: str, rows: list[dict[str, Any]]) -> None:
    """Write figures in the form that all of them have."""
    machine = f"{platform.machine()}, {platform.system()} {platform.release()}, CPython {platform.python_version()}"
    document = {"command": command, "machine": machine, "date": time.strftime("%Y-%m-%d"), "rows": rows}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{path}", file=sys.stderr)
