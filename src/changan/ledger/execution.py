"""One transaction runs: a system contract's method, or a Python contract's. It has an outcome, or it leaves nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.instance import Call, Code
from changan.ledger.bundle import MESSAGE, PARAMETER, BundleError, bundled_method, decode_bundle, open_bundle
from changan.ledger.bundle_run import RanBundle, run_bundle, run_views
from changan.ledger.contracts import Calls, contract_events, find_standing, stopped
from changan.ledger.delta import collect_rows
from changan.ledger.distilled import decode_distilled
from changan.ledger.gas import (
    ACCOUNTS,
    CONTRACT_GAS_MAX,
    LIMIT_CODE,
    Fare,
    Unpaid,
    balance_row,
    fare,
    limit_words,
)
from changan.ledger.native.call import LimitPassedError, NativeCall, NativeError
from changan.ledger.native.directory import native_method
from changan.ledger.outcomes import failure_text
from changan.ledger.state import Overlay, Write
from changan.ledger.system import LANE, OWN, SETTLE, SystemContract
from changan.ledger.wire.messages import ContractResult, TxStatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext
    from changan.ledger.admission import Admitted
    from changan.ledger.contracts import Standing
    from changan.ledger.delta import Delta
    from changan.ledger.members import Identity
    from changan.ledger.state import Rows
    from changan.ledger.wire.messages import BundleRows, Payload, TxRequest
    from changan.ledger.world import World

PARAMETERS_MAX = 50
PARAMETER_KEY_CHARACTERS_MAX = 1024
_SYSTEM = frozenset({*SystemContract, LANE})
_KEY = re.compile(r"[a-zA-Z0-9._-]+")  # the hyphen is missing in the words of the refusal, not in the rule
_MIB = 1024 * 1024
_UNBOUNDED = 2**63 - 1
_PASSED = -1
"""Between functions here: the call used more gas than its sender pays for."""


class Executed(NamedTuple):
    """How one transaction ended, and the rows it wrote (those of a contract only when it ended well).

    What the wire says of a bundle comes with `finished`.
    """

    code: int
    result: ContractResult
    writes: list[Write]
    message: str = ""
    bundle: RanBundle | None = None
    deltas: Sequence[Delta] = ()
    """The rows of Python contracts among them, as records; those of a bundle stand here alone."""

    def finished(self) -> Executed:
        """Return it with what the wire says of a bundle: its result, and of every contract one write, the root over its rows."""
        if self.bundle is None:
            return self
        result, roots, deltas = self.bundle.finish()
        self.result.result = result.SerializeToString()
        listed = [Write(delta.contract, PARAMETER, root) for delta, root in zip(deltas, roots, strict=True)]
        return self._replace(writes=[*listed, *self.writes], deltas=deltas)


class Execution:
    """Runs transactions one after another inside one block, or one query beside it."""

    def __init__(self, world: World, block: BlockContext) -> None:
        self._world = world
        self._block = block

    def invoke(self, request: TxRequest, verdict: Admitted) -> Executed:
        """Run a transaction; what it wrote is part of the state when it ended well, and what it cost in any case."""
        world = self._world
        payer = verdict.payer or verdict.sender
        charged = fare(world.config, world.rows, request.payload, payer.address)
        if charged is None:
            return self._run(request, verdict, _UNBOUNDED, keep=True)
        if isinstance(charged, Unpaid):
            return _failed(charged.code, charged.message)._replace(message=charged.message)
        return self._settle(charged, self._within(request, verdict, charged))

    def query(self, request: TxRequest, verdict: Admitted) -> Executed:
        """Run a request on the state as it is; nothing of it stays, whatever it wrote, and it costs nothing."""
        return self._run(request, verdict, _UNBOUNDED, keep=False)

    def query_many(self, contract: str, method: str, data: bytes, caller: bytes) -> BundleRows:
        """Ask a view once for each row of a bundle's columns, on the state as it is. Raises BundleError."""
        standing = find_standing(self._world.rows, contract)
        refusal = _refusal(standing)
        if refusal is not None:
            raise BundleError(refusal.result.message)
        assert standing is not None
        instance = self._world.instances[standing.name]
        signature, rows = open_bundle(instance.program, method, data, "view")
        return run_views(instance, signature, rows, caller, self._block)

    def _within(self, request: TxRequest, verdict: Admitted, charged: Fare) -> Executed:
        """Run a transaction within what its sender pays for. Gas of the result is everything that is charged."""
        if charged.allowance < 0:
            return _passed(charged.limit, charged.base)
        executed = self._run(request, verdict, charged.allowance, keep=True)
        if executed.code == _PASSED:
            return _passed(
                charged.limit, charged.limit + 1
            )  # it was stopped there: how much more it wants is not known
        executed.result.gas_used += charged.base
        return executed

    def _settle(self, charged: Fare, executed: Executed) -> Executed:
        left = str(charged.balance - executed.result.gas_used).encode()
        write = Write(ACCOUNTS, balance_row(charged.account), left)
        self._world.commit(write)
        return executed._replace(writes=[*executed.writes, write])

    def _run(self, request: TxRequest, verdict: Admitted, gas_max: int, *, keep: bool) -> Executed:
        payload = request.payload
        given = [(parameter.key, parameter.value) for parameter in payload.parameters]
        problem = _parameter_problem(given, self._world.config.block.tx_parameter_size)
        if problem is not None:
            text = f"parse tx[{payload.tx_id}] contract[{payload.contract_name}] parameters error:{problem}"
            return _failed(TxStatusCode.INVALID_PARAMETER, text)
        name, parameters = payload.contract_name, dict(given)
        if name == OWN and payload.method == SETTLE:
            return _bring_up_to_date(verdict.sender)
        if name in _SYSTEM:
            return self._native(request, parameters, verdict.sender, gas_max, keep=keep)
        return self._python(payload, parameters, verdict, gas_max, keep=keep)

    def _native(
        self, request: TxRequest, parameters: dict[str, bytes], sender: Identity, gas_max: int, *, keep: bool
    ) -> Executed:
        world, payload = self._world, request.payload
        ended = disabled(world.rows, payload.contract_name)
        if ended is not None:
            return _failed(*ended)
        overlay = Overlay(world.rows)
        call = NativeCall(
            world,
            overlay,
            payload,
            parameters,
            sender,
            request.sender.signer,
            self._block,
            keep,
            request.endorsers,
            min(CONTRACT_GAS_MAX, gas_max),
        )
        try:
            result = native_method(payload.contract_name, payload.method)(call)
        except LimitPassedError as error:
            return _failed(_PASSED, str(error))
        except NativeError as error:
            return _failed(error.code or TxStatusCode.CONTRACT_FAIL, str(error), call.gas)
        writes = overlay.writes()
        if keep:
            world.instances.update(call.installs)
            for write in writes:
                world.commit(write)
        return Executed(
            TxStatusCode.SUCCESS,
            ContractResult(result=result, message=call.message, gas_used=call.gas, contract_event=call.events),
            writes,
        )

    def _python(
        self, payload: Payload, parameters: dict[str, bytes], verdict: Admitted, gas_max: int, *, keep: bool
    ) -> Executed:
        standing = find_standing(self._world.rows, payload.contract_name)
        refusal = _refusal(standing)
        if standing is None or refusal is not None:
            return refusal or _failed(TxStatusCode.INTERNAL_ERROR, "")
        if parameters.keys() == {PARAMETER}:
            return self._bundle(payload, standing.name, verdict, gas_max, keep=keep)
        name, program = payload.method, self._world.instances[standing.name].program
        method = program.method(name)
        if method is None or method.kind not in {"call", "view"}:
            text = (
                f"contract invoke failed, find method [{name}] failed, err = the contract has no such method, "
                f"tx: {payload.tx_id}"
            )
            return _failed(TxStatusCode.CONTRACT_FAIL, text)
        try:
            arguments = program.decode_arguments(name, parameters)
        except BadArgumentError as error:
            return _failed(TxStatusCode.CONTRACT_FAIL, f"bad argument: {error}")
        call = Call(verdict.sender.address, arguments, min(CONTRACT_GAS_MAX, gas_max))
        return self._call(standing.name, name, payload.tx_id, call, keep=keep)

    def _bundle(self, payload: Payload, name: str, verdict: Admitted, gas_max: int, *, keep: bool) -> Executed:
        instance, data = self._world.instances[name], payload.parameters[0].value
        try:
            if not keep:
                raise BundleError("a bundle is invoked, not asked")
            signature = bundled_method(instance.program, payload.method, rules=self._world.rules)
            if verdict.opened is not None and verdict.opened.signature == signature:
                bundle = verdict.opened.bundle
            elif verdict.callers is None:
                bundle = decode_bundle(data, signature)
            else:
                bundle = decode_distilled(data, signature).called_by(verdict.callers.addresses)
        except BundleError as error:
            return _failed(TxStatusCode.INVALID_PARAMETER, f"bundle refused: {error}")
        if not gas_max:
            return _failed(_PASSED, "")
        if gas_max < _UNBOUNDED:
            bundle = bundle._replace(budget=min(bundle.budget or gas_max, gas_max))
        sender = verdict.sender.address
        host = self._host(name)
        ran = run_bundle(instance, name, signature, bundle, sender, self._block, self._world.roots, host)
        return Executed(TxStatusCode.SUCCESS, ContractResult(message=MESSAGE, gas_used=ran.gas), [], bundle=ran)

    def _host(self, name: str) -> Calls | None:
        """Return what lets a contract call others; None for one that calls none."""
        instances = self._world.instances
        calls = instances[name].program.tree.interfaces
        return Calls(instances, self._world.rows, self._block, name) if calls else None

    def _call(self, name: str, method: str, tx_id: str, call: Call, *, keep: bool) -> Executed:
        instances, rows = self._world.instances, self._world.rows
        instance = instances[name]
        program = instance.program
        host = self._host(name)
        if keep:
            outcome = instance.run(method, [call], self._block, host)[0]
        else:
            outcome = instance.enter(method, call, self._block, host)
            instance.settle(keep=False)
            if host is not None:
                host.settle(keep=False)
        if outcome.code == Code.OUT_OF_GAS and call.gas_limit < CONTRACT_GAS_MAX:
            return _failed(_PASSED, "")
        if outcome.code != Code.OK:
            return _failed(TxStatusCode.CONTRACT_FAIL, failure_text(program, outcome), outcome.gas)
        result = ContractResult(
            result=program.encode_result(method, outcome.result),
            gas_used=outcome.gas,
            contract_event=contract_events(instances, rows, outcome.events, tx_id),
        )
        if not keep:
            return Executed(TxStatusCode.SUCCESS, result, [])
        entered = {name: instance} if host is None else {name: instance, **host.entered}
        return _collected(entered, result)


