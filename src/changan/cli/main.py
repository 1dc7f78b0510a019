"""`changan`: the commands, and how their errors are shown."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from changan import __version__
from changan.cli import audit, bench, cluster, contract, identity, look, membership, node
from changan.cli.chinese import translate
from changan.cli.language import is_chinese, say
from changan.errors import ChanganError


class _Commands(click.Group):
    """Shows an expected error as one line, and what to do next, never as a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ChanganError as error:
            _fail(str(error))
        except OSError as error:
            if error.filename is None:  # nothing that a user named
                raise
            remedy = say("see that it is there and that you may use it", "请确认它存在，并且您有权使用")
            _fail(f"{error.filename}: {error.strerror}; {remedy}")


def _fail(text: str) -> NoReturn:
    click.echo(f"{say('error', '错误')}: {text}", err=True)
    sys.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="changan")
def main() -> None:
    """A trusted-data platform: a ChainMaker-compatible ledger that one command starts, contracts in Python.

    长安：一条命令启动的可信数据平台，兼容长安链 SDK，合约用 Python 编写。

    \b
    Start here:
      changan up                                  start a chain on this machine
      changan contract check my_contract.py       see whether a contract is in the language
      changan contract call token transfer to=… amount=5
    """


for command in (
    node.up,
    contract.contract,
    identity.identity,
    look.status,
    look.block,
    look.tx,
    look.events,
    look.chain,
    look.reset,
    audit.receipt,
    audit.verify_receipt_,
    audit.verify,
    audit.export,
    audit.import_,
    bench.bench,
    cluster.cluster,
    cluster.engine,
):
    main.add_command(command)
for command in membership.COMMANDS:
    cluster.cluster.add_command(command)
if is_chinese():
    translate(main)


if __name__ == "__main__":
    main()
