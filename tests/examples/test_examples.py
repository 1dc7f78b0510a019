"""Tests of the shipped contracts, written the way an author would test his own."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

import changan.examples
from changan.contract.instance import Code
from changan.examples.token import Token
from changan.testing import CallFailed, Chain, Declined

EXAMPLES = Path(changan.examples.__file__).parent
DIGEST = sha256(b"a document").digest()


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_evidence_is_stored_once_and_never_changed(chain):
    evidence = chain.deploy("evidence", EXAMPLES / "evidence.py")
    alice, bob = chain.user("alice"), chain.user("bob")
    evidence.put(digest=DIGEST, note="合同 v1", sender=alice)
    assert evidence.events == [("Stored", {"digest": DIGEST, "owner": alice.address})]
    stored_at = chain.time
    with pytest.raises(Declined, match="stored already"):
        evidence.put(digest=DIGEST, note="mine!", sender=bob)
    assert evidence.get(digest=DIGEST) == {"owner": alice.address, "time": stored_at, "note": "合同 v1"}
    assert evidence.total() == 1
    with pytest.raises(Declined, match="unknown"):
        evidence.get(digest=bytes(32))


def test_token_moves_and_supply_stays(chain):
    alice, bob, carol = chain.user("alice"), chain.user("bob"), chain.user("carol")
    token = chain.deploy("token", Token, sender=alice, supply=1000)
    token.transfer(to=bob, amount=300, sender=alice)
    assert token.events == [("Transfer", {"sender": alice.address, "to": bob.address, "amount": 300})]
    with pytest.raises(Declined, match=r"balance is short \(line \d+\)"):
        token.transfer(to=carol, amount=301, sender=bob)
    with pytest.raises(Declined, match="zero"):
        token.transfer(to=carol, amount=0, sender=bob)
    token.approve(spender=carol, amount=100, sender=bob)
    token.transfer_from(owner=bob, to=carol, amount=60, sender=carol)
    assert token.allowance(owner=bob, spender=carol) == 40
    with pytest.raises(Declined, match="allowance is short"):
        token.transfer_from(owner=bob, to=carol, amount=41, sender=carol)
    with pytest.raises(Declined, match="issuer"):
        token.mint(to=bob, amount=1, sender=bob)
    with pytest.raises(CallFailed) as overflow:
        token.mint(to=bob, amount=2**64 - 1, sender=alice)
    assert overflow.value.code == Code.OVERFLOW
    balances = [token.balance_of(who=user) for user in (alice, bob, carol)]
    assert balances == [700, 240, 60]
    assert sum(balances) == token.total_supply()
    token.transfer(to=alice, amount=700, sender=alice)  # to oneself: nothing moves
    assert token.balance_of(who=alice) == 700


def test_asset_changes_hands_only_when_offered_and_approved(chain):
    owner, buyer, notary = chain.user("owner"), chain.user("buyer"), chain.user("notary")
    assets = chain.deploy("assets", EXAMPLES / "asset.py", approver=notary)
    assets.register(asset=DIGEST, name="油滴盏", sender=owner)
    with pytest.raises(Declined, match="not offered"):
        assets.accept(asset=DIGEST, sender=buyer)
    assets.offer(asset=DIGEST, to=buyer, sender=owner)
    with pytest.raises(Declined, match="not approved"):
        assets.accept(asset=DIGEST, sender=buyer)
    with pytest.raises(Declined, match="approver"):
        assets.approve(asset=DIGEST, to=buyer, sender=buyer)
    assets.approve(asset=DIGEST, to=buyer, sender=notary)
    assets.accept(asset=DIGEST, sender=buyer)
    assert assets.get(asset=DIGEST)["owner"] == buyer.address
    with pytest.raises(Declined, match="owner"):
        assets.retire(asset=DIGEST, sender=owner)
    assets.retire(asset=DIGEST, sender=buyer)
    with pytest.raises(Declined, match="retired"):
        assets.offer(asset=DIGEST, to=owner, sender=buyer)
    steps = [assets.step(asset=DIGEST, number=n)["state"] for n in range(assets.steps_count(asset=DIGEST))]
    assert steps == ["FREE", "OFFERED", "FREE", "RETIRED"]


def test_smallbank_keeps_its_money(chain):
    bank = chain.deploy("bank", EXAMPLES / "smallbank.py")
    for account in (1, 2):
        bank.create(account=account, checking=100, savings=50)
    bank.send_payment(source=1, to=2, amount=30)
    bank.transact_savings(account=1, amount=-20)
    bank.deposit_checking(account=2, amount=5)
    assert bank.write_check(account=1, amount=150) is True
    assert bank.balance(account=1) == 70 + 30 - 151
    bank.amalgamate(source=2, to=1)
    assert (bank.balance(account=2), bank.balance(account=1)) == (0, 70 + 30 - 151 + 185)
    with pytest.raises(Declined, match="negative"):
        bank.send_payment(source=1, to=2, amount=-1)
    with pytest.raises(Declined, match="short"):
        bank.transact_savings(account=2, amount=-1)
    with pytest.raises(CallFailed) as missing:
        bank.balance(account=3)
    assert missing.value.code == Code.MISSING_KEY


def test_votes_count_by_weight_and_once(chain):
    chair, alice, bob = chain.user("chair"), chain.user("alice"), chain.user("bob")
    voting = chain.deploy("voting", EXAMPLES / "voting.py", sender=chair)
    voting.set_weight(member=alice, weight=3, sender=chair)
    voting.set_weight(member=bob, weight=2, sender=chair)
    assert voting.propose(title="增资?", seconds=60, sender=chair) == 0
    voting.vote(proposal=0, yes=True, sender=alice)
    assert voting.passed(proposal=0)
    with pytest.raises(Declined, match="have voted"):
        voting.vote(proposal=0, yes=False, sender=alice)
    with pytest.raises(Declined, match="no vote"):
        voting.vote(proposal=0, yes=False, sender=chair)
    chain.pass_time(120)
    with pytest.raises(Declined, match="closed"):
        voting.vote(proposal=0, yes=False, sender=bob)
    with pytest.raises(CallFailed) as missing:
        voting.vote(proposal=1, yes=False, sender=bob)
    assert missing.value.code == Code.OUT_OF_BOUNDS


def test_payments_need_the_accounts_holder(chain):
    operator, gateway, thief = chain.user("operator"), chain.user("gateway"), chain.user("thief")
    one, two = chain.user("account 1"), chain.user("account 2")
    payments = chain.deploy("payments", EXAMPLES / "payments.py", sender=operator)
    for account in (one, two):
        payments.open(account=account, holder=gateway, balance=100, sender=operator)
    payments.pay(source=one, to=two, amount=40, reference=7, sender=gateway)
    with pytest.raises(Declined, match="somebody else"):
        payments.pay(source=two, to=one, amount=1, reference=8, sender=thief)
    payments.pay(source=one, to=one, amount=60, reference=9, sender=gateway)
    payments.hand_over(account=two, holder=thief, sender=gateway)
    payments.pay(source=two, to=one, amount=1, reference=10, sender=thief)
    assert (payments.balance_of(account=one), payments.balance_of(account=two)) == (61, 139)


def test_aliasing_means_what_python_means(chain):
    aliasing = chain.deploy("aliasing", EXAMPLES / "aliasing.py")
    assert aliasing.twice(a=1, b=1) == 4
    assert aliasing.twice(a=2, b=3) == 2
    assert aliasing.reinsert(a=1, b=1) == 8
    assert aliasing.reinsert(a=2, b=9) == 7
    assert aliasing.moved(a=20, b=20) == 7
    assert aliasing.moved(a=21, b=22) == 3
    assert aliasing.early(a=30, b=30) == 50
    assert aliasing.loop(start=40, count=6) == 41 + 42 + 44


def test_a_name_that_is_wrong_says_what_there_is(chain):
    token = chain.deploy("token", Token, supply=1)
    with pytest.raises(AttributeError, match="transfer_from"):
        token.tranfer(to=chain.user("bob"), amount=1)
    with pytest.raises(TypeError, match="takes to, amount"):
        token.transfer(to=chain.user("bob"))
    with pytest.raises(TypeError, match="U64 wanted"):
        token.transfer(to=chain.user("bob"), amount=-1)
