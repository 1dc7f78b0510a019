"""CHAIN_QUERY: what a chain says of its past. It is answered at the door from what rests, never inside a block."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from changan.crypto.merkle import chainmaker_path
from changan.errors import ChanganError
from changan.ledger.hashing import transaction_hash
from changan.ledger.wire.messages import (
    ArchiveStatus,
    BlockInfo,
    BlockWithRWSet,
    ChainInfo,
    ChainList,
    Node,
    TransactionInfo,
    TransactionInfoWithRWSet,
)
from changan.node.hidden import shown_block
from changan.node.store.archive import ArchivedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from changan.ledger.world import World
    from changan.node.reader import Reader

_WHOLE = re.compile(r"\d{1,20}")
_TIP = frozenset({"-1", str(2**64 - 1)})


class QueryError(ChanganError):
    """A question that has no answer; the words are ChainMaker's."""


class ChainQuery:
    """The methods of CHAIN_QUERY on one chain."""

    def __init__(
        self,
        world: World,
        reader: Reader,
        nodes: list[Node],
        chains: Callable[[], list[str]],
    ) -> None:
        self._world = world
        self._chain_id = world.config.chain_id
        self._reader = reader
        self._digest = world.digest
        self._nodes = nodes
        self._chains = chains
        self._methods: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
            "GET_CHAIN_INFO": self._chain_info,
            "GET_NODE_CHAIN_LIST": self._chain_list,
            "GET_LAST_BLOCK": self._last_block,
            "GET_BLOCK_BY_HEIGHT": self._block_by_height,
            "GET_BLOCK_BY_HASH": self._block_by_hash,
            "GET_BLOCK_BY_TX_ID": self._block_by_tx_id,
            "GET_LAST_CONFIG_BLOCK": self._last_config_block,
            "GET_BLOCK_HEADER_BY_HEIGHT": self._header_by_height,
            "GET_BLOCK_HEIGHT_BY_TX_ID": self._height_by_tx_id,
            "GET_BLOCK_HEIGHT_BY_HASH": self._height_by_hash,
            "GET_TX_BY_TX_ID": self._tx_by_tx_id,
            "GET_BLOCK_WITH_TXRWSETS_BY_HEIGHT": self._full_block,
            "GET_BLOCK_WITH_TXRWSETS_BY_HASH": self._full_block_by_hash,
            "GET_FULL_BLOCK_BY_HEIGHT": self._full_block,
            "GET_MERKLE_PATH_BY_TX_ID": self._merkle_path,
            "GET_ARCHIVED_BLOCK_HEIGHT": lambda _: str(max(reader.archived_height, 0)).encode(),
            "GET_ARCHIVE_STATUS": self._archive_status,
        }

    def answer(self, method: str, parameters: Mapping[str, bytes]) -> bytes:
        """Answer one question. Raises QueryError."""
        found = self._methods.get(method)
        if found is None:
            raise QueryError("the method does not found")
        try:
            return found(parameters)
        except ArchivedError as error:
            raise QueryError(f"{error}, chainId:{self._chain_id}") from error

    def _chain_info(self, _: Mapping[str, bytes]) -> bytes:
        return ChainInfo(block_height=self._reader.height, node_list=self._nodes).SerializeToString()

    def _chain_list(self, _: Mapping[str, bytes]) -> bytes:
        return ChainList(chain_id_list=self._chains()).SerializeToString()

    def _last_block(self, parameters: Mapping[str, bytes]) -> bytes:
        return self._info(self._at(self._reader.height), parameters)

    def _block_by_height(self, parameters: Mapping[str, bytes]) -> bytes:
        return self._info(self._at(self._height(parameters), "no such block"), parameters)

    def _block_by_hash(self, parameters: Mapping[str, bytes]) -> bytes:
        return self._info(self._at(self._hash_height(parameters, "get block failed, value not found")), parameters)

    def _block_by_tx_id(self, parameters: Mapping[str, bytes]) -> bytes:
        height = self._reader.height_of_transaction(_need(parameters, "txId"))
        if height is None:
            self._reader.check_known("such transaction")
            raise QueryError("get block failed, value not found")
        return self._info(self._at(height), parameters)

    def _last_config_block(self, parameters: Mapping[str, bytes]) -> bytes:
        tip = self._at(self._reader.height)
        header = tip.block.header
        at = header.block_height if header.block_type & 1 else header.pre_conf_height
        return self._info(self._at(at), parameters)

    def _header_by_height(self, parameters: Mapping[str, bytes]) -> bytes:
        found = self._reader.stored(self._height(parameters))
        if found is None:
            raise QueryError(f"no such blockheader, chainId:{self._chain_id}")
        return found.block.header.SerializeToString()

    def _height_by_tx_id(self, parameters: Mapping[str, bytes]) -> bytes:
        height = self._reader.height_of_transaction(_need(parameters, "txId"))
        if height is None:
            self._reader.check_known("such transaction")
            raise QueryError("get getblockheightbytxid failed, value not found")
        return str(height).encode()

    def _height_by_hash(self, parameters: Mapping[str, bytes]) -> bytes:
        return str(self._hash_height(parameters, "get getheightbyhash failed, value not found")).encode()

    def _tx_by_tx_id(self, parameters: Mapping[str, bytes]) -> bytes:
        located = self._reader.transaction(_need(parameters, "txId"))
        if located is None:
            raise QueryError(f"no such transaction, chainId:{self._chain_id}")
        shown = shown_block(self._world, located.block)
        header = shown.block.header
        found: dict[str, Any] = {
            "transaction": shown.block.txs[located.position],
            "block_height": header.block_height,
            "block_hash": header.block_hash,
            "tx_index": located.position,
            "block_timestamp": header.block_timestamp,
        }
        if _with_rw_set(parameters):
            return TransactionInfoWithRWSet(**found, rw_set=shown.txRWSets[located.position]).SerializeToString()
        return TransactionInfo(**found).SerializeToString()

    def _full_block(self, parameters: Mapping[str, bytes]) -> bytes:
        return _whole(self._at(self._height(parameters), "no such blockwithrwset"))

    def _full_block_by_hash(self, parameters: Mapping[str, bytes]) -> bytes:
        return _whole(self._at(self._hash_height(parameters, "get block failed, value not found")))

    def _merkle_path(self, parameters: Mapping[str, bytes]) -> bytes:
        located = self._reader.transaction(_need(parameters, "txId"))
        if located is None:
            raise QueryError(f"no such transaction, chainId:{self._chain_id}")
        leaves = [transaction_hash(tx, self._digest) for tx in located.block.block.txs]
        path = chainmaker_path(leaves, located.position, self._digest)
        return json.dumps([base64.b64encode(sibling).decode() for sibling in path], separators=(",", ":")).encode()

    def _archive_status(self, _: Mapping[str, bytes]) -> bytes:
        pivot = max(self._reader.archived_height, 0)
        most = max(self._reader.height - 1, 0)
        return ArchiveStatus(type=1, archive_pivot=pivot, max_allow_archive_height=most).SerializeToString()

    def _height(self, parameters: Mapping[str, bytes]) -> int:
        text = _need(parameters, "blockHeight")
        if text in _TIP:
            return self._reader.height
        if _WHOLE.fullmatch(text) is None:
            raise QueryError(f'strconv.ParseUint: parsing "{text[:64]}": invalid syntax')
        return int(text)

    def _hash_height(self, parameters: Mapping[str, bytes], unknown: str) -> int:
        text = _need(parameters, "blockHash")
        try:
            height = self._reader.height_of_hash(bytes.fromhex(text))
        except ValueError:
            raise QueryError(f"block hash {text[:80]!r} is not hex") from None
        if height is None:
            self._reader.check_known("block of this hash")
            raise QueryError(unknown)
        return height

    def _at(self, height: int, unknown: str = "no such block") -> BlockWithRWSet:
        found = self._reader.block(height)
        if found is None:
            raise QueryError(f"{unknown}, chainId:{self._chain_id}")
        return shown_block(self._world, found)

    def _info(self, found: BlockWithRWSet, parameters: Mapping[str, bytes]) -> bytes:
        info = BlockInfo(block=found.block)
        if _with_rw_set(parameters):
            info.rwset_list.extend(found.txRWSets)
        return info.SerializeToString()


def _whole(found: BlockWithRWSet) -> bytes:
    """A block as the real node gives it: the events stand in its transactions, and not a second time beside them."""
    return BlockWithRWSet(block=found.block, txRWSets=found.txRWSets).SerializeToString()


def _need(parameters: Mapping[str, bytes], name: str) -> str:
    value = parameters.get(name)
    if value is None:
        raise QueryError(f"invalid params len, need [{name}]")
    return value.decode("utf-8", "replace")


def _with_rw_set(parameters: Mapping[str, bytes]) -> bool:
    return parameters.get("withRWSet", b"").lower() == b"true"
