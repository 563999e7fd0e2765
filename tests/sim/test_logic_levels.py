"""Longest paths of netlists made by hand."""

import pytest

from terntable.sim.errors import SynthesisError
from terntable.sim.logic_levels import Levels, analyse
from terntable.sim.primitives import ADDER, LEVEL, MULTIPLIER


def cell(kind, outputs, parameters=None, **pins):
    """A cell whose pins in `outputs` are outputs."""
    return {
        "type": kind, "parameters": parameters or {},
        "port_directions": {name: "output" if name in outputs.split() else "input" for name in pins},
        "connections": {name: bits if isinstance(bits, list) else [bits] for name, bits in pins.items()},
    }


def netlist(cells, inputs=None, outputs=None, names=None):
    ports = {name: {"direction": "input", "bits": bits} for name, bits in (inputs or {}).items()}
    ports |= {name: {"direction": "output", "bits": bits} for name, bits in (outputs or {}).items()}
    return {"cells": cells, "ports": ports,
            "netnames": {name: {"hide_name": 0, "bits": bits} for name, bits in (names or {}).items()}}


def flop(d, q, ce="1"):
    return cell("FDRE", "Q", C=1, CE=ce, D=d, Q=q, R="0")


def lut(o, *inputs):
    return cell(f"LUT{len(inputs)}", "O", O=o, **{f"I{n}": bit for n, bit in enumerate(inputs)})


def carry(ci, s, o, co):
    return cell("CARRY4", "O CO", CI=ci, CYINIT="0", DI=["0"] * 4, S=s, O=o, CO=co)


def test_a_path_ends_at_registers():
    cells = {"a": flop(10, 11), "b": flop(14, 15), "one": lut(12, 11, 2), "two": lut(13, 12), "three": lut(14, 13, 12)}
    found = analyse(netlist(cells, inputs={"i": [2]}, outputs={"o": [15, 12]}, names={"left": [11], "right": [9, 15]}))
    assert (found.levels, found.carry) == (3, 0)
    assert found.path == ("left", "right[1]")
    assert found.into == {"i": 3 * LEVEL} and found.out == {"o": LEVEL} and found.through == {"i": {"o": LEVEL}}


def test_no_register_no_path():
    found = analyse(netlist({"a": lut(11, 10)}, inputs={"i": [10]}, outputs={"o": [11]}))
    assert (found.inside, found.levels, found.path) == (-1, 0, ())
    assert found.into == {} and found.out == {} and found.through == {"i": {"o": LEVEL}}


def test_clock_enables_are_ends_and_clocks_are_not():
    cells = {"a": flop("0", 11), "b": flop("0", 20, ce=12), "l": lut(12, 11), "divided": lut(1, 11)}
    assert analyse(netlist(cells)).inside == LEVEL


@pytest.mark.parametrize("first, last, bits", [(0, 0, 0), (0, 3, 3), (2, 3, 1), (0, 7, 7), (3, 4, 1), (0, 11, 11), (6, 9, 3)])
def test_carry_is_counted_in_bits(first, last, bits):
    # Twelve bits of a sum: one bit of `s` from a register, one bit of `o` to a register.
    s, o, co = ["0"] * 12, list(range(20, 32)), list(range(40, 52))
    s[first] = 12
    cells = {"from": flop("0", 11), "lut": lut(12, 11), "low": carry("0", s[:4], o[:4], co[:4]),
             "middle": carry(co[3], s[4:8], o[4:8], co[4:8]), "high": carry(co[7], s[8:], o[8:], co[8:]), "to": flop(o[last], 60)}
    found = analyse(netlist(cells))
    assert (found.levels, found.carry) == (1, bits)


def test_more_levels_are_longer_than_more_carry():
    s, o, co = [12, "0", "0", "0"], list(range(20, 24)), list(range(30, 34))
    cells = {"from": flop("0", 11), "lut": lut(12, 11), "carry": carry("0", s, o, co), "to": flop(o[3], 40),
             "more": lut(13, 12), "other": flop(13, 41)}
    assert analyse(netlist(cells)).inside == 2 * LEVEL


@pytest.mark.parametrize("shorter_first", [True, False])
def test_the_longest_of_many_ways(shorter_first):
    # A ladder: from each rung to the next by one table or by two.
    shorter = {f"short_{rung}": lut(101 + rung, 100 + rung, 301 + rung) for rung in range(6)}
    longer = {f"long_{rung}": lut(301 + rung, 100 + rung) for rung in range(6)}
    ladder = {**shorter, **longer} if shorter_first else {**longer, **shorter}
    assert analyse(netlist({"from": flop("0", 100), "to": flop(106, 200), **ladder})).inside == 12 * LEVEL


