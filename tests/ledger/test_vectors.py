"""Recorded chains of real nodes: what they hashed and signed must come out the same here."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from changan.crypto.digest import sha256
from changan.crypto.merkle import chainmaker_root
from changan.errors import UnverifiedError
from changan.ledger.chain_config import text_form
from changan.ledger.genesis import genesis_transaction
from changan.ledger.hashing import block_hash, dag_hash, rw_set_hash, transaction_hash
from changan.ledger.members import NO_RECORDS, Members
from changan.ledger.wire.messages import (
    DAG,
    BlockHeader,
    BlockInfo,
    BlockWithRWSet,
    ChainConfig,
    Transaction,
    TxRequest,
    TxRWSet,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "chainmaker"
LIVE = VECTORS / "live" / "cert"
FULL = sorted(LIVE.glob("*.full.bin"))
REQUESTS = sorted(LIVE.glob("*.txrequest.bin"))


def config() -> ChainConfig:
    return ChainConfig.FromString((LIVE / "chainconfig.genesis.bin").read_bytes())


def members() -> Members:
    return Members(config(), NO_RECORDS, sha256)


def check_block(block, rw_sets, digest=sha256) -> None:
    header = block.header
    assert header.tx_count == len(block.txs) == len(rw_sets)
    for tx, rw_set in zip(block.txs, rw_sets, strict=True):
        assert rw_set_hash(rw_set, digest) == tx.result.rw_set_hash
    assert chainmaker_root([tx.result.rw_set_hash for tx in block.txs], digest) == header.rw_set_root
    assert chainmaker_root([transaction_hash(tx, digest) for tx in block.txs], digest) == header.tx_root
    assert dag_hash(block.dag, digest) == header.dag_hash
    assert block_hash(header, digest) == header.block_hash


@pytest.mark.parametrize("path", FULL, ids=lambda path: path.name)
def test_live_blocks_decode_re_encode_and_re_hash(path):
    data = path.read_bytes()
    stored = BlockWithRWSet.FromString(data)
    assert stored.SerializeToString() == data
    check_block(stored.block, stored.txRWSets)


def test_a_block_of_ten_transactions_as_block_info():
    data = (LIVE / "multi.blockinfo.bin").read_bytes()
    info = BlockInfo.FromString(data)
    assert info.SerializeToString() == data
    assert len(info.block.txs) == 10
    check_block(info.block, info.rwset_list)


@pytest.mark.parametrize("path", [path for path in FULL if "genesis" not in path.name], ids=lambda path: path.name)
def test_live_senders_endorsers_and_proposers_verify(path):
    block = BlockWithRWSet.FromString(path.read_bytes()).block
    known, time = members(), block.header.block_timestamp
    proposer = known.identify(block.header.proposer, time)
    assert proposer.role == "CONSENSUS"
    proposer.key.verify(block.header.block_hash, block.header.signature, proposer.signature_hash)
    for tx in block.txs:
        signed = tx.payload.SerializeToString()
        for entry in [tx.sender, *tx.endorsers]:
            assert known.authenticate(entry, signed, time).org_id == entry.signer.org_id
            entry.signer.org_id = "wx-org9.chainmaker.org"
            with pytest.raises(UnverifiedError):
                known.authenticate(entry, signed, time)


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.name)
def test_live_requests_verify_and_any_change_does_not(path):
    data = path.read_bytes()
    request = TxRequest.FromString(data)
    assert request.SerializeToString() == data
    known, time = members(), request.payload.timestamp
    signed = request.payload.SerializeToString()
    for entry in [request.sender, *request.endorsers]:
        known.authenticate(entry, signed, time)
        with pytest.raises(UnverifiedError):
            known.authenticate(entry, signed + b"\x00", time)
        with pytest.raises(UnverifiedError):
            known.authenticate(entry, signed, time + 30 * 365 * 86400)


def test_genesis_comes_out_as_the_real_node_made_it():
    stored = BlockWithRWSet.FromString((LIVE / "genesis.full.bin").read_bytes())
    transaction, rw_set, _ = genesis_transaction(config())
    assert transaction.SerializeToString() == stored.block.txs[0].SerializeToString()
    assert rw_set.SerializeToString() == stored.txRWSets[0].SerializeToString()


def test_the_text_form_of_a_configuration_is_the_recorded_one():
    stored = BlockWithRWSet.FromString((LIVE / "genesis.full.bin").read_bytes())
    assert stored.block.txs[0].payload.parameters[0].value.decode() == text_form(config())


# Dumps in JSON, as Go prints them


def from_json(kind, data):
    """Go's JSON: bytes in base64, enums as numbers, null for what is empty."""

    def value(field, item):
        if field.message_type is not None:
            return message(field.message_type._concrete_class, item)
        if field.type == field.TYPE_BYTES:
            return base64.b64decode(item)
        return item

    def message(cls, data):
        made = cls()
        fields = {**made.DESCRIPTOR.fields_by_name, **made.DESCRIPTOR.fields_by_camelcase_name}
        for name, item in (data or {}).items():
            field = fields.get(name)
            if field is None or item is None:
                continue
            if field.is_repeated:
                getattr(made, field.name).extend(value(field, one) for one in item)
            elif field.message_type is not None:
                getattr(made, field.name).CopyFrom(value(field, item))
            else:
                setattr(made, field.name, value(field, item))
        return made

    return message(kind, data)


