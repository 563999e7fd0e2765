"""Striped reads: order and data from ports of different speed, a port that never waits, full speed, errors, aborts."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi import ReadPort
from terntable.hw.axi_burst import REQUEST
from terntable.hw.axi_share import AxiShare
from terntable.hw.striped_read import StripedRead
from terntable.hw.word_ring import WordRing

SETS = {
    "one": dict(ports=1, port_bytes=8, stripe_bytes=0, burst_beats=8, word_beats=1, depth=64, outstanding=4),
    "least": dict(ports=1, port_bytes=4, stripe_bytes=0, burst_beats=1, word_beats=1, depth=2, outstanding=1, queue=2),
    "pairs": dict(ports=1, port_bytes=8, stripe_bytes=0, burst_beats=16, word_beats=2, depth=30, outstanding=4),
    "two": dict(ports=2, port_bytes=8, stripe_bytes=64, burst_beats=8, word_beats=1, depth=61, outstanding=5),
    "tight": dict(ports=2, port_bytes=8, stripe_bytes=128, burst_beats=8, word_beats=2, depth=2, outstanding=2, queue=3),
    "four": dict(ports=4, port_bytes=4, stripe_bytes=128, burst_beats=32, word_beats=2, depth=96, outstanding=3),
    "short": dict(ports=4, port_bytes=4, stripe_bytes=256, burst_beats=16, word_beats=1, depth=300, outstanding=3, queue=10),
    "words": dict(ports=4, port_bytes=4, stripe_bytes=32, burst_beats=8, word_beats=2, depth=128, outstanding=8),
}

#: Sets whose ring is large enough and whose bursts are enough to hide a latency of 12 cycles.
FAST = ("one", "pairs", "two", "four", "short", "words")

#: Two clients of the same ports: single beats, and double ones for a stream behind it.
PAIR = {"data": dict(ports=4, port_bytes=4, stripe_bytes=64, burst_beats=16, word_beats=1, depth=64, outstanding=4),
        "weights": dict(ports=4, port_bytes=4, stripe_bytes=64, burst_beats=16, word_beats=2, depth=48, outstanding=4)}


class Pair(wiring.Component):
    """Two striped reads on shared ports: streams ``data_request``, ``data_o``, ``weights_request``, ``weights_o``."""

    def __init__(self):
        self.clients = {name: StripedRead(**sizes) for name, sizes in PAIR.items()}
        super().__init__({
            "buses": Out(ReadPort(32)).array(4), "abort": In(2), "idle": Out(2),
            **{f"{name}_request": In(stream.Signature(REQUEST)) for name in PAIR},
            **{f"{name}_o": Out(stream.Signature(8 * client.word_bytes)) for name, client in self.clients.items()},
        })

    def elaborate(self, platform):
        m = Module()
        for port in range(4):
            m.submodules[f"share{port}"] = share = AxiShare(width=32, masters=2, outstanding=8)
            wiring.connect(m, share.bus, wiring.flipped(self.buses[port]))
            for n, client in enumerate(self.clients.values()):
                wiring.connect(m, client.buses[port], share.masters[n])
        for n, (name, client) in enumerate(self.clients.items()):
            m.submodules[name] = client
            wiring.connect(m, wiring.flipped(getattr(self, f"{name}_request")), client.request)
            wiring.connect(m, client.o, wiring.flipped(getattr(self, f"{name}_o")))
            m.d.comb += [client.abort.eq(self.abort[n]), self.idle[n].eq(client.idle)]
        return m


def test_reads(simulate):
    simulate({**{name: StripedRead(**sizes) for name, sizes in SETS.items()}, "pair": Pair()}, "tests.hw.striped_read_bench")


GOOD = dict(ports=4, port_bytes=16, stripe_bytes=1024, burst_beats=64, word_beats=2, depth=64, outstanding=4, queue=8)


@pytest.mark.parametrize(("wrong", "message"), [
    (dict(ports=3), "ports must be 1, 2 or 4, not 3"),
    (dict(word_beats=4), "word_beats must be 1 or 2, not 4"),
    (dict(port_bytes=24), "beat_bytes must be a power of two from 4 to 128, not 24"),
    (dict(port_bytes=64), "port_bytes must be at most 32 with 4 ports, not 64"),
    (dict(burst_beats=4), "burst_beats must be at least a word = 8, not 4"),
    (dict(burst_beats=512), "burst_beats must be a power of two from 1 to 256, not 512"),
    (dict(stripe_bytes=512), "stripe_bytes must be a power of two of at least a burst = 1024, not 512"),
    (dict(stripe_bytes=1536), "not 1536"),
    (dict(depth=7), "depth must be an integer of at least 8, not 7"),
    (dict(outstanding=0), "outstanding must be an integer of at least 1, not 0"),
    (dict(queue=1), "queue must be an integer of at least 2, not 1"),
    (dict(style="fast"), "style must be one of None, 'block', 'ultra', not 'fast'"),
])
def test_parameters_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        StripedRead(**{**GOOD, **wrong})


def test_ring_parameters_checked():
    with pytest.raises(ValueError, match="depth must be an integer of at least 2, not 1"):
        WordRing(width=8, parts=1, depth=1)
