"""DER: one reading of any bytes, or none; against pyasn1's reader, and a list of forms that BER knows and DER does not."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import univ

from changan.crypto import der
from changan.errors import MalformedError

octets = st.binary(max_size=300)


@given(st.integers(0, 255), octets)
@example(0x30, bytes(127))
@example(0x30, bytes(128))
@example(0x30, bytes(255))
@example(0x30, bytes(256))
@example(0x04, bytes(65_536))
def test_what_is_written_reads_back(tag, content):
    data = der.write(tag, content)
    assert der.read(data, tag) == der.Element(tag, content, data)
    assert der.elements(data + data) == [der.Element(tag, content, data)] * 2
    size = len(content)
    head = len(data) - size
    assert head == 2 if size < 128 else head == 2 + (size.bit_length() + 7) // 8


@given(octets)
def test_another_writer_writes_the_same(content):
    assert der.write(der.OCTET_STRING, content) == encoder.encode(univ.OctetString(content))
    both = univ.Sequence()
    both[0], both[1] = univ.OctetString(content), univ.Integer(5)
    written = der.write(der.SEQUENCE, der.write(der.OCTET_STRING, content), der.write(der.INTEGER, b"\5"))
    assert written == encoder.encode(both)


@given(st.lists(octets, max_size=4), st.binary(max_size=3))
def test_another_reader_reads_the_same(contents, rest):
    data = b"".join(encoder.encode(univ.OctetString(content)) for content in contents)
    assert [element.content for element in der.elements(data)] == contents
    found, left = decoder.decode(der.write(der.OCTET_STRING, b"x") + rest)
    assert (bytes(found), left) == (b"x", rest)
    if rest:
        with pytest.raises(MalformedError, match=r"^there are bytes after the end of the encoding$"):
            der.read(der.write(der.OCTET_STRING, b"x") + rest, der.OCTET_STRING)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_whole_in_one_way_or_refused(data):
    try:
        found = der.elements(data)
    except MalformedError:
        return
    assert b"".join(der.write(element.tag, element.content) for element in found) == data


CUT = "the encoding ends in the middle of an element"
LONG = "the length of an element is not written in its shortest form"
ENDLESS = "an element has no length, or one beyond any bound"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", CUT),
        ("30", CUT),
        ("3001", CUT),
        ("300200", CUT),
        ("3080", ENDLESS),  # BER's indefinite length
        ("30800000", ENDLESS),
        ("3085000000000100", ENDLESS),  # five octets of length
        ("30ff00", ENDLESS),
        ("308100", LONG),  # what fits into seven bits stands in one octet
        ("30817f" + "00" * 127, LONG),
        ("3082008000", LONG),  # a leading zero
        ("308200ff" + "00" * 255, LONG),
        ("3083000100" + "00" * 256, LONG),
        ("308180" + "00" * 127, CUT),
        ("3082ffff00", CUT),
        ("3084ffffffff00", CUT),
        ("3081", LONG),  # the octets of the length are missing
        ("308201", LONG),
    ],
)
def test_forms_that_are_no_der(data, words):
    with pytest.raises(MalformedError, match=f"^{words}$"):
        der.read(bytes.fromhex(data), der.SEQUENCE)
    if data:
        with pytest.raises(MalformedError, match=f"^{words}$"):
            der.elements(der.write(der.INTEGER, b"\1") + bytes.fromhex(data))


@pytest.mark.parametrize("tag", [0x31, 0x02, 0x04, 0x10, 0xA0, 0x00, 0xFF])
def test_another_tag_than_the_one_that_is_due(tag):
    with pytest.raises(MalformedError, match=f"^the encoding has tag {tag:#04x} where 0x30 is due$"):
        der.read(bytes([tag, 0]), der.SEQUENCE)


def test_nothing_holds_no_elements():
    assert der.elements(b"") == []
    assert der.write(der.SEQUENCE) == b"\x30\x00"
