"""What the hardware handoff beside a bitstream says of the accelerator: its clock, and the memory that its ports reach."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, parse

from terntable.host.errors import DeviceError
from terntable.hw.spec.ip import NAME, VLNV

__all__ = ["Handoff", "read_handoff"]

_PROCESSORS = ("zynq_ultra_ps_e", "processing_system7", "versal_cips")


@dataclass(frozen=True)
class Handoff:
    """Facts about the core in a block design.

    Attributes
    ----------
    path : its name in the design, which is also its path of attributes in a PYNQ overlay.
    pl_clock : which of the processor's clocks drives it, None when something in between makes its clock.
    clock_hz : the frequency that the design was built for, None where the file does not say.
    memory : first and last address of each range that all its memory ports reach; empty where the file does not say.

    """

    path: str
    pl_clock: int | None
    clock_hz: int | None
    memory: tuple[tuple[int, int], ...]

    def reaches(self, address: int, count: int) -> bool:
        """Whether the ports reach `count` bytes from `address`."""
        return not self.memory or any(low <= address and address + count - 1 <= high for low, high in self.memory)


def read_handoff(bitfile: Path) -> Handoff:
    """Read the ``.hwh`` of the same stem as a bitstream; DeviceError when it is missing or holds another core."""
    file = bitfile.with_suffix(".hwh")
    try:
        modules = parse(file).getroot().findall(".//MODULE")
    except FileNotFoundError as error:
        raise DeviceError(f"{bitfile} has no {file.name} beside it, which says where its registers are") from error
    except (OSError, ParseError) as error:
        raise DeviceError(f"{file} cannot be read: {error}") from error
    kinds = {module.get("VLNV", ""): module for module in modules}
    if VLNV not in kinds:
        others = [kind for kind in kinds if kind.split(":")[2:3] == [NAME]]
        what = f"{others[0]}, another release than the {VLNV} that this version drives" if others else \
            f"no {VLNV}, but {', '.join(sorted(filter(None, kinds))) or 'nothing'}"
        raise DeviceError(f"{file} has {what}: it belongs to another bitstream")
    core = kinds[VLNV]
    names = {module.get("INSTANCE"): module for module in modules}
    clock = core.find(".//PORT[@SIGIS='clk']")
    pl_clock = hertz = None
    if clock is not None:
        pl_clock = _pl_clock(clock, names)
        hertz = int(float(clock.get("CLKFREQUENCY") or 0)) or None
    return Handoff(core.get("FULLNAME", "").strip("/"), pl_clock, hertz, _memory(core))


def _pl_clock(port: Element, modules: dict[str | None, Element]) -> int | None:
    for connection in port.iter("CONNECTION"):
        source = modules.get(connection.get("INSTANCE"))
        pin = connection.get("PORT", "")
        if source is not None and source.get("MODTYPE") in _PROCESSORS and pin.startswith("pl_clk"):
            return int(pin.removeprefix("pl_clk"))
    return None


def _memory(core: Element) -> tuple[tuple[int, int], ...]:
    """Ranges that every memory port has; two ports may name the same range differently."""
    ports: dict[str, set[tuple[int, int]]] = {}
    for entry in core.iter("MEMRANGE"):
        if entry.get("MEMTYPE") == "MEMORY":
            span = int(entry.get("BASEVALUE", "0"), 16), int(entry.get("HIGHVALUE", "0"), 16)
            ports.setdefault(entry.get("MASTERBUSINTERFACE", ""), set()).add(span)
    return tuple(sorted(set.intersection(*ports.values()))) if ports else ()
