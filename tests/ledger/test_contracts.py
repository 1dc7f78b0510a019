"""Contracts on the ledger: installed, called, upgraded, frozen, revoked, and calling one another."""

from __future__ import annotations

import json

import pytest

from changan.client.requests import install_parameters
from changan.contract.package import build_package
from changan.contract.program import compile_source
from changan.ledger.wire.messages import Contract, ContractStatus, TxStatusCode
from consortium import EXAMPLES, Ledger

HEADER = "from changan.contract import U64, Address, Contract, Event, Interface, Map, call, emit, init, migrate, require, view\n\n\n"
COUNTER = HEADER + (
    "class Counted(Event):\n    by: U64\n\n\n"
    "class Counter(Contract):\n    count: U64\n    last: Address\n\n"
    "    @call\n    def add(self, amount: U64) -> U64:\n        self.count += amount\n        self.last = self.caller\n"
    "        emit(Counted(by=amount))\n        return self.count\n\n"
    "    @view\n    def get(self) -> U64:\n        return self.count\n"
)
RELAY = HEADER + (
    "class Other(Interface):\n"
    "    @call\n    def add(self, amount: U64) -> U64:\n        raise NotImplementedError\n\n"
    "    @call\n    def pass_on(self, amount: U64) -> U64:\n        raise NotImplementedError\n\n"
    "    @view\n    def get(self) -> U64:\n        raise NotImplementedError\n\n\n"
    "class Relayed(Event):\n    by: U64\n\n\n"
    "class Relay(Contract):\n    target: Address\n    calls: U64\n\n"
    "    @init\n    def create(self, target: Address) -> None:\n        self.target = target\n\n"
    "    @call\n    def pass_on(self, amount: U64) -> U64:\n        self.calls += 1\n"
    "        got = Other(self.target).add(amount)\n        emit(Relayed(by=amount))\n"
    '        require(got < 100, "enough")\n        return got\n\n'
    "    @call\n    def again(self, amount: U64) -> U64:\n        return Other(self.target).pass_on(amount)\n\n"
    "    @view\n    def peek(self) -> U64:\n        return Other(self.target).get()\n"
)


@pytest.fixture(scope="module")
def consortium(either):
    return either


@pytest.fixture
def ledger(consortium) -> Ledger:
    return Ledger(consortium)


def ok(result) -> bytes:
    assert result.code == TxStatusCode.SUCCESS, result.contract_result.message
    return result.contract_result.result


def fails(result) -> str:
    assert result.code != TxStatusCode.SUCCESS
    return result.contract_result.message


def test_source_and_package_are_recognised_whatever_runtime_is_declared(ledger):
    program = compile_source(COUNTER)
    for number, (code, runtime) in enumerate(
        [
            (COUNTER.encode(), "WASMER"),
            (build_package(program), "EVM"),
            (COUNTER.encode(), "DOCKER_GO"),
            (COUNTER.encode(), "GO"),
        ]
    ):
        parameters = install_parameters(f"c{number}", "1.0", code, {})
        parameters["CONTRACT_RUNTIME_TYPE"] = runtime
        record = Contract.FromString(ok(ledger.call("CONTRACT_MANAGE", "INIT_CONTRACT", parameters)))
        assert record.name == f"c{number}"
        assert record.status == ContractStatus.NORMAL
        assert ok(ledger.call(f"c{number}", "add", {"amount": "2"})) == b"2"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"CONTRACT_NAME": ""}, "cannot be empty"),
        ({"CONTRACT_NAME": "bad name"}, "invalid contract name"),
        ({"CONTRACT_NAME": "CHANGAN"}, "invalid contract name"),
        ({"CONTRACT_NAME": "CHAIN_CONFIG"}, "contract exist"),
        ({"CONTRACT_VERSION": "v 1"}, "invalid contract version"),
        ({"CONTRACT_RUNTIME_TYPE": "PERL"}, "runtime type"),
        ({"CONTRACT_BYTECODE": b"\x00asm"}, "not a Python contract"),
        ({"CONTRACT_BYTECODE": b"CHANGAN-CONTRACT\x01" + bytes(40)}, "damaged"),
        ({"CONTRACT_BYTECODE": b"from changan.contract import Contract\nimport os\n"}, "line 2: imports are refused"),
        ({"CONTRACT_BYTECODE": COUNTER.encode().replace(b"U64:", b"int:")}, "int has no fixed size"),
        ({"extra": "1"}, "takes no parameters"),
    ],
)
def test_bad_installations_change_nothing(ledger, changes, says):
    parameters = {**install_parameters("counter", "1.0", COUNTER.encode(), {}), **changes}
    before = list(ledger.world.rows.items())
    assert says in fails(ledger.call("CONTRACT_MANAGE", "INIT_CONTRACT", parameters))
    assert list(ledger.world.rows.items()) == before
    assert not ledger.world.instances


