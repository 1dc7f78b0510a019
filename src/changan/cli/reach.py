"""How commands reach a node: the options that say which, a reader over its gRPC door, and its log on disk."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from changan.cli.language import say
from changan.cli.node import DEFAULT_HOME
from changan.client.connect import Connection, connect
from changan.client.passwords import ask_password, password_in
from changan.ledger.system import OWN, SystemContract
from changan.ledger.wire.messages import BlockWithRWSet, ChainInfo, TransactionInfo
from changan.node.store.blocklog import BlockLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from changan.client.passwords import Ask

_QUERY = SystemContract.CHAIN_QUERY.value


at_home = click.option(
    "--home", type=click.Path(path_type=Path), default=DEFAULT_HOME, show_default=True, help="The node's home."
)


password_file = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    default=None,
    help="The password of sealed keys, in a file.  [default: CHANGAN_PASSWORD, else it is asked for]",
)


def asking(file: Path | None) -> Ask:
    """Return what gives the password of sealed keys: a file's first line, else what the environment or the user says."""
    if file is None:
        return ask_password
    password = password_in(file)
    return lambda _: password


def where(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which node, chain and user."""
    options = [
        at_home,
        click.option(
            "--rpc", default=None, help="The node's gRPC address.  [default: where the home's node last answered]"
        ),
        click.option("--tls/--no-tls", default=None, help="TLS at that door.  [default: as the home's node has it]"),
        click.option("--chain", default="chain1", show_default=True, help="The chain."),
        click.option("--user", default="client1", show_default=True, help="The user of the home who signs."),
        click.option("--org", default="", help="The user's organisation.  [default: the first]"),
        password_file,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def open_log(home: Path, chain: str) -> BlockLog:
    """Open the log of a chain of a home, to read; its node may go on working."""
    directory = home / "chains" / chain / "log"
    if not directory.exists():
        text = say(f"{home} has no chain {chain}", f"{home} 中没有链 {chain}")
        raise click.ClickException(text)
    return BlockLog(directory, read_only=True)


gas_limit = click.option(
    "--gas-limit",
    type=click.IntRange(0),
    default=0,
    help="The most gas it may cost; a chain whose gas accounts are on asks for it.",
)


class Reached:
    """A node, and what commands ask of its past."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def info(self) -> ChainInfo:
        """Return the chain's height and nodes."""
        return ChainInfo.FromString(self.connection.query(_QUERY, "GET_CHAIN_INFO").result)

    def block(self, height: int) -> BlockWithRWSet:
        """Return a block. Raises CallError."""
        arguments = {"blockHeight": height}
        return BlockWithRWSet.FromString(self.connection.query(_QUERY, "GET_FULL_BLOCK_BY_HEIGHT", arguments).result)

    def receipt(self, tx_id: str, row: int | None) -> dict[str, Any]:
        """Return the receipt of a transaction, or of one row of a bundle. Raises CallError."""
        arguments: dict[str, object] = {"tx_id": tx_id} if row is None else {"tx_id": tx_id, "row": row}
        method = "RECEIPT" if row is None else "ROW_RECEIPT"
        found: dict[str, Any] = json.loads(self.connection.query(OWN, method, arguments).result)
        return found

    def find(self, tx_id: str) -> tuple[BlockWithRWSet, int]:
        """Return a transaction's block and place; `last` is the last one of the chain. Raises CallError."""
        if tx_id == "last":
            return self._last()
        answer = self.connection.query(_QUERY, "GET_TX_BY_TX_ID", {"txId": tx_id, "withRWSet": "false"})
        found = TransactionInfo.FromString(answer.result)
        return self.block(found.block_height), found.tx_index

    def last_id(self) -> str:
        """Return the id of the last transaction of the chain. Raises CallError."""
        stored, position = self._last()
        return stored.block.txs[position].payload.tx_id

    def _last(self) -> tuple[BlockWithRWSet, int]:
        stored = self.block(self.info().block_height)
        return stored, len(stored.block.txs) - 1


@contextlib.contextmanager
def reach(  # the options of `where`
    home: Path,
    rpc: str | None,
    chain: str,
    user: str,
    org: str,
    *,
    tls: bool | None,
    gas_limit: int = 0,
    password_file: Path | None = None,
) -> Iterator[Reached]:
    """Connect to a node for one command."""
    ask = asking(password_file)
    try:
        connection = connect(
            rpc, home=home, user=user, org_id=org, chain_id=chain, tls=tls, gas_limit=gas_limit, password=ask
        )
    except OSError as error:
        text = say(
            f"{home} holds no keys of {user} ({error.strerror}): name the node's --home",
            f"{home} 中没有 {user} 的密钥（{error.strerror}）：请用 --home 指定节点目录",
        )
        raise click.ClickException(text) from error
    with connection:
        yield Reached(connection)
