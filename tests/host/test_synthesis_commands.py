"""`terntable resources` and `terntable timing`, over tools that are played."""

import json

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from terntable.host import cli
from terntable.hw.spec.config import PRESETS
from terntable.hw.spec.parts import PARTS, part_of
from terntable.sim import open_tools, place_route, slices, synthesis, units
from terntable.sim.cells import Counts
from terntable.sim.logic_levels import Levels
from terntable.sim.place_route import Placement
from terntable.sim.primitives import LEVEL
from terntable.sim.slices import Slice
from terntable.sim.synthesis import Synthesis
from terntable.sim.units import Units

KNOWN = ", ".join(sorted(PRESETS))

FOUND = {
    "tlmm": Synthesis(Counts(lut=20_000, ff=30_000, dsp=5, bram36=1.5), {}, Levels(inside=4 * LEVEL + 9, path=("a", "b"))),
    "ring": Synthesis(Counts(lut=3, uram=32), {}, Levels(inside=LEVEL)),
    "wires": Synthesis(Counts(lut=700, ff=1), {}, Levels()),
}


class Nothing(wiring.Component):
    def __init__(self):
        super().__init__({})

    def elaborate(self, platform):
        return Module()


@pytest.fixture
def terntable(capfd, monkeypatch):
    """Run a command; status, stdout and stderr. Units and what is found about them are the table's."""
    def units_of(config, family, progress):
        progress(f"Writing {config.name} for {family}")
        return Units({"tlmm": "TLMM", "ring": "RING"}, "WIRES")

    def synthesise_text(text, family="xcup"):
        return FOUND[text.lower()]

    monkeypatch.setattr(units, "units_of", units_of)
    monkeypatch.setattr(units, "synthesise_units", lambda units, names, family, progress: FOUND)
    monkeypatch.setattr(synthesis, "synthesise", synthesise_text)
    monkeypatch.setattr(synthesis, "text_of", lambda component, family: "RING")
    monkeypatch.setattr(place_route, "place", lambda text, seed: Placement(
        120.5 + seed, {"lut": 7_000, "ff": 0}, (f"{text}.a", f"{text}.b")))
    monkeypatch.setattr(slices, "SLICES", {"int8": Slice("one row", lambda config: Nothing())})
    monkeypatch.setattr(open_tools, "version", lambda tool: f"{tool} 1.2")

    def run(*words):
        status = cli.main([str(word) for word in words])
        return status, *capfd.readouterr()

    return run


def test_resources_are_a_table_by_unit(terntable):
    status, out, err = terntable("resources", "--preset", "tiny")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0 and err == "Writing tiny for xcup\n"
    assert lines[0] == "XCK26 (Kria KV260), yosys 1.2".split()
    assert lines[1] == ["LUT", "FF", "DSP", "BRAM36", "URAM", "levels", "carry"]
    # The largest first.
    assert lines[2:5] == [["tlmm", "20,000", "30,000", "5", "1.5", "0", "4", "9"], ["wires", "700", "1", "0", "0", "0", "0", "0"],
                          ["ring", "3", "0", "0", "0", "32", "1", "0"]]
    assert lines[5] == ["together", "20,703", "30,001", "5", "1.5", "32"]
    assert lines[6:] == [["XCK26", "117,120", "234,240", "1,248", "144", "64"],
                         ["share", "17.7%", "12.8%", "0.4%", "1.0%", "50.0%"]]


def test_resources_as_json(terntable):
    status, out, _ = terntable("resources", "--preset", "kv260", "--json")
    found = json.loads(out)
    assert status == 0 and list(found) == ["lut", "ff", "dsp", "bram36", "uram", "part", "tool", "by_unit"]
    assert (found["lut"], found["uram"], found["part"], found["tool"]) == (20_703, 32, "XCK26", "yosys 1.2")
    assert list(found["by_unit"]) == ["tlmm", "ring", "wires"]
    assert found["by_unit"]["tlmm"] == {"lut": 20_000, "ff": 30_000, "dsp": 5, "bram36": 1.5, "uram": 0,
                                        "lut_levels": 4, "carry": 9}


