"""The control registers behind AXI4-Lite."""

from amaranth.lib.wiring import In, Out

from terntable.hw.csr import Csr
from terntable.hw.spec.registers import REGISTERS


def test_registers(simulate):
    simulate({"csr": Csr()}, "tests.hw.csr_bench")


def test_members_follow_the_table():
    members = Csr().signature.members
    for register in REGISTERS:
        if register.name != "control":
            assert members[register.name].flow == (Out if register.access == "rw" else In)
            assert members[register.name].shape == register.width
    assert "control" not in members
