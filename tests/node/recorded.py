"""The recorded answers of a real node, and answers of a running node in the same words, so that the two can be compared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import grpc
from google.protobuf import text_format

from changan.ledger.wire.messages import TxStatusCode

RECORD = Path(__file__).parent.parent / "vectors" / "chainmaker" / "recorded-requests.json"
_ANSWER = re.compile(
    r"(?P<code>\d+) (?P<name>[A-Z_]+) `(?P<message>.*?)`"
    r"(?:; cr (?P<cr>\d+) `(?P<text>.*)` result `(?P<result>.*)` gas \d+(?: events (?P<events>\d+))?)?"
)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\s*", re.DOTALL)
_TX_ID = re.compile(r"[0-9a-f]{64}")
_STATUS_NAMES = {number: name for name, number in vars(TxStatusCode).items()}


class Recorded(NamedTuple):
    """One row of the record: what was asked, and what came back at once and in the block."""

    row: int
    request: str
    call: str
    reply: str
    in_block: str


def read_record() -> list[Recorded]:
    rows = [Recorded(**item) for item in json.loads(RECORD.read_text(encoding="utf-8"))]
    return [row._replace(reply=_told(row.reply), in_block=_told(row.in_block.removeprefix("block: "))) for row in rows]


def _told(text: str) -> str:
    """A recorded answer without what is the node's own: gas, sizes, and records that are compared elsewhere."""
    text = re.sub(r" \(heights-tip0 (\[.*?\])\)", r" \1", text)
    text = re.sub(r"(DEADLINE_EXCEEDED) `.*`", r"\1", text)
    found = _ANSWER.fullmatch(text)
    if found is None:
        return text
    own = re.fullmatch(r"<\d+ bytes>|\{.*", found["result"] or "", re.DOTALL)
    return _answer(
        int(found["code"]),
        found["message"],
        found["cr"] and (int(found["cr"]), found["text"], "…" if own else found["result"], int(found["events"] or 0)),
    )


def _answer(code: int, message: str, result: tuple[int, str, str, int] | None) -> str:
    told = f"{code} {_STATUS_NAMES[code]} `{message}`"
    if result:
        told += "; cr {} `{}` result `{}` events {}".format(*result)
    return told


def alike(recorded: str, said: str) -> bool:
    """Whether two answers are the same, leaving out a result that the record only says to be there."""
    if "result `…`" in recorded:
        said = re.sub(r"result `.+`", "result `…`", said)
    return recorded == said


# What a running node says, in the same form


def shown(text: str) -> str:
    """Text with placeholders for what differs from one run to the next."""
    return _TX_ID.sub("<txid>", _PEM.sub("<PEM>", text)).replace("\n", "\\n")


def told_result(result) -> tuple[int, str, str, int]:
    """A ContractResult: code, message, result, number of events."""
    data = result.result
    text = shown(data.decode("utf-8", "backslashreplace"))
    return result.code, shown(result.message), text, len(result.contract_event)


def told_response(response) -> str:
    result = told_result(response.contract_result) if response.HasField("contract_result") else None
    return _answer(response.code, shown(response.message), result)


def told_transaction(transaction) -> str:
    """A transaction of a block with its outcome."""
    result = transaction.result
    return _answer(result.code, shown(result.message), told_result(result.contract_result))


def told_error(error: grpc.RpcError) -> str:
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return "gRPC DEADLINE_EXCEEDED"
    return f"gRPC {error.code().name} `{shown(error.details())}`"


def told_message(message) -> str:
    return f"`{shown(text_format.MessageToString(message))}`"
