"""What faults.py lets a node take: single calls, bundles of one member, or bundles that many clients signed together."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

import grpc

from changan.bench.crowd import Crowd
from changan.bench.ledger_worker import Sender, make_signers, make_state
from changan.bench.workloads import Shape, workload
from changan.client.doors import CHANNEL_OPTIONS
from changan.client.requests import make_payload, sign_request
from changan.crypto.addresses import user_address
from changan.crypto.digest import digest_named
from changan.ledger.bundle import PARAMETER, columns_of, encode_bundle
from changan.ledger.wire.messages import ChainConfig, TxRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from changan.client.connect import Connection

ROWS = 4096
CLIENTS = 512
"""Of a distilled bundle. After each start a node reads every client's certificate again, which takes it 0.3 ms."""
_TO = bytes.fromhex("11" * 20)
_COMPILED = 'engine = "compiled"\nrate_limit = 10000000\n'


class Lane(NamedTuple):
    """One way to call."""

    requests: Callable[[Connection, str, str], Iterator[TxRequest]]
    """Of the connection, the node's address and its home: makes what they need, then gives requests without end."""
    at_once: int
    calls: int  # of a request
    settings: str
    sample: list[str]
    """Of millions of calls the plain engine runs some blocks' again, the compiled one all."""


def _transfers(connection: Connection, arguments: Mapping[str, bytes | str]) -> Iterator[TxRequest]:
    while True:
        yield sign_request(make_payload("chain1", "token", "transfer", arguments), connection.signer)


def _single(connection: Connection, _address: str, _home: str) -> Iterator[TxRequest]:
    return _transfers(connection, {"to": _TO.hex(), "amount": "1"})


def _bundles(connection: Connection, _address: str, _home: str) -> Iterator[TxRequest]:
    signature = workload("token").signature("transfer")
    data = encode_bundle(signature, columns_of(signature, [(_TO, 1)] * ROWS), ROWS, 0)
    return _transfers(connection, {PARAMETER: data})


def _distilled(connection: Connection, address: str, home: str) -> Iterator[TxRequest]:
    numpy, what = importlib.import_module("numpy"), workload("payments")
    config = ChainConfig.FromString(connection.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG").result)
    digest = digest_named(config.crypto.hash)
    signers = make_signers(home, CLIENTS, connection.signer)
    addresses = [user_address(signer.key.public, config.vm.addr_type, digest) for signer in signers]
    shape = Shape(CLIENTS, addresses, CLIENTS, 0.0)
    make_state(connection, what, shape, numpy, home)
    crowd = Crowd(signers, addresses, connection.chain_id)
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        crowd.register(crowd.registrations(), Sender(channel, "packed", 1))
    return map(TxRequest.FromString, crowd.bundles(what, what.parts(numpy, shape, None), connection.signer))


LANES = {
    "packed": Lane(_single, 100, 1, "", []),
    "bundle": Lane(_bundles, 8, ROWS, _COMPILED, ["--sample", "20"]),
    "distilled": Lane(_distilled, 8, CLIENTS, _COMPILED + "[[chains]]\ndistilled = true\n", ["--sample", "20"]),
}
