"""What Vivado would hold after a script: the packaged core, the block design, the runs. It knows no more than the scripts ask."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.host.board.tcl import Tcl, TclError, elements, joined

__all__ = ["Item", "Vivado"]


@dataclass
class Item:
    """A thing with properties and parts."""

    kind: str
    name: str
    properties: dict[str, str] = field(default_factory=dict)
    parts: list["Item"] = field(default_factory=list)

    def of(self, kind: str) -> dict[str, "Item"]:
        """Parts of a kind by name, which are unique."""
        found = [part for part in self.parts if part.kind == kind]
        assert len({part.name for part in found}) == len(found), f"{self.name} has two {kind} of one name"
        return {part.name: part for part in found}


def _options(words: tuple[str, ...], *flags: str) -> tuple[list[str], dict[str, str]]:
    """Words without a dash, and options with their values; `flags` have none."""
    plain, options, rest = [], {}, list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            plain.append(word)
        else:
            options[word] = "" if word in flags else rest.pop(0)
    return plain, options


class Vivado:
    """Runs scripts, and has the things that they made.

    Attributes
    ----------
    core : the packaged core, an `Item`.
    cells : of the block design, with their type.
    nets, buses : what `connect_bd_net` and `connect_bd_intf_net` were given.
    addresses : (space, segment) -> (base, range).
    excluded : (space, segment).

    """

    def __init__(self, files: dict[str, str], simple: list[str]) -> None:
        self.core: Item | None = None
        self.cells: dict[str, str] = {}
        self.nets: list[list[str]] = []
        self.buses: list[tuple[str, str]] = []
        self.addresses: dict[tuple[str, str], tuple[int, int]] = {}
        self.excluded: set[tuple[str, str]] = set()
        self.settings: dict[str, dict[str, str]] = {}
        self._items: dict[str, Item] = {}
        self.answers: dict[str, str] = {"get_board_parts": "some:board:1.1", "get_ipdefs": "found", "get_timing_paths": "path"}
        known: dict[str, Callable[..., str]] = {name: self._answer(name) for name in simple}
        known |= {f"ipx::{name.removeprefix('_ipx_')}": getattr(self, name) for name in dir(self) if name.startswith("_ipx_")}
        known |= {name.removeprefix("_vivado_"): getattr(self, name) for name in dir(self) if name.startswith("_vivado_")}
        self.tcl = Tcl({name: command for name, command in known.items() if name in simple}, files)

    def _answer(self, name: str) -> Callable[..., str]:
        return lambda *words: self.answers.get(name, words[-1] if name.startswith("get_") and words else name)

    def _new(self, kind: str, name: str, parent: Item | None = None) -> str:
        item = Item(kind, name)
        handle = f"{kind.replace(chr(32), chr(95))}#{len(self._items)}"
        self._items[handle] = item
        if parent is not None:
            parent.parts.append(item)
        return handle

    def _add(self, kind: str, name: str, parent: str) -> str:
        return self._new(kind, name, self._items[parent])

    # Properties

    def _vivado_set_property(self, *words: str) -> str:
        plain, options = _options(words)
        values = elements(options["-dict"]) if "-dict" in options else plain[:-1]
        if len(values) % 2 or len(plain) != (1 if "-dict" in options else 3):
            raise TclError(f"set_property {joined(list(words))}")
        pairs = dict(zip(values[::2], values[1::2], strict=True))
        target = plain[-1]
        if target in self._items:
            self._items[target].properties |= pairs
        else:
            self.settings.setdefault(target, {}).update(pairs)
        return ""

    def _vivado_get_property(self, name: str, target: str) -> str:
        if target in self._items and name == "NAME":
            return self._items[target].name
        return {"PROGRESS": "100%", "SLACK": "0.125"}[name]

    # The packaged core

    def _ipx_package_project(self, *words: str) -> str:
        plain, self.packaged = _options(words, "-import_files", "-force")
        self._core = self._new("core", "guessed")
        self.core = self._items[self._core]
        for kind in ("interface", "memory map", "address space"):
            self._add(kind, "guessed", self._core)
        return ""

    def _ipx_current_core(self) -> str:
        return self._core

    def _ipx_remove_all_bus_interface(self, core: str) -> str:
        self._items[core].parts = [part for part in self._items[core].parts if part.kind != "interface"]
        return ""

    def _get(self, kind: str, words: tuple[str, ...]) -> str:
        plain, options = _options(words)
        parent = self._items[options["-of_objects"]]
        return joined([handle for handle, item in self._items.items() if item.kind == kind
                       and any(item is part for part in parent.parts) and (not plain or item.name == plain[0])])

    def _ipx_get_memory_maps(self, *words: str) -> str:
        return self._get("memory map", words)

    def _ipx_get_address_spaces(self, *words: str) -> str:
        return self._get("address space", words)

    def _remove(self, kind: str, name: str, core: str) -> str:
        self._items[core].parts.remove(self._items[core].of(kind)[name])
        return ""

    def _ipx_remove_memory_map(self, name: str, core: str) -> str:
        return self._remove("memory map", name, core)

    def _ipx_remove_address_space(self, name: str, core: str) -> str:
        return self._remove("address space", name, core)

    def _ipx_add_bus_interface(self, name: str, core: str) -> str:
        return self._add("interface", name, core)

    def _ipx_add_port_map(self, name: str, interface: str) -> str:
        return self._add("port map", name, interface)

    def _ipx_add_bus_parameter(self, name: str, interface: str) -> str:
        return self._add("parameter", name, interface)

    def _ipx_add_memory_map(self, name: str, core: str) -> str:
        return self._add("memory map", name, core)

    def _ipx_add_address_block(self, name: str, memory_map: str) -> str:
        return self._add("address block", name, memory_map)

    def _ipx_add_address_space(self, name: str, core: str) -> str:
        return self._add("address space", name, core)

    def _ipx_add_register(self, name: str, block: str) -> str:
        return self._add("register", name, block)

    def _ipx_add_field(self, name: str, register: str) -> str:
        return self._add("field", name, register)

    # The block design

    def _vivado_create_bd_cell(self, *words: str) -> str:
        (name,), options = _options(words)
        assert options["-type"] == "ip" and name not in self.cells
        self.cells[name] = options["-vlnv"]
        return name

    def _vivado_get_bd_cells(self, name: str) -> str:
        if name not in self.cells:
            raise TclError(f"no cell {name}")
        return name

    def _pin(self, name: str) -> str:
        if name.partition("/")[0] not in self.cells:
            raise TclError(f"no cell of {name}")
        return name

    def _vivado_get_bd_pins(self, name: str) -> str:
        return self._pin(name)

    def _vivado_get_bd_intf_pins(self, name: str) -> str:
        return self._pin(name)

    def _vivado_get_bd_addr_spaces(self, name: str) -> str:
        return self._pin(name)

    def _vivado_get_bd_addr_segs(self, *words: str) -> str:
        (names,), _ = _options(words, "-quiet")
        return joined([self._pin(name) for name in elements(names)])

    def _vivado_connect_bd_net(self, *pins: str) -> str:
        self.nets.append(list(pins))
        return ""

    def _vivado_connect_bd_intf_net(self, one: str, other: str) -> str:
        self.buses.append((one, other))
        return ""

    def _vivado_assign_bd_address(self, *words: str) -> str:
        (segment,), options = _options(words, "-force")
        key = options["-target_address_space"], segment
        assert key not in self.addresses
        self.addresses[key] = int(options["-offset"], 16), int(options["-range"], 16)
        return ""

    def _vivado_exclude_bd_addr_seg(self, *words: str) -> str:
        (segment,), options = _options(words)
        self.excluded.add((options["-target_address_space"], segment))
        return ""
