"""The whole accelerator, cut into its units: RTLIL of each, and of the wires between them.

A unit is a submodule of the accelerator or of its datapath, with everything in it. Paths that lead from unit to unit are found
with the wires.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from os import sched_getaffinity
from pathlib import Path

import terntable.hw
import terntable.quant
from terntable.hw.emission import brief
from terntable.hw.spec.config import HardwareConfig
from terntable.sim.errors import SynthesisError
from terntable.sim.open_tools import cached, version
from terntable.sim.synthesis import TOP, Synthesis, synthesise

__all__ = ["WIRES", "Units", "cut", "synthesise_units", "units_of"]

#: Name of what the units leave over.
WIRES = "wires"

#: The module whose submodules are units beside those of the top; what the two hold themselves are the wires.
INNER = "datapath"

_PORT = re.compile(r"^  wire [^\\]*(?:input|output) .*$", re.MULTILINE)
#: What Amaranth calls a port that it has no name for: by a number that any change of any unit changes.
_NAMELESS = re.compile(r"port\$\d+\$\d+")
_NAME = re.compile(r"^(module|  cell) \\(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Units:
    """RTLIL by unit, each with the top module ``unit``, and of the wires, where units are black boxes named as they are."""

    texts: Mapping[str, str]
    wires: str


def units_of(config: HardwareConfig, family: str, progress: Callable[[str], None]) -> Units:
    """The units of an instance of the accelerator on a family."""
    def make(where: Path) -> dict[str, dict[str, str] | str]:
        # Both take their time.
        from amaranth.back import rtlil  # type: ignore[attr-defined]

        from terntable.hw.accelerator import Accelerator

        progress(f"Writing {config.name} as RTLIL for {family}")
        with brief():
            units = cut(rtlil.convert(Accelerator(config), name="top", platform=family, emit_src=False), "top")
        return {"texts": dict(units.texts), "wires": units.wires}

    total = hashlib.sha256(f"{config!r} {metadata.version('amaranth')}".encode())
    for package in (terntable.hw, terntable.quant):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            total.update(path.read_bytes())
    total.update(Path(__file__).read_bytes())
    return Units(**cached(f"{config.name}-{family}-{total.hexdigest()[:32]}", make))


def cut(text: str, top: str) -> Units:
    """The units of RTLIL `text` whose top module is `top`."""
    modules = {}
    for chunk in re.split(r"^module \\", text, flags=re.MULTILINE)[1:]:
        # Attributes of the next module follow.
        modules[chunk.split(maxsplit=1)[0]] = f"module \\{chunk[:chunk.rindex(chr(10) + 'end')]}\nend\n"
    shell = (top, f"{top}.{INNER}")
    roots = {child: re.sub(r"\$\d+$", "", child.rsplit(".", 1)[1])
             for module in shell for child in _children(modules, module) if child not in shell}
    if len(set(roots.values())) < len(roots):
        raise SynthesisError(f"Two units have the same name, of {', '.join(sorted(roots))}")
    texts, numbers = {}, dict[str, dict[str, str]]()
    for root, unit in roots.items():
        numbers[unit] = {}
        texts[unit] = _numbered(_renamed("".join(modules[name] for name in _below(modules, root)), root, TOP), numbers[unit])
    wires = _renamed("".join(modules[name] for name in shell), top, TOP)
    for root, unit in roots.items():
        ports = _numbered("\n".join(_PORT.findall(modules[root])), numbers[unit])
        before, _, after = wires.partition(f"cell \\{TOP}{root[len(top):]} ")
        pins, end, after = after.partition("\n  end\n")
        wires = f"{before}cell \\{unit} {_own(pins, numbers[unit])}{end}{after}"
        wires += f"attribute \\blackbox 1\nattribute \\keep 1\nmodule \\{unit}\n{ports}\nend\n"
    return Units(texts, wires)


def _children(modules: Mapping[str, str], name: str) -> Iterator[str]:
    for found in _NAME.finditer(modules[name]):
        if found[1] == "  cell" and found[2] in modules:
            yield found[2]


def _below(modules: Mapping[str, str], root: str) -> Iterator[str]:
    yield root
    for child in _children(modules, root):
        yield from _below(modules, child)


def _numbered(text: str, numbers: dict[str, str]) -> str:
    """Nameless ports numbered within their unit, so that its text says no more than what it is."""
    return _NAMELESS.sub(lambda m: numbers.setdefault(m[0], f"port${len(numbers)}"), text)


def _own(pins: str, numbers: Mapping[str, str]) -> str:
    """The connections of a unit's cell: pins have the unit's numbers, what they are connected to keeps its own."""
    return re.sub(r"^(    connect \\)(\S+)", lambda m: m[1] + numbers.get(m[2], m[2]), pins, flags=re.MULTILINE)


def _renamed(text: str, old: str, new: str) -> str:
    return _NAME.sub(lambda m: f"{m[1]} \\{new}{m[2][len(old):]}" if m[2] == old or m[2].startswith(f"{old}.") else m[0], text)


def synthesise_units(units: Units, names: Iterable[str], family: str, progress: Callable[[str], None]) -> dict[str, Synthesis]:
    """Synthesis of the named units; where the wires are among them, all their units are needed too, and come along."""
    version("yosys")
    names = list(names)
    wanted = list(units.texts) if WIRES in names else names
    found: dict[str, Synthesis] = {}
    # Yosys runs on one core.
    with ThreadPoolExecutor(len(sched_getaffinity(0))) as pool:
        running = {name: pool.submit(synthesise, units.texts[name], family) for name in wanted}
        for name, future in running.items():
            found[name] = future.result()
            progress(f"{len(found)} of {len(wanted)} units: {name}")
    if WIRES in names:
        found[WIRES] = synthesise(units.wires, family, {name: found[name].levels for name in units.texts})
    return found
