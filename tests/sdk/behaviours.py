"""What the SDK does that a node has to live with (C4 of the record), the scenario of the record's proof (F), runtime types."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator

from chainmaker import ChainClientWithEndorsers, exceptions
from chainmaker.keys import RechargeGasItem
from chainmaker.protos.common.request_pb2 import TxType
from chainmaker.utils.common import gen_rand_tx_id
from members import CERTIFICATES, done
from world import COUNTER, World

MASK = "该交易违规，内容已屏蔽。"
"""What the real node shows in the place of a black-listed transaction's content."""
CONTRACT_KEYS = {"name", "version", "runtime_type", "status", "creator", "address"}
CREATOR_KEYS = {"org_id", "member_type", "member_info", "member_id", "role", "uid"}
RUNTIMES = {"WASMER": 2, "WXVM": 3, "GASM": 4, "EVM": 5, "DOCKER_GO": 6, "DOCKER_JAVA": 7, "GO": 6}


@contextlib.contextmanager
def polls_counted(client: ChainClientWithEndorsers) -> Iterator[list[str]]:
    """Count how often the SDK asks for a transaction's result."""
    asked: list[str] = []
    ask = client._get_tx_by_tx_id

    def counted(tx_id: str):
        asked.append(tx_id)
        return ask(tx_id)

    client._get_tx_by_tx_id = counted
    try:
        yield asked
    finally:
        del client._get_tx_by_tx_id


@contextlib.contextmanager
def refused(kind: type[Exception], words: str) -> Iterator[None]:
    """Demand that what stands inside is refused, with an exception of this very kind, in these words."""
    try:
        yield
    except Exception as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        assert words in str(error), str(error)
        return
    raise AssertionError(f"nothing was refused, expected {kind.__name__}")


def one_question_a_transaction(world: World) -> str:
    """The query for a result, which the SDK repeats without a pause, is held until the transaction rests."""
    counts = []
    for _ in range(10):
        with polls_counted(world.real) as asked:
            world.transfer()
        counts.append(len(asked))
    assert set(counts) == {1}, counts
    return f"one question in each of {len(counts)} calls"


def an_unknown_transaction_is_no_success(world: World) -> str:
    """An unknown transaction is an error: an empty answer would end the SDK's polling as a success."""
    unknown = gen_rand_tx_id()
    with refused(exceptions.ContractFail, "no such transaction"):
        world.real.get_tx_by_tx_id(unknown)
    with refused(exceptions.GetTxTimeoutError, "timeout"):
        world.real.get_sync_result(unknown, retry_timeout=0.05)
    return "code 4, `no such transaction`"


def calls_wait_for_their_outcome(world: World) -> str:
    """Calls wait for their outcome unless they are told not to."""
    answer = world.real.invoke_contract(world.token, "transfer", {"to": "12" * 20, "amount": "1"})
    assert answer.contract_result.gas_used > 0, answer
    assert world.balance("12" * 20) == 1
    return "the answer carries the result"


def a_limit_may_be_forgotten(world: World) -> str:
    """A call is executed with a gas limit and without: the SDK's first attempt forgets it."""
    for limit in (None, 1_000_000):
        answer = world.real.invoke_contract(
            world.token, "transfer", {"to": "13" * 20, "amount": "1"}, gas_limit=limit, with_sync_result=True
        )
        assert answer.code == 0, answer
    assert world.balance("13" * 20) == 2
    return "executed with and without"


def parameters_in_a_list_are_lost(world: World) -> str:
    """Parameters in a list are lost in the SDK; the answer says which one is missing."""
    with refused(exceptions.ContractFail, "need [blockHeight]"):
        given = [{"key": "blockHeight", "value": "0"}]
        world.real.query_system_contract("CHAIN_QUERY", "GET_BLOCK_BY_HEIGHT", given)
    return "the missing parameter is named"


def refusals_are_understood(world: World) -> str:
    """Refusals have the words by which the SDK picks its exception."""
    client = world.real
    with refused(exceptions.EndorsementNotEnoughError, "3 valid endorsements required"):
        world.lonely.send_request(world.lonely.create_chain_config_core_update_payload(20, 20))
    with refused(exceptions.ForbiddenAccessError, "is forbidden to access"):
        client.chain_config_alter_addr_type("ZXL")
    with refused(exceptions.AuthenticationError, "authentication fail"):
        client.archive_block(1)
    with refused(exceptions.InvalidContractParameterContractName, "contractName not found"):
        client.query_contract("nobody", "any")
    answer = client.create_contract("refused", b"\0asm\1\0\0\0", "WASMER", version="1.0")
    assert answer.code == 4, answer
    assert "contract initial fail" in answer.contract_result.message, answer
    assert client.get_contract_info("refused") is None
    return "each becomes the exception that is meant for it"


def every_outcome_has_a_code_the_sdk_knows(world: World) -> str:
    """No outcome has a code that makes the SDK raise TypeError (40, 41, 43 to 50)."""
    seen = set()
    for height in range(world.tip() + 1):
        for tx in world.lonely.get_block_by_height(height).block.txs:
            seen.add(tx.result.code)
    known = {0, *exceptions.TX_RESPONSE_ERROR_MAP}
    assert seen <= known, seen - known
    return f"codes seen: {sorted(seen)}"