def test_wide_multiplexers_belong_to_their_tables():
    cells = {"a": flop("0", 11), "low": lut(12, 11), "high": lut(13, 11), "to": flop(15, 16), "select": flop("0", 14),
             "mux": cell("MUXF7", "O", I0=12, I1=13, S=14, O=15)}
    assert analyse(netlist(cells)).inside == LEVEL


def test_memories_of_lookup_tables():
    pins = {"ADDRA": [11], "ADDRH": [12], "DOA": [13], "DIA": [14], "WCLK": [1], "WE": [15]}
    cells = {"a": flop("0", 11), "ram": cell("RAM64M8", "DOA", **pins), "b": flop(13, 16)}
    found = analyse(netlist(cells, inputs={"write": [12, 14, 15], "clk": [1]}))
    # A read is a level; the write address leads nowhere but to the memory.
    assert found.inside == LEVEL and found.into == {"write": 0} and found.through == {}
    shift = cell("SRL16E", "Q", A0="1", A1=11, A2="0", A3="0", CE="1", CLK=1, D=17, Q=13)
    assert analyse(netlist({"a": flop("0", 11), "srl": shift, "b": flop(13, 16)})).inside == LEVEL


def test_block_memories_are_registers():
    pins = {"ADDRARDADDR": [11], "DOUTADOUT": [13], "CLKARDCLK": [1]}
    ram = cell("RAMB36E2", "DOUTADOUT", **pins)
    cells = {"a": flop("0", 10), "l": lut(11, 10), "ram": ram, "m": lut(14, 13), "b": flop(14, 15)}
    assert analyse(netlist(cells)).inside == LEVEL


@pytest.mark.parametrize("a, m, p, inside", [(0, 0, 0, MULTIPLIER + ADDER), (1, 0, 0, MULTIPLIER + ADDER), (0, 1, 0, MULTIPLIER),
                                              (1, 1, 0, ADDER), (0, 0, 1, MULTIPLIER + ADDER), (0, 1, 1, MULTIPLIER), (1, 1, 1, 0)])
def test_multipliers_by_their_registers(a, m, p, inside):
    registers = {f"{name}REG": f"{value:b}" for name, value in (("A", a), ("B", a), ("AD", 0), ("M", m), ("P", p))}
    dsp = cell("DSP48E2", "P", registers, A=[11], B=["0"], P=[12], CLK=1)
    # A register on the same net needs it later.
    assert analyse(netlist({"from": flop("0", 11), "dsp": dsp, "to": flop(12, 13), "also": flop(11, 14)})).inside == inside


def test_an_adder_before_the_multiplier():
    pins = {"A": [11], "B": [12], "D": [13], "INMODE": [14], "CEM": [16], "P": [15], "CLK": 1}
    registers = {"INMODEREG": "0", "DREG": "0", "BREG": "0"}
    inputs = {name: pins[name] for name in ("A", "B", "D", "INMODE", "CEM")}
    module = netlist({"dsp": cell("DSP48E2", "P", registers, **pins)}, inputs=inputs)
    assert analyse(module).into == {"A": 0, "B": MULTIPLIER, "D": ADDER, "INMODE": ADDER, "CEM": 0}
    module["cells"]["dsp"]["parameters"]["AMULTSEL"] = "A"
    assert analyse(module).into["D"] == MULTIPLIER


def test_a_factor_handed_on_is_no_product():
    registers = {"AREG": "0", "ACASCREG": "0", "ADREG": "0"}
    first = cell("DSP48E2", "P ACOUT", registers, A=[11], P=[12], ACOUT=[14], CLK=1)
    second = cell("DSP48E2", "P", registers, ACIN=[14], P=[15], CLK=1)
    assert analyse(netlist({"from": flop("0", 11), "first": first, "second": second})).inside == MULTIPLIER


def test_a_unit_as_a_cell():
    unit = Levels(into={"i": 2 * LEVEL}, out={"o": 3 * LEVEL}, through={"i": {"o": LEVEL}})
    box = cell("box", "o", i=[12], o=[13, 14])
    cells = {"a": flop("0", 11), "in": lut(12, 11), "box": box, "out": lut(15, 14), "b": flop(15, 16)}
    # The unit's own path to its output is longer than the one through it.
    assert analyse(netlist(cells), {"box": unit}).inside == 4 * LEVEL
    assert analyse(netlist(cells), {"box": Levels(through=unit.through)}).inside == 3 * LEVEL
    assert analyse(netlist(cells), {"box": Levels(into=unit.into)}).inside == 3 * LEVEL


def test_loops_and_unknown_cells():
    with pytest.raises(SynthesisError, match="combinational loop: 2 bits"):
        analyse(netlist({"a": lut(11, 12), "b": lut(12, 11)}))
    with pytest.raises(SynthesisError, match="a cell MAGIC, whose timing"):
        analyse(netlist({"a": cell("MAGIC", "O", I=[2], O=[3])}))
