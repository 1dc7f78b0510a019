"""Arrow IPC streams from strangers: looked at before they are decoded, held to one schema, and turned into canonical columns.

What is not plain is refused before Arrow makes room for it: dictionaries, compressed buffers, more batches, rows or bytes
than may be.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pyarrow as pa

from changan.arrow.columns import BadColumnError, to_column
from changan.arrow.kinds import schema_of
from changan.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changan.arrow.kinds import Column
    from changan.contract.compiled.columns import ColumnData
    from changan.contract.types import ValueType

BATCHES_MAX = 256
METADATA_BYTES_MAX = 64 * 1024
"""Of one message: what says where its buffers lie."""
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
# Fields of Arrow's flatbuffers (format/Message.fbs): the header of a Message, and what says that a RecordBatch is compressed.
_HEADER, _COMPRESSION = 2, 3


def read_columns(data: bytes, columns: Sequence[Column], rows: int, bytes_max: int) -> list[ColumnData]:
    """Return the columns of a bundle from an Arrow IPC stream that has exactly these columns and so many rows.

    The columns may take `bytes_max` bytes together. Raises MalformedError.
    """
    if not data.endswith(_END):
        raise MalformedError("the Arrow stream is cut short: its end is missing")
    try:
        batches = _batches(data, tuple(columns), rows)
        table = pa.Table.from_batches(batches)
        if table.nbytes > bytes_max:
            raise MalformedError(f"the columns take {table.nbytes} bytes, at most {bytes_max} are allowed")
        return [_column(name, kind, table[name]) for name, kind in columns]
    except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError) as error:
        raise MalformedError(f"this is no Arrow IPC stream: {str(error).splitlines()[0][:300]}") from error


def _batches(data: bytes, columns: tuple[Column, ...], rows: int) -> list[pa.RecordBatch]:
    source = pa.BufferReader(data)
    schema = _schema(_message(source, "schema"), columns)
    batches: list[pa.RecordBatch] = []
    left = rows
    while source.tell() < len(data) - len(_END):
        if len(batches) == BATCHES_MAX:
            raise MalformedError(f"the stream has more than {BATCHES_MAX} batches: send fewer, larger ones")
        message = _message(source, "record batch")
        if _is_compressed(message.metadata):
            raise MalformedError("a batch has compressed buffers: send them as they are")
        batch = pa.ipc.read_record_batch(message, schema)
        left -= batch.num_rows
        if left < 0:
            raise MalformedError(f"the stream has more rows than the {rows} that were signed")
        batch.validate(full=True)
        for name, values in zip(schema.names, batch.columns, strict=True):
            _check_nulls(name, values)
        batches.append(batch)
    if left:
        raise MalformedError(f"the stream has {rows - left} rows, {rows} were signed")
    return batches


def _message(source: pa.BufferReader, wanted: str) -> pa.ipc.Message:
    try:
        message = pa.ipc.read_message(source)
    except EOFError as error:
        raise MalformedError(f"the stream ends where a {wanted} is due") from error
    if message.metadata.size > METADATA_BYTES_MAX:
        raise MalformedError(
            f"a message has {message.metadata.size} bytes of metadata, at most {METADATA_BYTES_MAX} are read"
        )
    if message.type != wanted:
        raise MalformedError(f"the stream holds a {message.type} where a {wanted} is due")
    return message


def _schema(message: pa.ipc.Message, columns: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of a stream, which must be that of the columns; whether nulls are announced does not matter."""
    found, wanted = pa.ipc.read_schema(message), schema_of(columns)
    if found.names != wanted.names:
        raise MalformedError(
            f"the columns are {', '.join(found.names)[:300]}; the method takes {', '.join(wanted.names)}"
        )
    for field in wanted:
        given = found.field(field.name).type
        if pa.types.is_dictionary(given):
            raise MalformedError(f"column {field.name} is encoded by a dictionary: send its values as they are")
        if _plain(given) != _plain(field.type):
            raise MalformedError(f"column {field.name} is {str(given)[:300]}; the method takes {field.type}")
    return found


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return a type without what it says of nulls in structs."""
    if not pa.types.is_struct(kind):
        return kind
    return pa.struct([pa.field(part.name, _plain(part.type)) for part in kind])


def _check_nulls(name: str, values: pa.Array) -> None:
    if values.null_count:
        raise MalformedError(f"column {name} holds nulls")
    if pa.types.is_struct(values.type):
        for part in values.type:
            _check_nulls(f"{name}.{part.name}", values.field(part.name))


def _column(name: str, kind: ValueType, values: pa.ChunkedArray) -> ColumnData:
    try:
        return to_column(kind, values.combine_chunks())
    except BadColumnError as error:
        raise MalformedError(f"column {name}: {error}") from error


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Whether a RecordBatch message says that its buffers are compressed. Raises struct.error for no such message."""
    view = memoryview(metadata)
    root = struct.unpack_from("<I", view)[0]
    at = root + _offset(view, root, _HEADER)
    batch = at + struct.unpack_from("<I", view, at)[0]
    return _offset(view, batch, _COMPRESSION) != 0


def _offset(view: memoryview, table: int, field: int) -> int:
    """Return where a field of a flatbuffer's table lies, from the table on; 0 where it is left out."""
    names = table - struct.unpack_from("<i", view, table)[0]
    size = struct.unpack_from("<H", view, names)[0] if names >= 0 else 0
    place = 4 + 2 * field
    found: int = struct.unpack_from("<H", view, names + place)[0] if place + 2 <= size else 0
    return found
