"""Gas accounts: who fills them, what is charged to whom and when, in the order and words of the record (table C)."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from changan.client.requests import Signer, install_parameters
from changan.crypto.key_forms import public_key_pem
from changan.ledger.admission import RefusedError, authenticate
from changan.ledger.chain_config import Mode
from changan.ledger.gas import address_text
from changan.ledger.snapshot import dump, load
from changan.ledger.wire.messages import ChainConfig, RechargeGas, RechargeGasReq, TxStatusCode
from changan.node.audit import Auditor
from consortium import EXAMPLES, Ledger
from key_consortium import key_ledger

SUCCESS, FAILED = TxStatusCode.SUCCESS, TxStatusCode.CONTRACT_FAIL
EMPTY, UNSET = TxStatusCode.GAS_BALANCE_NOT_ENOUGH_FAILED, TxStatusCode.GAS_LIMIT_NOT_SET
TO = {"to": "11" * 20, "amount": "1"}
NO_LIMIT = "field `GasLimit` must be set in payload."
NOT_ADMIN = " verify admin failed "


class Chain:
    """A chain with a contract, gas on, and client4 as the gas administrator."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        friends = ledger.consortium
        self.user, self.poor, self.admin = friends.signer(1), friends.signer(2), friends.signer(4)
        assert ledger.install("token", supply="1000").code == SUCCESS

    def on(self) -> Chain:
        assert self.ledger.configure("ENABLE_OR_DISABLE_GAS").code == SUCCESS
        self.configure("SET_ACCOUNT_MANAGER_ADMIN", {"address_key": self.address(self.admin)})
        return self

    def configure(self, method: str, parameters):
        result = self.ledger.configure(method, parameters)
        assert result.code == SUCCESS, result.contract_result.message
        return result

    def address(self, signer: Signer) -> str:
        found = self.ledger.world.members.identify(signer.member, self.ledger.time_us // 1_000_000).address
        return address_text(found, self.ledger.config.vm.addr_type)

    def manage(self, method: str, parameters=None, *, sender=None):
        return self.ledger.call("ACCOUNT_MANAGER", method, parameters or {}, sender=sender or self.admin)

    def recharge(self, **amounts: int):
        entries = [RechargeGas(address=self.address(getattr(self, who)), gas_amount=n) for who, n in amounts.items()]
        request = RechargeGasReq(batch_recharge_gas=entries)
        return self.manage("RECHARGE_GAS", {"batch_recharge": request.SerializeToString()})

    def balance(self, signer: Signer) -> int:
        return int(self.manage("GET_BALANCE", {"address_key": self.address(signer)}).contract_result.result)

    def send(
        self, contract="token", method="balance_of", parameters=None, *, sender=None, limit=None, payer=None, price=0
    ):
        """One transaction; `limit` None leaves the field out."""
        sender = sender or self.user
        request = self.ledger.request(
            contract, method, {"who": "11" * 20} if parameters is None else parameters, sender=sender
        )
        if limit is not None:
            request.payload.limit.gas_limit = limit
            request.payload.limit.gas_price = price
        request.sender.CopyFrom(sender.endorse(request.payload))
        if payer is not None:
            request.payer.CopyFrom(payer.endorse(request.payload))
        return self.ledger.seal(request).block.txs[0]


@pytest.fixture(scope="module")
def consortium(either):
    return either


@pytest.fixture
def off(consortium) -> Chain:
    return Chain(Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus")))


@pytest.fixture
def chain(off) -> Chain:
    made = off.on()
    assert made.recharge(user=1_000_000, poor=3000).code == SUCCESS
    return made


def outcome(tx) -> tuple[int, str, int, str, int]:
    result = tx.result.contract_result
    return tx.result.code, tx.result.message, result.code, result.message, result.gas_used


def written(chain: Chain) -> set[tuple[str, bytes]]:
    return {(write.contract_name, write.key) for write in chain.ledger.blocks[-1].rw_sets[0].tx_writes}


# Without gas


def test_with_gas_off_nothing_is_asked_or_charged(off):
    assert outcome(off.send())[0] == SUCCESS
    assert off.balance(off.user) == 0
    assert off.manage("RECHARGE_GAS").contract_result.message == NOT_ADMIN
    assert off.manage("GET_ADMIN").contract_result.message == " not set gas admin account"
    used = off.send().result.contract_result.gas_used
    assert off.on().recharge(user=10_000).code == SUCCESS
    charged = off.send(limit=9000).result.contract_result.gas_used
    assert charged > used + 100  # the base, and the bytes sent


# The order of charging


def test_a_transaction_without_a_limit_is_not_run_and_not_charged(chain):
    tx = chain.send()
    assert outcome(tx) == (UNSET, NO_LIMIT, 1, NO_LIMIT, 0)
    assert not written(chain)
    for contract, method in (("CONTRACT_MANAGE", "INIT_CONTRACT"), ("MULTI_SIGN", "REQ"), ("nosuch", "m")):
        assert outcome(chain.send(contract, method))[:2] == (UNSET, NO_LIMIT)
    assert chain.balance(chain.user) == 1_000_000


def test_an_account_that_cannot_pay_the_limit(chain):
    account = chain.address(chain.poor)
    words = f"please check [addr:{account}] balance, gasBalance[3000] < chargeGasAmount[5376]"
    assert outcome(chain.send(sender=chain.poor, limit=5376)) == (EMPTY, words, 1, words, 0)
    assert not written(chain)
    stranger = chain.ledger.consortium.signer(3)
    assert outcome(chain.send(sender=stranger, limit=1))[0] == EMPTY
    assert outcome(chain.send(sender=stranger, limit=0))[:4] == (
        SUCCESS,
        "",
        4,
        "gas limit is not enough, [limit:0]/[gasUsed:113]",
    )


def test_what_is_used_is_charged_and_the_rest_given_back(chain):
    tx = chain.send("token", "balance_of", limit=100_000)
    code, _, cr, _, used = outcome(tx)
    assert (code, cr) == (SUCCESS, 0)
    size = len("token" + "balance_of" + tx.payload.tx_id + "who" + "11" * 20)
    base = 100 + math.ceil(Fraction(1, 10) * size)
    assert used > base
    assert chain.balance(chain.user) == 1_000_000 - used
    assert written_balance(chain, tx) == {
        ("ACCOUNT_MANAGER", f"__account_prefix__{chain.address(chain.user)}".encode())
    }
    exact = chain.send(limit=used)
    assert outcome(exact) == (SUCCESS, "", 0, "", used)
    assert outcome(chain.send(limit=used - 1))[2] == 4


def written_balance(chain: Chain, tx) -> set[tuple[str, bytes]]:
    applied = next(applied for applied in chain.ledger.blocks if tx.payload.tx_id == applied.block.txs[0].payload.tx_id)
    return {(write.contract_name, write.key) for write in applied.rw_sets[0].tx_writes}


def test_the_gas_of_the_contract_language_is_what_a_python_contract_uses(chain):
    with_gas = chain.send(limit=100_000)
    chain.ledger.configure("ENABLE_OR_DISABLE_GAS")
    without = chain.send()
    used = without.result.contract_result.gas_used
    size = len("token" + "balance_of" + with_gas.payload.tx_id + "who" + "11" * 20)
    assert with_gas.result.contract_result.gas_used == 100 + math.ceil(Fraction(size, 10)) + used


@pytest.mark.parametrize("limit", [1, 50, 112, 113, 114, 130])
def test_a_limit_that_is_too_low_counts_as_done_and_is_charged_whole(chain, limit):
    before = dict(chain.ledger.world.rows._rows)
    tx = chain.send("token", "transfer", TO, sender=chain.ledger.consortium.admin(), limit=0)
    assert outcome(tx)[2] == 4
    tx = chain.send(limit=limit)
    code, message, cr, words, used = outcome(tx)
    assert (code, message, cr, used) == (SUCCESS, "", 4, limit)
    assert words.startswith(f"gas limit is not enough, [limit:{limit}]/[gasUsed:")
    assert chain.balance(chain.user) == 1_000_000 - limit
    assert not tx.result.contract_result.contract_event
    assert len(written_balance(chain, tx)) == 1
    assert before.keys() - chain.ledger.world.rows._rows.keys() == set()


def test_a_call_that_passes_its_limit_changed_nothing(chain):
    owner = chain.ledger.consortium.admin()
    assert (
        chain.manage(
            "RECHARGE_GAS",
            {
                "batch_recharge": RechargeGasReq(
                    batch_recharge_gas=[RechargeGas(address=chain.address(owner), gas_amount=100_000)]
                ).SerializeToString()
            },
        ).code
        == SUCCESS
    )
    rows = list(chain.ledger.world.instances["token"].rows())
    for limit in range(113, 2000, 47):
        tx = chain.send("token", "transfer", TO, sender=owner, limit=limit)
        if outcome(tx)[2] == 4:
            assert list(chain.ledger.world.instances["token"].rows()) == rows
        else:
            break
    else:
        pytest.fail("no limit was enough")
    assert list(chain.ledger.world.instances["token"].rows()) != rows


def test_failed_calls_pay(chain):
    tx = chain.send("token", "transfer", TO, limit=10_000)  # client1 has no tokens
    code, message, cr, words, used = outcome(tx)
    assert (code, message, cr) == (FAILED, "", 1)
    assert words.startswith("declined")
    assert chain.balance(chain.user) == 1_000_000 - used
    unknown = chain.send("nosuch", "m", {}, limit=100_000)
    assert outcome(unknown) == (
        TxStatusCode.INVALID_CONTRACT_PARAMETER_CONTRACT_NAME,
        "",
        1,
        "contractName not found",
        108,
    )
    assert chain.balance(chain.user) == 1_000_000 - used - 108


def test_system_contracts_that_cost_nothing(chain):
    assert outcome(chain.send("T", "P", {"k": "a"}))[0] == SUCCESS
    assert outcome(chain.send("T", "P", {"k": "a"}, limit=10))[4] == 0
    assert chain.balance(chain.user) == 1_000_000


def test_a_multi_sign_pays(chain):
    update = {"SYS_CONTRACT_NAME": "CHAIN_CONFIG", "SYS_METHOD": "BLOCK_UPDATE", "block_interval": "200"}
    tx = chain.send("MULTI_SIGN", "REQ", update, limit=100_000)
    size = len("MULTI_SIGN" + "REQ" + tx.payload.tx_id + "".join(key + value for key, value in update.items()))
    assert outcome(tx) == (SUCCESS, "", 0, "OK", 100 + math.ceil(Fraction(size, 10)))


def test_installing_has_prices_of_its_own(chain):
    code = (EXAMPLES / "evidence.py").read_bytes()
    parameters = install_parameters("evidence", "1.0", code, {})
    size = len("CONTRACT_MANAGE" + "INIT_CONTRACT") + 64 + sum(len(k) + len(v) for k, v in parameters.items())
    low = chain.send("CONTRACT_MANAGE", "INIT_CONTRACT", parameters, limit=100)
    base = 10_000 + math.ceil(Fraction(size, 1000))
    assert outcome(low) == (SUCCESS, "", 4, f"gas limit is not enough, [limit:100]/[gasUsed:{base}]", 100)
    info = chain.ledger.call("CONTRACT_MANAGE", "GET_CONTRACT_INFO", {"CONTRACT_NAME": "evidence"})
    assert info.contract_result.message == "contract not exist"
    done = chain.send("CONTRACT_MANAGE", "INIT_CONTRACT", parameters, limit=100_000)
    assert outcome(done) == (SUCCESS, "", 0, "", base)
    chain.configure("SET_INSTALL_BASE_GAS", {"set_install_base_gas": "20000"})
    chain.configure("SET_INSTALL_GAS_PRICE", {"set_install_gas_price": "0.01"})
    other = install_parameters("evidenc2", "1.0", code, {})
    again = chain.send("CONTRACT_MANAGE", "INIT_CONTRACT", other, limit=100_000)
    assert outcome(again)[4] == 20_000 + math.ceil(Fraction(size, 100))


def test_an_init_that_uses_more_than_is_paid_for_installs_nothing(chain):
    code = (EXAMPLES / "token.py").read_bytes()
    parameters = install_parameters("token2", "1.0", code, {"supply": "5"})
    done = chain.send("CONTRACT_MANAGE", "INIT_CONTRACT", parameters, limit=0)
    base = int(outcome(done)[3].rpartition(":")[2][:-1])
    tx = chain.send("CONTRACT_MANAGE", "INIT_CONTRACT", parameters, limit=base + 1)
    assert outcome(tx)[:3] == (SUCCESS, "", 4)
    assert "token2" not in chain.ledger.world.instances
    assert outcome(chain.send("CONTRACT_MANAGE", "INIT_CONTRACT", parameters, limit=base + 5000))[2] == 0


def test_prices_count_from_the_next_block(chain):
    first = chain.send(limit=100_000).result.contract_result.gas_used
    chain.configure("SET_INVOKE_BASE_GAS", {"set_invoke_base_gas": "300"})
    chain.configure("SET_INVOKE_GAS_PRICE", {"set_invoke_gas_price": "0.5"})
    tx = chain.send(limit=100_000)
    size = len("token" + "balance_of" + tx.payload.tx_id + "who" + "11" * 20)
    more = 200 + math.ceil(Fraction(size, 2)) - math.ceil(Fraction(size, 10))
    assert tx.result.contract_result.gas_used == first + more


def test_the_price_that_a_payload_offers_changes_nothing(chain):
    used = chain.send(limit=100_000).result.contract_result.gas_used
    assert chain.send(limit=100_000, price=5).result.contract_result.gas_used == used


def test_the_payer_pays(chain):
    tx = chain.send(sender=chain.poor, payer=chain.user, limit=100_000)
    used = outcome(tx)[4]
    assert (chain.balance(chain.poor), chain.balance(chain.user)) == (3000, 1_000_000 - used)
    assert tx.HasField("payer")
    assert list(Auditor(chain.ledger.log()).blocks()) == list(range(len(chain.ledger.blocks)))


def test_a_payer_who_did_not_sign_does_not_pay(chain):
    request = chain.ledger.request("token", "balance_of", {"who": "11" * 20}, sender=chain.poor)
    request.payer.CopyFrom(chain.user.endorse(request.payload))
    request.payer.signature = request.payer.signature[:-4] + bytes(4)
    world = chain.ledger.world
    with pytest.raises(RefusedError, match="refine endorsements failed"):
        authenticate(request, world.members, world.policies, chain.ledger.time_us // 1_000_000, world.epoch)


def test_a_frozen_account(chain):
    account = chain.address(chain.user)
    named = {"address_key": account}
    assert chain.manage("FROZEN_ACCOUNT", named).contract_result.result == b"success"
    assert chain.manage("FROZEN_ACCOUNT", named).contract_result.result == b"success"
    assert chain.manage("ACCOUNT_STATUS", named).contract_result.result == b"1"
    words = f" {account} accout is frozened"
    assert outcome(chain.send(limit=1000)) == (EMPTY, words, 1, words, 0)
    assert outcome(chain.send(sender=chain.poor, payer=chain.user, limit=1000))[0] == EMPTY
    assert outcome(chain.send("T", "P", {"k": "a"}))[0] == SUCCESS
    refused = chain.manage("REFUND_GAS", {**named, "charge_gas_amount": "1"})
    assert refused.contract_result.message == words
    assert chain.manage("UNFROZEN_ACCOUNT", named).contract_result.result == b"success"
    again = chain.manage("UNFROZEN_ACCOUNT", named)
    assert again.contract_result.message == f"account {account} not frozen"
    assert chain.manage("ACCOUNT_STATUS", named).contract_result.result == b"0"
    assert outcome(chain.send(limit=1000))[2] == 0


def test_many_in_one_block_each_pay_in_turn(chain):
    requests = []
    for _ in range(3):
        request = chain.ledger.request("token", "balance_of", {"who": "11" * 20}, sender=chain.poor)
        request.payload.limit.gas_limit = 2900
        request.sender.CopyFrom(chain.poor.endorse(request.payload))
        requests.append(request)
    first, *rest = chain.ledger.seal(*requests).block.txs
    used = outcome(first)[4]
    assert outcome(first)[0] == SUCCESS
    words = f"gasBalance[{3000 - used}] < chargeGasAmount[2900]"
    assert all(words in outcome(tx)[1] for tx in rest)


# Managing accounts


@pytest.mark.parametrize(
    ("method", "parameters", "message"),
    [
        ("RECHARGE_GAS", {}, " params key batch_recharge not exist "),
        ("RECHARGE_GAS", {"batch_recharge": b"\xff"}, "unexpected EOF"),
        (
            "RECHARGE_GAS",
            {"batch_recharge": [("xyz", 1)]},
            "account address is illegal",
        ),
        (
            "RECHARGE_GAS",
            {"batch_recharge": [("11" * 20, -1)]},
            "amount must >= 0",
        ),
        (
            "RECHARGE_GAS",
            {"batch_recharge": [("11" * 20, 2**63 - 1)] * 2},
            "int64 is overflow",
        ),
        ("GET_BALANCE", {}, " params key address_key not exist "),
        ("GET_BALANCE", {"address_key": ""}, " params is error, param[address_key]="),
        ("GET_BALANCE", {"address_key": "junk"}, "account address is illegal"),
        ("FROZEN_ACCOUNT", {"address_key": "junk"}, "account address is illegal"),
        ("FROZEN_ACCOUNT", {}, " params key address_key not exist "),
        ("CHARGE_GAS", {"batch_recharge": "x"}, " params key charge_public_key not exist "),
        ("CHARGE_GAS", {"charge_public_key": "11" * 20, "charge_gas_amount": "5"}, "failed to parse public key"),
        ("REFUND_GAS", {"address_key": "11" * 20}, " params key charge_gas_amount not exist "),
        (
            "REFUND_GAS",
            {"address_key": "11" * 20, "charge_gas_amount": "x"},
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
        ("REFUND_GAS", {"address_key": "11" * 20, "charge_gas_amount": "-1"}, "amount must >= 0"),
        (
            "REFUND_GAS",
            {"address_key": "11" * 20, "charge_gas_amount": "100"},
            f"please check [addr:{'11' * 20}] balance, gasBalance[0] < chargeGasAmount[100]",
        ),
        ("SET_CONTRACT_METHOD_PAYER", {}, "the method does not found"),
    ],
)
def test_what_is_refused(chain, method, parameters, message):
    def here(value):
        """The value with 11…11 as this chain writes addresses."""
        if isinstance(value, str):
            return value.replace("11" * 20, address_text(b"\x11" * 20, chain.ledger.config.vm.addr_type))
        if isinstance(value, bytes):
            return value
        entries = [RechargeGas(address=here(who), gas_amount=amount) for who, amount in value]
        return RechargeGasReq(batch_recharge_gas=entries).SerializeToString()

    result = chain.manage(method, {name: here(value) for name, value in parameters.items()})
    assert (result.code, result.contract_result.message) == (FAILED, here(message))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("RECHARGE_GAS", {}),
        ("REFUND_GAS", {"address_key": "{poor}", "charge_gas_amount": "1"}),
        ("FROZEN_ACCOUNT", {"address_key": "{poor}"}),
        ("UNFROZEN_ACCOUNT", {"address_key": "{poor}"}),
        # on the real node anybody does these two, to any account
        ("REFUND_GAS_VM", {"recharge_key": "{pem}", "recharge_amount_key": "700"}),
        ("CHARGE_GAS", {"charge_public_key": "{pem}", "charge_gas_amount": "300"}),
    ],
)
def test_only_the_gas_administrator_moves_gas(chain, method, parameters):
    names = {"poor": chain.address(chain.poor), "pem": public_key_pem(chain.poor.key.public).decode()}
    made = {key: value.format(**names) for key, value in parameters.items()}
    for sender in (chain.user, chain.poor, chain.ledger.consortium.admin()):
        assert chain.manage(method, made, sender=sender).contract_result.message == NOT_ADMIN
    assert chain.balance(chain.poor) == 3000


def test_the_administrator_moves_gas(chain):
    poor = {"address_key": chain.address(chain.poor)}
    pem = public_key_pem(chain.poor.key.public)
    assert chain.manage("REFUND_GAS", {**poor, "charge_gas_amount": "100"}).contract_result.result == b"success"
    assert chain.balance(chain.poor) == 2900
    chain.manage("REFUND_GAS_VM", {"recharge_key": pem, "recharge_amount_key": "700"})
    assert chain.balance(chain.poor) == 3600
    chain.manage("CHARGE_GAS", {"charge_public_key": pem, "charge_gas_amount": "300"})
    assert chain.balance(chain.poor) == 3300
    prefix = "ZX" if poor["address_key"].startswith("ZX") else "0x"
    upper = chain.manage("GET_BALANCE", {"address_key": prefix + poor["address_key"].removeprefix("ZX").upper()})
    assert upper.contract_result.result == b"3300"


def test_another_administrator_of_gas(chain):
    parameters = {"address_key": chain.address(chain.poor)}
    endorsed = chain.ledger.call("ACCOUNT_MANAGER", "SET_ADMIN", parameters, endorsers=chain.ledger.consortium.admins())
    config = ChainConfig.FromString(endorsed.contract_result.result)
    assert config.account_config.gas_admin_address == parameters["address_key"]
    assert chain.ledger.world.config == config  # from the next block on
    assert not endorsed.contract_result.contract_event
    assert chain.manage("GET_ADMIN").contract_result.result.decode() == parameters["address_key"]
    assert chain.recharge(user=1).contract_result.message == NOT_ADMIN


# Elsewhere


def test_a_public_chain_charges_too():
    ledger = key_ledger(Mode.PUBLIC)
    chain = Chain(ledger).on()
    assert chain.recharge(user=50_000).code == SUCCESS
    used = outcome(chain.send(limit=40_000))[4]
    assert chain.balance(chain.user) == 50_000 - used
    assert list(Auditor(ledger.log()).blocks()) == list(range(len(ledger.blocks)))


def test_a_checkpoint_and_a_replay_keep_the_accounts(chain):
    chain.send(limit=5000)
    sections = {name: list(items) for name, items in dump(chain.ledger.world)}
    again = load(sections.__getitem__)
    row = f"__account_prefix__{chain.address(chain.user)}"
    assert again.rows.get("ACCOUNT_MANAGER", row) == chain.ledger.world.rows.get("ACCOUNT_MANAGER", row)
