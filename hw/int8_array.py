"""The shared multipliers: one INT8 vector times a vector for each row, summed over the lanes or along time.

The arithmetic is defined by its twin, :mod:`terntable.models.golden.int8_array`.
"""

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.dsp_chain import DIRECT_BITS, SHADOW_BITS, STEP, WEIGHT_BITS, DspChain, check_acc_bits
from terntable.hw.kernel import delay, register
from terntable.hw.shapes import integers

__all__ = ["ArrayPort", "Int8Array"]

#: Longest cascade; a weight runs along it lane by lane, so a longer one saves adders and takes more cycles.
CHAIN = 8


class ArrayPort(wiring.Signature):
    """What a user of an :class:`Int8Array` sees: it drives operands and ``en``, and reads results.

    Parameters
    ----------
    rows, lanes, load_lanes, acc_bits : int
        As for :class:`Int8Array`.

    Attributes
    ----------
    chain : int
        Lanes of a cascade.
    dot_latency, unload_latency : int
        Enabled clocks from a weight to ``low`` and ``high``, and from ``unload`` to ``columns``.
    unload_gap : int
        Enabled clocks from the last weight to the first ``unload``.
    dot_bits : int
        Width of a sum, with the sign.

    """

    def __init__(self, *, rows: int, lanes: int, load_lanes: int, acc_bits: int = 36) -> None:
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        if load_lanes < 1 or load_lanes & (load_lanes - 1):
            raise ValueError(f"load_lanes must be a power of two, not {load_lanes!r}")
        if lanes < 4 * load_lanes or lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two of at least 4 x load_lanes = {4 * load_lanes}, not {lanes!r}")
        check_acc_bits(acc_bits)
        self.rows, self.lanes, self.load_lanes, self.acc_bits = rows, lanes, load_lanes, acc_bits
        self.chain = min(CHAIN, lanes // (2 * load_lanes))
        self.product_bits = WEIGHT_BITS + SHADOW_BITS
        self.dot_bits = self.product_bits + exact_log2(lanes // 2)
        # A cascade's last lane is `chain - 1` behind its first one; then every level of the tree takes a clock.
        self.unload_latency = 1 + DspChain.LATENCY
        self.dot_latency = self.unload_latency + self.chain - 1 + exact_log2(lanes // (2 * self.chain))
        self.unload_gap = self.chain
        super().__init__({
            "en": Out(1), "valid": Out(1), "direct": Out(1), "first": Out(1),
            "weight": Out(data.ArrayLayout(signed(WEIGHT_BITS), lanes)),
            "direct_act": Out(data.ArrayLayout(data.ArrayLayout(signed(DIRECT_BITS), 2), rows)),
            "swap": Out(1),
            "load": Out(1), "load_place": Out(range(lanes // load_lanes)),
            "load_data": Out(integers(rows=rows, lanes=load_lanes, width=SHADOW_BITS)),
            "load_ready": In(1),
            "unload": Out(1),
            "low": In(data.ArrayLayout(signed(self.dot_bits), rows)),
            "high": In(data.ArrayLayout(signed(self.dot_bits), rows)),
            "columns": In(integers(rows=rows, lanes=load_lanes, width=acc_bits)),
        })


class Int8Array(wiring.Component):
    """Sums of ``weight * activation`` over half the lanes each, or over the weights of each lane.

    ============  =====================================================
    Computes      ``dots`` with stationary activations, ``accumulators`` with direct ones
    Latency       ``port.dot_latency`` enabled clocks to ``low`` and ``high``, ``port.unload_latency`` from ``unload``
    Throughput    a weight vector per enabled clock, or ``load_lanes`` columns of accumulators
    Widths        8 bits times 16 (stationary) or 17 (direct); sums cannot overflow, accumulators wrap at ``acc_bits``
    Stall         stands still while ``en`` is low, but for loads
    ============  =====================================================

    The lanes of a row form cascades of `chain` blocks, which sum up without adders of their own and shift the
    accumulators out. A weight reaches lane k of a cascade k clocks late; the same holds for all that comes with it.

    Parameters
    ----------
    rows, lanes : int
        Vectors, and their length, a power of two of at least 4 x load_lanes: rows x lanes multipliers.
    load_lanes : int
        Lanes that one load fills, and columns of accumulators that come out together; a power of two.
    acc_bits : int
        Bits of an accumulator, 25..48.

    Members
    -------
    en : In(1)
    valid : In(1)
        A weight is presented.
    weight : In(signed(8) x lanes)
    direct : In(1)
        0: the weight meets the active activations; ``low`` and ``high`` are the sums over the lower and the upper half
        of the lanes. 1: it meets ``direct_act`` and each lane adds its product to its accumulator.
    first : In(1)
        With ``direct``: the accumulators start anew. Sums overwrite them.
    direct_act : In(signed(17) x 2 x rows)
        Of the lower and the upper half.
    swap : In(1)
        With ``en``: the shadow activations become active for the weights presented in later cycles. No load beside it.
    load, load_place, load_data : In(1), In, In(signed(16) x rows x load_lanes)
        New shadow activations of lanes ``load_place`` x load_lanes and on, whatever ``en`` is; for a swap in a later cycle.
    load_ready : Out(1)
        Low after a swap, for ``chain`` enabled clocks, until it has reached all lanes: a load would be too early.
    unload : In(1)
        The next columns of accumulators, which are lost; lanes / load_lanes of these without a weight between them.
    low, high : Out(signed x rows)
    columns : Out(signed(acc_bits) x rows x load_lanes)

    """

    def __init__(self, *, rows: int, lanes: int, load_lanes: int, acc_bits: int = 36) -> None:
        self.port = ArrayPort(rows=rows, lanes=lanes, load_lanes=load_lanes, acc_bits=acc_bits)
        self.places = lanes // load_lanes
        self.groups = self.places // self.port.chain
        super().__init__({name: member.flip() for name, member in self.port.members.items()})

    def elaborate(self, platform) -> Module:
        m, pipe = Module(), Module()
        m.submodules.pipe = EnableInserter(self.en)(pipe)
        port, groups, length = self.port, self.groups, self.port.chain
        rows, columns = range(port.rows), range(port.load_lanes)

        # What comes with a weight, as lane k of every cascade sees it: in front of its operand and two clocks before P.
        first_step = Signal(STEP)
        m.d.comb += [first_step.product.eq(1), first_step.chain.eq(~self.direct), first_step.keep.eq(self.direct & ~self.first)]
        valid, direct, take, step = Value.cast(self.valid), Value.cast(self.direct), Value.cast(self.swap), first_step.as_value()
        acts = [list(row) for row in self.direct_act]
        directs, takes, direct_acts, steps, writes = [], [], [], [], []
        for k in range(length):
            direct = register(pipe, direct, name=f"direct_{k}")
            take = delay(pipe, take, name=f"take_{k}")
            step, valid = register(pipe, step, name=f"step_{k}"), delay(pipe, valid, name=f"valid_{k}")
            acts = [[register(pipe, act, name=f"direct_act_{k}_{r}_{half}") for half, act in enumerate(acts[r])] for r in rows]
            directs.append(direct)
            takes.append(take)
            direct_acts.append(acts)
            steps.append(step)
            writes.append(valid)
        m.d.comb += self.load_ready.eq(~Cat(takes).any())

        # One group of cascades after the other is emptied, all lanes in step.
        place = Signal(range(self.places))
        with pipe.If(self.unload):
            pipe.d.sync += place.eq(place + 1)
        unloads = Signal(groups)
        m.d.comb += unloads.eq(self.unload << place[exact_log2(length):])
        unloads = delay(pipe, unloads, name="unloads")
        emptying = delay(pipe, unloads, name="emptying", cycles=2)
        out = STEP.const({"chain": 1}).as_value()

        loads = Signal(self.places)
        load_data = register(m, self.load_data, name="load_data_held")
        m.d.sync += loads.eq(self.load << self.load_place)

        ends: list[list[list[Value]]] = [[] for _ in rows]     # [row][group][column]
        for group in range(groups):
            half = int(2 * group >= groups)
            weights = [[register(pipe, self.weight[((group + 1) * length - 1 - k) * port.load_lanes + e], cycles=1 + k,
                                 name=f"weight_{group}_{k}_{e}") for k in range(length)] for e in columns]
            lane_steps = [register(pipe, Mux(unloads[group], out, steps[k]), name=f"step_{group}_{k}") for k in range(length)]
            lane_writes = [delay(pipe, unloads[group] | writes[k], name=f"write_{group}_{k}", cycles=2) for k in range(length)]
            for r in rows:
                ends[r].append([])
                for e in columns:
                    m.submodules[f"chain_{r}_{group}_{e}"] = chain = DspChain(length=length, acc_bits=port.acc_bits)
                    m.d.comb += [
                        chain.en.eq(self.en), chain.load_data.eq(load_data[e][r]),
                        chain.direct.eq(Cat(directs)), chain.take.eq(Cat(takes)),
                        chain.load.eq(Cat(loads[(group + 1) * length - 1 - k] for k in range(length))),
                        chain.write.eq(Cat(lane_writes)),
                        *(chain.weight[k].eq(weights[e][k]) for k in range(length)),
                        *(chain.direct_act[k].eq(direct_acts[k][r][half]) for k in range(length)),
                        *(chain.step[k].as_value().eq(lane_steps[k]) for k in range(length)),
                    ]
                    ends[r][group].append(chain.total)

        for r in rows:
            for e in columns:
                chosen = Signal(signed(port.acc_bits), name=f"column_{e}_{r}", reset_less=True)
                for group in range(groups):
                    with pipe.If(emptying[group]):
                        pipe.d.sync += chosen.eq(ends[r][group][e])
                m.d.comb += self.columns[e][r].eq(chosen)
            for half, result in enumerate((self.low, self.high)):
                parts = ends[r][half * groups // 2:(half + 1) * groups // 2]
                bits = port.product_bits + exact_log2(length)
                terms = [total[:bits].as_signed() for group in parts for total in group]
                while len(terms) > 1:
                    terms = [register(pipe, a + b, name=f"sum_{r}_{half}_{len(terms)}_{n}")
                             for n, (a, b) in enumerate(zip(terms[::2], terms[1::2], strict=True))]
                m.d.comb += result[r].eq(terms[0])
        return m