def _collected(entered: Mapping[str, AnyInstance], result: ContractResult) -> Executed:
    """Return a call that ended well, with the rows that it changed in all the contracts it entered."""
    writes: list[Write] = []
    deltas: list[Delta] = []
    for name, instance in entered.items():
        rows, delta = collect_rows(name, instance)
        writes += [Write(name, key, value) for key, value in rows]
        if rows:
            deltas.append(delta)
    return Executed(TxStatusCode.SUCCESS, result, writes, deltas=deltas)


def _bring_up_to_date(sender: Identity) -> Executed:
    """Let the state tree catch up in this block: nothing is written, and the block carries the root of its own height."""
    if sender.role not in {"CONSENSUS", "COMMON"}:
        return _failed(TxStatusCode.NO_PERMISSION, "only a node asks for the state root")
    return Executed(TxStatusCode.SUCCESS, ContractResult(message="OK"), [])


def disabled(rows: Rows | Overlay, contract: str) -> tuple[int, str] | None:
    """Return code and words with which a call of a disabled system contract ends; None for one that answers."""
    standing = find_standing(rows, contract)
    return None if standing is None else stopped(standing)


def _refusal(standing: Standing | None) -> Executed | None:
    if standing is None or standing.is_native:
        return _failed(TxStatusCode.INVALID_CONTRACT_PARAMETER_CONTRACT_NAME, "contractName not found")
    ended = stopped(standing)
    return None if ended is None else _failed(*ended)


