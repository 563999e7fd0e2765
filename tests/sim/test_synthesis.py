"""Yosys and nextpnr on little circuits, and the accelerator cut into units."""

import json
import re
from dataclasses import replace

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import terntable.sim.units
from terntable.hw.spec.parts import PARTS
from terntable.sim import open_tools
from terntable.sim.cells import Counts, count
from terntable.sim.errors import SynthesisError
from terntable.sim.logic_levels import Levels
from terntable.sim.open_tools import cached, run, version
from terntable.sim.place_route import DEVICE, place
from terntable.sim.primitives import LEVEL
from terntable.sim.synthesis import Synthesis, measure, synthesise, text_of
from terntable.sim.units import WIRES, cut, synthesise_units
from tests.sim.circuits import Adder, Chain, Primitives


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """An empty folder of results."""
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path))
    return tmp_path / "synth"


@pytest.fixture(scope="module")
def units():
    return cut(rtlil.convert(Chain(), name="top", emit_src=False), "top")


def test_primitives_are_inferred():
    found = measure(Primitives())
    # 16 bits of adder, and the 8 lookup tables of a memory of 64 x 7; the sum and its factors are inside the multiplier.
    assert found.counts == Counts(lut=24, ff=17 + 1, dsp=1, bram36=1, uram=1)
    assert found.cells["RAM64M8"] == 1 and found.cells["LUT2"] == 16
    # Both factors, the product and the sum have their registers, so what is left is the choice of what to add to.
    assert found.levels.inside == 2 * LEVEL and re.fullmatch(r"first\$\d+", found.levels.path[0])


def test_counts():
    cells = {"LUT2": 3, "RAM32M16": 2, "SRL16E": 1, "RAMB18E2": 3, "FDRE": 5, "CARRY4": 9, "DSP48E2": 2}
    assert count(cells, "xcup") == Counts(lut=20, ff=5, bram36=1.5, dsp=2)
    assert count({"LUT4": 1, "CCU2C": 2, "TRELLIS_FF": 3, "DP16KD": 1}, "ecp5") == Counts(lut=5, ff=3, bram36=0.5)
    with pytest.raises(SynthesisError, match="4 cells DSP48E1, whose cost on family xcup"):
        count({"DSP48E1": 4}, "xcup")


def test_units_are_those_of_the_top_and_of_its_datapath(units):
    assert list(units.texts) == ["front", "one", "two", "wide"]
    assert all(text.startswith("module \\unit\n") and text.count("module ") == 1 for text in units.texts.values())
    assert units.wires.count("attribute \\blackbox 1") == 4


def test_a_change_elsewhere_leaves_a_unit_as_it_is():
    """Amaranth numbers nameless ports through the whole design."""
    text = rtlil.convert(Chain(), name="top", emit_src=False)
    later = re.sub(r"port\$(\d+)\$", lambda m: f"port${int(m[1]) + 7}$", text)
    assert later != text and cut(later, "top").texts == cut(text, "top").texts


def test_two_units_cannot_share_a_name():
    class Twice(wiring.Component):
        i: In(8)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.datapath = inner = Chain()
            m.submodules.front = front = Adder(8)
            m.d.comb += [inner.i.eq(self.i), front.i.eq(inner.o), self.o.eq(front.late)]
            return m

    with pytest.raises(SynthesisError, match="Two units have the same name"):
        cut(rtlil.convert(Twice(), name="top", emit_src=False), "top")


def test_paths_go_on_through_units(units):
    def port(unit, way):
        """What the only used one is called, which the wires decide."""
        return next(name for found, name in re.findall(r"(input|output) \d+ +\\(\S+)", units.texts[unit])
                    if found == way and name not in ("clk", "rst"))

    boxes = {unit: Levels(into={port(unit, "input"): 0}, out={port(unit, "output"): LEVEL + 7}) for unit in ("front", "one", "two")}
    # The last adder has a path through it and no register.
    boxes["wide"] = Levels(through={port("wide", "input"): {port("wide", "output"): 3 * LEVEL}})
    found = synthesise(units.wires, boxes=boxes)
    assert found.counts == Counts(lut=8, ff=8)
    # Out of the adder before it, through it, and through the inverter.
    assert found.levels.inside == (LEVEL + 7) + 3 * LEVEL + LEVEL
    assert found.levels.path[-1].startswith("o[")


def test_synthesis_of_units(units, monkeypatch):
    calls = []

    def fake(text, family, boxes=None):
        calls.append((text, family, boxes))
        return Synthesis(Counts(lut=len(text)), {}, Levels(inside=len(text)))

    monkeypatch.setattr(terntable.sim.units, "synthesise", fake)
    told = []
    found = synthesise_units(units, ["one"], "ecp5", told.append)
    assert list(found) == ["one"] and calls == [(units.texts["one"], "ecp5", None)] and told == ["1 of 1 units: one"]
    calls.clear()
    found = synthesise_units(units, [WIRES], "xcup", told.append)
    # They are analysed with what is known of every unit.
    assert set(found) == {*units.texts, WIRES} and len(calls) == 5
    assert calls[-1] == (units.wires, "xcup", {name: found[name].levels for name in units.texts})


def test_results_are_kept(kept):
    calls = []
    for _ in range(2):
        assert cached("key", lambda where: calls.append(where) or {"a": 1}) == {"a": 1}
    assert len(calls) == 1 and json.loads((kept / "key.json").read_text()) == {"a": 1}
    assert [path.name for path in kept.iterdir()] == ["key.json"]
    (kept / "key.json").write_text("{")
    assert cached("key", lambda where: {"a": 2}) == {"a": 2}


def test_a_failed_run_keeps_nothing(kept):
    with pytest.raises(SynthesisError, match=r"^Yosys failed with status 1: .*ERROR"):
        cached("key", lambda where: {"said": run("yosys", ["-q", "-p", "read_rtlil missing.il"], where)})
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("tool, name", [("yosys", "Yosys"), ("nextpnr-ecp5", "nextpnr")])
def test_missing_tools(tool, name, monkeypatch):
    monkeypatch.setattr(open_tools.util, "find_spec", lambda module: None)
    with pytest.raises(SynthesisError, match=rf"^{name} is missing: pip install 'terntable\[synth\]'$"):
        version(tool)


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path / "file"))
    with pytest.raises(SynthesisError, match="Nothing can be synthesised in"):
        cached("key", lambda where: {})


class Sum(wiring.Component):
    """Adds up."""

    def __init__(self, width):
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.o + self.i)
        return m


def test_place_and_route():
    found = place(text_of(Sum(16), "ecp5"))
    assert DEVICE == "LFE5U-85F-8" and 100 < found.fmax_mhz < 1000
    assert found.used["ff"] == 16 and found.used["lut"] >= 16 and found.used["dsp"] == 0
    assert found.path == ("o", "o")


def test_a_unit_too_large_to_place(kept, monkeypatch):
    monkeypatch.setitem(PARTS, "LFE5U-85F", replace(PARTS["LFE5U-85F"], ff=15))
    with pytest.raises(SynthesisError, match=r"^The unit needs 16 ff, and LFE5U-85F-8 has 15$"):
        place(text_of(Sum(16), "ecp5"))
