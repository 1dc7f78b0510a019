"""`changan cluster join`, `admit`, `promote`, `remove`, `announce` and `vote`: how nodes come, change and go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from changan.cli.ballot import cast, decide
from changan.cli.language import say
from changan.cli.reach import asking, password_file, reach
from changan.cli.step import Step, sending
from changan.ledger.roster import PREFIX, roster_of
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import ChainConfig
from changan.node.comet.cluster import ClusterError, engine_home, read_node_file
from changan.node.comet.joining import ADMISSION_FILE, FOLLOWER, Admission, Wanted, join_chain
from changan.node.home import Home
from changan.node.pki.layout import read_crypto_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from changan.ledger.roster import Roster

_CONFIG = SystemContract.CHAIN_CONFIG.value
_PORT = click.IntRange(0, 65000)
_ADMINISTRATOR = "admin1"


def _member(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that a member's administrator gives."""
    home = click.option("--home", type=click.Path(path_type=Path), required=True, help="One node's home, DIR/ORG.")
    return home(password_file(sending(function)))


@click.command()
@click.option(
    "--of",
    "member",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A member's home.",
)
@click.option("--home", type=click.Path(path_type=Path), required=True, help="The new node's home.")
@click.option("--org", "org_id", required=True, help="Whose node it is: a new organisation, or one that is known.")
@click.option("--name", default=f"{FOLLOWER}1", show_default=True, help="The name of a further node.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--rpc-port", type=_PORT, default=0, help="gRPC; 0 for any.")
@click.option("--http-port", type=_PORT, default=0, help="HTTP; 0 for any.")
@click.option("--p2p-port", type=_PORT, default=0, help="The first engine's; 0 for any.")
@password_file
def join(member: Path, home: Path, password_file: Path | None, **wanted: Any) -> None:
    """Make the home of one more node of a running chain: a new organisation's, or a further one of an organisation.

    \b
    Examples:
      changan cluster join --of DIR/ORG1 --home DIR/ORG5 --org ORG5
      changan cluster join --of DIR/ORG1 --home DIR/second --org ORG1 --name common1
      changan cluster join --of ORG1 --home ORG5 --org ORG5 --host e.example --rpc-port 12301 --http-port 8080 --p2p-port 11301
    """
    admission = join_chain(member.resolve(), home.resolve(), Wanted(**wanted), asking(password_file))
    click.echo(f"{home.resolve()}  {admission.node.org_id}  {admission.node.node_id}")
    for line in _what_next(member, home, admission):
        click.echo(line)


def _what_next(member: Path, home: Path, admission: Admission) -> list[str]:
    file, node_id = home / ADMISSION_FILE, admission.node.node_id
    behind = [c.chain_id for c in Home(home).settings().chains if engine_home(home, c.chain_id).first_height > 1]
    return [
        say(
            f"a member proposes it: changan cluster admit {file} --home {member} --send",
            f"由成员提出：changan cluster admit {file} --home {member} --send",
        ),
        *(
            say(
                f"the engine began anew: bring {chain} along (changan export, then changan import --home {home})",
                f"排序引擎已重新开始：请带上 {chain}（先 changan export，再 changan import --home {home}）",
            )
            for chain in behind
        ),
        say(
            f"then it follows: changan cluster node --home {home}", f"随后开始跟随：changan cluster node --home {home}"
        ),
        say(
            f"when it is level it gets a vote: changan cluster promote {node_id} --home {member} --send",
            f"追平后获得投票权：changan cluster promote {node_id} --home {member} --send",
        ),
    ]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_member
def admit(file: Path, **options: Any) -> None:
    """Propose that the node of FILE, which `join` wrote, may connect and follow, and its organisation with it."""
    admission = Admission.read(file)
    node, entry = admission.node, admission.node.entry()
    config = _config(**options)
    if node.org_id not in {root.org_id for root in config.trust_roots}:
        _propose("TRUST_ROOT_ADD", {"org_id": node.org_id, "root": admission.root}, **options)
    _propose("CONSENSUS_EXT_ADD", {entry.key: entry.value}, **options)


@click.command()
@click.argument("node_id")
@_member
def promote(node_id: str, **options: Any) -> None:
    """Give the node NODE_ID, which follows, its organisation's vote. In another node's place its own administrator does it."""
    roster = _roster(**options)
    node = next((one for one in roster.followers if one.node_id == node_id), None)
    if node is None:
        votes = any(one.node_id == node_id for one in roster.voters)
        raise ClusterError(
            f"{node_id} votes already"
            if votes
            else f"the chain knows no node {node_id}: `changan cluster admit` it first"
        )
    before = roster.by_organisation.get(node.org_id)
    if before is None:
        _propose("NODE_ORG_ADD", {"org_id": node.org_id, "node_ids": node_id}, **options)
        return
    names = {"org_id": node.org_id, "node_id": before.node_id, "new_node_id": node_id}
    Step(_CONFIG, "NODE_ID_UPDATE", names, node.org_id).take(**options)


