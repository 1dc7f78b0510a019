"""Rows: what a chain says of its configuration and of its past, and what it tells those who subscribe."""

from __future__ import annotations

import re
from collections.abc import Sequence

import record
from chainmaker.keys import AddrType, ConsensusType
from chainmaker.protos.accesscontrol.policy_pb2 import Policy
from chainmaker.protos.common.block_pb2 import BlockHeader, BlockInfo
from chainmaker.protos.common.result_pb2 import ContractEventInfoList, Result
from chainmaker.protos.common.transaction_pb2 import Transaction, TransactionInfo, TransactionInfoWithRWSet
from chainmaker.protos.config.chain_config_pb2 import ChainConfig
from chainmaker.protos.discovery.discovery_pb2 import ChainInfo, ChainList
from chainmaker.protos.store.store_pb2 import BlockWithRWSet
from row import DEFECT, WORKS, Row, broken, holds, works
from world import World


def tx_ids(block) -> list[str]:
    return [tx.payload.tx_id for tx in block.txs]


def right_block(world: World, info) -> bool:
    """Whether this is the block of the known transaction."""
    header = info.block.header
    return (
        header.block_height == world.height
        and header.block_hash.hex() == world.block_hash
        and header.tx_count == len(info.block.txs)
        and world.tx_id in tx_ids(info.block)
    )


def right_rw_sets(world: World, sets: Sequence) -> bool:
    """Whether the known transfer's writes are there: two balances of the token."""
    written = {write.contract_name for one in sets if one.tx_id == world.tx_id for write in one.tx_writes}
    return written == {world.token}


def with_rw_sets(method: str, argument: str) -> Row:
    """A query for a block, asked both without and with the write sets of its transactions."""

    def ask(world: World) -> BlockInfo:
        bare = getattr(world.cc, method)(getattr(world, argument))
        assert not bare.rwset_list, "write sets came unasked"
        return getattr(world.cc, method)(getattr(world, argument), with_rw_set=True)

    return works(
        method, BlockInfo, lambda world, info: right_block(world, info) and right_rw_sets(world, info.rwset_list), ask
    )


def of_height(method: str, returns: type, check) -> Row:
    return works(method, returns, check, lambda world: getattr(world.cc, method)(world.height))


def of_tx_id(method: str, returns: type, check) -> Row:
    return works(method, returns, check, lambda world: getattr(world.cc, method)(world.tx_id))


def right_transaction(world: World, info) -> bool:
    result = info.transaction.result
    return (
        info.transaction.payload.tx_id == world.tx_id
        and info.transaction.payload.method == "transfer"
        and info.block_height == world.height
        and info.block_hash.hex() == world.block_hash
        and result.code == 0
        and [event.topic for event in result.contract_result.contract_event] == ["Transfer"]
    )


def default_policies(found: Sequence) -> bool:
    rules = {entry.resource_name: entry.policy for entry in found}
    return (
        rules["CONTRACT_MANAGE-UPGRADE_CONTRACT"].role_list == ["ADMIN"]
        and rules["CHAIN_CONFIG-CORE_UPDATE"] == Policy(rule="MAJORITY", role_list=["ADMIN"])
        and rules["CHAIN_CONFIG-ALTER_ADDR_TYPE"].rule == "FORBIDDEN"
    )


def tx_count(world: World) -> int:
    """Ask for the number of transactions in a range, above the first height and up to the last."""
    return world.cc.get_tx_count(world.height - 1, world.height)


def statistics(world: World) -> dict:
    return world.cc.get_tx_statistic_data(*world.heights_a_second_apart())


def right_statistics(world: World, found: dict) -> bool:
    before, after = (world.real.get_block_header_by_height(found[name]) for name in ("start_block", "end_block"))
    return (
        found["tx_count"] == after.tx_count
        and found["elapsed"] == after.block_timestamp - before.block_timestamp
        and found["total_block"] == 1
    )


def transfers_followed(world: World, method: str, **options) -> list:
    """Subscribe from the tip to the block after it, which comes only after the subscription."""
    start = world.tip()
    return world.followed(
        lambda take: getattr(world.cc, method)(start, start + 1, callback=take, timeout=10, **options)
    )


def blocks_of_each_kind(world: World) -> list:
    """Subscribe to one range three times: blocks, blocks with write sets, headers."""
    found = []
    for options in ({}, {"with_rw_set": True}, {"only_header": True}):
        found += world.collected(
            lambda take, options=options: world.cc.subscribe_block(
                world.height, world.height, callback=take, timeout=10, **options
            )
        )
    return [*found, *transfers_followed(world, "subscribe_block")]


def right_blocks(world: World, found: list) -> bool:
    bare, full, header, before, new = found
    return (
        isinstance(bare, BlockInfo)
        and right_block(world, bare)
        and isinstance(full, BlockWithRWSet)
        and right_block(world, full)
        and isinstance(header, BlockHeader)
        and header.block_hash.hex() == world.block_hash
        and new.block.header.block_height == before.block.header.block_height + 1
    )