def test_the_life_of_a_contract(ledger):
    ok(ledger.install("counter", COUNTER.encode()))
    assert "contract exist" in fails(ledger.install("counter", COUNTER.encode()))
    ok(ledger.call("counter", "add", {"amount": "5"}))
    name = {"CONTRACT_NAME": "counter"}
    ok(ledger.manage("FREEZE_CONTRACT", name))
    assert ledger.call("counter", "add", {"amount": "5"}).code == TxStatusCode.CONTRACT_FREEZE_FAILED
    assert "expect status:NORMAL" in fails(ledger.manage("FREEZE_CONTRACT", name))
    ok(ledger.manage("UNFREEZE_CONTRACT", name))
    assert ok(ledger.call("counter", "add", {"amount": "5"})) == b"10"
    ok(ledger.manage("REVOKE_CONTRACT", name))
    assert ledger.call("counter", "add", {"amount": "5"}).code == TxStatusCode.CONTRACT_REVOKE_FAILED
    assert "contract status invalid" in fails(ledger.manage("UNFREEZE_CONTRACT", name))
    assert "contract not exist" in fails(ledger.manage("FREEZE_CONTRACT", {"CONTRACT_NAME": "nothing"}))


def test_upgrades_move_the_state_field_by_field(ledger):
    ok(ledger.install("counter", COUNTER.encode()))
    ok(ledger.call("counter", "add", {"amount": "5"}))
    grown = COUNTER.replace("count: U64", "count: U128").replace("import U64", "import U64, U128")
    grown = grown.replace("self.count += amount\n", "self.count += U128(amount)\n").replace(
        "-> U64:\n        self.count", "-> U128:\n        self.count"
    )
    grown = grown.replace("def get(self) -> U64", "def get(self) -> U128")
    grown += "\n    @migrate\n    def move(self, bonus: U64) -> None:\n        self.count += U128(bonus)\n"
    parameters = install_parameters("counter", "2.0", grown.encode(), {"bonus": "100"})
    record = Contract.FromString(ok(ledger.manage("UPGRADE_CONTRACT", parameters)))
    assert record.version == "2.0"
    assert ok(ledger.call("counter", "get")) == b"105"
    assert "contract version exist" in fails(ledger.manage("UPGRADE_CONTRACT", parameters))
    lost = COUNTER.replace("count", "counts")
    refusal = fails(ledger.manage("UPGRADE_CONTRACT", install_parameters("counter", "3.0", lost.encode(), {})))
    assert 'name it in @migrate(drops=("count",))' in refusal
    assert ok(ledger.call("counter", "get")) == b"105"


