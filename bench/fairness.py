"""How long a quiet client waits beside one that floods: `python bench/fairness.py [--seconds 5] [--outstanding 900]`.

The quiet client sends one synchronous call after another, the other keeps so many asynchronous ones under way, from a process
of its own. Both are on loopback, so they are one address with two connections; two addresses are no worse off.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

from changan import connect_async
from changan.bench.single import start_node, stop_node
from changan.client.members import find_member
from changan.client.requests import make_payload, sign_request

REQUESTS = 6000


async def flood(rpc: str, home: Path, outstanding: int, seconds: float) -> None:
    """Keep requests under way; say `go` when it begins, and at the end how many a second were answered."""
    signer = find_member(home / "crypto-config", "wx-org2.chainmaker.org", "client1")
    payloads = (make_payload("chain1", "T", "P", {"k": "a", "v": str(number)}) for number in range(REQUESTS))
    made = [sign_request(payload, signer).SerializeToString() for payload in payloads]
    print("go", flush=True)
    answered, end = 0, time.monotonic() + seconds
    async with grpc.aio.insecure_channel(rpc) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/api.RpcNode/SendRequest")

        async def one_after_another(first: int) -> None:
            nonlocal answered
            number = first
            while time.monotonic() < end:
                try:
                    await call(made[number % REQUESTS], timeout=60)
                except grpc.aio.AioRpcError:  # the server refuses streams when too many wait to be taken up
                    await asyncio.sleep(0.1)
                    continue
                answered, number = answered + 1, number + outstanding

        await asyncio.gather(*(one_after_another(first) for first in range(outstanding)))
    print(round(answered / seconds))


async def quiet(home: Path, seconds: float) -> list[float]:
    """Call one after another; return how long each took, in milliseconds, sorted."""
    took = []
    async with connect_async(home=home) as client:
        await client.invoke("T", "P", {"k": "quiet", "v": "first"})
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            started = time.perf_counter()
            await client.invoke("T", "P", {"k": "quiet", "v": "next"})
            took.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(0.01)
    return sorted(took)


def share(sorted_ms: list[float], part: float) -> float:
    """Return the time within which that part of the calls was answered."""
    return sorted_ms[min(len(sorted_ms) - 1, int(len(sorted_ms) * part))]


def beside_a_flood(rpc: str, home: Path, outstanding: int, seconds: float) -> tuple[list[float], int]:
    """Return the quiet client's times beside a flood, and what the flood came to a second."""
    command = [sys.executable, __file__, "--flood", rpc, str(home)]
    options = ["--outstanding", str(outstanding), "--seconds", str(seconds + 2)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "go\n"
        time.sleep(1)
        took = asyncio.run(quiet(home, seconds))
        return took, int(other.stdout.read())


def main() -> None:
    """Measure alone, then beside the flood."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--outstanding", type=int, default=900)
    parser.add_argument("--flood", nargs=2, metavar=("RPC", "HOME"))
    given = parser.parse_args()
    if given.flood:
        asyncio.run(flood(given.flood[0], Path(given.flood[1]), given.outstanding, given.seconds))
        return
    with tempfile.TemporaryDirectory() as directory:
        node = start_node(Path(directory))
        try:
            alone = asyncio.run(quiet(node.home, given.seconds))
            beside, rate = beside_a_flood(node.rpc, node.home, given.outstanding, given.seconds)
        finally:
            stop_node(node)
    for name, took in (("alone", alone), (f"beside {rate} calls a second", beside)):
        print(f"{name}: p50 {share(took, 0.5):.1f} ms, p99 {share(took, 0.99):.1f} ms, {len(took)} calls")


if __name__ == "__main__":
    main()
