"""Wasmtime: how a module is compiled, opened and entered. Everything that hangs on wasmtime's version stands here.

`Func.__call__` takes 44 us; `wasmtime_func_call_unchecked`, through ctypes with everything prepared, takes one. It passes by
wasmtime-py's own interface, so it is tried when the first module is opened, and not used where it does not do what it should.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import wasmtime
from wasmtime import _ffi

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "50."  # what the unchecked entry was written against
MEMORY_BYTES = 1 << 32
SMALL_BYTES = 8 << 20
"""Of a memory so much lies on ordinary pages: a contract of few rows takes no more than it needs."""
_STACK_BYTES = 1 << 20


class NodeFaultError(Exception):
    """A compiled contract trapped: a fault of this node, never an outcome. The running call was taken back."""


@cache
def engine() -> wasmtime.Engine:
    """Return the one engine: integers only, one thread, memory that never moves."""
    config = wasmtime.Config()
    config.wasm_wide_arithmetic = True
    config.wasm_threads = False
    config.wasm_relaxed_simd = False
    config.wasm_gc = False
    config.wasm_memory64 = False
    config.wasm_exceptions = False
    config.parallel_compilation = False
    config.memory_may_move = False
    config.memory_reservation = MEMORY_BYTES
    config.max_wasm_stack = _STACK_BYTES
    return wasmtime.Engine(config)


def compile_text(text: str) -> wasmtime.Module:
    """Return the module of a WebAssembly text."""
    return wasmtime.Module(engine(), bytes(wasmtime.wat2wasm(text)))


class Machine:
    """One instance of a module: its memory, and what enters its functions."""

    def __init__(self, module: wasmtime.Module, host: Callable[[int, int, int, int], tuple[int, int]] | None) -> None:
        self._store = wasmtime.Store(engine())
        imports = []
        if host is not None:
            kinds = [wasmtime.ValType.i32()] * 3 + [wasmtime.ValType.i64()]
            type_ = wasmtime.FuncType(kinds, [wasmtime.ValType.i32(), wasmtime.ValType.i64()])
            imports.append(wasmtime.Func(self._store, type_, host))
        self._exports = wasmtime.Instance(self._store, module, imports).exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        base = ctypes.cast(memory.data_ptr(self._store), ctypes.c_void_p).value
        assert base is not None
        self.base = base
        _want_large_pages(base)
        # The whole reservation; what lies beyond the memory's end is never touched, for addresses come from the module.
        self.memory = memoryview((ctypes.c_ubyte * MEMORY_BYTES).from_address(base)).cast("B")

    def entry(self, name: str) -> Callable[..., int]:
        """Return what enters an exported function: it takes unsigned numbers, returns one (or 0).

        Raises NodeFaultError.
        """
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        if not unchecked_works():
            return self.checked(function)
        return _unchecked(self._store, function)

    def checked(self, function: wasmtime.Func) -> Callable[..., int]:
        """Return what enters a function through wasmtime-py's own interface."""

        def enter(*arguments: int) -> int:
            try:
                found = function(self._store, *(_signed(argument) for argument in arguments))
            except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
                raise NodeFaultError(str(error)) from error
            return 0 if found is None else int(found) & 0xFFFFFFFF

        return enter

    @property
    def size(self) -> int:
        """How many bytes the memory has."""
        return self._memory.data_len(self._store)


def _want_large_pages(base: int) -> None:
    """Ask for large pages behind the first bytes of a memory, where the system has them: rows at random are found sooner.

    Source: madvise(2) of Linux.
    """
    wanted = getattr(mmap, "MADV_HUGEPAGE", None)
    if wanted is not None:
        start, size = ctypes.c_void_p(base + SMALL_BYTES), ctypes.c_size_t(MEMORY_BYTES - SMALL_BYTES)
        ctypes.CDLL(None).madvise(start, size, wanted)  # without, it is as before


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


@cache
def _function() -> Any:
    """Return the C function, with arguments that need no conversion."""
    found = _ffi.dll["wasmtime_func_call_unchecked"]
    found.restype = ctypes.c_void_p
    found.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    return found


def _unchecked(store: wasmtime.Store, function: wasmtime.Func) -> Callable[..., int]:
    type_ = function.type(store)
    count = len(type_.params)
    slots = max(count, len(type_.results), 1)
    raw = (ctypes.c_uint64 * (2 * slots))()  # a raw value has 16 bytes
    trap = ctypes.c_void_p()
    call = _function()
    context = ctypes.cast(store._context(), ctypes.c_void_p)  # noqa: SLF001  # this file's business
    place = ctypes.c_void_p(ctypes.addressof(function._func))  # noqa: SLF001  # as above
    values = ctypes.c_void_p(ctypes.addressof(raw))
    number = ctypes.c_size_t(slots)
    traps = ctypes.c_void_p(ctypes.addressof(trap))
    put = struct.Struct("<" + "Q8x" * count).pack_into

    def enter(*arguments: int) -> int:
        put(raw, 0, *arguments)
        error = call(context, place, values, number, traps)
        if error is not None or trap.value:
            message = _message(error, trap)
            raise NodeFaultError(message)
        return raw[0] & 0xFFFFFFFF

    enter.keeps = (store, function, raw, trap)  # type: ignore[attr-defined]  # alive as long as it can be called
    return enter


def _message(error: int | None, trap: ctypes.c_void_p) -> str:
    if error is not None:
        pointer = ctypes.cast(error, ctypes.POINTER(_ffi.wasmtime_error_t))
        return str(wasmtime.WasmtimeError._from_ptr(pointer))  # noqa: SLF001  # this file's business
    found = wasmtime.Trap._from_ptr(ctypes.cast(trap.value or 0, ctypes.POINTER(_ffi.wasm_trap_t)))  # noqa: SLF001  # as above
    trap.value = None
    return str(found)


_TRIAL = """(module
  (func (export "f") (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1))))"""


@cache
def unchecked_works() -> bool:
    """Whether the unchecked entry does what it should with the wasmtime that is installed: numbers, and traps."""
    if not version("wasmtime").startswith(VERSION):
        return False
    try:
        store = wasmtime.Store(engine())
        function = wasmtime.Instance(store, compile_text(_TRIAL), []).exports(store)["f"]
        assert isinstance(function, wasmtime.Func)
        enter = _unchecked(store, function)
        if [enter(7, 2), enter(0xFFFFFFFF, 1), enter(9, 3)] != [3, 0xFFFFFFFF, 3]:
            return False
        try:
            enter(1, 0)
        except NodeFaultError:
            return enter(8, 2) == 4  # noqa: PLR2004  # and it goes on
    except (AttributeError, TypeError, wasmtime.WasmtimeError):
        return False
    return False
