"""The register table in the formats of other tools: each is read back by a reader that is not ours."""

import subprocess
from dataclasses import replace
from pathlib import Path

import ipyxact.ipyxact
import pytest
from systemrdl import RDLCompiler
from systemrdl.node import RegNode

from terntable.host.board.c_header import c_header
from terntable.host.board.ip_xact import ip_xact
from terntable.host.board.rdl import system_rdl
from terntable.host.board.register_page import register_page
from terntable.host.board.registers import CHECKED_IN, main
from terntable.hw.spec.config import preset
from terntable.hw.spec.ip import LIBRARY, NAME, RELEASE, VENDOR
from terntable.hw.spec.program import Fault
from terntable.hw.spec.register_fields import constants_of, fields_of, words
from terntable.hw.spec.registers import (
    ADDRESS_BITS,
    CONTROL_RESET,
    CONTROL_START,
    IDENT,
    REGISTERS,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR,
    VERSION,
    geometry_of,
)

ROOT = Path(__file__).resolve().parents[3]
#: Of any instance, and of one whose geometry has an odd byte.
INSTANCES = [None, replace(preset("nano"), top_k=3)]


@pytest.mark.parametrize("name", CHECKED_IN)
def test_checked_in_files_are_fresh(name):
    assert (ROOT / name).read_text() == CHECKED_IN[name](), f"{name} is stale: run `make registers`"


def test_stale_files_are_written(tmp_path, capsys):
    main(tmp_path)
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in CHECKED_IN]
    assert {name: (tmp_path / name).read_text() for name in CHECKED_IN} == {name: text() for name, text in CHECKED_IN.items()}


def test_fields_fit_their_registers():
    for register in REGISTERS:
        taken = 0
        for field in fields_of(register):
            mask = ((1 << field.width) - 1) << field.low
            assert not mask & taken and mask < 1 << register.width, (register.name, field.name)
            taken |= mask
        assert len({field.access for field in fields_of(register)}) == 1
        assert fields_of(register)[0].access == ("wo" if register.name == "control" else register.access)


def test_fields_agree_with_the_constants():
    bits = {field.name: 1 << field.low for register in REGISTERS if register.name in ("control", "status")
            for field in fields_of(register)}
    assert bits == {"start": CONTROL_START, "reset": CONTROL_RESET, "busy": STATUS_BUSY, "done": STATUS_DONE, "error": STATUS_ERROR}


@pytest.mark.parametrize("config", [preset("nano"), preset("kv260")], ids=lambda config: config.name)
def test_geometry_fields_take_the_geometry_apart(config):
    for register in REGISTERS:
        if register.name in ("geometry", "geometry2"):
            for field in fields_of(register):
                assert geometry_of(config)[register.name] >> field.low & (1 << field.width) - 1 == getattr(config, field.name)


