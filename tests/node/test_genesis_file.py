"""A genesis as a file: it comes back byte for byte, what is none is refused in words, and receipts are checked by it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.crypto.suite import Suite
from changan.errors import MalformedError
from changan.ledger.transition import apply_genesis
from changan.ledger.wire.messages import ChainConfig, Policy, ResourcePolicy
from changan.node.genesis_file import BYTES_MAX, genesis_path, read_genesis, write_genesis
from consortium import Consortium
from node_process import NodeProcess, changan


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    running = NodeProcess(tmp_path_factory.mktemp("genesis") / "home")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def receipt(node, tmp_path_factory):
    path = tmp_path_factory.mktemp("receipt") / "receipt.json"
    with node.connect() as client:
        tx_id = client.invoke("token", "transfer", {"to": "11" * 20, "amount": 1}).tx_id
    assert changan("receipt", tx_id, "--home", str(node.home), "-o", str(path)).returncode == 0
    return path


def test_a_receipt_is_checked_by_the_genesis_of_its_chain(node, receipt, tmp_path):
    genesis = tmp_path / "genesis.json"
    done = changan("chain", "genesis", "--home", str(node.home), "-o", str(genesis))
    assert done.returncode == 0, done.stderr
    _, applied = apply_genesis(read_genesis(genesis))
    assert done.stdout == f"{genesis}  block 0 {applied.block.header.block_hash.hex()}\n"
    checked = changan("verify-receipt", str(receipt), "--trust", str(genesis))
    assert checked.returncode == 0, checked.stderr
    assert "sealed by: consensus1" in checked.stdout


def test_another_genesis_vouches_for_nothing(receipt, tmp_path):
    stranger = tmp_path / "stranger.json"
    write_genesis(stranger, Consortium(4).config())
    done = changan("verify-receipt", str(receipt), "--trust", str(stranger))
    assert done.returncode == 1
    assert "NOT OK: no trust root of" in done.stderr
    write_genesis(stranger, Consortium(4).config("chain2"))
    done = changan("verify-receipt", str(receipt), "--trust", str(stranger))
    assert done.returncode == 1
    assert "the block is of chain 'chain1', and what is trusted of 'chain2'" in done.stderr


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '"x"', "{}", '{"chain_id": "c"}', '{"nothing": 1}', '{"trust_roots": 5}', "[" * 5000]
)
def test_a_file_that_is_no_genesis_is_refused_in_words(receipt, tmp_path, text):
    path = tmp_path / "junk.json"
    path.write_text(text)
    with pytest.raises(MalformedError, match="is no genesis of a chain"):
        read_genesis(path)


def test_the_command_says_so_too(receipt, tmp_path):
    path = tmp_path / "junk.json"
    path.write_text(receipt.read_text())
    done = changan("verify-receipt", str(receipt), "--trust", str(path))
    assert done.returncode == 1
    assert "is no genesis of a chain" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_genesis_is_bounded(tmp_path):
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (BYTES_MAX + 1))
    with pytest.raises(MalformedError, match="larger than any genesis"):
        read_genesis(path)


def test_a_home_without_the_chain_has_no_genesis(node, tmp_path):
    done = changan("chain", "genesis", "chain9", "--home", str(node.home), "-o", str(tmp_path / "none.json"))
    assert done.returncode == 1
    assert "has no chain chain9" in done.stderr
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize("suite", Suite)
def test_it_comes_back_byte_for_byte(tmp_path, suite):
    config = Consortium(3, suite).config("trade", block_tx_capacity=7, tx_timeout_s=900)
    config.resource_policies.append(ResourcePolicy(resource_name="T-P", policy=Policy(rule="2/3", role_list=["ADMIN"])))
    path = genesis_path(tmp_path, "trade")
    write_genesis(path, config)
    assert read_genesis(path).SerializeToString() == config.SerializeToString()
    assert apply_genesis(read_genesis(path))[1].block == apply_genesis(config)[1].block
    assert not list(path.parent.glob("*.new"))


@given(st.text(min_size=1, max_size=30), st.floats(0, 1e6, width=32), st.integers(0, 2**32 - 1), st.booleans())
def test_whatever_stands_in_it_comes_back(tmp_path_factory, name, price, number, flag):
    config = ChainConfig(chain_id=name, version=name)
    config.trust_roots.add(org_id=name, root=[name, ""])
    config.account_config.default_gas_price = price
    config.block.tx_timeout, config.block.tx_timestamp_verify = number, flag
    path = tmp_path_factory.mktemp("any") / "genesis.json"
    write_genesis(path, config)
    assert read_genesis(path) == config
    assert json.loads(path.read_text())["chain_id"] == name
