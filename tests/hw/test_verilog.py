"""The text that other tools read."""

import re

import pytest
from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.verilog import TOP, convert, emit, main


class Memories(wiring.Component):
    """One memory that starts as zeros and one that does not."""

    def __init__(self):
        super().__init__({"address": In(4), "write": In(1), "a": Out(9), "b": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.zeros = zeros = memory.Memory(shape=9, depth=16, init=[])
        m.submodules.table = table = memory.Memory(shape=8, depth=16, init=[0, 0, 7])
        port, write, read = zeros.read_port(), zeros.write_port(), table.read_port()
        m.d.comb += [
            port.addr.eq(self.address),
            read.addr.eq(self.address),
            write.addr.eq(self.address),
            write.en.eq(self.write),
            write.data.eq(self.address),
            self.a.eq(port.data),
            self.b.eq(read.data),
        ]
        return m


def test_zero_memories_are_loops():
    text = convert(Memories(), "memories")
    assert re.search(r"initial for \((\w+) = 0; \1 <= 15; \1 = \1 \+ 1\) \S*zeros\S* ?\[\1\] = 9'h0;", text)
    assert re.search(r"table\S* ?\[2\] = 8'h07;", text)
    assert not re.search(r"zeros\[\d+\] =", text)


def test_zero_memories_have_no_contents_without_the_loops():
    text = convert(Memories(), "memories", clear=False)
    assert re.search(r"reg \[8:0\] zeros \[15:0\];\n(?!  initial)", text)
    assert "clear_" not in text and not re.search(r"zeros ?\[\d+\] = ", text)
    assert re.search(r"table\S* ?\[2\] = 8'h07;", text)


def test_emit(tmp_path):
    emit(Memories(), "memories", tmp_path / "new" / "memories.v")
    text = (tmp_path / "new" / "memories.v").read_text()
    assert re.search(r"^module memories\(", text, re.MULTILINE)
    assert "src =" not in text


def test_command_line(tmp_path, capsys):
    """The top has the ports that Vivado looks for."""
    path = tmp_path / "nano.v"
    main(["--preset", "nano", "-o", str(path)])
    assert capsys.readouterr().out == f"{path}\n"
    head = re.search(rf"^module {TOP}\((.*?)\);", path.read_text(), re.MULTILINE | re.DOTALL)[1]
    ports = set(re.split(r"[,\s]+", head))
    assert {"clk", "rst", "interrupt", "s_axi_control_awaddr", "m_axi_gmem0_araddr", "m_axi_gmem1_araddr",
            "m_axi_gmem0_awaddr"} <= ports
    assert not any(name.startswith("m_axi_gmem1_aw") for name in ports)


def test_unknown_preset(capsys):
    with pytest.raises(SystemExit):
        main(["--preset", "huge"])
    assert "huge" in capsys.readouterr().err
