"""One transaction runs: a system contract's method, or a Python contract's. It has an outcome, or it leaves nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from changan.contract.codec import BadArgumentError
from changan.contract.instance import Call, Code
from changan.ledger.bundle import MESSAGE, PARAMETER, BundleError, bundled_method, decode_bundle, open_bundle
from changan.ledger.bundle_run import RanBundle, run_bundle, run_views
from changan.ledger.contracts import Calls, contract_events, find_record, stopped
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
from changan.ledger.wire.messages import ContractResult, RuntimeType, TxStatusCode

if TYPE_CHECKING:
    from changan.contract.engines import AnyInstance
    from changan.contract.instance import BlockContext
    from changan.ledger.admission import Admitted
    from changan.ledger.delta import Delta
    from changan.ledger.members import Identity
    from changan.ledger.state import Rows
    from changan.ledger.wire.messages import BundleRows, Contract, Payload, TxRequest
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

    A bundle's rows of state stand apart, and what the wire says of it comes with `finished`.
    """

    code: int
    result: ContractResult
    writes: list[Write]
    message: str = ""
    bundle: RanBundle | None = None
    delta: Delta | None = None

    def finished(self) -> Executed:
        """Return it with what the wire says of a bundle: its result, and one write, the root over the rows it changed."""
        if self.bundle is None:
            return self
        result, delta_root, delta = self.bundle.finish()
        self.result.result = result.SerializeToString()
        return self._replace(writes=[Write(result.contract, PARAMETER, delta_root), *self.writes], delta=delta)


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
        record = find_record(self._world.rows, contract)
        refusal = _refusal(record)
        if refusal is not None:
            raise BundleError(refusal.result.message)
        assert record is not None
        instance = self._world.instances[record.name]
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
        problem = _parameter_problem(payload, self._world.config.block.tx_parameter_size)
        if problem is not None:
            text = f"parse tx[{payload.tx_id}] contract[{payload.contract_name}] parameters error:{problem}"
            return _failed(TxStatusCode.INVALID_PARAMETER, text)
        if payload.contract_name == OWN and payload.method == SETTLE:
            return _bring_up_to_date(verdict.sender)
        if payload.contract_name in _SYSTEM:
            return self._native(request, verdict.sender, gas_max, keep=keep)
        return self._python(payload, verdict, gas_max, keep=keep)

    def _native(self, request: TxRequest, sender: Identity, gas_max: int, *, keep: bool) -> Executed:
        world, payload = self._world, request.payload
        ended = disabled(world.rows, payload.contract_name)
        if ended is not None:
            return _failed(*ended)
        overlay = Overlay(world.rows)
        call = NativeCall(
            world,
            overlay,
            payload,
            {parameter.key: parameter.value for parameter in payload.parameters},
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

    def _python(self, payload: Payload, verdict: Admitted, gas_max: int, *, keep: bool) -> Executed:
        record = find_record(self._world.rows, payload.contract_name)
        refusal = _refusal(record)
        if record is None or refusal is not None:
            return refusal or _failed(TxStatusCode.INTERNAL_ERROR, "")
        instance = self._world.instances[record.name]
        program = instance.program
        method = program.method(payload.method)
        parameters = {parameter.key: parameter.value for parameter in payload.parameters}
        if parameters.keys() == {PARAMETER}:
            return self._bundle(payload, record.name, verdict, gas_max, keep=keep)
        if method is None or method.kind not in {"call", "view"}:
            text = (
                f"contract invoke failed, find method [{payload.method}] failed, err = the contract has no such method, "
                f"tx: {payload.tx_id}"
            )
            return _failed(TxStatusCode.CONTRACT_FAIL, text)
        try:
            arguments = program.decode_arguments(payload.method, parameters)
        except BadArgumentError as error:
            return _failed(TxStatusCode.CONTRACT_FAIL, f"bad argument: {error}")
        return self._call(
            payload,
            record,
            instance,
            Call(verdict.sender.address, arguments, min(CONTRACT_GAS_MAX, gas_max)),
            keep=keep,
        )

    def _bundle(self, payload: Payload, name: str, verdict: Admitted, gas_max: int, *, keep: bool) -> Executed:
        instance, data = self._world.instances[name], payload.parameters[0].value
        try:
            if not keep:
                raise BundleError("a bundle is invoked, not asked")
            signature = bundled_method(instance.program, payload.method)
            if verdict.callers is None:
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
        ran = run_bundle(instance, name, signature, bundle, sender, self._block, self._world.roots)
        return Executed(TxStatusCode.SUCCESS, ContractResult(message=MESSAGE, gas_used=ran.gas), [], bundle=ran)

    def _call(self, payload: Payload, record: Contract, instance: AnyInstance, call: Call, *, keep: bool) -> Executed:
        host = Calls(self._world.instances, self._world.rows, self._block)
        host.outermost(record.name)
        if keep:
            outcome = instance.run(payload.method, [call], self._block, host)[0]
        else:
            outcome = instance.enter(payload.method, call, self._block, host)
            instance.settle(keep=False)
            host.settle(keep=False)
        if outcome.code == Code.OUT_OF_GAS and call.gas_limit < CONTRACT_GAS_MAX:
            return _failed(_PASSED, "")
        if outcome.code != Code.OK:
            return _failed(TxStatusCode.CONTRACT_FAIL, failure_text(instance.program, outcome), outcome.gas)
        result = ContractResult(
            result=instance.program.encode_result(payload.method, outcome.result),
            gas_used=outcome.gas,
            contract_event=contract_events(self._world.instances, self._world.rows, outcome.events, payload.tx_id),
        )
        return Executed(TxStatusCode.SUCCESS, result, self._collect(record.name, instance, host) if keep else [])

    def _collect(self, name: str, instance: AnyInstance, host: Calls) -> list[Write]:
        writes = [Write(name, row.key, row.value) for row in instance.collect()]
        for other_name, other in host.entered.items():
            writes += [Write(other_name, row.key, row.value) for row in other.collect()]
        return writes


def _bring_up_to_date(sender: Identity) -> Executed:
    """Let the state tree catch up in this block: nothing is written, and the block carries the root of its own height."""
    if sender.role not in {"CONSENSUS", "COMMON"}:
        return _failed(TxStatusCode.NO_PERMISSION, "only a node asks for the state root")
    return Executed(TxStatusCode.SUCCESS, ContractResult(message="OK"), [])


def disabled(rows: Rows | Overlay, contract: str) -> tuple[int, str] | None:
    """Return code and words with which a call of a disabled system contract ends; None for one that answers."""
    record = find_record(rows, contract)
    return None if record is None else stopped(record)


def _refusal(record: Contract | None) -> Executed | None:
    if record is None or record.runtime_type == RuntimeType.NATIVE:
        return _failed(TxStatusCode.INVALID_CONTRACT_PARAMETER_CONTRACT_NAME, "contractName not found")
    ended = stopped(record)
    return None if ended is None else _failed(*ended)


def _parameter_problem(payload: Payload, size_mib: int) -> str | None:
    if len(payload.parameters) > PARAMETERS_MAX:
        return f"expect parameters length less than {PARAMETERS_MAX}, but got {len(payload.parameters)}"
    limit = (size_mib or 10) * _MIB
    for parameter in payload.parameters:
        if len(parameter.key) > PARAMETER_KEY_CHARACTERS_MAX:
            return f"expect key length less than {PARAMETER_KEY_CHARACTERS_MAX}, but got {len(parameter.key)}"
        if _KEY.fullmatch(parameter.key) is None:
            return (
                f"expect key no special characters, but got key:[{parameter.key}]. "
                "letter, number, dot and underline are allowed"
            )
        if len(parameter.value) >= limit:
            return f"expect value length less than {limit}, but got {len(parameter.value)}"
    return None


def _passed(limit: int, used: int) -> Executed:
    """Return the end of a transaction whose gas passed its sender's limit: it counts as done, and everything is charged."""
    result = ContractResult(code=LIMIT_CODE, message=limit_words(limit, used), gas_used=limit)
    return Executed(TxStatusCode.SUCCESS, result, [])


def _failed(code: int, message: str, gas: int = 0) -> Executed:
    return Executed(code, ContractResult(code=1, message=message, gas_used=gas), [])
