"""The bench tools themselves: they pass a right component and fail each kind of wrong one."""

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tests.hw.bench.build import build_top
from tests.hw.bench.streams import Flow, Result, pack_array, unpack_array
from tests.hw.bench.timing import check_rigid_pipe, rigid_pipe, serial

LATENCY = 3


class Doubler(wiring.Component):
    """A rigid pipe that doubles; `fault` plants one error."""

    def __init__(self, *, latency: int = LATENCY, fault: str = ""):
        self.latency, self.fault = latency, fault
        super().__init__({"i": In(stream.Signature(16)), "o": Out(stream.Signature(17)), "extra": In(5),
                          "sum": Out(6)})

    def elaborate(self, platform):
        m = Module()
        valid, value = Const(0), self.i.p << 1
        advance = Signal()
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.i.ready.eq(advance),
                     self.sum.eq(self.extra + 1)]
        if self.fault == "shy":
            m.d.comb += [advance.eq(self.o.ready), self.i.ready.eq(advance)]
        valid = self.i.valid
        for stage in range(self.latency):
            held, full = Signal(17, name=f"held_{stage}"), Signal(name=f"full_{stage}")
            with m.If(advance):
                m.d.sync += [held.eq(value), full.eq(valid)]
            value, valid = held, full
        m.d.comb += [self.o.valid.eq(valid), self.o.p.eq(value)]
        count = Signal(16)
        m.d.sync += count.eq(count + (self.o.valid & self.o.ready))
        if self.fault == "wrong":
            m.d.comb += self.o.p.eq(value + (count == 70))
        if self.fault == "restless":
            m.d.sync += count.eq(count + 1)
            m.d.comb += self.o.p.eq(value ^ count[2])
        if self.fault == "repeats":
            again = Signal()
            m.d.sync += again.eq(valid & ~again & (count == 70))
            with m.If(again):
                m.d.comb += [self.o.valid.eq(1), advance.eq(0)]
        return m


def components() -> dict[str, Doubler]:
    return {"right": Doubler(), "late": Doubler(latency=LATENCY + 1),
            **{fault: Doubler(fault=fault) for fault in ("wrong", "restless", "repeats", "shy")}}


def test_right_passes_and_wrong_fails(simulate):
    simulate(components(), "tests.hw.bench_bench", expect="ok")


def test_failed_bench_fails_the_test(simulate, capsys):
    with pytest.raises(pytest.fail.Exception, match="run it again with SEED="):
        simulate(components(), "tests.hw.bench_bench", expect="broken")
    assert "SEED=" in capsys.readouterr().out


def test_ports_are_flat():
    top = build_top({"a": Doubler()})
    assert top.inputs == {"a": {"i__payload": 16, "i__valid": 1, "o__ready": 1, "extra": 5}}
    assert top.outputs == {"a": {"i__ready": 1, "o__payload": 17, "o__valid": 1, "sum": 6}}


def test_names_checked():
    with pytest.raises(ValueError, match="not 'a__b'"):
        build_top({"a__b": Doubler()})
    with pytest.raises(ValueError, match="at least one"):
        build_top({})


@pytest.mark.parametrize("width", [1, 5, 8, 17, 32, 48, 64])
@pytest.mark.parametrize("signed", [False, True])
def test_packing(width, signed):
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    values = [low, high, 0, low // 3, high // 2, high]
    array = np.array(values, np.int64 if signed else np.uint64).reshape(2, 3)
    word = pack_array(array, width)
    assert word == sum((value & (1 << width) - 1) << width * k for k, value in enumerate(values))
    assert unpack_array(word, width, 6, signed).tolist() == values


def test_rigid_pipe_model():
    """By hand: latency 2, one item in cycle 0 and one in 1, taken in cycles 3 and 4."""
    assert rigid_pipe([0, 1], [1, 1, 0, 1, 1, 1], 2) == ([1, 1, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0])


def test_serial_model():
    """By hand: latency 2; accepted in 1, offered in 3, taken in 4, accepted again in 5."""
    enabled, valid = serial([0, 1, 0, 1, 1, 1, 0], [0, 0, 0, 0, 1, 0, 0], 2)
    assert enabled == [1, 1, 0, 0, 0, 1, 0]
    assert valid == [0, 0, 0, 1, 1, 0, 0]


def test_check_names_the_cycle():
    source, sink = Flow([0], [1], [1, 0, 0], [1, 1, 1]), Flow([2], [1], [0, 0, 1], [1, 1, 1])
    late = Result({"i": source, "o": sink}, "flat out")
    check_rigid_pipe(late, 2)
    with pytest.raises(AssertionError, match="o.valid is 0 in cycle 1, not 1"):
        check_rigid_pipe(late, 1)