@click.command()
@click.argument("org_id", default="")
@click.option("--forget", is_flag=True, help="Also its nodes, which may not connect any more, and its members.")
@_member
def remove(org_id: str, *, forget: bool, **options: Any) -> None:
    """Propose that ORG_ID has no vote any more; its nodes go on following. Without ORG_ID: those proven to misbehave."""
    roster = _roster(**options)
    for one in [org_id] if org_id else _proven(roster, **options):
        _remove(one, roster, forget=forget, **options)


def _proven(roster: Roster, **options: Any) -> list[str]:
    """Return the organisations whose voting nodes broke the rules of agreement, as blocks record it."""
    org_id = read_node_file(options["home"]).org_id
    with reach(**_at(org_id, **options)) as node:
        ordering = node.connection.web.get("/v1/ordering", timeout=10).raise_for_status().json()
    voting = {voter.node_id: voter.org_id for voter in roster.voters}
    faults = [one["node_id"] for one in ordering[options["chain"]]["faults"]]
    proven = sorted({voting[node_id] for node_id in faults if node_id in voting})
    if not proven:
        raise ClusterError("no block holds evidence against a node that votes: name the organisation")
    return proven


def _remove(org_id: str, roster: Roster, *, forget: bool, **options: Any) -> None:
    if org_id in roster.by_organisation:
        left = len(roster.voters) - 1
        click.echo(
            say(
                f"{left} will vote; up to {max(left - 1, 0) // 3} of them may be down or lie",
                f"之后由 {left} 个组织投票；至多 {max(left - 1, 0) // 3} 个可以故障或作恶",
            )
        )
        _propose("NODE_ORG_DELETE", {"org_id": org_id}, **options)
    elif not forget:
        raise ClusterError(f"{org_id} has no vote; with --forget its nodes and members go too")
    if forget:
        for node in roster.nodes:
            if node.org_id == org_id:
                _propose("CONSENSUS_EXT_DELETE", {f"{PREFIX}{node.node_id}": ""}, **options)
        _propose("TRUST_ROOT_DELETE", {"org_id": org_id}, **options)


@click.command()
@_member
def announce(**options: Any) -> None:
    """Propose that the node of this home seals with the certificate that lies there now, after `identity renew`."""
    file = read_node_file(options["home"])
    known = _roster(**options).peers.get(file.peer)
    if known is None:
        raise ClusterError(
            f"the chain knows no node with the connections of {options['home']}: `changan cluster admit` it first"
        )
    own = next(one for one in read_crypto_config(options["home"]).organisations if one.org_id == file.org_id)
    entry = known._replace(certificate=own.node().sign_certificate.read_bytes()).entry()
    _propose("CONSENSUS_EXT_UPDATE", {entry.key: entry.value}, **options)


@click.command()
@click.argument("tx_id")
@click.option("--against", is_flag=True, help="Reject it.")
@_member
def vote(tx_id: str, *, against: bool, **options: Any) -> None:
    """Vote on what was proposed by transaction TX_ID, as admin1; who proposed it carries it out when enough agree."""
    org_id = read_node_file(options["home"]).org_id
    with reach(**_at(org_id, **options)) as node:
        click.echo(cast(node.connection, tx_id, agree=not against))


def _propose(method: str, parameters: dict[str, str], *, send: bool, **options: Any) -> None:
    """Propose a change of the configuration to the administrators, those of this home agreeing; or say how."""
    org_id = read_node_file(options["home"]).org_id
    asked: dict[str, str | Path] = {"SYS_CONTRACT_NAME": _CONFIG, "SYS_METHOD": method, **parameters}
    if not send:
        Step(SystemContract.MULTI_SIGN.value, "REQ", asked, org_id).take(send=False, **options)
        return
    with reach(**_at(org_id, **options)) as node:
        answer = node.connection.invoke(SystemContract.MULTI_SIGN.value, "REQ", asked, endorsed=True)
        click.echo(f"{method}  tx {answer.tx_id}  {say('block', '区块')} {answer.height}")
        click.echo(f"  {decide(node.connection, answer.tx_id)}")


def _roster(**options: Any) -> Roster:
    return roster_of(_config(**options))


def _config(**options: Any) -> ChainConfig:
    org_id = read_node_file(options["home"]).org_id
    with reach(**_at(org_id, **options)) as node:
        return ChainConfig.FromString(node.connection.query(_CONFIG, "GET_CHAIN_CONFIG").result)


def _at(org_id: str, *, home: Path, **options: Any) -> dict[str, Any]:
    """Return how a member's administrator reaches its node."""
    kept = {name: options[name] for name in ("rpc", "chain", "tls", "password_file")}
    return {"home": home, "user": _ADMINISTRATOR, "org": org_id, **kept}


COMMANDS = (join, admit, promote, remove, announce, vote)
