"""Recorded chains whose members are keys: every hash and signature of the real node comes out the same here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_vectors import VECTORS, check_block

from changan.crypto.digest import sha256
from changan.crypto.node_ids import base58
from changan.errors import UnverifiedError
from changan.ledger.admission import authenticate, check_form, request_of
from changan.ledger.key_members import KeyMembers, key_row
from changan.ledger.policy import Policies
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import BlockInfo, BlockWithRWSet, ChainConfig, MemberType, PKInfo, TxRequest

MODES = ("pwk", "pk")
FULL = [path for mode in MODES for path in sorted((VECTORS / "live" / mode).glob("*.full.bin"))]
REQUESTS = [path for mode in MODES for path in sorted((VECTORS / "live" / mode).glob("*.txrequest.bin"))]


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def stored(path: Path) -> BlockWithRWSet:
    return BlockWithRWSet.FromString(path.read_bytes())


def config(mode: str, name: str = "genesis") -> ChainConfig:
    return ChainConfig.FromString((VECTORS / "live" / mode / f"chainconfig.{name}.bin").read_bytes())


def members(mode: str) -> KeyMembers:
    """The members of a recorded chain, with those clients that its requests show to be registered."""
    registered = {}
    if mode == "pwk":
        known = KeyMembers(config(mode), {}, sha256)
        for path in REQUESTS:
            sender = TxRequest.FromString(path.read_bytes()).sender.signer
            if path.parent.name == mode:
                try:
                    known.identify(sender, 0)
                except UnverifiedError:
                    key = KeyMembers(config("pk"), {}, sha256).identify(_open(sender), 0).key
                    registered[key_row(key)] = PKInfo(pk_bytes=key.der, role="CLIENT", org_id=sender.org_id)
    return KeyMembers(config(mode), registered, sha256)


def _open(member):
    """The same key as a member of a public chain."""
    copy = type(member).FromString(member.SerializeToString())
    copy.org_id, copy.member_type = "", MemberType.PUBLIC_KEY
    return copy


@pytest.mark.parametrize("path", FULL, ids=named)
def test_blocks_decode_re_encode_and_re_hash(path):
    block = stored(path)
    assert block.SerializeToString() == path.read_bytes()
    check_block(block.block, block.txRWSets)
    facts = (path.parent / "README.md").read_text(encoding="utf-8")
    section = facts.partition(f"## {path.name} ")[2].partition("\n## ")[0]
    assert re.search(r"block_hash ([0-9a-f]{64})", section)[1] == block.block.header.block_hash.hex()


@pytest.mark.parametrize("mode", MODES)
def test_a_block_as_block_info(mode):
    data = (VECTORS / "live" / mode / "genesis.blockinfo.bin").read_bytes()
    info = BlockInfo.FromString(data)
    assert info.SerializeToString() == data
    check_block(info.block, info.rwset_list)


@pytest.mark.parametrize("path", [path for path in FULL if "genesis" not in path.name], ids=named)
def test_senders_endorsers_and_proposers_verify(path):
    block, known = stored(path).block, members(path.parent.name)
    time = block.header.block_timestamp
    proposer = known.identify(block.header.proposer, time)
    assert proposer.role == "CONSENSUS"  # the id of a node is that of its key
    proposer.key.verify(block.header.block_hash, block.header.signature, proposer.signature_hash)
    for tx in block.txs:
        signed = tx.payload.SerializeToString()
        for entry in [tx.sender, *tx.endorsers]:
            known.authenticate(entry, signed, time)
            with pytest.raises(UnverifiedError):
                known.authenticate(entry, signed + b"\x00", time)


@pytest.mark.parametrize("path", REQUESTS, ids=named)
def test_requests_are_admitted_and_stand_in_their_blocks_as_sent(path):
    request = TxRequest.FromString(path.read_bytes())
    assert request.SerializeToString() == path.read_bytes()
    mode = path.parent.name
    known = members(mode)
    check_form(request)
    admitted = authenticate(request, known, Policies(config(mode), known.voters), request.payload.timestamp, 0)
    assert admitted.sender.org_id == request.sender.signer.org_id
    block = stored(path.with_name(path.name.replace(".txrequest.", ".full."))).block
    assert [request_of(tx).SerializeToString() for tx in block.txs] == [path.read_bytes()]


@pytest.mark.parametrize("mode", MODES)
def test_genesis_is_the_recorded_one(mode):
    recorded = stored(VECTORS / "live" / mode / "genesis.full.bin")
    _, ours = apply_genesis(config(mode))
    assert recorded.block.txs[0] == ours.block.txs[0]
    assert list(recorded.txRWSets) == ours.rw_sets


@pytest.mark.parametrize("mode", MODES)
def test_configurations_re_encode_to_the_same_bytes(mode):
    for name in ("genesis", "after_update"):
        data = (VECTORS / "live" / mode / f"chainconfig.{name}.bin").read_bytes()
        assert ChainConfig.FromString(data).SerializeToString() == data


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("pwk", {"CHAIN_CONFIG-CONSENSUS_SWITCH"}),
        # The hole that is closed here: the real node has no policy for this.
        ("pk", {"CHAIN_CONFIG-CONSENSUS_SWITCH", "CHAIN_CONFIG-TRUST_ROOT_UPDATE"}),
    ],
)
def test_default_policies_are_the_recorded_ones(mode, more):
    data = (VECTORS / "live" / mode / "permission_list.bin").read_bytes()
    theirs = {entry.resource_name: entry.policy for entry in ChainConfig.FromString(data).resource_policies}
    ours = Policies(config(mode), members(mode).voters).rules
    assert ours.keys() - theirs.keys() == more
    for name, policy in theirs.items():
        assert ours[name].to_wire() == policy, name


def test_the_row_of_a_registered_key_is_the_recorded_one():
    block = stored(VECTORS / "live" / "pwk" / "pubkey_add.full.bin")
    (write,) = block.txRWSets[0].tx_writes
    info = PKInfo.FromString(write.value)
    assert info.SerializeToString() == write.value
    assert write.key.decode() == base58(sha256(info.pk_bytes))
    assert (info.role, info.org_id) == ("LIGHT", "wx-org1.chainmaker.org")
