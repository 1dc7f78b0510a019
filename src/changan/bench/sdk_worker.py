"""One process of load on the official SDK. It is run as a file and imports nothing of ours.

`python sdk_worker.py CONFIG MODE SECONDS TO`: MODE is sync or async. Prints a JSON object when it is done.
"""

from __future__ import annotations

import json
import sys
import time

from chainmaker import ChainClient
from chainmaker.sdk_config import DefaultConfig


def main() -> None:
    """Call as fast as it goes for so many seconds."""
    config, mode, seconds, to = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    DefaultConfig.enable_log = False
    client = ChainClient.from_conf(config)
    client.endorsers = []  # a call of a contract needs none, and signing them would measure the SDK
    arguments = {"to": to, "amount": "1"}
    client.invoke_contract("token", "transfer", arguments, with_sync_result=True)
    print("go", flush=True)
    sys.stdin.readline()
    cpu, started = time.process_time(), time.perf_counter()
    latencies = []
    while time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        response = client.invoke_contract("token", "transfer", arguments, with_sync_result=mode == "sync")
        latencies.append(time.perf_counter() - begun)
        assert response.code == 0, response
    elapsed = time.perf_counter() - started
    print(
        json.dumps(
            {"calls": len(latencies), "seconds": elapsed, "cpu": time.process_time() - cpu, "latencies": latencies}
        )
    )


if __name__ == "__main__":
    main()
