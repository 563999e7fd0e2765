"""The hardware handoff that PYNQ reads beside a bitstream, for simulations.

Vivado writes the one of a real bitstream. This one says as much of the same block design as PYNQ's parser needs: the core with
its registers, the interrupt controller, the processor with its clocks, and the address map.
"""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from terntable.host.board.boards import BOARDS, Board
from terntable.host.board.design import (
    CLOCK_SOURCE_HZ,
    INTERRUPTS,
    INTERRUPTS_BASE,
    INTERRUPTS_RANGE,
    PROCESSOR,
    PROCESSOR_PORT,
    check_fits,
    clock_divisors,
    master_ports,
    port_widths,
)
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import INSTANCE, NAME, REGISTER_BASE, REGISTER_PORT, REGISTER_RANGE, VLNV
from terntable.hw.spec.register_fields import Word, words

__all__ = ["LABEL", "simulation_hwh"]

#: Stands where Vivado writes its release, and at the top.
LABEL = "simulation HWH"

_AXI = "xilinx.com:interface:aximm:1.0"
_ACCESS = {"rw": "read-write", "ro": "read-only", "wo": "write-only"}


def simulation_hwh(config: HardwareConfig, board: Board | None = None) -> str:
    """Text of the handoff of an instance on a board, the KV260 if none is named."""
    board = board or BOARDS["kv260"]
    check_fits(config, board)
    top = Element("EDKSYSTEM", EDWVERSION="1.2", TIMESTAMP=LABEL, VIVADOVERSION=LABEL)
    device, package, grade = board.part.split("-", 2)
    SubElement(top, "SYSTEMINFO", ARCH="zynquplus", BOARD=board.board_part, DEVICE=device, NAME=f"{NAME}_{board.name}",
               PACKAGE=package, SPEEDGRADE=f"-{grade}")
    SubElement(top, "EXTERNALPORTS")
    SubElement(top, "EXTERNALINTERFACES")
    modules = SubElement(top, "MODULES")
    _core(modules, config, board)
    _interrupts(modules)
    _processor(modules, config, board)
    indent(top)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {LABEL} of {config.name} for {board.title}: not of a bitstream -->\n' \
           f"{tostring(top, encoding='unicode')}\n"


def _module(modules: Element, instance: str, vlnv: str, parameters: dict[str, object], ports: list[tuple],
            buses: list[tuple[str, str, str]]) -> Element:
    """A module with scalar ports (name, direction, kind, [(instance, port) at the other end]) and buses (name, type, net)."""
    kind = vlnv.split(":")[2]
    module = SubElement(modules, "MODULE", FULLNAME=f"/{instance}", HWVERSION=vlnv.split(":")[3], INSTANCE=instance,
                        IPTYPE="PERIPHERAL", IS_ENABLE="1", MODCLASS="PERIPHERAL", MODTYPE=kind, VLNV=vlnv)
    SubElement(module, "DOCUMENTS")
    SubElement(module, "ADDRESSBLOCKS")
    listed = SubElement(module, "PARAMETERS")
    for name, value in {"Component_Name": instance, "EDK_IPTYPE": "PERIPHERAL", **parameters}.items():
        SubElement(listed, "PARAMETER", NAME=name, VALUE=str(value))
    wires = SubElement(module, "PORTS")
    for name, direction, signal, others in ports:
        port = SubElement(wires, "PORT", DIR=direction, NAME=name, SIGIS=signal)
        connections = SubElement(port, "CONNECTIONS")
        for other, pin in others:
            SubElement(connections, "CONNECTION", INSTANCE=other, PORT=pin)
    interfaces = SubElement(module, "BUSINTERFACES")
    for name, role, net in buses:
        bus = SubElement(interfaces, "BUSINTERFACE", BUSNAME=net, NAME=name, TYPE=role, VLNV=_AXI)
        SubElement(bus, "PORTMAPS")
    SubElement(module, "MEMORYMAP")
    return module


def _core(modules: Element, config: HardwareConfig, board: Board) -> None:
    masters = master_ports(config)
    module = _module(
        modules, INSTANCE, VLNV, {},
        [("clk", "I", "clk", [(PROCESSOR, "pl_clk0")]), ("interrupt", "O", "INTERRUPT", [(INTERRUPTS, "intr")])],
        [(REGISTER_PORT, "SLAVE", "registers"), *((name, "MASTER", name) for name in masters)])
    block = SubElement(_part(module, "ADDRESSBLOCKS"), "ADDRESSBLOCK", ACCESS="", INTERFACE=REGISTER_PORT, NAME="reg0",
                       RANGE=str(REGISTER_RANGE), USAGE="register")
    registers = SubElement(block, "REGISTERS")
    for word in words(config):
        _register(registers, word)
    for n, (master, slave) in enumerate(zip(masters, board.hp_ports, strict=False)):
        for name, (base, size) in board.memory_ranges.items():
            _range(module, f"HP{n}_{name}", base, size, PROCESSOR, master, slave, "MEMORY")


