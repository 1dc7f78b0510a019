"""The recorded chain of a real node once more: against the facts that an independent checker noted, and against our rules."""

from __future__ import annotations

import hashlib
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from test_vectors import FULL, LIVE, REQUESTS, config, dump, from_json, members

from changan.crypto.addresses import contract_address
from changan.crypto.digest import sha256
from changan.crypto.keys import PublicKey
from changan.crypto.merkle import Place, chainmaker_path, chainmaker_root, chainmaker_verify
from changan.errors import UnverifiedError
from changan.ledger.admission import authenticate, check_form, request_of
from changan.ledger.hashing import block_hash, dag_hash, ordered_dag, rw_set_hash, transaction_hash
from changan.ledger.policy import Policies
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import (
    BlockHeader,
    BlockWithRWSet,
    ChainConfig,
    Contract,
    Transaction,
    TxRequest,
)

NOTED = (LIVE / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"- block_hash (\S+); pre_block_hash (\S*); block_type (\d); tx_count (\d+)\n"
    r"- tx_root (\S+); rw_set_root (\S+); dag_hash (\S+) \(dag (\[.*\])\)\n"
)
TX = re.compile(r"- tx (\d+): (\S+) code (\d+) gas (\d+) events (\d+); tx hash (\S+); rw_set_hash (\S+)\n")


def stored(name: str) -> BlockWithRWSet:
    return BlockWithRWSet.FromString((LIVE / f"{name}.full.bin").read_bytes())


def noted(name: str, notes: str = NOTED) -> str:
    """The section of the notes on one file."""
    return next(part for part in notes.split("\n## ") if part.startswith(f"{name}.full.bin "))


@pytest.mark.parametrize("name", [path.name.removesuffix(".full.bin") for path in FULL])
def test_every_field_is_the_one_the_independent_checker_noted(name):
    check_noted(noted(name), stored(name), sha256)


def check_noted(text: str, recorded: BlockWithRWSet, digest) -> None:
    block = recorded.block
    header = block.header
    facts = BLOCK.search(text)
    assert facts is not None
    told = (block_hash(header, digest).hex(), header.pre_block_hash.hex(), str(header.block_type), str(header.tx_count))
    assert told == facts.groups()[:4]
    assert header.block_height == int(re.search(r"height (\d+)\)", text)[1])
    leaves = [transaction_hash(tx, digest) for tx in block.txs]
    sets = [rw_set_hash(rw_set, digest) for rw_set in recorded.txRWSets]
    roots = (chainmaker_root(leaves, digest), chainmaker_root(sets, digest), dag_hash(block.dag, digest))
    assert tuple(root.hex() for root in roots) == facts.groups()[4:7]
    assert str([list(vertex.neighbors) for vertex in block.dag.vertexes]) == facts[8]
    transactions = TX.findall(text)
    assert len(transactions) == len(block.txs) == len(leaves)
    for (number, call, code, gas, events, tx_hash, set_hash), tx in zip(transactions, block.txs, strict=True):
        result = tx.result.contract_result
        assert f"{tx.payload.contract_name}.{tx.payload.method}" == call
        assert [tx.result.code, result.gas_used, len(result.contract_event)] == [int(code), int(gas), int(events)]
        assert leaves[int(number)].hex() == tx_hash
        assert sets[int(number)].hex() == tx.result.rw_set_hash.hex() == set_hash


def test_recorded_blocks_follow_each_other():
    at = {stored(path.name.removesuffix(".full.bin")).block.header.block_height: path for path in FULL}
    headers = {height: BlockWithRWSet.FromString(path.read_bytes()).block.header for height, path in at.items()}
    linked = [height for height in headers if height + 1 in headers]
    assert {2, 91, 92} <= set(linked)
    for height in linked:
        assert headers[height + 1].pre_block_hash == headers[height].block_hash
        configuration = height if headers[height].block_type == 1 else headers[height].pre_conf_height
        assert headers[height + 1].pre_conf_height == configuration


