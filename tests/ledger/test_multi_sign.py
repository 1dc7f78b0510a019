"""MULTI_SIGN: proposed, voted on, run; rows E1-E99 of the record, with and without manual run."""

from __future__ import annotations

import pytest

from changan.client.requests import Signer, install_parameters
from changan.ledger.chain_config import Mode
from changan.ledger.wire.messages import (
    BlockType,
    ChainConfig,
    Contract,
    MultiSignInfo,
    MultiSignStatus,
    MultiSignVoteInfo,
    Policy,
    TxStatusCode,
    VoteStatus,
)
from changan.node.audit import Auditor
from consortium import EXAMPLES, Ledger, org_name
from key_consortium import KeyConsortium, pem_of

UPDATE = {"SYS_CONTRACT_NAME": "CHAIN_CONFIG", "SYS_METHOD": "BLOCK_UPDATE", "block_interval": "200"}
FAILING = {**UPDATE, "block_interval": "5"}
WORDS = "blockInterval should be within the range of [10,10000], blockInterval is 5"
NOT_PASSED = "the status of multiSignInfo is not `PASSED`"
NOT_PROCESSING = "the status of multiSignInfo is not `PROCESSING`"
NO_MANUAL = "MultiSign::Execute() failed. reason: enable_manual_run == false"
NOT_A_MEMBER = (
    "checkVoteValid failed, err = authentication fail, not a member on this chain: "
    "[refine endorsements failed, all endorsers have failed verification]"
)


class Table:
    """One chain, and what is proposed on it."""

    def __init__(self, ledger: Ledger, *, manual: bool) -> None:
        self.ledger = ledger
        self.friends = ledger.consortium
        self.payload = None
        if not manual:
            parameters = {"multi_sign_enable_manual_run": "false"}
            assert ledger.configure("MULTI_SIGN_ENABLE_MANUAL_RUN", parameters).code == 0

    def propose(self, parameters, *, sender=None, endorsers=(), spoil=None):
        request = self.ledger.request("MULTI_SIGN", "REQ", parameters, sender=sender, endorsers=endorsers)
        if spoil is not None:
            request.endorsers[spoil].signature = request.endorsers[spoil].signature[:-4] + bytes(4)
        self.payload = request.payload
        return self.ledger.seal(request).block.txs[0].result

    @property
    def tx_id(self) -> str:
        return self.payload.tx_id

    def vote(self, voter: Signer, side=VoteStatus.AGREE, *, sender=None, signed=None, tx_id=None):
        endorsement = voter.endorse(self.payload if signed is None else signed)
        info = MultiSignVoteInfo(vote=side, endorsement=endorsement)
        parameters = {"VOTE_INFO": info.SerializeToString(), "TX_ID": tx_id or self.tx_id}
        return self.ledger.call("MULTI_SIGN", "VOTE", parameters, sender=sender or voter)

    def reject(self, voter: Signer):
        return self.vote(voter, VoteStatus.REJECT)

    def trigger(self, sender=None, tx_id=None):
        return self.ledger.call("MULTI_SIGN", "TRIG", {"TX_ID": tx_id or self.tx_id}, sender=sender)

    def info(self, **parameters) -> MultiSignInfo:
        found = self.ledger.call("MULTI_SIGN", "QUERY", {"TX_ID": self.tx_id, **parameters})
        return MultiSignInfo.FromString(found.contract_result.result)

    def stands(self, status, agree=0, reject=0) -> None:
        info = self.info()
        assert info.status == status
        sides = [ballot.vote for ballot in info.vote_infos]
        assert sides.count(VoteStatus.AGREE) == agree
        assert sides.count(VoteStatus.REJECT) == reject


def ok(result, text: bytes | str | None = None) -> None:
    assert result.code == TxStatusCode.SUCCESS, result.contract_result.message
    assert result.contract_result.code == 0
    if text is not None:
        assert result.contract_result.result == (text.encode() if isinstance(text, str) else text)


def fails(result, message: str) -> None:
    assert (result.code, result.contract_result.code) == (TxStatusCode.CONTRACT_FAIL, 1)
    assert result.contract_result.message == message


@pytest.fixture(scope="module")
def consortium(either):
    return either


@pytest.fixture
def ledger(consortium) -> Ledger:
    return Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"))


@pytest.fixture
def manual(ledger) -> Table:
    return Table(ledger, manual=True)


@pytest.fixture
def automatic(ledger) -> Table:
    return Table(ledger, manual=False)


@pytest.fixture
def table(ledger, kind) -> Table:
    return Table(ledger, manual=kind == "manual")


