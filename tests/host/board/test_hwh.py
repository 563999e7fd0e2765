"""The handoff for simulations: what PYNQ looks for in it."""

from xml.etree import ElementTree

import pytest
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from terntable.host.board.boards import BOARDS
from terntable.host.board.design import clock_divisors
from terntable.host.board.hwh import LABEL, simulation_hwh
from terntable.host.errors import InputError
from terntable.hw.spec.config import HardwareConfig, preset
from terntable.hw.spec.ip import INSTANCE, REGISTER_BASE, VLNV
from terntable.hw.spec.register_fields import words


def properties(element) -> dict[str, str]:
    return {item.get("NAME"): item.get("VALUE") for item in element.findall("PROPERTY")}


def module(text: str, instance: str):
    return ElementTree.fromstring(text.encode()).find(f".//MODULE[@INSTANCE='{instance}']")


def test_registers():
    core = module(simulation_hwh(preset("nano")), INSTANCE)
    assert core.get("VLNV") == VLNV
    found = core.findall(".//REGISTER")
    expected = words(preset("nano"))
    assert [item.get("NAME") for item in found] == [word.name for word in expected]
    access = {"rw": "read-write", "ro": "read-only", "wo": "write-only"}
    for item, word in zip(found, expected, strict=True):
        assert (int(properties(item)["ADDRESS_OFFSET"], 16), properties(item)["ACCESS"], int(properties(item)["RESET_VALUE"], 16)) \
            == (word.offset, access[word.access], word.reset)
        bits = [(field.get("NAME"), int(properties(field)["BIT_OFFSET"]), int(properties(field)["BIT_WIDTH"]))
                for field in item.findall(".//FIELD")]
        assert bits == [(field.name, field.low, field.width) for field in word.fields]


def test_address_map():
    text = simulation_hwh(preset("kv260"))
    ranges = {(item.get("INSTANCE"), item.get("SLAVEBUSINTERFACE"), item.get("ADDRESSBLOCK")):
              (int(item.get("BASEVALUE"), 16), int(item.get("HIGHVALUE"), 16))
              for item in ElementTree.fromstring(text.encode()).iter("MEMRANGE")}
    assert ranges[INSTANCE, "s_axi_control", "reg0"] == (REGISTER_BASE, REGISTER_BASE + 0xFFF)
    for n in range(4):
        assert ranges["zynq_ps", f"S_AXI_HP{n}_FPD", f"HP{n}_DDR_LOW"] == (0, 0x7FFF_FFFF)
        assert ranges["zynq_ps", f"S_AXI_HP{n}_FPD", f"HP{n}_DDR_HIGH"] == (0x8_0000_0000, 0x8_7FFF_FFFF)
    assert len(ranges) == 2 + 8


def test_a_board_of_two_gibibytes_has_no_high_memory():
    assert "DDR_HIGH" not in simulation_hwh(preset("zcu104"), BOARDS["zcu104"])


def test_interrupt_goes_through_the_controller():
    text = simulation_hwh(preset("nano"))
    wires = [((INSTANCE, "interrupt"), ("axi_intc_0", "intr")), (("axi_intc_0", "irq"), ("zynq_ps", "pl_ps_irq0"))]
    for near, far in [*wires, *(wire[::-1] for wire in wires)]:
        port = module(text, near[0]).find(f".//PORT[@NAME='{near[1]}']")
        assert [(item.get("INSTANCE"), item.get("PORT")) for item in port.iter("CONNECTION")] == [far]


def test_clock():
    values = {item.get("NAME"): item.get("VALUE") for item in module(simulation_hwh(preset("kv260")), "zynq_ps").iter("PARAMETER")}
    assert float(values["PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ"]) == pytest.approx(250, rel=1e-4)
    assert [values[f"PSU__FPGA_PL{n}_ENABLE"] for n in range(4)] == ["1", "0", "0", "0"]


@pytest.mark.parametrize("mhz,divisors", [(250, (6, 1)), (300, (5, 1)), (10, (50, 3)), (1, (60, 25))])
def test_clock_divisors(mhz, divisors):
    """Never faster than asked for."""
    assert clock_divisors(HardwareConfig(name="x", clock_hz=mhz * 1_000_000)) == divisors


def test_is_labelled():
    text = simulation_hwh(preset("nano"))
    assert LABEL in text.splitlines()[1] and ElementTree.fromstring(text.encode()).get("VIVADOVERSION") == LABEL


def test_too_wide_ports():
    with pytest.raises(InputError, match="32, 64 or 128 bits wide, and those of wide are 256"):
        simulation_hwh(HardwareConfig(name="wide", beat_bytes=32))


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_pynq_reads_it(board, tmp_path):
    """What PYNQ's own parser makes of it."""
    path = tmp_path / "terntable.hwh"
    path.write_text(simulation_hwh(board.config, board))
    parsed = RuntimeMetadataParser(Metadata(input=str(path)))
    core = parsed.ip_dict[INSTANCE]
    assert (core["type"], core["phys_addr"], core["addr_range"]) == (VLNV, REGISTER_BASE, 0x1000)
    assert {name: (register["address_offset"], register["size"], [
        (field, bits["bit_offset"], bits["bit_width"]) for field, bits in register["fields"].items()])
        for name, register in core["registers"].items()} \
        == {word.name: (word.offset, 32, [(field.name, field.low, field.width) for field in word.fields])
            for word in words(board.config)}
    assert core["interrupts"]["interrupt"]["controller"] == "axi_intc_0"
    assert parsed.interrupt_controllers["axi_intc_0"]["raw_irq"] == 121
    assert parsed.clock_dict[0]["frequency"] == pytest.approx(250, rel=1e-4)
