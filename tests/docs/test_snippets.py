"""What the README and the tutorials show is run, against a node of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    "README.md",
    "README.zh.md",
    "docs/tutorial-sdk.md",
    "docs/tutorial-contract.md",
    "docs/bundles.md",
    "docs/tables.md",
    "docs/operations.md",
]
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SKIPPED = ("make run", "make test", "export PATH")  # these are run by whoever runs this


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_of_a_page_runs_in_order(page, node, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    python = ""
    ran = 0
    for kind, body in _BLOCK.findall(text):
        made = body.replace("127.0.0.1:12301", node.rpc).replace("changan-home", str(node.home))
        if kind == "python":
            python += made  # a page is one session
            run([sys.executable, "-W", "ignore", "-c", python], tmp_path)
            ran += 1
            continue
        for line in made.splitlines():
            if line.startswith(_SKIPPED):
                continue
            needs_node = line.startswith(
                ("changan contract deploy", "changan contract call", "changan contract query", "changan receipt")
            )
            where = f" --home {node.home} --rpc {node.rpc}" if needs_node else ""
            run(["bash", "-c", line + where], tmp_path)
            ran += 1
    assert ran >= 1


def run(command: list[str], directory: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr[-3000:]}"
