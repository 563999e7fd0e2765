"""Which pins of a primitive of UltraScale+ lead to which, and how many levels that costs.

A cost is one integer, so that sums and comparisons are quick: levels above, bits of carry below.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from terntable.sim.errors import SynthesisError

__all__ = ["LEVEL", "Pins", "pins_of"]

#: Cost of a level; what is below counts bits of carry.
LEVEL = 1 << 16

#: What an unregistered half of a DSP48E2 counts as, in levels. Assumed: a lookup table with its net is taken as 0.5 ns, the
#: multiplier as 1.5 ns and the adder behind it as 1 ns.
MULTIPLIER, ADDER = 3 * LEVEL, 2 * LEVEL

Bit = int | str
Connections = Mapping[str, list[Bit]]


@dataclass
class Pins:
    """Timing of one cell.

    Attributes
    ----------
    arcs : (from, to, cost) of combinational paths.
    starts : (bit, cost) of pins that a clock edge sets, by how long it takes.
    ends : (bit, cost) of pins that a clock edge reads, by how long before it.

    """

    arcs: list[tuple[Bit, Bit, int]] = field(default_factory=list)
    starts: list[tuple[Bit, int]] = field(default_factory=list)
    ends: list[tuple[Bit, int]] = field(default_factory=list)


def pins_of(kind: str, parameters: Mapping[str, str], directions: Mapping[str, str], pins: Connections) -> Pins:
    """Timing of a cell of type `kind`; SynthesisError for a type that is not known."""
    inputs = {name: bits for name, bits in pins.items() if directions[name] == "input"}
    outputs = {name: bits for name, bits in pins.items() if directions[name] == "output"}
    if kind.startswith("LUT") or kind == "INV":
        return Pins(arcs=list(_all(inputs, outputs, LEVEL)))
    if kind.startswith("MUXF"):
        # Behind the lookup tables of its own slice.
        return Pins(arcs=list(_all(inputs, outputs, 0)))
    if kind == "CARRY4":
        return Pins(arcs=list(_carry(pins)))
    if kind.startswith("FD"):
        return _clocked(inputs, outputs)
    if kind.startswith("SRL"):
        return _addressed(inputs, outputs, {name: "A" for name in outputs})
    if kind.startswith("RAMB") or kind == "URAM288":
        return _clocked(inputs, outputs)
    if kind.startswith("RAM"):
        # Each read port has an address of its own.
        return _addressed(inputs, outputs, {name: _address(name) for name in outputs})
    if kind == "DSP48E2":
        return _dsp(parameters, inputs, outputs)
    if kind in ("BUFG", "GND", "VCC", "$scopeinfo"):
        return Pins()
    raise SynthesisError(f"The netlist has a cell {kind}, whose timing is not known")


def _all(inputs: Connections, outputs: Connections, cost: int) -> Iterator[tuple[Bit, Bit, int]]:
    for sources in inputs.values():
        for source in sources:
            for targets in outputs.values():
                for target in targets:
                    yield source, target, cost


def _is_clock(name: str) -> bool:
    return name == "C" or "CLK" in name


def _clocked(inputs: Connections, outputs: Connections) -> Pins:
    return Pins(starts=[(bit, 0) for bits in outputs.values() for bit in bits],
                ends=[(bit, 0) for name, bits in inputs.items() if not _is_clock(name) for bit in bits])


def _addressed(inputs: Connections, outputs: Connections, address: Mapping[str, str]) -> Pins:
    """A memory in lookup tables: outputs follow the pins that begin with the address's name at once."""
    pins = Pins()
    for name, bits in outputs.items():
        pins.starts += [(bit, LEVEL) for bit in bits]
        for source, sources in inputs.items():
            if source == address[name] or source.startswith(address[name]) and source[len(address[name]):].isdigit():
                pins.arcs += [(a, b, LEVEL) for a in sources for b in bits]
    # A write looks at every pin.
    pins.ends += [(bit, 0) for name, bits in inputs.items() if not _is_clock(name) for bit in bits]
    return pins


def _address(output: str) -> str:
    if output.startswith("DO") and output != "DO":
        return f"ADDR{output[2:]}"
    return "DPRA" if output == "DPO" else "A"


def _carry(pins: Connections) -> Iterator[tuple[Bit, Bit, int]]:
    """Four bits: bit j of the sum takes the carries of all bits below it, and bit j of the carries itself too."""
    for j in range(4):
        for name, target, extra in (("O", pins["O"][j], 0), ("CO", pins["CO"][j], 1)):
            for source in (*pins["CI"], *pins["CYINIT"]):
                yield source, target, j + extra
            for i in range(j + extra):
                yield pins["S"][i], target, j - i + extra
                yield pins["DI"][i], target, j - i + extra
            if name == "O":
                yield pins["S"][j], target, 0


def _dsp(parameters: Mapping[str, str], inputs: Connections, outputs: Connections) -> Pins:
    """Registers A, B and D, an adder before the multiplier and AD behind it, the multiplier, M, the adder, P.

    Each register may be left out.
    """
    def registered(name: str) -> bool:
        # Where nothing is said there is one, as with enables; the pins of a cascade have none of their own.
        return name not in ("PCIN", "CARRYCASCIN", "MULTSIGNIN") and int(parameters.get(f"{name}REG", "1"), 2) > 0

    product, result = registered("M"), registered("P")
    summed = registered("AD") and parameters.get("AMULTSEL", "AD") == "AD"
    pins = Pins()
    for side in "AB":
        # A factor handed on to the next multiplier.
        passed = outputs.get(f"{side}COUT", [])
        pins.starts += [(bit, 0) for bit in passed if registered(f"{side}CASC")]
        pins.arcs += [(a, b, 0) for name in (side, f"{side}CIN") for a, b in zip(inputs.get(name, []), passed, strict=False)
                      if not registered(f"{side}CASC")]
    results = [bit for name, bits in outputs.items() if name not in ("ACOUT", "BCOUT") for bit in bits]
    for name, bits in inputs.items():
        if _is_clock(name):
            continue
        factor = name in ("A", "B", "D", "ACIN", "BCIN", "INMODE")
        if registered(name.removesuffix("CIN") if factor else name):
            pins.ends += [(bit, 0) for bit in bits]
        elif factor and summed and name[0] != "B":
            pins.ends += [(bit, ADDER) for bit in bits]
        elif factor and product:
            pins.ends += [(bit, MULTIPLIER) for bit in bits]
        else:
            cost = ADDER + (MULTIPLIER if factor else 0)
            if result:
                pins.ends += [(bit, cost) for bit in bits]
            else:
                pins.arcs += [(bit, target, cost) for bit in bits for target in results]
    since = 0 if result else ADDER if product else ADDER + MULTIPLIER
    if result or product or any(registered(name) for name in "ABCD"):
        pins.starts += [(bit, since) for bit in results]
    return pins
