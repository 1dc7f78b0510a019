"""Published signatures, which the kernels must accept, and which they must refuse when changed, before they serve."""

from __future__ import annotations

from typing import Final, NamedTuple

from changan.crypto.keys import Scheme


class Known(NamedTuple):
    """One published signature: the key's uncompressed point, the digest that is signed, DER."""

    scheme: Scheme
    point: bytes
    digest: bytes
    signature: bytes


KNOWN: Final = (
    # GM/T 0003.5-2012, A.2.
    Known(
        Scheme.SM2,
        bytes.fromhex(
            "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
            "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
        ),
        bytes.fromhex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"),
        bytes.fromhex(
            "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
            "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
        ),
    ),
    # RFC 6979, A.2.5: P-256, SHA-256, "sample".
    Known(
        Scheme.P256,
        bytes.fromhex(
            "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
            "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
        ),
        bytes.fromhex("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf"),
        bytes.fromhex(
            "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
            "022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        ),
    ),
)
Z: Final = bytes.fromhex("b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3")
MESSAGE: Final = b"message digest"
"""What the SM2 digest above is made of."""
