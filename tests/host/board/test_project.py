"""The Vivado project of a board: Verilog, scripts and what they build, against ports, registers and boards."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from terntable.host.board.boards import BOARDS
from terntable.host.board.build_tcl import build_tcl, products
from terntable.host.board.design_tcl import design_tcl
from terntable.host.board.hwh import simulation_hwh
from terntable.host.board.package_tcl import package_tcl
from terntable.host.board.top_ports import TopPort, top_ports
from terntable.host.cli import main
from terntable.hw.spec.config import preset
from terntable.hw.spec.ip import REGISTER_BASE, VLNV
from terntable.hw.spec.register_fields import words
from tests.host.board.tcl import TclError
from tests.host.board.vivado_model import Vivado

PAGE = Path(__file__).resolve().parents[3] / "docs" / "board_project.md"
NANO, KV260 = preset("nano"), BOARDS["kv260"]
DESIGNS = [pytest.param(board.config, board, id=board.name) for board in BOARDS.values()] + [pytest.param(NANO, KV260, id="nano")]


def documented() -> list[str]:
    """Vivado's commands that the page names, with the public file that shows each."""
    rows = [line.split("|") for line in PAGE.read_text().partition("## Commands")[2].splitlines() if line.startswith("| `")]
    assert all(len(row) == 4 and "/" in row[2] for row in rows)
    return [name for row in rows for name in re.findall(r"`([\w:]+)`", row[1])]


def ran(text: str, files: dict[str, str] | None = None) -> Vivado:
    vivado = Vivado(files or {}, documented())
    vivado.tcl.run(text)
    return vivado


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    assert main(["project", "--board", "kv260", "--preset", "nano", "--output", str(folder)]) == 0
    return folder


def test_files(project):
    assert {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()} == {
        "terntable.v", "package_ip.tcl", "block_design.tcl", "build.tcl", "simulation/terntable_kv260.hwh",
        "registers/registers.md", "registers/terntable.h", "registers/terntable.rdl", "registers/terntable.xml"}
    assert (project / "simulation/terntable_kv260.hwh").read_text() == simulation_hwh(NANO, KV260)


def test_ports_of_the_verilog(project):
    """What the scripts take for the module's ports are the ports of the module that Vivado gets."""
    text = (project / "terntable.v").read_text()
    module = re.search(r"^module terntable\((.*?)\);(.*?)^endmodule", text, re.M | re.S)
    found = {name: TopPort(direction, int(high or 0) + 1)
             for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module[2], re.M)}
    assert set(found) == set(re.split(r"[,\s]+", module[1]))
    assert found == top_ports(NANO)


def test_ultra_memories_can_be_inferred(project):
    """No contents, all writes at the clock, and reads only into a register at the clock."""
    text = (project / "terntable.v").read_text()
    found = re.findall(r'\(\* ram_style = "ultra" \*\)\n  reg \[\d+:0\] (\w+) \[\d+:0\];\n(.*?)^endmodule', text, re.M | re.S)
    assert len(found) == 2
    for memory, rest in found:
        clocked = re.findall(r"^  always @\(posedge clk\)(?: begin.*?^  end|[^\n]*\n[^\n]*;)", rest, re.M | re.S)
        uses = [block for block in clocked if re.search(rf"\b{memory}\b", block)]
        assert len(uses) == 2 and sum(len(re.findall(rf"\b{memory}\b", block)) for block in uses) \
            == len(re.findall(rf"\b{memory}\b", rest)), f"{memory} is used outside of clocked blocks"
        assert re.search(rf"\b{memory}\[[^]]+\](?:\[\d+:\d+\])? <= ", uses[0])
        assert re.search(rf"\w+ <= {memory}\[[^]]+\];", uses[1]) and "else" not in uses[1]
    assert "initial for" not in text


