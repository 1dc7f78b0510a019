"""The kernels' hash trees against the plain ones: rows of bundles, deltas, and the tree over the state."""

from __future__ import annotations

import struct
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changan.crypto.batch import buckets
from changan.crypto.batch.forest import Column
from changan.crypto.digest import sha3_256, sha256, sm3, tagged
from changan.crypto.merkle import tree_root
from changan.crypto.state_tree import StateTree, verify_state_proof
from changan.errors import MalformedError

pytestmark = pytest.mark.timeout(1200)  # whoever comes first waits for the kernels to compile
WAYS = {"sha256 in lanes": (sha256, True), "sha256 one by one": (sha256, False), "sm3": (sm3, True)}
GONE = 0xFFFFFFFF


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def way(request):
    """A digest, and whether many messages at once go through lanes, whatever this machine would choose."""
    return request.param


@pytest.fixture(scope="module")
def digest(way):
    return way[0]


@pytest.fixture(scope="module")
def forest(kernels, way):
    digest, in_lanes = way
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels._modules["lanes"], "SHA256_IN_LANES", in_lanes)
        return kernels.forest(digest, 0x1234_5678_9ABC_DEF1)


# Rows of a bundle

texts = st.binary(max_size=200)


@st.composite
def bundles(draw):
    """Columns by their values, with what came of each row."""
    rows = draw(st.integers(1, 40))
    widths = draw(st.lists(st.sampled_from([0, 1, 8, 20, 32]), max_size=4))
    columns = [
        draw(st.lists(st.binary(min_size=width, max_size=width) if width else texts, min_size=rows, max_size=rows))
        for width in widths
    ]
    width = draw(st.sampled_from([None, 0, 8]))
    value = st.binary(min_size=8, max_size=8) if width else texts
    results = draw(st.lists(value, min_size=rows, max_size=rows)) if width is not None else [b""] * rows
    outcomes = draw(st.lists(st.integers(0, 2**32 - 1), min_size=rows, max_size=rows))
    gas = draw(st.lists(st.integers(0, 2**64 - 1), min_size=rows, max_size=rows))
    events = draw(
        st.lists(
            st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=90)), max_size=3), min_size=rows, max_size=rows
        )
    )
    return widths, columns, width, results, outcomes, gas, events


def column(values, width):
    ends = struct.pack(f"<{len(values)}I", *accumulate(map(len, values)))
    return Column(b"".join(values), width, b"" if width else ends)


def event(row, kind, data):
    return struct.pack("<III", row, kind, len(data)) + data


@settings(max_examples=150)
@given(bundles())
def test_the_root_over_rows_is_that_of_their_leaves(forest, digest, made):
    widths, columns, width, results, outcomes, gas, events = made
    leaves = []
    for row in range(len(outcomes)):
        arguments = b"".join(
            values[row] if size else struct.pack("<I", len(values[row])) + values[row]
            for size, values in zip(widths, columns, strict=True)
        )
        told = b"".join(event(row, *one)[4:] for one in events[row])
        leaf = struct.pack("<IIQ", row, outcomes[row], gas[row])
        leaves.append(leaf + b"".join(struct.pack("<I", len(part)) + part for part in (arguments, results[row], told)))
    found = forest.outcome_root(
        [column(values, size) for size, values in zip(widths, columns, strict=True)],
        struct.pack(f"<{len(outcomes)}I", *outcomes),
        struct.pack(f"<{len(gas)}Q", *gas),
        None if width is None else column(results, width),
        b"".join(event(row, *one) for row, some in enumerate(events) for one in some),
    )
    assert found == tree_root(leaves, digest)


@pytest.mark.parametrize(
    "events",
    [
        event(1, 0, b"a") + event(0, 0, b"b"),  # the second row's before the first's
        event(2, 0, b"a"),  # of a row that is not there
        event(0, 0, b"abc")[:-1],  # cut short
        event(0, 0, b"abc") + b"\x00",  # and more than there is
        struct.pack("<III", 0, 0, 2**32 - 1),
    ],
)
def test_events_out_of_order_have_no_root(forest, events):
    with pytest.raises(MalformedError, match="out of order"):
        forest.outcome_root([Column(bytes(16), 8)], bytes(8), bytes(16), None, events)


