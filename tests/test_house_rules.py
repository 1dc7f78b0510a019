"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from changan import contract

ROOT = Path(__file__).parent.parent
LINES_MAX = 400
LONGER = {  # file: why it is one sitting all the same
    "tests/node/comet/test_cluster.py": "one cluster of four organisations is started once for all tests of the file",
    "tests/node/comet/test_application.py": "one model of four nodes is read by all tests of the file",
    "tests/ledger/test_gas_accounts.py": "one chain with gas on is read by all tests of the file",
    "tests/ledger/test_chain_config.py": "a table: one change of the configuration a row, with its refusals",
    "tests/contract/test_compiled.py": "one set of small contracts is read by all tests of the file",
    "tests/contract/contract_generator.py": "one grammar: the branches of a program generator call one another",
    "src/changan/contract/machine.py": "the machine's operations share its undo log and meter; split, each half would reach into the other",
    "tests/contract/test_check.py": "a table: one refused program a row, for every syntax node and field",
    "tests/contract/test_meaning.py": "a table: one operation of the language a row, with its edges",
    "tests/contract/test_state.py": "one contract is read by all tests of the file",
    "tests/contract/test_inner_calls.py": "one set of calling contracts is read by all tests of the file",
    "tests/node/store/test_blocklog.py": "one model of a log on disk is read by all tests of the file",
}
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "common", "misc", "base", "core"}
FILES = sorted(
    path.relative_to(ROOT) for folder in ("src", "tests", "bench", "tools") for path in (ROOT / folder).rglob("*.py")
)


def lines(path: Path) -> int:
    return (ROOT / path).read_text(encoding="utf-8").count("\n")


def test_files_are_short_or_say_why_not():
    long = {str(path) for path in FILES if lines(path) > LINES_MAX}
    assert long - set(LONGER) == set(), "split these, or say here why not"
    assert set(LONGER) - long == set(), "these are short now: take them off the list"


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "src"], ids=str)
def test_every_module_says_in_one_sentence_what_lives_there(path):
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    first = (ast.get_docstring(module) or "").splitlines()[0]
    assert first.endswith((".", "?")) or ":" in first
    assert path.stem not in FORBIDDEN_NAMES


def test_nothing_speaks_of_the_machine_it_was_written_on():
    pattern = re.compile(r"(?<![\w.])/(?:work|root)/|pypi\.org|files\.pythonhosted|registry\.npmjs|proxy\.golang")
    suffixes = {".py", ".md", ".toml", ".txt", ".yml", ".proto", ".json", ""}
    skipped = {".git", ".venv", "_build", "vectors"}
    found = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*")
        if path.is_file()
        and path.suffix in suffixes
        and not skipped & set(path.relative_to(ROOT).parts)
        and not any(part.startswith(".") and part not in {".ci", ".gitignore"} for part in path.relative_to(ROOT).parts)
        and path != Path(__file__)
        and path.stat().st_size < 1 << 20
        and pattern.search(path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert found == []


def test_no_module_hides_a_word_of_the_contract_language():
    words = {word.lower() for word in contract.__all__}
    assert {path.stem for path in FILES if path.parent == Path("src/changan/contract")} & words == set()
