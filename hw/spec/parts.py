"""What the FPGAs that presets are meant for hold."""

from dataclasses import dataclass

__all__ = ["PARTS", "Part", "part_of"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A device.

    Attributes
    ----------
    name, board : the device as its maker calls it, and where it is found.
    family : whose primitives it has: ``xcup``, AMD UltraScale+, or ``ecp5``, Lattice ECP5.
    lut : lookup tables of 6 inputs, of 4 on ECP5.
    ff, dsp : flip-flops and multipliers: DSP48E2 of 27 x 18 bits, on ECP5 MULT18X18D of 18 x 18.
    bram36 : block RAMs of 36 kbit; ECP5 has twice as many of half the size.
    uram : UltraRAMs of 288 kbit.

    """

    name: str
    board: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram36: int
    uram: int

    @property
    def large_memory(self) -> str:
        """What the largest buffers are made of, in the words of vendor tools."""
        return "ultra" if self.uram else "block"


#: By the names of AMD's product tables (DS890) and Lattice's data sheet (FPGA-DS-02012).
PARTS = {
    part.name: part
    for part in (
        Part(name="XCK26", board="Kria KV260", family="xcup", lut=117_120, ff=234_240, dsp=1248, bram36=144, uram=64),
        Part(name="XCZU7EV", board="ZCU104", family="xcup", lut=230_400, ff=460_800, dsp=1728, bram36=312, uram=96),
        Part(name="XCZU3EG", board="Ultra96", family="xcup", lut=70_560, ff=141_120, dsp=360, bram36=216, uram=0),
        Part(name="LFE5U-85F", board="ECP5-85F boards", family="ecp5", lut=83_640, ff=83_640, dsp=156, bram36=104, uram=0),
    )
}

#: Presets that are sized for another part than the KV260's.
_PRESETS = {"zcu104": "XCZU7EV", "zu3eg": "XCZU3EG", "ecp5": "LFE5U-85F"}


def part_of(preset: str) -> Part:
    """The part that a preset is sized for."""
    return PARTS[_PRESETS.get(preset, "XCK26")]
