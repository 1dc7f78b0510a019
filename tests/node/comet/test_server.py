"""The ABCI server: its frames, its answers to everything, and that nothing leaves it as an exception."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changan.ledger.wire.fields import prefixed
from changan.node.comet.abci import messages
from changan.node.comet.abci.application import REJECT, Application
from changan.node.comet.abci.messages import Request, RequestEcho, RequestFlush, Response
from changan.node.comet.abci.server import AbciServer, FrameError, answer, read_frame


def reader_of(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@given(st.lists(st.binary(max_size=400), max_size=5))
def test_frames_come_back_as_they_went(frames):
    async def run():
        reader = reader_of(b"".join(map(prefixed, frames)))
        found = [await read_frame(reader) for _ in frames]
        assert await read_frame(reader) is None
        return found

    assert asyncio.run(run()) == frames


@pytest.mark.parametrize("data", [b"\x05abc", b"\x80", b"\xff" * 9, b"\xff\xff\xff\xff\x07"])
async def test_a_broken_frame_is_said_to_be_one(data):
    with pytest.raises(FrameError):
        await read_frame(reader_of(data))


async def test_golden_bytes_of_the_socket():
    # echo "hi", flush and info as CometBFT sends them, written out by hand from the field numbers
    assert Request(echo=RequestEcho(message="hi")).SerializeToString() == bytes.fromhex("0a040a026869")
    assert (await answer(Application(), bytes.fromhex("0a040a026869"))).data == bytes.fromhex("12040a026869")
    assert (await answer(Application(), bytes.fromhex("1200"))).data == bytes.fromhex("1a00")
    assert (await answer(Application(), bytes.fromhex("1a00"))).data == bytes.fromhex("2200")


def test_shipped_descriptors_are_those_of_the_texts():
    path = Path(__file__).resolve().parents[3] / "tools" / "compile_protos.py"
    spec = importlib.util.spec_from_file_location("compile_protos", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for home, name in ((tool.WIRE, "changan"), (tool.ABCI, "abci")):
        assert (home / f"{name}.desc").read_bytes() == tool.descriptor_set(home)
        assert (home / "messages.pyi").read_text(encoding="utf-8") == tool.stub(home)


class Failing(Application):
    """Every method raises."""

    def __getattribute__(self, name):
        async def method(_):
            raise ValueError(f"{name} \ud800 fails")

        return method


@pytest.mark.parametrize("name", [field.name for field in Request.DESCRIPTOR.fields])
async def test_a_failing_handler_has_an_answer(name):
    request = Request()
    getattr(request, name).SetInParent()
    found = await answer(Failing(), request.SerializeToString())
    response = Response.FromString(found.data)
    (field, body), *more = response.ListFields()
    assert not more
    if name in {"echo", "flush", "info", "init_chain", "finalize_block", "commit"}:
        assert field.name == "exception"
        assert not found.go_on
    else:
        assert field.name == name
        assert found.go_on
        if name in {"process_proposal", "verify_vote_extension"}:
            assert body.status == REJECT
        if name in {"check_tx", "query"}:
            assert body.code != 0


@pytest.mark.parametrize("data", [b"", b"\x0a", b"\xff\xff", b"\xa2\x06\x00", bytes(50)])
async def test_what_is_no_request_ends_the_connection_with_an_exception(data):
    found = await answer(Application(), data)
    assert Response.FromString(found.data).HasField("exception")
    assert not found.go_on


async def test_answers_come_in_order_on_every_connection(tmp_path):
    class Slow(Application):
        async def echo(self, request):
            await asyncio.sleep(0.02 if request.message.endswith("0") else 0)
            return await super().echo(request)

    async with AbciServer(Slow()).listen(tmp_path / "s"):

        async def connection(number):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            sent = [f"{number}-{n}" for n in range(12)]
            for text in sent:
                writer.write(prefixed(Request(echo=RequestEcho(message=text)).SerializeToString()))
            writer.write(prefixed(Request(flush=RequestFlush()).SerializeToString()))
            got = [Response.FromString(await read_frame(reader)).echo.message for _ in sent]
            assert Response.FromString(await read_frame(reader)).HasField("flush")
            writer.close()
            assert got == sent

        await asyncio.gather(*map(connection, range(4)))


async def test_a_broken_connection_leaves_the_others_alone(tmp_path):
    async with AbciServer(Application()).listen(tmp_path / "s"):
        good = await asyncio.open_unix_connection(tmp_path / "s")
        bad = await asyncio.open_unix_connection(tmp_path / "s")
        bad[1].write(b"\xff" * 64)
        assert await bad[0].read() == b""
        good[1].write(prefixed(Request(echo=RequestEcho(message="on")).SerializeToString()))
        assert Response.FromString(await read_frame(good[0])).echo.message == "on"
        good[1].close()
        bad[1].close()


def random_message(dice: random.Random, kind, depth: int = 0):
    """Fill a message of a kind with random fields."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if dice.random() < 0.4:
            continue
        values = [_value(dice, field, depth) for _ in range(dice.randrange(3) if field.is_repeated else 1)]
        values = [value for value in values if value is not None]
        if field.is_repeated:
            getattr(message, field.name).extend(values)
        elif values and field.message_type is not None:
            getattr(message, field.name).CopyFrom(values[0])
        elif values:
            setattr(message, field.name, values[0])
    return message


def _value(dice: random.Random, field, depth: int):
    if field.message_type is not None:
        return random_message(dice, getattr(messages, field.message_type.name), depth + 1) if depth < 4 else None
    top = {3: 2**63, 5: 2**31, 4: 2**64, 13: 2**32}.get(field.type)
    if field.type in {3, 5}:
        return dice.choice([0, 1, -1, 7, top - 1, -top])
    if top:
        return dice.choice([0, 1, top - 1])
    if field.type == 8:
        return True
    data = dice.randbytes(dice.choice([0, 1, 20, 32, 200]))
    return data if field.type == 12 else data.hex()


def requests(seed: int, count: int):
    """Yield frames: whole random requests, the same with bytes changed, cut or swapped, and mere noise."""
    dice = random.Random(seed)
    for _ in range(count):
        name = dice.choice([field.name for field in Request.DESCRIPTOR.fields])
        field = Request.DESCRIPTOR.fields_by_name[name]
        request = Request()
        getattr(request, name).CopyFrom(random_message(dice, getattr(messages, field.message_type.name)))
        getattr(request, name).SetInParent()
        data = bytearray(request.SerializeToString())
        how = dice.randrange(5)
        if how == 1 and data:
            for _ in range(dice.randrange(1, 4)):
                data[dice.randrange(len(data))] = dice.randrange(256)
        elif how == 2:
            data = data[: dice.randrange(len(data) + 1)]
        elif how == 3 and dice.random() < 0.5:
            data = bytearray(dice.randbytes(dice.randrange(64)))
        yield bytes(data)


FUZZ_COUNT = int(os.environ.get("CHANGAN_FUZZ_REQUESTS", "4000"))


async def test_random_and_mutated_requests_are_all_answered():
    decoded = 0
    for data in requests(seed=7, count=FUZZ_COUNT):
        found = await answer(Application(), data)
        response = Response.FromString(found.data)
        assert len(response.ListFields()) == 1
        decoded += not response.HasField("exception")
    assert decoded >= 0.3 * FUZZ_COUNT
