"""Rows: archiving. The SDK's own archive readers are broken."""

from __future__ import annotations

from chainmaker.exceptions import RequestError
from chainmaker.protos.common.request_pb2 import Payload
from chainmaker.protos.common.result_pb2 import TxResponse
from chainmaker.protos.config.chain_config_pb2 import ChainConfig
from chainmaker.protos.store.store_pb2 import ArchiveStatus
from row import broken, makes, works
from world import World

HEIGHT = (1).to_bytes(8, "little")
NO_LOGGER = "has no attribute 'logger'"
NO_VALUE = "AttributeError: 'int' object has no attribute 'value'"


def block(world: World) -> bytes:
    """Return the block at height 1, as it is at hand before it is archived."""
    return world.keep("block 1", lambda: world.real.get_full_block_by_height(1).SerializeToString())


def is_away(world: World, _: object = None) -> bool:
    """Whether that block, and no other, is archived."""
    block_2 = world.real.get_block_by_height(2).block.header.block_height
    try:
        world.real.get_block_by_height(1)
    except RequestError as error:
        return "block 1 is archived" in str(error) and (world.real.get_archived_block_height(), block_2) == (1, 2)
    return False


def is_back(world: World, _: object = None) -> bool:
    return world.real.get_full_block_by_height(1).SerializeToString() == block(world)


def archive(world: World) -> None:
    block(world)
    assert world.admin()._client.archive_block(1).code == 0
    assert is_away(world)


def restore(world: World, _: ChainConfig) -> None:
    assert world.admin()._client.restore_block(block(world)).code == 0
    assert is_back(world)


def archives(world: World) -> TxResponse:
    block(world)
    return world.admin().archive_block(1)


def sends_archive(world: World) -> TxResponse:
    block(world)
    return world.admin().send_archive_block_request(world.real.create_archive_block_payload(1))


def restores(world: World) -> TxResponse:
    archive(world)
    return world.admin().restore_block(block(world))


def sends_restore(world: World) -> TxResponse:
    archive(world)
    return world.admin().send_restore_block_request(world.real.create_restore_block_payload(block(world)))


def asks_status(world: World) -> ArchiveStatus:
    archive(world)
    return world.cc.get_archive_status()


ROWS = [
    # only an administrator may archive, so the first administrator sends these
    works("archive_block", TxResponse, is_away, archives)._replace(undo=restore),
    works("send_archive_block_request", TxResponse, is_away, sends_archive)._replace(undo=restore),
    works("restore_block", TxResponse, is_back, restores),
    works("send_restore_block_request", TxResponse, is_back, sends_restore),
    works(
        "get_archive_status",
        ArchiveStatus,
        lambda world, status: (status.archive_pivot, status.max_allow_archive_height) == (1, world.tip() - 1),
        asks_status,
    )._replace(undo=restore),
    makes("create_archive_block_payload", (1,), "A ARCHIVE_MANAGE-ARCHIVE_BLOCK", BLOCK_HEIGHT=HEIGHT),
    makes("create_restore_block_payload", (b"block",), "A ARCHIVE_MANAGE-RESTORE_BLOCK", FULL_BLOCK=b"block"),
    works(
        "sign_archive_payload",
        Payload,
        lambda _, payload: payload.tx_id == "as it was",
        lambda world: world.cc.sign_archive_payload(Payload(tx_id="as it was")),
    ),
    broken("archive_service", lambda world: world.cc.archive_service, f"AttributeError.*{NO_LOGGER}"),
    broken("archive_blocks", lambda world: world.cc.archive_blocks(1), f"archive blocks fail: .*{NO_LOGGER}"),
    broken("restore_blocks", lambda world: world.cc.restore_blocks(0), f"restores block fail: .*{NO_LOGGER}"),
    broken("get_archived_full_block_by_height", lambda world: world.cc.get_archived_full_block_by_height(1), NO_VALUE),
    broken("get_archived_block_by_height", lambda world: world.cc.get_archived_block_by_height(1), NO_VALUE),
    broken("get_archived_block_by_hash", lambda world: world.cc.get_archived_block_by_hash(world.block_hash), NO_VALUE),
    broken("get_archived_block_by_tx_id", lambda world: world.cc.get_archived_block_by_tx_id(world.tx_id), NO_VALUE),
    broken("get_archived_tx_by_tx_id", lambda world: world.cc.get_archived_tx_by_tx_id(world.tx_id), NO_VALUE),
    broken("get_archived_block_from_mysql", lambda world: world.cc.get_archived_block_from_mysql(1), NO_VALUE),
    broken("get_from_archive_store", lambda world: world.cc.get_from_archive_store(1), NO_VALUE),
]