def dump(name: str):
    path = VECTORS / name
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_text(encoding="utf-8"))


def test_a_dumped_block_re_hashes():
    data = dump("block-height2-erc20-install.json")
    header = from_json(BlockHeader, data["block"]["header"])
    transaction = from_json(Transaction, data["block"]["txs"][0])
    rw_set = from_json(TxRWSet, data["rwset_list"][0])
    assert rw_set_hash(rw_set, sha256) == transaction.result.rw_set_hash == header.rw_set_root
    assert transaction.result.contract_result.gas_used == 29853
    assert transaction_hash(transaction, sha256) == header.tx_root
    assert transaction.result.contract_result.gas_used == 29853  # hashing left it as it was
    assert block_hash(header, sha256) == header.block_hash
    assert from_json(Transaction, dump("tx-erc20-install.json")).payload == transaction.payload


def test_a_dumped_genesis_re_hashes():
    data = dump("genesis-tbft-4-orgs.json")
    header = from_json(BlockHeader, data["block"]["header"])
    transaction = from_json(Transaction, data["block"]["txs"][0])
    rw_set = from_json(TxRWSet, data["txRWSets"][0])
    assert rw_set_hash(rw_set, sha256) == transaction.result.rw_set_hash == header.rw_set_root
    assert transaction_hash(transaction, sha256) == header.tx_root
    assert block_hash(header, sha256) == header.block_hash
    assert dag_hash(from_json(DAG, data["block"]["dag"]), sha256) == header.dag_hash


def test_dumped_blocks_whose_bytecode_was_left_out_re_hash_in_all_but_that():
    data = dump("block-bytecode-elided.json.gz")
    header = from_json(BlockHeader, data["block"]["header"])
    assert block_hash(header, sha256) == header.block_hash
    transactions = [from_json(Transaction, item) for item in data["block"]["txs"]]
    assert chainmaker_root([tx.result.rw_set_hash for tx in transactions], sha256) == header.rw_set_root


def test_the_certificate_hash_of_a_sender_is_the_recorded_one():
    block = BlockWithRWSet.FromString((LIVE / "native.full.bin").read_bytes()).block
    member = block.txs[0].sender.signer
    identity = members().identify(member, block.header.block_timestamp)
    der = x509.load_pem_x509_certificate(member.member_info).public_bytes(Encoding.DER)
    assert identity.certificate_hash == sha256(der).hex()
    assert (identity.role, identity.org_id) in {("ADMIN", member.org_id), ("CLIENT", member.org_id)}