def test_calls_between_contracts_stand_or_fall_together(ledger):
    counter = Contract.FromString(ok(ledger.install("counter", COUNTER.encode())))
    relay = Contract.FromString(ok(ledger.install("relay", RELAY.encode(), target=counter.address)))
    outer = Contract.FromString(ok(ledger.install("outer", RELAY.encode(), target=relay.address)))
    applied = ledger.seal(ledger.request("relay", "pass_on", {"amount": "60"}))
    result = applied.block.txs[0].result.contract_result
    assert result.result == b"60"
    assert [(event.contract_name, event.topic) for event in result.contract_event] == [
        ("counter", "Counted"),
        ("relay", "Relayed"),
    ]
    written = {(write.contract_name, write.key.decode()): write.value for write in applied.rw_sets[0].tx_writes}
    assert written["counter", "last"] == bytes.fromhex(
        relay.address.removeprefix("ZX")
    )  # the caller of an inner call is the contract
    assert ok(ledger.call("relay", "peek")) == b"60"
    assert "declined: enough" in fails(ledger.call("relay", "pass_on", {"amount": "60"}))
    assert ok(ledger.call("counter", "get")) == b"60"  # the inner write went with the outer call
    assert ok(ledger.call("outer", "again", {"amount": "1"})) == b"61"
    assert "the called contract failed" in fails(ledger.call("outer", "again", {"amount": "60"}))
    assert ledger.world.row("relay", "calls") == (2).to_bytes(8, "big")
    lonely = Contract.FromString(ok(ledger.install("lonely", RELAY.encode(), target="99" * 20)))
    assert "does not exist" in fails(ledger.call("lonely", "pass_on", {"amount": "1"}))
    itself = ledger.install("itself", RELAY.encode(), target=contract_of("itself", ledger))
    ok(itself)
    assert "already running" in fails(ledger.call("itself", "pass_on", {"amount": "1"}))
    ok(ledger.manage("FREEZE_CONTRACT", {"CONTRACT_NAME": "counter"}))
    assert "does not exist or does not run" in fails(ledger.call("relay", "pass_on", {"amount": "1"}))
    assert outer.address != lonely.address


def contract_of(name: str, ledger: Ledger) -> str:
    from changan.crypto.addresses import contract_address

    return contract_address(name, ledger.config.vm.addr_type)


def test_an_init_that_fails_installs_nothing(ledger):
    failing = RELAY.replace(
        "        self.target = target\n", '        self.target = target\n        require(False, "no")\n'
    )
    assert "declined: no" in fails(ledger.install("relay", failing.encode(), target="00" * 20))
    assert "relay" not in ledger.world.instances
    assert "target" in fails(ledger.install("relay", RELAY.encode()))


def test_reads_of_contract_manage(ledger):
    ok(ledger.install("counter", COUNTER.encode()))
    info = json.loads(ok(ledger.call("CONTRACT_MANAGE", "GET_CONTRACT_INFO", {"CONTRACT_NAME": "counter"})))
    assert set(info) <= {"name", "version", "runtime_type", "status", "creator", "address"}
    names = [entry["name"] for entry in json.loads(ok(ledger.call("CONTRACT_MANAGE", "GET_CONTRACT_LIST")))]
    assert names[0] == "CHAIN_CONFIG"
    assert names[-1] == "counter"
    code = ok(ledger.call("CONTRACT_MANAGE", "GET_CONTRACT_BYTECODE", {"CONTRACT_NAME": "counter"}))
    assert code == COUNTER.encode()


@pytest.mark.parametrize("contract", ["PRIVATE_COMPUTE", "DPOS_ERC20", "DPOS_STAKE", "GOVERNANCE", "RELAY_CROSS"])
def test_system_contracts_that_this_node_lacks_say_so(ledger, contract):
    result = ledger.call(contract, "ANYTHING", sender=ledger.consortium.admin(), endorsers=ledger.consortium.admins())
    assert fails(result).startswith("this node is one without ")
    assert f"{contract}-ANYTHING changed nothing" in fails(result)


def test_parameters_are_bounded(ledger):
    ledger.install("counter", COUNTER.encode())
    many = {f"p{n}": "1" for n in range(51)}
    assert ledger.call("counter", "add", many).code == TxStatusCode.INVALID_PARAMETER
    assert ledger.call("counter", "add", {"a b": "1"}).code == TxStatusCode.INVALID_PARAMETER
    huge = {"amount": b"1" * (11 * 1024 * 1024)}
    assert ledger.call("counter", "add", huge).code == TxStatusCode.INVALID_PARAMETER
    assert ok(ledger.call("counter", "add", {"amount": "1"})) == b"1"


def test_every_example_installs(ledger):
    needs = {"token": {"supply": "1"}, "asset": {"approver": "00" * 20}}
    for path in sorted(EXAMPLES.glob("[a-z]*.py")):
        ok(ledger.install(path.stem, **needs.get(path.stem, {})))
