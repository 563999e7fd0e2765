"""Tcl that draws the block design: processor, accelerator, what connects them, addresses.

Every master has a port of the processor's memory, and a SmartConnect before it: the masters have no identifiers and
the later ones no write channels, and the processor's ports have both.
"""

from terntable.host.board.boards import Board
from terntable.host.board.design import (
    INTERRUPTS,
    INTERRUPTS_BASE,
    INTERRUPTS_RANGE,
    PROCESSOR,
    PROCESSOR_PORT,
    master_ports,
    port_widths,
)
from terntable.host.board.package_tcl import ADDRESS_BLOCK
from terntable.host.board.tcl import command
from terntable.host.board.top_ports import CLOCK, INTERRUPT, RESET
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import INSTANCE, REGISTER_BASE, REGISTER_PORT, REGISTER_RANGE, VLNV

__all__ = ["design_name", "design_tcl"]

#: Cells of Vivado's own, besides the processor and the interrupt controller: resets, and the way to the registers.
_RESETS, _CONTROL = "resets", "control"


def design_name(board: Board) -> str:
    """Of the block design, and of the files of the bitstream."""
    return f"terntable_{board.name}"


def design_tcl(config: HardwareConfig, board: Board) -> str:
    """Text of the script; a project is open that knows the packaged core."""
    masters = master_ports(config)
    parts = [
        f"# The block design of {config.name} on {board.title}. Written by `terntable project`.",
        f"create_bd_design {design_name(board)}",
        *_processor(config),
        f"create_bd_cell -type ip -vlnv {VLNV} {INSTANCE}",
        _vendor_cell("proc_sys_reset", _RESETS),
        # One interrupt line, high until it is served; PYNQ looks for interrupts behind such a controller only.
        _vendor_cell("axi_intc", INTERRUPTS), _configured(INTERRUPTS, {"C_IRQ_CONNECTION": 1}),
        _vendor_cell("smartconnect", _CONTROL), _configured(_CONTROL, {"NUM_SI": 1, "NUM_MI": 2}),
    ]
    for master in masters:
        parts += [_vendor_cell("smartconnect", _connect(master)), _configured(_connect(master), {"NUM_SI": 1, "NUM_MI": 1})]
    parts += ["", *_nets(config), "", *_buses(config, board), "", *_addresses(config, board), ""]
    return "\n".join([*parts, "validate_bd_design", "save_bd_design", ""])


def _connect(master: str) -> str:
    return f"connect_{master.removeprefix('m_axi_')}"


def _vendor_cell(kind: str, name: str) -> str:
    # Without a release, which changes with Vivado's.
    return f"create_bd_cell -type ip -vlnv xilinx.com:ip:{kind} {name}"


def _configured(cell: str, values: dict[str, object]) -> str:
    listed = " ".join(f"CONFIG.{name} {{{value}}}" for name, value in values.items())
    return f"set_property -dict [list {listed}] [get_bd_cells {cell}]"


def _processor(config: HardwareConfig) -> list[str]:
    values: dict[str, object] = {"PSU__USE__M_AXI_GP0": 1, "PSU__USE__M_AXI_GP1": 0, "PSU__USE__M_AXI_GP2": 0}
    # The four HP ports are the slave ports 2 to 5.
    values |= {f"PSU__USE__S_AXI_GP{2 + n}": 1 for n in range(config.ports)}
    values |= {f"PSU__{name}__DATA_WIDTH": width for name, width in port_widths(config).items()}
    values |= {"PSU__USE__IRQ0": 1, "PSU__FPGA_PL0_ENABLE": 1, "PSU__OVERRIDE__BASIC_CLOCK": 0,
               "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": f"{config.clock_hz / 1e6:g}"}
    return [
        _vendor_cell("zynq_ultra_ps_e", PROCESSOR),
        'apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset "1"} '
        f"[get_bd_cells {PROCESSOR}]",
        f"{command('set_property -dict [list', (f'CONFIG.{name} {{{value}}}' for name, value in values.items()))}] "
        f"[get_bd_cells {PROCESSOR}]",
    ]


