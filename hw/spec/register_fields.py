"""The control registers bit by bit, and as the 32-bit words that buses carry."""

from dataclasses import dataclass

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.registers import IDENT, REGISTERS, VERSION, Register, geometry_of

__all__ = ["Field", "Word", "fields_of", "reset_of", "words"]


@dataclass(frozen=True)
class Field:
    """Bits of a register from bit `low`: access is "rw", "ro", or "wo" where a write acts and a read gives 0."""

    name: str
    low: int
    width: int
    access: str
    text: str


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


def _bytes(register: str, *names: str) -> list[tuple[str, str, int, int, str, str]]:
    return [(register, name, 8 * n, 8, "ro", f"{name} of the instance") for n, name in enumerate(names)]


#: Register, field, lowest bit, bits, access, text. A register that is not here is one number, the field `value`.
_FIELDS = (
    ("control", "start", 0, 1, "wo", "starts a pass"),
    ("control", "reset", 1, 1, "wo", "resets the datapath and clears status and fault"),
    ("status", "busy", 0, 1, "ro", "a pass or a reset runs"),
    ("status", "done", 1, 1, "ro", "the last pass came to its end"),
    ("status", "error", 2, 1, "ro", "the last pass was stopped"),
    ("interrupt_enable", "enable", 0, 1, "rw", "raises the interrupt line while done or error is set"),
    ("fault_cause", "cause", 0, 8, "ro", "cause code of a stopped pass"),
    *_bytes("geometry", "rows", "beat_bytes", "lanes", "top_k"),
    *_bytes("geometry2", "ports", "outputs"),
    ("geometry2", "block_outputs", 16, 16, "ro", "block_outputs of the instance"),
)


def fields_of(register: Register) -> tuple[Field, ...]:
    """The fields of a register, lowest first."""
    return tuple(Field(*row[1:]) for row in _FIELDS if row[0] == register.name) or (
        Field("value", 0, register.width, register.access, register.text),)


def reset_of(register: Register, config: HardwareConfig | None = None) -> int:
    """What a register reads after a reset; the geometry of no instance in particular reads 0."""
    return {"ident": IDENT, "version": VERSION, **(geometry_of(config) if config else {})}.get(register.name, 0)


def words(config: HardwareConfig | None = None) -> tuple[Word, ...]:
    """All registers as words, by offset."""
    found = []
    for register in REGISTERS:
        fields, reset = fields_of(register), reset_of(register, config)
        access = fields[0].access
        if register.width == 32:
            found.append(Word(register.name, register.offset, access, reset, register.text, fields))
            continue
        for n, half in enumerate(("low", "high")):
            text = f"{register.text}, {half} half"
            found.append(Word(f"{register.name}_{half}", register.offset + 4 * n, access, reset >> 32 * n & 0xFFFF_FFFF, text,
                              (Field("value", 0, 32, access, text),)))
    return tuple(found)
