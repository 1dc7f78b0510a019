"""How each recorded request is made here, and where the answer is ours. The keys are the numbers of the record.

The rows run in order on one node; a row of the record that is not listed there (every fifth was left out) may be needed
to get to the next, and has a number of its own here all the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from recorded_desk import ENDLESS_S, Desk

from changan.client.requests import new_tx_id
from changan.ledger.wire.messages import (
    ChainMakerVersionRequest,
    ChainMakerVersionResponse,
    CheckNewBlockChainConfigRequest,
    CheckNewBlockChainConfigResponse,
    GetPoolStatusRequest,
    GetTxsInPoolByTxIdsRequest,
    GetTxsInPoolByTxIdsResponse,
    MemberType,
    TxPoolStatus,
    TxRequest,
    TxType,
)

if TYPE_CHECKING:
    from collections.abc import Callable

UNKNOWN = "ab" * 32
HASH = "cd" * 32
FACT = """
from typing import Annotated

from annotated_types import MaxLen

from changan.contract import U64, Contract, Digest, Event, Map, Text, call, emit, view

Name = Annotated[Text, MaxLen(256)]


class Saved(Event):
    file_hash: Digest


class Fact(Contract):
    names: Map[Digest, Name] = Map(default="")
    saved: U64

    @call
    def save(self, file_hash: Digest, file_name: Name, time: U64) -> None:
        self.names[file_hash] = file_name
        self.saved += 1
        emit(Saved(file_hash=file_hash))

    @view
    def find_by_file_hash(self, file_hash: Digest) -> Name:
        return self.names[file_hash]

    @view
    def get(self) -> U64:
        return self.saved
