"""What a real node with keys as members answered to each recorded request, and what this ledger does with the same."""

from __future__ import annotations

import re

import pytest
from recorded_keys import KEYS, PUBLIC, Bench, Recorded, read_record

from changan.contract.instance import BlockContext
from changan.crypto.suite import Suite
from changan.ledger.admission import RefusedError, authenticate, check_form
from changan.ledger.chain_config import Mode
from changan.ledger.execution import Execution
from changan.ledger.wire.messages import TxType

ELSEWHERE = {
    "EVM and WebAssembly": ["A86", "A87", "A88", "A89", "A91", "A92", "B26", "B27", "B28", "B29", "B31", "B32", "B33"],
    "a hole, closed here (test_key_members)": ["A27", "A28", "A29", "B53", "B54", "A61"],
    "a row before it was left out of the record": ["A71", "A111"],
    "a panic of the real node, or its reply did not decode": ["B18", "B89"],
    "this chain hashes with the same function (test_key_members)": ["B17"],
    "test_multi_sign, test_archive_node": ["B82", "B81"],
}
_ANSWER = re.compile(r"(\d+) [A-Z_]+ `(.*?)`(?:; cr (\d+) `(.*)` result `(.*)` gas \d+.*)?", re.DOTALL)


def parts(text: str) -> tuple[int, str, int, str]:
    found = _ANSWER.fullmatch(text.removeprefix("block: "))
    assert found is not None, text
    return int(found[1]), found[2], int(found[3] or 0), found[4] or ""


def shown(text: str) -> str:
    text = re.sub(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\s*", "<PEM>", text, flags=re.DOTALL)
    text = re.sub(r"-----BEGIN.*?-----END [A-Z ]+-----\s*", "<PK-PEM>", text, flags=re.DOTALL)
    return re.sub("[0-9a-f]{64}", "<txid>", text).replace("\n", "\\n")


class Asker:
    def __init__(self, mode: Mode, suite: Suite) -> None:
        self.bench = Bench(mode, suite)

    def said(self, row: Recorded, sent) -> tuple[int, str, int, str]:
        """Code and message, code and message of the contract."""
        ledger = self.bench.ledger
        query = "`SUCCESS`; cr" in row.reply or "txType[QUERY_CONTRACT]" in row.reply
        kind = TxType.ARCHIVE if row.call.startswith("ARCHIVE") else TxType.QUERY_CONTRACT if query else 0
        contract, method = row.call.split(".")
        request = ledger.request(
            contract, method, sent.parameters, sender=sent.sender, endorsers=list(sent.endorsers), tx_type=kind
        )
        if sent.spoil is not None:
            request.sender.signature = sent.spoil(request.sender.signature)
        world, time = ledger.world, ledger.time_us // 1_000_000
        try:
            check_form(request)
            verdict = authenticate(request, world.members, world.policies, time, world.epoch)
        except RefusedError as error:
            return error.code, shown(error.message), 0, ""
        if contract in {"CHAIN_QUERY", "ARCHIVE_MANAGE"}:
            return 0, "SUCCESS", 0, "OK"
        if query:
            executed = Execution(world, BlockContext(world.height + 1, time)).query(request, verdict)
            return executed.code, "", executed.result.code, shown(executed.result.message)
        result = ledger.seal(request).block.txs[0].result
        return result.code, shown(result.message), result.contract_result.code, shown(result.contract_result.message)


def expected(row: Recorded) -> tuple[int, str, int, str]:
    return parts(row.in_block or row.reply)


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize(("mode", "table", "cases"), [(Mode.KEYS, "A", KEYS), (Mode.PUBLIC, "B", PUBLIC)])
def test_every_recorded_request(mode, table, cases, suite):
    asker = Asker(mode, suite)
    elsewhere = {row for rows in ELSEWHERE.values() for row in rows}
    different = []
    for row in read_record(table):
        if row.row in elsewhere or "." in row.row:
            continue
        wanted, said = expected(row), asker.said(row, cases[row.row](asker.bench))
        alike = (said[0], said[2]) == (wanted[0], wanted[2])
        if wanted[2] == 0 and wanted[0] == 0:
            alike = alike and said[0] == 0  # what is told of a success is compared elsewhere
        elif wanted[2]:
            alike = alike and said[3] == wanted[3]
        else:
            alike = alike and said[1].startswith(wanted[1])
        if not alike:
            different.append((row.row, row.request, wanted, said))
    assert different == []
