"""What a chain must be told after a change on disk: shown as a command, or with --send done at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from changan.cli.language import say
from changan.cli.reach import reach
from changan.errors import ChanganError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ADMINISTRATOR = "admin1"


def sending(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands after which a chain must be told."""
    for option in (
        click.option("--chain", default="chain1", show_default=True, help="The chain."),
        click.option("--tls/--no-tls", default=None, help="TLS at that door.  [default: as the home's node has it]"),
        click.option(
            "--rpc", default=None, help="The node's gRPC address.  [default: where the home's node last answered]"
        ),
        click.option("--send", is_flag=True, help="Tell the chain too, as admin1 of the organisation."),
    ):
        function = option(function)
    return function


class Step(NamedTuple):
    """A call that an administrator of an organisation sends; a parameter is text, or the file that holds it."""

    contract: str
    method: str
    parameters: Mapping[str, str | Path]
    org_id: str

    def take(
        self,
        *,
        send: bool,
        home: Path,
        rpc: str | None,
        tls: bool | None,
        chain: str,
        password_file: Path | None,
        **_: object,
    ) -> None:
        """Send it, or say how. Raises CallError, UnreachableError; then too it says how."""
        if not send:
            self._say(home)
            return
        values = {
            name: value.read_bytes() if isinstance(value, Path) else value for name, value in self.parameters.items()
        }
        try:
            with reach(home, rpc, chain, _ADMINISTRATOR, self.org_id, tls=tls, password_file=password_file) as node:
                answer = node.connection.invoke(self.contract, self.method, values)
        except (ChanganError, click.ClickException):
            self._say(home)
            raise
        click.echo(f"{self.contract} {self.method}  tx {answer.tx_id}  {say('block', '区块')} {answer.height}")

    def _say(self, home: Path) -> None:
        given = " ".join(
            f'"{name}=$(cat {shlex.quote(str(value))})"' if isinstance(value, Path) else shlex.quote(f"{name}={value}")
            for name, value in self.parameters.items()
        )
        who = f"--user {_ADMINISTRATOR} --home {shlex.quote(str(home))}" + (
            f" --org {self.org_id}" if self.org_id else ""
        )
        click.echo(say("the chain does not know yet; tell it:", "链尚不知道此变更，请执行："))
        click.echo(f"changan contract call {self.contract} {self.method} {given} {who}")