def test_packaged_interfaces(project):
    vivado = ran((project / "package_ip.tcl").read_text())
    assert vivado.packaged["-root_dir"].endswith("/ip")
    assert ":".join([vivado.packaged["-vendor"], vivado.packaged["-library"], vivado.core.properties["name"],
                     vivado.core.properties["version"]]) == VLNV
    interfaces = vivado.core.of("interface")
    mapped = [part.properties["physical_name"] for item in interfaces.values() for part in item.of("port map").values()]
    assert sorted(mapped) == sorted(top_ports(NANO)), "each port belongs to one interface"
    for name, item in interfaces.items():
        for logical, part in item.of("port map").items():
            assert part.properties["physical_name"] == (f"{name}_{logical.lower()}" if "axi" in name else name)
    modes = {name: (item.properties["interface_mode"], item.properties["bus_type_vlnv"]) for name, item in interfaces.items()}
    axi = "xilinx.com:interface:aximm:1.0"
    assert modes == {"clk": ("slave", "xilinx.com:signal:clock:1.0"), "rst": ("slave", "xilinx.com:signal:reset:1.0"),
                     "interrupt": ("master", "xilinx.com:signal:interrupt:1.0"), "s_axi_control": ("slave", axi),
                     "m_axi_gmem0": ("master", axi), "m_axi_gmem1": ("master", axi)}
    assert all(item.properties["abstraction_type_vlnv"] == item.properties["bus_type_vlnv"].replace(":1.0", "_rtl:1.0")
               for item in interfaces.values())
    values = {(name, parameter): part.properties["value"] for name, item in interfaces.items()
              for parameter, part in item.of("parameter").items()}
    assert values["rst", "POLARITY"] == "ACTIVE_HIGH"
    assert values["clk", "ASSOCIATED_BUSIF"] == "s_axi_control:m_axi_gmem0:m_axi_gmem1"
    assert (values["clk", "ASSOCIATED_RESET"], int(values["clk", "FREQ_HZ"])) == ("rst", NANO.clock_hz)
    assert values["interrupt", "SENSITIVITY"] == "LEVEL_HIGH"
    assert [values[f"m_axi_gmem{n}", "READ_WRITE_MODE"] for n in range(2)] == ["READ_WRITE", "READ_ONLY"]
    assert [values[name, "PROTOCOL"] for name in ("s_axi_control", "m_axi_gmem0", "m_axi_gmem1")] == ["AXI4LITE", "AXI4", "AXI4"]


def test_packaged_registers(project):
    core = ran((project / "package_ip.tcl").read_text()).core
    (memory,) = core.of("memory map").values()
    (block,) = memory.of("address block").values()
    assert memory.name == core.of("interface")["s_axi_control"].properties["slave_memory_map_ref"] == "s_axi_control"
    assert (block.name, block.properties["range"], block.properties["usage"]) == ("reg0", "4096", "register")
    access = {"rw": "read-write", "ro": "read-only", "wo": "write-only"}
    registers = block.of("register")
    assert list(registers) == [word.name for word in words(NANO)]
    for word in words(NANO):
        found = registers[word.name]
        assert (int(found.properties["address_offset"], 16), found.properties["size"], found.properties["access"],
                found.properties["description"]) == (word.offset, "32", access[word.access], word.text)
        assert {name: (int(item.properties["bit_offset"]), int(item.properties["bit_width"]), item.properties["access"],
                       item.properties["description"]) for name, item in found.of("field").items()} \
            == {field.name: (field.low, field.width, access[field.access], field.text) for field in word.fields}


def test_packaged_masters_see_all_addresses(project):
    core = ran((project / "package_ip.tcl").read_text()).core
    spaces = core.of("address space")
    assert {name: item.properties["range"] for name, item in spaces.items()} == {"m_axi_gmem0": "16E", "m_axi_gmem1": "16E"}
    assert all(core.of("interface")[name].properties["master_address_space_ref"] == name for name in spaces)


#: Pins of Vivado's own cells that must be driven, and the ones that drive.
SINKS = {"proc_sys_reset": {"slowest_sync_clk", "ext_reset_in"}, "axi_intc": {"s_axi_aclk", "s_axi_aresetn", "intr"},
         "smartconnect": {"aclk", "aresetn"}}
DRIVERS = {"zynq_ps/pl_clk0", "zynq_ps/pl_resetn0", "resets/peripheral_reset", "resets/peripheral_aresetn",
           "resets/interconnect_aresetn", "axi_intc_0/irq", "terntable_0/interrupt"}


