"""The compiled kernels behind plain functions: what is compiled, from where it is loaded, and when it may be trusted."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from changan.crypto.batch.forest import Forest
from changan.crypto.batch.known import KNOWN, MESSAGE, Z
from changan.crypto.curves import P256_CURVE, SM2_CURVE, write_point
from changan.crypto.digest import sha256, sm3
from changan.crypto.keys import Scheme
from changan.crypto.state_tree import StateTree
from changan.errors import ChanganError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from changan.crypto.curves import Curve
    from changan.crypto.digest import Digest

TABLE_BYTES: Final = 8192
"""What a key's table takes."""
COMPILE_SECONDS_MAX: Final = 600
_KNOWN_ROWS: Final = (1, 40)
"""One is hashed alone, many are hashed together."""
_DONE: Final = "complete"
_MODULES: Final = ("kernel", "lanes", "digest", "hashing", "trees", "states", "ordered")
_SOURCES: Final = (
    *("field.py", "memory.py", "rounds.py", *(f"{name}.py" for name in _MODULES)),
    *("../curves.py", "../round_constants.py"),
)
_WRITABLE_BY_OTHERS: Final = 0o022
_CURVES: Final[Mapping[Scheme, Curve]] = {Scheme.SM2: SM2_CURVE, Scheme.P256: P256_CURVE}


class KernelsError(ChanganError):
    """The kernels cannot be had here; the text says why. One signature at a time goes on working."""


