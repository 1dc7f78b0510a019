"""Signed transfers at the peers that install here, beside changan's payments: one table, one run.

`python bench/peers/run.py --place DIR [--seconds 5] [--accounts 10000] [--json FILE]` installs the peers below DIR (an
environment of their own and, where npm is there, anvil), runs one after another, and prints transfers a second. Peers move
their own coin between 64 accounts, which is the cheapest transfer they have; every transfer was signed beforehand.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from changan.bench import ledger
from changan.bench.figures import table_rows
from changan.cli.bench import write_json

PACKAGES = ("solders==0.29.0", "py-evm==0.12.1b1", "eth-account==0.14.0", "coincurve==21.0.0")
ANVIL = "@foundry-rs/anvil-linux-amd64@1.7.1"
PEERS = {
    "litesvm": "Solana's machine in its own process, Ed25519 checked, nothing on disk",
    "py_evm": "Ethereum's machine in Python, secp256k1 checked, no blocks, nothing on disk",
    "anvil": "a development node in Rust over JSON-RPC, 500 a request, 2,000 a block, nothing on disk",
}
UNITS = {"rate": "calls/s", "node_ns": "node CPU-ns/call"}
TIMEOUT_S = 600


def install(place: Path) -> dict[str, str]:
    """Install what can be, and return why a peer cannot run, by name."""
    python = place / "environment" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place / "environment")], check=True)
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", *PACKAGES], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        return dict.fromkeys(PEERS, installed.stderr.strip()[-200:])
    if (place / "package" / "bin" / "anvil").exists():
        return {}
    try:
        packed = subprocess.run(
            ["npm", "pack", ANVIL], cwd=place, capture_output=True, text=True, check=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        return {"anvil": str(error)[-200:]}
    with tarfile.open(place / packed.stdout.split()[-1]) as archive:
        archive.extractall(place, filter="data")
    return {}


def measure(place: Path, peer: str, seconds: float) -> dict[str, Any]:
    """Return what a peer did. Raises subprocess.SubprocessError."""
    program = Path(__file__).with_name(f"peer_{peer}.py")
    done = subprocess.run(
        [str(place / "environment" / "bin" / "python"), str(program), str(seconds), str(place)],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "node_ns": found["cpu"] * 1e9 / found["calls"]}


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.place.mkdir(parents=True, exist_ok=True)
    missing = install(options.place)
    load = ledger.Load("intl", "payments", "bundle", options.seconds, options.accounts, 64, 4096, 0.0, 16, 0.0)
    rows = [row for row in ledger.run(load, peers=True, verify=True).rows if row["unit"] in UNITS.values()]
    ours = next(row["median"] for row in rows if row["unit"] == "calls/s")
    for peer, what in PEERS.items():
        if peer in missing:
            print(f"{peer}: not here: {missing[peer]}")
            continue
        try:
            found = measure(options.place, peer, options.seconds)
        except subprocess.SubprocessError as error:
            print(f"{peer}: {error}: {getattr(error, 'stderr', '')[-300:]}")
            continue
        note = f"{found['calls']} transfers; {what}; changan does {ours / found['rate']:.0f} times as many"
        rows += table_rows("signed transfers of its own coin, 64 accounts", peer, UNITS, [found], note)
    for row in rows:
        print(f"{row['work']:62} {row['peer']:8} {row['median']:12.0f} {row['unit']:17} {row['note']}")
    if options.json is not None:
        command = f"python bench/peers/run.py --place DIR --seconds {options.seconds} --accounts {options.accounts}"
        write_json(options.json, command, rows)


if __name__ == "__main__":
    main()