def independent_root(leaves: list[bytes]) -> bytes:
    """The rule read from the top: the left half is the largest power of two; what is missing on the right doubles the left."""

    def node(at: int, width: int) -> bytes | None:
        if at >= len(leaves):
            return None
        if width == 1:
            return leaves[at]
        left, right = node(at, width // 2), node(at + width // 2, width // 2)
        return hashlib.sha256(left + (left if right is None else right)).digest()

    return node(0, 1 << (len(leaves) - 1).bit_length())


def test_the_tree_over_many_recorded_transactions():
    block = stored("multi").block
    leaves = [transaction_hash(tx, sha256) for tx in block.txs]
    assert len(leaves) == 10
    assert independent_root(leaves) == block.header.tx_root
    sets = [tx.result.rw_set_hash for tx in block.txs]
    assert independent_root(sets) == block.header.rw_set_root
    for at, leaf in enumerate(leaves):
        path = chainmaker_path(leaves, at, sha256)
        assert chainmaker_verify(leaf, Place(at, len(leaves)), path, block.header.tx_root, sha256)
        wrong = leaves[at - 1]
        assert not chainmaker_verify(wrong, Place(at, len(leaves)), path, block.header.tx_root, sha256)


def test_the_tree_over_more_transactions_than_were_recorded():
    """Hashes of recorded transactions, in blocks of every size up to 200."""
    block = stored("multi").block
    known = [transaction_hash(tx, sha256) for tx in block.txs]
    leaves = [hashlib.sha256(known[n % 10] + bytes([n])).digest() for n in range(200)]
    for count in range(1, len(leaves) + 1):
        assert chainmaker_root(leaves[:count], sha256) == independent_root(leaves[:count])


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.name)
def test_recorded_requests_are_admitted_and_stand_in_their_blocks_as_sent(path):
    request = TxRequest.FromString(path.read_bytes())
    known = members()
    policies = Policies(config(), known.voters)
    check_form(request)
    admitted = authenticate(request, known, policies, request.payload.timestamp, 0)
    assert admitted.sender.org_id == request.sender.signer.org_id
    block = stored(path.name.removesuffix(".txrequest.bin")).block
    assert [request_of(tx).SerializeToString() for tx in block.txs] == [path.read_bytes()]


def test_genesis_is_the_recorded_block_but_for_what_is_our_own():
    recorded = stored("genesis")
    _, ours = apply_genesis(config())
    assert recorded.block.txs[0] == ours.block.txs[0]
    assert recorded.block.dag == ours.block.dag
    assert list(recorded.txRWSets) == ours.rw_sets
    header = BlockHeader.FromString(ours.block.header.SerializeToString())
    assert header.consensus_args  # roots over outcomes, rows and state, which ChainMaker's genesis does not have
    header.ClearField("consensus_args")
    header.block_hash = block_hash(header, sha256)
    assert header == recorded.block.header
    assert ordered_dag(1) == recorded.block.dag


def test_default_policies_are_the_recorded_ones():
    recorded = ChainConfig.FromString((LIVE / "permission_list.bin").read_bytes())
    ours = Policies(config(), members().voters).rules
    theirs = {entry.resource_name: entry.policy for entry in recorded.resource_policies}
    # The SDK can ask for a change of consensus, which 2.3.7 does not know: nobody may, without the majority.
    assert ours.keys() - theirs.keys() == {"CHAIN_CONFIG-CONSENSUS_SWITCH"}
    for name, policy in theirs.items():
        assert ours[name].to_wire() == policy, name


@pytest.mark.parametrize("name", ["chainconfig.genesis.bin", "chainconfig.after_update.bin"])
def test_configurations_re_encode_to_the_same_bytes(name):
    data = (LIVE / name).read_bytes()
    assert ChainConfig.FromString(data).SerializeToString() == data


def test_an_installed_contract_is_recorded_as_we_would():
    tx = stored("evm_install").block.txs[0]
    record = Contract.FromString(tx.result.contract_result.result)
    sender = members().identify(tx.sender.signer, tx.payload.timestamp)
    assert record.address == contract_address(record.name, config().vm.addr_type)
    assert record.creator == sender.full_member(tx.sender.signer)
    written = {write.key.decode() for write in stored("evm_install").txRWSets[0].tx_writes}
    assert {f"Contract:{record.name}", f"Contract:{record.address}", f"ContractByteCode:{record.name}"} <= written


def test_the_signatures_of_the_dumped_block():
    """Members of another consortium: their certificates stand in the block, or in no place at all."""
    data = dump("block-height2-erc20-install.json")
    header = from_json(BlockHeader, data["block"]["header"])
    tx = from_json(Transaction, data["block"]["txs"][0])
    signed = tx.payload.SerializeToString()
    checked = [(header.proposer, header.block_hash, header.signature)]
    checked += [(entry.signer, signed, entry.signature) for entry in tx.endorsers]
    assert len(checked) == 4
    for member, message, signature in checked:
        certificate = x509.load_pem_x509_certificate(member.member_info)
        der = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key = PublicKey.from_der(der)
        key.verify(message, signature, certificate.signature_hash_algorithm.name.upper())
        with pytest.raises(UnverifiedError):
            key.verify(message + b"\x00", signature, certificate.signature_hash_algorithm.name.upper())