def _net(source: str, *targets: str) -> str:
    return command(f"connect_bd_net [get_bd_pins {source}]", (f"[get_bd_pins {target}]" for target in targets))


def _nets(config: HardwareConfig) -> list[str]:
    connects = [_CONTROL, *(_connect(master) for master in master_ports(config))]
    return [
        _net(f"{PROCESSOR}/pl_clk0", f"{INSTANCE}/{CLOCK}", f"{_RESETS}/slowest_sync_clk", f"{INTERRUPTS}/s_axi_aclk",
             *(f"{cell}/aclk" for cell in connects), f"{PROCESSOR}/maxihpm0_fpd_aclk",
             *(f"{PROCESSOR}/saxihp{n}_fpd_aclk" for n in range(config.ports))),
        _net(f"{PROCESSOR}/pl_resetn0", f"{_RESETS}/ext_reset_in"),
        "# The accelerator's reset is active high, all others are active low.",
        _net(f"{_RESETS}/peripheral_reset", f"{INSTANCE}/{RESET}"),
        _net(f"{_RESETS}/peripheral_aresetn", f"{INTERRUPTS}/s_axi_aresetn"),
        _net(f"{_RESETS}/interconnect_aresetn", *(f"{cell}/aresetn" for cell in connects)),
        _net(f"{INSTANCE}/{INTERRUPT}", f"{INTERRUPTS}/intr"),
        _net(f"{INTERRUPTS}/irq", f"{PROCESSOR}/pl_ps_irq0"),
    ]


def _bus(one: str, other: str) -> str:
    return f"connect_bd_intf_net [get_bd_intf_pins {one}] [get_bd_intf_pins {other}]"


def _buses(config: HardwareConfig, board: Board) -> list[str]:
    lines = [_bus(f"{PROCESSOR}/{PROCESSOR_PORT}", f"{_CONTROL}/S00_AXI"),
             _bus(f"{_CONTROL}/M00_AXI", f"{INSTANCE}/{REGISTER_PORT}"), _bus(f"{_CONTROL}/M01_AXI", f"{INTERRUPTS}/s_axi")]
    for master, port in zip(master_ports(config), board.hp_ports, strict=False):
        lines += [_bus(f"{INSTANCE}/{master}", f"{_connect(master)}/S00_AXI"),
                  _bus(f"{_connect(master)}/M00_AXI", f"{PROCESSOR}/{port}")]
    return lines


def _assign(base: int, size: int, space: str, segment: str) -> str:
    return f"assign_bd_address -offset 0x{base:09X} -range 0x{size:09X} -target_address_space [get_bd_addr_spaces {space}] " \
           f"[get_bd_addr_segs {segment}] -force"


def _addresses(config: HardwareConfig, board: Board) -> list[str]:
    lines = [_assign(REGISTER_BASE, REGISTER_RANGE, f"{PROCESSOR}/Data", f"{INSTANCE}/{REGISTER_PORT}/{ADDRESS_BLOCK}"),
             _assign(INTERRUPTS_BASE, INTERRUPTS_RANGE, f"{PROCESSOR}/Data", f"{INTERRUPTS}/S_AXI/Reg")]
    for n, master in enumerate(master_ports(config)):
        segments = f"{PROCESSOR}/SAXIGP{2 + n}/HP{n}"
        lines += [_assign(base, size, f"{INSTANCE}/{master}", f"{segments}_{name}")
                  for name, (base, size) in board.memory_ranges.items()]
        # Memory is all that the accelerator may see.
        lines += [f"foreach segment [get_bd_addr_segs -quiet {{{segments}_LPS_OCM {segments}_QSPI}}] {{",
                  f"    exclude_bd_addr_seg -target_address_space [get_bd_addr_spaces {INSTANCE}/{master}] $segment", "}"]
    return lines