def many_channels_are_served(world: World) -> str:
    """Ten channels a node are served."""
    channels = world.real._pool.pool[0]
    for _ in range(2 * len(channels)):
        assert world.real.get_chainmaker_server_version()
    return f"{len(channels)} channels"


def large_messages_are_taken(world: World) -> str:
    """Messages beyond gRPC's usual 4 MB are taken."""
    large = "5" * (6 * 1024 * 1024)
    with refused(exceptions.ContractFail, "bad argument"):
        world.real.query_contract(world.token, "balance_of", {"who": large})
    return "a request of 6 MiB is judged by its content"


def contracts_have_the_keys_that_the_sdk_knows(world: World) -> str:
    """Contracts are described by the keys that the SDK accepts, without values that are zero."""
    listed = json.loads(world.real.query_system_contract("CONTRACT_MANAGE", "GET_CONTRACT_LIST").contract_result.result)
    for contract in listed:
        assert contract.keys() <= CONTRACT_KEYS, contract
        assert contract.get("creator", {}).keys() <= CREATOR_KEYS, contract
        assert all([*contract.values(), *contract.get("creator", {}).values()]), contract
    return f"{len(listed)} contracts"


def a_hash_that_is_not_on_chain_is_an_empty_entry(world: World) -> str:
    """A certificate that is not on the chain is an empty entry, so that enabling short hashes works at once."""
    member = world.member("hash_at_once")._client
    assert [info.cert for info in member.query_cert().cert_infos] == [b""]
    assert member.enable_cert_hash() is True
    return "enable_cert_hash() is true at the first call"


def what_is_not_there_is_none(world: World) -> str:
    """What is not there is None to get_contract_info and query_cert_alias."""
    assert world.real.get_contract_info("nobody") is None
    assert world.real.query_cert_alias(["nobody"]) is None
    return "get_contract_info and query_cert_alias"


def superfluous_endorsements_do_no_harm(world: World) -> str:
    """Endorsements that nobody asked for do no harm: the SDK attaches them to queries too."""
    request = world.real._generate_tx_request(
        world.real._payload_builder.create_query_payload("CHAIN_CONFIG", "GET_CHAIN_CONFIG")
    )
    request.endorsers.extend(world.real._create_endorsers(request.payload))
    request.endorsers[0].signature = b"no signature at all"
    assert request.payload.tx_type == TxType.QUERY_CONTRACT
    assert world.real._get_client().SendRequest(request).code == 0
    return "a query is answered, whatever endorses it"


def the_scenario_of_the_proof(world: World) -> str:
    """One new client in one go: version, configuration, call, query, transaction, block, contracts, pool, subscriptions."""
    client = ChainClientWithEndorsers.from_conf(str(world.config))
    try:
        assert client.get_chainmaker_server_version()
        assert client.get_chain_config().chain_id == client.chain_id
        answer = client.invoke_contract(world.token, "transfer", {"to": "14" * 20, "amount": "2"})
        assert client.query_contract(world.token, "balance_of", {"who": "14" * 20}).contract_result.result == b"2"
        found = client.get_tx_with_rwset_by_tx_id(answer.tx_id)
        assert len(found.rw_set.tx_writes) == 2
        assert client.get_block_by_height(found.block_height).block.header.block_hash == found.block_hash
        assert world.token in {contract.name for contract in client.get_contract_list()}
        assert world.install("of_the_proof", COUNTER, "DOCKER_GO") == "of_the_proof"
        assert client.get_pool_status().common_tx_pool_size > 0
        assert client.get_consensus_height() >= found.block_height
        at = found.block_height
        blocks = world.collected(lambda take: client.subscribe_block(at, at, callback=take))
        assert [info.block.header.block_hash for info in blocks] == [found.block_hash]
        events = world.collected(lambda take: client.subscribe_contract_event(at, at, "", world.token, callback=take))
        assert [event.tx_id for message in events for event in message.contract_events] == [answer.tx_id]
        assert world.national or len(client.cert_hash) == (64 if world.mode == CERTIFICATES else 0)
        assert client.addr_type.value == world.config_now().vm.addr_type
        assert client.address == world.address_on_chain()
    finally:
        client.stop()
    return "every step"


def python_is_recognised_by_its_bytes(world: World) -> str:
    """A Python contract is recognised by its bytes under every runtime type of the SDK, as source and as package."""
    forms = {"source": world.source.read_bytes(), "package": world.package.read_bytes()}
    for runtime, recorded in RUNTIMES.items():
        for form, code in forms.items():
            sent = code.hex().encode() if runtime == "EVM" else code  # the SDK takes bytecode of the EVM as hex
            name = world.install(f"as_{runtime}_{form}", sent, runtime, supply="9")
            assert world.real.invoke_contract(name, "transfer", {"to": "15" * 20, "amount": "4"}).code == 0
            left = world.real.query_contract(name, "balance_of", {"who": world.real.address})
            assert left.contract_result.result == b"5", left
            assert world.real.get_contract_info(name).runtime_type == recorded
    for runtime in ("INVALID", "NATIVE"):
        answer = world.real.create_contract(f"as_{runtime}", COUNTER, runtime, version="1.0")
        assert answer.code == 4, answer
        assert runtime in answer.contract_result.message, answer
        assert world.real.get_contract_info(f"as_{runtime}") is None
    return f"{', '.join(RUNTIMES)}: source and package; INVALID and NATIVE are refused"


