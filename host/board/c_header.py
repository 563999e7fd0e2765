"""The control registers as a C header: offsets of 32-bit words, masks and shifts of fields, codes of faults."""

from terntable.host.errors import CAUSES
from terntable.hw.spec.ip import NAME, REGISTER_BASE, REGISTER_RANGE
from terntable.hw.spec.register_fields import constants_of, words

__all__ = ["c_header"]


def c_header() -> str:
    """Text of the header. Every name starts with the accelerator's."""
    prefix = NAME.upper()
    lines = ["/* Control registers of the accelerator. Written by `make registers` from hw/spec/registers.py. */",
             f"#ifndef {prefix}_REGISTERS_H", f"#define {prefix}_REGISTERS_H", "",
             "/* Where the board projects put them, and how many bytes. */",
             f"#define {prefix}_BASE 0x{REGISTER_BASE:08x}u", f"#define {prefix}_RANGE {REGISTER_RANGE:#x}u", "",
             "/* What registers that never change read. */",
             *(f"#define {prefix}_{name.upper()}_VALUE {value:#x}u" for name, value in constants_of().items())]
    for word in words():
        name = f"{prefix}_{word.name.upper()}"
        lines += ["", f"/* {word.access}: {word.text} */", f"#define {name}_OFFSET {word.offset:#05x}u"]
        for field in word.fields:
            if field.name == "value":
                continue
            mask = ((1 << field.width) - 1) << field.low
            lines += [f"#define {name}_{field.name.upper()}_SHIFT {field.low}u",
                      f"#define {name}_{field.name.upper()}_MASK 0x{mask:08x}u /* {field.text} */"]
            lines += [f"#define {name}_{field.name.upper()}_{code.name} {code.value}u" +
                      (f" /* {CAUSES[code]} */" if code in CAUSES else "") for code in field.codes or ()]
    return "\n".join([*lines, "", "#endif", ""])
