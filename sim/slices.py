"""The arithmetic of the machine in pieces that fit a small FPGA: what `terntable timing` places, and what the tests count.

A slice is a unit as an instance has it, cut to one of what the unit repeats: its paths are the unit's.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import wiring

from terntable.hw.attention import Attention
from terntable.hw.exp2 import Exp2
from terntable.hw.float_add import FloatAdd
from terntable.hw.float_exp import FloatExp
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_quotient import FloatQuotient
from terntable.hw.float_reciprocal import FloatReciprocal
from terntable.hw.float_sigmoid import FloatSigmoid
from terntable.hw.float_sqrt import FloatSqrt
from terntable.hw.float_to_fixed import FloatToFixed
from terntable.hw.float_to_int import FloatToInt
from terntable.hw.int8_array import Int8Array
from terntable.hw.lane_pair import LanePair
from terntable.hw.lookup_array import LookupArray
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.lookup import build_parts
from terntable.hw.table_builder import TableBuilder
from terntable.hw.trit_gear import TritGear

__all__ = ["SLICES", "Slice"]


@dataclass(frozen=True)
class Slice:
    """A piece of a unit: how much of it, and how to make it for an instance."""

    share: str
    make: Callable[[HardwareConfig], wiring.Component]


def _parts(config: HardwareConfig) -> int:
    return build_parts(groups=config.groups, lanes=config.lanes, cells=config.block_outputs // config.outputs)


SLICES = {
    "tlmm": Slice("the lookups of one output of a cell, all rows",
                  lambda c: LookupArray(rows=c.rows, outputs=1, groups=c.groups, parts=1)),
    "gear": Slice("16 byte lanes", lambda c: TritGear(word_bytes=16)),
    "builder": Slice("the tables of one part, all rows",
                     lambda c: TableBuilder(rows=c.rows, lanes=c.lanes, groups=c.groups // _parts(c), parts=1)),
    "lane_pair": Slice("two lanes of a row", lambda c: LanePair(sum_bits=24)),
    "int8": Slice("one row of the array", lambda c: Int8Array(rows=1, lanes=c.beat_bytes, load_lanes=c.lanes)),
    "attention": Slice("one row, without the array", lambda c: Attention(
        rows=1, lanes=c.lanes, beat_bytes=c.beat_bytes, port_bytes=c.port_bytes, max_context=c.max_context,
        max_head_dim=c.max_head_dim, scale_slots=c.max_heads + 4, query_words=c.max_query // c.lanes)),
    "float_add": Slice("whole", lambda c: FloatAdd()),
    "float_mul": Slice("whole", lambda c: FloatMul()),
    "float_from_int": Slice("whole", lambda c: FloatFromInt()),
    "float_to_int": Slice("whole", lambda c: FloatToInt()),
    "float_exp": Slice("whole", lambda c: FloatExp()),
    "float_reciprocal": Slice("whole", lambda c: FloatReciprocal()),
    "float_quotient": Slice("whole", lambda c: FloatQuotient()),
    "float_sqrt": Slice("whole", lambda c: FloatSqrt()),
    "float_to_fixed": Slice("whole", lambda c: FloatToFixed()),
    "exp2": Slice("whole", lambda c: Exp2()),
    "float_sigmoid": Slice("whole", lambda c: FloatSigmoid()),
}
