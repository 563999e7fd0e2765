"""What the primitives of a synthesised netlist cost on each family."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from terntable.sim.errors import SynthesisError

__all__ = ["FAMILIES", "Counts", "count"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Resources of a netlist, in the units of :class:`terntable.hw.spec.parts.Part`.

    Attributes
    ----------
    lut : logic, memories and shift registers together. A place and route tool puts two small functions into one lookup
        table where it can; here each has its own.
    ff, dsp, bram36, uram : as the part has them; half a block RAM counts half.

    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram36: float = 0
    uram: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """The sums, resource by resource."""
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


def _table(lut: Mapping[str, int], ff: str, more: Mapping[str, Counts], free: str) -> dict[str, Counts]:
    return {
        **{name: Counts(lut=n) for name, n in lut.items()},
        **{name: Counts(ff=1) for name in ff.split()},
        **more,
        **{name: Counts() for name in free.split()},
    }


#: Cells by family. An inverter may be swallowed by a neighbour, but nothing promises it.
FAMILIES: dict[str, dict[str, Counts]] = {
    "xcup": _table(
        {**{f"LUT{n}": 1 for n in range(1, 7)}, "LUT6_2": 1, "INV": 1, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1,
         "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8,
         "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8,
         "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X16DR8": 8, "RAM64X8SW": 8},
        "FDRE FDSE FDCE FDPE",
        {"DSP48E2": Counts(dsp=1), "RAMB18E2": Counts(bram36=0.5), "RAMB36E2": Counts(bram36=1), "URAM288": Counts(uram=1)},
        "CARRY4 CARRY8 MUXF7 MUXF8 MUXF9 BUFG GND VCC $scopeinfo"),
    # A carry cell is two lookup tables; a memory of 16 x 4 takes two slices, one of them for its write port's signals.
    "ecp5": _table(
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        "TRELLIS_FF",
        {"MULT18X18D": Counts(dsp=1), "ALU54B": Counts(), "DP16KD": Counts(bram36=0.5)},
        "PFUMX L6MUX21 GSR $scopeinfo"),
}


def count(cells: Mapping[str, int], family: str) -> Counts:
    """Resources of so many cells of each type; SynthesisError names a type that is not known."""
    total = Counts()
    for name, n in cells.items():
        if name not in FAMILIES[family]:
            raise SynthesisError(f"The netlist has {n} cells {name}, whose cost on family {family} is not known")
        one = FAMILIES[family][name]
        total += Counts(**{f.name: n * getattr(one, f.name) for f in fields(one)})
    return total