class Kernels:
    """The kernels, compiled and with the base points' tables made. Calls release the interpreter's lock."""

    def __init__(self, modules: Mapping[str, ModuleType], numpy: ModuleType) -> None:
        self._kernel = modules["kernel"]
        self._digest = modules["digest"]
        self._modules = modules
        self._numpy: Any = numpy
        # The type of the first argument says the curve: see `changan.crypto.batch.field`.
        self._tags: dict[Scheme, Any] = {Scheme.SM2: numpy.uint8(0), Scheme.P256: numpy.uint16(0)}
        self._bases = {scheme: self._base(scheme, curve) for scheme, curve in _CURVES.items()}

    def tables(self, scheme: Scheme, points: Sequence[bytes]) -> list[Any]:
        """Return a table for each uncompressed point, all of them checked to lie on the curve before."""
        made = [self._numpy.empty(TABLE_BYTES // 8, self._numpy.uint64) for _ in points]
        kernel = self._kernel
        self._build(scheme, points, kernel.KEY_TEETH, kernel.KEY_SPACING, made)
        return made

    def digests(self, prefixes: Sequence[bytes], messages: Sequence[bytes]) -> Any:
        """Return SM3(prefix and message) of each, rows of 32 bytes; a prefix has 32 bytes."""
        return self._digest.digests(self.rows(prefixes), *self._joined(messages))

    def verify(self, scheme: Scheme, addresses: Sequence[int], digests: Any, signatures: Sequence[bytes]) -> list[bool]:
        """Return for each signature whether it holds. Whoever calls keeps the tables behind the addresses alive."""
        tables = self._numpy.array(addresses, self._numpy.uint64)
        base = self._numpy.uint64(self._bases[scheme].ctypes.data)
        found = self._kernel.verify(self._tags[scheme], base, tables, digests, *self._joined(signatures))
        answer: list[bool] = found.tolist()
        return answer

    def forest(self, digest: Digest, seed: int) -> Forest:
        """Return what makes the hash trees of a chain with this digest; for `seed` see there.

        Raises MalformedError for a digest that has no kernels, LibcryptoError.
        """
        return Forest(self._modules, self._numpy, digest, seed)

    def _base(self, scheme: Scheme, curve: Curve) -> Any:
        kernel = self._kernel
        table = self._numpy.empty(kernel.BASE_POINTS * kernel.POINT_WORDS, self._numpy.uint64)
        self._build(scheme, [write_point(*curve.base)], kernel.BASE_TEETH, kernel.BASE_SPACING, [table])
        return table

    def _build(self, scheme: Scheme, points: Sequence[bytes], teeth: int, spacing: int, tables: list[Any]) -> None:
        rows = self.rows([point[1:] for point in points], 64)
        addresses = self._numpy.array([table.ctypes.data for table in tables], self._numpy.uint64)
        self._kernel.build(self._tags[scheme], rows, teeth, spacing, addresses)

    def rows(self, parts: Sequence[bytes], width: int = 32) -> Any:
        """Return parts of `width` bytes each as the rows of one array."""
        return self._numpy.frombuffer(b"".join(parts), self._numpy.uint8).reshape(len(parts), width)

    def _joined(self, parts: Sequence[bytes]) -> tuple[Any, Any]:
        numpy = self._numpy
        ends = numpy.cumsum(numpy.fromiter(map(len, parts), numpy.int64, len(parts)))
        return numpy.frombuffer(b"".join(parts), numpy.uint8), ends


def warm(directory: Path) -> Kernels:
    """Return the kernels, compiled into a directory below this one unless they are there already.

    It blocks: 15 to 30 s in another process at low priority where they must be compiled, half a second where not; call
    it in a thread. What lies in the directory is loaded as code, so it must belong to us and nobody else may write it.
    Raises KernelsError.
    """
    if importlib.util.find_spec("numba") is None:
        raise KernelsError("the batch verifier needs numba: pip install 'changan[speed]'")
    try:
        place = _place(directory)
    except OSError as error:
        raise KernelsError(f"{directory} cannot keep compiled kernels: {error}") from error
    if not (place / _DONE).exists():
        _compile_apart(place)
    return load(place)


def are_compiled(directory: Path) -> bool:
    """Whether `warm` would only have to load what lies below a directory."""
    try:
        return importlib.util.find_spec("numba") is not None and (directory / _version() / _DONE).exists()
    except (OSError, ImportError):
        return False


def load(place: Path) -> Kernels:
    """Import the modules that hold kernels, with numba's cache at `place`. Raises KernelsError."""
    try:
        numba_config = importlib.import_module("numba").config
        before, numba_config.CACHE_DIR = numba_config.CACHE_DIR, str(place)
        try:
            modules = {name: importlib.import_module(f"changan.crypto.batch.{name}") for name in _MODULES}
        finally:
            numba_config.CACHE_DIR = before
        kernels = Kernels(modules, importlib.import_module("numpy"))
    except (ImportError, OSError) as error:
        raise KernelsError(f"the kernels do not load: {error}") from error
    _require_right(kernels)
    return kernels


def _require_right(kernels: Kernels) -> None:
    """Raise KernelsError unless the kernels know good signatures from bad ones: this machine's compiler made them."""
    for known in KNOWN:
        tables = kernels.tables(known.scheme, [known.point])
        addresses = [tables[0].ctypes.data] * 3
        other = bytes([*known.digest[:-1], known.digest[-1] ^ 1])
        digests = kernels.rows([known.digest, other, known.digest])
        changed = bytes([*known.signature[:-1], known.signature[-1] ^ 1])
        if kernels.verify(known.scheme, addresses, digests, [known.signature] * 2 + [changed]) != [True, False, False]:
            raise KernelsError(f"the kernels judge a published signature of {known.scheme.value} wrongly")
    if bytes(kernels.digests([Z], [MESSAGE])[0]) != KNOWN[0].digest:
        raise KernelsError("the kernels digest a published message wrongly")
    for digest in (sha256, sm3):
        forest = kernels.forest(digest, 0)
        plain, tree = StateTree(digest), forest.state_tree()
        for count in _KNOWN_ROWS:
            rows = [(digest(bytes([number])), digest(bytes([count]))) for number in range(count)]
            plain.update(rows)
            tree.update(forest.changed(rows))
            if tree.root != plain.root:
                raise KernelsError(f"the kernels make the root of a tree of {count} rows wrongly")


def _place(directory: Path) -> Path:
    """Return where this release's kernels lie, made and safe."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = directory / _version()
    place.mkdir(mode=0o700, exist_ok=True)
    for folder in (directory, place):
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            ours = Path(probe.name).stat().st_uid
        status = folder.stat()
        if status.st_uid != ours or status.st_mode & _WRITABLE_BY_OTHERS:
            raise KernelsError(f"{folder} is not ours alone to write (chmod 700), and what lies in it is run as code")
    return place


def _version() -> str:
    """Return what names these sources, where they lie, compiled by these libraries for this processor.

    Numba's own key is the place of one source file and its time; where that does not match, it compiles here and now.
    """
    digest = hashlib.sha256()
    here = Path(__file__).resolve().parent
    for source in _SOURCES:
        path = here / source
        digest.update(f"{path} {path.stat().st_mtime_ns}".encode())
        digest.update(path.read_bytes())
    for name in ("numba", "llvmlite", "numpy"):
        digest.update(str(importlib.import_module(name).__version__).encode())
    binding = importlib.import_module("llvmlite.binding")
    digest.update(f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}".encode())
    return digest.hexdigest()[:16]


def compile_into(place: Path) -> None:
    """Compile the kernels, unless another process does: then wait until it has. Raises KernelsError."""
    with (place / "compiling").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / _DONE).exists():
            load(place)
            (place / _DONE).touch()


def _compile_apart(place: Path) -> None:
    # In a process of its own: compiling holds the interpreter's lock for seconds at a time.
    gently = ["nice", "-n", "10"] if shutil.which("nice") else []
    command = [*gently, sys.executable, "-m", "changan.crypto.batch.compile", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=COMPILE_SECONDS_MAX, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelsError(f"the kernels were not compiled: {error}") from error
    if done.returncode != 0:
        raise KernelsError(f"the kernels were not compiled: {done.stderr.decode(errors='replace')[-500:]}")
