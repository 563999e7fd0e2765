"""The module around the accelerator that makes its simulation fast."""

import re

from terntable.sim.errors import SimulatorError

__all__ = ["WRAPPER", "wrap"]

#: Name of the module that :func:`wrap` adds.
WRAPPER = "terntable_sim"


def wrap(verilog: str, top: str) -> str:
    """`verilog` and a module around its module `top`, with the same ports.

    The reset goes through a register. Amaranth lets it into the next value of every register by combinational
    logic, and Verilator evaluates all logic that an input of the outermost module reaches once more whenever
    an input may have changed: without the register, that is half of the machine.
    """
    found = re.search(rf"^module {top}\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SimulatorError(f"The Verilog has no module {top}")
    ports = re.findall(r"^  (input|output) (\[\d+:0\] )?(\w+);", found[0], re.MULTILINE)
    names = [name for _, _, name in ports]
    if "clk" not in names or "rst" not in names:
        raise SimulatorError(f"The module {top} has no clock clk and reset rst")
    wires = ", ".join(f".{name}({'reset' if name == 'rst' else name})" for name in names)
    return "\n".join([
        verilog, f"module {WRAPPER}({', '.join(names)});", *(f"  {way} {width}{name};" for way, width, name in ports),
        "  reg reset = 1'b1;", "  always @(posedge clk) reset <= rst;", f"  {top} core({wires});", "endmodule", "",
    ])
