"""What administrators of several organisations decide together on the chain: a vote cast, and carried out when enough agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changan.cli.language import say
from changan.errors import ChanganError
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import (
    MultiSignInfo,
    MultiSignStatus,
    MultiSignVoteInfo,
    TransactionInfo,
    VoteStatus,
)

if TYPE_CHECKING:
    from changan.client.connect import Connection
    from changan.ledger.wire.messages import Member

_NAME = SystemContract.MULTI_SIGN.value


class BallotError(ChanganError):
    """A proposal that is not there, or that failed when it was carried out."""


def cast(connection: Connection, tx_id: str, *, agree: bool) -> str:
    """Vote on a proposal that is open, carry it out if that can be done, and say how it stands. Raises BallotError."""
    info = _find(connection, tx_id)
    if info.status == MultiSignStatus.PROCESSING:
        side = VoteStatus.AGREE if agree else VoteStatus.REJECT
        ballot = MultiSignVoteInfo(vote=side, endorsement=connection.signer.endorse(info.payload))
        connection.invoke(_NAME, "VOTE", {"TX_ID": tx_id, "VOTE_INFO": ballot.SerializeToString()})
    return decide(connection, tx_id)


def decide(connection: Connection, tx_id: str) -> str:
    """Carry out a proposal that has enough votes, if this member proposed it, and say how it stands. Raises BallotError."""
    info = _find(connection, tx_id)
    mine = connection.signer.member
    if info.status == MultiSignStatus.PASSED and _proposed_by(connection, tx_id) == mine:
        connection.invoke(_NAME, "TRIG", {"TX_ID": tx_id})
        info = _find(connection, tx_id)
    match info.status:
        case MultiSignStatus.ADOPTED:
            return say(f"{info.method} is in force", f"{info.method} 已生效")
        case MultiSignStatus.FAILED:
            raise BallotError(f"{info.method} was agreed on, and cannot be: {info.message}")
        case MultiSignStatus.REFUSED:
            return say(f"{info.method} was rejected", f"{info.method} 已被否决")
        case MultiSignStatus.PASSED:
            return say(
                f"enough agree: who proposed it carries it out, with `changan cluster vote {tx_id} --home …`",
                f"同意数已够：由提出者执行 `changan cluster vote {tx_id} --home …`",
            )
        case _:
            count = len(info.vote_infos)
            return say(
                f"{count} voted, more must: each administrator, `changan cluster vote {tx_id} --home …`",
                f"已有 {count} 票，尚不足：请其他管理员执行 `changan cluster vote {tx_id} --home …`",
            )


def _find(connection: Connection, tx_id: str) -> MultiSignInfo:
    found = connection.query(_NAME, "QUERY", {"TX_ID": tx_id}).result
    if not found:
        raise BallotError(f"nothing was proposed by transaction {tx_id}")
    return MultiSignInfo.FromString(found)


def _proposed_by(connection: Connection, tx_id: str) -> Member:
    answer = connection.query(SystemContract.CHAIN_QUERY.value, "GET_TX_BY_TX_ID", {"txId": tx_id})
    return TransactionInfo.FromString(answer.result).transaction.sender.signer
