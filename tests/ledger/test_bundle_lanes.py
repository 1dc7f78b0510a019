"""However a node runs bundles and makes their roots, the blocks are the same, byte for byte, and hold before an audit."""

from __future__ import annotations

import pytest
from test_gas_accounts import Chain

from changan.client.requests import install_parameters
from changan.contract.engines import compiled, plain
from changan.contract.program import compile_source
from changan.crypto.digest import sha256
from changan.errors import MalformedError
from changan.ledger.admission import authenticate
from changan.ledger.bundle import PARAMETER, columns_of, encode_bundle, open_bundle
from changan.ledger.roots import KernelRoots
from changan.ledger.snapshot import dump, dump_state, load, load_state
from changan.ledger.transition import Decided, apply_block, apply_genesis
from changan.ledger.wire.messages import BlockWithRWSet, BundleResult, ContractResult
from changan.node.audit import Auditor
from changan.node.storage import record_of, replay_block
from consortium import EXAMPLES, Ledger

pytestmark = pytest.mark.timeout(1200)  # whoever comes first waits for the kernels to compile


def sealed(consortium, **options) -> Ledger:
    return Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"), **options)


def bundle(ledger, contract, method, rows, **options):
    signature = ledger.world.instances[contract].program.method(method)
    data = encode_bundle(signature, columns_of(signature, rows), len(rows), 0)
    return ledger.request(contract, method, {PARAMETER: data}, **options)


def digest_of(n: int) -> bytes:
    return sha256(b"%d" % n)


@pytest.fixture(scope="module")
def busy(consortium):
    """A chain whose state is far ahead of its root: bundles, single calls on the same rows, failures, and a settling block."""
    ledger = sealed(consortium)
    ledger.install("evidence")
    ledger.install("token", supply="1000000")
    admin = consortium.admin()
    for turn in range(24):
        some = [(digest_of(400 * turn + n), f"note {n} 长安" * (n % 3)) for n in range(400)]
        pays = [(digest_of(n % 97)[:20], n % 5) for n in range(150)]
        ledger.seal(
            bundle(ledger, "evidence", "put", some + some[:3]),
            bundle(ledger, "token", "transfer", pays, sender=admin),
            ledger.request("token", "transfer", {"to": digest_of(turn)[:20].hex(), "amount": "7"}, sender=admin),
            bundle(ledger, "token", "transfer", [(digest_of(turn)[:20], 1)], sender=admin),
        )
    ledger.call("CHANGAN", "SETTLE", sender=consortium.signer(1, "consensus1", "consensus"))
    return ledger


def test_roots_come_late_and_hold_before_an_audit(busy):
    late = [applied for applied in busy.blocks if applied.state_root is None]
    delayed = [a for a in busy.blocks if a.state_root and a.state_root.height < a.block.header.block_height]
    assert len(late) > 10
    assert delayed
    auditor = Auditor(busy.log())
    assert len(list(auditor.blocks())) == len(busy.blocks)
    assert auditor.state_roots == sum(applied.state_root is not None for applied in busy.blocks)


@pytest.mark.parametrize("engine", [plain, compiled(bytes(32))], ids=["plain", "compiled"])
@pytest.mark.parametrize("kernel", [False, True], ids=["python", "kernels"])
def test_every_lane_gives_the_same_blocks(busy, engine, kernel, request):
    world, _ = apply_genesis(busy.config, engine)
    if kernel:
        forest = request.getfixturevalue("kernels").forest(sha256, 99)
        world.use(KernelRoots(sha256, forest))
    for applied in busy.blocks[1:]:
        again = replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
        assert again.bundles == applied.bundles
    assert world.commitment.tree.root == busy.world.commitment.tree.root


def test_a_picture_taken_in_one_lane_goes_on_in_another(busy, kernels):
    """While much waits for a root, and while rows are set aside; from each lane into each."""
    lanes = [(plain, False), (compiled(bytes(32)), True)]
    for height in (5, 14, 20, 23):
        for first, kernel in lanes:
            world = run_to(busy, height, first, kernels if kernel else None)
            sections = {name: list(items) for name, items in dump(world)}
            for second, other in lanes:
                resumed = load(sections.__getitem__, second)
                if other:
                    resumed.use(KernelRoots(sha256, kernels.forest(sha256, 5)))
                for applied in busy.blocks[height + 1 :]:
                    replay_block(resumed, BlockWithRWSet.FromString(record_of(applied)))
                assert resumed.block_hash == busy.world.block_hash


def test_the_rows_of_a_state_alone_go_on_in_every_lane(busy, kernels):
    """From each height whose own block holds the root: nothing but the rows and that block's header is needed."""
    lanes = [(plain, False), (compiled(bytes(32)), True)]
    fit = [a for a in busy.blocks if a.state_root and a.state_root.height == a.block.header.block_height]
    assert len(fit) > 3
    for applied in fit[1::2]:
        header = applied.block.header
        for first, kernel in lanes:
            world = run_to(busy, header.block_height, first, kernels if kernel else None)
            sections = {name: list(items) for name, items in dump_state(world)}
            assert {"head", "tree", "waiting", "aside"}.isdisjoint(sections)
            for second, other in lanes:
                resumed = load_state(sections.__getitem__, header, second)
                if other:
                    resumed.use(KernelRoots(sha256, kernels.forest(sha256, 5)))
                for later in busy.blocks[header.block_height + 1 :]:
                    replay_block(resumed, BlockWithRWSet.FromString(record_of(later)))
                assert resumed.block_hash == busy.world.block_hash
    late = next(a for a in busy.blocks if a not in fit)
    with pytest.raises(MalformedError, match="not those under the state root"):
        load_state(sections.__getitem__, late.block.header)
    with pytest.raises(MalformedError, match="not those under the state root"):
        load_state(sections.__getitem__, fit[1].block.header)


