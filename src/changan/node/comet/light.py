"""Which block of the engine a node may trust that knows no more than its chain's genesis: one that enough voters voted for."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from changan.crypto.varints import varint
from changan.errors import MalformedError, UnverifiedError
from changan.ledger.agreement import Electorate, follow
from changan.ledger.wire.fields import field, prefixed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.ledger.roster import Roster, Voter
    from changan.ledger.wire.messages import ChainConfig

_COMMITTED = 2  # the flag of a vote for the block
_PRECOMMIT = 2
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


def voters_of(genesis: ChainConfig, links: object, height: int) -> Roster:
    """Return who votes once the ledger block at a height rests: those to whom the proofs of changes lead from the genesis.

    Raises MalformedError, UnverifiedError.
    """
    trust = follow(links, genesis.chain_id, height + 1, Electorate.of(genesis))
    if not isinstance(trust, Electorate) or trust.roster is None:
        raise UnverifiedError("one node orders this chain: there are no votes to trust")
    return trust.roster


def committed(roster: Roster, chain_id: str, height: int, answer: Mapping[str, Any]) -> bytes:
    """Return the hash of the engine's block at a height, for which more than two thirds of the voters voted.

    `answer` is what the engine's RPC says of its `commit`; the votes are CometBFT 0.38's CanonicalVote. Raises
    MalformedError, UnverifiedError.
    """
    try:
        commit = answer["signed_header"]["commit"]
        if int(commit["height"]) != height:
            raise MalformedError(f"the engine's commit is of height {int(commit['height'])}, not {height}")
        block_hash = bytes.fromhex(commit["block_id"]["hash"])
        parts = commit["block_id"]["parts"]
        part_set = b"".join((_varint_field(1, int(parts["total"])), *field(2, [bytes.fromhex(parts["hash"])])))
        block_id = b"".join((*field(1, [block_hash]), *field(2, [part_set])))
        round_, votes = (
            int(commit["round"]),
            [one for one in commit["signatures"] if one["block_id_flag"] == _COMMITTED],
        )
        agreed = {
            voter.address
            for vote in votes
            if (voter := roster.by_address.get(bytes.fromhex(vote["validator_address"]))) is not None
            and _holds(voter, vote["signature"], _canonical(height, round_, block_id, vote["timestamp"], chain_id))
        }
    except (KeyError, TypeError, ValueError, AttributeError, struct.error, binascii.Error, OverflowError) as error:
        raise MalformedError(f"the engine's commit does not decode: {error!r}") from error
    if not roster.is_quorum(len(agreed)):
        text = f"{len(agreed)} of {len(roster.voters)} voted for the engine's block {height}: that is no quorum"
        raise UnverifiedError(text)
    return block_hash


def _holds(voter: Voter, signature: str, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(voter.validator).verify(base64.b64decode(signature), signed)
    except InvalidSignature:
        return False
    return True


def _canonical(height: int, round_: int, block_id: bytes, time: str, chain_id: str) -> bytes:
    """Return what a vote signs: CanonicalVote behind its length. Of fixed numbers 0 is left out, as proto3 does."""
    found = _TIME.fullmatch(time)
    if found is None:
        raise MalformedError("a vote's time does not decode")
    seconds = int(datetime.fromisoformat(f"{found[1]}+00:00").timestamp())
    nanos = int((found[2] or "").ljust(9, "0"))
    body = _varint_field(1, _PRECOMMIT) + b"\x11" + struct.pack("<q", height)
    if round_:
        body += b"\x19" + struct.pack("<q", round_)
    stamp = _varint_field(1, seconds) + _varint_field(2, nanos)
    return prefixed(body + b"".join((*field(4, [block_id]), *field(5, [stamp]), *field(6, [chain_id.encode()]))))


def _varint_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value) if value else b""
