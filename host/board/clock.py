"""The clock of the fabric: PYNQ leaves it at what a handoff says, and without one at 100 MHz, which nothing reports."""

from terntable.host.board.overlay import OpenedOverlay, explained, import_pynq
from terntable.host.errors import DeviceError

__all__ = ["TOLERANCE", "read_clock", "set_clock"]

#: Dividers of the processor's PLL hit few frequencies exactly; PYNQ itself warns beyond this.
TOLERANCE = 0.01


def read_clock(opened: OpenedOverlay) -> float | None:
    """Hertz of the core's clock as the processor's registers give them; the design's own figure when a clock wizard makes it."""
    index = opened.handoff.pl_clock
    if index is None:
        return opened.handoff.clock_hz
    with explained("The clock of the fabric cannot be read"):
        # Not get_pl_clk(), which PYNQ 3 forgets to return.
        return float(getattr(import_pynq().Clocks, f"fclk{index}_mhz")) * 1e6


def set_clock(opened: OpenedOverlay, hertz: int) -> int:
    """Set the core's clock and give what is read back, in hertz; DeviceError names both when they differ."""
    index = opened.handoff.pl_clock
    if index is not None:
        with explained(f"The clock of the fabric cannot be set to {hertz / 1e6:g} MHz"):
            setattr(import_pynq().Clocks, f"fclk{index}_mhz", hertz / 1e6)
    found = read_clock(opened)
    if found is None:
        raise DeviceError(f"The handoff of {opened.bitfile} does not say what clock drives {opened.handoff.path}, so it cannot "
                          "be checked")
    if abs(found - hertz) > TOLERANCE * hertz:
        source = f"clock {index} of the processor" if index is not None else "the clock wizard of the bitstream"
        raise DeviceError(f"The accelerator should run at {hertz / 1e6:g} MHz, but {source} gives {found / 1e6:g} MHz: choose a "
                          "clock that it can give, with --clock-mhz")
    return round(found)
