"""Tcl that packages the accelerator's Verilog as an IP core for Vivado.

Vivado guesses interfaces from the names of ports, and takes no port for AXI that only reads. So every interface is said port by
port, and so are the registers, without which PYNQ has no register map.
"""

from terntable.host.board.boards import Board
from terntable.host.board.tcl import FOLDER, braced, command
from terntable.host.board.top_ports import CLOCK, INTERRUPT, RESET, Bus, buses_of
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import LIBRARY, NAME, REGISTER_PORT, REGISTER_RANGE, RELEASE, VENDOR
from terntable.hw.spec.register_fields import words

__all__ = ["ADDRESS_BLOCK", "package_tcl"]

#: Part of the name that block designs give the registers' address segment.
ADDRESS_BLOCK = "reg0"

_ACCESS = {"rw": "read-write", "ro": "read-only", "wo": "write-only"}

#: Bursts in flight: two readers of 8 each share a port, and a writer of 4 has it to itself.
_READS, _WRITES = 16, 4

_PROCEDURES = """
# An interface and its ports: pairs of AXI's name and ours.
proc add_interface {core name kind mode maps} {
    set interface [ipx::add_bus_interface $name $core]
    set_property abstraction_type_vlnv xilinx.com:${kind}_rtl:1.0 $interface
    set_property bus_type_vlnv xilinx.com:${kind}:1.0 $interface
    set_property interface_mode $mode $interface
    foreach {logical physical} $maps {
        set_property physical_name $physical [ipx::add_port_map $logical $interface]
    }
    return $interface
}

proc add_parameter {interface name value} {
    set_property value $value [ipx::add_bus_parameter $name $interface]
}

# A register of 32 bits and its fields: name, lowest bit, bits, text.
proc add_register {block name offset access text fields} {
    set register [ipx::add_register $name $block]
    set_property address_offset $offset $register
    set_property size 32 $register
    set_property access $access $register
    set_property description $text $register
    foreach {field low bits text} $fields {
        set item [ipx::add_field $field $register]
        set_property bit_offset $low $item
        set_property bit_width $bits $item
        set_property access $access $item
        set_property description $text $item
    }
}
"""


def package_tcl(config: HardwareConfig, board: Board) -> str:
    """Text of the script; it makes the folder ``ip`` beside itself from ``terntable.v``."""
    buses = buses_of(config)
    lines = [
        f"# Packages {NAME}.v as an IP core in the folder ip. Written by `terntable project`.", FOLDER,
        f"create_project package_ip $here/vivado/package_ip -part {board.part} -force",
        f"add_files -norecurse $here/{NAME}.v", f"set_property top {NAME} [current_fileset]",
        "update_compile_order -fileset sources_1",
        f"ipx::package_project -root_dir $here/ip -vendor {VENDOR} -library {LIBRARY} -taxonomy /UserIP -import_files -force",
        "set core [ipx::current_core]", f"set_property name {NAME} $core", f"set_property version {RELEASE} $core",
        f"set_property display_name {braced('Terntable')} $core",
        f"set_property description {braced(f'Ternary language models by table lookup, preset {config.name}')} $core",
        "", "# What Vivado guessed.", "ipx::remove_all_bus_interface $core",
        "foreach map [ipx::get_memory_maps -of_objects $core] {", "    ipx::remove_memory_map [get_property NAME $map] $core", "}",
        "foreach space [ipx::get_address_spaces -of_objects $core] {",
        "    ipx::remove_address_space [get_property NAME $space] $core", "}", _PROCEDURES,
        f"set clock [add_interface $core {CLOCK} signal:clock slave {{CLK {CLOCK}}}]",
        f"add_parameter $clock ASSOCIATED_BUSIF {':'.join(bus.name for bus in buses)}",
        f"add_parameter $clock ASSOCIATED_RESET {RESET}",
        "# The block design may run it at another clock.",
        "set frequency [ipx::add_bus_parameter FREQ_HZ $clock]", f"set_property value {config.clock_hz} $frequency",
        "set_property value_resolve_type user $frequency",
        f"add_parameter [add_interface $core {RESET} signal:reset slave {{RST {RESET}}}] POLARITY ACTIVE_HIGH",
        f"add_parameter [add_interface $core {INTERRUPT} signal:interrupt master {{INTERRUPT {INTERRUPT}}}] SENSITIVITY LEVEL_HIGH",
    ]
    for bus in buses:
        lines += ["", *(_slave(bus) if bus.mode == "slave" else _master(bus, config))]
    lines += ["", *(_register(*row) for row in ((word.name, word.offset, word.access, word.text, [
        (field.name, field.low, field.width, field.text) for field in word.fields]) for word in words(config)))]
    lines += ["", "ipx::create_xgui_files $core", "ipx::update_checksums $core", "ipx::check_integrity $core",
              "ipx::save_core $core", "close_project", ""]
    return "\n".join(lines)


def _interface(bus: Bus) -> list[str]:
    maps = command("{", (f"{logical} {physical}" for logical, physical in bus.ports.items()))
    return [f"set interface [add_interface $core {bus.name} interface:aximm {bus.mode} {maps}}}]"]


def _slave(bus: Bus) -> list[str]:
    return [*_interface(bus), "add_parameter $interface PROTOCOL AXI4LITE",
            f"ipx::add_memory_map {REGISTER_PORT} $core", f"set_property slave_memory_map_ref {REGISTER_PORT} $interface",
            f"set block [ipx::add_address_block {ADDRESS_BLOCK} [ipx::get_memory_maps {REGISTER_PORT} -of_objects $core]]",
            "set_property base_address 0 $block", f"set_property range {REGISTER_RANGE} $block", "set_property width 32 $block",
            "set_property usage register $block"]


def _master(bus: Bus, config: HardwareConfig) -> list[str]:
    parameters: dict[str, object] = {
        "PROTOCOL": "AXI4", "READ_WRITE_MODE": "READ_WRITE" if bus.writes else "READ_ONLY", "SUPPORTS_NARROW_BURST": 0,
        "MAX_BURST_LENGTH": config.burst_beats, "NUM_READ_OUTSTANDING": _READS}
    if bus.writes:
        parameters["NUM_WRITE_OUTSTANDING"] = _WRITES
    return [*_interface(bus), *(f"add_parameter $interface {name} {value}" for name, value in parameters.items()),
            f"set space [ipx::add_address_space {bus.name} $core]", "set_property range 16E $space", "set_property width 64 $space",
            f"set_property master_address_space_ref {bus.name} $interface"]


def _register(name: str, offset: int, access: str, text: str, fields: list[tuple[str, int, int, str]]) -> str:
    listed = " ".join(f"{field} {low} {bits} {braced(note)}" for field, low, bits, note in fields)
    return f"add_register $block {name} {offset:#05x} {_ACCESS[access]} {braced(text)} {{{listed}}}"
