"""What the rows of the table work with: clients, members made for this run, contracts, and what the chain says of them."""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from certificates import issue, make_authority
from chainmaker import ChainClientWithEndorsers
from chainmaker.protos.common.request_pb2 import EndorsementEntry, Payload, TxType
from chainmaker.protos.common.result_pb2 import TxResponse
from chainmaker.user import User
from chainmaker.utils import file_utils
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf import json_format

SYNC_S = 10  # the SDK asks for a transaction's result in a busy loop; so long at most
RECEIVER = "11" * 20
CERTIFICATES, KEYS, PUBLIC = "permissionedWithCert", "permissionedWithKey", "public"
"""The identity modes, as the SDK's configuration names them."""
ACCOUNT = "22" * 20
"""The gas account that rows fill and empty."""
STRANGERS = "wx-org9.chainmaker.org"
"""An organisation that is not of the chain, unless a row takes it in."""
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


class Traced:
    """A client that notes which of its methods a row of the table really called."""

    def __init__(self, client: ChainClientWithEndorsers, called: set[str]) -> None:
        self.__dict__.update(_client=client, _called=called)

    def __getattr__(self, name: str):
        self._called.add(name)
        return getattr(self._client, name)

    def __setattr__(self, name: str, value) -> None:
        setattr(self._client, name, value)


class Standing(NamedTuple):
    """What every row has to leave as it found it."""

    config: dict
    disabled: tuple[str, ...]
    archived_height: int
    gas: int
    chargeable: bool


def done(answer: TxResponse) -> TxResponse:
    """Return the answer to a request that succeeded."""
    assert (answer.code, answer.contract_result.code) == (0, 0), answer
    return answer


def without_empty(fields: dict) -> dict:
    """Return fields without messages that hold nothing: one that is there says no more than one that is not."""
    kept = {name: without_empty(value) if isinstance(value, dict) else value for name, value in fields.items()}
    return {name: value for name, value in kept.items() if value != {}}