def test_words_fill_the_registers():
    found = words(preset("nano"))
    assert [word.offset for word in found] == sorted({word.offset for word in found})
    assert {word.offset for word in found} \
        == {register.offset + 4 * n for register in REGISTERS for n in range(register.width // 32)}
    assert found[-1].offset < 1 << ADDRESS_BITS
    names = {word.name: word for word in found}
    assert names["program_base_high"].offset == names["program_base_low"].offset + 4
    assert (names["ident"].reset, names["version"].reset, names["rows"].reset) == (IDENT, VERSION, 0)
    assert names["geometry"].reset == geometry_of(preset("nano"))["geometry"]


def compiled(text: str, path: Path):
    path.write_text(text)
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    return compiler.elaborate().top


@pytest.mark.parametrize("config", INSTANCES, ids=["any", "odd"])
def test_rdl(config, tmp_path):
    top = compiled(system_rdl(config), tmp_path / "registers.rdl")
    found = [node for node in top.children() if isinstance(node, RegNode)]
    assert top.inst_name == NAME and [node.inst_name for node in found] == [register.name for register in REGISTERS]
    for node, register in zip(found, REGISTERS, strict=True):
        assert (node.absolute_address, node.get_property("regwidth"), node.get_property("accesswidth"),
                node.get_property("desc")) == (register.offset, register.width, 32, register.text)
        fields = fields_of(register)
        assert [(field.inst_name, field.low, field.width, field.get_property("desc")) for field in node.fields()] \
            == [(field.name, field.low, field.width, field.text) for field in fields]
        constant = constants_of(config).get(register.name)
        for got, field in zip(node.fields(), fields, strict=True):
            assert got.is_sw_readable == (field.access != "wo") and got.is_sw_writable == (field.access != "ro")
            assert got.get_property("singlepulse") == (field.access == "wo")
            if constant is not None:
                assert got.get_property("reset") == constant >> field.low & (1 << field.width) - 1 and not got.is_hw_writable
            else:
                assert got.get_property("reset") == (None if field.access == "ro" else 0)
                assert got.is_hw_writable == (field.access == "ro")


def test_rdl_fault_codes(tmp_path):
    top = compiled(system_rdl(), tmp_path / "registers.rdl")
    codes = top.get_child_by_name("fault_cause").get_child_by_name("cause").get_property("encode")
    assert {name: member.value for name, member in codes.members.items()} == {fault.name: fault.value for fault in Fault}


@pytest.mark.parametrize("config", INSTANCES, ids=["any", "odd"])
def test_ip_xact(config, tmp_path):
    path = tmp_path / "terntable.xml"
    path.write_text(ip_xact(config))
    component = ipyxact.ipyxact.Component()
    component.load(str(path))
    assert (component.vendor, component.library, component.name, component.version) == (VENDOR, LIBRARY, NAME, RELEASE)
    assert [bus.name for bus in component.busInterfaces.busInterface] == ["s_axi_control"]
    (memory,) = component.memoryMaps.memoryMap
    (block,) = memory.addressBlock
    assert (block.baseAddress, block.range, block.width, block.usage) == (0, 1 << ADDRESS_BITS, 32, "register")
    access = {"rw": "read-write", "ro": "read-only", "wo": "write-only"}
    expected = words(config)
    assert [(register.name, register.addressOffset, register.size, register.access, register.description)
            for register in block.register] == [(word.name, word.offset, 32, access[word.access], word.text) for word in expected]
    for register, word in zip(block.register, expected, strict=True):
        assert [(field.name, field.bitOffset, field.bitWidth, field.access, field.resets.reset.value) for field in register.field] \
            == [(field.name, field.low, field.width, access[field.access], word.reset >> field.low & (1 << field.width) - 1)
                for field in word.fields]
    (cause,) = next(register for register in block.register if register.name == "fault_cause").field
    assert {code.name: int(code.value) for code in cause.enumeratedValues.enumeratedValue} \
        == {fault.name: fault.value for fault in Fault}


def test_c_header(tmp_path):
    """What a C compiler makes of it, twice included and with every warning on."""
    expected = {f"TERNTABLE_{word.name.upper()}_OFFSET": word.offset for word in words()}
    for word in words():
        for field in word.fields:
            if field.name != "value":
                name = f"TERNTABLE_{word.name.upper()}_{field.name.upper()}"
                expected |= {f"{name}_SHIFT": field.low, f"{name}_MASK": ((1 << field.width) - 1) << field.low}
    expected |= {f"TERNTABLE_FAULT_CAUSE_CAUSE_{fault.name}": fault.value for fault in Fault}
    expected |= {"TERNTABLE_IDENT_VALUE": IDENT, "TERNTABLE_VERSION_VALUE": VERSION, "TERNTABLE_BASE": 0xA000_0000,
                 "TERNTABLE_RANGE": 1 << ADDRESS_BITS}
    (tmp_path / "terntable.h").write_text(c_header())
    lines = "\n".join(f'    printf("{name} %lu\\n", (unsigned long){name});' for name in expected)
    (tmp_path / "main.c").write_text('#include "terntable.h"\n#include "terntable.h"\n#include <stdio.h>\n\n'
                                     f"int main(void) {{\n{lines}\n    return 0;\n}}\n")
    subprocess.run(["gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-o", "main", "main.c"], cwd=tmp_path,
                   check=True)
    printed = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=True).stdout
    assert {name: int(value) for name, value in (line.split() for line in printed.splitlines())} == expected
    assert set(expected) | {"TERNTABLE_REGISTERS_H"} == {line.split()[1] for line in c_header().splitlines() if "#define" in line}


def test_page_of_an_instance_tells_its_geometry():
    value = f"{geometry_of(preset('nano'))['geometry']:#x}"
    assert value in register_page(preset("nano")) and value not in register_page()
