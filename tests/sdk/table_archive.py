"""Rows: archiving. Blocks are not archived by this node yet, and the SDK's own archive readers are broken."""

from __future__ import annotations

from chainmaker.protos.common.request_pb2 import Payload
from chainmaker.protos.store.store_pb2 import ArchiveStatus
from row import broken, makes, unbuilt, works

HEIGHT = (1).to_bytes(8, "little")
NO_LOGGER = "has no attribute 'logger'"
NO_VALUE = "AttributeError: 'int' object has no attribute 'value'"

ROWS = [
    # only an administrator may archive, so the first administrator sends these
    unbuilt("archive_block", lambda world: world.admin().archive_block(1), "ARCHIVE_MANAGE"),
    unbuilt("restore_block", lambda world: world.admin().restore_block(b"block"), "ARCHIVE_MANAGE"),
    unbuilt(
        "send_archive_block_request",
        lambda world: world.admin().send_archive_block_request(world.real.create_archive_block_payload(1)),
        "ARCHIVE_MANAGE",
    ),
    unbuilt(
        "send_restore_block_request",
        lambda world: world.admin().send_restore_block_request(world.real.create_restore_block_payload(b"block")),
        "ARCHIVE_MANAGE",
    ),
    makes("create_archive_block_payload", (1,), "A ARCHIVE_MANAGE-ARCHIVE_BLOCK", BLOCK_HEIGHT=HEIGHT),
    makes("create_restore_block_payload", (b"block",), "A ARCHIVE_MANAGE-RESTORE_BLOCK", FULL_BLOCK=b"block"),
    works(
        "sign_archive_payload",
        Payload,
        lambda _, payload: payload.tx_id == "as it was",
        lambda world: world.cc.sign_archive_payload(Payload(tx_id="as it was")),
    ),
    works("get_archive_status", ArchiveStatus, lambda _, status: status.archive_pivot == 0 and not status.process),
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