@pytest.mark.parametrize("config,board", DESIGNS)
def test_nets(config, board):
    vivado = ran(design_tcl(config, board))
    wanted = {f"{cell}/{pin}" for cell, kind in vivado.cells.items() for pin in SINKS.get(kind.rpartition(":")[2], ())}
    wanted |= {"terntable_0/clk", "terntable_0/rst", "zynq_ps/maxihpm0_fpd_aclk", "zynq_ps/pl_ps_irq0",
               *(f"zynq_ps/saxihp{n}_fpd_aclk" for n in range(config.ports))}
    driven = [pin for net in vivado.nets for pin in net[1:]]
    assert sorted(driven) == sorted(wanted), "each input is driven once"
    assert {net[0] for net in vivado.nets} == DRIVERS and len(vivado.nets) == len(DRIVERS)
    of = {pin: net[0] for net in vivado.nets for pin in net[1:]}
    assert all((driver == "zynq_ps/pl_clk0") == pin.endswith(("clk",)) for pin, driver in of.items())
    assert of["terntable_0/rst"] == "resets/peripheral_reset"
    assert all(driver.endswith("aresetn") for pin, driver in of.items() if pin.endswith("aresetn"))
    assert of["axi_intc_0/intr"] == "terntable_0/interrupt" and of["zynq_ps/pl_ps_irq0"] == "axi_intc_0/irq"


@pytest.mark.parametrize("config,board", DESIGNS)
def test_buses(config, board):
    vivado = ran(design_tcl(config, board))
    assert vivado.cells["terntable_0"] == VLNV
    ends = [end for pair in vivado.buses for end in pair]
    assert len(set(ends)) == len(ends), "each interface is connected once"
    through = {a: b for a, b in vivado.buses}
    for n in range(config.ports):
        connect = through[f"terntable_0/m_axi_gmem{n}"]
        assert vivado.cells[connect.partition("/")[0]] == "xilinx.com:ip:smartconnect"
        assert through[connect.replace("S00_AXI", "M00_AXI")] == f"zynq_ps/S_AXI_HP{n}_FPD"
    assert through["zynq_ps/M_AXI_HPM0_FPD"] == "control/S00_AXI"
    assert {through["control/M00_AXI"], through["control/M01_AXI"]} == {"terntable_0/s_axi_control", "axi_intc_0/s_axi"}
    assert len(vivado.buses) == 3 + 2 * config.ports
    for cell, kind in vivado.cells.items():
        if kind.endswith("smartconnect"):
            slaves, masters = (sum(end.startswith(f"{cell}/{letter}0") for end in ends) for letter in "SM")
            assert vivado.settings[cell] == {"CONFIG.NUM_SI": str(slaves), "CONFIG.NUM_MI": str(masters)}


@pytest.mark.parametrize("config,board", DESIGNS)
def test_processor(config, board):
    settings = ran(design_tcl(config, board)).settings["zynq_ps"]
    for n in range(4):
        used = settings.get(f"CONFIG.PSU__USE__S_AXI_GP{2 + n}") == "1"
        assert used == (n < config.ports)
        if used:
            assert settings[f"CONFIG.PSU__SAXIGP{2 + n}__DATA_WIDTH"] == str(8 * config.port_bytes)
    assert (settings["CONFIG.PSU__USE__M_AXI_GP0"], settings["CONFIG.PSU__USE__IRQ0"]) == ("1", "1")
    assert float(settings["CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"]) * 1e6 == config.clock_hz