def run_to(ledger, height, engine, kernels):
    world, _ = apply_genesis(ledger.config, engine)
    for applied in ledger.blocks[1 : height + 1]:
        replay_block(world, BlockWithRWSet.FromString(record_of(applied)))
    if kernels is not None:  # they come while the chain is under way
        world.use(KernelRoots(sha256, kernels.forest(sha256, 5)))
    return world


def test_a_record_is_the_message_that_it_stands_for(busy):
    for applied in busy.blocks:
        record = record_of(applied)
        stored = BlockWithRWSet.FromString(record)
        assert stored.SerializeToString() == record
        assert stored.block == applied.block
        assert [rows.position for rows in stored.bundle_rows] == list(applied.bundles)


def test_a_verdict_that_knows_what_was_signed_changes_nothing(consortium):
    ledger, other = sealed(consortium), sealed(consortium)
    for each in (ledger, other):
        each.install("evidence")
    request = bundle(ledger, "evidence", "put", [(digest_of(1), "a"), (digest_of(1), "b")])
    applied = ledger.seal(request)
    world = other.world
    verdict = authenticate(request, world.members, world.policies, other.time_us // 10**6 + 1, world.epoch)
    assert verdict.signed == request.payload.SerializeToString()
    member = applied.block.header.proposer
    again = apply_block(world, Decided(world.height + 1, ledger.time_us, member, [request], [verdict]))
    assert [done.data for done in again.done] == [done.data for done in applied.done]


def test_a_bundle_that_was_opened_is_not_opened_again_unless_the_method_changed(consortium):
    """What the door took apart runs as it is; after an upgrade that changed the method, the bundle is what its bytes say."""
    known = (EXAMPLES / "evidence.py").read_text(encoding="utf-8")
    changed = known.replace("MaxLen(512)", "MaxLen(500)")
    put = compile_source(known).method("put")
    other_rows = encode_bundle(put, columns_of(put, [(digest_of(2), "c")] * 3), 3, 0)
    opened = open_bundle(compile_source(known), "put", other_rows)
    for source, rows_run in ((known, 3), (changed, 2)):
        ledger, other = sealed(consortium), sealed(consortium)
        for each in (ledger, other):
            each.install("evidence", source.encode())
        request = bundle(ledger, "evidence", "put", [(digest_of(1), "a"), (digest_of(1), "b")])
        applied = ledger.seal(request)
        world = other.world
        verdict = authenticate(request, world.members, world.policies, other.time_us // 10**6 + 1, world.epoch)
        proposer, verdicts = applied.block.header.proposer, [verdict._replace(opened=opened)]
        again = apply_block(world, Decided(world.height + 1, ledger.time_us, proposer, [request], verdicts))
        assert BundleResult.FromString(ContractResult.FromString(again.done[0].answer).result).rows == rows_run


def test_a_bundle_pays_for_its_gas_and_the_account_is_under_the_state_root(consortium):
    chain = Chain(sealed(consortium)).on()
    assert chain.recharge(user=1_000_000).code == 0
    ledger = chain.ledger
    request = bundle(ledger, "token", "transfer", [(digest_of(n)[:20], 0) for n in range(4)], sender=chain.user)
    request.payload.limit.gas_limit = 500_000
    request.sender.CopyFrom(chain.user.endorse(request.payload))
    before = chain.balance(chain.user)
    [tx] = ledger.seal(request).block.txs
    assert BundleResult.FromString(tx.result.contract_result.result).rows == 4
    assert before - chain.balance(chain.user) == tx.result.contract_result.gas_used > 0
    auditor = Auditor(ledger.log())
    assert len(list(auditor.blocks())) == len(ledger.blocks)
    resumed = load({name: list(items) for name, items in dump(ledger.world)}.__getitem__)
    assert resumed.commitment.tree.root == ledger.world.commitment.tree.root


def test_a_field_that_an_upgrade_takes_away_leaves_the_state(consortium):
    """Its deletion follows deltas under the old names; whatever waits is folded in that order."""
    ledger = sealed(consortium)
    head = "from changan.contract import U64, Contract, Map, call, migrate\n\nclass Box(Contract):\n"
    put = "    @call\n    def put(self, key: U64, value: U64) -> None:\n        self.{0}[key] = value\n"
    ledger.install("box", (head + "    old: Map[U64, U64]\n    kept: Map[U64, U64]\n\n" + put.format("old")).encode())
    for turn in range(4):
        ledger.seal(bundle(ledger, "box", "put", [(n, n + turn) for n in range(300)]))
    drop = "\n    @migrate(drops=('old',))\n    def on(self) -> None:\n        pass\n"
    code = (head + "    kept: Map[U64, U64]\n\n" + put.format("kept") + drop).encode()
    upgraded = ledger.manage("UPGRADE_CONTRACT", install_parameters("box", "2.0", code, {}))
    assert upgraded.code == 0, upgraded.contract_result.message
    for turn in range(3):
        ledger.seal(bundle(ledger, "box", "put", [(n, n + turn) for n in range(300)]))
    ledger.call("CHANGAN", "SETTLE", sender=consortium.signer(1, "consensus1", "consensus"))
    auditor = Auditor(ledger.log())
    assert len(list(auditor.blocks())) == len(ledger.blocks)
