"""MULTI_SIGN: a call of a system contract is proposed, voted on, and run once enough agree.

Source: ChainMaker 2.3.7, vm-native/v2/multisign, and its recorded answers. With `enable_manual_run` who proposed it
triggers it; without, the deciding vote runs it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from changan.errors import UnverifiedError
from changan.ledger.contracts import find_standing, stopped
from changan.ledger.native.call import LimitPassedError, NativeCall, NativeError
from changan.ledger.policy import DeniedError
from changan.ledger.rules import Rule
from changan.ledger.state import Overlay
from changan.ledger.system import SystemContract
from changan.ledger.wire.messages import (
    KeyValuePair,
    MultiSignInfo,
    MultiSignStatus,
    MultiSignVoteInfo,
    Payload,
    VoteStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from changan.ledger.members import Identity
    from changan.ledger.native.call import Method
    from changan.ledger.wire.messages import EndorsementEntry

    Lookup = Callable[[str, str], Method]

_NAME = SystemContract.MULTI_SIGN.value
_SUPPORTED = frozenset(
    {
        SystemContract.CONTRACT_MANAGE,
        SystemContract.CHAIN_CONFIG,
        SystemContract.CERT_MANAGE,
        SystemContract.ACCOUNT_MANAGER,
    }
)
_CONTRACT, _METHOD = "SYS_CONTRACT_NAME", "SYS_METHOD"
_SENDER = "sender "
"""Before a transaction's id: the row of who proposed it. No id holds a space."""
_TX_ID = re.compile(r"\S{1,64}")
VOTES_MAX = 1000
_NOBODY = "refine endorsements failed, all endorsers have failed verification"


def methods(lookup: Lookup) -> dict[str, Method]:
    """Return the methods of MULTI_SIGN; `lookup` finds the method of another system contract that is to run."""
    made = _MultiSign(lookup)
    return {"REQ": made.request, "VOTE": made.vote, "TRIG": made.trigger, "QUERY": _query}


