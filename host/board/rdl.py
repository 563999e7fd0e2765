"""The control registers in SystemRDL 2.0."""

import re

from terntable.host.errors import CAUSES
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import NAME
from terntable.hw.spec.register_fields import Field, constants_of, fields_of
from terntable.hw.spec.registers import REGISTERS, Register

__all__ = ["system_rdl"]

_SOFTWARE = {"rw": "rw", "ro": "r", "wo": "w"}


def system_rdl(config: HardwareConfig | None = None) -> str:
    """Text of the address map; that of an instance knows its geometry."""
    lines = ["// Written by `make registers` from hw/spec/registers.py.", f"addrmap {NAME} {{",
             '    name = "Terntable control registers";', "    default regwidth = 32;", "    default accesswidth = 32;"]
    codes = {field.codes for register in REGISTERS for field in fields_of(register) if field.codes}
    for kind in sorted(codes, key=lambda kind: kind.__name__):
        lines.append(f"    enum {_code_name(kind)} {{")
        lines += [f"        {code.name} = {code.value}{_text(CAUSES.get(code))};" for code in kind]
        lines.append("    };")
    constants = constants_of(config)
    for register in REGISTERS:
        lines += ["", *(f"    {line}" for line in _register(register, constants.get(register.name)))]
    return "\n".join([*lines, "};", ""])


def _code_name(kind: type) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str | None) -> str:
    return f" {{ desc = {_quoted(text)}; }}" if text else ""


def _register(register: Register, constant: int | None) -> list[str]:
    width = ["    regwidth = 64;"] if register.width == 64 else []
    fields = [line for field in fields_of(register) for line in _field(field, constant)]
    return ["reg {", f"    desc = {_quoted(register.text)};", *width, *(f"    {line}" for line in fields),
            f"}} {register.name} @ {register.offset:#x};"]


def _field(field: Field, constant: int | None) -> list[str]:
    properties = [f"desc = {_quoted(field.text)};", f"sw = {_SOFTWARE[field.access]};"]
    reset = ""
    if constant is not None:
        properties.append("hw = na;")
        reset = f" = {constant >> field.low & (1 << field.width) - 1:#x}"
    elif field.access == "ro":
        properties.append("hw = w;")
    else:
        properties.append("hw = r;")
        reset = " = 0"
    if field.access == "wo":
        properties.append("singlepulse;")
    if field.codes:
        properties.append(f"encode = {_code_name(field.codes)};")
    return ["field {", *(f"    {line}" for line in properties),
            f"}} {field.name}[{field.low + field.width - 1}:{field.low}]{reset};"]