class World:
    """What the rows of the table work with: clients, and things made on the chain to be used up."""

    def __init__(self, config: Path, contract: Path, package: Path) -> None:
        self.config = config
        self.source = contract
        self.package = package
        self.called: set[str] = set()
        self._settings = file_utils.load_yaml(config)
        self._user = user = self._settings["chain_client"]
        self.mode = user.get("auth_type", CERTIFICATES)
        self._scratch = tempfile.TemporaryDirectory(prefix="sdk-conformance-")
        self._members: dict[str, Traced] = {}
        self._kept: dict[str, object] = {}
        self.real = self._client(self.settings())
        self.cc = Traced(self.real, self.called)
        self.endorsers_config = self._settings["chain_client"]["endorsers"]
        authority = Path(self._settings["chain_client"]["nodes"][0]["trust_root_paths"][0])
        self.ca_cert, self.ca_key = authority / "ca.crt", authority / "ca.key"

    def close(self) -> None:
        self.real.stop()
        for member in self._members.values():
            member._client.stop()
        self._scratch.cleanup()

    def settings(self) -> dict:
        """Return the configuration as a dictionary of its own, for the SDK takes keys out of what it is given."""
        return copy.deepcopy(self._settings)

    def _client(self, settings: dict) -> ChainClientWithEndorsers:
        client = ChainClientWithEndorsers.from_conf(settings)
        client.disable_log()
        client._retry_timeout = SYNC_S
        return client

    def keep(self, name: str, make):
        """Make a thing at its first use."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    # Members

    @property
    def certificate(self) -> x509.Certificate:
        """The client's certificate, on a chain of certificates."""
        return x509.load_pem_x509_certificate(Path(self._user["user_sign_crt_file_path"]).read_bytes())

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The client's key, read here and not by the SDK."""
        data = Path(self._user["user_sign_key_file_path"]).read_bytes()
        return serialization.load_pem_private_key(data, None).public_key()

    @property
    def org(self) -> str:
        """The client's organisation, empty on a public chain."""
        return self._user.get("org_id", "")

    def organisation(self) -> str | None:
        """Return what the client has to say of its organisation: what its certificate says, where it has one."""
        if self.mode != CERTIFICATES:
            return self.org or None
        return self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value

    def member(self, name: str, *, registered: bool = True) -> Traced:
        """Return a client with a key of its own, made for this run, that may speak on the chain once it is registered."""
        if name not in self._members:
            settings = self.settings()
            certificate, key = self.issue(name)
            settings["chain_client"]["user_sign_key_file_path"] = str(key)
            if self.mode == CERTIFICATES:
                settings["chain_client"]["user_sign_crt_file_path"] = str(certificate)
            self._members[name] = Traced(self._client(settings), self.called)
            if self.mode == KEYS and registered:
                done(self.real.add_pubkey(self._members[name]._client.public_bytes.decode(), self.org, "CLIENT"))
        return self._members[name]

    def admin(self) -> Traced:
        """Return a client that is the first administrator, who may send what client1 may not."""
        if "admin" not in self._members:
            settings = self.settings()
            settings["chain_client"].update(settings["chain_client"]["endorsers"][0])
            self._members["admin"] = Traced(self._client(settings), self.called)
        return self._members["admin"]

    def authority(self) -> str:
        """Return the trust root of STRANGERS (PEM), made for this run: an authority's certificate, or the stranger's key."""
        if self.mode == KEYS:
            return self.stranger()._client.public_bytes.decode()
        return make_authority(Path(self._scratch.name) / "strangers-ca", STRANGERS)[0].read_text()

    def stranger(self) -> Traced:
        """Return a member of STRANGERS."""
        if "stranger" not in self._members:
            settings = self.settings()
            client = settings["chain_client"]
            certificate, key = self.strangers_files()
            client.update(org_id=STRANGERS, user_sign_key_file_path=str(key))
            if self.mode == CERTIFICATES:
                client.update(user_sign_crt_file_path=str(certificate))
            self._members["stranger"] = Traced(self._client(settings), self.called)
        return self._members["stranger"]

    def strangers_files(self) -> tuple[Path, Path]:
        """Return the files of the stranger's certificate and key."""
        authority = make_authority(Path(self._scratch.name) / "strangers-ca", STRANGERS)
        return issue(Path(self._scratch.name) / "stranger", "stranger", STRANGERS, authority)

    def lonely(self) -> ChainClientWithEndorsers:
        """Return the client's own user with nobody to endorse what it sends."""
        if "lonely" not in self._members:
            settings = self.settings()
            del settings["chain_client"]["endorsers"]
            self._members["lonely"] = Traced(self._client(settings), self.called)
        return self._members["lonely"]._client

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new client certificate and its key."""
        return issue(Path(self._scratch.name) / name, name, self.org, (self.ca_cert, self.ca_key))

    def pem(self, name: str) -> str:
        return self.issue(name)[0].read_text()

    def accepted(self, member: Traced) -> bool:
        """Whether the node lets this member ask; not when its certificate is frozen or revoked."""
        try:
            member._client.get_chain_info()
        except Exception as error:
            if "authentication failed" in str(error):
                return False
            raise
        return True

    def trust_root(self) -> str:
        """Return the trust root of the client's organisation (PEM): its authority's certificate, or its administrator's key."""
        return self.ca_cert.read_text() if self.mode == CERTIFICATES else self.administrator(1).public_bytes.decode()

    def administrator(self, number: int) -> User:
        """Return the administrator of the organisation with this number, from 1 on."""
        return self.real.endorsers[number - 1]

    # Gas

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
        result = self.real.get_sync_result(tx_id)
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
        found = self.real.get_contract_info(name)
        return found.version, found.status

    def balance(self, account: str) -> int:
        return int(self.real.query_contract(self.token, "balance_of", {"who": account}).contract_result.result)

    def transfer(self, sender: ChainClientWithEndorsers | None = None) -> str:
        """Send one transaction; return its id."""
        client = sender or self.real
        answer = client.invoke_contract(self.token, "transfer", {"to": RECEIVER, "amount": "1"}, with_sync_result=True)
        assert answer.code == 0, answer
        return answer.tx_id

    def result_of(self, answer: TxResponse) -> TxResponse:
        """Wait for what was answered to be executed, and return how it ended."""
        assert answer.code == 0, answer
        result = self.real.get_sync_result(answer.tx_id)
        return TxResponse(code=result.code, contract_result=result.contract_result, tx_id=answer.tx_id)

    def sender_of_a_call(self, member: Traced) -> tuple[int, bytes]:
        """Let a member approve somebody; return under which type of member and which name the chain recorded it."""
        allowed = {"spender": RECEIVER, "amount": "1"}
        answer = member._client.invoke_contract(self.token, "approve", allowed, with_sync_result=True)
        assert answer.code == 0, answer
        signer = self.real.get_tx_by_tx_id(answer.tx_id).transaction.sender.signer
        return signer.member_type, signer.member_info

    def address_on_chain(self) -> str:
        """Return the address under which the sender of the known transfer acted, as the contract's event names it."""
        result = self.real.get_tx_by_tx_id(self.tx_id).transaction.result
        return result.contract_result.contract_event[0].event_data[0]

    def signed(self, entry: EndorsementEntry, message: bytes) -> bool:
        """Whether the client of the configuration signed these bytes."""
        try:
            self.public_key.verify(entry.signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return entry.signer.org_id == self.org

    def node_address(self) -> str:
        return self._settings["chain_client"]["nodes"][0]["node_addr"]

    @property
    def tx_id(self) -> str:
        """The id of a transaction that rests in a block."""
        return self.keep("tx", self.transfer)

    @property
    def height(self) -> int:
        return self.keep("height", lambda: self.real.get_block_height_by_tx_id(self.tx_id))

    @property
    def block_hash(self) -> str:
        return self.keep("hash", lambda: self.real.get_block_hash_by_height(self.height))

    def header(self, height: int):
        return self.real.get_block_header_by_height(height)

    def tip(self) -> int:
        return self.real.get_current_block_height()

    def config_now(self):
        return self.real.get_chain_config()

    def node_id(self) -> str:
        return self.config_now().consensus.nodes[0].node_id[0]

    def heights_a_second_apart(self) -> tuple[int, int]:
        """Return the first heights, one after the other, whose blocks carry different seconds."""
        before = self.real.get_block_header_by_height(0).block_timestamp
        for height in range(1, self.tip() + 1):
            now = self.real.get_block_header_by_height(height).block_timestamp
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
        config = self.config_now()
        config.ClearField("sequence")  # it only grows
        return Standing(
            without_empty(json_format.MessageToDict(config)),
            tuple(self.real.get_disabled_native_contract_list()),
            self.real.get_archived_block_height(),
            self.real.get_gas_balance(ACCOUNT),
            self.real.get_gas_account_status(ACCOUNT),
        )

    def footprint(self) -> tuple:
        contracts = [contract.SerializeToString() for contract in self.real.get_contract_list()]
        return self.config_now().SerializeToString(), contracts

    def writes_since(self, height: int) -> list[str]:
        """Return the keys that the blocks above a height wrote."""
        return [
            f"{write.contract_name}/{write.key.decode('utf-8', 'replace')}"
            for above in range(height + 1, self.tip() + 1)
            for rw_set in self.real.get_block_by_height(above, True).rwset_list
            for write in rw_set.tx_writes
        ]
