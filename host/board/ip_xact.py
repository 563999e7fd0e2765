"""The control registers as an IP-XACT component (IEEE 1685-2014): the slave port with its memory map.

Vivado writes a component of its own when it packages the core; this one is for the tools that only want the registers.
"""

from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import LIBRARY, NAME, REGISTER_PORT, REGISTER_RANGE, RELEASE, VENDOR
from terntable.hw.spec.register_fields import Field, Word, words

__all__ = ["NAMESPACE", "ip_xact"]

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"

_ACCESS = {"rw": "read-write", "ro": "read-only", "wo": "write-only"}


def ip_xact(config: HardwareConfig | None = None) -> str:
    """Text of the component; that of an instance knows its geometry. Elements come in the schema's order."""
    register_namespace("ipxact", NAMESPACE)
    top = Element(f"{{{NAMESPACE}}}component")
    for tag, text in (("vendor", VENDOR), ("library", LIBRARY), ("name", NAME), ("version", RELEASE)):
        _add(top, tag, text)
    bus = _add(_add(top, "busInterfaces"), "busInterface")
    _add(bus, "name", REGISTER_PORT)
    _add(bus, "busType", vendor="amba.com", library="AMBA4", name="AXI4-Lite", version="r0p0_0")
    _add(_add(bus, "slave"), "memoryMapRef", memoryMapRef=REGISTER_PORT)
    memory = _add(_add(top, "memoryMaps"), "memoryMap")
    _add(memory, "name", REGISTER_PORT)
    block = _add(memory, "addressBlock")
    for tag, text in (("name", "reg0"), ("baseAddress", "0"), ("range", str(REGISTER_RANGE)), ("width", "32"),
                      ("usage", "register")):
        _add(block, tag, text)
    for word in words(config):
        _register(block, word)
    _add(memory, "addressUnitBits", "8")
    _add(top, "description", "Terntable: ternary language models by table lookup")
    indent(top)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(top, encoding="unicode")}\n'


def _add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    element = SubElement(parent, f"{{{NAMESPACE}}}{tag}", attributes)
    element.text = text
    return element


def _register(block: Element, word: Word) -> None:
    register = _add(block, "register")
    for tag, text in (("name", word.name), ("description", word.text), ("addressOffset", f"'h{word.offset:x}"), ("size", "32"),
                      ("access", _ACCESS[word.access])):
        _add(register, tag, text)
    for field in word.fields:
        _field(register, field, word.reset)


def _field(register: Element, field: Field, reset: int) -> None:
    element = _add(register, "field")
    for tag, text in (("name", field.name), ("description", field.text), ("bitOffset", str(field.low))):
        _add(element, tag, text)
    _add(_add(_add(element, "resets"), "reset"), "value", f"'h{reset >> field.low & (1 << field.width) - 1:x}")
    for tag, text in (("bitWidth", str(field.width)), ("access", _ACCESS[field.access])):
        _add(element, tag, text)
    if field.codes:
        values = _add(element, "enumeratedValues")
        for code in field.codes:
            value = _add(values, "enumeratedValue")
            _add(value, "name", code.name)
            _add(value, "value", str(code.value))