def test_three_steps(manual):
    friends, ledger = manual.friends, manual.ledger
    ok(manual.propose(UPDATE), manual.tx_id)
    manual.stands(MultiSignStatus.PROCESSING)
    ok(manual.vote(friends.admin(1)), "OK")
    manual.stands(MultiSignStatus.PROCESSING, agree=1)
    uid = ledger.world.members.identify(friends.admin(1).member, ledger.time_us // 1_000_000).uid
    fails(manual.vote(friends.admin(1)), f"the signer[org:{uid}] is voted")
    ok(manual.vote(friends.admin(2), sender=friends.signer()), "OK")  # anybody may carry a vote
    light = friends.signer(1, "light1", "light")
    shown = light.member.member_info.decode()
    fails(
        manual.vote(light),
        f"checkVoteValid failed, err = the multi sign vote signature[org:{org_name(1)}] [member-info:{shown}] is invalid",
    )
    other = ledger.request("T", "P", {}).payload
    fails(manual.vote(friends.admin(3), signed=other), NOT_A_MEMBER)
    fails(manual.trigger(), NOT_PASSED)
    manual.stands(MultiSignStatus.PROCESSING, agree=2)
    ok(manual.vote(friends.admin(3)), "OK")
    manual.stands(MultiSignStatus.PASSED, agree=3)
    fails(manual.trigger(friends.signer(2)), "trig sender must be same with req sender")
    before, height = ledger.world.config, ledger.world.config_height
    done = manual.trigger()
    ok(done)
    assert done.contract_result.message == "DelegationSuccess:OK"
    config = ChainConfig.FromString(done.contract_result.result)
    assert (config.block.block_interval, config.sequence) == (200, before.sequence + 1)
    assert ledger.world.config == config
    (event,) = done.contract_result.contract_event
    assert (event.topic, event.contract_name) == ("16", "CHAIN_CONFIG")
    assert event.tx_id == ledger.blocks[-1].block.txs[0].payload.tx_id
    header = ledger.blocks[-1].block.header
    assert (header.block_type, ledger.world.config_height) == (BlockType.NORMAL_BLOCK, height)  # as on the real node
    info = manual.info()
    assert (info.status, info.message, info.result) == (MultiSignStatus.ADOPTED, "OK", done.contract_result.result)
    fails(manual.trigger(), NOT_PASSED)
    fails(manual.vote(friends.admin(4)), NOT_PROCESSING)
    assert list(Auditor(ledger.log()).blocks()) == list(range(len(ledger.blocks)))


def test_two_steps(automatic):
    friends, ledger = automatic.friends, automatic.ledger
    ok(automatic.propose(UPDATE), "OK")
    ok(automatic.vote(friends.admin(1)), "OK")
    ok(automatic.vote(friends.admin(2), sender=friends.signer()), "OK")
    client = friends.signer(3, "client1")
    assert "is invalid" in automatic.vote(client).contract_result.message
    decided = automatic.vote(friends.admin(3))
    ok(decided)
    assert decided.contract_result.message == "DelegationSuccess:OK"
    assert len(decided.contract_result.contract_event) == 1
    automatic.stands(MultiSignStatus.ADOPTED, agree=3)
    assert ledger.world.config.block.block_interval == 200
    fails(automatic.vote(friends.admin(4)), f"the multi sign[{automatic.tx_id}] has been completed")
    fails(automatic.trigger(), NO_MANUAL)


@pytest.mark.parametrize("kind", ["manual", "automatic"])
def test_a_rejection_ends_it_as_soon_as_a_majority_is_impossible(kind, table):
    table.propose(UPDATE)
    ok(table.reject(table.friends.admin(1)), "OK")
    table.stands(MultiSignStatus.PROCESSING, reject=1)
    ok(table.reject(table.friends.admin(2)), "OK")
    table.stands(MultiSignStatus.REFUSED, reject=2)
    after = NOT_PROCESSING if kind == "manual" else f"the multi sign[{table.tx_id}] has been completed"
    fails(table.vote(table.friends.admin(4)), after)
    fails(table.trigger(), NOT_PASSED if kind == "manual" else NO_MANUAL)
    assert table.ledger.world.config.block.block_interval != 200


def test_endorsers_of_the_proposal_have_voted(automatic):
    decided = automatic.propose(UPDATE, endorsers=automatic.friends.admins()[:3])
    ok(decided)
    assert decided.contract_result.message == "DelegationSuccess:OK"
    automatic.stands(MultiSignStatus.ADOPTED, agree=3)


def test_endorsers_of_a_proposal_that_is_to_be_triggered(manual):
    friends = manual.friends
    ok(manual.propose(UPDATE, endorsers=friends.admins()[:3]), manual.tx_id)
    manual.stands(MultiSignStatus.PASSED, agree=3)
    assert manual.trigger().contract_result.message == "DelegationSuccess:OK"
    # a bad one, one who is no administrator and a second of the same person are left out silently
    endorsers = [friends.admin(1), friends.admin(2), friends.signer(3, "client1"), friends.admin(1)]
    ok(manual.propose(UPDATE, endorsers=endorsers, spoil=1), manual.tx_id)
    manual.stands(MultiSignStatus.PROCESSING, agree=1)


def test_a_call_that_fails_leaves_nothing_but_the_note(manual):
    before = manual.ledger.world.config.SerializeToString()
    manual.propose(FAILING, endorsers=manual.friends.admins())
    done = manual.trigger()
    ok(done, b"")
    assert done.contract_result.message == f"DelegationFailed:{WORDS}"
    info = manual.info()
    assert (info.status, info.message, info.result) == (MultiSignStatus.FAILED, WORDS, b"")
    written = {(write.contract_name, write.key) for write in manual.ledger.blocks[-2].rw_sets[0].tx_writes}
    assert written == {("MULTI_SIGN", manual.tx_id.encode())}
    assert manual.ledger.world.config.SerializeToString() == before
    fails(manual.trigger(), NOT_PASSED)


@pytest.mark.parametrize("kind", ["manual", "automatic"])
def test_a_contract_is_installed_and_upgraded(kind, table):
    source = (EXAMPLES / "token.py").read_bytes()
    target = {"SYS_CONTRACT_NAME": "CONTRACT_MANAGE", "SYS_METHOD": "INIT_CONTRACT"}
    table.propose({**install_parameters("token", "1.0", source, {"supply": "9"}), **target})
    table.stands(MultiSignStatus.PROCESSING)
    done = table.vote(table.friends.admin(1))  # the template's policy is ANY: one is enough
    if kind == "manual":
        table.stands(MultiSignStatus.PASSED, agree=1)
        done = table.trigger()
    ok(done)
    assert done.contract_result.message == "DelegationSuccess:"
    assert Contract.FromString(done.contract_result.result).name == "token"
    assert table.ledger.call("token", "balance_of", {"who": "11" * 20}).code == TxStatusCode.SUCCESS
    target["SYS_METHOD"] = "UPGRADE_CONTRACT"
    table.propose({**install_parameters("token", "2.0", source, {}), **target}, endorsers=table.friends.admins()[:3])
    if kind == "manual":
        ok(table.trigger())
    table.stands(MultiSignStatus.ADOPTED, agree=3)
    assert list(Auditor(table.ledger.log()).blocks()) == list(range(len(table.ledger.blocks)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "multi req({mode}) params verify fail. sysContractName/sysMethod cannot be empty"),
        (
            {"SYS_CONTRACT_NAME": "fact1", "SYS_METHOD": "save"},
            "multi sign not support fact1, only support CONTRACT_MANAGE",
        ),
        (
            {"SYS_CONTRACT_NAME": "PUBKEY_MANAGE", "SYS_METHOD": "PUBKEY_ADD"},
            "multi sign not support PUBKEY_MANAGE, only support CONTRACT_MANAGE",
        ),
        (
            {"SYS_CONTRACT_NAME": "CHAIN_CONFIG", "SYS_METHOD": "NODE_ID_UPDATE"},
            "this resource[CHAIN_CONFIG-NODE_ID_UPDATE] is the self rule and doesn't support to online multi sign",
        ),
        (
            {"SYS_CONTRACT_NAME": "CHAIN_CONFIG", "SYS_METHOD": "NOSUCH"},
            "this resource[CHAIN_CONFIG-NOSUCH] doesn't support to online multi sign",
        ),
        (
            {"SYS_CONTRACT_NAME": "CHAIN_CONFIG", "SYS_METHOD": "ALTER_ADDR_TYPE"},
            "this resource[CHAIN_CONFIG-ALTER_ADDR_TYPE] doesn't support to online multi sign",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["manual", "automatic"])
def test_what_is_not_proposed(kind, parameters, message, table):
    mode = "manual_run" if kind == "manual" else "no_manual_run"
    fails(table.propose(parameters), message.format(mode=mode))


@pytest.mark.parametrize("kind", ["manual", "automatic"])
def test_votes_and_questions_that_miss_something(kind, table):
    call, unknown = table.ledger.call, "ab" * 32
    table.propose(UPDATE)
    mode = "manual_run" if kind == "manual" else "no_manual_run"
    text = f"multi sign vote({mode}) params verify fail. voteInfo/txId cannot be empty"
    fails(call("MULTI_SIGN", "VOTE", {}), text)
    fails(call("MULTI_SIGN", "VOTE", {"VOTE_INFO": b"\xff", "TX_ID": table.tx_id}), "unexpected EOF")
    fails(
        call("MULTI_SIGN", "VOTE", {"VOTE_INFO": b"\x08\x01", "TX_ID": table.tx_id}), "reqVoteInfo has no `Endorsement`"
    )
    fails(table.vote(table.friends.admin(1), tx_id=unknown), f"not found tx id[{unknown}]")
    assert "neither AGREE (0) nor REJECT (1)" in table.vote(table.friends.admin(1), 7).contract_result.message
    if kind == "manual":
        missing = f"not found multiSignInfo, txId = {unknown}, err = not found tx id[{unknown}]"
        fails(table.trigger(tx_id=unknown), missing)
        fails(call("MULTI_SIGN", "TRIG", {}), "not found multiSignInfo, txId = , err = not found tx id[]")
    ok(call("MULTI_SIGN", "QUERY", {"TX_ID": unknown}), b"")
    fails(call("MULTI_SIGN", "QUERY", {}), "multi sign query params verify fail. txId cannot be empty")
    fails(call("MULTI_SIGN", "NOPE", {}), "the method does not found")
    for hidden in (f"sender {table.tx_id}", "sender x", " ", "a b"):  # rows that are none of these
        assert call("MULTI_SIGN", "QUERY", {"TX_ID": hidden}).contract_result.result == b""


def test_a_question_may_shorten_what_is_long(manual):
    manual.propose(UPDATE)
    values = {
        pair.key: pair.value for pair in manual.info(truncateValueLen="5", truncateModel="truncate").payload.parameters
    }
    assert values["SYS_METHOD"] == b"BLOCK"
    assert values["block_interval"] == b"200"
    hashed = manual.info(truncateValueLen="5", truncateModel="hash").payload.parameters
    assert max(len(pair.value) for pair in hashed) == 32
    emptied = {
        pair.key: pair.value for pair in manual.info(truncateValueLen="5", truncateModel="empty").payload.parameters
    }
    assert emptied["SYS_METHOD"] == b""
    bad = manual.ledger.call("MULTI_SIGN", "QUERY", {"TX_ID": manual.tx_id, "truncateValueLen": "x"})
    assert bad.code == TxStatusCode.CONTRACT_FAIL


def test_a_vote_of_a_member_who_left_counts_no_longer(manual):
    friends, ledger = manual.friends, manual.ledger
    manual.propose(UPDATE)
    manual.vote(friends.admin(4))
    manual.vote(friends.admin(3))
    pem = friends.admin(4).member.member_info.decode()
    assert ledger.call("CERT_MANAGE", "CERTS_FREEZE", {"certs": pem}, sender=friends.admin(1)).code == 0
    ok(manual.vote(friends.admin(2)))
    manual.stands(MultiSignStatus.PROCESSING, agree=3)
    ok(manual.vote(friends.admin(1)))
    manual.stands(MultiSignStatus.PASSED, agree=4)


def test_what_is_proposed_is_judged_by_the_policy_of_the_vote(manual):
    friends = manual.friends
    manual.propose(UPDATE)
    for number in (1, 2):
        manual.vote(friends.admin(number))
    policy = Policy(rule="2", role_list=["ADMIN"]).SerializeToString()
    assert manual.ledger.configure("PERMISSION_ADD", {"CHAIN_CONFIG-BLOCK_UPDATE": policy}).code == 0
    manual.vote(friends.admin(3))
    manual.stands(MultiSignStatus.PASSED, agree=3)


def test_a_disabled_contract_does_not_run_through_it(manual):
    friends, ledger = manual.friends, manual.ledger
    names = {"NATIVE_CONTRACT_NAME": '["CHAIN_CONFIG"]'}
    manual.propose(UPDATE, endorsers=friends.admins())
    assert ledger.manage("REVOKE_CONTRACT_ACCESS", names).code == 0
    assert manual.trigger().contract_result.message == (
        "DelegationFailed:failed to run user contract, CHAIN_CONFIG has been frozen."
    )


@pytest.mark.parametrize("mode", [Mode.KEYS, Mode.PUBLIC])
def test_where_members_are_keys(mode):
    friends = KeyConsortium(mode)
    ledger = Ledger(friends, sealer=friends.node())
    client = friends.signer()
    if mode is Mode.KEYS:
        parameters = {"pubkey": pem_of(client), "org_id": org_name(1), "role": "client"}
        assert ledger.call("PUBKEY_MANAGE", "PUBKEY_ADD", parameters, sender=friends.admin()).code == 0
    table = Table(ledger, manual=True)
    ok(table.propose(UPDATE), table.tx_id)
    for number in (1, 2, 3):
        ok(table.vote(friends.admin(number), sender=client))
    refused = table.vote(client).contract_result.message
    assert refused == NOT_PROCESSING
    assert table.trigger().contract_result.message == "DelegationSuccess:OK"
    table.propose(UPDATE)
    shown = f"[member-info:{pem_of(client)}] is invalid"
    assert table.vote(client).contract_result.message.endswith(shown)
    assert list(Auditor(ledger.log()).blocks()) == list(range(len(ledger.blocks)))
