"""What the rows of the table work with: whoever speaks, contracts and transactions made for this run, and what the chain says of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from chainmaker import ChainClientWithEndorsers
from chainmaker.protos.common.contract_pb2 import Contract
from chainmaker.protos.common.request_pb2 import Payload, TxType
from chainmaker.protos.common.result_pb2 import TxResponse
from chainmaker.protos.config.chain_config_pb2 import ChainConfig
from google.protobuf import json_format
from members import Members, Traced, done

RECEIVER = "11" * 20
ACCOUNT = "22" * 20
"""The gas account that rows fill and empty; a chain of ZXL addresses writes ZX before it."""
COUNTER = b"""from changan.contract import U64, Contract, call, view


class Counter(Contract):
    count: U64

    @call
    def increase(self) -> None:
        self.count += 1

    @view
    def get(self) -> U64:
        return self.count
"""


class Standing(NamedTuple):
    """What the chain says of itself, of which a row has to leave all but the contracts as it found it."""

    height: int
    archived_height: int
    config: ChainConfig
    contracts: tuple[Contract, ...]
    disabled: tuple[str, ...]
    gas: int
    chargeable: bool

    def traces(self, before: Standing) -> list[str]:
        """Return what is not as it was before."""
        names = ("archived_height", "disabled", "gas", "chargeable")
        changed = [name for name in names if getattr(self, name) != getattr(before, name)]
        return changed if _lasting(self.config) == _lasting(before.config) else ["config", *changed]


def _lasting(config: ChainConfig) -> dict:
    fields = json_format.MessageToDict(config)
    del fields["sequence"]  # it only grows
    return without_empty(fields)


def without_empty(fields: dict) -> dict:
    """Return fields without messages that hold nothing: one that is there says no more than one that is not."""
    kept = {name: without_empty(value) if isinstance(value, dict) else value for name, value in fields.items()}
    return {name: value for name, value in kept.items() if value != {}}


class World(Members):
    """Members, and things made on the chain to be used up."""

    def __init__(self, config: Path, contract: Path, package: Path) -> None:
        super().__init__(config)
        self.source = contract
        self.package = package
        self._kept: dict[str, object] = {}
        self._stood: Standing | None = None

    def keep(self, name: str, make):
        """Make a thing at its first use."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    # Gas

    @property
    def account(self) -> str:
        """ACCOUNT as the chain writes it."""
        return self._written(ACCOUNT)

    @property
    def other_account(self) -> str:
        """An account without gas."""
        return self._written("33" * 20)

    def _written(self, account: str) -> str:
        return f"ZX{account}" if self.national else account

    @property
    def gas_administrator(self) -> str:
        """The address of the client, who is made the gas administrator at the first use."""

        def appoint() -> str:
            done(self.real.set_gas_admin(self.real.address))
            return self.real.address

        return self.keep("gas administrator", appoint)

    # Contracts and transactions

    def endorsed(self, payload: Payload) -> list:
        return self.real.create_endorsers(payload, self.endorsers_config)

    def send(self, payload: Payload) -> TxResponse:
        """Send what a create_… method made, with the endorsements of all administrators."""
        if payload.tx_type == TxType.INVOKE_CONTRACT:
            return self.real.send_request_with_sync_result(payload, self.endorsed(payload), with_sync_result=True)
        return self.real.send_request(payload, self.endorsed(payload))

    def sent_last(self, _answer: object = None) -> TxResponse:
        """Wait for the transaction that the SDK sent last without waiting, and return how it ended."""
        tx_id = self.real._tx_records[-1].payload.tx_id
        result = self.lonely.get_sync_result(tx_id)
        return TxResponse(code=result.code, contract_result=result.contract_result, tx_id=tx_id)

    def install(self, name: str, code: bytes, runtime: str, **parameters: str) -> str:
        """Install a contract; return its name."""
        answer = self.send(self.real.create_contract_create_payload(name, "1.0", code, runtime, parameters))
        assert answer.code == 0, answer
        return name

    def contract(self, name: str) -> str:
        """Return the name of a token contract that is there from the first use on."""
        code = self.source.read_bytes()
        return self.keep(f"contract {name}", lambda: self.install(name, code, "DOCKER_GO", supply="1000000"))

    @property
    def token(self) -> str:
        return self.contract("conformance_token")

    @property
    def counter(self) -> str:
        return self.keep("counter", lambda: self.install("conformance_counter", COUNTER, "GO"))

    def status(self, name: str) -> tuple[str, int]:
        """Return a contract's version and status."""
        found = self.lonely.get_contract_info(name)
        return found.version, found.status

    def balance(self, account: str) -> int:
        return int(self.lonely.query_contract(self.token, "balance_of", {"who": account}).contract_result.result)

    def transfer(self, sender: ChainClientWithEndorsers | None = None) -> str:
        """Send one transaction; return its id."""
        client = sender or self.real
        answer = client.invoke_contract(self.token, "transfer", {"to": RECEIVER, "amount": "1"}, with_sync_result=True)
        assert answer.code == 0, answer
        return answer.tx_id

    def result_of(self, answer: TxResponse) -> TxResponse:
        """Wait for what was answered to be executed, and return how it ended."""
        assert answer.code == 0, answer
        result = self.lonely.get_sync_result(answer.tx_id)
        return TxResponse(code=result.code, contract_result=result.contract_result, tx_id=answer.tx_id)

    def sender_of_a_call(self, member: Traced) -> tuple[int, bytes]:
        """Let a member approve somebody; return under which type of member and which name the chain recorded it."""
        allowed = {"spender": RECEIVER, "amount": "1"}
        answer = member._client.invoke_contract(self.token, "approve", allowed, with_sync_result=True)
        assert answer.code == 0, answer
        signer = self.lonely.get_tx_by_tx_id(answer.tx_id).transaction.sender.signer
        return signer.member_type, signer.member_info

    def address_on_chain(self) -> str:
        """Return the address under which the sender of the known transfer acted, as the contract's event names it."""
        result = self.lonely.get_tx_by_tx_id(self.tx_id).transaction.result
        return self._written(result.contract_result.contract_event[0].event_data[0])

    def node_address(self) -> str:
        return self._settings["chain_client"]["nodes"][0]["node_addr"]

    @property
    def tx_id(self) -> str:
        """The id of a transaction that rests in a block."""
        return self.keep("tx", self.transfer)

    @property
    def height(self) -> int:
        return self.keep("height", lambda: self.lonely.get_block_height_by_tx_id(self.tx_id))

    @property
    def block_hash(self) -> str:
        return self.keep("hash", lambda: self.lonely.get_block_hash_by_height(self.height))

    def header(self, height: int):
        return self.lonely.get_block_header_by_height(height)

    def tip(self) -> int:
        return self.lonely.get_current_block_height()

    def config_now(self):
        return self.lonely.get_chain_config()

    def node_id(self) -> str:
        return self.config_now().consensus.nodes[0].node_id[0]

    def heights_a_second_apart(self) -> tuple[int, int]:
        """Return the first heights, one after the other, whose blocks carry different seconds."""
        before = self.lonely.get_block_header_by_height(0).block_timestamp
        for height in range(1, self.tip() + 1):
            now = self.lonely.get_block_header_by_height(height).block_timestamp
            if now != before:
                return height - 1, height
            before = now
        time.sleep(1)
        self.transfer()
        return self.tip() - 1, self.tip()

    def collected(self, subscribe) -> list:
        """Return what a subscription handed over until its stream ended."""
        found: list = []
        subscribe(found.append)
        return found

    def followed(self, subscribe) -> list:
        """The same, and a transaction is sent when the first message came, so that the stream has to bring its block."""
        found: list = []

        def take(message) -> None:
            found.append(message)
            if len(found) == 1:
                self.transfer()

        subscribe(take)
        return found

    # What must not change

    def standing(self) -> Standing:
        """Return how the chain stands; it is asked for its height alone where nothing came since it was asked last."""
        at = (self.tip(), self.lonely.get_archived_block_height())
        if self._stood is None or self._stood[:2] != at:
            self._stood = Standing(
                *at,
                self.config_now(),
                tuple(self.lonely.get_contract_list()),
                tuple(self.lonely.get_disabled_native_contract_list()),
                self.lonely.get_gas_balance(self.account),
                self.lonely.get_gas_account_status(self.account),
            )
        return self._stood

    def writes_since(self, height: int) -> list[str]:
        """Return the keys that the blocks above a height wrote."""
        return [
            f"{write.contract_name}/{write.key.decode('utf-8', 'replace')}"
            for above in range(height + 1, self.tip() + 1)
            for rw_set in self.lonely.get_block_by_height(above, True).rwset_list
            for write in rw_set.tx_writes
        ]