def _interrupts(modules: Element) -> None:
    _module(modules, INTERRUPTS, "xilinx.com:ip:axi_intc:4.1", {},
            [("s_axi_aclk", "I", "clk", [(PROCESSOR, "pl_clk0")]), ("intr", "I", "INTERRUPT", [(INSTANCE, "interrupt")]),
             ("irq", "O", "INTERRUPT", [(PROCESSOR, "pl_ps_irq0")])],
            [("s_axi", "SLAVE", "registers")])


def _processor(modules: Element, config: HardwareConfig, board: Board) -> None:
    first, second = clock_divisors(config)
    parameters: dict[str, object] = {}
    for n in range(4):
        clock = f"PSU__CRL_APB__PL{n}_REF_CTRL__"
        parameters |= {f"PSU__FPGA_PL{n}_ENABLE": int(n == 0), f"{clock}DIVISOR0": first, f"{clock}DIVISOR1": second,
                       f"{clock}ACT_FREQMHZ": f"{CLOCK_SOURCE_HZ / first / second / 1e6:.6f}", f"{clock}SRCSEL": "IOPLL"}
    parameters |= {f"C_{name}_DATA_WIDTH": width for name, width in port_widths(config).items()}
    hp_ports = board.hp_ports[:config.ports]
    module = _module(
        modules, PROCESSOR, "xilinx.com:ip:zynq_ultra_ps_e:3.5", parameters,
        [("pl_clk0", "O", "clk", [(INSTANCE, "clk"), (INTERRUPTS, "s_axi_aclk")]),
         ("pl_ps_irq0", "I", "INTERRUPT", [(INTERRUPTS, "irq")])],
        [(PROCESSOR_PORT, "MASTER", "registers"), *((name, "SLAVE", f"m_axi_gmem{n}") for n, name in enumerate(hp_ports))])
    _range(module, "reg0", REGISTER_BASE, REGISTER_RANGE, INSTANCE, PROCESSOR_PORT, REGISTER_PORT, "REGISTER")
    _range(module, "Reg", INTERRUPTS_BASE, INTERRUPTS_RANGE, INTERRUPTS, PROCESSOR_PORT, "s_axi", "REGISTER")
    peripherals = SubElement(module, "PERIPHERALS")
    for name in (INSTANCE, INTERRUPTS):
        SubElement(peripherals, "PERIPHERAL", INSTANCE=name)


def _range(module: Element, block: str, base: int, size: int, instance: str, master: str, slave: str, kind: str) -> None:
    SubElement(_part(module, "MEMORYMAP"), "MEMRANGE", ADDRESSBLOCK=block, BASENAME="C_BASEADDR", BASEVALUE=f"0x{base:08X}",
               HIGHNAME="C_HIGHADDR", HIGHVALUE=f"0x{base + size - 1:08X}", INSTANCE=instance, IS_DATA="TRUE",
               IS_INSTRUCTION="TRUE", MASTERBUSINTERFACE=master, MEMTYPE=kind, SLAVEBUSINTERFACE=slave)


def _part(module: Element, tag: str) -> Element:
    part = module.find(tag)
    assert part is not None
    return part


def _properties(element: Element, **values: object) -> None:
    for name, value in values.items():
        SubElement(element, "PROPERTY", NAME=name, VALUE=str(value))


def _register(registers: Element, word: Word) -> None:
    element = SubElement(registers, "REGISTER", NAME=word.name)
    _properties(element, DESCRIPTION=word.text, ADDRESS_OFFSET=f"{word.offset:#x}", SIZE=32, ACCESS=_ACCESS[word.access],
                IS_ENABLED="true", RESET_VALUE=f"{word.reset:#x}")
    fields = SubElement(element, "FIELDS")
    for field in word.fields:
        entry = SubElement(fields, "FIELD", NAME=field.name)
        _properties(entry, DESCRIPTION=field.text, ADDRESS_OFFSET=word.offset, ACCESS=_ACCESS[field.access],
                    MODIFIED_WRITE_VALUES="", WRITE_CONSTRAINT=0, READ_ACTION="", BIT_OFFSET=field.low, BIT_WIDTH=field.width)