def test_resources_of_some_units(terntable):
    found = json.loads(terntable("resources", "--unit", "ring", "--unit", "wires", "--json")[1])
    assert list(found["by_unit"]) == ["ring", "wires"] and (found["lut"], found["ff"], found["uram"]) == (703, 1, 32)


def test_a_part_without_some_resource(terntable, monkeypatch):
    monkeypatch.setattr("terntable.host.commands.resources.part_of", lambda preset: PARTS["XCZU3EG"])
    out = terntable("resources", "--preset", "tiny")[1]
    assert out.splitlines()[-1].split() == ["share", "29.3%", "21.3%", "1.4%", "0.7%", "-"]


def test_timing_of_a_unit(terntable):
    status, out, err = terntable("timing", "--unit", "tlmm", "--seed", 2)
    assert status == 0 and err.splitlines() == ["Writing kv260 for xcup", "Writing kv260 for ecp5",
                                                "Synthesising tlmm for UltraScale+", "Placing tlmm on LFE5U-85F-8"]
    assert out.splitlines() == [
        "tlmm of kv260 (whole)",
        "  placed and routed on LFE5U-85F-8: 122.5 MHz, TLMM.a to TLMM.b; 7,000 lut",
        "  on UltraScale+: 4 levels and 9 bits of carry, a to b",
    ]


def test_timing_as_json(terntable):
    found = json.loads(terntable("timing", "--unit", "int8", "--preset", "nano", "--json")[1])
    assert list(found) == ["unit", "share", "preset", "device", "fmax_mhz", "used", "placed_path",
                           "lut_levels", "carry", "path", "tools"]
    assert (found["unit"], found["share"], found["preset"], found["device"]) == ("int8", "one row", "nano", "LFE5U-85F-8")
    assert (found["fmax_mhz"], found["lut_levels"], found["carry"]) == (121.5, 1, 0)
    assert found["tools"] == ["yosys 1.2", "nextpnr-ecp5 1.2"]


@pytest.mark.parametrize("words, sentence", [
    (["resources", "--preset", "huge"], f"terntable resources: Unknown preset 'huge'; known: {KNOWN}"),
    (["resources", "--unit", "gpu"], "terntable resources: Unknown unit 'gpu' of kv260; known: tlmm, ring, wires"),
    (["timing", "--unit", "gpu"], "terntable timing: Unknown unit 'gpu' of kv260; known: int8, ring, tlmm"),
    (["timing", "--unit", "tlmm", "--preset", "huge"], f"terntable timing: Unknown preset 'huge'; known: {KNOWN}"),
    (["timing"], "terntable timing: the following arguments are required: --unit"),
    (["timing", "--unit", "tlmm", "--seed", "x"], "terntable timing: argument --seed: invalid int value: 'x'"),
])
def test_mistakes_are_one_sentence(terntable, words, sentence):
    status, out, err = terntable(*words)
    assert (status, out) == (2, "") and err.splitlines()[-1] == sentence


@pytest.mark.parametrize("words", [["resources"], ["timing", "--unit", "tlmm"]])
def test_a_missing_tool_is_one_sentence(capfd, monkeypatch, words):
    monkeypatch.setattr(open_tools.util, "find_spec", lambda module: None)
    assert cli.main(words) == 2
    assert capfd.readouterr() == ("", f"terntable {words[0]}: Yosys is missing: pip install 'terntable[synth]'\n")


def test_presets_have_parts():
    assert part_of("kv260").name == part_of("tiny").name == "XCK26"
    assert PARTS["XCK26"].lut == 117_120 and PARTS["XCZU3EG"].uram == 0 and part_of("ecp5").family == "ecp5"
