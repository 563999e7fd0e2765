"""terntable.hw.memory_ports: the weight stream and all other reads share the ports, the others first."""

from terntable.hw.memory_ports import MemoryPorts
from terntable.hw.spec.config import HardwareConfig

SETS = {
    "one": HardwareConfig(name="one", beat_bytes=8, ports=1, stripe_bytes=128, burst_beats=16, ring_words=32, data_beats=40),
    "two": HardwareConfig(name="two", beat_bytes=16, ports=2, stripe_bytes=128, data_stripe_bytes=128, burst_beats=16,
                          ring_words=32, data_beats=48),
    "four": HardwareConfig(name="four", beat_bytes=32, ports=4, stripe_bytes=256, data_stripe_bytes=256, burst_beats=32,
                           ring_words=96, data_beats=160),
}


def test_serves_both(simulate):
    simulate({name: MemoryPorts(config=config) for name, config in SETS.items()}, "tests.hw.memory_ports_bench")
