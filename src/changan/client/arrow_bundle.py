"""A signed bundle as `POST /v1/bundles` takes it in Arrow: the request without columns in a header, the columns as the body."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from changan.arrow import MEDIA_TYPE, need_arrow
from changan.client.doors import REQUEST_HEADER
from changan.ledger.bundle import HEAD_BYTES, decode_bundle
from changan.ledger.wire.messages import TxRequest

if TYPE_CHECKING:
    from changan.contract.types import Signature


def arrow_bundle(request: TxRequest, signature: Signature) -> tuple[dict[str, str], bytes]:
    """Return headers and body for a bundle that was signed; the signature covers the canonical columns all the same.

    Raises ArrowMissingError, BundleError.
    """
    need_arrow()
    import pyarrow as pa  # noqa: PLC0415  # an extra, asked for before

    from changan.arrow.columns import to_array  # noqa: PLC0415  # as above
    from changan.arrow.kinds import schema_of  # noqa: PLC0415  # as above

    data = request.payload.parameters[0].value
    bundle = decode_bundle(data, signature)
    arrays = [
        to_array(kind, column, bundle.rows)
        for (_, kind), column in zip(signature.parameters, bundle.columns, strict=True)
    ]
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema_of(signature.parameters)) as writer:
        writer.write_table(pa.table(arrays, schema=schema_of(signature.parameters)))
    head = TxRequest.FromString(request.SerializeToString())
    head.payload.parameters[0].value = data[:HEAD_BYTES]
    shown = base64.b64encode(head.SerializeToString()).decode()
    return {REQUEST_HEADER: shown, "Content-Type": MEDIA_TYPE}, sink.getvalue()
