"""terntable.hw.supervisor: status, faults, resets, the watchdog and the counters."""

import pytest

from terntable.hw.spec.program import Op
from terntable.hw.spec.registers import COUNTERS
from terntable.hw.supervisor import BY_OP, EVENTS, Supervisor

SETS = {"one": {"ports": 1, "port_bytes": 8}, "two": {"ports": 2, "port_bytes": 64}, "four": {"ports": 4, "port_bytes": 16}}


def test_supervises(simulate):
    simulate({name: Supervisor(**sizes) for name, sizes in SETS.items()}, "tests.hw.supervisor_bench")


def test_every_counter_is_counted():
    """A counter of its own for each name, and every unit's time in one of them."""
    traffic = {"cycles", "descriptors", "stream_bytes", "read_bytes", "write_bytes", *(f"port{n}_bytes" for n in range(4))}
    counted = [*traffic, *EVENTS, *BY_OP]
    assert sorted(counted) == sorted(COUNTERS)
    # The ternary engine runs beside the others, so its time is an event.
    assert {op for ops in BY_OP.values() for op in ops} == set(Op) - {Op.END, Op.MATMUL}


@pytest.mark.parametrize("ports", [0, 5])
def test_ports_checked(ports):
    with pytest.raises(ValueError, match=f"ports must be 1 to 4, not {ports}"):
        Supervisor(ports=ports, port_bytes=8)