"""
SAVE = {"file_hash": HASH, "file_name": "n1", "time": "6543234"}
LIFE = "c1795435012"
PUT = {"k": "a", "v": "b"}
ROOT_ADD = {"org_id": "wx-org9.chainmaker.org", "root": "junk"}


def no_sender(request) -> None:
    request.ClearField("sender")


def sign_with(signature: bytes) -> Callable[[TxRequest], None]:
    def change(request) -> None:
        request.sender.signature = signature

    return change


def spoil_endorser(request) -> None:
    request.endorsers[0].signature = request.endorsers[0].signature[:-4] + bytes(4)


def bad_endorser_config(desk: Desk) -> tuple[str, str]:
    request = desk.request("CHAIN_CONFIG", "BLOCK_UPDATE", {"tx_timeout": "600"}, endorsers=desk.admins)
    spoil_endorser(request)
    return desk.deliver(request)


def other_payload(desk: Desk) -> tuple[str, str]:
    request = desk.request("CHAIN_QUERY", "GET_CHAIN_INFO", kind="query")
    request.payload.tx_id = new_tx_id()
    return desk.deliver(request)


def at(offset: int) -> int:
    return int(time.time()) + offset


def light_certificate(desk: Desk) -> str:
    return desk.light.member.member_info.decode()


def own_root(desk: Desk) -> dict[str, str]:
    first = desk.crypto.organisations[0]
    return {"org_id": first.org_id, "root": first.root_certificate_pem.decode()}


def events_everywhere(desk: Desk, parameters) -> tuple[str, str]:
    tip = desk.tip()
    return desk.stream("SUBSCRIBE_CONTRACT_EVENT", 0, tip, parameters=parameters, everything=tip + 1)


def transactions_of_t(desk: Desk) -> tuple[str, str]:
    tip = desk.tip()
    count = sum(tx.payload.contract_name == "T" for height in range(tip + 1) for tx in desk.block(height).txs)
    return desk.stream("SUBSCRIBE_TX", 0, tip, parameters={"CONTRACT_NAME": "T"}, everything=count)


def beyond_the_tip(desk: Desk) -> tuple[str, str]:
    tip = desk.tip()
    return desk.blocks(tip + 5, tip + 9, timeout=ENDLESS_S, below=tip)


def twice(desk: Desk, tx_id: str) -> tuple[str, str]:
    desk.sync("T", "P", PUT, tx_id=tx_id)
    return desk.again()


def ask_past(method: str, **parameters: str) -> Callable[[Desk], tuple[str, str]]:
    return lambda desk: desk.query("CHAIN_QUERY", method, parameters)


CASES: dict[int, Callable[[Desk], tuple[str, str]]] = {
    1: lambda d: d.send("T", "P", PUT),
    3: lambda d: d.again(),
    4: lambda d: d.again("SendRequestSync"),
    2: lambda d: d.sync("T", "P", PUT),
    6: lambda d: d.twice_at_once(),
    7: lambda d: d.send("T", "P", PUT, tx_id=""),
    8: lambda d: twice(d, "a" * 63),
    9: lambda d: d.send("T", "P", PUT, tx_id=UNKNOWN + "7"),
    11: lambda d: d.send("T", "P", PUT, tx_id="abc"),
    12: lambda d: d.send("T", "P", PUT, timestamp=at(-700)),
    13: lambda d: d.send("T", "P", PUT, timestamp=at(700)),
    14: lambda d: d.send("T", "P", PUT, timestamp=0),
    16: lambda d: d.send("T", "P", PUT, chain_id="chain9"),
    17: lambda d: d.send("T", "P", PUT, chain_id=""),
    18: lambda d: d.query("CHAIN_QUERY", "GET_CHAIN_INFO", chain_id="chain9"),
    19: lambda d: d.query("CHAIN_QUERY", "GET_CHAIN_INFO", chain_id="chain/9!"),
    21: other_payload,
    22: lambda d: d.changed(sign_with(b"")),
    23: lambda d: d.changed(sign_with(b"garbage")),
    24: lambda d: d.send("T", "P", PUT, sender=d.as_member(d.client, org_id="wx-org9.chainmaker.org")),
    26: lambda d: d.send("T", "P", PUT, sender=d.as_member(d.client, org_id="")),
    27: lambda d: d.send("T", "P", PUT, sender=d.as_member(d.client, member_info=b"junk")),
    28: lambda d: d.send("T", "P", PUT, sender=d.as_member(d.client, member_info=b"")),
    29: lambda d: d.send(
        "T", "P", PUT, sender=d.as_member(d.client, member_type=MemberType.CERT_HASH, member_info=b"\xab" * 32)
    ),
    31: lambda d: d.send(
        "T", "P", PUT, sender=d.as_member(d.client, member_type=MemberType.ALIAS, member_info=b"noalias")
    ),
    32: lambda d: d.send("T", "P", PUT, sender=d.stranger("wx-org1.chainmaker.org")),
    33: lambda d: d.send("T", "P", PUT, sender=d.stranger("wx-org9.chainmaker.org")),
    34: lambda d: d.send("T", "P", PUT, sender=d.member("client1", tls=True)),
    36: lambda d: d.send("T", "P", PUT, sender=d.light),
    37: lambda d: d.query("CHAIN_QUERY", "GET_CHAIN_INFO", sender=d.light),
    38: lambda d: d.changed(no_sender),
    39: lambda d: d.send("T", "P", PUT, tx_type=9),
    41: lambda d: d.send("ARCHIVE_MANAGE", "ARCHIVE_BLOCK", tx_type=TxType.ARCHIVE),
    42: lambda d: d.changed(spoil_endorser, endorsers=[d.admins[0]]),
    43: lambda d: d.send("nosuch", "m"),
    44: lambda d: d.sync("nosuch", "m"),
    46: lambda d: d.send("", "m"),
    47: lambda d: d.query("", "m"),
    45: lambda d: d.install("fact1", FACT),
    48: lambda d: d.send("fact1", "", SAVE),
    49: lambda d: d.query("fact1", "", SAVE),
    51: lambda d: d.send("bad name!", "m"),
    52: lambda d: d.send("fact1", "nosuch"),
    53: lambda d: d.query("fact1", "nosuch"),
    54: lambda d: d.send("T", "NOPE"),
    56: lambda d: d.send("fact1", "save", SAVE),
    57: lambda d: d.send("fact1", "save", {"file_hash": HASH, "file_name": "n1"}),
    58: lambda d: d.query("fact1", "find_by_file_hash", {"file_hash": HASH}),
    59: lambda d: d.query("fact1", "find_by_file_hash", {"file_hash": UNKNOWN}),
    61: lambda d: d.query("fact1", "get"),
    62: lambda d: d.send("fact1", "61c09bf7"),
    63: lambda d: d.query("fact1", "61c09bf7"),
    64: lambda d: d.send("fact1", "save"),
    66: lambda d: d.send("T", "P", {"": "x"}),
    67: lambda d: d.send("fact1", "save", {"file_hash": HASH, "file_name": "n1", "k" * 200: "x"}),
    68: lambda d: d.send("T", "P", {f"k{n}": "x" for n in range(200)}),
    69: lambda d: d.send("T", "P", {"k": "a", "v": b"x" * 1_000_000}),
    71: lambda d: d.send("T", "P", {"__tx_id__": "x"}),
    72: lambda d: d.query("CHAIN_QUERY", "GET_CHAIN_INFO"),
    73: ask_past("GET_TX_BY_TX_ID", txId=UNKNOWN),
    74: ask_past("GET_TX_BY_TX_ID"),
    76: ask_past("GET_BLOCK_BY_TX_ID", txId=UNKNOWN),
    77: ask_past("GET_BLOCK_BY_HEIGHT", blockHeight="999999"),
    78: ask_past("GET_BLOCK_BY_HEIGHT", blockHeight="-1"),
    79: ask_past("GET_BLOCK_BY_HEIGHT", blockHeight="abc"),
    81: ask_past("GET_BLOCK_BY_HEIGHT", blockHeight="0"),
    82: ask_past("GET_BLOCK_BY_HEIGHT"),
    83: ask_past("GET_BLOCK_HEADER_BY_HEIGHT", blockHeight="999999"),
    84: ask_past("GET_BLOCK_BY_HASH", blockHash=UNKNOWN),
    86: ask_past("GET_FULL_BLOCK_BY_HEIGHT", blockHeight="999999"),
    87: ask_past("GET_BLOCK_HEIGHT_BY_TX_ID", txId=UNKNOWN),
    88: ask_past("GET_BLOCK_HEIGHT_BY_HASH", blockHash=UNKNOWN),
    89: ask_past("GET_LAST_CONFIG_BLOCK"),
    91: ask_past("GET_ARCHIVED_BLOCK_HEIGHT"),
    92: ask_past("GET_NODE_CHAIN_LIST"),
    93: lambda d: d.query("CHAIN_QUERY", "GET_NODE_CHAIN_LIST", chain_id="system_chain"),
    94: lambda d: d.send("CHAIN_QUERY", "GET_CHAIN_INFO"),
    96: lambda d: d.query("CHAIN_CONFIG", "GET_CHAIN_CONFIG_AT", {"block_height": "999999"}),
    97: lambda d: d.query("CONTRACT_MANAGE", "GET_CONTRACT_INFO", {"CONTRACT_NAME": "nosuch"}),
    98: lambda d: d.query("CONTRACT_MANAGE", "GET_CONTRACT_INFO"),
    99: lambda d: d.query("CONTRACT_MANAGE", "GET_CONTRACT_INFO", {"CONTRACT_NAME": "fact1"}),
    101: lambda d: d.query("CERT_MANAGE", "CERTS_QUERY", {"cert_hashes": UNKNOWN}),
    102: lambda d: d.query("CERT_MANAGE", "CERTS_QUERY"),
    103: lambda d: d.install("free1", FACT),
    104: lambda d: d.install(LIFE, FACT, endorsers=d.admins),
    106: lambda d: d.install("bad name!", FACT),
    107: lambda d: d.install("", FACT),
    108: lambda d: d.install("v", FACT, version=""),
    109: lambda d: d.install("v", ""),
    111: lambda d: d.install("v", FACT, leave_out="CONTRACT_RUNTIME_TYPE"),
    112: lambda d: d.install("v", "notwasm"),
    113: lambda d: d.install("v", "zz"),
    114: lambda d: d.install("CHAIN_CONFIG", FACT),
    116: lambda d: d.install("nosuch", FACT, method="UPGRADE_CONTRACT", endorsers=d.admins),
    117: lambda d: d.install(LIFE, FACT, "2.0", method="UPGRADE_CONTRACT"),
    118: lambda d: d.install(LIFE, FACT, "2.0", method="UPGRADE_CONTRACT", endorsers=d.admins[:2]),
    119: lambda d: d.install(LIFE, FACT, "2.0", method="UPGRADE_CONTRACT", endorsers=d.clients),
    120: lambda d: d.install(LIFE, FACT, "2.0", method="UPGRADE_CONTRACT", endorsers=d.admins),
    121: lambda d: d.manage("FREEZE_CONTRACT", {"CONTRACT_NAME": LIFE}, endorsers=()),
    122: lambda d: d.manage("FREEZE_CONTRACT", {"CONTRACT_NAME": LIFE}),
    123: lambda d: d.manage("FREEZE_CONTRACT", {"CONTRACT_NAME": LIFE}),
    124: lambda d: d.send(LIFE, "save", SAVE),
    126: lambda d: d.install(LIFE, FACT, "3.0", method="UPGRADE_CONTRACT", endorsers=d.admins),
    127: lambda d: d.manage("FREEZE_CONTRACT", {"CONTRACT_NAME": "nosuch"}),
    128: lambda d: d.manage("UNFREEZE_CONTRACT", {"CONTRACT_NAME": LIFE}),
    129: lambda d: d.manage("UNFREEZE_CONTRACT", {"CONTRACT_NAME": LIFE}),
    130: lambda d: d.manage("REVOKE_CONTRACT", {"CONTRACT_NAME": LIFE}),
    131: lambda d: d.manage("REVOKE_CONTRACT", {"CONTRACT_NAME": LIFE}),
    132: lambda d: d.send(LIFE, "save", SAVE),
    133: lambda d: d.query(LIFE, "find_by_file_hash", {"file_hash": HASH}),
    134: lambda d: d.configure("BLOCK_UPDATE", {"tx_timeout": "600"}, endorsers=()),
    136: lambda d: d.configure("BLOCK_UPDATE", {"tx_timeout": "600"}, endorsers=[d.admins[1]] * 4),
    137: lambda d: d.configure("BLOCK_UPDATE", {"tx_timeout": "600"}, endorsers=d.clients),
    138: bad_endorser_config,
    139: lambda d: d.configure("BLOCK_UPDATE", {"tx_timeout": "600"}),
    141: lambda d: d.configure("BLOCK_UPDATE", {"tx_timeout": "abc"}),
    142: lambda d: d.configure("BLOCK_UPDATE", {"block_interval": "5"}),
    143: lambda d: d.configure("BLOCK_UPDATE"),
    144: lambda d: d.configure("BLOCK_UPDATE", {"tx_timeout": "600"}, endorsers=d.admins[:3]),
    146: lambda d: d.configure("TRUST_ROOT_ADD", ROOT_ADD),
    147: lambda d: d.configure("TRUST_ROOT_ADD", own_root(d)),
    148: lambda d: d.configure("TRUST_ROOT_ADD", {"org_id": "wx-org9.chainmaker.org"}),
    149: lambda d: d.configure("TRUST_ROOT_DELETE", {"org_id": "wx-org9.chainmaker.org"}),
    151: lambda d: d.configure("PERMISSION_ADD", {"CHAIN_CONFIG-TRUST_ROOT_ADD": b""}),
    152: lambda d: d.configure("PERMISSION_DELETE", {"NO_SUCH": ""}),
    153: lambda d: d.configure("NODE_ID_ADD", {"org_id": "wx-org1.chainmaker.org", "node_ids": "x"}),
    154: lambda d: d.configure("CONSENSUS_EXT_ADD", {"k": "v"}),
    156: lambda d: d.configure("CONSENSUS_EXT_UPDATE", {"k9": "v"}),
    157: lambda d: d.configure("BLOCK_UPDATE", {"tx_timeout": "600"}, endorsers=(), sync=True),
    158: lambda d: d.send("CERT_MANAGE", "CERT_ADD"),
    159: lambda d: d.send("CERT_MANAGE", "CERT_ADD"),
    161: lambda d: d.send("CERT_MANAGE", "CERTS_FREEZE", {"certs": light_certificate(d)}, sender=d.admins[0]),
    162: lambda d: d.query("CHAIN_QUERY", "GET_CHAIN_INFO", sender=d.light),
    163: lambda d: d.send("T", "P", PUT, sender=d.light),
    164: lambda d: d.send("CERT_MANAGE", "CERTS_UNFREEZE", {"certs": light_certificate(d)}, sender=d.admins[0]),
    166: lambda d: d.send("CERT_MANAGE", "CERTS_DELETE", {"cert_hashes": UNKNOWN}, sender=d.admins[0]),
    167: lambda d: d.send("MULTI_SIGN", "REQ"),
    168: lambda d: d.query("MULTI_SIGN", "QUERY", {"TX_ID": UNKNOWN}),
    169: lambda d: d.query("ACCOUNT_MANAGER", "GET_BALANCE", {"address_key": d.address("11" * 20)}),
    171: lambda d: d.send("PUBKEY_MANAGE", "PUBKEY_ADD", {"role": "client"}, endorsers=d.admins),
    172: lambda d: d.blocks(0, 3),
    173: lambda d: d.blocks(3, 3),
    174: lambda d: d.blocks(-1, -1, timeout=ENDLESS_S),
    176: lambda d: d.blocks(5, 3),
    177: lambda d: d.blocks(-2, 3),
    178: lambda d: d.blocks(-1, 3),
    179: beyond_the_tip,
    181: lambda d: d.blocks(),
    182: lambda d: d.blocks(bytes(4), 3),
    183: lambda d: d.stream("SUBSCRIBE_TX", 0, 3),
    184: transactions_of_t,
    186: lambda d: events_everywhere(d, {"CONTRACT_NAME": "fact1"}),
    187: lambda d: events_everywhere(d, {}),
    188: lambda d: d.stream("SUBSCRIBE_CONTRACT_EVENT", 5, 3),
    189: lambda d: d.stream("NOPE", 0, 3),
    191: lambda d: d.stream("P", tx_type=TxType.INVOKE_CONTRACT),
    192: lambda d: d.blocks(0, 3, sender=d.light, only_header=True),
    193: lambda d: d.blocks(0, 3, sender=d.light),
    194: lambda d: d.ask("GetChainMakerVersion", ChainMakerVersionRequest(), ChainMakerVersionResponse),
    196: lambda d: d.ask("GetPoolStatus", GetPoolStatusRequest(chain_id="chain9"), TxPoolStatus),
    197: lambda d: d.ask(
        "GetTxsInPoolByTxIds",
        GetTxsInPoolByTxIdsRequest(chain_id="chain1", tx_ids=[UNKNOWN]),
        GetTxsInPoolByTxIdsResponse,
    ),
    198: lambda d: d.ask(
        "CheckNewBlockChainConfig", CheckNewBlockChainConfigRequest(), CheckNewBlockChainConfigResponse
    ),
    199: lambda d: d.deliver(TxRequest()),
}