# Deltas

KEYS = st.one_of(st.just(b""), st.binary(min_size=1, max_size=3), st.binary(min_size=20, max_size=20))
CHANGES = st.lists(st.tuples(st.integers(0, 2), KEYS, st.one_of(st.none(), st.binary(max_size=300))), max_size=60)


def record(field, key, value):
    return struct.pack("<HHI", field, len(key), GONE if value is None else len(value)) + key + (value or b"")


@settings(max_examples=150)
@given(CHANGES, st.integers(1, 20))
def test_the_root_over_a_delta_is_that_of_its_groups(forest, digest, changes, group):
    records = [record(*change) for change in changes]
    delta = b"".join(records)
    groups = [b"".join(records[at : at + group]) for at in range(0, len(records), group)]
    assert forest.count_records(delta) == len(records)
    assert forest.delta_root(delta, group) == (tree_root(groups, digest), len(records))


def test_messages_of_every_length_wait_for_others_of_theirs(forest, digest):
    lengths = [length for length in range(1200) for _ in range(1 + length % 3)]
    Random(5).shuffle(lengths)
    records = [record(1, b"", bytes([n % 251]) * length) for n, length in enumerate(lengths)]
    assert forest.delta_root(b"".join(records), 1) == (tree_root(records, digest), len(records))


@given(CHANGES.filter(bool), st.data())
def test_a_delta_that_is_cut_short_is_not_counted(forest, changes, data):
    delta = b"".join(record(*change) for change in changes)
    whole = {0, *accumulate(len(record(*change)) for change in changes)}
    cut = data.draw(st.integers(0, len(delta)).filter(lambda at: at not in whole))
    with pytest.raises(MalformedError, match="cut short"):
        forest.count_records(delta[:cut])


# The state

NAMES = (b"owners", b"a", b"balances")


def bound(*parts):
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def literal(changes):
    """Rows by the text of their key, by a dict."""
    rows = {}
    for field, key, value in changes:
        text = NAMES[field] + (b"." + key.hex().encode() if key else b"")
        rows[text] = value
    return rows


@settings(max_examples=150)
@given(st.lists(CHANGES, min_size=1, max_size=5), st.integers(0, 2**64 - 1))
def test_rows_of_deltas_hash_as_single_rows_do(forest, digest, several, seed):
    forest._seed = forest._numpy.uint64(seed)
    deltas = [b"".join(record(*change) for change in changes) for changes in several]
    found = forest.hashed(deltas, bound(b"changan.key", b"token"), NAMES, bound(b"changan.value"))
    told = {
        bytes(row[:32]): bytes(row[32:]) if there else None
        for row, there in zip(found.rows, found.present, strict=True)
    }
    wanted = literal([change for changes in several for change in changes])
    assert len(found.rows) == len(wanted)
    assert told == {
        tagged(b"changan.key", b"token", key, digest=digest): None
        if value is None
        else tagged(b"changan.value", value, digest=digest)
        for key, value in wanted.items()
    }
    compact = b"".join(forest.compact(deltas))
    assert literal(parsed(compact)) == wanted
    assert forest.count_records(compact) == len(wanted)


def parsed(delta):
    at = 0
    while at < len(delta):
        field, key, size = struct.unpack_from("<HHI", delta, at)
        end = at + 8 + key + (0 if size == GONE else size)
        yield field, delta[at + 8 : at + 8 + key], None if size == GONE else delta[at + 8 + key : end]
        at = end


# Common beginnings of every length, so that rows that differ late share a bucket and a path.
HASHES = st.builds(
    lambda head, shared, tail: (bytes([head]) * shared + tail)[:32],
    st.integers(0, 3),
    st.sampled_from([0, 1, 7, 8, 9, 16, 31]),
    st.binary(min_size=32, max_size=32),
)
STEPS = st.lists(
    st.lists(st.tuples(HASHES, st.one_of(st.none(), st.binary(min_size=32, max_size=32))), max_size=40), max_size=6
)


