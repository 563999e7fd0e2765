"""How many cycles a pass takes, without simulating it: the units' own latencies, and a fluid model of ring and ports.

A pass is a chain of steps. A step that takes words of the weight stream runs at its own speed while the ring holds words, and at
that of the ports when it is empty; in any other step the ring fills. Keys and values take their share of the ports.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cache

from terntable.hw.attention_convert import AttentionConvert
from terntable.hw.attention_factors import AttentionFactors
from terntable.hw.attention_scores import AttentionScores
from terntable.hw.attention_weights import AttentionWeights
from terntable.hw.int8_array import ArrayPort
from terntable.hw.scalar import FACTOR, ScalarUnit
from terntable.hw.spec.config import WORD_BEATS, HardwareConfig
from terntable.hw.spec.layout import (
    FRAME_CELLS,
    FRAME_WORDS,
    KvLayout,
    embed_stride,
    gamma_words,
    head_words,
    matmul_cells,
    round_up,
    shortlist_outputs,
    shortlist_size,
)
from terntable.hw.spec.program import ScalarKind, ScaleOf, VecMode
from terntable.hw.vector import VectorUnit
from terntable.models.golden.attention_cycles import AttentionTiming, cycles
from terntable.models.shapes import Geometry

__all__ = ["Estimate", "estimate", "ring_words"]

#: Cycles between two descriptors; from a request to its first data, beside the weight stream; from the last data to its answer.
DISPATCH, READ, WRITE = 4, 110, 90

#: From a matrix's start to its first cell, and from its last cell to the sums' first use.
ENGINE_FILL, ENGINE_DRAIN = 60, 20

#: From a read of a candidate to its beat, while there is no weight stream; such reads on their way on a port; and cycles from the
#: first to the last part of the head that they do not hide.
LATENCY, OUTSTANDING, GATHER = 60, 4, 300


@dataclass
class Estimate:
    """Cycles of a pass, and where they go.

    Attributes
    ----------
    cycles : from the doorbell to the end.
    stream_bytes, data_bytes : read.
    ring_full, starved : cycles in which the ring was full, and in which a unit waited for weights.
    drawdown : bytes that the ring gave at most between two times, while the stream went on: what the pass has use for.
    phases : cycles by kind of step.

    """

    cycles: float = 0.0
    stream_bytes: float = 0.0
    data_bytes: float = 0.0
    ring_full: float = 0.0
    starved: float = 0.0
    drawdown: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)


class _Pass:
    """The ring's level and what is left of the stream, in bytes, as time goes on."""

    def __init__(self, config: HardwareConfig, rate: float, stream_bytes: float) -> None:
        self.word, self.rate, self.left = config.word_bytes, rate, stream_bytes
        self.room, self.level, self.peak = float(config.ring_words * config.word_bytes), 0.0, 0.0
        self.result = Estimate(stream_bytes=stream_bytes)

    def step(self, phase: str, took: float, *, words: float = 0.0, data: float = 0.0, ahead: float = 0.0) -> None:
        """A step of at least `took` cycles that takes `words` words of weights evenly and, after the first `ahead`, reads `data`
        bytes besides. As long as the ring has room, the stream gets every other beat.
        """
        result, wanted = self.result, words * self.word
        shared = min(data, self.left, self.room - self.level)
        took = max(took, ahead + (data + shared) / self.rate)
        short = max(0.0, wanted - self.level - min(self.left, self.rate * took - data)) / self.rate
        took += short
        result.starved += short
        arrived = min(self.left, self.rate * took - data)
        level = self.level + arrived - wanted
        if level > self.room:
            result.ring_full += (level - self.room) / self.rate
            arrived, level = arrived - (level - self.room), self.room
        self.left, self.level = self.left - arrived, max(0.0, level)
        self.peak = max(self.peak, self.level)
        if self.left > 0:
            result.drawdown = max(result.drawdown, self.peak - self.level)
        result.cycles += took
        result.data_bytes += data
        result.phases[phase] = result.phases.get(phase, 0.0) + took


