"""Masters on one port: their data, the order of addresses, full speed, a master that aborts."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi import ReadPort
from terntable.hw.axi_burst import REQUEST
from terntable.hw.axi_read import AxiRead
from terntable.hw.axi_share import AxiShare

#: `reader`: outstanding bursts of each master; `share`: of the port.
SETS = {
    "two": dict(beat_bytes=8, burst_beats=8, masters=2, reader=4, share=8),
    "scarce": dict(beat_bytes=4, burst_beats=2, masters=2, reader=8, share=3),
    "three": dict(beat_bytes=16, burst_beats=4, masters=3, reader=2, share=16),
}


class Shared(wiring.Component):
    """Read masters on a shared port: streams ``request0``, ``o0`` and so on."""

    def __init__(self, *, beat_bytes: int, burst_beats: int, masters: int, reader: int, share: int):
        width = 8 * beat_bytes
        self.share = AxiShare(width=width, masters=masters, outstanding=share)
        self.readers = [AxiRead(beat_bytes=beat_bytes, burst_beats=burst_beats, outstanding=reader) for _ in range(masters)]
        super().__init__({
            "bus": Out(ReadPort(width)), "abort": In(masters), "idle": Out(masters), "error": Out(masters),
            **{f"request{n}": In(stream.Signature(REQUEST)) for n in range(masters)},
            **{f"o{n}": Out(stream.Signature(width)) for n in range(masters)},
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.share = self.share
        wiring.connect(m, self.share.bus, wiring.flipped(self.bus))
        for n, reader in enumerate(self.readers):
            m.submodules[f"reader{n}"] = reader
            wiring.connect(m, reader.bus, self.share.masters[n])
            wiring.connect(m, wiring.flipped(getattr(self, f"request{n}")), reader.request)
            wiring.connect(m, reader.o, wiring.flipped(getattr(self, f"o{n}")))
            m.d.comb += [reader.abort.eq(self.abort[n]), self.idle[n].eq(reader.idle), self.error[n].eq(reader.error)]
        return m


def test_shares(simulate):
    simulate({name: Shared(**sizes) for name, sizes in SETS.items()}, "tests.hw.axi_share_bench")


@pytest.mark.parametrize(("wrong", "message"), [
    (dict(masters=1), "masters must be an integer of at least 2, not 1"),
    (dict(outstanding=2), "outstanding must be an integer of at least 3, not 2"),
    (dict(outstanding=2.0), "not 2.0"),
])
def test_parameters_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        AxiShare(**{**dict(width=32, masters=2, outstanding=4), **wrong})