def _parameter_problem(given: Sequence[tuple[str, bytes]], size_mib: int) -> str | None:
    if len(given) > PARAMETERS_MAX:
        return f"expect parameters length less than {PARAMETERS_MAX}, but got {len(given)}"
    limit = (size_mib or 10) * _MIB
    for key, value in given:
        problem = _key_problem(key)
        if problem is not None:
            return problem
        if len(value) >= limit:
            return f"expect value length less than {limit}, but got {len(value)}"
    return None


def _key_problem(key: str) -> str | None:
    if len(key) > PARAMETER_KEY_CHARACTERS_MAX:
        return f"expect key length less than {PARAMETER_KEY_CHARACTERS_MAX}, but got {len(key)}"
    if _KEY.fullmatch(key) is None:
        return f"expect key no special characters, but got key:[{key}]. letter, number, dot and underline are allowed"
    return None


def _passed(limit: int, used: int) -> Executed:
    """Return the end of a transaction whose gas passed its sender's limit: it counts as done, and everything is charged."""
    result = ContractResult(code=LIMIT_CODE, message=limit_words(limit, used), gas_used=limit)
    return Executed(TxStatusCode.SUCCESS, result, [])


def _failed(code: int, message: str, gas: int = 0) -> Executed:
    return Executed(code, ContractResult(code=1, message=message, gas_used=gas), [])
