"""CRC-32 as the files of a chain carry it: zlib-ng's, which gives what zlib's gives at some ten times its speed."""

from zlib_ng.zlib_ng import crc32

__all__ = ["crc32"]
