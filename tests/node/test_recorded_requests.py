"""Every request of the record, sent to a running node: the answers of the real node, or ours where the table says so."""

from __future__ import annotations

import pytest
from conformance_page import PAGE, page
from recorded import alike, read_record
from recorded_cases import CASES
from recorded_desk import Desk
from recorded_differences import DIFFERENCES, difference, expected

from changan.crypto.suite import SUITE_NAMES
from node_process import NodeProcess

RECORD = {row.row: row for row in read_record()}
BETWEEN = sorted(CASES.keys() - RECORD.keys())


@pytest.fixture(scope="module", params=list(SUITE_NAMES))
def answers(request, tmp_path_factory) -> dict[int, tuple[str, str]]:
    """The requests depend on each other, so they are all sent once, in order; to a chain of each suite."""
    node = NodeProcess(tmp_path_factory.mktemp("node") / "home", "--suite", request.param)
    desk = Desk(node)
    try:
        return {row: case(desk) for row, case in CASES.items()}
    finally:
        desk.close()
        assert node.stop() == 0, node.errors.read_text()[-2000:]


@pytest.mark.parametrize("row", RECORD)
def test_answer(answers, row):
    reply, in_block = expected(RECORD[row])
    said, said_in_block = answers[row]
    assert alike(reply, said), f"row {row}, {RECORD[row].request}\nexpected {reply}\nsaid     {said}"
    assert alike(in_block, said_in_block), (
        f"row {row}, {RECORD[row].request}\nexpected {in_block}\nsaid     {said_in_block}"
    )


@pytest.mark.parametrize("row", BETWEEN)
def test_what_is_done_between_the_recorded_requests(answers, row):
    assert answers[row][0] == "0 SUCCESS `OK`"
    assert answers[row][1].startswith("0 SUCCESS")


def test_a_difference_is_one():
    """A row that is the same by now must leave the table, so that the page tells no more differences than there are."""
    for row in RECORD.values():
        if difference(row) is not None:
            assert not all(map(alike, (row.reply, row.in_block), expected(row))), row


def test_every_request_of_the_record_is_sent():
    assert RECORD.keys() <= CASES.keys()
    assert DIFFERENCES.keys() <= RECORD.keys()
    assert len(RECORD) == 160


def test_the_page_is_the_one_made_from_the_tables():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/node/conformance_page.py"
