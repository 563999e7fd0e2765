"""How fast the simulated memory is."""

from dataclasses import dataclass

from terntable.sim.ddr_parameters import DDR4_2133, DDR4_2400, DdrParameters

__all__ = ["MODELS", "MemoryTiming", "named_timing"]

#: Models by name, in the order of their numbers in memory_timing.h.
MODELS = ("fixed", "flat", "ddr")


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """How memory behaves.

    Attributes
    ----------
    model : "fixed": each port has a bandwidth of its own; "flat": all ports and directions share one;
        "ddr": the DDR controller, its DRAM and the way there.
    read_latency, write_latency : cycles from the accepted address (last data) to the first beat (response); not "ddr".
    bandwidth : "fixed": beats per cycle, above 0 and at most 1, of each port's reads and of the writes.
    flat : "flat": GB/s (1e9 bytes), with the accelerator's clock of `ddr`.
    ddr : parameters of "ddr".
    stall : chance that a handshake of the memory's is held back for a cycle, from 0 to below 1.
    seed : of the stalls.

    """

    model: str = "fixed"
    read_latency: int = 40
    write_latency: int = 20
    bandwidth: float = 1.0
    flat: float = 15.9
    ddr: DdrParameters = DDR4_2133
    stall: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, not {self.model!r}")
        for name in ("read_latency", "write_latency"):
            if not 1 <= getattr(self, name) < 2**31:
                raise ValueError(f"{name} must be 1 to 2**31 - 1 cycles, not {getattr(self, name)}")
        if not 1 / 65536 <= self.bandwidth <= 1:
            raise ValueError(f"bandwidth must be 1/65536 to 1 beats per cycle, not {self.bandwidth}")
        if not 0.001 <= self.flat <= 1000:
            raise ValueError(f"flat must be 0.001 to 1000 GB/s, not {self.flat}")
        if not 0 <= self.stall < 1:
            raise ValueError(f"stall must be a probability below 1, not {self.stall}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed must be 0 to 2**64 - 1, not {self.seed}")

    def bytes_per_cycle(self, beat_bytes: int) -> float:
        """Bandwidth of a port with beats of `beat_bytes`, or of all together."""
        return self.flat * 1e6 / self.ddr.clock_khz if self.model == "flat" else self.bandwidth * beat_bytes


def named_timing(name: str) -> MemoryTiming:
    """The timing called `name`: "fixed", "ddr" or "ddr-2133", "ddr-2400", "flat-13.3" (any GB/s); ValueError for another."""
    kind, _, rest = name.partition("-")
    rates = {"": DDR4_2133, "2133": DDR4_2133, "2400": DDR4_2400}
    if name == "fixed":
        return MemoryTiming()
    if kind == "ddr" and rest in rates:
        return MemoryTiming(model="ddr", ddr=rates[rest])
    if kind == "flat":
        try:
            return MemoryTiming(model="flat", flat=float(rest))
        except ValueError as error:
            raise ValueError(f"A flat memory is called flat-13.3 with its GB/s, not {name!r}: {error}") from None
    raise ValueError(f"Unknown memory {name!r}; known: fixed, ddr, ddr-2400, flat-<GB/s>")