def gas_is_paid_where_it_is_on(world: World) -> str:
    """With gas on, the sender pays what a call used; the SDK's create_contract raises, what it is made of works."""
    client, payer = world.real, world.gas_administrator
    given = {"to": "16" * 20, "amount": "3"}
    done(client.recharge_gas([RechargeGasItem(payer, 3_000_000)]))
    done(client.chain_config_enable_or_disable_gas())
    try:
        answer = client.invoke_contract(world.token, "transfer", given)
        assert "gas limit is not enough, [limit:0]" in answer.contract_result.message, answer
        before = client.get_gas_balance(payer)
        used = done(client.invoke_contract(world.token, "transfer", given, gas_limit=500_000)).contract_result.gas_used
        assert 0 < used == before - client.get_gas_balance(payer)
        assert world.balance("16" * 20) == 3
        with refused(AttributeError, "gas_limit"):
            client.create_contract("paid", COUNTER, "GO", version="1.0", gas_limit=1_000_000)
        made = client.create_contract_create_payload("paid", "1.0", COUNTER, "GO", {})
        done(world.send(client.attach_gas_limit(made, 1_000_000)))
        assert world.status("paid") == ("1.0", 0)
    finally:
        done(client.chain_config_enable_or_disable_gas())
        done(client.refund_gas(payer, client.get_gas_balance(payer)))
    return "a call, and an installation"


def what_is_black_listed_is_shown_to_nobody(world: World) -> str:
    """A transaction on the black list of TRANSACTION_MANAGER, for which the SDK has no method, keeps its content for itself."""
    client = world.real
    tx_id = done(client.invoke_system_contract("T", "P", {"k": "listed", "v": "secret"}, with_sync_result=True)).tx_id
    listed = {"txIds": tx_id}
    assert world.gas_administrator == client.address  # who alone may list
    done(client.invoke_system_contract("TRANSACTION_MANAGER", "ADD_BLACKLIST_TX_IDS", listed, with_sync_result=True))
    hidden = client.get_tx_by_tx_id(tx_id)
    in_block = client.get_block_by_height(hidden.block_height).block.txs[0].payload
    assert (hidden.transaction.payload.contract_name, in_block.contract_name) == (MASK, MASK), hidden
    assert not [*hidden.transaction.payload.parameters, *in_block.parameters]
    done(client.invoke_system_contract("TRANSACTION_MANAGER", "DELETE_BLACKLIST_TX_IDS", listed, with_sync_result=True))
    shown = client.get_tx_by_tx_id(tx_id).transaction.payload.parameters
    assert {parameter.key: parameter.value for parameter in shown} == {"k": b"listed", "v": b"secret"}
    return "neither alone nor in its block, until it is taken off"


BEHAVIOURS: tuple[Callable[[World], str], ...] = (
    one_question_a_transaction,
    an_unknown_transaction_is_no_success,
    calls_wait_for_their_outcome,
    a_limit_may_be_forgotten,
    parameters_in_a_list_are_lost,
    refusals_are_understood,
    many_channels_are_served,
    large_messages_are_taken,
    contracts_have_the_keys_that_the_sdk_knows,
    a_hash_that_is_not_on_chain_is_an_empty_entry,
    what_is_not_there_is_none,
    superfluous_endorsements_do_no_harm,
    the_scenario_of_the_proof,
    python_is_recognised_by_its_bytes,
    gas_is_paid_where_it_is_on,
    what_is_black_listed_is_shown_to_nobody,
    every_outcome_has_a_code_the_sdk_knows,
)


OF_CERTIFICATES = (a_hash_that_is_not_on_chain_is_an_empty_entry,)
BUT_ON_SM2 = (
    large_messages_are_taken,  # the SDK's own SM3 needs half a minute for each signature of one
    a_hash_that_is_not_on_chain_is_an_empty_entry,  # the SDK has no hash of such a certificate
)


def drive_behaviours(world: World) -> list[dict[str, str]]:
    """Try each behaviour; return what each of them showed, or how it failed."""
    answers = []
    for behaviour in BEHAVIOURS:
        if behaviour in OF_CERTIFICATES and world.mode != CERTIFICATES:
            continue
        if behaviour in BUT_ON_SM2 and world.national:
            continue
        began = time.monotonic()
        sentence = (behaviour.__doc__ or "").strip()
        try:
            verdict, note = "works", behaviour(world)
        except Exception as error:
            verdict, note = "FAIL", f"{type(error).__name__}: {error}"[:1500]
        seconds = f"{time.monotonic() - began:.2f}"
        answers.append(
            {
                "behaviour": behaviour.__name__,
                "sentence": sentence,
                "verdict": verdict,
                "note": note,
                "seconds": seconds,
            }
        )
    return answers