class _MultiSign:
    """The methods that may run what was proposed."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def request(self, call: NativeCall) -> bytes:
        """REQ: propose a call; the endorsers of the request have agreed with it."""
        info = _proposed(call)
        for entry in call.endorsers:
            voter = _voter(call, info, entry)
            if voter is not None and _rule(call, info).admits(voter) and not _has_voted(call, info, voter):
                info.vote_infos.append(MultiSignVoteInfo(vote=VoteStatus.AGREE, endorsement=entry))
        tx_id = call.payload.tx_id
        call.overlay.put(_NAME, _SENDER + tx_id, call.member.SerializeToString())
        done = self._go_on(call, tx_id, info)
        return tx_id.encode() if _manual(call) else done

    def vote(self, call: NativeCall) -> bytes:
        """VOTE: agree or reject, with a signature over the proposed payload."""
        tx_id, info, ballot = _ballot(call)
        voter = _voter(call, info, ballot.endorsement)
        if voter is None:
            text = f"authentication fail, not a member on this chain: [{_NOBODY}]"
            raise NativeError(f"checkVoteValid failed, err = {text}")
        if _has_voted(call, info, voter):
            raise NativeError(f"the signer[org:{voter.uid}] is voted")
        if not _rule(call, info).admits(voter):
            raise NativeError(f"checkVoteValid failed, err = {_invalid(ballot)}")
        if len(info.vote_infos) >= VOTES_MAX:
            raise NativeError(f"the multi sign[{tx_id}] has {VOTES_MAX} votes, more are not taken")
        info.vote_infos.append(ballot)
        return self._go_on(call, tx_id, info)

    def trigger(self, call: NativeCall) -> bytes:
        """TRIG: run what was agreed, by who proposed it."""
        if not _manual(call):
            raise NativeError("MultiSign::Execute() failed. reason: enable_manual_run == false")
        tx_id = call.text("TX_ID")
        info = _find(call, tx_id)
        if info is None:
            raise NativeError(f"not found multiSignInfo, txId = {tx_id}, err = not found tx id[{tx_id}]")
        if info.status != MultiSignStatus.PASSED:
            raise NativeError("the status of multiSignInfo is not `PASSED`")
        if call.overlay.get(_NAME, _SENDER + tx_id) != call.member.SerializeToString():
            raise NativeError("trig sender must be same with req sender")
        done = _run(call, info, self._lookup)
        _save(call, tx_id, info)
        return done

    def _go_on(self, call: NativeCall, tx_id: str, info: MultiSignInfo) -> bytes:
        """Count the votes; run what has enough of them, unless it is to be triggered."""
        _decide(call, info)
        done = b"OK"
        if info.status == MultiSignStatus.PASSED and not _manual(call):
            done = _run(call, info, self._lookup)
        _save(call, tx_id, info)
        return done


def _manual(call: NativeCall) -> bool:
    return call.world.config.vm.native.multisign.enable_manual_run


def _mode(call: NativeCall) -> str:
    return "manual_run" if _manual(call) else "no_manual_run"


def _proposed(call: NativeCall) -> MultiSignInfo:
    contract, method = call.text(_CONTRACT), call.text(_METHOD)
    if not contract.strip() or not method.strip():
        text = f"multi req({_mode(call)}) params verify fail. sysContractName/sysMethod cannot be empty"
        raise NativeError(text)
    if contract not in _SUPPORTED:
        raise NativeError(f"multi sign not support {contract}, only support CONTRACT_MANAGE")
    rule = call.world.policies.rules.get(f"{contract}-{method}")
    if rule is None or rule.rule == "FORBIDDEN":
        raise NativeError(f"this resource[{contract}-{method}] doesn't support to online multi sign")
    if rule.rule == "SELF":
        text = f"this resource[{contract}-{method}] is the self rule and doesn't support to online multi sign"
        raise NativeError(text)
    return MultiSignInfo(payload=call.payload, contract_name=contract, method=method)


def _find(call: NativeCall, tx_id: str) -> MultiSignInfo | None:
    if _TX_ID.fullmatch(tx_id) is None:
        return None
    found = call.overlay.get(_NAME, tx_id)
    return None if found is None else MultiSignInfo.FromString(found)


def _save(call: NativeCall, tx_id: str, info: MultiSignInfo) -> None:
    call.overlay.put(_NAME, tx_id, info.SerializeToString())


# Votes


def _ballot(call: NativeCall) -> tuple[str, MultiSignInfo, MultiSignVoteInfo]:
    """Return what is voted on, and the vote. Raises NativeError, in the order in which ChainMaker looks."""
    tx_id, data = call.text("TX_ID"), call.parameters.get("VOTE_INFO", b"")
    if not tx_id.strip() or not data:
        raise NativeError(f"multi sign vote({_mode(call)}) params verify fail. voteInfo/txId cannot be empty")
    info = _find(call, tx_id)
    if info is None:
        raise NativeError(f"not found tx id[{tx_id}]")
    open_ = info.status == MultiSignStatus.PROCESSING
    if not open_ and _manual(call):
        raise NativeError("the status of multiSignInfo is not `PROCESSING`")
    try:
        ballot = MultiSignVoteInfo.FromString(data)
    except DecodeError as error:
        raise NativeError("unexpected EOF") from error
    if not open_:
        raise NativeError(f"the multi sign[{tx_id}] has been completed")
    if not ballot.HasField("endorsement"):
        raise NativeError("reqVoteInfo has no `Endorsement`")
    if ballot.vote not in {VoteStatus.AGREE, VoteStatus.REJECT}:
        raise NativeError(f"vote {ballot.vote} is neither AGREE (0) nor REJECT (1)")
    return tx_id, info, ballot


def _voter(call: NativeCall, info: MultiSignInfo, entry: EndorsementEntry) -> Identity | None:
    """Return who signed the proposed payload, or None where the signature or the signer does not hold."""
    try:
        return call.world.members.authenticate(entry, info.payload.SerializeToString(), call.block.time)
    except UnverifiedError:
        return None


def _rule(call: NativeCall, info: MultiSignInfo) -> Rule:
    return call.world.policies.rules.get(f"{info.contract_name}-{info.method}", Rule("FORBIDDEN"))


def _voters(call: NativeCall, votes: Iterable[MultiSignVoteInfo]) -> list[Identity]:
    """Return those of the voters who are members still."""
    found = []
    for ballot in votes:
        try:
            found.append(call.world.members.identify(ballot.endorsement.signer, call.block.time))
        except UnverifiedError:
            continue
    return found


def _has_voted(call: NativeCall, info: MultiSignInfo, voter: Identity) -> bool:
    return any(known.uid == voter.uid for known in _voters(call, info.vote_infos))


def _decide(call: NativeCall, info: MultiSignInfo) -> None:
    """Set the status that the votes so far give."""
    policies, rule = call.world.policies, _rule(call, info)
    agree, reject = (
        _voters(call, (ballot for ballot in info.vote_infos if ballot.vote == side))
        for side in (VoteStatus.AGREE, VoteStatus.REJECT)
    )
    try:
        required = policies.required(rule)
    except DeniedError:
        return
    if policies.count(rule, agree) >= required:
        info.status = MultiSignStatus.PASSED
        return
    there = policies.electorate(rule)
    against = policies.count(rule._replace(rule="MAJORITY"), reject)
    if there - against < min(required, there):
        info.status = MultiSignStatus.REFUSED


def _invalid(ballot: MultiSignVoteInfo) -> str:
    signer = ballot.endorsement.signer
    shown = signer.member_info.decode("utf-8", "replace")
    org = f"[org:{signer.org_id}] " if signer.org_id else ""
    return f"the multi sign vote signature{org}[member-info:{shown}] is invalid"


# Running what was agreed


def _run(call: NativeCall, info: MultiSignInfo, lookup: Lookup) -> bytes:
    """Run what was proposed. How it ends is noted; the vote or trigger that ran it succeeds either way."""
    parameters = [pair for pair in info.payload.parameters if pair.key not in {_CONTRACT, _METHOD}]
    inner = NativeCall(
        call.world,
        Overlay(call.overlay),
        _inner_payload(call, info, parameters),
        {pair.key: pair.value for pair in parameters},
        call.sender,
        call.member,
        call.block,
        call.keep,
        gas_max=call.gas_max - call.gas,
    )
    try:
        found = find_standing(call.overlay, info.contract_name)
        ended = None if found is None else stopped(found)
        if ended is not None:
            raise NativeError(ended[1])
        result = lookup(info.contract_name, info.method)(inner)
    except LimitPassedError:
        raise
    except NativeError as error:
        call.gas += inner.gas
        info.status, info.message = MultiSignStatus.FAILED, str(error)
        call.message = f"DelegationFailed:{error}"
        return b""
    call.gas += inner.gas
    for write in inner.overlay.writes():
        call.overlay.put(*write)
    call.events += inner.events
    call.installs.update(inner.installs)
    info.status, info.message, info.result = MultiSignStatus.ADOPTED, "OK", result
    call.message = f"DelegationSuccess:{inner.message}"
    return result


def _inner_payload(call: NativeCall, info: MultiSignInfo, parameters: list[KeyValuePair]) -> Payload:
    return Payload(
        chain_id=call.payload.chain_id,
        tx_id=call.payload.tx_id,
        timestamp=call.payload.timestamp,
        contract_name=info.contract_name,
        method=info.method,
        parameters=parameters,
    )


# Asking


def _query(call: NativeCall) -> bytes:
    tx_id = call.text("TX_ID")
    if not tx_id.strip():
        raise NativeError("multi sign query params verify fail. txId cannot be empty")
    info = _find(call, tx_id)
    if info is None:
        return b""
    length = call.text("truncateValueLen")
    if length not in {"", "0"}:
        if not length.isascii() or not length.isdigit() or len(length) > 9:  # noqa: PLR2004
            raise NativeError(f'strconv.Atoi: parsing "{length[:64]}": invalid syntax')
        for pair in info.payload.parameters:
            if len(pair.value) > int(length):
                pair.value = _shortened(call, pair.value, int(length))
    return info.SerializeToString()


def _shortened(call: NativeCall, value: bytes, length: int) -> bytes:
    model = call.text("truncateModel")
    match model.lower():
        case "hash":
            return call.world.digest(value)
        case "truncate":
            return value[:length]
        case "empty":
            return b""
        case _:
            return model.encode()
