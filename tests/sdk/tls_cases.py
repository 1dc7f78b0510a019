"""Reach a node with the official SDK as a configuration says, and in ways in which TLS has to refuse it.

    python tests/sdk/tls_cases.py CONFIG

Prints JSON: for each case the words of the failure, empty where the node answered.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from chainmaker import ChainClient
from chainmaker.utils import file_utils


def by_name(name: str | None) -> Callable[[dict, dict], None]:
    def change(_: dict, node: dict) -> None:
        if name is None:
            del node["tls_host_name"]
        else:
            node["tls_host_name"] = name

    return change


def trusting(choose: Callable[[list[str]], list[str]]) -> Callable[[dict, dict], None]:
    def change(_: dict, node: dict) -> None:
        node["trust_root_paths"] = choose(node["trust_root_paths"])

    return change


def without_certificate(client: dict, _: dict) -> None:
    del client["user_crt_file_path"], client["user_key_file_path"]


def other_transport(_: dict, node: dict) -> None:
    node["enable_tls"] = not node["enable_tls"]


CASES: dict[str, Callable[[dict, dict], None]] = {
    "as configured": lambda _, __: None,
    "by the name localhost": by_name("localhost"),
    "by its address": by_name(None),
    "by a wrong name": by_name("somebody.else"),
    "without a client certificate": without_certificate,
    "trusting another organisation": trusting(lambda roots: roots[1:2]),
    "trusting nobody": trusting(lambda _: []),
    "trusting a directory of directories": trusting(lambda roots: [str(Path(roots[0]).parent)]),
    "the other transport": other_transport,
}


def ask(config: str, change: Callable[[dict, dict], None]) -> str:
    """Ask the node for its height; return the words of the failure, or nothing."""
    settings = file_utils.load_yaml(config)
    client = settings["chain_client"]
    client["nodes"][0]["conn_cnt"] = 1
    change(client, client["nodes"][0])
    try:
        connection = ChainClient.from_conf(settings)
        connection.disable_log()
        connection.get_chain_info()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    connection.stop()
    return ""


if __name__ == "__main__":
    print(json.dumps({case: ask(sys.argv[1], change) for case, change in CASES.items()}, indent=1))
