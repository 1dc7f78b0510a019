"""Mode by method by role: what each member may do alone and with others, against the policies that real nodes listed."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from changan.ledger.admission import RefusedError, authenticate
from changan.ledger.chain_config import Mode
from changan.ledger.wire.messages import Policy, TxType
from consortium import Consortium, Ledger, org_name
from key_consortium import KeyConsortium, pem_of
from policy_table import CANNOT_INVOKE, CANNOT_SUBSCRIBE, ROLES, expected, listed


class Chain(NamedTuple):
    mode: Mode
    ledger: Ledger
    members: dict[str, object]  # by role, of the first organisation
    admins: list


@pytest.fixture(scope="module")
def chains(consortium) -> dict[Mode, Chain]:
    return {mode: made(mode, consortium) for mode in Mode}


def made(mode: Mode, consortium: Consortium) -> Chain:
    if mode is Mode.CERTIFICATES:
        ledger = Ledger(consortium)
        members = {role: consortium.signer(1, f"{role}7", role) for role in ROLES[mode]}
        return Chain(mode, ledger, members, consortium.admins())
    friends = KeyConsortium(mode)
    ledger = Ledger(friends)
    members = {role: friends.signer(1, role) for role in ROLES[mode]}
    members |= {"admin": friends.admin(), "consensus": friends.node()}
    if mode is Mode.KEYS:
        for role in ("client", "light", "common"):
            parameters = {"pubkey": pem_of(members[role]), "org_id": org_name(1), "role": role}
            assert ledger.call("PUBKEY_MANAGE", "PUBKEY_ADD", parameters, sender=friends.admin()).code == 0
    return Chain(mode, ledger, members, friends.admins())


def said(chain: Chain, resource: str, sender, endorsers=(), *, org: str | None = None) -> str:
    contract, _, method = resource.partition("-")
    parameters = {} if org is None else {"org_id": org}
    request = chain.ledger.request(contract, method, parameters, sender=sender, endorsers=endorsers)
    return judged(chain, request)


def judged(chain: Chain, request) -> str:
    world = chain.ledger.world
    try:
        authenticate(request, world.members, world.policies, chain.ledger.time_us // 1_000_000, world.epoch)
    except RefusedError as error:
        return error.message
    return ""


CASES = [(mode, resource) for mode in Mode for resource in sorted(listed(mode)) if "-" in resource]


@pytest.mark.parametrize(("mode", "resource"), CASES, ids=str)
def test_each_role_alone(chains, mode, resource):
    chain, policy = chains[mode], listed(mode)[resource]
    for role, member in chain.members.items():
        wanted, message = expected(mode, resource, policy, role), said(chain, resource, member, org=org_name(1))
        if wanted:
            assert message.startswith(f"tx verify failed, verify tx authentation failed, {wanted}, txId:"), role
        else:
            assert message == "", role


@pytest.mark.parametrize(("mode", "resource"), CASES, ids=str)
def test_with_others(chains, mode, resource):
    chain, policy = chains[mode], listed(mode)[resource]
    client, admins = chain.members["client"], chain.admins
    if policy.rule == "FORBIDDEN":
        assert "is forbidden to access" in said(chain, resource, admins[0], admins)
    elif policy.rule == "MAJORITY":
        assert said(chain, resource, client, admins[1:]) == ""
        assert said(chain, resource, admins[0], admins[1:3]) == ""  # who sends counts too
        assert "3 valid endorsements required, 2 valid" in said(chain, resource, client, admins[:2])
        assert "3 valid endorsements required, 1 valid" in said(chain, resource, client, [admins[0]] * 4)
    elif policy.rule == "SELF":
        assert said(chain, resource, client, [admins[0]], org=org_name(1)) == ""
        assert f"target [{org_name(2)}] does not belong" in said(chain, resource, client, admins[:1], org=org_name(2))
        missing = "verification rule is [SELF], but org_id is not set in the parameter"
        assert missing in said(chain, resource, client, admins)
    elif "ADMIN" in policy.role_list:
        assert said(chain, resource, client, [admins[2]]) == ""


@pytest.mark.parametrize("mode", Mode)
def test_who_may_send_requests_of_a_kind(chains, mode):
    chain = chains[mode]
    for role, member in chain.members.items():
        for tx_type, barred in (
            (TxType.INVOKE_CONTRACT, CANNOT_INVOKE[mode]),
            (TxType.QUERY_CONTRACT, ()),
            (TxType.SUBSCRIBE, CANNOT_SUBSCRIBE[mode]),
            (TxType.ARCHIVE, [role for role in chain.members if role != "admin"]),
        ):
            request = chain.ledger.request("T", "P", {}, sender=member, tx_type=tx_type)
            request.sender.CopyFrom(member.endorse(request.payload))
            message = judged(chain, request)
            assert bool(message) == (role in barred), (role, tx_type)
            assert not message or "verifyTxTypePrincipal" in message


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("rule", "enough", "short"),
    [("2", 2, 1), ("1/2", 2, 1), ("ALL", 4, 3), ("3/4", 3, 2)],
)
def test_rules_that_a_chain_sets_for_itself(consortium, mode, rule, enough, short):
    chain = made(mode, consortium)
    policy = Policy(rule=rule, role_list=["ADMIN"]).SerializeToString()
    done = chain.ledger.configure("PERMISSION_ADD", {"T-P": policy}, sender=chain.admins[0], endorsers=chain.admins)
    assert done.code == 0, done.contract_result.message
    client = chain.members["client"]
    assert said(chain, "T-P", client, chain.admins[:enough]) == ""
    assert f"{enough} valid endorsements required, {short} valid" in said(chain, "T-P", client, chain.admins[:short])


def test_policies_are_not_looked_at_for_queries(chains):
    """CERTS_QUERY is listed as forbidden where members are keys, and answers all the same (rows A73, B74)."""
    for mode in (Mode.KEYS, Mode.PUBLIC):
        client = chains[mode].members["client"]
        request = chains[mode].ledger.request("CERT_MANAGE", "CERTS_QUERY", {}, sender=client)
        request.payload.tx_type = TxType.QUERY_CONTRACT
        request.sender.CopyFrom(client.endorse(request.payload))
        assert judged(chains[mode], request) == ""
