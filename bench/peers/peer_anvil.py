"""anvil: transfers of ether, signed beforehand, sent as raw transactions over JSON-RPC on loopback, 2,000 a block."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from eth_account import Account

ACCOUNTS, A_REQUEST, A_BLOCK = 64, 500, 2_000
RATE_GUESSED = 8_000
STARTS_S = 20


def main() -> None:
    """Print what came of it as JSON."""
    seconds, place = float(sys.argv[1]), Path(sys.argv[2])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = place / "anvil.json"
    said.unlink(missing_ok=True)
    options = ["--port", str(port), "--accounts", str(ACCOUNTS), "--config-out", str(said), "--silent", "--no-mining"]
    options += ["--gas-limit", str(10**10), "--base-fee", "0", "--order", "fifo", "--chain-id", "1337"]
    node = subprocess.Popen([str(place / "package" / "bin" / "anvil"), *options])
    try:
        print(json.dumps(measured(node.pid, f"http://127.0.0.1:{port}", said, seconds)))
    finally:
        node.terminate()
        node.wait(STARTS_S)


def measured(process: int, url: str, said: Path, seconds: float) -> dict[str, float]:
    """Return what the node did."""
    deadline = time.monotonic() + STARTS_S
    while time.monotonic() < deadline:
        try:
            ask(url, [("eth_chainId", [])])
            break
        except OSError:
            time.sleep(0.1)
    secrets = json.loads(said.read_text(encoding="utf-8"))["private_keys"]
    people = [Account.from_key(secret) for secret in secrets]
    raw = []
    for number in range(int(seconds * RATE_GUESSED) // A_BLOCK * A_BLOCK):
        wanted = {
            "nonce": number // ACCOUNTS,
            "gasPrice": 10**9,
            "gas": 21_000,
            "to": people[(number * 7 + 1) % ACCOUNTS].address,
            "value": number,
            "data": "0x",
            "chainId": 1337,
        }
        raw.append("0x" + people[number % ACCOUNTS].sign_transaction(wanted).raw_transaction.hex().removeprefix("0x"))
    before, started, calls = cpu_seconds(process), time.perf_counter(), 0
    while calls < len(raw) and time.perf_counter() - started < seconds:
        for at in range(calls, calls + A_BLOCK, A_REQUEST):
            ask(url, [("eth_sendRawTransaction", [each]) for each in raw[at : at + A_REQUEST]])
        ask(url, [("evm_mine", [])])
        calls += A_BLOCK
    elapsed = time.perf_counter() - started
    [block] = ask(url, [("eth_getBlockByNumber", ["latest", False])])
    if len(block["transactions"]) != A_BLOCK:
        raise SystemExit(f"the last block holds {len(block['transactions'])} of {A_BLOCK} transfers")
    return {"calls": calls, "rate": calls / elapsed, "cpu": cpu_seconds(process) - before}


def cpu_seconds(process: int) -> float:
    """Return what a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(url: str, calls: list[tuple[str, list[Any]]]) -> list[Any]:
    """Send calls in one request and return their results. Raises OSError, and SystemExit for one that is refused."""
    body = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": values}
        for number, (method, values) in enumerate(calls)
    ]
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = json.load(answer)
    for each in found:
        if "error" in each:
            raise SystemExit(str(each["error"]))
    return [each["result"] for each in sorted(found, key=lambda item: item["id"])]


if __name__ == "__main__":
    main()
