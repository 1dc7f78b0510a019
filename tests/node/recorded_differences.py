"""Where this node answers otherwise than the recorded one: the answer, in the record's words, and why it is ours."""

from __future__ import annotations

from typing import NamedTuple

from recorded import Recorded

PANIC = "the real node panics"
OWN_WORDS = "Python contract: the code is the same, the words are ours"
_REFUSED = "authentication failed, [refine endorsements failed, all endorsers have failed verification]"
_NO_METHOD = "contract invoke failed, find method [{}] failed, err = the contract has no such method, tx: <txid>"
_NOT_PYTHON = (
    "contract initial fail, the bytes are not a Python contract: this node runs contracts written in Python "
    "(see `changan contract check FILE`)"
)
_PARAMETERS = "save takes file_hash: Bytes[32], file_name: Text[256], time: U64"


class Difference(NamedTuple):
    """What is said here instead; None: the same as recorded."""

    why: str
    reply: str | None = None
    in_block: str | None = None


def _failed(text: str) -> str:
    return f"4 CONTRACT_FAIL ``; cr 1 `{text}` result `` events 0"


def _failed_query(contract: str, method: str, text: str) -> str:
    place = f"txStatusCode:4, resultCode:1, contractName[{contract}] method[{method}] txType[QUERY_CONTRACT]"
    return f"4 CONTRACT_FAIL `{place}, {text}`; cr 1 `{text}` result `` events 0"


SIZE_OF_THE_CHAIN = frozenset({184, 186, 187})
"""Streams whose number of messages is that of this chain: all there are, counted another way."""

DIFFERENCES: dict[int, Difference] = {
    28: Difference(PANIC, reply="5 INTERNAL_ERROR `tx verify failed, failed to decode sign cert, rest not nil`"),
    29: Difference(
        "the real node puts the raw hash into its text, which is no UTF-8 then; here it is in hex",
        reply=(
            "5 INTERNAL_ERROR `tx verify failed, verify tx authentation failed, [verifyTxTypePrincipal]authentication error: "
            f"{_REFUSED}, txId:<txid>, sender:<txid>, endorsers-len:0,\\nendorsers:\\n`"
        ),
    ),
    38: Difference(PANIC, reply="5 INTERNAL_ERROR `tx verify failed, the request has no sender`"),
    48: Difference(OWN_WORDS, in_block=_failed(_NO_METHOD.format(""))),
    49: Difference(OWN_WORDS, reply=_failed_query("fact1", "", _NO_METHOD.format(""))),
    52: Difference(OWN_WORDS, in_block=_failed(_NO_METHOD.format("nosuch"))),
    53: Difference(OWN_WORDS, reply=_failed_query("fact1", "nosuch", _NO_METHOD.format("nosuch"))),
    57: Difference(OWN_WORDS, in_block=_failed(f"bad argument: time is missing: {_PARAMETERS}")),
    62: Difference(OWN_WORDS, in_block=_failed(_NO_METHOD.format("61c09bf7"))),
    63: Difference(OWN_WORDS, reply=_failed_query("fact1", "61c09bf7", _NO_METHOD.format("61c09bf7"))),
    64: Difference(OWN_WORDS, in_block=_failed(f"bad argument: file_hash is missing: {_PARAMETERS}")),
    67: Difference(
        OWN_WORDS,
        in_block=_failed(
            f"bad argument: save has no parameter '{'k' * 200}'; its parameters are file_hash, file_name, time"
        ),
    ),
    94: Difference(
        "the real node accepts the request and loses it; an accepted request must come to rest, so it is refused",
        reply=("4 CONTRACT_FAIL `CHAIN_QUERY-GET_CHAIN_INFO reads the chain's past: send it as a query, tx: <txid>`"),
        in_block="",
    ),
    96: Difference(PANIC, reply=_failed_query("CHAIN_CONFIG", "GET_CHAIN_CONFIG_AT", "no such block, chainId:chain1")),
    112: Difference(OWN_WORDS, in_block=_failed(_NOT_PYTHON)),
    113: Difference(OWN_WORDS, in_block=_failed(_NOT_PYTHON)),
    199: Difference(PANIC, reply="5 INTERNAL_ERROR `get chain conf failed, chain id  not found`"),
}


def difference(row: Recorded) -> Difference | None:
    if row.row in SIZE_OF_THE_CHAIN:
        return Difference("as many as this chain has", reply="all messages, then stream ended OK")
    return DIFFERENCES.get(row.row)


def expected(row: Recorded) -> tuple[str, str]:
    """What this node should say, at once and in the block."""
    found = difference(row)
    if found is None:
        return row.reply, row.in_block
    reply = row.reply if found.reply is None else found.reply
    return reply, row.in_block if found.in_block is None else found.in_block
