"""The page of the control registers in the documents."""

from terntable.host.errors import CAUSES
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import REGISTER_BASE, REGISTER_PORT
from terntable.hw.spec.program import Fault
from terntable.hw.spec.register_fields import constants_of, fields_of
from terntable.hw.spec.registers import ADDRESS_BITS, REGISTERS

__all__ = ["register_page"]

_HEAD = """# Control registers

Written by `make registers` from `hw/spec/registers.py` and `hw/spec/register_fields.py`; so are
[registers/terntable.rdl](registers/terntable.rdl) in SystemRDL and [registers/terntable.h](registers/terntable.h) in C.
[program.md](program.md) says what a pass is.
"""

_HEAD_OF_INSTANCE = """# Control registers of {name}

Written by `terntable project`.
"""

_RULES = """
AXI4-Lite port `{port}`, 32 bits wide, {bits} bits of address; boards put it at {base:#x}. A register of 64 bits is two words, low
first; tools that know only words call them `<name>_low` and `<name>_high`. Byte strobes count. An address without a register reads
0 and answers SLVERR; a write to a read-only register is acknowledged and ignored. Nothing happens on a read. After a reset every
register reads 0 that has no other value here.

A pass: write the bases and word counts, write `control.start`, wait until `status.done` or `status.error` is set, or for the
interrupt, which stays high until the next start or reset.
"""


def register_page(config: HardwareConfig | None = None) -> str:
    """Markdown; with an instance, of that one."""
    constants = constants_of(config)
    lines = [_HEAD_OF_INSTANCE.format(name=config.name) if config else _HEAD,
             _RULES.format(port=REGISTER_PORT, bits=ADDRESS_BITS, base=REGISTER_BASE).lstrip(),
             "| offset | register | bits | access | meaning |", "|---|---|---|---|---|"]
    for register in REGISTERS:
        fields = fields_of(register)
        value = f"; reads {constants[register.name]:#x}" if register.name in constants else ""
        lines.append(f"| {register.offset:#05x} | `{register.name}` | {register.width} | {fields[0].access} | "
                     f"{_cell(register.text)}{value} |")
    lines += ["", "## Fields", "", "| field | bits | access | meaning |", "|---|---|---|---|"]
    for register in REGISTERS:
        for field in fields_of(register):
            if field.name != "value":
                bits = f"{field.low + field.width - 1}:{field.low}" if field.width > 1 else f"{field.low}"
                lines.append(f"| `{register.name}.{field.name}` | {bits} | {field.access} | {_cell(field.text)} |")
    lines += ["", "## Fault causes", "", "| code | name | meaning |", "|---|---|---|"]
    lines += [f"| {code.value} | {code.name} | {CAUSES.get(code, 'no fault')} |" for code in Fault]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
