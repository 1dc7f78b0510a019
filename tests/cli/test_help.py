"""The help teaches in the reader's language."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from changan.cli.chinese import TEXTS, plain
from changan.cli.main import main
from node_process import changan


def walk(command: click.Command, path: str = "changan"):
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from walk(below, f"{path} {name}")


COMMANDS = dict(walk(main))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_explained_in_both_languages(path):
    command = COMMANDS[path]
    texts = {path: plain((command.help or "").partition("\n\n")[0])}
    texts |= {p.opts[0]: p.help or "" for p in command.params if isinstance(p, click.Option)}
    missing = {name: text for name, text in texts.items() if text not in TEXTS}
    assert not missing


def test_no_text_is_left_over():
    used = {plain((command.help or "").partition("\n\n")[0]) for command in COMMANDS.values()}
    used |= {p.help for command in COMMANDS.values() for p in command.params if isinstance(p, click.Option)}
    assert set(TEXTS) - used == {"Show this message and exit."}


def test_by_locale():
    chinese = changan("up", "--help", env={"LC_ALL": "zh_CN.UTF-8"}).stdout
    assert "在本机启动一条链" in chinese
    assert "changan up --rpc-port 0" in chinese
    assert "Start a chain on this machine" in changan("up", "--help").stdout


def test_completion_of_the_shell():
    program = Path(sys.executable).with_name("changan")
    env = {**os.environ, "_CHANGAN_COMPLETE": "bash_source"}
    assert "complete -o" in subprocess.run([program], env=env, capture_output=True, text=True, check=False).stdout