@pytest.mark.parametrize("config,board", DESIGNS)
def test_addresses(config, board):
    vivado = ran(design_tcl(config, board))
    expected = {("zynq_ps/Data", "terntable_0/s_axi_control/reg0"): (REGISTER_BASE, 0x1000),
                ("zynq_ps/Data", "axi_intc_0/S_AXI/Reg"): (0xA001_0000, 0x1_0000)}
    for n in range(config.ports):
        space, port = f"terntable_0/m_axi_gmem{n}", f"zynq_ps/SAXIGP{2 + n}/HP{n}"
        expected[space, f"{port}_DDR_LOW"] = 0, 0x8000_0000
        if board.name != "zcu104":
            expected[space, f"{port}_DDR_HIGH"] = 0x8_0000_0000, 0x8000_0000
        assert {(space, f"{port}_LPS_OCM"), (space, f"{port}_QSPI")} <= vivado.excluded
    assert vivado.addresses == expected


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_build(board):
    """The script runs the other two and leaves every product."""
    files = {"project/package_ip.tcl": package_tcl(NANO, board), "project/block_design.tcl": design_tcl(NANO, board)}
    vivado = ran(build_tcl(board), files)
    calls = vivado.tcl.called
    assert [call[2:] for call in calls if call[0] == "create_project"] \
        == [[f"project/vivado/{name}", "-part", board.part, "-force"] for name in ("package_ip", f"terntable_{board.name}")]
    assert ["get_board_parts", "-quiet", "-latest_file_version", f"{board.board_part}:*"] in calls
    assert vivado.settings["current_project"] == {"board_part": "some:board:1.1", "ip_repo_paths": "project/ip"}
    assert vivado.settings["current_fileset"]["top"] == f"terntable_{board.name}_wrapper"
    assert vivado.settings[f"terntable_{board.name}.bd"] == {"synth_checkpoint_mode": "None"}
    written = {word.removeprefix("project/") for call in calls for word in call[1:] if call[0] in ("write_hw_platform", "file")
               or call[0].startswith("report")}
    assert set(products(board)) <= written
    names = [call[0] for call in calls]
    order = ["ipx::save_core", "create_bd_design", "save_bd_design", "make_wrapper", "launch_runs", "open_run", "write_hw_platform"]
    assert sorted(order, key=names.index) == order
    assert vivado.tcl.printed[-1] == "terntable: worst slack 0.125"


@pytest.mark.parametrize("command,message", [("get_board_parts", "no board file xilinx.com:kv260_som:part0"),
                                             ("get_ipdefs", "is not in project/ip")])
def test_build_stops_early(command, message):
    files = {"project/package_ip.tcl": package_tcl(NANO, KV260), "project/block_design.tcl": design_tcl(NANO, KV260)}
    vivado = Vivado(files, documented())
    vivado.answers[command] = ""
    with pytest.raises(TclError, match=message):
        vivado.tcl.run(build_tcl(KV260))


def test_every_documented_command_is_used():
    files = {"project/package_ip.tcl": package_tcl(NANO, KV260), "project/block_design.tcl": design_tcl(NANO, KV260)}
    used = {call[0] for call in ran(build_tcl(KV260), files).tcl.called}
    assert sorted(used) == sorted(documented())


@pytest.mark.parametrize("text,message", [
    ("made_up_command 1", "invalid command name"), ("set x {1", "close-brace"), ("puts $y", "no such variable"),
    ("set x [list 1", "close-bracket"), ('set x "1', 'missing "'), ("set x {1}2", "extra characters"),
    ("get_bd_cells nothing", "no cell")])
def test_wrong_tcl_is_found(text, message):
    with pytest.raises(TclError, match=message):
        ran(text)


@pytest.mark.parametrize("config,board", DESIGNS)
def test_handoff_for_simulations_is_of_the_same_design(config, board):
    """Cells, interfaces, address map and interrupt of the scripts, as far as the handoff tells of them."""
    vivado, top = ran(design_tcl(config, board)), ElementTree.fromstring(simulation_hwh(config, board).encode())
    for module in top.iter("MODULE"):
        kind = vivado.cells[module.get("INSTANCE")]
        assert module.get("VLNV").startswith(kind)
        ends = {end for pair in vivado.buses for end in pair}
        assert {f"{module.get('INSTANCE')}/{bus.get('NAME')}" for bus in module.iter("BUSINTERFACE")} \
            == {end for end in ends if end.startswith(f"{module.get('INSTANCE')}/")}
        nets = {pin: net[0] for net in vivado.nets for pin in net[1:]}
        for port in module.iter("PORT"):
            for other in port.iter("CONNECTION"):
                here, there = f"{module.get('INSTANCE')}/{port.get('NAME')}", f"{other.get('INSTANCE')}/{other.get('PORT')}"
                assert nets.get(here) == there or nets.get(there) == here
    found = {(item.get("MASTERBUSINTERFACE"), item.get("ADDRESSBLOCK")):
             (int(item.get("BASEVALUE"), 16), int(item.get("HIGHVALUE"), 16)) for item in top.iter("MEMRANGE")}
    assert found == {("M_AXI_HPM0_FPD" if space == "zynq_ps/Data" else space.partition("/")[2], segment.rpartition("/")[2]):
                     (base, base + size - 1) for (space, segment), (base, size) in vivado.addresses.items()}
