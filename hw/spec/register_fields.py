"""The control registers bit by bit, and as the 32-bit words that buses carry."""

from dataclasses import dataclass

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.program import Fault
from terntable.hw.spec.registers import IDENT, REGISTERS, VERSION, Register, geometry_of

__all__ = ["Field", "Word", "constants_of", "fields_of", "words"]


@dataclass(frozen=True)
class Field:
    """Bits of a register from bit `low`: access is "rw", "ro", or "wo" where a write acts and a read gives 0.

    `codes` are the values with names, if it has such.
    """

    name: str
    low: int
    width: int
    access: str
    text: str
    codes: type[Fault] | None = None


@dataclass(frozen=True)
class Word:
    """32 bits of a register at `offset`; a register of 64 bits has the words ``<name>_low`` and ``<name>_high``.

    Attributes
    ----------
    access : that of all its fields; no register mixes them.
    reset : what it reads after a reset.

    """

    name: str
    offset: int
    access: str
    reset: int
    text: str
    fields: tuple[Field, ...]


def _bytes(register: str, *names: str) -> list[tuple[str, Field]]:
    return [(register, Field(name, 8 * n, 8, "ro", f"{name} of the instance")) for n, name in enumerate(names)]


#: Fields of registers; one that is not here is one number, the field `value`.
_FIELDS = (
    ("control", Field("start", 0, 1, "wo", "starts a pass")),
    ("control", Field("reset", 1, 1, "wo", "resets the datapath and clears status and fault")),
    ("status", Field("busy", 0, 1, "ro", "a pass or a reset runs")),
    ("status", Field("done", 1, 1, "ro", "the last pass came to its end")),
    ("status", Field("error", 2, 1, "ro", "the last pass was stopped")),
    ("interrupt_enable", Field("enable", 0, 1, "rw", "raises the interrupt line while done or error is set")),
    ("fault_cause", Field("cause", 0, 8, "ro", "why the last pass was stopped", Fault)),
    *_bytes("geometry", "rows", "beat_bytes", "lanes", "top_k"),
    *_bytes("geometry2", "ports", "outputs"),
    ("geometry2", Field("block_outputs", 16, 16, "ro", "block_outputs of the instance")),
)


def fields_of(register: Register) -> tuple[Field, ...]:
    """The fields of a register, lowest first."""
    return tuple(field for name, field in _FIELDS if name == register.name) or (
        Field("value", 0, register.width, register.access, register.text),)


def constants_of(config: HardwareConfig | None = None) -> dict[str, int]:
    """Registers that always read the same, by name; with an instance, also those that tell its geometry."""
    return {"ident": IDENT, "version": VERSION, **(geometry_of(config) if config else {})}


def words(config: HardwareConfig | None = None) -> tuple[Word, ...]:
    """All registers as words, by offset. Without an instance the geometry reads 0."""
    found, constants = [], constants_of(config)
    for register in REGISTERS:
        fields, reset = fields_of(register), constants.get(register.name, 0)
        access = fields[0].access
        if register.width == 32:
            found.append(Word(register.name, register.offset, access, reset, register.text, fields))
            continue
        for n, half in enumerate(("low", "high")):
            text = f"{register.text}, {half} half"
            found.append(Word(f"{register.name}_{half}", register.offset + 4 * n, access, reset >> 32 * n & 0xFFFF_FFFF, text,
                              (Field("value", 0, 32, access, text),)))
    return tuple(found)
