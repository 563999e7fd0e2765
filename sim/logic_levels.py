"""Longest paths of a netlist, in levels of lookup tables and bits of carry.

Counted on the netlist itself, without delays of nets: a level is a lookup table, or a memory of lookup tables that is read; wide
multiplexers of a slice are part of the tables before them. Of two paths with as many levels the one with more carry is longer.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from terntable.sim.errors import SynthesisError
from terntable.sim.primitives import LEVEL, Pins, pins_of

__all__ = ["Levels", "analyse"]


@dataclass(frozen=True)
class Levels:
    """Longest paths of a unit; costs as :mod:`terntable.sim.primitives` has them, -1 where there is no path.

    Attributes
    ----------
    inside : from register to register.
    path : the register it begins at, nets along it that have names, the register it ends at.
    into, out : by port, to the last register behind an input and from the first one before an output.
    through : by input and output port, where no register is between.

    """

    inside: int = -1
    path: tuple[str, ...] = ()
    into: Mapping[str, int] = field(default_factory=dict)
    out: Mapping[str, int] = field(default_factory=dict)
    through: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def levels(self) -> int:
        """Levels of the longest path from register to register."""
        return max(0, self.inside) // LEVEL

    @property
    def carry(self) -> int:
        """Bits of carry along it."""
        return max(0, self.inside) % LEVEL

    def model(self, directions: Mapping[str, str], pins: Mapping[str, list[Any]]) -> Pins:
        """The unit as a cell of another netlist."""
        result = Pins()
        for name, bits in pins.items():
            if directions[name] == "input":
                result.ends += [(bit, self.into[name]) for bit in bits if name in self.into]
                result.arcs += [(a, b, cost) for target, cost in self.through.get(name, {}).items()
                                for a in bits for b in pins.get(target, [])]
            elif name in self.out:
                result.starts += [(bit, self.out[name]) for bit in bits]
        return result


class _Graph:
    """Arcs between bits in an order in which every bit comes after those it depends on."""

    def __init__(self, cells: Iterable[Pins]) -> None:
        self.arcs: dict[int, list[tuple[int, int]]] = {}
        self.starts: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        waits: dict[int, int] = {}
        for pins in cells:
            for source, target, cost in pins.arcs:
                # Strings are constants.
                if isinstance(source, int) and isinstance(target, int):
                    self.arcs.setdefault(source, []).append((target, cost))
                    waits[target] = waits.get(target, 0) + 1
            for store, pairs in ((self.starts, pins.starts), (self.ends, pins.ends)):
                for bit, cost in pairs:
                    if isinstance(bit, int):
                        store[bit] = max(cost, store.get(bit, 0))
        self.order: dict[int, int] = {}
        ready = [bit for bit in self.arcs if bit not in waits]
        while ready:
            bit = ready.pop()
            self.order[bit] = len(self.order)
            for target, _ in self.arcs.get(bit, ()):
                waits[target] -= 1
                if not waits[target]:
                    ready.append(target)
        if stuck := sum(1 for n in waits.values() if n):
            raise SynthesisError(f"The netlist has a combinational loop: {stuck} bits depend on themselves")

    def arrivals(self, starts: Mapping[int, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Cost of the longest path to each bit that `starts` reach, and the bit before it."""
        cost, before = dict(starts), dict[int, int]()
        queue = [(self.order.get(bit, 0), bit) for bit in starts]
        heapq.heapify(queue)
        done = set()
        while queue:
            _, bit = heapq.heappop(queue)
            if bit in done:
                continue
            done.add(bit)
            for target, more in self.arcs.get(bit, ()):
                if cost[bit] + more > cost.get(target, -1):
                    cost[target], before[target] = cost[bit] + more, bit
                    heapq.heappush(queue, (self.order[target], target))
        return cost, before


def analyse(module: Mapping[str, Any], units: Mapping[str, Levels] | None = None) -> Levels:
    """Longest paths of a module of Yosys's JSON netlist, with `units` for cells that are not primitives."""
    units = units or {}
    cells = {
        name: units[cell["type"]].model(cell["port_directions"], cell["connections"]) if cell["type"] in units
        else pins_of(cell["type"], cell["parameters"], cell["port_directions"], cell["connections"])
        for name, cell in module["cells"].items() if cell["type"] != "$scopeinfo"
    }
    graph = _Graph(cells.values())
    inputs = {name: _bits(port) for name, port in module["ports"].items() if port["direction"] == "input"}
    outputs = {name: _bits(port) for name, port in module["ports"].items() if port["direction"] == "output"}
    cost, before = graph.arrivals(graph.starts)
    inside, last = max(((cost[bit] + need, bit) for bit, need in graph.ends.items() if bit in cost), default=(-1, -1))
    ports = {bit: name for name, bits in outputs.items() for bit in bits}
    into, through = {}, {}
    for name, bits in inputs.items():
        reached, _ = graph.arrivals(dict.fromkeys(bits, 0))
        need = max((n + graph.ends[bit] for bit, n in reached.items() if bit in graph.ends), default=-1)
        if need >= 0:
            into[name] = need
        across: dict[str, int] = {}
        for bit, n in reached.items():
            if bit in ports:
                across[ports[bit]] = max(n, across.get(ports[bit], 0))
        if across:
            through[name] = across
    out = {name: max((cost[bit] for bit in bits if bit in cost), default=-1) for name, bits in outputs.items()}
    return Levels(inside, _path(module, cells, before, last), into, {name: n for name, n in out.items() if n >= 0}, through)


def _bits(port: Mapping[str, Any]) -> list[int]:
    return [bit for bit in port["bits"] if isinstance(bit, int)]


def _path(module: Mapping[str, Any], cells: Mapping[str, Pins], before: Mapping[int, int], last: int) -> tuple[str, ...]:
    """The registers at both ends of a path, and those nets between them that the designer named."""
    if last < 0:
        return ()
    bits = [last]
    while bits[-1] in before:
        bits.append(before[bits[-1]])
    bits.reverse()
    names = _net_names(module)
    begin = next(name for name, pins in cells.items() if any(bit == bits[0] for bit, _ in pins.starts))
    end = next(name for name, pins in cells.items() if any(bit == last for bit, _ in pins.ends))
    # A register is better known by what it drives.
    end = next((names[bit] for bit, _ in cells[end].starts if bit in names), _plain(end))
    return (names.get(bits[0], _plain(begin)), *(names[bit] for bit in bits[1:] if bit in names), end)


def _plain(cell: str) -> str:
    """A cell's name without what the tool put around it."""
    return cell.removeprefix("$flatten\\").partition(".genblk")[0]


def _net_names(module: Mapping[str, Any]) -> dict[int, str]:
    """The designer's names of bits, of several the shortest."""
    names: dict[int, str] = {}
    for name, net in sorted(module["netnames"].items(), key=lambda item: len(item[0])):
        if not net["hide_name"] and not name.startswith("$"):
            for index, bit in enumerate(net["bits"]):
                names.setdefault(bit, f"{name}[{index}]" if len(net["bits"]) > 1 else name)
    return names