def transactions(world: World) -> list:
    """Subscribe to one transaction by its id, then to a contract's that are still to come."""
    last = world.tip()
    by_id = world.collected(
        lambda take: world.cc.subscribe_tx(0, last, tx_ids=[world.tx_id], callback=take, timeout=10)
    )
    world.transfer()  # so that the tip holds a transaction of this contract, and a message comes at once
    return [*by_id, *transfers_followed(world, "subscribe_tx", contract_name=world.token)]


def right_transactions(world: World, found: list) -> bool:
    return (
        all(isinstance(tx, Transaction) for tx in found)
        and found[0].payload.tx_id == world.tx_id
        and [tx.payload.contract_name for tx in found[1:]] == [world.token] * 2
    )


def events(world: World) -> list:
    world.transfer()
    return transfers_followed(world, "subscribe_contract_event", topic="Transfer", contract_name=world.token)


def right_events(world: World, found: list) -> bool:
    infos = [info for message in found for info in message.contract_events]
    return (
        all(isinstance(message, ContractEventInfoList) for message in found)
        and [info.topic for info in infos] == ["Transfer"] * 2
        and [info.contract_name for info in infos] == [world.token] * 2
        and infos[-1].block_height == world.tip()
        and infos[-1].event_data[-1] == "1"
    )


def raw(world: World) -> list:
    payload = world.real._create_subscribe_block_payload(world.height, world.height, only_header=True)
    return world.collected(lambda take: world.cc.subscribe(payload, timeout=10, callback=take))


def wrong_address(world: World) -> str:
    """Ask a member that serves for nothing else: its `address` is wrong, too, from then on."""
    return world.member("addressed").sender_address


def is_of_the_wrong_form(world: World, address: str) -> bool:
    user = world.member("addressed")._client.user
    return address == user.get_address(AddrType.CHAINMAKER) != user.get_address(world.real.addr_type)


