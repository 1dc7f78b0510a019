"""What a node tells of its contracts beside ChainMaker's questions: the rows of a field, page by page, and their history."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from changan.contract.codec import from_text, pack, to_json, unpack
from changan.contract.types import U64, ListType, MapType, value_type
from changan.errors import ChanganError, MalformedError
from changan.ledger.bundle import PARAMETER, Bundle, BundleError, decode_bundle
from changan.ledger.clients import addresses_of
from changan.ledger.distilled import MAGIC, decode_distilled
from changan.ledger.receipt import make_receipt
from changan.ledger.row_receipt import make_row_receipt
from changan.ledger.system import QUERY_MANY
from changan.ledger.wire.messages import BundleResult
from changan.node.hidden import VIOLATION, is_hidden
from changan.node.histories import HistoryError
from changan.node.proofs import Proofs, UnprovableError
from changan.node.store.archive import ArchivedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changan.contract.engines import AnyInstance
    from changan.contract.field_view import FieldView
    from changan.contract.instance import Row
    from changan.contract.types import FieldType, Signature, ValueType
    from changan.ledger.wire.messages import BundleRows
    from changan.ledger.world import World
    from changan.node.histories import Told, Wrote
    from changan.node.rest import Rest

PAGE_MAX = 1000
PINNED_S = 60.0
"""How long the pages after a first one can be asked for at its height."""
PINS_MAX = 16
PINNED_ROWS_MAX = 1_000_000
ROW_KEY_CHARACTERS_MAX = 1024
_HEX = re.compile(r"([0-9a-f]{2}){0,1024}")
_WHOLE = re.compile(r"\d{1,18}")


class ReadError(ChanganError):
    """A question that has no answer, in words."""


class _Place(NamedTuple):
    contract: str
    field: str
    height: int


class _Pin(NamedTuple):
    view: FieldView
    until: float


class Whole(NamedTuple):
    """A field of a type at a height."""

    kind: FieldType
    view: FieldView
    height: int


class Past(NamedTuple):
    """What a row of a type held, newest first; values of an older version of the contract may be of another type."""

    kind: ValueType
    told: Told


class Reads:
    """Answers from the state of one chain and from what rests of its past."""

    def __init__(self, world: World, rest: Rest) -> None:
        self._world = world
        self._rest = rest
        self._proofs = Proofs(world, rest)
        self._pins: OrderedDict[_Place, _Pin] = OrderedDict()

    async def answer(self, method: str, parameters: Mapping[str, bytes]) -> bytes:
        """Answer a question that came as a signed query. Raises ReadError, RefusedError, StoppedError."""
        given = {name: value.decode("utf-8", "replace") for name, value in parameters.items()}
        contract, field = given.pop("contract", ""), given.pop("field", "")
        limit = _number("limit", given.pop("limit", "100"))
        found: object
        match method:
            case "DESCRIBE":
                found = self._instance(contract).program.describe()
            case "BUNDLE":
                return self.bundle_rows(given.pop("tx_id", "")).SerializeToString()
            case "RECEIPT":
                found = self.receipt(given.pop("tx_id", ""))
            case "ROW_RECEIPT":
                found = self.row_receipt(given.pop("tx_id", ""), _number("row", given.pop("row", "")))
            case "ROWS":
                text = given.pop("height", "")
                height = _number("height", text) if text else None
                found = await self.rows(contract, field, given.pop("after", ""), limit, height)
            case "HISTORY":
                found = await self.history(contract, field, given.pop("key", ""), limit)
            case "PROVE":
                text = given.pop("block", "")
                height = _number("block", text) if text else None
                found = await self.proof(contract, field, given.pop("key", ""), height)
            case _:
                known = f"DESCRIBE, ROWS, HISTORY, PROVE, BUNDLE, RECEIPT, ROW_RECEIPT and {QUERY_MANY}"
                raise ReadError(f"CHANGAN answers {known}, not {method[:64]!r}")
        if given:
            raise ReadError(f"{method} has no parameter {min(given)[:64]!r}")
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()

    async def rows(self, contract: str, field: str, after: str, limit: int, height: int | None) -> dict[str, Any]:
        """Return a page of a field: `height`, `rows` and `next`, which with that height asks for the page after.

        Raises ReadError, RefusedError, StoppedError.
        """
        instance, kind = self._field(contract, field)
        if _HEX.fullmatch(after) is None:
            raise ReadError("after is the `next` of the page before: hex digits")
        if not 1 <= limit <= PAGE_MAX:
            raise ReadError(f"limit is 1 to {PAGE_MAX}")
        place, view = self._placed(contract, field, height, instance)
        rows, more = await asyncio.to_thread(view.page, after, limit)
        await self._rest.reaches(place.height)
        shown = [_shown(instance, field, kind, row) for row in rows]
        if more:
            self._pin(place, view)
        return {"height": place.height, "rows": shown, "next": shown[-1]["key"] if more else None}

    async def whole(self, contract: str, field: str, height: int | None) -> Whole:
        """Return all of a field, now or at a height whose pages are being read, once that height rests.

        Raises ReadError, RefusedError, StoppedError.
        """
        instance, kind = self._field(contract, field)
        place, view = self._placed(contract, field, height, instance)
        await self._rest.reaches(place.height)
        return Whole(kind, view, place.height)

    def _placed(self, contract: str, field: str, height: int | None, instance: AnyInstance) -> tuple[_Place, FieldView]:
        place = _Place(contract, field, self._world.height if height is None else height)
        self._unpin()
        pinned = self._pins.get(place)
        if pinned is not None:
            return place, pinned.view
        if place.height == self._world.height:
            return place, instance.view(field)
        raise ReadError(
            f"height {place.height} is gone: the pages of one listing must be asked for within {PINNED_S:.0f} s of each other; "
            "begin again without a height"
        )

    def _pin(self, place: _Place, view: FieldView) -> None:
        self._pins[place] = _Pin(view, time.monotonic() + PINNED_S)
        self._pins.move_to_end(place)
        while len(self._pins) > PINS_MAX or (len(self._pins) > 1 and self._pinned_rows() > PINNED_ROWS_MAX):
            self._pins.popitem(last=False)

    def _pinned_rows(self) -> int:
        return sum(pin.view.row_count for pin in self._pins.values())

    def _unpin(self) -> None:
        now = time.monotonic()
        for place in [place for place, pin in self._pins.items() if pin.until < now]:
            del self._pins[place]

    async def history(self, contract: str, field: str, key: str, limit: int) -> dict[str, Any]:
        """Return `writes`, which transactions wrote a row, newest first, `height` and `complete_to`.

        `key` is text as in arguments. Raises ReadError.
        """
        kind, told = await self.past(contract, field, key, limit)
        writes = await asyncio.to_thread(lambda: [_told(kind, wrote) for wrote in told.writes])
        return {"height": told.height, "complete_to": told.complete_to, "writes": writes}

    async def past(self, contract: str, field: str, key: str, limit: int) -> Past:
        """Return what `history` tells, as it rests. Raises ReadError."""
        _, kind = self._field(contract, field)
        if not 1 <= limit <= PAGE_MAX:
            raise ReadError(f"limit is 1 to {PAGE_MAX}")
        row_key = _row_key(field, kind, key)
        histories = self._rest.histories
        height = await histories.caught_up()
        try:
            told = await asyncio.to_thread(histories.written, contract, row_key, limit, height)
        except HistoryError as error:
            raise ReadError(str(error)) from error
        writes = [one._replace(value=None) if is_hidden(self._world, one.tx_id) else one for one in told.writes]
        value = U64 if row_key == field and isinstance(kind, ListType) else value_type(kind)
        return Past(value, told._replace(writes=writes))

    async def proof(self, contract: str, field: str, key: str, block: int | None) -> dict[str, Any]:
        """Return the proof of a row's value or absence, or with `block` of what that block wrote into it.

        `field` and `key` are as in `history`; of a contract that is not in Python, `field` is the row's key. Raises ReadError,
        RefusedError, StoppedError.
        """
        if len(field) > ROW_KEY_CHARACTERS_MAX:
            raise ReadError(f"a row's key has at most {ROW_KEY_CHARACTERS_MAX} characters")
        kind = self._field(contract, field)[1] if contract in self._world.instances else U64
        row_key = _row_key(field, kind, key)
        try:
            if block is None:
                return await self._proofs.of_state(contract, row_key)
            return self._proofs.of_delta(block, contract, row_key)
        except (UnprovableError, ArchivedError) as error:
            raise ReadError(str(error)) from error

    def bundle_rows(self, tx_id: str) -> BundleRows:
        """Return what came of the rows of a bundle. Raises ReadError."""
        found = self._rest.reader.transaction(tx_id)
        side = (
            None if found is None else next((b for b in found.block.bundle_rows if b.position == found.position), None)
        )
        if side is None:
            if found is not None:
                self._rest.reader.check_known("rows of this bundle")
            raise ReadError(f"no bundle {tx_id[:64]!r} rests on this chain (yet)")
        self._require_shown(tx_id)
        return side

    def receipt(self, tx_id: str) -> dict[str, Any]:
        """Return the receipt of a transaction. Raises ReadError, ArchivedError."""
        reader = self._rest.reader
        found = reader.transaction(tx_id)
        if found is None:
            raise ReadError(f"no transaction {tx_id[:64]!r} rests on this chain (yet)")
        self._require_shown(tx_id)
        return make_receipt(found.block, found.position, reader.membership(found.block.block.header.block_height))

    def _require_shown(self, tx_id: str) -> None:
        if is_hidden(self._world, tx_id):
            raise ReadError(f"the content of transaction {tx_id!r} is masked, so it has no receipt")

    def row_receipt(self, tx_id: str, number: int) -> dict[str, Any]:
        """Return the receipt of one row of a bundle. Raises ReadError."""
        found = self._rest.reader.transaction(tx_id)
        self.bundle_rows(tx_id)
        assert found is not None
        payload = found.transaction.payload
        data = next(p.value for p in payload.parameters if p.key == PARAMETER)
        result = BundleResult.FromString(found.transaction.result.contract_result.result)
        signature = self._instance(result.contract).program.method(payload.method)
        try:
            if signature is None:
                raise BundleError(f"the contract has no method {payload.method} any more")
            bundle = self._bundle(data, signature)
        except BundleError as error:
            raise ReadError(f"the contract was upgraded since: {error}") from error
        if number >= bundle.rows:
            raise ReadError(f"the bundle has {bundle.rows} rows, numbered from 0")
        links = self._rest.reader.membership(found.block.block.header.block_height)
        return make_row_receipt(found.block, found.position, signature, bundle, number, links)

    def _bundle(self, data: bytes, signature: Signature) -> Bundle:
        if not data.startswith(MAGIC):
            return decode_bundle(data, signature)
        sent = decode_distilled(data, signature)
        return sent.called_by(addresses_of(self._world.rows, sent.clients))

    def _instance(self, contract: str) -> AnyInstance:
        instance = self._world.instances.get(contract)
        if instance is None:
            raise ReadError(f"there is no contract {contract[:128]!r}")
        return instance

    def _field(self, contract: str, field: str) -> tuple[AnyInstance, FieldType]:
        instance = self._world.instances.get(contract)
        kind = None if instance is None else instance.program.fields.get(field)
        if instance is None or kind is None:
            raise ReadError(f"there is no contract {contract[:128]!r} with a field {field[:128]!r}")
        return instance, kind


def _told(kind: ValueType, wrote: Wrote) -> dict[str, Any]:
    shown: object = VIOLATION
    if wrote.value is not None:
        try:
            shown = to_json(kind, unpack(kind, wrote.value)) if wrote.value else None
        except MalformedError:  # written by an older version, whose type was another
            shown = wrote.value.hex()
    return {"height": wrote.height, "index": wrote.position, "tx_id": wrote.tx_id, "value": shown}


def _number(name: str, text: str) -> int:
    if _WHOLE.fullmatch(text) is None:
        raise ReadError(f"{name} is a whole number")
    return int(text)


def _shown(instance: AnyInstance, field: str, kind: FieldType, row: Row) -> dict[str, Any]:
    assert row.value is not None
    hex_key = row.key.partition(".")[2]
    entry: dict[str, Any] = {"key": hex_key}
    if isinstance(kind, MapType):
        entry["key_value"] = to_json(kind.key, unpack(kind.key, bytes.fromhex(hex_key)))
    elif isinstance(kind, ListType) and hex_key:
        entry["key_value"] = to_json(U64, unpack(U64, bytes.fromhex(hex_key)))
    entry["value"] = instance.program.show_value(field, row.key, row.value)
    return entry


def _row_key(field: str, kind: FieldType, key: str) -> str:
    """Return the key of a row from what people write: an argument's text; a tuple's parts as a JSON list."""
    if not isinstance(kind, MapType | ListType):
        if key:
            raise ReadError(f"{field} is one value and has no keys")
        return field
    if isinstance(kind, ListType) and not key:
        return field
    key_type = kind.key if isinstance(kind, MapType) else U64
    try:
        return f"{field}.{pack(key_type, from_text(key_type, key.encode())).hex()}"
    except MalformedError as error:
        raise ReadError(f"key: {error}") from error
