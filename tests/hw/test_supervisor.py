"""terntable.hw.supervisor: status, faults, resets, the watchdog and the counters."""

from terntable.hw.spec.registers import REGISTERS
from terntable.hw.supervisor import Supervisor


def test_supervises(simulate):
    simulate({"supervisor": Supervisor()}, "tests.hw.supervisor_bench")


def test_every_counter_has_a_register():
    registers = {register.name: register for register in REGISTERS}
    assert all(
        registers[name].width == 64 and registers[name].access == "ro" for name in Supervisor().counters
    )