@settings(max_examples=100)
@given(STEPS, st.data())
def test_the_tree_in_buckets_is_the_plain_tree(forest, digest, steps, data):
    plain, tree, known = StateTree(digest), forest.state_tree(), {}
    for changes in steps:
        again = data.draw(st.lists(st.sampled_from(sorted(known)), max_size=9)) if known else []
        step = changes + [(key, data.draw(st.sampled_from([None, bytes(32), key]))) for key in again]
        before, fork = tree.root, tree.fork()
        plain.update(step)
        tree.update(forest.changed(step))
        for key, value in step:
            known.pop(key, None)
            if value is not None:
                known[key] = value
        assert (tree.root, tree.rows, plain.rows) == (plain.root, len(known), len(known))
        assert fork.root == before
        for key in [*(key for key, _ in step), data.draw(HASHES)]:
            proof = tree.prove(key)
            assert proof == plain.prove(key)
            assert verify_state_proof(proof, key, tree.root, digest)
    assert b"".join(tree.leaves()) == b"".join(plain.leaves()) == b"".join(key + known[key] for key in sorted(known))
    loaded = forest.state_tree()
    loaded.load(tree.leaves())
    assert (loaded.root, loaded.rows) == (tree.root, tree.rows)


def test_many_rows_split_buckets_and_a_picture_stays(forest, digest):
    rows = [(digest(b"%d" % n), digest(b"v%d" % n)) for n in range(3000)]
    plain, tree = StateTree(digest), forest.state_tree()
    for start in range(0, 3000, 700):
        plain.update(rows[start : start + 700])
        tree.update(forest.changed(rows[start : start + 700]))
        assert tree.root == plain.root
    picture = tree.leaves()
    for left in (40, 3, 2, 1, 0):  # fewer than there are buckets: most nodes have one row below or none
        gone = [(key, None) for key, _ in rows[left:]]
        plain.update(gone)
        tree.update(forest.changed(gone))
        assert (tree.root, tree.rows) == (plain.root, left)
    assert b"".join(picture) == b"".join(key + value for key, value in sorted(rows))


@pytest.mark.parametrize("slabs", [3, 1 << 20])
def test_rows_that_were_written_anew_are_let_go(forest, digest, monkeypatch, slabs):
    monkeypatch.setattr(buckets, "_SLABS_MAX", slabs)
    monkeypatch.setattr(buckets, "_SPARE_ROWS", 10)
    random = Random(slabs)
    known = {digest(b"%d" % n): digest(b"v%d" % n) for n in range(3000)}
    plain, tree = StateTree(digest), forest.state_tree()
    plain.update(known.items())
    tree.update(forest.changed(list(known.items())))
    for number in range(60):
        keys = random.sample(sorted(known), random.choice([1, 30, 2000])) if number % 10 else sorted(known)[::2]
        step = [(key, random.choice([None, digest(b"%d" % number)])) for key in keys]
        before, fork = tree.root, tree.fork()
        plain.update(step)
        tree.update(forest.changed(step))
        assert (tree.root, fork.root) == (plain.root, before)
        assert len(tree._slabs) <= slabs
        assert tree._held <= 2 * tree.rows + 10
    assert b"".join(tree.leaves()) == b"".join(plain.leaves())


def test_rows_out_of_order_are_not_loaded(forest):
    good = [bytes([n]) * 64 for n in range(4)]
    for bad in ([good[1], good[0]], [good[1], good[1]], [good[0], good[1][:63]], [b"".join([*good, good[2]])]):
        with pytest.raises(MalformedError, match="state tree"):
            forest.state_tree().load(bad)


def test_a_digest_without_kernels_is_refused(kernels):
    with pytest.raises(MalformedError, match="SHA-256 and SM3"):
        kernels.forest(sha3_256, 1)