def estimate(shape: Geometry, config: HardwareConfig, *, context: int, rows: int = 1, output: bool = True,
             layers: int | None = None, bytes_per_cycle: float | None = None, overlap: bool = True,
             cell_words: float = FRAME_WORDS / FRAME_CELLS, head: str = "exact") -> Estimate:
    """A pass of `rows` rows after `context` committed tokens.

    Parameters
    ----------
    output : the head runs.
    layers : of the shape; all by default.
    bytes_per_cycle : what memory delivers to all ports together; by default what the ports can take.
    overlap : lanes and attention work beside the engine, as they do; else after it.
    cell_words : words of the weight stream that a cell takes; another number is another format than the machine's.
    head : "exact" or "two-stage".

    """
    rate = min(config.beat_bytes, bytes_per_cycle or config.beat_bytes)
    layers = shape.layers if layers is None else layers
    slots, width, inner, hidden = context + rows, shape.heads * shape.head_dim, shape.intermediate, shape.hidden
    kv = KvLayout(layers=layers, heads=shape.heads, kv_heads=shape.kv_heads, head_dim=shape.head_dim, context=slots,
                  beat_bytes=config.beat_bytes, port_bytes=config.port_bytes)
    cells = {name: matmul_cells(inputs, outputs, config) for name, (outputs, inputs) in {
        "qkv": (shape.qkv, hidden), "o": (hidden, width), "gate_up": (2 * inner, hidden), "down": (hidden, inner)}.items()}
    words = {name: round(count * cell_words) for name, count in cells.items()}
    norms = 2 * gamma_words(hidden, config) + gamma_words(width, config) + gamma_words(inner, config)
    outputs = shortlist_outputs(shape.vocab, config)
    listed = matmul_cells(hidden, outputs, config)
    last = 0 if not output else round(listed * cell_words) if head == "two-stage" else head_words(hidden, shape.vocab, config)
    run = _Pass(config, rate, (layers * (sum(words.values()) + norms) + gamma_words(hidden, config) + last) * config.word_bytes)
    vector = _vector(config.rows, config.lanes, config.word_bytes, config.outputs, config.glu_units)
    scalar = ScalarUnit(rows=config.rows, slots=config.max_heads + 4)
    gate = VecMode.GLU_SILU if shape.act == "silu" else VecMode.GLU_RELU2

    def norm(columns: int) -> None:
        run.step("norm", vector.latency(VecMode.NORM, columns) + DISPATCH, words=gamma_words(columns, config))
        run.step("norm", scalar.latency(ScalarKind.NORM) + scalar.latency(ScalarKind.QUANT, ScaleOf.INV)
                 + vector.latency(VecMode.QUANT, columns) + 3 * DISPATCH)

    def matrix(name: str, mode: VecMode, columns: int, share: int) -> None:
        """A product whose sums go through the lanes as they come; the last block's go through them afterwards."""
        block = min(config.block_outputs, share * columns) // share
        multiply = cells[name] + ENGINE_FILL
        lanes = vector.latency(mode, columns)
        drain = min(lanes, vector.latency(mode, block)) + ENGINE_DRAIN + scalar.latency(FACTOR) + DISPATCH
        run.step(name, multiply, words=words[name])
        run.step(name, max(drain, lanes - (multiply if overlap else 0)))

    project = (vector.latency(VecMode.ROPE, shape.head_dim) + scalar.latency(ScalarKind.QUANT, ScaleOf.FACTOR)
               + vector.latency(VecMode.QUANT, shape.head_dim) + 3 * DISPATCH)
    kv_bytes = slots * 2 * kv.planes * config.beat_bytes + round_up(slots * kv.entry, config.beat_bytes)
    attend = cycles(slots=slots, pack=kv.pack, head_dim=shape.head_dim, beat_bytes=config.beat_bytes,
                    port_bytes=config.port_bytes, lanes=config.lanes, timing=_timing(config))
    store = rows * (2 * kv.planes * config.beat_bytes + kv.entry) / config.port_bytes + 4 * (2 * kv.planes + 1) + WRITE
    record = (kv.group + 2) * kv.pack * project + store

    run.step("load", rows * (hidden / config.lanes + READ) + rows * (shape.head_dim / config.lanes + READ) + 3 * READ,
             data=rows * embed_stride(hidden, config))
    for _ in range(layers):
        norm(hidden)
        # Projections follow the engine record by record; the last block's records come after it, and then attention.
        multiply = cells["qkv"] + ENGINE_FILL
        chain, blocks = record * kv.records, max(1, -(-shape.qkv // config.block_outputs))
        run.step("qkv", multiply, words=words["qkv"])
        run.step("qkv", max(record, chain - (multiply * (1 - 1 / blocks) if overlap else 0)))
        for _ in range(kv.group * kv.records):
            run.step("attention", READ + DISPATCH + attend, data=kv_bytes, ahead=READ + DISPATCH)
        norm(width)
        matrix("o", VecMode.ADD, hidden, 1)
        norm(hidden)
        matrix("gate_up", gate, inner, 2)
        norm(inner)
        matrix("down", VecMode.ADD, hidden, 1)
    norm(hidden)
    if output and head == "two-stage":
        size, beats = shortlist_size(config), 1 + -(-hidden // config.beat_bytes)
        run.step("shortlist", max(listed + ENGINE_FILL, rows * _scoring(outputs, size)) + READ, words=last, data=4 * outputs)
        gathered = rows * size * beats
        run.step("head", GATHER + gathered * max(2.0, LATENCY / (OUTSTANDING * config.ports)), data=gathered * config.beat_bytes)
    elif output:
        run.step("head", last * WORD_BEATS, words=last)
    return run.result


def ring_words(shape: Geometry, config: HardwareConfig, *, context: int, rows: int = 1,
               bytes_per_cycle: float | None = None) -> int:
    """Words of ring beyond which such a pass gets no faster.

    While no weights are taken the ring gains the ports' rate; while the engine takes them it loses its own rate less that of the
    ports. What a ring must hold is the deepest fall of that walk, with a ring without end: a smaller one runs empty in it. In a
    pass that waits for the ports the walk returns to zero again and again, so that the fall is all that is ever in the ring. In one
    that waits for the units it rises without end, and what lies below its lowest point is of no use.
    """
    endless = replace(config, ring_words=1 << 30)
    drawdown = estimate(shape, endless, context=context, rows=rows, bytes_per_cycle=bytes_per_cycle).drawdown
    return -(-int(drawdown) // config.word_bytes)


def _scoring(outputs: int, size: int) -> float:
    """Cycles of a row's scores: one each, and the way of those that enter the list, half of it on the average."""
    entered = size * (1 + math.log(max(1.0, outputs / size)))
    return outputs + entered * (size / 2 + 3)


@cache
def _vector(rows: int, lanes: int, word_bytes: int, outputs: int, glu_units: int) -> VectorUnit:
    """A unit that is only asked for its latencies."""
    return VectorUnit(rows=rows, lanes=lanes, word_bytes=word_bytes, outputs=outputs, sum_bits=24, glu_units=glu_units)


def _timing(config: HardwareConfig) -> AttentionTiming:
    port = ArrayPort(rows=config.rows, lanes=config.beat_bytes, load_lanes=config.lanes)
    return AttentionTiming(dot=port.dot_latency, unload=port.unload_latency, gap=port.unload_gap, floats=AttentionConvert.FLOAT,
                           convert=AttentionConvert.LATENCY, weight=AttentionWeights.MEET,
                           divide=config.rows + AttentionFactors.DIVIDE, spacing=AttentionScores.SPACING)