ROWS = [
    works("get_chainmaker_server_version", str, lambda _, text: re.fullmatch(r"v2\.3\.\d+", text)),
    # The configuration
    works(
        "get_chain_config",
        ChainConfig,
        lambda world, config: (
            config.chain_id == world.real.chain_id and sum(len(root.root) for root in config.trust_roots) == 4
        ),
    ),
    holds("chain_config", ChainConfig, lambda world, config: config == world.config_now()),
    holds("version", str, lambda world, text: text == world.config_now().version and text.isdigit()),
    holds("addr_type", AddrType, lambda world, kind: kind.value == world.config_now().vm.addr_type),
    holds("enabled_gas", bool, lambda world, enabled: enabled == world.config_now().account_config.enable_gas),
    holds("default_gas", int, lambda world, gas: gas == world.config_now().account_config.default_gas),
    holds("gas_count", int, lambda world, gas: gas == world.config_now().account_config.gas_count),
    holds("consensus_type", ConsensusType, lambda world, kind: kind.value == world.config_now().consensus.type),
    holds("consensus_node_cnt", int, lambda world, count: count == len(world.config_now().consensus.nodes)),
    holds("enable_sql_support", bool, lambda _, enabled: not enabled),
    Row("sender_address", DEFECT, wrong_address, check=is_of_the_wrong_form, note=record.FOUND_HERE["sender_address"]),
    holds("address", str, lambda world, address: address == world.address_on_chain()),
    works(
        "get_chain_config_by_block_height",
        ChainConfig,
        lambda world, config: config == world.config_now(),
        lambda world: world.cc.get_chain_config_by_block_height(world.tip()),
    ),
    works("get_permission_list", Sequence, lambda _, found: default_policies(found)),
    works("get_chain_config_permission_list", Sequence, lambda _, found: default_policies(found)),
    works(
        "chain_config_check_multi_sign_manual_run",
        bool,
        lambda world, manual: manual == world.config_now().vm.native.multisign.enable_manual_run,
    ),
    works(
        "chain_config_consensus_node_id_check",
        bool,
        lambda world, known: known and not world.real.chain_config_consensus_node_id_check(world.org, "nobody"),
        lambda world: world.cc.chain_config_consensus_node_id_check(world.org, world.node_id()),
    ),
    works(
        "chain_config_consensus_node_org_check",
        bool,
        lambda world, known: known and not world.real.chain_config_consensus_node_org_check("nobody"),
        lambda world: world.cc.chain_config_consensus_node_org_check(world.org),
    ),
    works(
        "chain_config_permission_check",
        bool,
        lambda world, known: known is False,
        lambda world: world.cc.chain_config_permission_check("token-transfer"),
    ),
    works(
        "chain_config_trust_member_check",
        bool,
        lambda world, known: known is False,
        lambda world: world.cc.chain_config_trust_member_check(world.org, "PEM"),
    ),
    works(
        "chain_config_trust_root_check",
        bool,
        lambda world, known: known and not world.real.chain_config_trust_root_check(world.org, "PEM"),
        lambda world: world.cc.chain_config_trust_root_check(world.org, world.trust_root()),
    ),
    broken(
        "chain_config_consensus_ext_check",
        lambda world: world.cc.chain_config_consensus_ext_check("key"),
        "AttributeError.*consensus_ext",
    ),
    # The chain and its blocks
    works(
        "get_chain_info",
        ChainInfo,
        lambda world, info: (
            info.block_height == world.tip() and world.node_id() in {node.node_id for node in info.node_list}
        ),
    ),
    works(
        "get_node_chain_list",
        ChainList,
        lambda world, chains: list(chains.chain_id_list) == [world.real.chain_id],
    ),
    works(
        "get_last_block",
        BlockInfo,
        lambda world, info: info.block.header.block_hash == world.header(world.tip()).block_hash,
    ),
    works("get_current_block_height", int, lambda world, height: height == world.real.get_chain_info().block_height),
    works("get_last_block_hash", str, lambda world, text: text == world.header(world.tip()).block_hash.hex()),
    works(
        "get_last_block_tx_ids",
        list,
        lambda world, ids: ids == tx_ids(world.real.get_block_by_height(world.tip()).block),
    ),
    works("get_any_tx_id", str, lambda world, tx_id: world.real.get_block_height_by_tx_id(tx_id) >= 0),
    works("get_any_block_height", int, lambda world, height: 0 <= height <= world.tip()),
    works("get_any_block_hash", str, lambda world, text: world.real.get_block_height_by_hash(text) >= 0),
    with_rw_sets("get_block_by_height", "height"),
    with_rw_sets("get_block_by_hash", "block_hash"),
    with_rw_sets("get_block_by_tx_id", "tx_id"),
    of_height("get_block_hash_by_height", str, lambda world, text: text == world.block_hash),
    of_height(
        "get_block_header_by_height",
        BlockHeader,
        lambda world, header: header == world.real.get_block_by_height(world.height).block.header,
    ),
    of_height(
        "get_block_timestamp_by_height",
        int,
        lambda world, stamp: stamp == world.header(world.height).block_timestamp > 1_600_000_000,
    ),
    of_height(
        "get_block_with_txrwsets_by_height",
        BlockWithRWSet,
        lambda world, full: right_block(world, full) and right_rw_sets(world, full.txRWSets),
    ),
    of_height(
        "get_full_block_by_height",
        BlockWithRWSet,
        lambda world, full: right_block(world, full) and right_rw_sets(world, full.txRWSets),
    ),
    works(
        "get_block_with_txrwsets_by_hash",
        BlockWithRWSet,
        lambda world, full: right_block(world, full) and right_rw_sets(world, full.txRWSets),
        lambda world: world.cc.get_block_with_txrwsets_by_hash(world.block_hash),
    ),
    works(
        "get_last_config_block",
        BlockInfo,
        lambda world, info: info.block.txs[0].result.contract_result.result == world.config_now().SerializeToString(),
    ),
    of_tx_id("get_block_height_by_tx_id", int, lambda world, height: height == world.height),
    works(
        "get_block_height_by_hash",
        int,
        lambda world, height: height == world.height,
        lambda world: world.cc.get_block_height_by_hash(world.block_hash),
    ),
    Row(
        "get_block_height",
        WORKS,
        lambda world: (
            world.cc.get_block_height(tx_id=world.tx_id),
            world.cc.get_block_height(block_hash=world.block_hash),
        ),
        tuple,
        lambda world, heights: heights == (world.height, world.height),
    ),
    works("get_archived_block_height", int, lambda _, height: height == 0),
    # Transactions
    of_tx_id("get_tx_by_tx_id", TransactionInfo, right_transaction),
    of_tx_id(
        "get_tx_with_rwset_by_tx_id",
        TransactionInfoWithRWSet,
        lambda world, info: right_transaction(world, info) and right_rw_sets(world, [info.rw_set]),
    ),
    of_tx_id("get_sync_result", Result, lambda _, result: result.code == 0),
    of_tx_id("get_merkle_path_by_tx_id", bool, lambda _, found: found),
    works("get_tx_count", int, lambda world, count: count == world.header(world.height).tx_count, tx_count),
    works("get_tx_statistic_data", dict, right_statistics, statistics)._replace(
        note="the SDK divides by zero where two blocks carry one second"
    ),
    # Subscriptions
    works("subscribe_block", list, right_blocks, blocks_of_each_kind),
    works("subscribe_tx", list, right_transactions, transactions),
    works("subscribe_contract_event", list, right_events, events),
    works(
        "subscribe",
        list,
        lambda world, found: [BlockHeader.FromString(data).block_height for data in found] == [world.height],
        raw,
    ),
]
