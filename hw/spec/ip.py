"""What block designs call the accelerator, and where its registers are in a processor's address space."""

from terntable.hw.spec.registers import ADDRESS_BITS

__all__ = ["INSTANCE", "LIBRARY", "NAME", "REGISTER_BASE", "REGISTER_PORT", "REGISTER_RANGE", "RELEASE", "VENDOR", "VLNV"]

VENDOR = "terntable"
LIBRARY = "accelerator"
NAME = "terntable"
#: Of the packaged core. Which registers and programs a bitstream knows is told by its register `version`.
RELEASE = "1.0"

#: What drivers bind to.
VLNV = f"{VENDOR}:{LIBRARY}:{NAME}:{RELEASE}"

#: Name of the core in a block design, and so of the attribute of a PYNQ overlay.
INSTANCE = f"{NAME}_0"

#: The slave port of the registers.
REGISTER_PORT = "s_axi_control"

#: Where boards put the registers: the start of what the port HPM0_FPD of a Zynq UltraScale+ reaches.
REGISTER_BASE = 0xA000_0000
REGISTER_RANGE = 1 << ADDRESS_BITS
